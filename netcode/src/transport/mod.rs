//! Bytes to and from peers. The only folder that touches sockets.
//!
//! Above it nothing knows whether a peer is reached over WebRTC or in memory.

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
pub use conditioner::LinkConditions;
pub(crate) use room_list::Lister;

/// The largest datagram that is sent or looked at: payload that fits one IP packet on nearly every
/// path, the minimum that WebRTC assumes.
pub(crate) const MAX_DATAGRAM_BYTES: usize = 1200;

/// The largest control message that is looked at.
pub(crate) const MAX_CONTROL_BYTES: usize = 16 * 1024;

/// Peers that we keep track of at most: twice the seats that a match can have. A room may hold more.
pub(crate) const MAX_PEERS: usize = 32;

/// The two channels of each pair of peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Unreliable and unordered: inputs.
    Datagrams,
    /// Reliable and ordered: control.
    Control,
}

impl Channel {
    /// The largest packet that is looked at.
    pub(crate) fn max_bytes(self) -> usize {
        match self {
            Self::Datagrams => MAX_DATAGRAM_BYTES,
            Self::Control => MAX_CONTROL_BYTES,
        }
    }
}

/// What a transport reports.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "webrtc"),
    expect(
        dead_code,
        reason = "without data channels nothing fails, and outside tests nobody is met"
    )
)]
pub(crate) enum TransportEvent {
    /// We are in the room, under this id.
    Opened(PeerId),
    /// Both channels to a peer are open.
    Connected(PeerId),
    /// The channels to a peer closed.
    Disconnected(PeerId),
    /// A packet of a peer that is not connected yet was dropped: it sent too many.
    DroppedEarly,
    /// A peer is in the room, but no connection to it came about.
    Unreachable(PeerId),
    /// A peer's connection to the signaling server ended; its channels to us may well be alive.
    LeftServer(PeerId),
    /// A peer that is connected came back to the signaling server.
    BackAtServer(PeerId),
    /// Signals that no WebRTC stack sends were dropped: this many.
    BadSignals(u32),
    /// More peers came and went at the server than are kept track of: the news of this many is
    /// lost.
    Crowded(u32),
    /// The server tells of the room.
    Room(RoomEvent),
    /// Bytes from a peer.
    Received { from: PeerId, channel: Channel, bytes: Box<[u8]> },
    /// The signaling server is gone for good; peers that are connected stay so, but nobody new can come.
    SignalingLost,
    /// The signaling server is gone; we try to reach it again.
    SignalingAway,
    /// The signaling server is back.
    SignalingBack,
    /// The transport is of no more use.
    Failed(TransportError),
}

/// Which way packets go between two peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// Not known yet, which takes about a second; nor ever, where there is no network.
    #[default]
    Unknown,
    /// From machine to machine, perhaps through routers.
    Direct,
    /// Through a TURN server, ours or the other's.
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
    /// The signaling server said no, in its own words.
    #[error("{0}")]
    Refused(String),
    /// The owner of the room sent us off.
    #[error("{}", Refusal::Kicked)]
    Kicked,
    /// The address is not one that a room can have.
    #[error("{0:?} is not the address of a room; it should look like ws://host:3536/room")]
    BadUrl(String),
    /// A STUN or TURN server is not one that can be used, or there are too many.
    #[error(
        "{0:?} is not a STUN or TURN server that can be used; it should look like stun:host:3478, or like turn:host:3478 with a \
         user name and a password, the same for all of at most 8"
    )]
    BadIceServer(String),
    /// The connection ended by itself.
    #[error("the connection broke off; try again")]
    Closed,
    /// The crate was built without the feature `webrtc`.
    #[error("this build cannot go online: the feature `webrtc` is off")]
    NotBuilt,
}

/// A way to reach the peers of one room. Polled; never blocks, but for [`see_out`](Self::see_out).
pub(crate) trait Transport: Send + Sync + 'static {
    /// Appends what happened since the last call.
    fn poll(&mut self, now: Duration, events: &mut Vec<TransportEvent>);
    /// Begins connections to peers of the room that wait for one and that `may_meet` admits; to few
    /// at a time.
    fn meet(&mut self, _now: Duration, _may_meet: &dyn Fn(PeerId) -> bool) {}
    /// Whether peers of the room wait for a connection, or one is coming about.
    fn is_meeting(&self) -> bool {
        false
    }
    /// Whether peers wait for a connection, and there is none left for them.
    fn is_out_of_connections(&self) -> bool {
        false
    }
    /// Ends the connection to a peer, once what was sent to it last is out.
    fn disconnect(&mut self, _peer: PeerId) {}
    /// Sends to one peer; bytes to a peer that is gone are dropped.
    fn send(&mut self, now: Duration, to: PeerId, channel: Channel, bytes: &[u8]);
    /// Asks the server for something in the room.
    fn ask(&mut self, _request: RoomRequest) {}
    /// Leaves the room, and enters no other. What was sent to peers goes out as long as the transport is kept.
    fn leave(&mut self) {}
    /// Holds up a program that is about to end until everybody can have heard that we left.
    fn see_out(&self) {}
    /// Which way packets go to a peer.
    fn route(&self, _peer: PeerId) -> Route {
        Route::Unknown
    }
}
