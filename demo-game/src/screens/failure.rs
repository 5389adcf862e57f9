//! The failure screen: what went wrong, in one sentence, and what to do next.

use bevy::prelude::*;

use super::choice::Choice;
use super::current_match::{CurrentMatch, Failure};
use super::hints::{IN_FAILURE, hint_in};
use super::items::{Item, spawn_item};
use super::widgets::{LARGE, NORMAL, SMALL, label, panel, root, sentence};
use crate::present::palette::{DANGER, TEXT};
use crate::room_address::RoomAddress;
use crate::screen::Screen;

pub(super) fn build(mut commands: Commands, screen: Res<Screen>, current: Res<CurrentMatch>) {
    if *screen != Screen::Failure {
        return;
    }
    let Some(Failure { heading, reason }) = &current.failure else { return };
    commands.spawn(root(Screen::Failure)).with_children(|page| {
        page.spawn(panel(560.0)).with_children(|panel| {
            panel.spawn(label(heading, LARGE, DANGER));
            panel.spawn((
                label(sentence(reason), NORMAL, TEXT),
                Node { margin: UiRect::vertical(px(8)), ..default() },
            ));
            let is_told = |address: &&RoomAddress| address.has_name() && current.host.is_none();
            if let Some(address) = current.address().filter(is_told) {
                panel.spawn(label(
                    format!("Room {} on {}", address.room, address.server),
                    SMALL,
                    TEXT,
                ));
            }
            let mut order = 0;
            if current.kind.is_some() {
                spawn_item(panel, Item { choice: Choice::TryAgain, order }, "Try again");
                order += 1;
            }
            spawn_item(panel, Item { choice: Choice::Leave, order }, "Menu");
            panel.spawn(hint_in(IN_FAILURE));
        });
    });
}
