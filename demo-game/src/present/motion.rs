//! Where things are drawn: between the last two simulated frames, and eased to the truth after a rollback.
//!
//! The simulation is only read. Each moving entity gets a [`Drawn`] component of ours, which the rollback leaves
//! alone: it remembers where the thing was shown, so that a correction glides there instead of jumping.

use bevy::math::ops;
use bevy::prelude::*;
use netcode::prelude::*;

use crate::sim::arena::{offset, wrap};
use crate::sim::tuning::{ARENA, STEP_SECONDS};
use crate::sim::{Heading, Position, Velocity};
use crate::steering::shortest_turn;

/// Part of a correction that is left after a second: half of it is gone in 50 ms.
const ERROR_LEFT: f32 = 1.0e-6;
/// A correction farther than this is a new place, not an error: gliding there would look like flight.
const TELEPORT: f32 = 160.0;

/// Rollbacks up to the last rendered frame: more of them mean that something may have been corrected.
#[derive(Resource, Default)]
pub(super) struct Smoothing {
    rollbacks_seen: u32,
}

/// How a simulated thing is shown.
#[derive(Component, Default, Debug)]
pub(super) struct Drawn {
    /// Place in this rendered frame.
    pub(super) place: Vec2,
    /// Direction of its nose in this rendered frame, in radians.
    pub(super) angle: f32,
    /// Where it is shown less where it is: fades out.
    error: Vec2,
    /// The same for the angle.
    angle_error: f32,
    /// Simulated place, speed and angle when last looked at.
    seen: Seen,
    /// Movement within the last simulated frame: none while things wait, whatever their velocity says.
    step: Vec2,
    /// Angle one simulated frame before.
    angle_before: f32,
}

#[derive(Default, Clone, Copy, Debug)]
struct Seen {
    frame: u32,
    place: Vec2,
    velocity: Vec2,
    angle: f32,
}

impl Drawn {
    fn new(now: Seen) -> Self {
        Self {
            place: now.place,
            angle: now.angle,
            angle_before: now.angle,
            seen: now,
            ..Self::default()
        }
    }

    /// Takes over a newly simulated state; after a rollback the difference to what was expected becomes error.
    fn see(&mut self, now: Seen, rolled_back: bool) {
        let steps = now.frame.wrapping_sub(self.seen.frame);
        if rolled_back && steps < 60 {
            let expected = self.seen.place + self.step * steps as f32;
            let error = self.error + offset(now.place, expected);
            let angle_error = self.angle_error + shortest_turn(now.angle, self.seen.angle);
            (self.error, self.angle_error) =
                if error.length() < TELEPORT { (error, angle_error) } else { (Vec2::ZERO, 0.0) };
        }
        // A slow screen sees several steps at once: the last of them is taken to be like the others.
        (self.step, self.angle_before) = if (1..60).contains(&steps) && !rolled_back {
            let step = offset(self.seen.place, now.place) / steps as f32;
            let turn = shortest_turn(self.seen.angle, now.angle) / steps as f32;
            (if step.length() < TELEPORT { step } else { Vec2::ZERO }, now.angle - turn)
        } else if self.step == Vec2::ZERO {
            (Vec2::ZERO, now.angle)
        } else {
            (now.velocity * STEP_SECONDS, now.angle)
        };
        self.seen = now;
    }

    /// The place to show, `phase` of a frame after the last simulated one; the error fades by `error_left`.
    fn ease(&mut self, phase: f32, error_left: f32) {
        self.error *= error_left;
        self.angle_error *= error_left;
        self.place = wrap(self.seen.place - self.step * (1.0 - phase) + self.error);
        self.angle = self.angle_before
            + shortest_turn(self.angle_before, self.seen.angle) * phase
            + self.angle_error;
    }
}

/// The places at which something of `radius` at `place` is to be drawn: itself, and where it peeks in at the far side.
pub(super) fn wrapped_copies(place: Vec2, radius: f32) -> impl Iterator<Item = Vec2> {
    let half = ARENA * 0.5;
    let far_side = |at: f32, half: f32| {
        if at > half - radius {
            -2.0 * half
        } else if at < radius - half {
            2.0 * half
        } else {
            0.0
        }
    };
    let (x, y) = (far_side(place.x, half.x), far_side(place.y, half.y));
    [
        Some(place),
        (x != 0.0).then_some(place + Vec2::new(x, 0.0)),
        (y != 0.0).then_some(place + Vec2::new(0.0, y)),
        (x != 0.0 && y != 0.0).then_some(place + Vec2::new(x, y)),
    ]
    .into_iter()
    .flatten()
}

/// Updates how everything is shown, once per rendered frame.
pub(super) fn update_drawn(
    mut commands: Commands,
    time: Res<Time<Real>>,
    frame: Res<SimFrame>,
    phase: Res<StepPhase>,
    stats: Res<SessionStats>,
    mut smoothing: ResMut<Smoothing>,
    mut things: Query<(Entity, &Position, &Velocity, Option<&Heading>, Option<&mut Drawn>)>,
) {
    let frame = frame.0;
    let rolled_back = stats.rollbacks != smoothing.rollbacks_seen;
    smoothing.rollbacks_seen = stats.rollbacks;
    let error_left = ops::powf(ERROR_LEFT, time.delta_secs());
    for (entity, position, velocity, heading, drawn) in &mut things {
        let angle = heading.map_or(0.0, |heading| heading.0);
        let now = Seen { frame, place: position.0, velocity: velocity.0, angle };
        let Some(mut drawn) = drawn else {
            commands.entity(entity).insert(Drawn::new(now));
            continue;
        };
        if rolled_back || drawn.seen.frame != frame {
            drawn.see(now, rolled_back);
        }
        drawn.ease(phase.0, error_left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(frame: u32, x: f32, speed: f32) -> Seen {
        Seen { frame, place: Vec2::new(x, 0.0), velocity: Vec2::new(speed, 0.0), angle: 0.0 }
    }

    #[test]
    fn drawn_between_the_last_two_frames() {
        let mut drawn = Drawn::new(seen(1, 10.0, 60.0));
        drawn.see(seen(2, 11.0, 60.0), false);
        drawn.ease(0.5, 1.0);
        assert!((drawn.place.x - 10.5).abs() < 1.0e-4);
    }

    #[test]
    fn crossing_the_edge_never_passes_through_the_middle() {
        let mut drawn = Drawn::new(seen(1, 639.8, 60.0));
        drawn.see(seen(2, -639.2, 60.0), false);
        drawn.ease(0.5, 1.0);
        assert!(drawn.place.x.abs() > 639.0, "{}", drawn.place.x);
    }

    #[test]
    fn a_correction_glides_and_a_teleport_does_not() {
        let mut drawn = Drawn::new(seen(1, 0.0, 0.0));
        drawn.see(seen(2, 20.0, 0.0), true);
        drawn.ease(1.0, 1.0);
        assert!(drawn.place.x.abs() < 1.0e-3, "still where it was shown");
        drawn.ease(1.0, 0.5);
        assert!((drawn.place.x - 10.0).abs() < 1.0e-3, "half way");
        drawn.see(seen(3, 400.0, 0.0), true);
        drawn.ease(1.0, 1.0);
        assert!((drawn.place.x - 400.0).abs() < 1.0e-3);
    }

    #[test]
    fn things_at_a_corner_peek_in_at_the_other_three() {
        assert_eq!(wrapped_copies(Vec2::new(635.0, 355.0), 10.0).count(), 4);
        assert_eq!(wrapped_copies(Vec2::ZERO, 10.0).count(), 1);
    }
}
