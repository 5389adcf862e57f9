//! The peers that are connected to this process: in which room each of them is, and the queue of what it is sent.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::{sync::Notify, time::Instant};
use tungstenite::Utf8Bytes;

use super::{
    counters::{Counter, Health},
    introductions::Introductions,
    outbox::{Outbox, Undeliverable},
    room::{Effect, RoomId},
};
use crate::{
    lobby::RoomEvent,
    protocol::{PeerEvent, PeerId, Refusal},
};

/// Who is connected here. Locked only for as long as it takes to fill queues, never across a wait.
#[derive(Debug, Default)]
pub(crate) struct Local {
    peers: Mutex<HashMap<PeerId, Entry>>,
    health: Arc<Health>,
    /// Locked after the peers, if both are.
    introductions: Mutex<Introductions>,
    /// Wakes whoever makes the introductions.
    newcomers: Notify,
}

#[derive(Debug)]
struct Entry {
    connection: u64,
    room: RoomId,
    is_v1: bool,
    /// It came again by another process, and is on its way out here.
    is_replaced: bool,
    is_owner: bool,
    /// It has no token that says what it is in its room.
    needs_token: bool,
    outbox: Outbox,
}

/// What became of something for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handed {
    /// It is in the peer's queue; or the queue was full, which is counted or ends the peer's
    /// connection.
    Over,
    /// The peer is not connected here.
    NotHere,
    /// The peer is in another room.
    OtherRoom,
}

