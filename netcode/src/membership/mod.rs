//! Who is here: hello, lobby, line-up, leaving. The states say *that*, the reasons say *why*.
//!
//! Signaling introduces the peers; from then on they agree among themselves. The rules are pure
//! (`control`, `lineup`, `link`); `connection` holds the state, `systems` wires it into Bevy.

mod conduct;
mod connection;
pub(crate) mod control;
mod finishing;
mod incoming;
mod left_rooms;
#[cfg(any(test, feature = "testing"))]
mod lies;
pub(crate) mod lineup;
mod link;
mod lobby;
mod measures;
mod meeting;
mod outgoing;
mod patience;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties;
mod reasons;
pub(crate) mod room;
pub(crate) mod room_list;
pub(crate) mod systems;

use bevy::{
    ecs::system::SystemParam,
    prelude::{Message, MessageWriter, Res, ResMut, Resource},
};
use signaling::{ice_servers::IceServer, protocol::PeerId};

use crate::{config::InputDelay, input::Seat, session::SyncTest, transport::LinkConditions};

pub use conduct::Misconduct;
pub(crate) use connection::Connection;
pub(crate) use lineup::MatchPlan;
pub use lobby::{Lobby, LobbyPeer};
pub(crate) use reasons::GoodbyeCause;
pub use reasons::{EndReason, Refusal, StartBlocker, StartRefusal};
pub use room::{AskRoom, Room, RoomDenied};
pub use room_list::{ListRooms, RoomList};

/// Where the session stands.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub enum SessionState {
    /// In no room and in no match.
    #[default]
    Offline,
    /// On the way into a room.
    Connecting,
    /// In a room, with the peers that [`Lobby`] lists; the match starts when all are ready.
    Gathering,
    /// All agreed to play; their sessions are finding each other.
    Starting,
    /// The match is being simulated.
    Running,
    /// It is over, and nothing is connected any more; [`JoinRoom`] begins again.
    Ended(EndReason),
}

impl SessionState {
    /// Whether the simulation runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        *self == Self::Running
    }

    /// Goes to another state; what there is to say of it, if it is another one.
    pub(crate) fn change(&mut self, to: Self) -> Option<SessionChanged> {
        if *self == to {
            return None;
        }
        let from = std::mem::replace(self, to.clone());
        Some(SessionChanged { from, to })
    }
}

/// Run condition: a match is being simulated.
pub fn in_match(state: Res<SessionState>) -> bool {
    state.is_running()
}

/// The session went from one state to another.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct SessionChanged {
    /// Where it was.
    pub from: SessionState,
    /// Where it is now.
    pub to: SessionState,
}

/// Changes the state, and says so.
#[derive(SystemParam)]
pub(crate) struct StateChange<'w> {
    state: ResMut<'w, SessionState>,
    changed: MessageWriter<'w, SessionChanged>,
}

impl StateChange<'_> {
    pub(crate) fn go(&mut self, to: SessionState) {
        if let Some(changed) = self.state.change(to) {
            self.changed.write(changed);
        }
    }

    pub(crate) fn now(&self) -> &SessionState {
        &self.state
    }
}

/// Request: enter a room. Leaves any other room first.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct JoinRoom {
    /// The address of the room: `ws://host:3536/room`, `wss://…`; with `?next=2` the server pairs whoever comes. Or `ws://host:3536/v1/create`
    /// for a new room, whose name is then in [`Room`], with `?capacity=4`, `spectators=2` and `public=1` if wanted; or `…/v1/quick?players=2`
    /// to play with strangers who want the same game and version. `place=spectator` comes in to sit out, `existing=1` opens no new room.
    pub url: String,
    /// The name that others see; cut to 24 characters.
    pub name: String,
    /// Seats on this machine, 1 to 16. Two for couch play.
    pub local_seats: u8,
    /// STUN and TURN servers instead of those that the signaling server hands out; `None`, the default, takes the latter. An empty list
    /// takes none, which is enough on one machine or in one local network. One that cannot be used ends the session with a reason:
    /// there may be 8 addresses in all, and all TURN servers have one name and one password. Natively TURN goes over UDP only.
    pub ice_servers: Option<Vec<IceServer>>,
    /// Reaches other peers through TURN servers alone, so that none of them learns this machine's
    /// address. Only relays are named to them. Natively a peer's candidate is used only where it
    /// leads to one of the session's TURN servers or to an address at which one of them relays for
    /// us; a page has its browser send to TURN servers alone. Without a TURN server nobody is
    /// reached.
    ///
    /// This hides nothing from the signaling server, nor from the STUN and TURN servers: they see
    /// the address. The operator of the signaling server chooses the TURN servers, unless
    /// `ice_servers` names others. Natively, a peer that suspects an address can have a TURN server
    /// confirm it.
    pub is_relay_only: bool,
}

