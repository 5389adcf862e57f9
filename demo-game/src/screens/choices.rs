//! Carries out what the player chose.

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
use crate::room_address::RoomAddress;
use crate::screen::Screen;

/// Carries out the choices of this rendered frame.
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
            Choice::OpenJoin => navigator.find_room(&mut commands, &settings),
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
            Choice::ToggleSitOut => navigator.sit_out(&mut commands, !lobby.is_spectator),
            Choice::ToggleReady => navigator.toggle_ready(&mut commands, &lobby),
            Choice::CopyLink => {
                if let Some(invitation) = navigator.current.invitation(&settings) {
                    navigator.current.is_copied = platform::copy_text(&mut clipboard, &invitation);
                }
            }
            Choice::Rematch => {
                // In a room for strangers, nobody takes the place of a player that has left.
                let is_stranded = lobby.is_deserted && navigator.current.is_pair();
                let is_over = matches!(*session, SessionState::Ended(_)) || is_stranded;
                rematch(&mut commands, &settings, is_over, &mut navigator);
            }
            Choice::TryAgain => try_again(&mut commands, &settings, &mut navigator),
            Choice::SetPaused(is_paused) => navigator.pause(&mut commands, *is_paused),
            Choice::LeaveMatch => navigator.leave_match(&mut commands),
            Choice::Leave if *navigator.screen == Screen::Menu => {}
            Choice::Leave => navigator.leave(&mut commands),
            // Every choice takes over the typed name, above.
            Choice::Rename | Choice::AskFor(_) => {}
        }
    }
}

/// Sends the server what the owner of the room chose.
fn ask_as_owner(commands: &mut Commands, room: &Room, choice: Choice) {
    let Some(state) = &room.state else { return };
    let request = match choice {
        Choice::ToggleLock => RoomRequest::SetLocked(!state.is_locked),
        Choice::TogglePublic => RoomRequest::SetPublic(!state.is_public),
        Choice::Kick(peer) => {
            // The server knows a connection, not a player: only a lock keeps a kicked player out.
            commands.write_message(AskRoom(RoomRequest::SetLocked(true)));
            RoomRequest::Kick(peer)
        }
        _ => return,
    };
    commands.write_message(AskRoom(request));
}

/// Plays the same kind of match again. If the session with the other players `is_over`, joins the
/// room again.
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

/// Tries again what failed.
fn try_again(commands: &mut Commands, settings: &Settings, navigator: &mut Navigator) {
    match navigator.current.kind.clone() {
        Some(MatchKind::Online(address)) => navigator.join(commands, settings, address),
        Some(MatchKind::Host) => navigator.host(commands, settings),
        Some(kind) => navigator.start_local(commands, settings, kind),
        None => navigator.leave(commands),
    }
}
