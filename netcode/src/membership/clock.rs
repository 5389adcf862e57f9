//! What players ask of the clock of their match: a pause, or its end. Pure.

use std::time::Duration;

use super::change::Clock;

/// What a player asks for counts this long: by then the machines have agreed on it, or never will,
/// as others asked for something else.
const ASKED_FOR: Duration = Duration::from_secs(3);

/// What was asked of the clock, as this machine knows it.
#[derive(Debug, Default)]
pub(super) struct ClockWishes {
    asked: Option<(Clock, Duration)>,
    /// Our own player wants to go on without the machines that the match waits for.
    has_voted: bool,
}

impl ClockWishes {
    /// The player of `seat` asks for a pause, or for its end. `present` is how the clock is now.
    pub(super) fn note(&mut self, now: Duration, present: Clock, seat: u8, wants_pause: bool) {
        let wish = match (present, wants_pause) {
            (Clock::Runs, true) => {
                // Of two that ask at the same time, all take the same.
                let pending = self.wish(now, present);
                let first = pending.map_or(seat, |pending| match pending {
                    Clock::PausedBy(other) => seat.min(other),
                    Clock::Runs | Clock::Waits => seat,
                });
                Clock::PausedBy(first)
            }
            (Clock::PausedBy(_), false) => Clock::Runs,
            // Each player decides for itself whom to wait for.
            (Clock::Runs, false) | (Clock::PausedBy(_), true) | (Clock::Waits, _) => return,
        };
        self.asked = Some((wish, now));
    }

    /// Our own player asks to go on without the machines that the match waits for.
    pub(super) fn vote(&mut self, present: Clock) {
        self.has_voted = present == Clock::Waits;
    }

    /// What this machine wants the clock to be; `None` if what it is.
    pub(super) fn wish(&self, now: Duration, present: Clock) -> Option<Clock> {
        if self.has_voted && present == Clock::Waits {
            return Some(Clock::Runs);
        }
        let (wish, since) = self.asked?;
        (wish != present && now.saturating_sub(since) < ASKED_FOR).then_some(wish)
    }

    /// The machines agreed on another clock, or on the same.
    pub(super) fn change(&mut self, present: Clock) {
        self.has_voted &= present == Clock::Waits;
        self.asked = self.asked.filter(|(wish, _)| *wish != present);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn of_two_players_that_pause_at_once_the_one_with_the_lower_seat_counts() {
        for seats in [[1, 2], [2, 1]] {
            let mut wishes = ClockWishes::default();
            for seat in seats {
                wishes.note(at(0), Clock::Runs, seat, true);
            }
            assert_eq!(wishes.wish(at(0), Clock::Runs), Some(Clock::PausedBy(1)));
            wishes.change(Clock::PausedBy(1));
            assert_eq!(wishes.wish(at(0), Clock::PausedBy(1)), None);
        }
    }

    #[test]
    fn any_player_ends_a_pause_and_no_wish_lasts_for_ever() {
        let mut wishes = ClockWishes::default();
        wishes.note(at(0), Clock::PausedBy(0), 3, false);
        assert_eq!(wishes.wish(at(2_999), Clock::PausedBy(0)), Some(Clock::Runs));
        assert_eq!(wishes.wish(at(3_000), Clock::PausedBy(0)), None);
        wishes.note(at(4_000), Clock::Runs, 3, false);
        assert_eq!(wishes.wish(at(4_000), Clock::Runs), None);
    }

    #[test]
    fn each_player_votes_for_itself_and_does_so_once() {
        let mut wishes = ClockWishes::default();
        wishes.note(at(0), Clock::Waits, 3, false);
        assert_eq!(wishes.wish(at(0), Clock::Waits), None);
        wishes.vote(Clock::Waits);
        assert_eq!(wishes.wish(at(60_000), Clock::Waits), Some(Clock::Runs));
        wishes.change(Clock::Runs);
        assert_eq!(wishes.wish(at(60_000), Clock::Waits), None, "that is another time");
        wishes.vote(Clock::Runs);
        assert_eq!(wishes.wish(at(60_000), Clock::Waits), None);
    }
}
