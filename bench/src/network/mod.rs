//! Matches over bad networks: ours, and `ggrs` as `bevy_ggrs` drives it, on the same networks with
//! the same seeds.
//!
//! Our matches run in simulated time. ggrs resends lost packets by the wall clock, so its matches
//! run in real time, side by side.

mod ours;
mod outcome;
mod stock;

use std::{thread, time::Duration};

use netcode::LinkConditions;
use serde_json::{Value, json};

use self::outcome::Outcome;

/// Frames per second of all matches.
const FPS: u32 = 60;
/// The seed of the first link of every network.
const SEED: u64 = 7;
const PEERS: [usize; 3] = [2, 4, 8];
/// The input delays of ggrs: its default, and the one that its users set.
const STOCK_DELAYS: [usize; 2] = [0, 2];

/// The Wi-Fi of fortress-rollback's published figures: 50 ms round trip, 20 ms jitter, 1 % loss.
const PUBLISHED_WIFI: LinkConditions = LinkConditions {
    latency: Duration::from_millis(15),
    jitter: Duration::from_millis(20),
    loss: 0.01,
    ..LinkConditions::NONE
};
/// The worst network of the same figures: 200 ms round trip, 15 % loss. They name no jitter; this
/// one has 40 ms.
const PUBLISHED_SEVERE: LinkConditions = LinkConditions {
    latency: Duration::from_millis(80),
    jitter: Duration::from_millis(40),
    loss: 0.15,
    ..LinkConditions::NONE
};

/// The head of the table, and the names in its rows, as bench/RESULTS.md has them, too.
const HEAD: &str = "| network | players | | stalls a minute | rollbacks per 100 frames | \
    depth p50 / p95 / p99 | frames lost | key to remote screen | input delay |";
const CONTESTANTS: [&str; 3] = ["netcode", "ggrs, delay 0", "ggrs, delay 2"];
const NAME_OF_WIFI: &str = "Wi-Fi, 50 ms, 20 ms jitter, 1 %";
const NAME_OF_SEVERE: &str = "severe, 200 ms, 40 ms jitter, 15 %";

/// A network, and the number of peers on it.
#[derive(Clone, Copy, Debug)]
struct Case {
    network: &'static str,
    conditions: LinkConditions,
    peers: usize,
}

/// The outcomes of one case.
#[derive(Clone, Debug)]
struct Row {
    case: Case,
    ours: Outcome,
    /// In the order of [`STOCK_DELAYS`].
    stock: [Outcome; 2],
}

/// The figures of one run.
#[derive(Clone, Debug)]
pub(crate) struct Report(Vec<Row>);

fn cases() -> Vec<Case> {
    let published = [(NAME_OF_WIFI, PUBLISHED_WIFI), (NAME_OF_SEVERE, PUBLISHED_SEVERE)];
    let networks = LinkConditions::presets().iter().copied().chain(published);
    networks
        .flat_map(|(network, conditions)| PEERS.map(|peers| Case { network, conditions, peers }))
        .collect()
}

/// Plays all cases.
pub(crate) fn run(is_quick: bool) -> Result<Report, &'static str> {
    let seconds = if is_quick { 10 } else { 60 };
    let cases = cases();
    eprintln!("ggrs: {} matches side by side, {seconds} s …", cases.len() * STOCK_DELAYS.len());
    let stock = thread::scope(|scope| {
        let play = |delay| {
            let cases = &cases;
            scope.spawn(move || stock::play(cases, delay, seconds))
        };
        STOCK_DELAYS.map(play).map(|matches| matches.join().unwrap_or(Err("ggrs panicked")))
    });
    let [undelayed, delayed] = stock;
    let (undelayed, delayed) = (undelayed?, delayed?);
    let rows = cases.iter().zip(undelayed.into_iter().zip(delayed)).map(|(&case, stock)| {
        eprintln!("netcode: {}, {} players …", case.network, case.peers);
        Row { case, ours: ours::play(case, seconds), stock: stock.into() }
    });
    Ok(Report(rows.collect()))
}

impl Report {
    /// Prints the table in Markdown.
    pub(crate) fn print(&self) {
        println!("{HEAD}");
        println!("|---|---:|---|---:|---:|---:|---:|---:|---:|");
        for Row { case, ours, stock } in &self.0 {
            let [name, stock_names @ ..] = CONTESTANTS;
            let lines = [(name, ours)].into_iter().chain(stock_names.into_iter().zip(stock));
            for (name, outcome) in lines {
                let [p50, p95, p99] = outcome.depths();
                println!(
                    "| {} | {} | {name} | {:.1} | {:.1} | {p50} / {p95} / {p99} | {} | {:.0} ms | {:.1} |",
                    case.network,
                    case.peers,
                    outcome.stalls_per_min(),
                    outcome.rollbacks_per_100(),
                    outcome.frames_lost(),
                    outcome.latency().as_secs_f64() * 1000.0,
                    outcome.delay,
                );
            }
        }
    }

    /// Returns whether the peers of each of our matches computed the same.
    pub(crate) fn is_sound(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|row| row.ours.do_agree)
    }

    /// The figures by name.
    pub(crate) fn to_json(&self) -> Value {
        let mut figures = json!({ "checksums_agree": self.is_sound() });
        let named = [("wifi", PUBLISHED_WIFI), ("severe", PUBLISHED_SEVERE)];
        for Row { case, ours, stock: [undelayed, delayed] } in &self.0 {
            let Some((name, _)) = named.iter().find(|(_, network)| *network == case.conditions)
            else {
                continue;
            };
            let players = [("", ours), ("stock_", delayed), ("stock_delay_0_", undelayed)];
            for (prefix, outcome) in players {
                let key = |what| format!("{prefix}{what}_{name}_{}p", case.peers);
                figures[key("stalls_per_min")] = json!(outcome.stalls_per_min());
                figures[key("rollbacks_per_100")] = json!(outcome.rollbacks_per_100());
            }
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_results_has_the_words_of_the_table() {
        let page = include_str!("../../RESULTS.md");
        assert!(page.contains(HEAD));
        for name in [NAME_OF_WIFI, NAME_OF_SEVERE, "wifi", "4g", "transatlantic", "awful"] {
            for contestant in CONTESTANTS {
                assert!(page.contains(&format!("\n| {name} | 4 | {contestant} | ")), "{name}");
            }
        }
    }
}
