//! How long one peer may keep the match stalled. Pure.

use std::time::Duration;

/// The most silence that one update may add. A machine that froze for seconds has heard nothing
/// meanwhile, but that says nothing about the other machines: what they sent is still on its way.
pub(super) const MAX_SILENCE_PER_UPDATE: Duration = Duration::from_millis(250);

/// The part of our patience with one peer that is used up: the time for which the peer has stalled
/// the match, less the time for which the match has run since. So a peer that gives an input now
/// and then gains no more time than the match ran.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    used: Duration,
}

impl Patience {
    /// The match was stalled for this time, as the peer gave no inputs.
    pub(super) fn wait(&mut self, stood_still: Duration) {
        self.used = self.used.saturating_add(stood_still);
    }

    /// The match ran for this time.
    pub(super) fn recover(&mut self, ran: Duration) {
        self.used = self.used.saturating_sub(ran);
    }

    /// Whether the peer has used up a patience of `limit`.
    pub(super) fn is_used_up(&self, limit: Duration) -> bool {
        self.used >= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(16);
    const LIMIT: Duration = Duration::from_secs(15);

    /// The number of seconds after which the patience is used up if the match runs for `steps`
    /// steps in each of them. `None` if it lasts for ten minutes.
    fn seconds(steps: u32) -> Option<u32> {
        let mut patience = Patience::default();
        (1..=600).find(|_| {
            patience.wait(Duration::from_secs(1) - steps * STEP);
            patience.recover(steps * STEP);
            patience.is_used_up(LIMIT)
        })
    }

    #[test]
    fn patience_lasts_as_long_as_the_match_runs_half_of_the_time() {
        assert_eq!(seconds(0), Some(15));
        assert!(seconds(1).is_some_and(|seconds| seconds < 17));
        assert!(seconds(20).is_some_and(|seconds| seconds < 60));
        assert_eq!(seconds(32), None);
        assert_eq!(seconds(60), None);
    }
}
