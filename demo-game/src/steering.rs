//! Turning a ship's nose: the shortest turn, and the controls for it. Used for sticks, bots and
//! drawing.

use std::f32::consts::{PI, TAU};

use crate::input::Input;
use crate::sim::tuning::{STEP_SECONDS, TURN_SPEED};

/// The turn from one direction to another, in radians, counter-clockwise, `-PI..PI`.
pub(crate) fn shortest_turn(from: f32, to: f32) -> f32 {
    (to - from + PI).rem_euclid(TAU) - PI
}

/// The controls for a turn by `turn` radians: none if turning for a frame would only take the nose
/// further off.
pub(crate) fn steer(turn: f32) -> Input {
    let slack = 0.5 * TURN_SPEED * STEP_SECONDS;
    Input::NONE.with(Input::LEFT, turn > slack).with(Input::RIGHT, turn < -slack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nose_takes_the_short_way() {
        assert_eq!(steer(shortest_turn(0.0, 1.0)), Input::LEFT);
        assert_eq!(steer(shortest_turn(3.0, -3.0)), Input::LEFT);
        assert_eq!(steer(shortest_turn(-3.0, 3.0)), Input::RIGHT);
        assert_eq!(steer(shortest_turn(0.5, 0.5)), Input::NONE);
        assert_eq!(steer(shortest_turn(0.5, 0.5 + TAU)), Input::NONE);
    }
}
