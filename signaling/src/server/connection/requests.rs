//! Parses the requests of a peer in a room, and carries them out.

use serde::Deserialize;
use serde_json::value::RawValue;
use tungstenite::Utf8Bytes;

use super::receiving::Received;
use crate::{
    lobby::RoomRequest,
    protocol::{PeerEvent, PeerId, PeerRequest},
    server::{counters::Counter, hub::JoinedPeer, local::text, shared::Shared},
};

/// Does what a peer asks for.
pub(super) async fn handle_text(text: &str, joined: &JoinedPeer, shared: &Shared) -> Received {
    match parse_request(text, joined) {
        Ok(ParsedRequest::KeepAlive) => {}
        Ok(ParsedRequest::Signal { receiver, message }) => {
            shared.hub.signal(joined, receiver, message).await;
        }
        Ok(ParsedRequest::Room(request)) => {
            shared.hub.ask(joined, &request).await;
            return Received::Request;
        }
        Err(_) => shared.health.counters.count(Counter::DroppedUnreadable),
    }
    Received::Message
}

/// A parsed request of a peer.
#[derive(Debug)]
pub(crate) enum ParsedRequest {
    /// The peer only shows that it is still connected.
    KeepAlive,
    /// Send this message, which is a complete event, to that peer.
    Signal { receiver: PeerId, message: Utf8Bytes },
    /// A request about the peer's room.
    Room(RoomRequest),
}

/// The kind of request that matchbox does not know.
#[derive(Deserialize)]
enum OwnRequest {
    Room(RoomRequest),
}

/// Parses a peer's message.
pub(crate) fn parse_request(
    message: &str,
    joined: &JoinedPeer,
) -> serde_json::Result<ParsedRequest> {
    let request = match serde_json::from_str(message) {
        Ok(request) => request,
        Err(_) if joined.is_v1 => {
            let OwnRequest::Room(request) = serde_json::from_str(message)?;
            return Ok(ParsedRequest::Room(request));
        }
        Err(error) => return Err(error),
    };
    Ok(match request {
        PeerRequest::<&RawValue>::KeepAlive => ParsedRequest::KeepAlive,
        PeerRequest::Signal { receiver, data } => {
            let message = text(&PeerEvent::Signal { sender: joined.peer, data });
            ParsedRequest::Signal { receiver, message }
        }
    })
}