impl Local {
    pub(crate) fn new(health: Arc<Health>) -> Self {
        Self { health, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PeerId, Entry>> {
        // Nothing in here can be left half done.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_introductions(&self) -> MutexGuard<'_, Introductions> {
        // Nor in there.
        self.introductions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are connected.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Puts a peer into a room, unless there are `most` here. An earlier connection of it is ended; its room is returned.
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

    /// Takes a peer out, if this is its connection.
    pub(crate) fn leave(&self, peer: PeerId, connection: u64) -> Option<Outbox> {
        let mut peers = self.lock();
        let is_present = peers.get(&peer).is_some_and(|entry| entry.connection == connection);
        is_present.then(|| peers.remove(&peer)).flatten().map(|entry| entry.outbox)
    }

    /// Ends the connection of a peer that came again by another process; from now on it is not here.
    pub(crate) fn replace(&self, peer: PeerId, room: &RoomId) {
        if let Some(entry) = self.lock().get_mut(&peer).filter(|entry| entry.is_in(room)) {
            entry.is_replaced = true;
            entry.outbox.close(Refusal::Replaced);
        }
    }

    /// Whether the peer has no token that says what it is in its room.
    pub(crate) fn needs_token(&self, peer: PeerId) -> bool {
        self.lock().get(&peer).is_some_and(|entry| entry.needs_token)
    }

    pub(crate) fn set_needs_token(&self, peer: PeerId, needs_token: bool) {
        if let Some(entry) = self.lock().get_mut(&peer) {
            entry.needs_token = needs_token;
        }
    }

    /// Whether a peer is connected here, in that room.
    pub(crate) fn is_in(&self, peer: PeerId, room: &RoomId) -> bool {
        self.lock().get(&peer).is_some_and(|entry| entry.is_in(room))
    }

    /// Who is connected here, in that room.
    pub(crate) fn of_room(&self, room: &RoomId) -> Vec<PeerId> {
        let peers = self.lock();
        peers.iter().filter(|(_, entry)| entry.is_in(room)).map(|(&peer, _)| peer).collect()
    }

    /// Hands a peer of that room a complete message.
    pub(crate) fn hand(&self, room: &RoomId, to: PeerId, message: Utf8Bytes) -> Handed {
        self.hand_over(room, to, |entry| entry.push(message))
    }

    /// Hands a peer of that room a signal, a complete message, of another one.
    pub(crate) fn hand_signal(
        &self,
        room: &RoomId,
        from: PeerId,
        to: PeerId,
        message: Utf8Bytes,
    ) -> Handed {
        self.hand_over(room, to, |entry| {
            for _ in 0..entry.outbox.push_signal(from, message) {
                self.health.counters.count(Counter::DroppedSlowReceiver);
            }
        })
    }

    fn hand_over(&self, room: &RoomId, to: PeerId, hand: impl FnOnce(&Entry)) -> Handed {
        match self.lock().get(&to) {
            None => Handed::NotHere,
            Some(entry) if entry.is_replaced => Handed::NotHere,
            Some(entry) if entry.room != *room => Handed::OtherRoom,
            Some(entry) => {
                hand(entry);
                Handed::Over
            }
        }
    }

    /// Hands out what comes of a change in that room to those who are connected here.
    pub(crate) fn apply(&self, room: &RoomId, effects: &[Effect]) {
        let mut peers = self.lock();
        for effect in effects {
            let Effect::Show { to, state } = effect else { continue };
            for peer in to {
                if let Some(entry) = peers.get_mut(peer).filter(|entry| entry.is_in(room)) {
                    entry.note_owner(state.owner == Some(*peer));
                }
            }
        }
        let to_each = |to: &[PeerId], hand: &dyn Fn(&Entry)| {
            to.iter().filter_map(|to| peers.get(to)).filter(|to| to.is_in(room)).for_each(hand);
        };
        for effect in effects {
            if let Effect::Tell { event: PeerEvent::PeerLeft(peer), .. } = effect {
                self.lock_introductions().cancel(room, *peer);
            }
            match effect {
                Effect::Tell { to, .. } | Effect::Show { to, .. } if to.is_empty() => {}
                Effect::Tell { to, event: PeerEvent::NewPeer(newcomer) } => {
                    let is_late =
                        |to: &&PeerId| peers.get(*to).is_some_and(|entry| entry.is_told_late(room));
                    let later = to.iter().filter(is_late).copied().collect();
                    self.lock_introductions().add(room, *newcomer, (later, to), Instant::now());
                    self.newcomers.notify_one();
                    let message = text(&PeerEvent::<()>::NewPeer(*newcomer));
                    to_each(to, &|entry| {
                        if !entry.is_told_late(room) {
                            entry.push(message.clone());
                        }
                    });
                }
                Effect::Tell { to, event } => {
                    let message = text(event);
                    to_each(to, &|entry| entry.push(message.clone()));
                }
                Effect::Show { to, state } => {
                    for member in state.members.iter().filter(|member| !member.is_here) {
                        self.lock_introductions().cancel(room, member.id);
                    }
                    let message = text(&ShownRoom { Room: state });
                    to_each(to, &|entry| entry.push_state(message.clone()));
                }
                Effect::SendOff { peer } => {
                    if let Some(entry) = peers.get(peer).filter(|entry| entry.is_in(room)) {
                        entry.outbox.close(Refusal::Kicked);
                    }
                }
            }
        }
    }

    /// Tells the others of newcomers that have stayed for long enough by now. Returns whether there may be more to be told soon.
    pub(crate) fn introduce(&self, now: Instant) -> bool {
        let peers = self.lock();
        let mut introductions = self.lock_introductions();
        for (room, introduction) in introductions.take_due(now) {
            let message = text(&PeerEvent::<()>::NewPeer(introduction.newcomer));
            let to = introduction.to.iter().filter_map(|to| peers.get(to));
            to.filter(|to| to.is_in(&room)).for_each(|to| to.push(message.clone()));
        }
        !introductions.is_empty()
    }

    /// Resolves once somebody came of whom others are to be told.
    pub(crate) async fn newcomer_waits(&self) {
        self.newcomers.notified().await;
    }

    /// Tells everybody who understands it.
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

    /// Whether it is told of newcomers of that room only once they have stayed for a moment.
    fn is_told_late(&self, room: &RoomId) -> bool {
        self.is_v1 && self.is_in(room)
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

    /// Where the queue is full it is closed, by which the connection knows that it must end.
    fn close_if_full(&self, pushed: Result<(), Undeliverable>) {
        if pushed.is_err() {
            self.outbox.close(Refusal::TooSlow);
        }
    }
}

/// [`RoomEvent::Room`] of a room that need not be owned.
#[derive(Serialize)]
#[expect(non_snake_case, reason = "the name on the wire")]
struct ShownRoom<'a> {
    Room: &'a crate::lobby::RoomState,
}

/// An event as it goes to a peer.
pub(crate) fn text(event: &impl Serialize) -> Utf8Bytes {
    Utf8Bytes::from(serde_json::to_string(event).expect("an event is valid JSON"))
}
