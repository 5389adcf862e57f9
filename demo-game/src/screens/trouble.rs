//! What went wrong, in one sentence, and the way on.

use std::fmt::Display;

use bevy::prelude::*;
use netcode::prelude::SessionState;

use super::flow::Game;
use super::focus::Item;
use super::hints::{IN_TROUBLE, hint_in};
use super::lobby::sentence;
use super::widgets::{LARGE, NORMAL, SMALL, label, panel, root, spawn_item};
use super::{Choice, Journey, RoomAddress, Screen};
use crate::present::palette::{DANGER, TEXT};

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    heading: &'static str,
    reason: String,
}

impl Trouble {
    /// `reason` is what put an end to `state` on the way into that game, or in it.
    pub(super) fn new(game: Option<&Game>, state: &SessionState, reason: &impl Display) -> Self {
        Self { heading: heading(game, state), reason: reason.to_string() }
    }
}

/// What is over, or did not come about.
fn heading(game: Option<&Game>, state: &SessionState) -> &'static str {
    match (state, game) {
        (SessionState::Running, _) => "The match is over",
        (SessionState::Starting, _) | (_, Some(Game::Here | Game::Bots(_))) => {
            "The match did not start"
        }
        (SessionState::Gathering, _) => "You are out of the room",
        (_, Some(Game::Host)) => "No room was opened",
        (_, Some(Game::Online(address))) if address.is_new() => "No room was opened",
        (_, Some(Game::Online(address))) if address.is_quick() => "No match was found",
        (SessionState::Offline | SessionState::Connecting | SessionState::Ended(_), _) => {
            "Could not join"
        }
    }
}

pub(super) fn build(mut commands: Commands, screen: Res<Screen>, journey: Res<Journey>) {
    if *screen != Screen::Trouble {
        return;
    }
    let Some(Trouble { heading, reason }) = &journey.trouble else { return };
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

#[cfg(test)]
mod tests {
    use SessionState::{Connecting, Gathering, Offline, Running, Starting};

    use super::*;

    const SERVER: &str = "ws://127.0.0.1:3536";

    #[test]
    fn the_heading_names_what_ended_or_never_began() {
        let code = Game::Online(RoomAddress::named(SERVER, "DAM3R").existing());
        let on = |state: &SessionState| heading(Some(&code), state);
        assert_eq!(on(&Connecting), "Could not join", "a refused code");
        assert_eq!(on(&Offline), "Could not join", "an address that cannot be");
        assert_eq!(on(&Gathering), "You are out of the room");
        assert_eq!(on(&Starting), "The match did not start");
        assert_eq!(on(&Running), "The match is over");
        assert_eq!(heading(None, &Offline), "Could not join", "a link that is no link");
    }

    #[test]
    fn who_asked_for_no_room_by_its_name_is_told_of_what_was_asked_for() {
        let new = Game::Online(RoomAddress::create(SERVER, false));
        let quick = Game::Online(RoomAddress::quick(SERVER, 2));
        assert_eq!(heading(Some(&new), &Connecting), "No room was opened");
        assert_eq!(heading(Some(&Game::Host), &Offline), "No room was opened");
        assert_eq!(heading(Some(&quick), &Connecting), "No match was found");
        assert_eq!(heading(Some(&quick), &Running), "The match is over");
        assert_eq!(heading(Some(&Game::Bots(2)), &Offline), "The match did not start");
    }
}
