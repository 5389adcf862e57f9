//! What leads from one screen to the next: choices of the player, and changes of the session.

use bevy::clipboard::Clipboard;
use bevy::prelude::*;
use netcode::prelude::*;
use netcode::{AskRoom, IceServer, Place, Rename, Room, RoomRequest, SetSpectating};

use super::focus::{Field, Item};
use super::join::ShownRooms;
use super::owner::DeniedNow;
use super::room::{RoomAddress, RoomError, RoomKind};
use super::trouble::Trouble;
use super::{Choice, Chosen, Screen};
use crate::bots::Bots;
use crate::platform;
use crate::sim::{MatchState, Phase};

/// Names of the bots, by seat.
const BOT_NAMES: [&str; 3] = ["Kepler", "Halley", "Ceres"];

/// What the player brings along: it outlives rooms and matches.
#[derive(Resource, Clone, Default, Debug)]
pub(crate) struct Settings {
    /// The name that others see.
    pub(crate) name: String,
    /// The signaling server of rooms that are given by code.
    pub(crate) server: String,
    /// STUN servers to use instead of what the signaling server hands out.
    pub(crate) stun_servers: Option<Vec<String>>,
    /// Whether to go through TURN servers only.
    pub(crate) is_relay_only: bool,
    /// The room to enter at the start.
    pub(crate) room: Option<String>,
    /// Whether to open a room on this machine at the start.
    pub(crate) is_host: bool,
    /// Be ready by itself as soon as this many players are in the room, if set.
    pub(crate) ready_at: Option<u8>,
    /// Bots to play against.
    pub(crate) bots: u8,
    /// Whether new rooms are listed from the beginning.
    pub(crate) is_public: bool,
    /// Players of a quick match.
    pub(crate) strangers: u8,
}

/// What is being played, and how it came out.
#[derive(Resource, Default, Debug)]
pub(crate) struct Journey {
    /// What is, or was last, being played.
    pub(crate) game: Option<Game>,
    /// The server of the room, if it runs here; it stops when this goes.
    pub(super) host: Option<platform::Host>,
    /// What went wrong, for the trouble screen.
    pub(super) trouble: Option<Trouble>,
    /// The last match, for the results.
    pub(crate) outcome: Option<Outcome>,
    /// Be ready by itself as soon as this many players are in the room; no longer set once that is done.
    pub(super) ready_at: Option<u8>,
    /// Whether the room's link is on the clipboard, once somebody has asked for that.
    pub(super) is_copied: Option<bool>,
    /// What the server denied last, while that is shown.
    pub(super) denied: Option<DeniedNow>,
    /// Whether the owner of the room chooses whom to send off.
    pub(super) is_kicking: bool,
    /// What is wrong with the typed room.
    pub(super) room_error: Option<RoomError>,
}

/// A kind of match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Game {
    /// In this room.
    Online(RoomAddress),
    /// In a room on this machine, once that is open.
    Host,
    /// Two on this keyboard.
    Here,
    /// Against this many bots.
    Bots(u8),
}

impl Journey {
    /// The room, if it is an online one.
    pub(crate) fn address(&self) -> Option<&RoomAddress> {
        match &self.game {
            Some(Game::Online(address)) => Some(address),
            _ => None,
        }
    }

    /// What a friend is told to come to the room.
    pub(crate) fn invitation(&self, settings: &Settings) -> Option<String> {
        let address = self.address()?;
        match &self.host {
            Some(host) => host.link().or_else(|| host.addresses().into_iter().next()),
            None => Some(platform::invitation(address, &settings.server)),
        }
    }

    /// Whether a bot flies this seat.
    pub(crate) fn is_bot(&self, seat: u8) -> bool {
        matches!(self.game, Some(Game::Bots(_))) && seat > 0
    }
}

/// How a match came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The seat that won; `None` for a draw.
    pub(crate) winner: Option<u8>,
    /// Name and rounds won, by seat.
    pub(crate) seats: Vec<(String, u8)>,
}

impl Outcome {
    fn of(state: &MatchState, roster: &Roster) -> Self {
        let winner = match state.phase {
            Phase::MatchOver { winner } => winner,
            _ => None,
        };
        let seats = roster
            .seats()
            .iter()
            .map(|seat| {
                (seat.name.clone(), state.scores.get(seat.seat.index()).copied().unwrap_or(0))
            })
            .collect();
        Self { winner, seats }
    }
}

