//! The hub lets peers enter rooms and tells the other peers about them. It stands between the
//! connections of this process and the store of the rooms.
//!
//! Each change of a room is made on a copy, which replaces the room unless another change came
//! first. The changes of this process take turns, so only a change by another process can come
//! first and force a retry.

mod entering;
mod interest;
mod leaving;
mod missed;
mod listing;
mod lists;
#[cfg(test)]
mod faulty_store;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod interleaving_tests;
#[cfg(test)]
mod introduction_tests;
#[cfg(test)]
mod listing_tests;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{sync::Mutex as Turns, time::Instant};
use tungstenite::Utf8Bytes;
use uuid::Uuid;

use self::{
    interest::{Interest, Interests},
    lists::Lists,
    missed::MissedPeers,
};
use super::{
    counters::{Counter, Health},
    credentials::{Resume, Signer},
    local::{Delivery, Local, text},
    room::{Effect, ProcessId, Room, RoomId},
    store::{Change, Store, StoreDown},
};
use crate::{
    lobby::{Denial, RoomEvent, RoomRequest},
    protocol::{PeerId, Refusal},
};

/// How many times a change is tried before it is given up, because other processes were faster.
/// Each failure means that another process succeeded, and people never change a room this many
/// times at once.
const MAX_ATTEMPTS: u32 = 64;
/// The number of locks with which the changes of rooms take turns. Two rooms that share a lock
/// sometimes wait for each other.
const TURNS: usize = 64;

/// The limits on rooms and peers; see the fields of the same name in
/// [`ServerConfig`](super::ServerConfig).
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoomLimits {
    pub(crate) max_rooms: usize,
    pub(crate) max_peers: usize,
    pub(crate) max_peers_per_room: u16,
    /// How long a peer whose connection broke stays in its room.
    pub(crate) grace: Duration,
    /// How long a token is valid.
    pub(crate) resume_for: Duration,
}

/// A peer that wants to enter a room.
#[derive(Debug)]
pub(crate) struct JoiningPeer {
    pub(crate) peer: PeerId,
    /// Whether it can prove its identity when it connects again.
    pub(crate) is_lasting: bool,
    pub(crate) connection: u64,
    pub(crate) is_v1: bool,
    pub(crate) resume: Option<Resume>,
}

/// A peer that is in a room.
#[derive(Debug)]
pub(crate) struct JoinedPeer {
    pub(crate) peer: PeerId,
    is_lasting: bool,
    connection: u64,
    pub(crate) is_v1: bool,
    interest: Interest,
}

impl JoinedPeer {
    pub(crate) fn room(&self) -> &RoomId {
        self.interest.room()
    }
}

/// How a peer left the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Departure {
    /// It said so, or was removed.
    Left,
    /// Its connection broke: the peer may come back.
    Lost,
}

pub(crate) struct Hub {
    store: Arc<dyn Store>,
    local: Arc<Local>,
    limits: RoomLimits,
    process: ProcessId,
    signer: Signer,
    health: Arc<Health>,
    interests: Arc<Interests>,
    missed: Mutex<MissedPeers>,
    lists: Lists,
    turns: [Turns<()>; TURNS],
    hasher: RandomState,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Hub {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        local: Arc<Local>,
        limits: RoomLimits,
        (process, signer): (ProcessId, Signer),
        health: Arc<Health>,
    ) -> Self {
        Self {
            interests: Interests::new(Arc::clone(&store), limits.max_rooms),
            store,
            local,
            limits,
            process,
            signer,
            health,
            missed: Mutex::default(),
            lists: Lists::default(),
            turns: [const { Turns::const_new(()) }; TURNS],
            hasher: RandomState::new(),
        }
    }

    /// Returns whether other processes share the rooms.
    pub(crate) fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// Returns whether no peer can enter, because the store of the rooms cannot be reached.
    pub(crate) fn is_impaired(&self) -> bool {
        self.store.is_down()
    }

    /// Returns the content of a token, if it is valid for this peer.
    pub(crate) fn read_token(&self, token: &str, peer: PeerId, now: u64) -> Option<Resume> {
        self.signer.read(token, peer, now)
    }

    /// Resolves once messages to peers of this process have been deferred.
    pub(crate) async fn late_news(&self) {
        self.local.late_news().await;
    }

    /// Sends peers the deferred messages that are due. Returns whether more may be due soon.
    pub(crate) fn tell_late(&self, now: Instant) -> bool {
        self.local.tell_late(now)
    }

