//! Changes the screen together with the current match: when the game starts, when the player begins
//! a match, and when the session changes.

use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use netcode::prelude::*;
use netcode::{IceServer, OverlayState, Place, Room, SetConditions, SetSpectating};

use super::current_match::{CurrentMatch, Failure, MatchKind, Outcome};
use super::settings::Settings;
use crate::bots::Bots;
use crate::platform;
use crate::room_address::{RoomAddress, RoomError, RoomKind};
use crate::screen::Screen;
use crate::sim::{MatchState, Phase, SeatTimes};

/// Names of the bots, by seat.
const BOT_NAMES: [&str; 3] = ["Kepler", "Halley", "Ceres"];

/// The screen and the current match, which change together.
#[derive(SystemParam)]
pub(super) struct Navigator<'w> {
    pub(super) screen: ResMut<'w, Screen>,
    pub(super) current: ResMut<'w, CurrentMatch>,
}

impl Navigator<'_> {
    /// Joins a room and shows its lobby.
    pub(super) fn join(
        &mut self,
        commands: &mut Commands,
        settings: &Settings,
        address: RoomAddress,
    ) {
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
        // The server keeps running if the player comes back into the room that it hosts.
        let host = self.current.host.take();
        let host = host.filter(|it| it.server() == address.server && it.room() == address.room);
        *self.current =
            CurrentMatch { kind: Some(MatchKind::Online(address)), host, ready_at, ..default() };
        self.screen.set_if_neq(Screen::Lobby);
    }

    /// Joins a room, or notes why the text names no room.
    pub(super) fn try_to_join(
        &mut self,
        commands: &mut Commands,
        settings: &Settings,
        address: Result<RoomAddress, RoomError>,
    ) {
        match address {
            Ok(address) => self.join(commands, settings, address),
            Err(error) => self.current.room_error = Some(error),
        }
    }

    /// Opens a room on this machine and joins it.
    pub(super) fn host(&mut self, commands: &mut Commands, settings: &Settings) {
        match platform::Host::start() {
            Ok(host) => {
                for address in host.addresses() {
                    info!("others join at {address}");
                }
                let address = RoomAddress::named(&host.server(), host.room());
                self.current.host = Some(host);
                self.join(commands, settings, address);
            }
            Err(error) => {
                let kind = Some(MatchKind::Host);
                let failure = Failure::new(kind.as_ref(), &SessionState::Offline, &error);
                *self.current = CurrentMatch { kind, failure: Some(failure), ..default() };
                *self.screen = Screen::Failure;
            }
        }
    }

    /// Starts a match on this machine alone.
    pub(super) fn start_local(
        &mut self,
        commands: &mut Commands,
        settings: &Settings,
        kind: MatchKind,
    ) {
        let (seats, bots) = match kind {
            MatchKind::Bots(bots) => {
                let bots = usize::from(bots).min(BOT_NAMES.len());
                let names = BOT_NAMES.iter().take(bots).map(ToString::to_string);
                let seats = std::iter::once(settings.name.clone()).chain(names).collect();
                (seats, Bots::after(1, bots))
            }
            MatchKind::Here | MatchKind::Online(_) | MatchKind::Host => {
                (vec!["Left".to_owned(), "Right".to_owned()], Bots::default())
            }
        };
        commands.insert_resource(bots);
        commands.write_message(StartLocal {
            seats,
            seed: platform::random_number(),
            sync_test: None,
        });
        *self.current = CurrentMatch { kind: Some(kind), ..default() };
    }

    /// Marks the player ready, or no longer; a spectator takes a seat first.
    pub(super) fn toggle_ready(&mut self, commands: &mut Commands, lobby: &Lobby) {
        if lobby.is_spectator {
            // A player that is ready wants to play.
            self.sit_out(commands, false);
            self.current.ready_at = Some(1);
        } else {
            commands.write_message(SetReady(!lobby.is_ready));
        }
    }

    /// Sits out matches, or takes part again.
    pub(super) fn sit_out(&mut self, commands: &mut Commands, spectates: bool) {
        commands.write_message(SetSpectating(spectates));
        self.current.ready_at = None;
    }

    /// Shows where a room is found: from the menu, or after a failure to join one, whose code can
    /// be corrected there.
    pub(super) fn find_room(&mut self, commands: &mut Commands, settings: &Settings) {
        let failed = self.current.address().filter(|address| address.kind == RoomKind::Existing);
        let mistyped = failed.map(|address| address.within(&settings.server)).unwrap_or_default();
        self.leave(commands);
        self.current.mistyped = mistyped;
        *self.screen = Screen::Join;
    }

    /// Pauses the match, or goes on with it.
    pub(super) fn pause(&mut self, commands: &mut Commands, is_paused: bool) {
        self.current.has_asked_to_play_on = !is_paused;
        commands.write_message(PauseMatch(is_paused));
    }

    /// Leaves the match for its room.
    pub(super) fn leave_match(&mut self, commands: &mut Commands) {
        self.current.has_asked_to_play_on = false;
        commands.write_message(LeaveMatch);
    }

    /// Leaves the room or the match and shows the menu.
    pub(super) fn leave(&mut self, commands: &mut Commands) {
        commands.write_message(LeaveRoom);
        platform::show_room(None);
        *self.current = CurrentMatch::default();
        self.screen.set_if_neq(Screen::Menu);
    }
}

