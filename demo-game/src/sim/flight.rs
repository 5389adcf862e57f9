//! How ships are steered, and how everything moves: inertia, a little drag, the star's pull.

use bevy::math::Vec2;
use bevy::prelude::{Query, Res, ResMut, With};
use netcode::prelude::{Effects, PlayerInputs, Rollback, Seat};

use super::arena::{gravity, wrap};
use super::components::{Heading, Position, Ship, Velocity};
use super::effects::SimEffect;
use super::match_state::{MatchState, Star};
use super::tuning::{
    CRUISE_SPEED, DASH_COOLDOWN_FRAMES, DASH_FRAMES, DASH_SPEED, DRAG, OVERSPEED_DRAG,
    SIDEWAYS_DRAG, STEP_SECONDS, THRUST, TURN_SPEED,
};
use crate::input::Input;

/// Turns, thrusts and dashes.
pub(super) fn steer_ships(
    inputs: Res<PlayerInputs<Input>>,
    state: Res<MatchState>,
    mut effects: ResMut<Effects<SimEffect>>,
    mut ships: Query<(&mut Ship, &mut Heading, &mut Velocity, &Position), With<Rollback>>,
) {
    // The order does not matter: effects are compared without it, and ships do not affect each
    // other here.
    for (mut ship, mut heading, mut velocity, position) in &mut ships {
        let input = inputs.get(Seat(ship.seat));
        *heading = turn(*heading, input);
        if !state.is_moving() {
            continue;
        }
        velocity.0 = burn(velocity.0, *heading, input, ship.is_dashing());
        ship.thrusting = input.contains(Input::THRUST);
        if try_dash(&mut ship, input) {
            let direction = heading.direction();
            velocity.0 += direction * DASH_SPEED;
            effects.emit(SimEffect::Dashed { seat: ship.seat, position: position.0, direction });
        }
    }
}

/// Applies the star's pull, then moves every body with a velocity and wraps it around.
pub(super) fn move_bodies(
    state: Res<MatchState>,
    star: Res<Star>,
    mut bodies: Query<(&mut Position, &mut Velocity), With<Rollback>>,
) {
    if !state.is_moving() {
        return;
    }
    for (mut position, mut velocity) in &mut bodies {
        velocity.0 += gravity(position.0, star.radius) * STEP_SECONDS;
        position.0 = wrap(position.0 + velocity.0 * STEP_SECONDS);
    }
}

/// The heading after one frame of turning.
fn turn(heading: Heading, input: Input) -> Heading {
    use std::f32::consts::{PI, TAU};
    let angle = heading.0 + input.turn() * TURN_SPEED * STEP_SECONDS;
    if angle > PI {
        Heading(angle - TAU)
    } else if angle < -PI {
        Heading(angle + TAU)
    } else {
        Heading(angle)
    }
}

/// The velocity after one frame of engine and drag.
fn burn(velocity: Vec2, heading: Heading, input: Input, is_dashing: bool) -> Vec2 {
    let mut velocity = velocity * (1.0 - DRAG * STEP_SECONDS);
    if input.contains(Input::THRUST) {
        let nose = heading.direction();
        let sideways = velocity - nose * velocity.dot(nose);
        velocity += nose * (THRUST * STEP_SECONDS) - sideways * (SIDEWAYS_DRAG * STEP_SECONDS);
    }
    let speed = velocity.length();
    if speed > CRUISE_SPEED && !is_dashing {
        let lost = (speed - CRUISE_SPEED) * (OVERSPEED_DRAG * STEP_SECONDS);
        velocity *= (speed - lost) / speed;
    }
    velocity
}

/// Counts the dash down, and begins a new one if the input asks for it and it is ready.
fn try_dash(ship: &mut Ship, input: Input) -> bool {
    ship.dash_frames = ship.dash_frames.saturating_sub(1);
    ship.dash_cooldown = ship.dash_cooldown.saturating_sub(1);
    if ship.dash_cooldown > 0 || !input.contains(Input::DASH) {
        return false;
    }
    ship.dash_frames = DASH_FRAMES;
    ship.dash_cooldown = DASH_COOLDOWN_FRAMES;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_ready_again_after_its_cooldown_and_not_before() {
        let mut ship = Ship::new(0);
        let starts: Vec<u16> =
            (0..=2 * DASH_COOLDOWN_FRAMES).filter(|_| try_dash(&mut ship, Input::DASH)).collect();
        assert_eq!(starts, [0, DASH_COOLDOWN_FRAMES, 2 * DASH_COOLDOWN_FRAMES]);
    }

    #[test]
    fn a_dash_protects_for_its_length() {
        let mut ship = Ship::new(0);
        assert!(!ship.is_invulnerable());
        assert!(try_dash(&mut ship, Input::DASH));
        let protected = (0..DASH_COOLDOWN_FRAMES)
            .take_while(|_| {
                let was = ship.is_invulnerable();
                try_dash(&mut ship, Input::NONE);
                was
            })
            .count();
        assert_eq!(protected, usize::from(DASH_FRAMES));
    }

    #[test]
    fn headings_stay_within_half_a_turn() {
        let mut heading = Heading(3.1);
        for _ in 0..600 {
            heading = turn(heading, Input::LEFT);
            assert!(heading.0.abs() <= std::f32::consts::PI);
        }
        assert_eq!(turn(heading, Input::LEFT | Input::RIGHT), heading);
    }

    #[test]
    fn full_thrust_settles_a_little_above_cruising_speed() {
        let mut velocity = Vec2::ZERO;
        for _ in 0..1200 {
            velocity = burn(velocity, Heading(0.0), Input::THRUST, false);
        }
        assert!((CRUISE_SPEED..CRUISE_SPEED * 1.4).contains(&velocity.x), "{velocity}");
    }

    #[test]
    fn thrust_brings_the_course_round_to_the_nose() {
        let mut velocity = Vec2::new(0.0, 200.0);
        for _ in 0..60 {
            velocity = burn(velocity, Heading(0.0), Input::THRUST, false);
        }
        assert!(velocity.x > velocity.y * 2.0, "{velocity}");
    }

    #[test]
    fn a_dash_keeps_its_speed_and_coasting_afterwards_loses_it() {
        let fast = Vec2::new(700.0, 0.0);
        let dashing = burn(fast, Heading(0.0), Input::NONE, true);
        let coasting = burn(fast, Heading(0.0), Input::NONE, false);
        assert!(dashing.x > 699.0 && coasting.x < 690.0);
    }
}