    /// Does what a peer asks for in its room, or tells the peer why not.
    pub(crate) async fn ask(&self, joined: &JoinedPeer, request: &RoomRequest) {
        let mut denial = None;
        let changed = self
            .change(joined.room(), |room| {
                room.ask(joined.peer, request).unwrap_or_else(|denied| {
                    denial = Some(denied);
                    Vec::new()
                })
            })
            .await;
        if let Some(denial) = denial.or(changed.is_err().then_some(Denial::Unavailable)) {
            self.health.counters.count(Counter::Denied);
            self.tell(joined, &RoomEvent::Denied(denial));
        }
    }

    /// Sends `message`, a complete event, to a peer in the same room.
    pub(crate) async fn signal(&self, joined: &JoinedPeer, to: PeerId, message: Utf8Bytes) {
        let (room, from) = (joined.room(), joined.peer);
        let dropped = match self.local.deliver_signal(room, from, to, message.clone()) {
            Delivery::Done => return,
            Delivery::OtherRoom => Counter::DroppedOtherRoom,
            Delivery::NotHere => match self.store.pass_on(room, (from, to), &message).await {
                Ok(true) => return,
                Ok(false) => Counter::DroppedUnknownReceiver,
                Err(StoreDown) => Counter::DroppedStoreDown,
            },
        };
        self.health.counters.count(dropped);
    }

    /// Returns whether a peer that can come back has no token, or a token that no longer states its
    /// role in the room.
    pub(crate) fn needs_token(&self, joined: &JoinedPeer) -> bool {
        joined.is_lasting && self.local.needs_token(joined.peer)
    }

    /// Sends a peer the token that brings it back to its room, if the peer can come back.
    pub(crate) async fn give_token(&self, joined: &JoinedPeer, now: u64) {
        if !joined.is_lasting {
            return;
        }
        // Set before the room is loaded, so that a change in between is not missed.
        self.local.set_needs_token(joined.peer, false);
        let Ok(Some(stored)) = self.store.load(joined.room()).await else {
            self.local.set_needs_token(joined.peer, true);
            return;
        };
        let token = self.signer.sign(&Resume {
            peer: joined.peer,
            room: joined.room().clone(),
            incarnation: stored.room.incarnation(),
            terms: stored.room.terms().clone(),
            claim: stored.room.claim(joined.peer),
            expires: now.saturating_add(millis(self.limits.resume_for)),
        });
        self.tell(joined, &RoomEvent::Resume(token));
    }

    fn tell(&self, joined: &JoinedPeer, event: &RoomEvent) {
        // A peer that is not connected needs no message.
        let _ = self.local.deliver(joined.room(), joined.peer, text(event));
    }

    async fn remove(&self, room: &RoomId, peer: PeerId) -> Result<(), StoreDown> {
        self.change(room, |room| self.if_gone(room, peer, |room| room.leave(peer))).await
    }

    /// Does the work, unless the peer has entered again in the meantime: by another connection of
    /// this process, or at another process, which is then responsible for it.
    fn if_gone(
        &self,
        room: &mut Room,
        peer: PeerId,
        work: impl FnOnce(&mut Room) -> Vec<Effect>,
    ) -> Vec<Effect> {
        let member = room.members().iter().find(|member| member.id == peer);
        let is_ours = member.is_some_and(|member| member.process == self.process);
        if is_ours && !self.local.is_in(peer, room.id()) { work(room) } else { Vec::new() }
    }

    /// Changes a room, if it exists, and tries again if another change came first, up to
    /// [`MAX_ATTEMPTS`] times. If the work leaves the room as it was, nothing is stored.
    async fn change(
        &self,
        id: &RoomId,
        mut work: impl FnMut(&mut Room) -> Vec<Effect>,
    ) -> Result<(), StoreDown> {
        let _turn = self.turn(id).await;
        for _ in 0..MAX_ATTEMPTS {
            let Some(stored) = self.store.load(id).await? else { return Ok(()) };
            let mut room = Room::clone(&stored.room);
            let effects = work(&mut room);
            if room == *stored.room {
                return Ok(());
            }
            let change = Change { id, from: Some(&stored), to: room, effects, beside: &[] };
            if self.store.swap(change).await? {
                return Ok(());
            }
        }
        Err(StoreDown)
    }

    async fn turn(&self, id: &RoomId) -> tokio::sync::MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(id);
        self.turns[(hash % TURNS as u64) as usize].lock().await
    }

    fn count(&self) {
        self.health.rooms.store(self.interests.count(), Relaxed);
        self.health.peers.store(self.local.count(), Relaxed);
    }
}

impl From<StoreDown> for Refusal {
    fn from(_: StoreDown) -> Self {
        Self::StoreDown
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn random() -> u64 {
    Uuid::new_v4().as_u64_pair().1 ^ Uuid::new_v4().as_u64_pair().0.rotate_left(32)
}
