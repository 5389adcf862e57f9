//! Text for the field that has the focus: typed, pasted, or asked for by the page.

use bevy::clipboard::Clipboard;
use bevy::ecs::system::SystemParam;
use bevy::input::keyboard::{Key, KeyboardInput};
use bevy::prelude::*;
use netcode::OverlayState;

use super::choice::{Choice, Chosen};
use super::focus::Focus;
use super::items::Field;
use crate::platform;

/// Whether letters go into a field now; then they must not do anything else.
#[derive(SystemParam)]
pub(super) struct Typing<'w, 's> {
    focus: Res<'w, Focus>,
    fields: Query<'w, 's, (), With<Field>>,
}

impl Typing<'_, '_> {
    pub(super) fn is_typing(&self) -> bool {
        self.focus.entity.is_some_and(|entity| self.fields.contains(entity))
    }
}

/// Puts typed and pasted text into the field that has the focus.
pub(super) fn type_text(
    mut typed: MessageReader<KeyboardInput>,
    keys: Res<ButtonInput<KeyCode>>,
    focus: Res<Focus>,
    mut fields: Query<&mut Field>,
    mut clipboard: ResMut<Clipboard>,
) {
    let Some(mut field) = focus.entity.and_then(|entity| fields.get_mut(entity).ok()) else {
        typed.clear();
        // Text that is pasted without a field is dropped; otherwise it would appear in the next
        // field.
        drop(platform::take_pasted_text(&mut clipboard, false));
        return;
    };
    // Windows reports AltGr, with which some keyboards type # and ~, as Ctrl and the right Alt.
    let control = !keys.pressed(KeyCode::AltRight)
        && keys.any_pressed([
            KeyCode::ControlLeft,
            KeyCode::ControlRight,
            KeyCode::SuperLeft,
            KeyCode::SuperRight,
        ]);
    let pastes = control && keys.just_pressed(KeyCode::KeyV);
    if let Some(pasted) = platform::take_pasted_text(&mut clipboard, pastes) {
        field.push_text(&pasted);
    }
    for key in typed.read().filter(|key| key.state.is_pressed()) {
        match &key.logical_key {
            Key::Backspace if control => field.value.clear(),
            Key::Backspace => {
                field.value.pop();
            }
            Key::Space => field.push_text(" "),
            Key::Character(text) if !control => field.push_text(text),
            _ => {}
        }
    }
}

/// Lets the page ask for the text of a field that a finger touched.
pub(super) fn ask_for_text(mut chosen: MessageReader<Chosen>, mut fields: Query<&mut Field>) {
    for Chosen(choice) in chosen.read() {
        if let Choice::AskFor(entity) = choice
            && let Ok(mut field) = fields.get_mut(*entity)
            && let Some(answer) = platform::ask_for_text(field.caption, &field.value)
        {
            field.value.clear();
            field.push_text(&answer);
        }
    }
}

/// Tells the network overlay, which is controlled by digits, when digits are text.
pub(super) fn share_typing_with_overlay(typing: Typing, mut overlay: ResMut<OverlayState>) {
    let is_typing = typing.is_typing();
    if overlay.is_typing != is_typing {
        overlay.is_typing = is_typing;
    }
}