/// A game that was started with a room goes straight to its lobby.
pub(super) fn enter_first_room(
    mut commands: Commands,
    settings: Res<Settings>,
    mut navigator: Navigator,
) {
    if settings.is_host {
        navigator.host(&mut commands, &settings);
        return;
    }
    let Some(room) = settings.room.as_deref() else { return };
    match RoomAddress::parse(room, &settings.server) {
        Ok(address) => navigator.join(&mut commands, &settings, address),
        Err(error) => {
            navigator.current.failure = Some(Failure::new(None, &SessionState::Offline, &error));
            *navigator.screen = Screen::Failure;
        }
    }
}

/// Shows the screen that a change of the session leads to: the match, its results, a failure, or
/// the lobby.
pub(super) fn show_session_screen(
    mut changes: MessageReader<SessionChanged>,
    mut navigator: Navigator,
) {
    for SessionChanged { from, to } in changes.read() {
        let is_decided = *navigator.screen == Screen::Match && navigator.current.outcome.is_some();
        let next = match to {
            SessionState::Running => {
                navigator.current.outcome = None;
                Screen::Match
            }
            // A player that leaves once the match is decided does not take the results from the
            // other players.
            SessionState::Ended(_) | SessionState::Gathering | SessionState::Offline
                if from.is_running() && is_decided =>
            {
                Screen::Results
            }
            SessionState::Ended(_) if *navigator.screen == Screen::Results => continue,
            SessionState::Ended(reason) => {
                let failure = Failure::of(navigator.current.kind.as_ref(), from, reason);
                navigator.current.failure = Some(failure);
                Screen::Failure
            }
            // The results stay until the player has seen them.
            SessionState::Gathering | SessionState::Offline
                if *navigator.screen == Screen::Results =>
            {
                continue;
            }
            SessionState::Gathering if from.is_running() => Screen::Lobby,
            SessionState::Offline if *navigator.screen == Screen::Match => Screen::Menu,
            _ => continue,
        };
        navigator.screen.set_if_neq(next);
    }
}

/// Ends the simulated bad network with the match or the room in which it was chosen: later, nobody
/// would know why everything is slow.
pub(super) fn end_simulated_network(
    mut changes: MessageReader<SessionChanged>,
    mut overlay: ResMut<OverlayState>,
    mut conditions: MessageWriter<SetConditions>,
) {
    let ends = |change: &SessionChanged| {
        let is_out = matches!(change.to, SessionState::Offline | SessionState::Ended(_));
        is_out || (change.from.is_running() && !change.to.is_running())
    };
    if changes.read().filter(|change| ends(change)).count() > 0 && overlay.preset > 0 {
        overlay.preset = 0;
        conditions.write(SetConditions(LinkConditions::NONE));
    }
}

