//! What a client sent that is no text: pings, the end, and what is not understood.

use tokio::time::timeout;
use tracing::debug;
use tungstenite::protocol::frame::coding::{Control, OpCode};

use super::ending::{CLOSE_GRACE, End};
use crate::{
    protocol::Refusal,
    server::{
        counters::Counter,
        shared::Shared,
        stream::{ClientSocket, Incoming, SocketError},
    },
};

/// What is to be done about something that came.
pub(super) enum Received {
    /// Nothing more.
    Message,
    /// Nothing more; it was about the room, so everybody in it may have heard of it.
    Request,
    Ping(Vec<u8>),
    End(End),
}

/// Follows what came from the peer, unless it is a text.
pub(super) async fn handle_frame(
    incoming: Result<Incoming, SocketError>,
    socket: &mut ClientSocket,
    shared: &Shared,
) -> Received {
    match incoming {
        Ok(Incoming::Binary) => shared.health.counters.count(Counter::DroppedBinary),
        Ok(Incoming::Text(_) | Incoming::Pong | Incoming::Part) => {}
        Ok(Incoming::Ping(payload)) => return Received::Ping(payload),
        Ok(Incoming::Close(payload)) => {
            let answer = socket.send(OpCode::Control(Control::Close), &payload);
            // A peer that is gone needs none.
            let _ = timeout(CLOSE_GRACE, answer).await;
            return Received::End(End::Left);
        }
        Err(SocketError::TooLong(_)) => {
            return Received::End(End::Refused(Refusal::MessageTooLong));
        }
        Err(error) => {
            debug!(%error, "a broken WebSocket");
            return Received::End(End::Broken);
        }
    }
    Received::Message
}
