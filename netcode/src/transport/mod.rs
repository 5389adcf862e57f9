//! Bytes to and from peers. The only folder that touches sockets.
//!
//! Nothing above this folder knows whether a peer is reached over WebRTC or in memory.

mod conditioner;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod memory;
#[cfg(feature = "webrtc")]
pub(crate) mod webrtc;
mod room_list;

use std::time::Duration;

use signaling::{
    lobby::{RoomEvent, RoomRequest},
    protocol::{PeerId, Refusal},
};
use thiserror::Error;

pub(crate) use conditioner::Conditioner;
#[cfg(any(test, feature = "testing"))]
pub(crate) use conditioner::Fate;
pub use conditioner::{LinkConditions, Outage};
pub(crate) use room_list::Lister;

/// The largest datagram that is sent or read: a payload that fits into one IP packet on nearly
/// every path, and the minimum that WebRTC assumes.
pub(crate) const MAX_DATAGRAM_BYTES: usize = 1200;

/// The largest control message that is read.
pub(crate) const MAX_CONTROL_BYTES: usize = 16 * 1024;

/// The largest bulk message that is read. A larger one would keep the other channels waiting while
/// it leaves, because WebRTC sends each message as a whole.
pub(crate) const MAX_BULK_BYTES: usize = 16 * 1024;

/// We keep track of at most this many peers: twice the seats that a match can have. A room may hold
/// more.
pub(crate) const MAX_PEERS: usize = 32;

/// The three channels of each pair of peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Unreliable and unordered: inputs.
    Datagrams,
    /// Reliable and ordered: control.
    Control,
    /// Reliable and unordered: bulk data. A message that was lost on the way holds up no other one.
    /// But the native WebRTC stack sends what is unordered first, in the order in which it was
    /// queued: datagrams wait behind bulk, and control behind both. So a sender has to keep short
    /// what waits. Nothing is sent here yet.
    #[cfg_attr(
        not(any(test, feature = "testing", feature = "webrtc")),
        expect(dead_code, reason = "nothing is sent on this channel, and no transport receives")
    )]
    Bulk,
}

impl Channel {
    /// The largest packet that is read.
    pub(crate) fn max_bytes(self) -> usize {
        match self {
            Self::Datagrams => MAX_DATAGRAM_BYTES,
            Self::Control => MAX_CONTROL_BYTES,
            Self::Bulk => MAX_BULK_BYTES,
        }
    }
}

/// What a transport reports.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "webrtc"),
    expect(
        dead_code,
        reason = "without data channels nothing fails, and outside tests no peer is met"
    )
)]
pub(crate) enum TransportEvent {
    /// We are in the room, under this id.
    Opened(PeerId),
    /// All channels to a peer are open.
    Connected(PeerId),
    /// The channels to a peer closed.
    Disconnected(PeerId),
    /// A packet was dropped because its sender, which is not connected yet, has sent too many.
    DroppedEarly,
    /// A peer is in the room, but no connection to it could be made.
    Unreachable(PeerId),
    /// A peer's connection to the signaling server ended; its channels to us may well be alive.
    LeftServer(PeerId),
    /// A peer that is connected came back to the signaling server.
    BackAtServer(PeerId),
    /// This many signals were dropped because no WebRTC stack sends such signals.
    BadSignals(u32),
    /// More peers came and went at the server than we keep track of: for this many of them the news
    /// is lost.
    Crowded(u32),
    /// The server sent news of the room.
    Room(RoomEvent),
    /// Bytes from a peer.
    Received { from: PeerId, channel: Channel, bytes: Box<[u8]> },
    /// The signaling server is gone for good; connected peers stay connected, but no new peer can
    /// join.
    SignalingLost,
    /// The signaling server is gone; we are trying to reach it again.
    SignalingAway,
    /// The signaling server is back.
    SignalingBack,
    /// The transport has failed and can no longer be used.
    Failed(TransportError),
}

/// The path that packets take between two peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// Not known yet: finding out takes about a second. Without a network it stays unknown.
    #[default]
    Unknown,
    /// From machine to machine, perhaps through routers.
    Direct,
    /// Through a TURN server, ours or the other peer's.
    Relayed,
}

/// Why no connection could be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The signaling server did not answer.
    #[error("cannot reach the server at {url}; check the address, and that the server is running")]
    Unreachable {
        /// The address that was tried.
        url: String,
    },
    /// The signaling server refused, for this reason in its own words.
    #[error("{0}")]
    Refused(String),
    /// The owner of the room removed us from it.
    #[error("{}", Refusal::Kicked)]
    Kicked,
    /// The address cannot be that of a room.
    #[error("{0:?} is not the address of a room; it should look like ws://host:3536/room")]
    BadUrl(String),
    /// No server can be at the address, so none is tried.
    #[error("{url:?} can lead to no server: {fault}; an address looks like ws://host:3536/room")]
    BadServer {
        /// The address.
        url: String,
        /// What is wrong with it.
        fault: AddressFault,
    },
    /// A STUN or TURN server cannot be used, or there are too many of them.
    #[error(
        "{0:?} cannot be used as a STUN or TURN server: write stun:host:3478, or turn:host:3478 \
         with a user name and a password, the same for every TURN server; at most 8 addresses are \
         allowed"
    )]
    BadIceServer(String),
    /// The connection broke off.
    #[error("the connection broke off; try again")]
    Closed,
    /// The crate was built without the feature `webrtc`.
    #[error("this build cannot go online: the feature `webrtc` is off")]
    NotBuilt,
}

/// Why no server can be at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressFault {
    /// The host is missing, or cannot be the name of one.
    #[error("the part after :// must be the name or the IP address of a server")]
    Host,
    /// The port is no port.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// The host looks like an IPv6 address, but is none, or stands without brackets.
    #[error("an IPv6 address stands in brackets, as in ws://[::1]:3536/room")]
    Ipv6,
    /// A character cannot be part of an address.
    #[error("it has a character that an address cannot have: write a space as %20")]
    Character,
}

/// A way to reach the peers of one room. It is polled and never blocks, except in
/// [`see_out`](Self::see_out).
pub(crate) trait Transport: Send + Sync + 'static {
    /// Appends what happened since the last call.
    fn poll(&mut self, now: Duration, events: &mut Vec<TransportEvent>);
    /// Starts connections to waiting peers of the room that `may_meet` admits, a few at a time.
    fn meet(&mut self, _now: Duration, _may_meet: &dyn Fn(PeerId) -> bool) {}
    /// Whether peers of the room wait for a connection, or one is being made.
    fn is_meeting(&self) -> bool {
        false
    }
    /// Whether peers wait for a connection, but none is left for them.
    fn is_out_of_connections(&self) -> bool {
        false
    }
    /// Ends the connection to a peer once the last data sent to it is out.
    fn disconnect(&mut self, _peer: PeerId) {}
    /// Sends to one peer; bytes to a peer that is gone are dropped.
    fn send(&mut self, now: Duration, to: PeerId, channel: Channel, bytes: &[u8]);
    /// Sends the server a request about the room.
    fn ask(&mut self, _request: RoomRequest) {}
    /// Leaves the room and enters no other. Data already sent to peers still goes out while the
    /// transport is kept.
    fn leave(&mut self) {}
    /// Blocks a program that is about to end until the server and the peers have had time to learn
    /// that we left.
    fn see_out(&self) {}
    /// The path that packets take to a peer.
    fn route(&self, _peer: PeerId) -> Route {
        Route::Unknown
    }
}
