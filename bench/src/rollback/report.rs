//! The figures as a table for people and as JSON for programs.

use serde_json::{Value, json};

use super::{
    Pair,
    growth::Growth,
    scenarios::{REFERENCE, SaveAndLoad, Size},
};

/// The head of the table, and the names of its rows, as bench/RESULTS.md has them, too.
const HEAD: &str = "| | entities | netcode | bevy_ggrs 0.22 | times as fast |";
const OF_SIZES: [(&str, fn(&Size) -> Pair); 5] = [
    ("save", |it| it.save),
    ("load", |it| it.load),
    ("load after 100 spawns and despawns", |it| it.load_churn),
    ("sync test: load, 8 frames, 8 saves", |it| it.sync_test),
    ("the same with two types hashed in each frame", |it| it.sync_test_checksum),
];
const OF_OWNING: [&str; 2] =
    ["save, a `String` and a `Vec`, 1 % changing", "load, a `String` and a `Vec`, 1 % changing"];
const OF_IDLE: [&str; 2] = ["save, 1 % changing", "load, 1 % changing"];
const OF_STEP: &str = "an empty frame";

/// All figures of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) sizes: Vec<Size>,
    pub(crate) owning: Option<SaveAndLoad>,
    pub(crate) idle: Option<SaveAndLoad>,
    pub(crate) step: Option<Pair>,
    pub(crate) growth: Option<Growth>,
}

impl Report {
    /// Prints the table in Markdown.
    pub(crate) fn print(&self) {
        println!("{HEAD}");
        println!("|---|---:|---:|---:|---:|");
        for size in &self.sizes {
            for (what, pair) in OF_SIZES {
                row(what, size.entities, pair(size));
            }
        }
        if let Some(owning) = self.owning {
            row(OF_OWNING[0], REFERENCE, owning.save);
            row(OF_OWNING[1], REFERENCE, owning.load);
        }
        if let Some(idle) = self.idle {
            row(OF_IDLE[0], REFERENCE, idle.save);
            row(OF_IDLE[1], REFERENCE, idle.load);
        }
        if let Some(step) = self.step {
            row(OF_STEP, 100, step);
        }
        println!();
        for size in &self.sizes {
            println!(
                "memcpy of the same columns at {} entities: {}, and back {}; a save takes {:.2} times as long, a load {:.2} times",
                size.entities,
                time(size.memcpy),
                time(size.memcpy_back),
                size.save.ours / size.memcpy,
                size.load.ours / size.memcpy_back,
            );
            println!(
                "as many bytes in one piece that stays in the cache: {}, and back {}; {:.2} times, {:.2} times",
                time(size.cached_memcpy),
                time(size.cached_memcpy_back),
                size.save.ours / size.cached_memcpy,
                size.load.ours / size.cached_memcpy_back,
            );
        }
        if let Some(growth) = self.growth {
            for (name, grown) in [("netcode", growth.ours), ("bevy_ggrs", growth.theirs)] {
                let memory = grown.memory().map_or("unknown".into(), |it| format!("{it:.3}"));
                println!(
                    "after ten minutes / at the beginning, {name}: time {:.3} ({} to {}), resident memory {memory}",
                    grown.time(),
                    time(grown.first),
                    time(grown.last),
                );
            }
        }
    }

    /// All figures, with the ratios of the reference size at the top level.
    pub(crate) fn to_json(&self) -> Value {
        let reference = self.sizes.iter().find(|size| size.entities == REFERENCE);
        let ratio = |pick: fn(&Size) -> f64| reference.map(pick);
        let both =
            |it: SaveAndLoad| (it.save.theirs + it.load.theirs) / (it.save.ours + it.load.ours);
        json!({
            "save_ratio": ratio(|it| it.save.ratio()),
            "load_ratio": ratio(|it| it.load.ratio()),
            "load_churn_ratio": ratio(|it| it.load_churn.ratio()),
            "synctest_ratio": ratio(|it| it.sync_test.ratio()),
            "synctest_checksum_ratio": ratio(|it| it.sync_test_checksum.ratio()),
            "save_over_memcpy": ratio(|it| it.save.ours / it.memcpy),
            "load_over_memcpy": ratio(|it| it.load.ours / it.memcpy_back),
            "save_over_cached_memcpy": ratio(|it| it.save.ours / it.cached_memcpy),
            "load_over_cached_memcpy": ratio(|it| it.load.ours / it.cached_memcpy_back),
            "noncopy_ratio": self.owning.map(both),
            "idle_ratio": self.idle.map(both),
            "growth_time": self.growth.map(|it| it.ours.time()),
            "growth_memory": self.growth.and_then(|it| it.ours.memory()),
            "stock_growth_time": self.growth.map(|it| it.theirs.time()),
            "stock_growth_memory": self.growth.and_then(|it| it.theirs.memory()),
            "step_ratio": self.step.map(|it| it.ours / it.theirs),
            "sizes": self.sizes.iter().map(size_json).collect::<Vec<_>>(),
            "step_us": self.step.map(pair_json),
        })
    }
}

fn size_json(size: &Size) -> Value {
    json!({
        "entities": size.entities,
        "save_us": pair_json(size.save),
        "load_us": pair_json(size.load),
        "load_churn_us": pair_json(size.load_churn),
        "synctest_us": pair_json(size.sync_test),
        "synctest_checksum_us": pair_json(size.sync_test_checksum),
        "memcpy_us": size.memcpy * 1e6,
        "memcpy_back_us": size.memcpy_back * 1e6,
        "cached_memcpy_us": size.cached_memcpy * 1e6,
        "cached_memcpy_back_us": size.cached_memcpy_back * 1e6,
    })
}

fn pair_json(pair: Pair) -> Value {
    json!({ "netcode": pair.ours * 1e6, "bevy_ggrs": pair.theirs * 1e6 })
}

fn row(what: &str, entities: usize, pair: Pair) {
    println!(
        "| {what} | {entities} | {} | {} | {:.0} |",
        time(pair.ours),
        time(pair.theirs),
        pair.ratio()
    );
}

/// A time with a unit that suits it.
fn time(seconds: f64) -> String {
    let micros = seconds * 1e6;
    if micros >= 1000.0 { format!("{:.2} ms", micros / 1e3) } else { format!("{micros:.2} µs") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_results_has_the_words_of_the_table() {
        let page = include_str!("../../RESULTS.md");
        assert!(page.contains(HEAD));
        let rows = OF_SIZES.iter().map(|(what, _)| *what).chain(OF_OWNING).chain([OF_STEP]);
        for what in rows {
            assert!(page.contains(&format!("\n| {what} | ")), "{what}");
        }
    }
}
