//! Saving, loading and the whole sync test: this workspace's rollback store and `bevy_ggrs`, in alternation.

mod contestant;
mod floor;
mod growth;
mod report;
mod scenarios;
mod world;

pub(crate) use report::Report;

use crate::stopwatch::{Times, Turns};

/// Ours and theirs, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
}

impl Pair {
    /// How many times as long theirs takes.
    pub(crate) fn ratio(self) -> f64 {
        self.theirs / self.ours
    }
}

/// The medians of the first two contestants.
impl From<&Times> for Pair {
    fn from(times: &Times) -> Self {
        Self { ours: times.median(0), theirs: times.median(1) }
    }
}

/// Measures everything.
pub(crate) fn run(is_quick: bool) -> Report {
    let effort = if is_quick { Effort::quick() } else { Effort::thorough() };
    let mut report = Report::default();
    // First, while the process is small: resident memory is measured.
    eprintln!("a match of ten minutes, twice …");
    report.growth = Some(growth::measure(&effort));
    for entities in effort.sizes {
        eprintln!("{entities} entities …");
        report.sizes.push(scenarios::measure_size(*entities, effort));
    }
    eprintln!("values that own memory …");
    report.owning = Some(scenarios::measure_owning(effort));
    eprintln!("a world in which 1 % changes …");
    report.idle = Some(scenarios::measure_idle(effort));
    eprintln!("an empty step …");
    report.step = Some(scenarios::measure_step());
    report
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    sizes: &'static [usize],
    /// Of single saves and loads.
    turns: Turns,
    /// Of whole updates, each of which makes many of them.
    updates: Turns,
    /// Worlds that are made anew, one after the other: where in memory a world happens to lie makes a difference of half as
    /// much again, for either library.
    worlds: usize,
    /// Frames of one minute, of which the long match has ten.
    minute: usize,
}

impl Effort {
    fn thorough() -> Self {
        // The last-level cache of some processors keeps what is written only once it has come round several times: on Intel's Cascade Lake
        // the ten buffers of a prediction window have to be in use seven times each until a save takes no longer than those after it.
        let turns = Turns { count: 2, runs: 120, warm_up: 90 };
        let updates = Turns { count: 2, runs: 45, warm_up: 15 };
        let sizes = &[100, 1_000, 10_000, 100_000];
        Self { sizes, turns, updates, worlds: 20, minute: 3_600 }
    }

    fn quick() -> Self {
        let turns = Turns { count: 1, runs: 60, warm_up: 20 };
        Self { sizes: &[1_000, 10_000], turns, updates: turns, worlds: 2, minute: 120 }
    }

    /// Larger worlds are measured less often, so that all sizes take about as long.
    fn for_size(self, entities: usize) -> Self {
        if entities > 10_000 {
            let turns = Turns { count: 1, runs: 36, warm_up: 12 };
            Self { turns, updates: turns, worlds: 3, ..self }
        } else {
            self
        }
    }

    /// Measures in one world after the other.
    fn in_worlds(self, mut measure: impl FnMut() -> Times) -> Times {
        let mut all = Times::default();
        (0..self.worlds).for_each(|_| all.add(measure()));
        all
    }

    /// The same for two contestants.
    fn measure(self, measure: impl FnMut() -> Times) -> Pair {
        Pair::from(&self.in_worlds(measure))
    }
}
