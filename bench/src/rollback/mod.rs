//! Saving, loading and the whole sync test: this workspace's rollback store and `bevy_ggrs`, in
//! turns.

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
    /// How many times as long theirs takes as ours.
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
    // First, while the process is small, because this measures resident memory.
    eprintln!("matches of ten minutes …");
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
    /// Turns of single saves and loads.
    turns: Turns,
    /// Turns of whole updates, each of which makes many saves and loads.
    updates: Turns,
    /// The number of new worlds to measure in, one after the other: depending on where in memory a
    /// world happens to lie, a run can take half as long again, for either library.
    worlds: usize,
    /// Frames in a minute; the long match lasts ten minutes.
    minute: usize,
}

impl Effort {
    fn thorough() -> Self {
        // The last-level cache of some processors keeps a buffer only after it was written several
        // times: on Intel's Cascade Lake, each of the ten buffers of a prediction window has to be
        // used seven times before a save takes no longer than the saves after it.
        let turns = Turns { count: 2, runs: 120, warm_up: 90 };
        let updates = Turns { count: 2, runs: 45, warm_up: 15 };
        let sizes = &[100, 1_000, 10_000, 100_000];
        Self { sizes, turns, updates, worlds: 20, minute: 3_600 }
    }

    fn quick() -> Self {
        let turns = Turns { count: 1, runs: 60, warm_up: 20 };
        Self { sizes: &[1_000, 10_000], turns, updates: turns, worlds: 2, minute: 120 }
    }

    /// Measures larger worlds fewer times, so that all sizes take about the same time.
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

    /// The same, as the medians of the first two contestants.
    fn measure(self, measure: impl FnMut() -> Times) -> Pair {
        Pair::from(&self.in_worlds(measure))
    }
}
