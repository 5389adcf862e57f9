//! The peers that are connected to this process: the room that each of them is in, and its queue of
//! outgoing messages.

mod outbox;
mod introductions;
mod views;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::{sync::Notify, time::Instant};
use tungstenite::Utf8Bytes;

pub(crate) use self::outbox::{Outbox, OutboxReader, new_outbox};
use self::{
    introductions::{Introduction, Introductions},
    outbox::Undeliverable,
    views::{View, Views},
};
use super::{
    counters::{Counter, Health},
    room::{Effect, RoomId},
};
use crate::{
    lobby::{RoomEvent, RoomState},
    protocol::{PeerEvent, PeerId, Refusal},
};

/// The connected peers, by id.
type Peers = HashMap<PeerId, Entry>;

/// The peers that are connected to this process. Locked only while queues are being filled, never
/// across an await.
#[derive(Debug, Default)]
pub(crate) struct Local {
    peers: Mutex<Peers>,
    health: Arc<Health>,
    /// If both this and the peers are locked, the peers are locked first.
    introductions: Mutex<Introductions>,
    /// Likewise.
    views: Mutex<Views>,
    /// Wakes the task that sends peers their deferred messages.
    late_news: Notify,
}

#[derive(Debug)]
struct Entry {
    connection: u64,
    room: RoomId,
    is_v1: bool,
    /// It has connected again to another process, and this connection is about to end.
    is_replaced: bool,
    is_owner: bool,
    /// It has no token that states its current role in the room.
    needs_token: bool,
    outbox: Outbox,
}

/// The outcome of a delivery to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The message is in the peer's queue; or the queue was full, which is either counted or ends
    /// the peer's connection.
    Done,
    /// The peer is not connected here.
    NotHere,
    /// The peer is in another room.
    OtherRoom,
}

