//! What the choices of the player lead to.

use bevy::clipboard::Clipboard;
use bevy::prelude::*;
use netcode::prelude::*;
use netcode::{AskRoom, Rename, Room, RoomRequest};

use super::choice::{Choice, Chosen};
use super::current_match::MatchKind;
use super::items::{Field, Item};
use super::join::ShownRooms;
use super::navigator::Navigator;
use super::settings::Settings;
use crate::platform;
use crate::room_address::{RoomAddress, RoomKind};
use crate::screen::Screen;

/// What the player chose.
pub(super) fn apply_choices(
    mut commands: Commands,
    mut chosen: MessageReader<Chosen>,
    mut settings: ResMut<Settings>,
    (lobby, session): (Res<Lobby>, Res<SessionState>),
    (room, shown): (Res<Room>, Res<ShownRooms>),
    fields: Query<(&Item, &Field)>,
    mut navigator: Navigator,
    (mut clipboard, mut exit): (ResMut<Clipboard>, MessageWriter<AppExit>),
) {
    let typed = |choice: Choice| {
        fields
            .iter()
            .find(|(item, _)| item.choice == choice)
            .map(|(_, field)| field.value.trim().to_owned())
    };
    for Chosen(choice) in chosen.read() {
        settings.take_name(typed(Choice::Rename));
        if *navigator.screen == Screen::Lobby && lobby.name != settings.name {
            commands.write_message(Rename(settings.name.clone()));
        }
        match choice {
            Choice::PlayOnline { is_public } => {
                let address = RoomAddress::create(&settings.server, *is_public);
                navigator.join(&mut commands, &settings, address);
            }
            Choice::QuickMatch(players) => {
                let address = RoomAddress::quick(&settings.server, *players);
                navigator.join(&mut commands, &settings, address);
            }
            Choice::Host => navigator.host(&mut commands, &settings),
            Choice::OpenJoin => *navigator.screen = Screen::Join,
            Choice::JoinTyped => {
                let text = typed(Choice::JoinTyped).unwrap_or_default();
                let address = RoomAddress::parse(&text, &settings.server);
                navigator.try_to_join(&mut commands, &settings, address.map(RoomAddress::existing));
            }
            Choice::JoinListed(place) => {
                let address = shown
                    .enter(*place)
                    .map(|(room, place)| RoomAddress::listed(&settings.server, room, place));
                navigator.try_to_join(&mut commands, &settings, address);
            }
            Choice::SetKicking(is_kicking) => navigator.current.is_kicking = *is_kicking,
            Choice::ToggleLock | Choice::TogglePublic | Choice::Kick(_) => {
                navigator.current.is_kicking = false;
                ask_as_owner(&mut commands, &room, *choice);
            }
            Choice::PlayHere => navigator.start_local(&mut commands, &settings, MatchKind::Here),
            Choice::AgainstBots(bots) => {
                navigator.start_local(&mut commands, &settings, MatchKind::Bots(*bots));
            }
            Choice::SetBots(bots) => settings.bots = *bots,
            Choice::SetPublic(is_public) => settings.is_public = *is_public,
            Choice::SetStrangers(players) => settings.strangers = *players,
            Choice::Quit => {
                exit.write(AppExit::Success);
            }
            Choice::ToggleSitOut => navigator.sit_out(&mut commands, !lobby.spectates),
            Choice::ToggleReady => navigator.toggle_ready(&mut commands, &lobby),
            Choice::CopyLink => {
                if let Some(invitation) = navigator.current.invitation(&settings) {
                    navigator.current.is_copied = platform::copy_text(&mut clipboard, &invitation);
                }
            }
            Choice::Rematch => {
                // A room for strangers takes nobody in place of who has left it.
                let is_stranded = lobby.is_deserted
                    && navigator
                        .current
                        .address()
                        .is_some_and(|address| address.kind == RoomKind::Pair);
                let is_over = matches!(*session, SessionState::Ended(_)) || is_stranded;
                rematch(&mut commands, &settings, is_over, &mut navigator);
            }
            Choice::TryAgain => try_again(&mut commands, &settings, &mut navigator),
            Choice::Leave if *navigator.screen == Screen::Menu => {}
            Choice::Leave => navigator.leave(&mut commands),
            // The name was taken above, whatever was chosen.
            Choice::Rename | Choice::AskFor(_) => {}
        }
    }
}

/// What the owner of a room asks for.
fn ask_as_owner(commands: &mut Commands, room: &Room, choice: Choice) {
    let Some(state) = &room.state else { return };
    let request = match choice {
        Choice::ToggleLock => RoomRequest::SetLocked(!state.is_locked),
        Choice::TogglePublic => RoomRequest::SetPublic(!state.is_public),
        Choice::Kick(peer) => {
            // The server knows its connection, not the player: only a lock keeps out who comes anew.
            commands.write_message(AskRoom(RoomRequest::SetLocked(true)));
            RoomRequest::Kick(peer)
        }
        _ => return,
    };
    commands.write_message(AskRoom(request));
}

/// The same again. `is_over` says that the session with the others is, so that others are to be found.
fn rematch(commands: &mut Commands, settings: &Settings, is_over: bool, navigator: &mut Navigator) {
    match navigator.current.kind.clone() {
        Some(MatchKind::Online(address)) if is_over => navigator.join(commands, settings, address),
        Some(MatchKind::Online(_)) => {
            commands.write_message(SetReady(true));
            navigator.screen.set_if_neq(Screen::Lobby);
        }
        Some(MatchKind::Host) => navigator.host(commands, settings),
        Some(kind) => navigator.start_local(commands, settings, kind),
        None => navigator.leave(commands),
    }
}

fn try_again(commands: &mut Commands, settings: &Settings, navigator: &mut Navigator) {
    match navigator.current.kind.clone() {
        Some(MatchKind::Online(address)) => navigator.join(commands, settings, address),
        Some(MatchKind::Host) => navigator.host(commands, settings),
        Some(kind) => navigator.start_local(commands, settings, kind),
        None => navigator.leave(commands),
    }
}
