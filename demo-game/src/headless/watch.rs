//! Looks at the simulated frames: what the score was in the last frame of the run, when the match was over, how far
//! each ship flew.

use bevy::math::Vec2;
use bevy::prelude::{Query, Res, ResMut, Resource, With};
use netcode::prelude::{Rollback, SimFrame};

use crate::sim::arena::offset;
use crate::sim::tuning::MAX_SEATS;
use crate::sim::{MatchState, Position, Ship};

/// A ship cannot fly further in one update: what moved more was put there by a new round.
const MAX_STRIDE: f32 = 60.0;

/// What was seen in the frames of this match.
///
/// Frames are simulated several times; each time overwrites what was seen before, so that in the end it is what the
/// confirmed frame showed. That makes it the same on all peers.
#[derive(Resource, Clone, Default, Debug)]
pub(super) struct Watch {
    /// The frame to take the snapshot at.
    pub(super) last_frame: u32,
    /// The match at the end of that frame, or of the one in which it was over.
    pub(super) snapshot: Option<Snapshot>,
    /// The frame in which the match had been over for long enough to leave it.
    pub(super) finished_at: Option<u32>,
}

/// The match at the end of a frame.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Snapshot {
    /// Rounds won, by seat.
    pub(super) score: Vec<u8>,
    /// Each ship that is left: seat and place.
    pub(super) ships: Vec<(u8, Vec2)>,
}

impl Snapshot {
    fn take<'a>(state: &MatchState, ships: impl Iterator<Item = (&'a Ship, &'a Position)>) -> Self {
        let mut ships: Vec<_> = ships.map(|(ship, position)| (ship.seat, position.0)).collect();
        ships.sort_unstable_by_key(|&(seat, _)| seat);
        let seats = usize::from(state.seats).min(MAX_SEATS);
        Self { score: state.scores[..seats].to_vec(), ships }
    }
}

/// In `SetupMatch`: what was seen of the match before counts no more.
pub(super) fn forget_match(mut watch: ResMut<Watch>) {
    watch.snapshot = None;
    watch.finished_at = None;
}

/// In `Simulate`, after the rules: changes nothing that they read.
pub(super) fn watch_frame(
    frame: Res<SimFrame>,
    state: Res<MatchState>,
    ships: Query<(&Ship, &Position), With<Rollback>>,
    mut watch: ResMut<Watch>,
) {
    if !state.is_finished() {
        watch.finished_at = watch.finished_at.filter(|&finished| finished < frame.0);
    } else if watch.finished_at.is_none() {
        watch.finished_at = Some(frame.0);
    }
    // The run may end with the match, before its last frame.
    if frame.0 == watch.last_frame || watch.finished_at == Some(frame.0) {
        watch.snapshot = Some(Snapshot::take(&state, ships.iter()));
    }
}

/// What each seat did over the run, as far as it could be seen from outside the simulation.
#[derive(Resource, Clone, Default, Debug)]
pub(super) struct Travels {
    seats: [Travel; MAX_SEATS],
}

/// What one seat did.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Travel {
    /// Where its ship was seen last.
    pub(super) position: Option<Vec2>,
    /// How far it flew, in units.
    pub(super) travelled: f32,
    /// Updates in which its engine burned.
    pub(super) thrust_frames: u32,
    frame: u32,
}

impl Travels {
    /// What the seats of the match did.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, &Travel)> {
        (0..).zip(&self.seats)
    }
}

/// In `Update`: follows the ships from one frame to the next.
pub(super) fn follow_ships(
    frame: Res<SimFrame>,
    ships: Query<(&Ship, &Position), With<Rollback>>,
    mut travels: ResMut<Travels>,
) {
    for (ship, position) in &ships {
        let Some(travel) = travels.seats.get_mut(usize::from(ship.seat)) else { continue };
        if travel.frame == frame.0 {
            continue;
        }
        let stride = travel.position.map_or(0.0, |before| offset(before, position.0).length());
        travel.travelled += if stride < MAX_STRIDE { stride } else { 0.0 };
        travel.thrust_frames += u32::from(ship.thrusting);
        travel.position = Some(position.0);
        travel.frame = frame.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_lists_the_seats_of_the_match_in_order() {
        let state = MatchState { scores: [3, 1, 0, 0], ..MatchState::new(2) };
        let ships = [(Ship::new(1), Position(Vec2::X)), (Ship::new(0), Position(Vec2::Y))];
        let snapshot =
            Snapshot::take(&state, ships.iter().map(|(ship, position)| (ship, position)));
        assert_eq!(snapshot.score, [3, 1]);
        assert_eq!(snapshot.ships, [(0, Vec2::Y), (1, Vec2::X)]);
    }
}
