//! What went wrong, in one sentence, and the way on.

use bevy::prelude::*;

use super::flow::Game;
use super::focus::Item;
use super::hints::{IN_TROUBLE, hint_in};
use super::lobby::sentence;
use super::widgets::{LARGE, NORMAL, SMALL, label, panel, root, spawn_item};
use super::{Choice, Journey, RoomAddress, Screen};
use crate::present::palette::{DANGER, TEXT};

pub(super) fn build(mut commands: Commands, screen: Res<Screen>, journey: Res<Journey>) {
    if *screen != Screen::Trouble {
        return;
    }
    let reason = journey.trouble.as_deref().unwrap_or("the session ended");
    let has_not_begun = journey.game == Some(Game::Host);
    let heading = if has_not_begun { "No room was opened" } else { "The session is over" };
    commands.spawn(root(Screen::Trouble)).with_children(|page| {
        page.spawn(panel(560.0)).with_children(|panel| {
            panel.spawn(label(heading, LARGE, DANGER));
            panel.spawn((
                label(sentence(reason), NORMAL, TEXT),
                Node { margin: UiRect::vertical(px(8)), ..default() },
            ));
            let is_told = |address: &&RoomAddress| address.has_name() && journey.host.is_none();
            if let Some(address) = journey.address().filter(is_told) {
                panel.spawn(label(
                    format!("Room {} on {}", address.room, address.server),
                    SMALL,
                    TEXT,
                ));
            }
            let mut order = 0;
            if journey.game.is_some() {
                spawn_item(panel, Item { choice: Choice::TryAgain, order }, "Try again");
                order += 1;
            }
            spawn_item(panel, Item { choice: Choice::Leave, order }, "Menu");
            panel.spawn(hint_in(IN_TROUBLE));
        });
    });
}
