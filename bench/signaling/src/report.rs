//! The medians of all turns, as a table and by name.

use serde_json::{Value, json};

use crate::attack::Attack;

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

/// The cost of one contestant with `peers` peers, in one turn.
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
    /// During each of [`Attack::ALL`], in this order: the 99th percentile of the latency of other
    /// peers' signals.
    pub(crate) attacked_p99_ms: [f64; Attack::ALL.len()],
    /// The percentage of those signals that was lost, in the worst of the attacks.
    pub(crate) attacked_lost_percent: f64,
}

/// All figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report(Vec<(Contestant, Figures)>);

impl Report {
    pub(crate) fn add(&mut self, contestant: Contestant, figures: Figures) {
        self.0.push((contestant, figures));
    }

    /// The figure of this contestant with `peers` peers: the median of its turns. `None` if it was
    /// not measured.
    fn median(
        &self,
        contestant: Contestant,
        peers: usize,
        figure: &dyn Fn(&Figures) -> f64,
    ) -> Option<f64> {
        let turns =
            self.0.iter().filter(|(of, figures)| (*of, figures.peers) == (contestant, peers));
        let mut values: Vec<f64> = turns.map(|(_, figures)| figure(figures)).collect();
        values.sort_unstable_by(f64::total_cmp);
        let upper = *values.get(values.len() / 2)?;
        let lower = values[(values.len() - 1) / 2];
        Some(f64::midpoint(lower, upper))
    }

    /// The numbers of peers that were measured, in this order.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes: Vec<usize> = self.0.iter().map(|(_, figures)| figures.peers).collect();
        sizes.dedup();
        sizes
    }

    /// Prints the table in Markdown.
    pub(crate) fn print(&self) {
        let all = [Contestant::Ours, Contestant::OursWithRedis, Contestant::Stock];
        let is_measured = |contestant: &Contestant| self.0.iter().any(|(of, _)| of == contestant);
        let present: Vec<Contestant> = all.into_iter().filter(is_measured).collect();
        let names: String = present.iter().map(|it| format!(" {} |", it.name())).collect();
        println!("| | peers |{names}");
        println!("|---|---:|{}", "---:|".repeat(present.len()));
        for peers in self.sizes() {
            let row = |what: &str, figure: &dyn Fn(&Figures) -> f64| {
                let values = present.iter().filter_map(|&it| self.median(it, peers, figure));
                let values: String = values.map(|value| format!(" {value:.1} |")).collect();
                println!("| {what} | {peers} |{values}");
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
            for (index, attack) in Attack::ALL.iter().enumerate() {
                let what = format!("99th percentile during {}, ms", attack.name());
                row(&what, &|it| it.attacked_p99_ms[index]);
            }
            row("lost during the worst of these, %", &|it| it.attacked_lost_percent);
        }
    }

    /// The figures for the largest number of peers, by name.
    pub(crate) fn to_json(&self) -> Value {
        let mut figures = json!({});
        let Some(most) = self.sizes().into_iter().max() else { return figures };
        let contestants = [
            ("", Contestant::Ours),
            ("redis_", Contestant::OursWithRedis),
            ("stock_", Contestant::Stock),
        ];
        let named: [(&str, &dyn Fn(&Figures) -> f64); 6] = [
            ("kb_per_connection", &|it| it.kb_per_connection),
            ("kb_after_signals", &|it| it.kb_after_signals),
            ("us_per_join", &|it| it.us_per_join),
            ("relay_p50_ms", &|it| it.relay_p50_ms),
            ("relay_p99_ms", &|it| it.relay_p99_ms),
            ("joined_percent", &|it| it.joined_percent),
        ];
        for (prefix, contestant) in contestants {
            for (name, figure) in named {
                if let Some(value) = self.median(contestant, most, figure) {
                    figures[format!("{prefix}{name}")] = json!(value);
                }
            }
        }
        figures
    }
}
