//! The clock of the headless peer: the time since the process began, and the time of day for a
//! report.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that is started before everything else, so that its times include the setup.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "outside the simulation: a report contains real time"
    )]
    pub(super) fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The time since the process began.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The present moment.
    #[expect(
        clippy::disallowed_methods,
        reason = "outside the simulation: a report contains the time of day"
    )]
    pub(super) fn stamp(&self) -> Stamp {
        // A machine whose clock is before 1970 reports 0.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamp { since_start_ms: millis(self.elapsed()), unix_ms: millis(unix) }
    }
}

/// A moment, in both forms that a report uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    /// Milliseconds since the process began.
    pub(super) since_start_ms: u64,
    /// Milliseconds since 1970, to compare processes on one machine.
    pub(super) unix_ms: u64,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