impl JoinRoom {
    /// A request with the default name, one seat and the STUN and TURN servers that the signaling server hands out.
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
    /// If set, frames are rolled back and simulated again all the time, and a world that comes out differently ends the match with a
    /// [`SyncTestFailed`](crate::SyncTestFailed).
    pub sync_test: Option<SyncTest>,
}

/// Request: we are (not) ready to play. The match starts when everybody is. Forgotten when a match begins, and with each [`JoinRoom`].
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetReady(pub bool);

/// Request: take no part in matches, or take part again. Who spectates stays in the room, connected to the others, and keeps its place for
/// later; it does not see their match yet. The server has the last word where it knows of such places: see
/// [`RoomState::spectators`](signaling::lobby::RoomState). Forgotten with each [`JoinRoom`].
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetSpectating(pub bool);

/// Request: go by this name from now on; it is cut to 24 characters. A match that runs keeps the old one.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct Rename(pub String);

/// Request: the match is over for this machine. Back to `Gathering` with all peers still connected,
/// or to `Offline` after a local match. Peers that do not finish as well play on without this
/// machine, as long as [`NetcodeConfig::finish_policy`](crate::NetcodeConfig::finish_policy) lets
/// them; they receive a [`PeerFinished`].
///
/// A player that leaves early sends it at any time. A match that ends by the rules of the game is
/// ended by [`MatchEnd::finish_when_confirmed`](crate::MatchEnd::finish_when_confirmed) instead,
/// for all at the same frame.
#[derive(Message, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinishMatch;

/// A peer has left the match by finishing it, while this machine plays on. It stays in the room;
/// its seats get default inputs from now on.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct PeerFinished {
    /// The peer.
    pub peer: PeerId,
    /// The name of its player.
    pub name: String,
    /// The frame at which the match was over for it.
    pub frame: u32,
}

/// Request: leave match and room. For the others the match ends.
///
/// An app that exits (`AppExit`) does so by itself. Natively its last update takes up to a second, as a rule 0.3 s, so that the others
/// hear of it.
#[derive(Message, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaveRoom;

/// Request: make the network worse, in the direction away from this peer. Can be changed at any time.
#[derive(Message, Clone, Copy, Debug, PartialEq)]
pub struct SetConditions(pub LinkConditions);

/// Request: from now on delay the inputs of one seat of this machine so. Lasts until the match ends; the next one begins with
/// [`NetcodeConfig::input_delay`](crate::NetcodeConfig) again. Delays beyond the configured maximum are cut to it.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetInputDelay {
    /// The seat.
    pub seat: Seat,
    /// Its delay.
    pub delay: InputDelay,
}

/// Who plays the match, seat by seat. The same on all peers, except for `is_local`.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    seats: Vec<RosterSeat>,
}

/// One seat of the match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterSeat {
    /// The seat.
    pub seat: Seat,
    /// The name of who sits there.
    pub name: String,
    /// The machine that holds the seat; `None` in a local match.
    pub peer: Option<PeerId>,
    /// Whether that is this machine.
    pub is_local: bool,
}

impl Roster {
    /// The seats of an online match, in the order of the plan.
    pub(crate) fn from_plan(plan: &MatchPlan, local: PeerId) -> Self {
        let mut seats = Vec::new();
        for member in &plan.members {
            for number in 1..=member.seats {
                let name = if number == 1 {
                    member.name.clone()
                } else {
                    format!("{} {number}", member.name)
                };
                seats.push(RosterSeat {
                    seat: Seat(seats.len() as u8),
                    name,
                    peer: Some(member.peer),
                    is_local: member.peer == local,
                });
            }
        }
        Self { seats }
    }

    /// The seats of a local match.
    pub(crate) fn local(names: &[String]) -> Self {
        let seat = |(index, name): (usize, &String)| RosterSeat {
            seat: Seat(index as u8),
            name: control::clean_name(name),
            peer: None,
            is_local: true,
        };
        Self { seats: names.iter().enumerate().map(seat).collect() }
    }

    /// All seats, in order.
    #[must_use]
    pub fn seats(&self) -> &[RosterSeat] {
        &self.seats
    }

    /// The seats that are played on this machine, in order.
    pub fn local_seats(&self) -> impl Iterator<Item = Seat> + '_ {
        self.seats.iter().filter(|seat| seat.is_local).map(|seat| seat.seat)
    }

    /// The name of who plays on `peer`.
    pub(crate) fn name_of(&self, peer: PeerId) -> Option<&str> {
        let seat = self.seats.iter().find(|seat| seat.peer == Some(peer))?;
        Some(&seat.name)
    }
}
