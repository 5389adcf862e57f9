//! How far each ship flew, observed from outside the simulation: for the reports of headless peers
//! and pages.

use bevy::math::Vec2;
use bevy::prelude::{Query, Res, ResMut, Resource, With};
use netcode::prelude::{Rollback, SimFrame};
use serde::Serialize;

use crate::sim::arena::offset;
use crate::sim::tuning::MAX_SEATS;
use crate::sim::{Position, Ship};

/// A ship cannot fly further than this between two updates, not even on a screen that draws 10
/// times a second. A ship that moved further was put there by a new round.
const MAX_STRIDE: f32 = 200.0;

/// The numbers of all seats since the match began.
#[derive(Resource, Clone, Default, Debug)]
pub(crate) struct ShipStats {
    seats: [SeatStats; MAX_SEATS],
}

/// The numbers of one seat.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct SeatStats {
    /// Where its ship was seen last.
    position: Option<Vec2>,
    /// How far it flew, in units.
    travelled: f32,
    /// Updates in which its engine was on.
    thrust_frames: u32,
    /// The frame in which the ship was seen last.
    frame: u32,
}

impl ShipStats {
    /// The numbers of each seat, with the seat.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, &SeatStats)> {
        (0..).zip(&self.seats)
    }
}

/// Where a ship is, how far it flew, and for how many updates its engine was on: a part of the
/// reports.
#[derive(Clone, Copy, Default, Debug, Serialize)]
pub(crate) struct ShipReport {
    seat: u8,
    x: f32,
    y: f32,
    travelled: f32,
    thrust_frames: u32,
}

impl SeatStats {
    /// The report of this seat, with the ship at `place`, or where it was seen last. `None` if it
    /// was never seen.
    pub(crate) fn report(&self, seat: u8, place: Option<Vec2>) -> Option<ShipReport> {
        let Vec2 { x, y } = place.or(self.position)?;
        let Self { travelled, thrust_frames, .. } = *self;
        Some(ShipReport { seat, x, y, travelled, thrust_frames })
    }

    fn record(&mut self, frame: u32, place: Vec2, thrusting: bool) {
        if self.frame == frame {
            return;
        }
        let stride = self.position.map_or(0.0, |before| offset(before, place).length());
        self.travelled += if stride < MAX_STRIDE { stride } else { 0.0 };
        self.thrust_frames += u32::from(thrusting);
        self.position = Some(place);
        self.frame = frame;
    }
}

/// In `Update`: adds what each ship did since the last update.
pub(crate) fn update_ship_stats(
    frame: Res<SimFrame>,
    ships: Query<(&Ship, &Position), With<Rollback>>,
    mut ship_stats: ResMut<ShipStats>,
) {
    for (ship, position) in &ships {
        if let Some(stats) = ship_stats.seats.get_mut(usize::from(ship.seat)) {
            stats.record(frame.0, position.0, ship.thrusting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_add_up_and_the_jump_to_a_new_round_does_not_count() {
        let mut stats = SeatStats::default();
        stats.record(1, Vec2::ZERO, false);
        stats.record(2, Vec2::new(3.0, 4.0), true);
        stats.record(2, Vec2::new(90.0, 0.0), true);
        stats.record(3, Vec2::new(300.0, 0.0), false);
        assert_eq!((stats.travelled, stats.thrust_frames), (5.0, 1));
        let report = stats.report(1, None).expect("the ship was seen");
        assert_eq!((report.seat, report.x), (1, 300.0));
        assert_eq!(stats.report(1, Some(Vec2::X)).map(|report| report.x), Some(1.0));
        assert!(SeatStats::default().report(1, None).is_none());
    }
}