/// In `FinishedMatch`: notes the outcome of the match, if it was decided.
pub(super) fn note_outcome(
    (state, roster, times): (Res<MatchState>, Res<Roster>, Res<SeatTimes>),
    mut current: ResMut<CurrentMatch>,
) {
    let is_decided = matches!(state.phase, Phase::MatchOver { .. });
    current.outcome = is_decided.then(|| Outcome::of(&state, &roster, &times));
}

/// Takes over the name that the server gave to a new room: from then on it is a room like any
/// other.
pub(super) fn adopt_room_name(
    settings: Res<Settings>,
    (room, session): (Res<Room>, Res<SessionState>),
    mut navigator: Navigator,
) {
    let Some(address) = navigator.current.address().filter(|address| address.is_new()) else {
        return;
    };
    if let Some(state) = room.state.as_ref().filter(|_| *session == SessionState::Gathering) {
        let address = RoomAddress::named(&address.server, &state.name);
        platform::show_room(Some(&address.within(&settings.server)));
        navigator.current.kind = Some(MatchKind::Online(address));
        // The screen is built again, with the code.
        navigator.screen.set_changed();
    }
}

/// Remembers the player's place in the room, so that a player that joins again gets the same one.
pub(super) fn remember_place(
    lobby: Res<Lobby>,
    session: Res<SessionState>,
    mut current: ResMut<CurrentMatch>,
) {
    let place = if lobby.is_spectator { Place::Spectator } else { Place::Player };
    if *session == SessionState::Gathering
        && current.address().is_some_and(|address| address.place != place)
        && let Some(MatchKind::Online(address)) = &mut current.kind
    {
        address.place = place;
    }
}

/// In a room for two strangers, joins again if the opponent has left before the match began: the
/// server pairs only players that have just arrived.
pub(super) fn join_another_pair(
    mut commands: Commands,
    settings: Res<Settings>,
    (lobby, session): (Res<Lobby>, Res<SessionState>),
    mut navigator: Navigator,
) {
    let Some(address) =
        navigator.current.address().filter(|address| address.kind == RoomKind::Pair).cloned()
    else {
        return;
    };
    let waits = *navigator.screen == Screen::Lobby && *session == SessionState::Gathering;
    if waits && lobby.is_deserted {
        navigator.join(&mut commands, &settings, address);
    }
}

#[cfg(test)]
mod tests {
    use super::super::choice::{Choice, Chosen};
    use super::super::rig::Rig;
    use super::*;

    #[test]
    fn a_mistyped_code_can_be_corrected() {
        let mut rig = Rig::new((1280, 720));
        let address = RoomAddress::named("ws://127.0.0.1:3536", "DAM3R").existing();
        rig.resource::<CurrentMatch>().kind = Some(MatchKind::Online(address));
        rig.show(Screen::Failure);
        rig.app.world_mut().write_message(Chosen(Choice::OpenJoin));
        rig.settle();
        assert_eq!(*rig.resource::<Screen>(), Screen::Join);
        assert!(rig.text("DAM3R").is_some());
        assert_eq!(rig.focused(), Some(Choice::JoinTyped));
    }

    #[test]
    fn a_simulated_bad_network_ends_with_the_match() {
        let mut rig = Rig::new((1280, 720));
        let mut goes = |from: SessionState, to: SessionState| {
            rig.resource::<OverlayState>().preset = 5;
            rig.app.world_mut().write_message(SessionChanged { from, to });
            rig.app.update();
            let mut conditions = rig.resource::<Messages<SetConditions>>();
            let ended: Vec<_> = conditions.drain().collect();
            (rig.resource::<OverlayState>().preset, ended)
        };
        use SessionState::{Gathering, Offline, Running, Starting};
        let ended = (0, vec![SetConditions(LinkConditions::NONE)]);
        assert_eq!(goes(Gathering, Starting), (5, Vec::new()), "chosen in the lobby");
        assert_eq!(goes(Starting, Running), (5, Vec::new()));
        assert_eq!(goes(Running, Gathering), ended, "the match is over");
        assert_eq!(goes(Gathering, Offline), ended, "the room was left");
    }
}
