//! A client's frames other than text: pings, close frames, and frames that are not understood.

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

/// What to do after a frame was handled.
pub(super) enum Received {
    /// Nothing more.
    Message,
    /// Nothing more. It was a request about the room, whose result may have been sent to everybody
    /// in it.
    Request,
    Ping(Vec<u8>),
    End(End),
}

/// Handles a frame that is not text.
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
            // A peer that is gone needs no answer.
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
