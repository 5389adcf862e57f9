//! The figures of one run, as a table and by name.

use serde_json::{Value, json};

/// The servers that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    Ours,
    /// Two processes that share their rooms, with one peer of each pair at each process.
    OursWithRedis,
    Stock,
}

impl Contestant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "signaling",
            Self::OursWithRedis => "two signaling processes and Redis",
            Self::Stock => "matchbox_server 0.15",
        }
    }
}

/// The cost of one contestant with `peers` peers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) peers: usize,
    pub(crate) joined_percent: f64,
    pub(crate) kb_per_connection: f64,
    pub(crate) kb_after_signals: f64,
    pub(crate) us_per_join: f64,
    /// The processor time of Redis, which comes on top of that.
    pub(crate) redis_us_per_join: f64,
    pub(crate) idle_us_per_s: f64,
    pub(crate) relay_p50_ms: f64,
    pub(crate) relay_p99_ms: f64,
    pub(crate) lost_percent: f64,
    /// Each kind of attack, with the 99th percentile of the latency of other peers' signals
    /// meanwhile in milliseconds, and the percentage of those signals that was lost.
    pub(crate) attacks: Vec<(&'static str, f64, f64)>,
}

/// All figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report(Vec<(Contestant, Figures)>);

impl Report {
    pub(crate) fn add(&mut self, contestant: Contestant, figures: Figures) {
        self.0.push((contestant, figures));
    }

    fn of(&self, contestant: Contestant) -> impl Iterator<Item = &Figures> {
        self.0.iter().filter(move |(of, _)| *of == contestant).map(|(_, figures)| figures)
    }

    /// Prints the table in Markdown.
    pub(crate) fn print(&self) {
        let all = [Contestant::Ours, Contestant::OursWithRedis, Contestant::Stock];
        let present: Vec<Contestant> =
            all.into_iter().filter(|&contestant| self.of(contestant).next().is_some()).collect();
        let names: String = present.iter().map(|it| format!(" {} |", it.name())).collect();
        println!("| | peers |{names}");
        println!("|---|---:|{}", "---:|".repeat(present.len()));
        for (index, ours) in self.of(Contestant::Ours).enumerate() {
            let row = |what: &str, value: &dyn Fn(&Figures) -> f64| {
                let values = present.iter().filter_map(|&it| self.of(it).nth(index));
                let values: String =
                    values.map(|figures| format!(" {:.1} |", value(figures))).collect();
                println!("| {what} | {} |{values}", ours.peers);
            };
            row("joined, %", &|it| it.joined_percent);
            row("kB of memory for each idle connection", &|it| it.kb_per_connection);
            row("the same after signals went through", &|it| it.kb_after_signals);
            row("µs of processor time for each join", &|it| it.us_per_join);
            row("µs of processor time of Redis for each join", &|it| it.redis_us_per_join);
            row("µs of processor time a second for each idle connection", &|it| it.idle_us_per_s);
            row("signals at 1,000 a second: median, ms", &|it| it.relay_p50_ms);
            row("99th percentile, ms", &|it| it.relay_p99_ms);
            row("lost, %", &|it| it.lost_percent);
            for (attack, (name, ..)) in ours.attacks.iter().enumerate() {
                row(&format!("99th percentile during {name}, ms"), &|it| {
                    it.attacks.get(attack).map_or(f64::NAN, |it| it.1)
                });
            }
        }
    }

    /// The figures for the largest number of peers, by name.
    pub(crate) fn to_json(&self) -> Value {
        let mut figures = json!({});
        let contestants = [
            ("", Contestant::Ours),
            ("redis_", Contestant::OursWithRedis),
            ("stock_", Contestant::Stock),
        ];
        for (prefix, contestant) in contestants {
            let Some(most) = self.of(contestant).max_by_key(|figures| figures.peers) else {
                continue;
            };
            for (name, value) in [
                ("kb_per_connection", most.kb_per_connection),
                ("kb_after_signals", most.kb_after_signals),
                ("us_per_join", most.us_per_join),
                ("relay_p50_ms", most.relay_p50_ms),
                ("relay_p99_ms", most.relay_p99_ms),
                ("joined_percent", most.joined_percent),
            ] {
                figures[format!("{prefix}{name}")] = json!(value);
            }
        }
        figures
    }
}
