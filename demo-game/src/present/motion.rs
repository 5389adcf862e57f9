//! Where bodies are drawn: between the last two simulated frames. After a rollback they glide to
//! the corrected position.
//!
//! The simulation is only read. Each moving entity gets a [`Drawn`] component, which does not roll
//! back: it remembers where the body was shown, so that a correction glides instead of jumping.

use bevy::math::ops;
use bevy::prelude::*;
use netcode::prelude::*;

use crate::sim::arena::{offset, wrap};
use crate::sim::tuning::{ARENA, STEP_SECONDS};
use crate::sim::{Heading, Position, Velocity};
use crate::steering::shortest_turn;

/// Fraction of a correction that is left after a second: half of it is gone in 50 ms.
const ERROR_LEFT: f32 = 1.0e-6;
/// A correction farther than this is a new position, not an error: gliding there would look like
/// flight.
const TELEPORT: f32 = 160.0;

/// The number of rollbacks up to the last rendered frame. If there are more now, positions may have
/// been corrected.
#[derive(Resource, Default)]
pub(super) struct Smoothing {
    rollbacks_seen: u32,
}

/// How a simulated body is shown.
#[derive(Component, Default, Debug)]
pub(super) struct Drawn {
    /// Position in this rendered frame.
    pub(super) place: Vec2,
    /// Direction of its nose in this rendered frame, in radians.
    pub(super) angle: f32,
    /// The position at which it is shown, minus the simulated one. It fades out.
    error: Vec2,
    /// The same for the angle.
    angle_error: f32,
    /// The simulated state that was last seen.
    seen: Seen,
    /// Movement within the last simulated frame: zero while bodies wait, whatever their velocity.
    step: Vec2,
    /// Angle one simulated frame earlier.
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

    /// Takes over a newly simulated state. After a rollback, its difference from the expected state
    /// becomes the error.
    fn see(&mut self, now: Seen, rolled_back: bool) {
        let steps = now.frame.wrapping_sub(self.seen.frame);
        if rolled_back && steps < 60 {
            let expected = self.seen.place + self.step * steps as f32;
            let error = self.error + offset(now.place, expected);
            let angle_error = self.angle_error + shortest_turn(now.angle, self.seen.angle);
            (self.error, self.angle_error) =
                if error.length() < TELEPORT { (error, angle_error) } else { (Vec2::ZERO, 0.0) };
        }
        // A slow screen sees several steps at once; they are assumed to be alike.
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

    /// Computes the position to show at `phase`, the part of a frame since the last simulated one.
    /// The error is multiplied by `error_left`.
    fn ease(&mut self, phase: f32, error_left: f32) {
        self.error *= error_left;
        self.angle_error *= error_left;
        self.place = wrap(self.seen.place - self.step * (1.0 - phase) + self.error);
        self.angle = self.angle_before
            + shortest_turn(self.angle_before, self.seen.angle) * phase
            + self.angle_error;
    }
}

/// The positions at which to draw a body of `radius` at `place`: its own, and those at which a part
/// of it shows at the opposite edge.
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

/// Updates how all bodies are shown, once per rendered frame.
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
    fn a_body_is_drawn_between_the_last_two_frames() {
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
    fn a_body_at_a_corner_shows_at_the_other_three() {
        assert_eq!(wrapped_copies(Vec2::new(635.0, 355.0), 10.0).count(), 4);
        assert_eq!(wrapped_copies(Vec2::ZERO, 10.0).count(), 1);
    }
}