/// A game that was started with a room goes straight to its lobby.
pub(super) fn enter_by_link(mut commands: Commands, settings: Res<Settings>, mut go: Go) {
    if settings.is_host {
        go.host(&mut commands, &settings);
        return;
    }
    let Some(room) = settings.room.as_deref() else { return };
    match RoomAddress::parse(room, &settings.server) {
        Ok(address) => go.join(&mut commands, &settings, address),
        Err(error) => {
            go.journey.trouble = Some(Trouble::new(None, &SessionState::Offline, &error));
            *go.screen = Screen::Trouble;
        }
    }
}

/// What changes together when a game begins.
#[derive(bevy::ecs::system::SystemParam)]
pub(super) struct Go<'w> {
    screen: ResMut<'w, Screen>,
    journey: ResMut<'w, Journey>,
}

impl Go<'_> {
    fn join(&mut self, commands: &mut Commands, settings: &Settings, address: RoomAddress) {
        let stun_servers = settings.stun_servers.as_ref();
        commands.write_message(JoinRoom {
            name: settings.name.clone(),
            ice_servers: stun_servers.map(|urls| urls.iter().map(IceServer::stun).collect()),
            is_relay_only: settings.is_relay_only,
            ..JoinRoom::new(address.url_to_join())
        });
        commands.insert_resource(Bots::default());
        let room = address.has_name().then(|| address.within(&settings.server));
        platform::show_room(room.as_deref());
        let ready_at = settings.ready_at;
        // Whoever comes back into its own room finds it.
        let host = self.journey.host.take();
        let host = host.filter(|it| it.server() == address.server && it.room() == address.room);
        *self.journey = Journey { game: Some(Game::Online(address)), host, ready_at, ..default() };
        self.screen.set_if_neq(Screen::Lobby);
    }

    fn try_to_join(
        &mut self,
        commands: &mut Commands,
        settings: &Settings,
        address: Result<RoomAddress, RoomError>,
    ) {
        match address {
            Ok(address) => self.join(commands, settings, address),
            Err(error) => self.journey.room_error = Some(error),
        }
    }

    fn host(&mut self, commands: &mut Commands, settings: &Settings) {
        match platform::Host::start() {
            Ok(host) => {
                for address in host.addresses() {
                    info!("others join at {address}");
                }
                let address = RoomAddress::named(&host.server(), host.room());
                self.journey.host = Some(host);
                self.join(commands, settings, address);
            }
            Err(error) => {
                let game = Some(Game::Host);
                let trouble = Trouble::new(game.as_ref(), &SessionState::Offline, &error);
                *self.journey = Journey { game, trouble: Some(trouble), ..default() };
                *self.screen = Screen::Trouble;
            }
        }
    }

    fn start_local(&mut self, commands: &mut Commands, settings: &Settings, game: Game) {
        let (seats, bots) = match game {
            Game::Bots(bots) => {
                let bots = usize::from(bots).min(BOT_NAMES.len());
                let names = BOT_NAMES.iter().take(bots).map(ToString::to_string);
                let seats = std::iter::once(settings.name.clone()).chain(names).collect();
                (seats, Bots::after(1, bots))
            }
            Game::Here | Game::Online(_) | Game::Host => {
                (vec!["Left".to_owned(), "Right".to_owned()], Bots::default())
            }
        };
        commands.insert_resource(bots);
        commands.write_message(StartLocal {
            seats,
            seed: platform::random_number(),
            sync_test: None,
        });
        *self.journey = Journey { game: Some(game), ..default() };
    }

    fn toggle_ready(&mut self, commands: &mut Commands, lobby: &Lobby) {
        if lobby.spectates {
            // Whoever is ready wants to play.
            self.sit_out(commands, false);
            self.journey.ready_at = Some(1);
        } else {
            commands.write_message(SetReady(!lobby.ready));
        }
    }

    /// Takes no part in matches, or takes part again.
    fn sit_out(&mut self, commands: &mut Commands, spectates: bool) {
        commands.write_message(SetSpectating(spectates));
        self.journey.ready_at = None;
    }

    fn leave(&mut self, commands: &mut Commands) {
        commands.write_message(LeaveRoom);
        platform::show_room(None);
        *self.journey = Journey::default();
        self.screen.set_if_neq(Screen::Menu);
    }
}

