//! The items that can be chosen on the screens, and the fields among them into which text is typed.

use bevy::prelude::*;

use super::choice::Choice;
use super::widgets::{NORMAL, label, plain};
use crate::present::palette::{ACCENT, TEXT};

/// Length of the longest name, in characters: other players see it in full wherever no remark
/// follows it.
pub(crate) const MAX_NAME: usize = 16;

/// Height of an item that can be chosen: large enough for a thumb.
pub(super) const ITEM_HEIGHT: f32 = 42.0;
/// Width of a button inside an item: wide enough that a thumb does not hit its neighbour.
const ADJUSTER_WIDTH: f32 = 44.0;

/// A thing that can be chosen.
#[derive(Component, Clone, Debug)]
pub(super) struct Item {
    /// The choice that it stands for.
    pub(super) choice: Choice,
    /// Its place in the order of focus, from 0.
    pub(super) order: u8,
}

/// Text that is typed while its item has the focus. Enter and Esc do not go into it.
#[derive(Component, Clone, Debug)]
pub(super) struct Field {
    /// The words before the text.
    pub(super) caption: &'static str,
    /// What was typed.
    pub(super) value: String,
    /// Greatest length, in characters.
    pub(super) most: usize,
}

impl Field {
    /// The field for the player's name.
    pub(super) fn name(value: &str) -> Self {
        Self { caption: "Name: ", value: value.to_owned(), most: MAX_NAME }
    }

    /// Adds as much of `text` as fits.
    pub(super) fn push_text(&mut self, text: &str) {
        let room = self.most.saturating_sub(self.value.len());
        self.value.extend(plain(text).chars().filter(|character| *character != '\n').take(room));
    }
}

/// Spawns a thing to choose by key, gamepad, mouse or finger.
pub(super) fn spawn_item(
    parent: &mut ChildSpawnerCommands,
    item: Item,
    text: impl AsRef<str>,
) -> Entity {
    parent
        .spawn((
            item,
            Button,
            Node {
                min_height: px(ITEM_HEIGHT),
                padding: UiRect::axes(px(16), px(6)),
                border: UiRect::all(px(2)),
                border_radius: BorderRadius::all(px(8)),
                align_items: AlignItems::Center,
                column_gap: px(10),
                ..default()
            },
            BackgroundColor(Color::NONE),
            BorderColor::all(Color::NONE),
        ))
        .with_child((ItemLabel, label(text, NORMAL, TEXT)))
        .id()
}

/// The text of an item.
#[derive(Component)]
pub(super) struct ItemLabel;

/// A small button inside an item that can be adjusted: −1 for less, 1 for more.
#[derive(Component)]
pub(super) struct Adjuster(pub(super) i32);

/// The text between the two small buttons.
#[derive(Component)]
pub(super) struct AdjustedText;

/// Spawns two small buttons with the present value between them: they do for mouse and fingers what
/// left and right do on a keyboard.
pub(super) fn spawn_adjuster(item: &mut ChildSpawnerCommands, text: &str) {
    let button = |turn: i32, sign: &'static str| {
        let place = Node {
            width: px(ADJUSTER_WIDTH),
            align_self: AlignSelf::Stretch,
            align_items: AlignItems::Center,
            justify_content: JustifyContent::Center,
            ..default()
        };
        (Adjuster(turn), Button, place, children![label(sign, NORMAL, ACCENT)])
    };
    item.spawn(button(-1, "<"));
    item.spawn((AdjustedText, label(text, NORMAL, TEXT)));
    item.spawn(button(1, ">"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_takes_only_the_text_that_fits() {
        let mut field = Field { caption: "", value: "ab".into(), most: 4 };
        field.push_text("cde\n");
        assert_eq!(field.value, "abcd");
    }
}
