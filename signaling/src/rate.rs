//! How often something may happen: a leaky bucket that takes the time as an argument. Pure.

use std::{
    ops::{Add, Sub},
    time::Duration,
};

/// A limit on how often something may happen: an average number per second, and a number at once
/// after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The number allowed per second, for any length of time. At least 1.
    pub per_second: u32,
    /// The number allowed at once, after a pause. At least 1.
    pub at_once: u32,
}

impl Rate {
    /// Whether both numbers are at least 1.
    #[must_use]
    pub fn is_sensible(self) -> bool {
        self.per_second >= 1 && self.at_once >= 1
    }

    /// The time after which `count` more are allowed.
    #[must_use]
    pub fn time_for(self, count: u32) -> Duration {
        Duration::from_secs(1) * count / self.per_second.max(1)
    }
}

/// How much of a [`Rate`] is used up. The time is an instant of any clock, or a [`Duration`] since
/// any beginning.
///
/// This is the generic cell rate algorithm (ITU-T I.371): a single point in time is its whole
/// state.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bucket<T> {
    /// When everything used so far stops counting.
    empty_at: T,
}

impl<T> Bucket<T>
where
    T: Copy + Ord + Add<Duration, Output = T> + Sub<Output = Duration>,
{
    /// Starts with nothing used.
    #[must_use]
    pub fn new(now: T) -> Self {
        Self { empty_at: now }
    }

    /// Uses `count`, whether it is allowed or not. Returns how long it takes from now until this
    /// much is allowed.
    pub fn use_up(&mut self, count: u32, rate: Rate, now: T) -> Duration {
        self.empty_at = self.empty_at.max(now) + rate.time_for(count);
        (self.empty_at - now).saturating_sub(rate.time_for(rate.at_once))
    }

    /// Uses one if that is allowed, and returns whether it was.
    pub fn try_use(&mut self, rate: Rate, now: T) -> bool {
        let mut next = *self;
        let is_allowed = next.use_up(1, rate, now).is_zero();
        if is_allowed {
            *self = next;
        }
        is_allowed
    }

    /// Returns whether the bucket is in the same state as if nothing had been used.
    #[must_use]
    pub fn is_empty(&self, now: T) -> bool {
        self.empty_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, at_once: 3 };

    #[test]
    fn a_rate_allows_a_burst_and_then_a_number_per_second() {
        let start = Duration::from_secs(7);
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
        let start = Duration::from_secs(7);
        let mut bucket = Bucket::new(start);
        while bucket.try_use(RATE, start) {}
        let later = start + Duration::from_secs(3_600);
        assert!(!bucket.is_empty(start) && bucket.is_empty(later));
        assert_eq!((0..10).filter(|_| bucket.try_use(RATE, later)).count(), 3);
    }

    #[test]
    fn using_more_than_allowed_costs_a_proportional_wait() {
        let start = Duration::from_secs(7);
        let mut bucket = Bucket::new(start);
        assert_eq!(bucket.use_up(3, RATE, start), Duration::ZERO);
        assert_eq!(bucket.use_up(5, RATE, start), Duration::from_millis(500));
        let later = start + Duration::from_millis(500);
        assert_eq!(bucket.use_up(1, RATE, later), Duration::from_millis(100));
    }
}