/// The session's changes lead to the match, to trouble, and back.
pub(super) fn follow_session(mut changes: MessageReader<SessionChanged>, mut go: Go) {
    for SessionChanged { from, to } in changes.read() {
        let is_decided = *go.screen == Screen::Match && go.journey.outcome.is_some();
        let next = match to {
            SessionState::Running => {
                go.journey.outcome = None;
                Screen::Match
            }
            // A player that leaves once the match is decided does not take the result from the others.
            SessionState::Ended(_) | SessionState::Gathering | SessionState::Offline
                if from.is_running() && is_decided =>
            {
                Screen::Results
            }
            SessionState::Ended(_) if *go.screen == Screen::Results => continue,
            SessionState::Ended(reason) => {
                let trouble = Trouble::new(go.journey.game.as_ref(), from, reason);
                go.journey.trouble = Some(trouble);
                Screen::Trouble
            }
            // The results stay until the player has seen them.
            SessionState::Gathering | SessionState::Offline if *go.screen == Screen::Results => {
                continue;
            }
            SessionState::Gathering if from.is_running() => Screen::Lobby,
            SessionState::Offline if *go.screen == Screen::Match => Screen::Menu,
            _ => continue,
        };
        go.screen.set_if_neq(next);
    }
}

/// In `FinishedMatch`: notes how the match came out, if it was decided.
pub(super) fn note_outcome(
    state: Res<MatchState>,
    roster: Res<Roster>,
    mut journey: ResMut<Journey>,
) {
    let is_decided = matches!(state.phase, Phase::MatchOver { .. });
    journey.outcome = is_decided.then(|| Outcome::of(&state, &roster));
}

/// The player goes by the name that is typed from now on.
fn take_name(settings: &mut Settings, typed: Option<String>) {
    if let Some(name) = typed.filter(|name| !name.is_empty() && *name != settings.name) {
        platform::remember_name(&name);
        settings.name = name;
    }
}

/// What the player chose.
pub(super) fn follow_choices(
    mut commands: Commands,
    mut chosen: MessageReader<Chosen>,
    mut settings: ResMut<Settings>,
    (lobby, session): (Res<Lobby>, Res<SessionState>),
    (room, shown): (Res<Room>, Res<ShownRooms>),
    fields: Query<(&Item, &Field)>,
    mut go: Go,
    (mut clipboard, mut exit): (ResMut<Clipboard>, MessageWriter<AppExit>),
) {
    let typed = |choice: Choice| {
        fields
            .iter()
            .find(|(item, _)| item.choice == choice)
            .map(|(_, field)| field.value.trim().to_owned())
    };
    for Chosen(choice) in chosen.read() {
        take_name(&mut settings, typed(Choice::Rename));
        if *go.screen == Screen::Lobby && lobby.name != settings.name {
            commands.write_message(Rename(settings.name.clone()));
        }
        match choice {
            Choice::PlayOnline { is_public } => {
                let address = RoomAddress::create(&settings.server, *is_public);
                go.join(&mut commands, &settings, address);
            }
            Choice::QuickMatch(players) => {
                let address = RoomAddress::quick(&settings.server, *players);
                go.join(&mut commands, &settings, address);
            }
            Choice::Host => go.host(&mut commands, &settings),
            Choice::OpenJoin => *go.screen = Screen::Join,
            Choice::JoinTyped => {
                let text = typed(Choice::JoinTyped).unwrap_or_default();
                let address = RoomAddress::parse(&text, &settings.server);
                go.try_to_join(&mut commands, &settings, address.map(RoomAddress::existing));
            }
            Choice::JoinListed(place) => {
                let address = shown
                    .enter(*place)
                    .map(|(room, place)| RoomAddress::listed(&settings.server, room, place));
                go.try_to_join(&mut commands, &settings, address);
            }
            Choice::SetKicking(is_kicking) => go.journey.is_kicking = *is_kicking,
            Choice::ToggleLock | Choice::TogglePublic | Choice::Kick(_) => {
                go.journey.is_kicking = false;
                ask_as_owner(&mut commands, &room, *choice);
            }
            Choice::PlayHere => go.start_local(&mut commands, &settings, Game::Here),
            Choice::AgainstBots(bots) => {
                go.start_local(&mut commands, &settings, Game::Bots(*bots));
            }
            Choice::SetBots(bots) => settings.bots = *bots,
            Choice::SetPublic(is_public) => settings.is_public = *is_public,
            Choice::SetStrangers(players) => settings.strangers = *players,
            Choice::Quit => {
                exit.write(AppExit::Success);
            }
            Choice::ToggleSitOut => go.sit_out(&mut commands, !lobby.spectates),
            Choice::ToggleReady => go.toggle_ready(&mut commands, &lobby),
            Choice::CopyLink => {
                if let Some(invitation) = go.journey.invitation(&settings) {
                    go.journey.is_copied = platform::copy_text(&mut clipboard, &invitation);
                }
            }
            Choice::Rematch => {
                // A room for strangers takes nobody in place of who has left it.
                let is_stranded = lobby.is_deserted
                    && go.journey.address().is_some_and(|address| address.kind == RoomKind::Pair);
                let is_over = matches!(*session, SessionState::Ended(_)) || is_stranded;
                rematch(&mut commands, &settings, is_over, &mut go);
            }
            Choice::TryAgain => try_again(&mut commands, &settings, &mut go),
            Choice::Leave if *go.screen == Screen::Menu => {}
            Choice::Leave => go.leave(&mut commands),
            // The name was taken above, whatever was chosen.
            Choice::Rename | Choice::AskFor(_) => {}
        }
    }
}

