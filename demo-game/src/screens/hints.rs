//! Hints in two wordings: one for keys, which have names, and one for fingers.

use bevy::prelude::*;

use super::items::{Item, ItemLabel};
use super::widgets::{hint, set_text};
use crate::platform;

/// The device that the player used last; at first, the one that the platform suggests.
#[derive(Resource, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Device {
    /// Keys, and mouse or gamepad.
    Keyboard,
    /// Fingers on a screen.
    Touch,
}

impl FromWorld for Device {
    fn from_world(_world: &mut World) -> Self {
        if platform::is_touch_first() { Self::Touch } else { Self::Keyboard }
    }
}

/// One hint in two wordings. On a text it sets that text, on an item its label.
#[derive(Component, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wording {
    keyboard: &'static str,
    touch: &'static str,
}

/// Below the menu.
pub(super) const IN_MENU: Wording =
    Wording::new("Arrows and Enter, mouse or gamepad   F3 network   M mute", "Tap to choose");
/// Above the field for a code.
pub(super) const IN_FIELD: Wording = Wording::new(
    "Type a code or an address, or paste a link.",
    "Tap the line to enter a code, an address or a link.",
);
/// Below the lobby. For fingers there is the button.
pub(super) const IN_LOBBY: Wording = Wording::new("Esc leaves the room", "");
/// Below what went wrong. For fingers there are the buttons.
pub(super) const IN_FAILURE: Wording = Wording::new("Enter chooses, Esc goes to the menu", "");
/// The button that leaves a match.
pub(super) const LEAVE_MATCH: Wording = Wording::new("Esc", "Leave");
/// The button that pauses a match.
pub(super) const PAUSE_MATCH: Wording = Wording::new("P", "Pause");
/// The button that goes on with a match that was paused.
pub(super) const GO_ON: Wording = Wording::new("P goes on", "Go on");
/// The same with a match that waits for a player.
pub(super) const PLAY_ON: Wording = Wording::new("P plays on", "Play on");
/// How to fly.
pub(super) const FLYING: Wording = Wording::new(
    "A D or arrows turn, W or up thrusts, Space fires, Shift dashes",
    "Left thumb: steer, push far to thrust.\nRight thumb: fire and dash.",
);
/// How two players on one machine fly.
pub(super) const FLYING_TWO: Wording = Wording::new(
    "Left player: W A D fly, Space fires, S dashes\n\
     Right player: arrows fly, Enter fires, Down dashes",
    "For two players who share a keyboard.",
);
/// Two players on one machine.
pub(super) const TWO_HERE: Wording = Wording::new(
    "One flies with W A D and Space, the other with the arrows and Enter.",
    "For two players who share a keyboard.",
);
/// How many bots.
pub(super) const HOW_MANY_BOTS: Wording =
    Wording::new("Left and right, or < and >, choose how many.", "< and > choose how many.");
/// The player's own name.
pub(super) const OWN_NAME: Wording =
    Wording::new("Type the name that others see.", "Tap to change the name that others see.");
/// The match has desynced.
pub(super) const DESYNC: Wording = Wording::new(
    "The machines disagree about this match. Press F3 for details.",
    "The machines disagree about this match.",
);

impl Wording {
    pub(super) const fn new(keyboard: &'static str, touch: &'static str) -> Self {
        Self { keyboard, touch }
    }

    /// The same words for both devices.
    pub(super) const fn same(words: &'static str) -> Self {
        Self::new(words, words)
    }

    /// The words for `device`.
    pub(super) const fn on(self, device: Device) -> &'static str {
        match device {
            Device::Keyboard => self.keyboard,
            Device::Touch => self.touch,
        }
    }
}

/// A quiet line that explains, in both wordings.
pub(super) fn hint_in(words: Wording) -> impl Bundle {
    (words, hint(words.keyboard))
}

/// Notes which device the player uses. The mouse does not count: browsers also move it for fingers.
pub(super) fn note_device(
    keys: Res<ButtonInput<KeyCode>>,
    touches: Res<Touches>,
    mut device: ResMut<Device>,
) {
    if touches.iter_just_pressed().next().is_some() {
        device.set_if_neq(Device::Touch);
    } else if keys.get_just_pressed().next().is_some() {
        device.set_if_neq(Device::Keyboard);
    }
}

/// Sets all hints to their wording for the device in use.
pub(super) fn word_hints(
    device: Res<Device>,
    mut texts: Query<(&Wording, &mut Text)>,
    items: Query<(&Wording, &Children), With<Item>>,
    mut labels: Query<&mut Text, (With<ItemLabel>, Without<Wording>)>,
) {
    for (words, mut text) in &mut texts {
        set_text(&mut text, words.on(*device));
    }
    for (words, children) in &items {
        for child in children {
            if let Ok(mut text) = labels.get_mut(*child) {
                set_text(&mut text, words.on(*device));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bevy::input::touch::{TouchPhase, touch_screen_input_system};

    use super::super::choice::Choice;
    use super::*;

    /// Words for things that a phone does not have.
    const KEYS: [&str; 11] = [
        "Esc",
        "Enter",
        "F3",
        "Space",
        "Shift",
        "arrow",
        "Arrow",
        "Left and right",
        "Type",
        "mouse",
        "M ",
    ];

    #[test]
    fn hints_for_fingers_mention_no_key() {
        let all = [
            IN_MENU,
            IN_FIELD,
            IN_LOBBY,
            IN_FAILURE,
            LEAVE_MATCH,
            FLYING,
            FLYING_TWO,
            TWO_HERE,
            HOW_MANY_BOTS,
            OWN_NAME,
            DESYNC,
        ];
        for words in all {
            let touch = words.on(Device::Touch);
            assert!(KEYS.iter().all(|key| !touch.contains(key)), "{touch}");
            assert_ne!(touch, words.on(Device::Keyboard), "both wordings are the same");
        }
    }

    #[test]
    fn hints_are_worded_for_the_device_that_was_used_last() {
        let mut app = App::new();
        app.init_resource::<Touches>()
            .init_resource::<ButtonInput<KeyCode>>()
            .insert_resource(Device::Keyboard)
            .add_message::<TouchInput>()
            .add_systems(Update, (touch_screen_input_system, note_device, word_hints).chain());
        let world = app.world_mut();
        let window = world.spawn_empty().id();
        let line = world.spawn(hint_in(IN_LOBBY)).id();
        let text = world.spawn((ItemLabel, Text::default())).id();
        let choice = Choice::Leave;
        world.spawn((LEAVE_MATCH, Item { choice, order: 0 })).add_child(text);
        let shown = |app: &mut App| {
            app.update();
            [line, text].map(|entity| app.world().get::<Text>(entity).unwrap().0.clone())
        };
        let (by_key, by_finger) = (["Esc leaves the room", "Esc"], ["", "Leave"]);
        assert_eq!(shown(&mut app), by_key);
        let (phase, position, force) = (TouchPhase::Started, Vec2::ZERO, None);
        app.world_mut().write_message(TouchInput { phase, position, window, force, id: 1 });
        assert_eq!(shown(&mut app), by_finger);
        assert_eq!(shown(&mut app), by_finger, "until something else is used");
        app.world_mut().resource_mut::<ButtonInput<KeyCode>>().press(KeyCode::KeyW);
        assert_eq!(shown(&mut app), by_key);
    }
}
