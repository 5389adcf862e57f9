//! When a silent peer, or a silent Redis, is asked whether it is still there, and when it is given
//! up.

use std::time::Duration;

use tokio::time::Instant;

/// Decides when a silent peer is asked whether it is still there, and when it is given up: half the
/// timeout after it was asked, even if it was asked late because this process was halted.
#[derive(Debug)]
pub(crate) struct Silence {
    timeout: Duration,
    /// When the peer was last heard, or was asked after that.
    since: Instant,
    is_asked: bool,
}

/// What to do about a silence that has lasted until now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SilenceStep {
    Wait,
    Ask,
    GiveUp,
}

impl Silence {
    pub(crate) fn new(timeout: Duration, now: Instant) -> Self {
        Self { timeout, since: now, is_asked: false }
    }

    pub(crate) fn heard(&mut self, now: Instant) {
        (self.since, self.is_asked) = (now, false);
    }

    pub(crate) fn step(&mut self, now: Instant) -> SilenceStep {
        if now < self.next_alarm() {
            return SilenceStep::Wait;
        }
        if self.is_asked {
            return SilenceStep::GiveUp;
        }
        (self.since, self.is_asked) = (now, true);
        SilenceStep::Ask
    }

    /// When to take the next [`step`](Self::step), unless the peer is heard before.
    pub(crate) fn next_alarm(&self) -> Instant {
        self.since + self.timeout / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_is_asked_at_half_time_and_given_up_at_full_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::new(Duration::from_secs(60), start);
        assert_eq!(silence.step(at(29)), SilenceStep::Wait);
        assert_eq!(silence.step(at(30)), SilenceStep::Ask);
        assert_eq!(silence.step(at(59)), SilenceStep::Wait);
        silence.heard(at(59));
        assert_eq!(silence.step(at(60)), SilenceStep::Wait);
        assert_eq!(silence.step(at(89)), SilenceStep::Ask);
        assert_eq!(silence.next_alarm(), at(119));
        assert_eq!(silence.step(at(119)), SilenceStep::GiveUp);
    }

    #[test]
    fn a_process_that_was_halted_asks_before_it_gives_up_a_peer() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::new(Duration::from_secs(60), start);
        assert_eq!(silence.step(at(1000)), SilenceStep::Ask);
        assert_eq!(silence.step(at(1029)), SilenceStep::Wait);
        assert_eq!(silence.step(at(1030)), SilenceStep::GiveUp);
    }
}
