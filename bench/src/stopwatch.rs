//! Alternating measurements and their medians.

use std::time::Instant;

/// The times of several contestants for the same task, in seconds, in the order of the contestants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Vec<f64>>);

impl Times {
    /// Adds the times that were measured in another world.
    pub(crate) fn add(&mut self, other: Self) {
        self.0.resize(other.0.len().max(self.0.len()), Vec::new());
        for (all, more) in self.0.iter_mut().zip(other.0) {
            all.extend(more);
        }
    }

    /// The median time of one contestant; 0 if there is none.
    pub(crate) fn median(&self, contestant: usize) -> f64 {
        self.0.get(contestant).cloned().map(median).unwrap_or_default()
    }
}

/// A contestant: prepares one run, and returns its time in seconds.
pub(crate) type Contestant<'a> = &'a mut dyn FnMut() -> f64;

/// How contestants take turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turns {
    /// Turns of each contestant, after a short one that does not count, in which buffers are
    /// allocated.
    pub(crate) count: usize,
    /// Runs in a turn.
    pub(crate) runs: usize,
    /// The first runs of a turn, which do not count: they find the caches full of other
    /// contestants' data.
    pub(crate) warm_up: usize,
}

/// Lets the contestants take turns.
pub(crate) fn alternate(turns: Turns, contestants: &mut [Contestant]) -> Times {
    let mut times = vec![Vec::with_capacity(turns.count * turns.runs); contestants.len()];
    for contestant in contestants.iter_mut() {
        for _ in 0..turns.warm_up {
            contestant();
        }
    }
    for _ in 0..turns.count {
        for (contestant, times) in contestants.iter_mut().zip(&mut times) {
            for run in 0..turns.runs {
                let time = contestant();
                if run >= turns.warm_up {
                    times.push(time);
                }
            }
        }
    }
    Times(times)
}

/// The seconds that `task` takes.
pub(crate) fn seconds(task: impl FnOnce()) -> f64 {
    let start = Instant::now();
    task();
    start.elapsed().as_secs_f64()
}

/// The median of the values; 0 if there are none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
