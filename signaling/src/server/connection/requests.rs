//! What a peer in a room asks for, as the text of a message, and who does it.

use serde::Deserialize;
use serde_json::value::RawValue;
use tungstenite::Utf8Bytes;

use super::receiving::Taken;
use crate::{
    lobby::RoomRequest,
    protocol::{PeerEvent, PeerId, PeerRequest},
    server::{counters::Counter, hub::Visit, local::text, shared::Shared},
};

/// Does what a peer asks for.
pub(super) async fn receive(text: &str, visit: &Visit, shared: &Shared) -> Taken {
    match read(text, visit) {
        Ok(Said::Here) => {}
        Ok(Said::Signal { receiver, message }) => {
            shared.hub.signal(visit, receiver, message).await;
        }
        Ok(Said::Room(request)) => {
            shared.hub.ask(visit, &request).await;
            return Taken::Request;
        }
        Err(_) => shared.health.counters.count(Counter::DroppedUnreadable),
    }
    Taken::Message
}

/// What a peer said.
#[derive(Debug)]
pub(crate) enum Said {
    /// Only that it is there.
    Here,
    /// This, a complete event, shall go to that peer.
    Signal { receiver: PeerId, message: Utf8Bytes },
    /// Something about its room.
    Room(RoomRequest),
}

/// The request that matchbox does not know.
#[derive(Deserialize)]
enum OwnRequest {
    Room(RoomRequest),
}

/// Reads a peer's message.
pub(crate) fn read(message: &str, visit: &Visit) -> serde_json::Result<Said> {
    let request = match serde_json::from_str(message) {
        Ok(request) => request,
        Err(_) if visit.is_v1 => {
            let OwnRequest::Room(request) = serde_json::from_str(message)?;
            return Ok(Said::Room(request));
        }
        Err(error) => return Err(error),
    };
    Ok(match request {
        PeerRequest::<&RawValue>::KeepAlive => Said::Here,
        PeerRequest::Signal { receiver, data } => {
            let message = text(&PeerEvent::Signal { sender: visit.peer, data });
            Said::Signal { receiver, message }
        }
    })
}
