//! The match that the player has chosen, from the choice to its result: its kind, its room, its
//! outcome, or what went wrong.

use std::fmt::Display;

use bevy::prelude::*;
use netcode::prelude::*;
use netcode::{Denial, TransportError};
use signaling::protocol::Refusal;

use super::seat_news::Absence;
use super::settings::Settings;
use crate::platform;
use crate::room_address::{RoomAddress, RoomError, RoomKind};
use crate::sim::{MatchState, Phase, SeatTimes};

/// The match that is being played or set up, or was played last.
#[derive(Resource, Default, Debug)]
pub(crate) struct CurrentMatch {
    /// Its kind; `None` before the first choice.
    pub(crate) kind: Option<MatchKind>,
    /// The server of the room, if it runs in this game; it stops when this is dropped.
    pub(super) host: Option<platform::Host>,
    /// What went wrong, for the failure screen.
    pub(super) failure: Option<Failure>,
    /// The outcome of the last match, for the results.
    pub(crate) outcome: Option<Outcome>,
    /// Makes the player ready automatically as soon as this many players are in the room; then it
    /// is `None` again.
    pub(super) ready_at: Option<u8>,
    /// Whether the room's link is on the clipboard; `None` before the player copies it.
    pub(super) is_copied: Option<bool>,
    /// The server's last denial, while it is shown.
    pub(super) denied: Option<ShownDenial>,
    /// Whether the owner of the room is choosing whom to kick.
    pub(super) is_kicking: bool,
    /// Whether the player has asked to play on since the match stood still.
    pub(super) has_asked_to_play_on: bool,
    /// The code that the player typed for a room that could not be joined, to be corrected.
    pub(super) mistyped: String,
    /// Why the room that was typed or chosen cannot be joined.
    pub(super) room_error: Option<RoomError>,
}

/// A kind of match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MatchKind {
    /// In this room.
    Online(RoomAddress),
    /// In a room on this machine, which could not be opened.
    Host,
    /// Two players on this keyboard.
    Here,
    /// Against this many bots.
    Bots(u8),
}

impl CurrentMatch {
    /// The room, if it is an online one.
    pub(crate) fn address(&self) -> Option<&RoomAddress> {
        match &self.kind {
            Some(MatchKind::Online(address)) => Some(address),
            _ => None,
        }
    }

    /// Whether it is in a room for two strangers.
    pub(super) fn is_pair(&self) -> bool {
        self.address().is_some_and(|address| address.kind == RoomKind::Pair)
    }

    /// The link or address to give to a friend who wants to join the room. None before the room
    /// has a name.
    pub(crate) fn invitation(&self, settings: &Settings) -> Option<String> {
        let address = self.address()?;
        match &self.host {
            Some(host) => host.link().or_else(|| host.addresses().into_iter().next()),
            None if address.has_name() => Some(platform::invitation(address, &settings.server)),
            None => None,
        }
    }
}

/// The outcome of a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The seat that won; `None` for a draw.
    pub(crate) winner: Option<u8>,
    /// The players, by seat.
    pub(crate) seats: Vec<SeatOutcome>,
}

/// The outcome of a match for the player of a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeatOutcome {
    pub(crate) name: String,
    /// Rounds won by the seat's ship, whoever flew it.
    pub(crate) rounds: u8,
    /// How the player was missing at the end; `None` for a player who was there.
    pub(crate) absence: Option<Absence>,
}

impl Outcome {
    pub(super) fn of(state: &MatchState, roster: &Roster, times: &SeatTimes) -> Self {
        let winner = match state.phase {
            Phase::MatchOver { winner } => winner,
            _ => None,
        };
        let seats = roster.seats().iter().map(|seat| SeatOutcome {
            name: seat.name.clone(),
            rounds: state.scores.get(seat.seat.index()).copied().unwrap_or(0),
            absence: Absence::of(times.of(seat.seat)),
        });
        Self { winner, seats: seats.collect() }
    }
}

/// The server's last denial, and for how long it is still shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShownDenial {
    pub(super) denial: Denial,
    /// Seconds until it is no longer shown.
    pub(super) seconds_left: f32,
}

