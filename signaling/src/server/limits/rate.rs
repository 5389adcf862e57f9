//! How often something may happen: a leaky bucket that takes the time as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// An average number per second, and a number at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The number allowed per second, for any length of time. At least 1.
    pub per_second: u32,
    /// The number allowed at once, after a pause. At least 1.
    pub at_once: u32,
}

impl Rate {
    pub(crate) fn is_sensible(self) -> bool {
        self.per_second >= 1 && self.at_once >= 1
    }

    /// The time after which `count` more are allowed.
    pub(crate) fn time_for(self, count: u32) -> Duration {
        Duration::from_secs(1) * count / self.per_second.max(1)
    }
}

/// The number of messages that this many bytes count as: one for each KiB or part of one.
pub(crate) fn message_cost(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX)
}

/// How much of a [`Rate`] is used up.
///
/// This is the generic cell rate algorithm (ITU-T I.371): a single point in time is its whole
/// state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    /// When everything used so far stops counting.
    empty_at: Instant,
}

impl Bucket {
    pub(crate) fn new(now: Instant) -> Self {
        Self { empty_at: now }
    }

    /// Uses `count`, whether it is allowed or not. Returns how long it takes from now until this
    /// much is allowed.
    pub(crate) fn use_up(&mut self, count: u32, rate: Rate, now: Instant) -> Duration {
        self.empty_at = self.empty_at.max(now) + rate.time_for(count);
        (self.empty_at - now).saturating_sub(rate.time_for(rate.at_once))
    }

    /// Uses one if that is allowed, and returns whether it was.
    pub(crate) fn try_use(&mut self, rate: Rate, now: Instant) -> bool {
        let mut next = *self;
        let is_allowed = next.use_up(1, rate, now).is_zero();
        if is_allowed {
            *self = next;
        }
        is_allowed
    }

    /// Returns whether the bucket is in the same state as if nothing had been used.
    pub(crate) fn is_empty(&self, now: Instant) -> bool {
        self.empty_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, at_once: 3 };

    #[test]
    fn a_rate_allows_a_burst_and_then_a_number_per_second() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        let allowed = (0..10).filter(|_| bucket.try_use(RATE, start)).count();
        assert_eq!(allowed, 3);
        let allowed = (1..=1_000)
            .filter(|step| bucket.try_use(RATE, start + Duration::from_millis(step * 10)))
            .count();
        assert!((99..=101).contains(&allowed), "{allowed} in ten seconds");
    }

    #[test]
    fn a_pause_restores_the_whole_burst_and_no_more() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        while bucket.try_use(RATE, start) {}
        let later = start + Duration::from_secs(3_600);
        assert!(!bucket.is_empty(start) && bucket.is_empty(later));
        assert_eq!((0..10).filter(|_| bucket.try_use(RATE, later)).count(), 3);
    }

    #[test]
    fn using_more_than_allowed_costs_a_proportional_wait() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        assert_eq!(bucket.use_up(3, RATE, start), Duration::ZERO);
        assert_eq!(bucket.use_up(5, RATE, start), Duration::from_millis(500));
        let later = start + Duration::from_millis(500);
        assert_eq!(bucket.use_up(1, RATE, later), Duration::from_millis(100));
    }

    #[test]
    fn a_message_counts_once_for_each_kibibyte_or_part_of_one() {
        let costs = [0, 1, 1024, 1025, 2048, 65_536].map(message_cost);
        assert_eq!(costs, [1, 1, 1, 2, 2, 64]);
    }
}
