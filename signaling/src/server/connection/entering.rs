//! How a peer enters a room, or is refused.

use std::{sync::atomic::Ordering::Relaxed, time::SystemTime};

use tokio::sync::oneshot;
use tracing::info;
use tungstenite::Utf8Bytes;
use uuid::Uuid;

use super::ending::End;
use crate::{
    protocol::{PeerId, PeerKey, Refusal},
    server::{
        address::Wish,
        counters::Counter,
        credentials::Resume,
        hub::{JoinedPeer, JoiningPeer},
        local::{OutboxReader, new_outbox, text},
        shared::{Shared, unix_millis},
        stream::ClientSocket,
    },
};

/// The connection of a peer that is in a room: everything that is kept in memory for as long as the
/// connection lasts.
#[derive(Debug)]
pub(crate) struct RoomConnection {
    pub(super) socket: ClientSocket,
    pub(super) joined: JoinedPeer,
    pub(super) queue: OutboxReader,
    pub(super) close_reason: oneshot::Receiver<Refusal>,
}

/// One of matchbox's clients, which is never recognised again.
pub(super) fn stock_peer(shared: &Shared) -> JoiningPeer {
    JoiningPeer {
        peer: PeerId(Uuid::new_v4()),
        is_lasting: false,
        connection: shared.connections.fetch_add(1, Relaxed),
        is_v1: false,
        resume: None,
    }
}

/// One of our clients. Its id is derived from its key, so that it stays the same peer across
/// several connections. Without a key it gets a new id.
pub(super) fn joining_peer(
    key: Option<PeerKey>,
    resume: Option<Resume>,
    shared: &Shared,
) -> JoiningPeer {
    let new_peer = stock_peer(shared);
    let peer = key.map_or(new_peer.peer, PeerKey::peer);
    JoiningPeer { peer, is_lasting: key.is_some(), is_v1: true, resume, ..new_peer }
}

/// Enters the room.
pub(super) async fn enter_room(
    wish: &Wish,
    joining: JoiningPeer,
    shared: &Shared,
) -> Result<(JoinedPeer, OutboxReader, oneshot::Receiver<Refusal>), End> {
    let (outbox, queue, close_reason) = new_outbox(shared.config.max_queued_bytes);
    if joining.is_v1 && outbox.push(welcome(joining.peer, shared)).is_err() {
        return Err(End::Refused(Refusal::TooSlow));
    }
    let joined = shared.hub.enter(&joining, wish, outbox).await.map_err(End::Refused)?;
    shared.health.counters.count(Counter::Joined);
    info!(room = joined.room().0, peer = %joined.peer, "joined");
    shared.hub.give_token(&joined, unix_millis()).await;
    Ok((joined, queue, close_reason))
}

/// The first message for a peer at `/v1/`, before its id.
fn welcome(peer: PeerId, shared: &Shared) -> Utf8Bytes {
    text(&shared.config.ice_settings().welcome(peer, SystemTime::now()))
}