impl Local {
    pub(crate) fn new(health: Arc<Health>) -> Self {
        Self { health, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Peers> {
        // No operation on it can stop halfway.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_introductions(&self) -> MutexGuard<'_, Introductions> {
        // Nor on these.
        self.introductions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_views(&self) -> MutexGuard<'_, Views> {
        // Nor on these.
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of peers that are connected.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Puts a peer into a room, unless `most` peers are here already. Ends an earlier connection of
    /// the peer, and returns the room that it was in.
    pub(crate) fn enter(
        &self,
        (peer, connection): (PeerId, u64),
        is_v1: bool,
        room: &RoomId,
        outbox: Outbox,
        most: usize,
    ) -> Result<Option<RoomId>, Outbox> {
        let mut peers = self.lock();
        if peers.len() >= most && !peers.contains_key(&peer) {
            return Err(outbox);
        }
        let (room, is_replaced, is_owner, needs_token) = (room.clone(), false, false, true);
        let entry = Entry { connection, room, is_v1, is_replaced, is_owner, needs_token, outbox };
        Ok(peers.insert(peer, entry).map(|before| {
            before.outbox.close(Refusal::Replaced);
            before.room
        }))
    }

    /// Takes a peer out, if this is its current connection.
    pub(crate) fn leave(&self, peer: PeerId, connection: u64) -> Option<Outbox> {
        let mut peers = self.lock();
        let is_present = peers.get(&peer).is_some_and(|entry| entry.connection == connection);
        is_present.then(|| peers.remove(&peer)).flatten().map(|entry| entry.outbox)
    }

    /// Ends the connection of a peer that has connected again to another process. From now on it
    /// does not count as connected here.
    pub(crate) fn replace(&self, peer: PeerId, room: &RoomId) {
        if let Some(entry) = self.lock().get_mut(&peer).filter(|entry| entry.is_in(room)) {
            entry.is_replaced = true;
            entry.outbox.close(Refusal::Replaced);
        }
    }

    /// Returns whether the peer has no token that states its current role in the room.
    pub(crate) fn needs_token(&self, peer: PeerId) -> bool {
        self.lock().get(&peer).is_some_and(|entry| entry.needs_token)
    }

    pub(crate) fn set_needs_token(&self, peer: PeerId, needs_token: bool) {
        if let Some(entry) = self.lock().get_mut(&peer) {
            entry.needs_token = needs_token;
        }
    }

    /// Returns whether a peer is connected here and in this room.
    pub(crate) fn is_in(&self, peer: PeerId, room: &RoomId) -> bool {
        self.lock().get(&peer).is_some_and(|entry| entry.is_in(room))
    }

    /// The peers that are connected here and in this room.
    pub(crate) fn of_room(&self, room: &RoomId) -> Vec<PeerId> {
        let peers = self.lock();
        peers.iter().filter(|(_, entry)| entry.is_in(room)).map(|(&peer, _)| peer).collect()
    }

    /// Delivers a complete message to a peer in this room.
    pub(crate) fn deliver(&self, room: &RoomId, to: PeerId, message: Utf8Bytes) -> Delivery {
        self.deliver_by(room, to, |entry| entry.push(message))
    }

    /// Delivers a signal, as a complete message, from another peer to a peer in this room.
    pub(crate) fn deliver_signal(
        &self,
        room: &RoomId,
        from: PeerId,
        to: PeerId,
        message: Utf8Bytes,
    ) -> Delivery {
        self.deliver_by(room, to, |entry| {
            for _ in 0..entry.outbox.push_signal(from, message) {
                self.health.counters.count(Counter::DroppedSlowReceiver);
            }
        })
    }

    fn deliver_by(&self, room: &RoomId, to: PeerId, push: impl FnOnce(&Entry)) -> Delivery {
        match self.lock().get(&to) {
            None => Delivery::NotHere,
            Some(entry) if entry.is_replaced => Delivery::NotHere,
            Some(entry) if entry.room != *room => Delivery::OtherRoom,
            Some(entry) => {
                push(entry);
                Delivery::Done
            }
        }
    }

    /// Delivers the effects of a change in a room to those of its peers that are connected here:
    /// now, or when [`tell_late`](Self::tell_late) finds that they are due.
    pub(crate) fn apply(&self, room: &RoomId, effects: &[Effect], now: Instant) {
        let mut peers = self.lock();
        let mut newcomers = Vec::new();
        for effect in effects {
            match effect {
                Effect::Tell { event: PeerEvent::IdAssigned(peer), .. } => newcomers.push(*peer),
                Effect::Show { to, state } => {
                    for peer in to {
                        if let Some(entry) = peers.get_mut(peer).filter(|entry| entry.is_in(room)) {
                            entry.note_owner(state.owner == Some(*peer));
                        }
                    }
                }
                Effect::Tell { .. } | Effect::SendOff { .. } => {}
            }
        }
        for effect in effects {
            match effect {
                Effect::Tell { to, event: PeerEvent::NewPeer(newcomer) } => {
                    self.announce(&peers, room, (to, *newcomer), now);
                }
                Effect::Tell { to, event } => {
                    if let PeerEvent::PeerLeft(peer) = event {
                        self.lock_introductions().cancel(room, *peer);
                    }
                    push_to_each(&peers, room, to, event);
                }
                Effect::Show { to, state } => {
                    for member in state.members.iter().filter(|member| !member.is_here) {
                        self.lock_introductions().cancel(room, member.id);
                    }
                    self.show(&peers, room, (to, &newcomers), state, now);
                }
                Effect::SendOff { peer } => {
                    if let Some(entry) = peers.get(peer).filter(|entry| entry.is_in(room)) {
                        entry.outbox.close(Refusal::Kicked);
                    }
                }
            }
        }
    }

    /// Announces a newcomer: to matchbox's clients now, and to peers at `/v1/` later.
    fn announce(
        &self,
        peers: &Peers,
        room: &RoomId,
        (to, newcomer): (&[PeerId], PeerId),
        now: Instant,
    ) {
        let is_told_late = |peer: &PeerId| here(peers, room, *peer).is_some_and(|to| to.is_v1);
        let (later, at_once): (Vec<_>, Vec<_>) = to.iter().copied().partition(is_told_late);
        let has_late_news = !later.is_empty();
        self.lock_introductions().add(room, newcomer, (later, to), now);
        if has_late_news {
            self.late_news.notify_one();
        }
        push_to_each(peers, room, &at_once, &PeerEvent::<()>::NewPeer(newcomer));
    }

    /// Shows peers the room: newcomers at once, and the other peers when it is their turn.
    fn show(
        &self,
        peers: &Peers,
        room: &RoomId,
        (to, newcomers): (&[PeerId], &[PeerId]),
        state: &RoomState,
        now: Instant,
    ) {
        let to = to.iter().copied().filter(|peer| here(peers, room, *peer).is_some());
        let (at_once, others): (Vec<_>, Vec<_>) = to.partition(|peer| newcomers.contains(peer));
        if at_once.is_empty() && others.is_empty() {
            return;
        }
        let state = text(&ShownRoom { Room: state });
        let mut views = self.lock_views();
        views.forget(room, &at_once);
        push_view(peers, room, View { to: at_once, state: state.clone() });
        if !others.is_empty() {
            let view = views.add(room, View { to: others, state }, now);
            view.into_iter().for_each(|view| push_view(peers, room, view));
            self.late_news.notify_one();
        }
    }

    /// Sends peers the deferred messages that are due. Returns whether more may be due soon.
    pub(crate) fn tell_late(&self, now: Instant) -> bool {
        let peers = self.lock();
        // This goes first, so that every peer to which a newcomer is announced has seen it in the
        // room.
        let mut views = self.lock_views();
        for (room, view) in views.take_due(now) {
            push_view(&peers, &room, view);
        }
        let mut introductions = self.lock_introductions();
        for (room, Introduction { newcomer, to, .. }) in introductions.take_due(now) {
            push_to_each(&peers, &room, &to, &PeerEvent::<()>::NewPeer(newcomer));
        }
        !introductions.is_empty() || !views.is_empty()
    }

    /// Resolves once messages to peers have been deferred.
    pub(crate) async fn late_news(&self) {
        self.late_news.notified().await;
    }

    /// Sends an event to every peer that understands it.
    pub(crate) fn tell_all(&self, event: &RoomEvent) {
        let message = text(event);
        for entry in self.lock().values().filter(|entry| entry.is_v1 && !entry.is_replaced) {
            entry.push(message.clone());
        }
    }
}

impl Entry {
    fn is_in(&self, room: &RoomId) -> bool {
        self.room == *room && !self.is_replaced
    }

    fn note_owner(&mut self, is_owner: bool) {
        self.needs_token |= self.is_owner != is_owner;
        self.is_owner = is_owner;
    }

    fn push(&self, message: Utf8Bytes) {
        self.close_if_full(self.outbox.push(message));
    }

    fn push_state(&self, state: Utf8Bytes) {
        self.close_if_full(self.outbox.push_state(state));
    }

    /// Closes the queue if it is full, which tells the connection to end.
    fn close_if_full(&self, pushed: Result<(), Undeliverable>) {
        if pushed.is_err() {
            self.outbox.close(Refusal::TooSlow);
        }
    }
}

/// Returns the peer's entry, if the peer is connected here and in this room.
fn here<'a>(peers: &'a Peers, room: &RoomId, peer: PeerId) -> Option<&'a Entry> {
    peers.get(&peer).filter(|entry| entry.is_in(room))
}

fn push_to_each(peers: &Peers, room: &RoomId, to: &[PeerId], event: &PeerEvent<()>) {
    let message = text(event);
    let to = to.iter().filter_map(|peer| here(peers, room, *peer));
    to.for_each(|entry| entry.push(message.clone()));
}

fn push_view(peers: &Peers, room: &RoomId, View { to, state }: View) {
    let to = to.iter().filter_map(|peer| here(peers, room, *peer));
    to.for_each(|entry| entry.push_state(state.clone()));
}

/// [`RoomEvent::Room`], without owning the room.
#[derive(Serialize)]
#[expect(non_snake_case, reason = "the name on the wire")]
struct ShownRoom<'a> {
    Room: &'a RoomState,
}

/// Returns an event as it is sent to a peer.
pub(crate) fn text(event: &impl Serialize) -> Utf8Bytes {
    Utf8Bytes::from(serde_json::to_string(event).expect("an event is valid JSON"))
}

#[cfg(test)]
mod tests;
