//! Keyboard, gamepads and fingers → [`Input`], for the seats of this machine.
//!
//! Only this file decides which key means what; the simulation knows only controls. It runs in
//! `ReadInputs`, outside the simulation, so it may look at the world to help a thumb steer. Devices
//! are latched: a tap that is over before the next step still counts in it.

use bevy::prelude::*;
use netcode::prelude::*;

use crate::bots::Bots;
use crate::input::Input;
use crate::sim::{Heading, MatchState, Ship};
use crate::steering::{shortest_turn, steer};
use crate::view::View;

/// A gamepad's stick or trigger counts as pushed from here on: outside its dead zone.
const PUSHED: f32 = 0.4;
/// Reach of the touch stick, in layout units.
pub(crate) const STICK_REACH: f32 = 56.0;
/// The touch stick's dead zone, as a part of its reach: within it, the thumb does not steer.
const STICK_REST: f32 = 0.25;
/// Beyond this part of its reach, the stick also thrusts.
const STICK_THRUST: f32 = 0.7;

/// Reads the devices.
pub(crate) struct DevicesPlugin;

impl Plugin for DevicesPlugin {
    fn build(&self, app: &mut App) {
        app.latch_devices()
            .init_resource::<TouchPad>()
            .init_resource::<UsedControls>()
            // For drawing, even while no steps run.
            .add_systems(
                PreUpdate,
                read_fingers.before(NetcodeSystems::Receive).after(bevy::input::InputSystems),
            )
            // For a step, in which the fingers may be elsewhere than they are now.
            .add_systems(ReadInputs, (read_fingers, write_inputs).chain());
    }
}

/// The keys of one player.
struct Keys {
    left: &'static [KeyCode],
    right: &'static [KeyCode],
    thrust: &'static [KeyCode],
    fire: &'static [KeyCode],
    dash: &'static [KeyCode],
}

/// One player at the keyboard: both sets of keys.
const ALONE: Keys = Keys {
    left: &[KeyCode::ArrowLeft, KeyCode::KeyA],
    right: &[KeyCode::ArrowRight, KeyCode::KeyD],
    thrust: &[KeyCode::ArrowUp, KeyCode::KeyW],
    fire: &[KeyCode::Space, KeyCode::Enter],
    dash: &[KeyCode::ShiftLeft, KeyCode::ShiftRight, KeyCode::ArrowDown, KeyCode::KeyS],
};
/// Two players at one keyboard: the keys of the left player.
const LEFT_HALF: Keys = Keys {
    left: &[KeyCode::KeyA],
    right: &[KeyCode::KeyD],
    thrust: &[KeyCode::KeyW],
    fire: &[KeyCode::Space],
    dash: &[KeyCode::KeyS, KeyCode::ShiftLeft],
};
/// The keys of the right player.
const RIGHT_HALF: Keys = Keys {
    left: &[KeyCode::ArrowLeft],
    right: &[KeyCode::ArrowRight],
    thrust: &[KeyCode::ArrowUp],
    fire: &[KeyCode::Enter, KeyCode::NumpadEnter],
    dash: &[KeyCode::ArrowDown, KeyCode::ShiftRight],
};

impl Keys {
    fn read(&self, keys: &ButtonInput<KeyCode>) -> Input {
        let held = |codes: &[KeyCode]| keys.any_pressed(codes.iter().copied());
        Input::NONE
            .with(Input::LEFT, held(self.left))
            .with(Input::RIGHT, held(self.right))
            .with(Input::THRUST, held(self.thrust))
            .with(Input::FIRE, held(self.fire))
            .with(Input::DASH, held(self.dash))
    }
}

fn read_gamepad(pad: &Gamepad) -> Input {
    let turn = pad.left_stick().x + pad.dpad().x;
    let trigger = |button| pad.get(button).unwrap_or(0.0) > PUSHED;
    Input::NONE
        .with(Input::LEFT, turn < -PUSHED)
        .with(Input::RIGHT, turn > PUSHED)
        .with(
            Input::THRUST,
            pad.pressed(GamepadButton::South)
                || pad.pressed(GamepadButton::DPadUp)
                || trigger(GamepadButton::RightTrigger2),
        )
        .with(
            Input::FIRE,
            pad.pressed(GamepadButton::West) || pad.pressed(GamepadButton::RightTrigger),
        )
        .with(
            Input::DASH,
            pad.pressed(GamepadButton::North)
                || pad.pressed(GamepadButton::LeftTrigger)
                || trigger(GamepadButton::LeftTrigger2),
        )
}

/// The controls that people at this machine have used since the game was started, while ships could
/// move. A player that has used the controls needs no hints about them.
#[derive(Resource, Default, Debug)]
pub(crate) struct UsedControls(pub(crate) Input);

impl UsedControls {
    /// Whether a ship was turned, driven and fired.
    pub(crate) fn are_known(&self) -> bool {
        let used = |control| self.0.contains(control);
        (used(Input::LEFT) || used(Input::RIGHT)) && used(Input::THRUST | Input::FIRE)
    }
}

