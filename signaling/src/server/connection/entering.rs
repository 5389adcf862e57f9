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
        hub::{Visit, Visitor},
        local::{OutboxReader, outbox, text},
        shared::{Shared, unix_millis},
        stream::ClientSocket,
    },
};

/// Somebody who is in a room: all that stays in memory for as long.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(super) socket: ClientSocket,
    pub(super) visit: Visit,
    pub(super) queue: OutboxReader,
    pub(super) sent_off: oneshot::Receiver<Refusal>,
}

/// One of matchbox's clients, which nobody will know again.
pub(super) fn stranger(shared: &Shared) -> Visitor {
    Visitor {
        peer: PeerId(Uuid::new_v4()),
        is_lasting: false,
        connection: shared.connections.fetch_add(1, Relaxed),
        is_v1: false,
        resume: None,
    }
}

/// One of ours. It has the id that follows from its key, so that it stays the same peer over
/// several connections; without a key it is a new one.
pub(super) fn visitor(key: Option<PeerKey>, resume: Option<Resume>, shared: &Shared) -> Visitor {
    let stranger = stranger(shared);
    let peer = key.map_or(stranger.peer, PeerKey::peer);
    Visitor { peer, is_lasting: key.is_some(), is_v1: true, resume, ..stranger }
}

/// Enters the room.
pub(super) async fn meet(
    wish: &Wish,
    visitor: Visitor,
    shared: &Shared,
) -> Result<(Visit, OutboxReader, oneshot::Receiver<Refusal>), End> {
    let (outbox, queue, sent_off) = outbox(shared.config.max_queued_bytes);
    if visitor.is_v1 && outbox.push(welcome(visitor.peer, shared)).is_err() {
        return Err(End::Refused(Refusal::TooSlow));
    }
    let visit = shared.hub.enter(&visitor, wish, outbox).await.map_err(End::Refused)?;
    shared.health.counters.count(Counter::Joined);
    info!(room = visit.room().0, peer = %visit.peer, "joined");
    shared.hub.give_token(&visit, unix_millis()).await;
    Ok((visit, queue, sent_off))
}

/// What a peer of ours reads before its id: the queue begins with it.
fn welcome(peer: PeerId, shared: &Shared) -> Utf8Bytes {
    text(&shared.config.ice_settings().welcome(peer, SystemTime::now()))
}
