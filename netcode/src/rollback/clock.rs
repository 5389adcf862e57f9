//! Moments in the world's change ticks: when something was saved, and whether a value may have
//! changed since then.

use bevy::ecs::change_detection::Tick;

/// The number of saves after which a capture is too old to be compared by ticks. Ticks wrap after
/// 2³² system runs. To get there within this number of saves, a million systems would have to run
/// between two of them. No buffer that is in use is nearly that old.
const MAX_AGE_SAVES: u64 = 1 << 12;

/// A moment at which captured values and the world were equal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The tick of the world. What changes afterwards has a newer tick.
    pub(super) tick: Tick,
    /// The number of saves that the store had made.
    pub(super) save: u64,
}

impl Moment {
    /// Returns a moment before everything that has a change tick.
    pub(super) fn long_before(now: Self) -> Self {
        Self { tick: Tick::new(now.tick.get().wrapping_add(1)), ..now }
    }

    /// Returns whether ticks can still be compared with this moment.
    pub(super) fn is_comparable(self, now: Self) -> bool {
        now.save.wrapping_sub(self.save) < MAX_AGE_SAVES
    }

    /// Returns whether a value with the change tick `changed` may have changed since this moment.
    #[inline]
    pub(super) fn is_before(self, changed: Tick, now: Self) -> bool {
        age(changed, now) < age(self.tick, now)
    }

    /// Returns whether any value with one of these change ticks may have changed since this moment.
    pub(super) fn is_before_any(self, changed: &[Tick], now: Self) -> bool {
        let limit = age(self.tick, now);
        // The pieces have a size that the compiler knows and no branch inside, so that it can
        // vectorise the loop. They are short, because the first piece usually gives the answer.
        let is_any_newer =
            |piece: &[Tick]| piece.iter().fold(false, |any, &tick| any | (age(tick, now) < limit));
        let (pieces, rest) = changed.as_chunks::<32>();
        pieces.iter().any(|piece| is_any_newer(piece)) || is_any_newer(rest)
    }
}

#[inline]
fn age(tick: Tick, now: Moment) -> u32 {
    now.tick.get().wrapping_sub(tick.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(tick: u32, save: u64) -> Moment {
        Moment { tick: Tick::new(tick), save }
    }

    #[test]
    fn a_change_at_the_moment_itself_is_part_of_it() {
        let (then, now) = (moment(100, 1), moment(120, 2));
        for (tick, is_newer) in [(99, false), (100, false), (101, true), (120, true)] {
            assert_eq!(then.is_before(Tick::new(tick), now), is_newer, "tick {tick}");
            let all = [Tick::new(5), Tick::new(tick)];
            assert_eq!(then.is_before_any(&all, now), is_newer, "tick {tick}");
        }
    }

    #[test]
    fn ticks_may_wrap_between_the_moment_and_now() {
        let (then, now) = (moment(u32::MAX - 1, 1), moment(3, 2));
        assert!(then.is_before(Tick::new(1), now) && then.is_before(Tick::new(u32::MAX), now));
        assert!(!then.is_before(Tick::new(u32::MAX - 1), now));
        assert!(!then.is_before(Tick::new(4), now), "long ago");
    }

    #[test]
    fn a_moment_long_ago_is_not_comparable() {
        assert!(moment(0, 5).is_comparable(moment(0, MAX_AGE_SAVES + 4)));
        assert!(!moment(0, 5).is_comparable(moment(0, MAX_AGE_SAVES + 5)));
    }
}
