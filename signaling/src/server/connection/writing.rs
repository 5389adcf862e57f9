//! What the server writes while a connection lasts.

use tokio::time::timeout;
use tungstenite::{
    Utf8Bytes,
    protocol::frame::coding::{Control, Data, OpCode},
};

use super::ending::End;
use crate::{
    protocol::Refusal,
    server::{shared::Shared, stream::ClientSocket},
};

/// What the server writes while a connection lasts.
pub(super) enum Outgoing {
    Text(Utf8Bytes),
    Ping,
    Pong(Vec<u8>),
}

pub(super) async fn write(
    socket: &mut ClientSocket,
    outgoing: &Outgoing,
    shared: &Shared,
) -> Result<(), End> {
    let (opcode, payload) = match outgoing {
        Outgoing::Text(text) => (OpCode::Data(Data::Text), text.as_bytes()),
        Outgoing::Ping => (OpCode::Control(Control::Ping), &[][..]),
        Outgoing::Pong(payload) => (OpCode::Control(Control::Pong), &payload[..]),
    };
    // We do not read while we write, so a peer that reads nothing counts as silent.
    match timeout(shared.config.idle_timeout, socket.send(opcode, payload)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Broken),
        Err(_) => Err(End::Refused(Refusal::Silent)),
    }
}