/// The touch controls: a stick where the left thumb lands, two buttons under the right thumb.
#[derive(Resource, Default, Debug)]
pub(crate) struct TouchPad {
    /// Whether a finger has ever touched the screen: until then, the controls are not drawn.
    pub(crate) is_used: bool,
    /// Where the stick's thumb landed and where it is, in logical pixels.
    pub(crate) stick: Option<(Vec2, Vec2)>,
    /// Whether the large button is held.
    pub(crate) fire: bool,
    /// Whether the small button is held.
    pub(crate) dash: bool,
}

impl TouchPad {
    /// Centre and radius of the two buttons, in logical pixels: fire, then dash.
    pub(crate) fn buttons(view: &View) -> [(Vec2, f32); 2] {
        let corner = view.window - Vec2::splat(24.0) * view.ui_scale;
        let place = |x: f32, y: f32| corner - Vec2::new(x, y) * view.ui_scale;
        [(place(58.0, 92.0), 54.0 * view.ui_scale), (place(150.0, 38.0), 36.0 * view.ui_scale)]
    }

    /// The input of the thumbs for a ship with this `heading`: the nose turns towards where the
    /// stick points.
    fn read(&self, view: &View, heading: Option<f32>) -> Input {
        let mut input = Input::NONE.with(Input::FIRE, self.fire).with(Input::DASH, self.dash);
        if let (Some((from, to)), Some(heading)) = (self.stick, heading) {
            let push = (to - from) * Vec2::new(1.0, -1.0) / (STICK_REACH * view.ui_scale);
            if push.length() > STICK_REST {
                input |= steer(shortest_turn(heading, push.to_angle()));
                input = input.with(Input::THRUST, push.length() > STICK_THRUST);
            }
        }
        input
    }
}

fn read_fingers(touches: Res<Touches>, view: Res<View>, mut pad: ResMut<TouchPad>) {
    if touches.iter().next().is_none() {
        if pad.stick.is_some() || pad.fire || pad.dash {
            *pad = TouchPad { is_used: true, ..default() };
        }
        return;
    }
    let [(fire, fire_radius), (dash, dash_radius)] = TouchPad::buttons(&view);
    let mut next = TouchPad { is_used: true, ..default() };
    for touch in touches.iter() {
        let from = touch.start_position();
        let at = touch.position();
        if from.x < view.window.x * 0.5 {
            next.stick = Some((from, at));
        } else if at.distance(dash) < dash_radius * 1.3 {
            next.dash = true;
        } else if at.distance(fire) < fire_radius * 1.6 {
            next.fire = true;
        }
    }
    *pad = next;
}

/// Fills in the inputs of the local seats that people fly.
fn write_inputs(
    mut inputs: ResMut<LocalInputs<Input>>,
    mut used: ResMut<UsedControls>,
    (bots, state): (Res<Bots>, Res<MatchState>),
    keys: Res<ButtonInput<KeyCode>>,
    pads: Query<(Entity, &Gamepad)>,
    touch: Res<TouchPad>,
    view: Res<View>,
    ships: Query<(&Ship, &Heading)>,
) {
    let people: Vec<Seat> = (0..)
        .zip(inputs.seats())
        .filter(|(index, _)| !bots.is_bot(*index))
        .map(|(_, &seat)| seat)
        .collect();
    let mut pads: Vec<_> = pads.iter().collect();
    pads.sort_by_key(|(entity, _)| *entity);
    for (place, &seat) in people.iter().enumerate() {
        let half = match (people.len(), place) {
            (1, _) => &ALONE,
            (_, 0) => &LEFT_HALF,
            (_, 1) => &RIGHT_HALF,
            _ => continue,
        };
        let mut input = half.read(&keys);
        // With fewer gamepads than people, the last people get them, and the first keep the
        // keyboard.
        let first_with_pad = people.len().saturating_sub(pads.len());
        for (number, (_, pad)) in pads.iter().enumerate() {
            if (first_with_pad + number).min(people.len() - 1) == place {
                input |= read_gamepad(pad);
            }
        }
        if place == 0 {
            let heading =
                ships.iter().find(|(ship, _)| ship.seat == seat.0).map(|(_, heading)| heading.0);
            input |= touch.read(&view, heading);
        }
        // Keys that are still held from the menu do nothing in the countdown.
        if state.is_moving() {
            used.0 |= input;
        }
        inputs.set(seat, input);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_players_at_one_keyboard_do_not_share_a_key() {
        let all = |keys: &Keys| [keys.left, keys.right, keys.thrust, keys.fire, keys.dash].concat();
        assert!(all(&LEFT_HALF).iter().all(|key| !all(&RIGHT_HALF).contains(key)));
    }

    #[test]
    fn the_controls_are_known_once_a_ship_was_turned_driven_and_fired() {
        let are_known = |used| UsedControls(used).are_known();
        assert!(!are_known(Input::NONE));
        assert!(!are_known(Input::LEFT | Input::RIGHT | Input::FIRE));
        assert!(are_known(Input::RIGHT | Input::FIRE | Input::THRUST));
    }

    #[test]
    fn a_stick_pushed_far_also_thrusts() {
        let view = View::default();
        let pad = TouchPad {
            stick: Some((Vec2::ZERO, Vec2::new(60.0, 0.0))),
            is_used: true,
            ..default()
        };
        assert_eq!(pad.read(&view, Some(0.0)), Input::THRUST);
        assert_eq!(pad.read(&view, None), Input::NONE);
    }
}
