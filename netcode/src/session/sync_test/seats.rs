//! Seats that change hands during a sync test: players go and come back, bots stand in, and seats
//! stay empty for a while.

use crate::{
    input::Seat,
    membership::{Roster, SeatState},
    random,
};

/// Before this frame nobody goes, so that what differs even then is not blamed on it. Two windows,
/// as for other disturbances.
const QUIET_FRAMES: u32 = 16;
/// The most frames from one change to the next. The least is one: then the two are often simulated
/// again together.
const MAX_GAP_FRAMES: u64 = 40;
/// What a seat is while no player plays it.
const WITHOUT_PLAYER: [SeatState; 3] = [SeatState::Away, SeatState::Empty, SeatState::Bot];

/// The source of changes. At any time a player plays at least one of the seats.
pub(super) struct SeatChanges {
    /// The state of the generator.
    state: u64,
    roster: Roster,
    /// The frame of the next change.
    next: u32,
}

impl SeatChanges {
    pub(super) fn new(seed: u64, line_up: Roster) -> Self {
        Self { state: seed, roster: line_up, next: QUIET_FRAMES }
    }

    /// The roster that begins at `frame`, if one does. To be called once for each frame.
    pub(super) fn roster_from(&mut self, frame: u32) -> Option<&Roster> {
        if frame < self.next {
            return None;
        }
        self.next = frame + 1 + self.below(MAX_GAP_FRAMES) as u32;
        let seats = self.roster.seats();
        let players = seats.iter().filter(|seat| seat.state == SeatState::Peer).count();
        let may_change = |state| state != SeatState::Peer || players > 1;
        let seats: Vec<_> = seats.iter().filter(|seat| may_change(seat.state)).collect();
        let choices: Vec<_> = seats.iter().map(|seat| (seat.seat, seat.state)).collect();
        if choices.is_empty() {
            return None;
        }
        let (seat, before) = choices[self.below(choices.len() as u64) as usize];
        // A seat without a player mostly gets one, or soon only one would be played.
        let now = if before != SeatState::Peer && self.below(4) > 0 {
            SeatState::Peer
        } else {
            WITHOUT_PLAYER[self.below(WITHOUT_PLAYER.len() as u64) as usize]
        };
        if now == before {
            return None;
        }
        set_state(&mut self.roster, seat, now);
        Some(&self.roster)
    }

    /// A random number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        random::next(&mut self.state) % end
    }
}

/// Changes who plays a seat. No other machine holds any.
fn set_state(roster: &mut Roster, seat: Seat, state: SeatState) {
    let is_local = matches!(state, SeatState::Peer | SeatState::Away);
    roster.set_state(seat, state, None, is_local);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn changes(seed: u64, seats: usize) -> Vec<(u32, Roster)> {
        let names: Vec<String> = (0..seats).map(|seat| format!("seat {seat}")).collect();
        let mut changes = SeatChanges::new(seed, Roster::local(&names));
        let roster = |frame| changes.roster_from(frame).map(|roster| (frame, roster.clone()));
        (0..20_000).filter_map(roster).collect()
    }

    fn states(roster: &Roster) -> Vec<SeatState> {
        roster.seats().iter().map(|seat| seat.state).collect()
    }

    #[test]
    fn seats_change_in_every_way_and_somebody_always_plays() {
        for (seed, seats) in [(1, 2), (2, 3), (3, 16)] {
            let changes = changes(seed, seats);
            assert!(changes.len() > 100 && changes[0].0 >= QUIET_FRAMES, "{seats} seats");
            let mut ways = BTreeSet::new();
            let mut before = vec![SeatState::Peer; seats];
            for (frame, roster) in changes {
                let now = states(&roster);
                assert!(now.contains(&SeatState::Peer), "frame {frame} of {seats} seats");
                let changed: Vec<_> =
                    (0..seats).filter(|&seat| now[seat] != before[seat]).collect();
                let [seat] = *changed else { panic!("{before:?}, and then {now:?}") };
                ways.insert(format!("{:?} {:?}", before[seat], now[seat]));
                before = now;
            }
            assert_eq!(ways.len(), 12, "{ways:?} of {seats} seats");
        }
    }

    #[test]
    fn the_only_seat_is_always_played_and_a_seed_gives_the_same_changes_again() {
        assert!(changes(1, 1).is_empty());
        assert_eq!(changes(7, 4), changes(7, 4));
        assert_ne!(changes(7, 4), changes(8, 4));
    }

    #[test]
    fn a_player_who_comes_back_has_the_seat_again() {
        let mut roster = Roster::local(&["Ann".into(), "Bob".into()]);
        let line_up = roster.clone();
        for state in WITHOUT_PLAYER {
            set_state(&mut roster, Seat(1), state);
            assert_eq!(roster.local_seats().count(), 1);
            set_state(&mut roster, Seat(1), SeatState::Peer);
            assert_eq!(roster, line_up);
        }
    }
}
