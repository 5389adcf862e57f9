//! The options of a headless peer, as the command line gives them.

use std::path::PathBuf;
use std::time::Duration;

use netcode::DeparturePolicy;
use netcode::prelude::LinkConditions;

use super::inputs::Pilot;
use super::presence::PlannedOutage;

/// What a headless peer does.
#[derive(Clone, PartialEq, Debug)]
pub struct HeadlessOptions {
    /// Where to play.
    pub room: RoomChoice,
    /// Players to wait for, itself included.
    pub players: u8,
    /// How long to play, counted in frames of the match.
    pub duration: Duration,
    /// How long to wait for the other players: processes that are started together arrive within
    /// seconds; a browser on a busy machine may take a minute.
    pub patience: Duration,
    /// The name that others see.
    pub name: String,
    /// Where to write the report.
    pub report: Option<PathBuf>,
    /// The pilot of the ship.
    pub pilot: Pilot,
    /// The version of the game that it claims to be.
    pub game_version: String,
    /// The network conditions to simulate.
    pub conditions: LinkConditions,
    /// What becomes of the match if it loses a player. The same on all peers.
    pub departure_policy: DeparturePolicy,
    /// When its network is down.
    pub outages: Vec<PlannedOutage>,
    /// When it leaves the room, counted from the first frame; `None` if it plays to the end.
    pub leaves_after: Option<Duration>,
    /// STUN servers; `None` means those that the signaling server hands out.
    pub stun_servers: Option<Vec<String>>,
    /// Whether to go through TURN servers only.
    pub is_relay_only: bool,
}

/// Where a headless peer plays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoomChoice {
    /// In this room, `ws://HOST:PORT/ROOM`.
    At(String),
    /// In a new room, with a server in this process. It prints the address for other players.
    Host,
}