/// The server has named our new room: from now on it is one like any other.
pub(super) fn name_room(
    settings: Res<Settings>,
    (room, session): (Res<Room>, Res<SessionState>),
    mut go: Go,
) {
    let Some(address) = go.journey.address().filter(|address| address.is_new()) else {
        return;
    };
    if let Some(state) = room.state.as_ref().filter(|_| *session == SessionState::Gathering) {
        let address = RoomAddress::named(&address.server, &state.name);
        platform::show_room(Some(&address.within(&settings.server)));
        go.journey.game = Some(Game::Online(address));
        // It is built anew, with the code.
        go.screen.set_changed();
    }
}

/// Whoever enters the room again comes back to the place that it had.
pub(super) fn keep_place(
    lobby: Res<Lobby>,
    session: Res<SessionState>,
    mut journey: ResMut<Journey>,
) {
    let place = if lobby.spectates { Place::Spectator } else { Place::Player };
    if *session == SessionState::Gathering
        && journey.address().is_some_and(|address| address.place != place)
        && let Some(Game::Online(address)) = &mut journey.game
    {
        address.place = place;
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

/// In a room for two strangers whose opponent has left before it began: the server pairs only who comes, so come again.
pub(super) fn look_for_another(
    mut commands: Commands,
    settings: Res<Settings>,
    (lobby, session): (Res<Lobby>, Res<SessionState>),
    mut go: Go,
) {
    let Some(address) =
        go.journey.address().filter(|address| address.kind == RoomKind::Pair).cloned()
    else {
        return;
    };
    let waits = *go.screen == Screen::Lobby && *session == SessionState::Gathering;
    if waits && lobby.is_deserted {
        go.join(&mut commands, &settings, address);
    }
}

/// The same again. `is_over` says that the session with the others is, so that others are to be found.
fn rematch(commands: &mut Commands, settings: &Settings, is_over: bool, go: &mut Go) {
    match go.journey.game.clone() {
        Some(Game::Online(address)) if is_over => go.join(commands, settings, address),
        Some(Game::Online(_)) => {
            commands.write_message(SetReady(true));
            go.screen.set_if_neq(Screen::Lobby);
        }
        Some(Game::Host) => go.host(commands, settings),
        Some(game) => go.start_local(commands, settings, game),
        None => go.leave(commands),
    }
}

fn try_again(commands: &mut Commands, settings: &Settings, go: &mut Go) {
    match go.journey.game.clone() {
        Some(Game::Online(address)) => go.join(commands, settings, address),
        Some(Game::Host) => go.host(commands, settings),
        Some(game) => go.start_local(commands, settings, game),
        None => go.leave(commands),
    }
}
