//! The requests of a game: messages that it writes, and that the session carries out in its next
//! update.

use bevy::prelude::Message;
use signaling::ice_servers::IceServer;

use crate::{
    config::{InputDelay, SyncTest},
    input::Seat,
    transport::LinkConditions,
};

/// Request: enter a room. Leaves any other room first.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct JoinRoom {
    /// The address of the room: `ws://host:3536/room`, `wss://…`; with `?next=2` the server pairs
    /// players as they come. `ws://host:3536/v1/create` makes a new room, whose name is then in
    /// [`Room`](crate::Room), with `?capacity=4`, `spectators=2` and `public=1` if wanted.
    /// `…/v1/quick?players=2` finds strangers who want to play the same game and version.
    /// `place=spectator` enters the room as a spectator, and `existing=1` opens no new room.
    ///
    /// At each of these addresses the server hands out its STUN and TURN servers, because this
    /// crate enters `/room` as `/v1/rooms/room`; only other clients of matchbox, which use the
    /// address as it is, get none at `/room`.
    pub url: String,
    /// The name that other players see; cut to 24 characters.
    pub name: String,
    /// Seats on this machine, 1 to 16. Two for couch play.
    pub local_seats: u8,
    /// STUN and TURN servers to use instead of those that the signaling server hands out; `None`,
    /// the default, uses the latter. An empty list uses none, which is enough on one machine or in
    /// one local network. A list that cannot be used ends the session with a reason: it may hold 8
    /// addresses in all, and all TURN servers must share one name and one password. Natively, TURN
    /// goes over UDP only.
    pub ice_servers: Option<Vec<IceServer>>,
    /// Reaches other peers only through TURN servers, so that no peer learns this machine's
    /// address: peers receive only the addresses of relays. Natively, a peer's candidate is used
    /// only if it leads to one of the session's TURN servers or to an address at which one of them
    /// relays for us; a page makes its browser send to TURN servers only. Without a TURN server no
    /// peer is reached.
    ///
    /// This hides nothing from the signaling server, nor from the STUN and TURN servers: they see
    /// the address. The operator of the signaling server chooses the TURN servers, unless
    /// `ice_servers` names others. Natively, a peer that guesses the address can have a TURN server
    /// confirm the guess.
    pub is_relay_only: bool,
}

impl JoinRoom {
    /// A request with the default name, one seat and the STUN and TURN servers that the signaling
    /// server hands out.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }
}

impl Default for JoinRoom {
    fn default() -> Self {
        Self {
            url: String::new(),
            name: "player".into(),
            local_seats: 1,
            ice_servers: None,
            is_relay_only: false,
        }
    }
}

/// Request: play on this machine alone, without a network. Leaves any room first.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct StartLocal {
    /// One name per seat, 1 to 16.
    pub seats: Vec<String>,
    /// The seed of the match.
    pub seed: u64,
    /// If set, frames are rolled back and simulated again all the time, and a world that comes out
    /// differently ends the match with a [`SyncTestFailed`](crate::SyncTestFailed).
    pub sync_test: Option<SyncTest>,
}

/// Request: be ready to play, or not. The match starts when all players are ready. Reset when a
/// match begins, and by each [`JoinRoom`].
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetReady(pub bool);

/// Request: take no part in matches, or take part again. A spectator stays in the room, connected
/// to the other peers, and keeps its place for later; it does not see their match yet. If the
/// server knows of spectators' places, it has the last word: see
/// [`RoomState::spectators`](signaling::lobby::RoomState). Reset by each [`JoinRoom`].
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetSpectating(pub bool);

/// Request: go by this name from now on; it is cut to 24 characters. A running match keeps the old
/// one.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct Rename(pub String);

/// Request: the match is over for this machine. Back to `Gathering` with all peers still connected,
/// or to `Offline` after a local match. Peers that do not finish as well play on without this
/// machine, as long as [`NetcodeConfig::finish_policy`](crate::NetcodeConfig::finish_policy) lets
/// them; they receive a [`PeerFinished`](crate::PeerFinished).
///
/// It takes up to two seconds, in which the peers compare a last frame. A player that wants to be
/// gone at once sends [`LeaveMatch`] instead. A match that ends by the rules of the game is ended
/// by [`MatchEnd::finish_when_confirmed`](crate::MatchEnd::finish_when_confirmed), for all at the
/// same frame.
#[derive(Message, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinishMatch;

/// Request: leave the match now, and stay in the room: `Gathering` in the same update, or `Offline`
/// after a local match. The other peers play on as after [`FinishMatch`]; this machine's last
/// frames may not have been compared with theirs. Nothing happens if no match runs.
#[derive(Message, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaveMatch;

/// Request: pause the match (`true`), or go on with it.
///
/// In an online match, all machines stop at the same frame, two round trips later. A match that was
/// paused goes on as soon as any player asks for it. One that waits for a machine that is away, by
/// [`DeparturePolicy::Wait`](crate::DeparturePolicy::Wait), goes on once more than half of the
/// machines ask for it. What the pause means to the game, see
/// [`Roster::pause`](crate::Roster::pause).
///
/// Nothing happens in a sync test, and online if
/// [`NetcodeConfig::pause_policy`](crate::NetcodeConfig::pause_policy) forbids it.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseMatch(pub bool);

/// Request: leave the match and the room. For the other peers the match ends, unless it goes on
/// without this machine by their [`DeparturePolicy`](crate::DeparturePolicy).
///
/// An app that exits (`AppExit`) does so by itself, and so does a page that is closed, loaded again
/// or left by a link. Natively, the last update takes up to a second, usually 0.3 s, so that the
/// goodbye reaches the other peers.
#[derive(Message, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaveRoom;

/// Request: worsen the network on purpose, in the direction away from this peer. Can be changed at
/// any time.
#[derive(Message, Clone, Copy, Debug, PartialEq)]
pub struct SetConditions(pub LinkConditions);

/// Request: change the input delay of one seat of this machine. Lasts until the match ends; the
/// next match begins with [`NetcodeConfig::input_delay`](crate::NetcodeConfig) again. Delays beyond
/// the configured maximum are cut to it.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetInputDelay {
    /// The seat.
    pub seat: Seat,
    /// Its delay.
    pub delay: InputDelay,
}
