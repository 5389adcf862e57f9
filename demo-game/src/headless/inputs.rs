//! The inputs of the headless peer.

use bevy::prelude::{App, Res, ResMut};
use netcode::prelude::{LocalInputs, ReadInputs, SimFrame};

use crate::bots::Bots;
use crate::input::Input;

/// The pilot of the headless ship.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pilot {
    /// A bot, which fights.
    Bot,
    /// Nobody: the ship drifts.
    Idle,
    /// A fixed pattern that does not depend on the world: for tests that must know what was
    /// pressed.
    Script,
}

/// Adds to `app` the systems that fill in the inputs.
pub(super) fn add_pilot(app: &mut App, pilot: Pilot) {
    match pilot {
        Pilot::Bot => {
            app.insert_resource(Bots::after(0, 1));
        }
        Pilot::Idle => {}
        Pilot::Script => {
            app.add_systems(ReadInputs, press_script);
        }
    }
}

fn press_script(frame: Res<SimFrame>, mut inputs: ResMut<LocalInputs<Input>>) {
    for seat in inputs.seats().to_vec() {
        inputs.set(seat, scripted(frame.0));
    }
}

/// A pattern of three seconds that repeats: thrust, turn left, thrust and fire, turn right, dash.
fn scripted(frame: u32) -> Input {
    match frame % 180 {
        0..50 => Input::THRUST,
        50..70 => Input::LEFT,
        70..130 => Input::THRUST | Input::FIRE,
        130..170 => Input::RIGHT,
        _ => Input::DASH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_presses_every_control() {
        let pressed = (0..180).map(scripted).fold(Input::NONE, |all, input| all | input);
        assert_eq!(pressed, Input::ALL);
    }
}
