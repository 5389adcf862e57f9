//! Saving, loading and the whole sync test: this workspace's rollback store and `bevy_ggrs`, in alternation.

mod contestant;
mod growth;
mod report;
mod scenarios;
mod world;

pub(crate) use report::Report;

use crate::stopwatch::{Medians, Turns};

/// Ours and theirs, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
}

impl Pair {
    fn from(medians: &Medians) -> Self {
        Self { ours: medians.0[0], theirs: medians.0[1] }
    }

    /// How many times as long theirs takes.
    pub(crate) fn ratio(self) -> f64 {
        self.theirs / self.ours
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
        report.sizes.push(scenarios::measure_size(*entities, &effort));
    }
    eprintln!("values that own memory …");
    report.owning = Some(scenarios::measure_owning(&effort));
    eprintln!("a world in which 1 % changes …");
    report.idle = Some(scenarios::measure_idle(&effort));
    eprintln!("an empty step …");
    report.step = Some(scenarios::measure_step(&effort));
    report
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    sizes: &'static [usize],
    turns: Turns,
    /// Frames of one minute, of which the long match has ten.
    minute: usize,
}

impl Effort {
    fn thorough() -> Self {
        let turns = Turns { count: 7, runs: 90 };
        Self { sizes: &[100, 1_000, 10_000, 100_000], turns, minute: 3_600 }
    }

    fn quick() -> Self {
        Self { sizes: &[1_000, 10_000], turns: Turns { count: 1, runs: 60 }, minute: 120 }
    }

    /// Larger worlds are measured less often, so that all sizes take about as long.
    fn turns_for(&self, entities: usize) -> Turns {
        if entities > 10_000 { Turns { count: 2, runs: 36 } } else { self.turns }
    }
}
