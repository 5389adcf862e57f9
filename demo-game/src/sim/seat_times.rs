//! When each seat last changed hands: for what players read about people who leave, drop out and
//! come back. No rule depends on it.

use bevy::prelude::{DetectChangesMut, Res, ResMut, Resource};
use netcode::prelude::{Roster, Seat, SeatState, SimFrame};

use super::tuning::MAX_SEATS;

/// The last change of each seat of this match. It rolls back, so that it names the frame of a
/// change however late this machine learned of it; and each match begins without any.
#[derive(Resource, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SeatTimes([SeatTime; MAX_SEATS]);

/// The state of a seat, and since when it has had it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SeatTime {
    /// The kind of player that the seat has.
    pub state: SeatState,
    /// The first frame with that kind of player.
    pub since: u32,
    /// The kind of player before that, and its first frame; `None` in a seat that has not changed
    /// hands.
    pub before: Option<(SeatState, u32)>,
}

impl SeatTimes {
    /// The seats at the beginning of a match, in order.
    pub fn at_start(states: impl IntoIterator<Item = SeatState>) -> Self {
        let mut times = Self::default();
        for (time, state) in times.0.iter_mut().zip(states) {
            time.state = state;
        }
        times
    }

    /// The same seats in these states, in order, from `frame` on.
    #[must_use]
    pub fn changed_at(mut self, frame: u32, states: impl IntoIterator<Item = SeatState>) -> Self {
        for (time, state) in self.0.iter_mut().zip(states) {
            if time.state != state {
                *time = SeatTime { state, since: frame, before: Some((time.state, time.since)) };
            }
        }
        self
    }

    /// The last change of a seat; that of an empty one if the match has no such seat.
    #[must_use]
    pub fn of(&self, seat: Seat) -> SeatTime {
        self.0.get(seat.index()).copied().unwrap_or_default()
    }
}

fn states(roster: &Roster) -> impl Iterator<Item = SeatState> + '_ {
    roster.seats().iter().map(|seat| seat.state)
}

/// In `SetupMatch`: begins with the players of the line-up.
pub(super) fn begin(roster: Res<Roster>, mut times: ResMut<SeatTimes>) {
    times.set_if_neq(SeatTimes::at_start(states(&roster)));
}

/// Notes which seats change hands in this frame.
pub(super) fn note_changes(
    frame: Res<SimFrame>,
    roster: Res<Roster>,
    mut times: ResMut<SeatTimes>,
) {
    let now = times.changed_at(frame.0, states(&roster));
    times.set_if_neq(now);
}

#[cfg(test)]
mod tests {
    use SeatState::{Away, Empty, Peer};

    use super::*;

    fn changes(times: &SeatTimes) -> Vec<(SeatState, u32, Option<(SeatState, u32)>)> {
        let of = |seat| times.of(Seat(seat));
        (0..3).map(of).map(|time| (time.state, time.since, time.before)).collect()
    }

    #[test]
    fn a_seat_remembers_the_frames_of_its_last_two_players() {
        let mut times = SeatTimes::at_start([Peer; 3]);
        assert_eq!(changes(&times), [(Peer, 0, None); 3]);
        for (frame, states) in [
            (7, [Peer, Away, Peer]),
            (8, [Peer, Away, Peer]),
            (9, [Empty, Peer, Peer]),
            (10, [Empty, Peer, Peer]),
        ] {
            times = times.changed_at(frame, states);
        }
        let left = (Empty, 9, Some((Peer, 0)));
        assert_eq!(changes(&times), [left, (Peer, 9, Some((Away, 7))), (Peer, 0, None)]);
    }

    #[test]
    fn seats_beyond_the_match_are_empty() {
        let times = SeatTimes::at_start([Peer; 2]).changed_at(5, [Peer; 2]);
        assert_eq!(times.of(Seat(2)), SeatTime::default());
        assert_eq!(times.of(Seat(MAX_SEATS as u8)).state, Empty);
        let crowd = SeatTimes::at_start([Peer; MAX_SEATS + 1]);
        assert_eq!(crowd.of(Seat(MAX_SEATS as u8)), SeatTime::default());
    }
}
