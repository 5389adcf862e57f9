//! Joining a room by the code or the link that somebody gave.

use bevy::prelude::*;

use super::flow::Journey;
use super::focus::{Field, Item};
use super::widgets::{LARGE, SMALL, hint, label, panel, root, spawn_item};
use super::{Choice, Screen};
use crate::present::palette::{DANGER, TEXT};

/// Longest text that is taken: a link with a long host name.
const MAX_LINK: usize = 90;

/// What is wrong with what was typed.
#[derive(Component)]
pub(super) struct RoomErrorText;

pub(super) fn build(mut commands: Commands, screen: Res<Screen>) {
    if *screen != Screen::Join {
        return;
    }
    commands.spawn(root(Screen::Join)).with_children(|page| {
        page.spawn(panel(560.0)).with_children(|panel| {
            panel.spawn(label("Join a room", LARGE, TEXT));
            panel.spawn(hint("Type the code or the address, or paste the link, and press Enter."));
            let field = spawn_item(panel, Item { choice: Choice::JoinTyped, order: 0 }, "");
            panel.commands().entity(field).insert(Field {
                caption: "",
                value: String::new(),
                most: MAX_LINK,
            });
            panel.spawn((RoomErrorText, label(" ", SMALL, DANGER)));
            spawn_item(panel, Item { choice: Choice::JoinTyped, order: 1 }, "Join");
            spawn_item(panel, Item { choice: Choice::Leave, order: 2 }, "Back");
        });
    });
}

/// Shows why the typed text is no room.
pub(super) fn refresh(journey: Res<Journey>, mut texts: Query<&mut Text, With<RoomErrorText>>) {
    let sentence = journey.room_error.map_or_else(|| " ".to_owned(), |error| error.to_string());
    for mut text in &mut texts {
        super::widgets::set_text(&mut text, &sentence);
    }
}
