//! A peer comes into a room, or does not.

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

/// Somebody who is in a room: all that stays in memory for as long.
#[derive(Debug)]
pub(crate) struct RoomConnection {
    pub(super) socket: ClientSocket,
    pub(super) joined: JoinedPeer,
    pub(super) queue: OutboxReader,
    pub(super) close_reason: oneshot::Receiver<Refusal>,
}

/// One of matchbox's clients, which nobody will know again.
pub(super) fn stock_peer(shared: &Shared) -> JoiningPeer {
    JoiningPeer {
        peer: PeerId(Uuid::new_v4()),
        is_lasting: false,
        connection: shared.connections.fetch_add(1, Relaxed),
        is_v1: false,
        resume: None,
    }
}

/// One of ours. It has the id that follows from its key, so that it stays the same peer over
/// several connections; without a key it is a new one.
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

/// What a peer of ours reads before its id: the queue begins with it.
fn welcome(peer: PeerId, shared: &Shared) -> Utf8Bytes {
    text(&shared.config.ice_settings().welcome(peer, SystemTime::now()))
}
