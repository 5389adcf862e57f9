//! Observes the simulated frames: the score in the last frame of the run, and the frame in which
//! the match was over.

use bevy::math::Vec2;
use bevy::prelude::{Query, Res, ResMut, Resource, With};
use netcode::prelude::{Rollback, SimFrame};

use crate::sim::{MatchState, Position, Ship};

/// What was seen in the frames of this match.
///
/// A frame may be simulated several times. Each time overwrites what was seen before, so what
/// remains comes from the confirmed frame, which is the same on all peers.
#[derive(Resource, Clone, Default, Debug)]
pub(super) struct Observed {
    /// The frame to take the snapshot of.
    pub(super) last_frame: u32,
    /// The match at the end of that frame, or of the one in which it was over.
    pub(super) snapshot: Option<Snapshot>,
    /// The frame in which the match had been over for long enough to be left.
    pub(super) finished_at: Option<u32>,
}

/// The match at the end of a frame.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Snapshot {
    /// Rounds won, by seat.
    pub(super) score: Vec<u8>,
    /// Each ship that is left: seat and position.
    pub(super) ships: Vec<(u8, Vec2)>,
}

impl Snapshot {
    fn take<'a>(state: &MatchState, ships: impl Iterator<Item = (&'a Ship, &'a Position)>) -> Self {
        let mut ships: Vec<_> = ships.map(|(ship, position)| (ship.seat, position.0)).collect();
        ships.sort_unstable_by_key(|&(seat, _)| seat);
        Self { score: state.score().to_vec(), ships }
    }
}

/// In `SetupMatch`: drops what was seen of the last match.
pub(super) fn reset_observed(mut observed: ResMut<Observed>) {
    observed.snapshot = None;
    observed.finished_at = None;
}

/// In `Simulate`, after the rules. It changes nothing that they read.
pub(super) fn observe_frame(
    frame: Res<SimFrame>,
    state: Res<MatchState>,
    ships: Query<(&Ship, &Position), With<Rollback>>,
    mut observed: ResMut<Observed>,
) {
    if !state.is_finished() {
        observed.finished_at = observed.finished_at.filter(|&finished| finished < frame.0);
    } else if observed.finished_at.is_none() {
        observed.finished_at = Some(frame.0);
    }
    // The run may end with the match, before its last frame.
    if frame.0 == observed.last_frame || observed.finished_at == Some(frame.0) {
        observed.snapshot = Some(Snapshot::take(&state, ships.iter()));
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