/// What went wrong, as the failure screen shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) heading: &'static str,
    pub(super) reason: String,
    pub(super) remedy: Remedy,
}

/// What helps most after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Remedy {
    /// The same again.
    #[default]
    TryAgain,
    /// Another code, or a room from the list: there is no such room.
    AnotherRoom,
    /// Another match: the player was removed from the room.
    Menu,
}

impl Remedy {
    fn after(reason: &EndReason) -> Self {
        match reason {
            EndReason::Transport(TransportError::Kicked) => Self::Menu,
            EndReason::Transport(TransportError::Refused(words))
                if words == Refusal::NoSuchRoom.sentence() =>
            {
                Self::AnotherRoom
            }
            _ => Self::TryAgain,
        }
    }
}

impl Failure {
    /// A match of this kind, or the way into it, ended in `state` for `reason`.
    pub(super) fn new(
        kind: Option<&MatchKind>,
        state: &SessionState,
        reason: &impl Display,
    ) -> Self {
        let (heading, remedy) = (heading(kind, state), Remedy::TryAgain);
        Self { heading, reason: reason.to_string(), remedy }
    }

    /// The session ended in `state` for `reason`.
    pub(super) fn of(kind: Option<&MatchKind>, state: &SessionState, reason: &EndReason) -> Self {
        Self { remedy: Remedy::after(reason), ..Self::new(kind, state, reason) }
    }
}

/// Names what is over, or what did not start.
fn heading(kind: Option<&MatchKind>, state: &SessionState) -> &'static str {
    match (state, kind) {
        (SessionState::Running, _) => "The match is over",
        (SessionState::Starting, _) | (_, Some(MatchKind::Here | MatchKind::Bots(_))) => {
            "The match did not start"
        }
        (SessionState::Gathering, _) => "No longer in the room",
        (_, Some(MatchKind::Host)) => "No room was opened",
        (_, Some(MatchKind::Online(address))) if address.is_new() => "No room was opened",
        (_, Some(MatchKind::Online(address))) if address.is_quick() => "No match was found",
        (SessionState::Offline | SessionState::Connecting | SessionState::Ended(_), _) => {
            "Could not join"
        }
    }
}

#[cfg(test)]
mod tests {
    use SessionState::{Connecting, Gathering, Offline, Running, Starting};

    use super::*;

    const SERVER: &str = "ws://127.0.0.1:3536";

    #[test]
    fn the_heading_names_what_ended_or_never_began() {
        let code = MatchKind::Online(RoomAddress::named(SERVER, "DAM3R").existing());
        let on = |state: &SessionState| heading(Some(&code), state);
        assert_eq!(on(&Connecting), "Could not join", "a refused code");
        assert_eq!(on(&Offline), "Could not join", "an impossible address");
        assert_eq!(on(&Gathering), "No longer in the room");
        assert_eq!(on(&Starting), "The match did not start");
        assert_eq!(on(&Running), "The match is over");
        assert_eq!(heading(None, &Offline), "Could not join", "an invalid link");
    }

    #[test]
    fn a_room_without_a_name_has_no_link() {
        let link = |address| {
            let kind = Some(MatchKind::Online(address));
            CurrentMatch { kind, ..default() }.invitation(&Settings::default())
        };
        assert_eq!(link(RoomAddress::create(SERVER, false)), None);
        assert_eq!(link(RoomAddress::quick(SERVER, 2)), None);
        assert!(link(RoomAddress::named(SERVER, "DAM3R")).is_some());
    }

    #[test]
    fn the_heading_names_what_the_player_chose_if_no_room_was_named() {
        let new = MatchKind::Online(RoomAddress::create(SERVER, false));
        let quick = MatchKind::Online(RoomAddress::quick(SERVER, 2));
        assert_eq!(heading(Some(&new), &Connecting), "No room was opened");
        assert_eq!(heading(Some(&MatchKind::Host), &Offline), "No room was opened");
        assert_eq!(heading(Some(&quick), &Connecting), "No match was found");
        assert_eq!(heading(Some(&quick), &Running), "The match is over");
        assert_eq!(heading(Some(&MatchKind::Bots(2)), &Offline), "The match did not start");
    }
}
