//! Peers that have lost their connection: the other peers hear of it at once, or the place is kept
//! for a while.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    mem,
    sync::{MutexGuard, PoisonError},
};

use super::{Hub, Parting, Visit, entering::random, millis};
use crate::{
    protocol::PeerId,
    server::{
        room::{Room, RoomId},
        store::Bereaved,
    },
};

/// The peers that may come again.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// In the order of their times; some of these peers are back by now.
    queue: VecDeque<Missed>,
    /// The room in which each peer has its place, and until when.
    pub(super) places: HashMap<PeerId, (RoomId, u64)>,
    /// The number of the latest entry in the queue for a peer in a room, and of its absence.
    latest: HashMap<(RoomId, PeerId), (u64, Option<u64>)>,
    /// How many entries the queue has had.
    entries: u64,
    /// Peers that the store has named as bereaved: it goes on doing so for as long as they are in
    /// the room.
    bereaved: HashSet<(RoomId, PeerId)>,
    /// Peers that may be in a room although they are not here, because the store did not say
    /// whether it did what it was asked to.
    unsure: Vec<(RoomId, PeerId)>,
}

/// A peer whose place is kept until then, on the steady clock of this process.
#[derive(Debug)]
struct Missed {
    number: u64,
    until: u64,
    room: RoomId,
    peer: PeerId,
    /// The number of its absence, if the room knows of one.
    absence: Option<u64>,
}

impl Waiting {
    /// A peer is in a room again, so what waits for its return waits no more: should it be lost once
    /// more, it has all of its time. Returns the room in which its place was kept.
    pub(super) fn end(&mut self, peer: PeerId, room: &RoomId) -> Option<RoomId> {
        self.latest.remove(&(room.clone(), peer));
        self.places.remove(&peer).map(|(room, _)| room)
    }
}

impl Hub {
    /// Notes that a connection is over, and tells the other peers when it is time to. `now` is in
    /// milliseconds, like that of [`tick`](Self::tick).
    pub(crate) async fn leave(&self, visit: &mut Visit, parting: Parting, now: u64) {
        // Otherwise it came again by another connection.
        if self.local.leave(visit.peer, visit.connection).is_some() {
            self.part(visit, parting, now).await;
        }
        visit.interest.end();
        self.count();
    }

    async fn part(&self, visit: &Visit, parting: Parting, now: u64) {
        let has_grace = parting == Parting::Lost && visit.is_lasting && self.has_patience();
        let absence = random();
        let done = if has_grace {
            let peer = visit.peer;
            self.change(visit.room(), |room| {
                self.if_gone(room, peer, |room| room.lose(peer, absence))
            })
            .await
        } else {
            self.remove(visit.room(), visit.peer).await
        };
        if has_grace || done.is_err() {
            self.miss(visit.room(), visit.peer, has_grace.then_some(absence), now);
        }
    }

    /// Whether there is memory left for those who may come again.
    fn has_patience(&self) -> bool {
        !self.limits.grace.is_zero() && self.lock_missed().queue.len() < self.limits.max_peers
    }

    fn miss(&self, room: &RoomId, peer: PeerId, absence: Option<u64>, now: u64) {
        let until = now.saturating_add(millis(self.limits.grace));
        let mut missed = self.lock_missed();
        missed.entries += 1;
        let number = missed.entries;
        missed.queue.push_back(Missed { number, until, room: room.clone(), peer, absence });
        missed.places.insert(peer, (room.clone(), until));
        missed.latest.insert((room.clone(), peer), (number, absence));
    }

    /// Removes peers that did not come again in time, among them those of processes that are dead.
    /// `now` is in milliseconds of a clock that nobody sets.
    pub(crate) async fn tick(&self, now: u64) {
        // The lock must not last as long as the loop.
        let unsure = mem::take(&mut self.lock_missed().unsure);
        for (room, peer) in unsure {
            self.miss(&room, peer, None, now);
        }
        for bereaved in self.store.bereaved().await {
            self.miss_bereaved(bereaved, now).await;
        }
        while let Some((Missed { room, peer, absence, .. }, is_latest)) = self.next_overdue(now) {
            let is_away = |room: &Room| {
                room.member(peer).is_some_and(|member| {
                    // It was away all the time.
                    (member.absence.is_some() && member.absence == absence)
                    // It was not back here, whatever the room knows: nothing, if the store could
                    // not be reached, or an absence that a process noted that may be dead by now.
                        || (is_latest
                            && member.process == self.process
                            && !self.local.is_in(peer, room.id()))
                })
            };
            let removed = self
                .change(&room, |room| if is_away(room) { room.leave(peer) } else { Vec::new() })
                .await;
            if removed.is_err() {
                self.miss(&room, peer, absence, now);
                break;
            }
        }
        self.count();
    }

    /// Keeps the place of a peer whose process is dead for a while, unless the peer is back
    /// already.
    async fn miss_bereaved(&self, Bereaved { room, peer, process }: Bereaved, now: u64) {
        let key = (room, peer);
        if !self.lock_missed().bereaved.insert(key.clone()) {
            return;
        }
        let room = &key.0;
        let (mut is_back, mut absence) = (false, None);
        let missing = |room: &mut Room| {
            is_back = room.member(peer).is_some_and(|member| member.process != process)
                || (process == self.process && self.local.is_in(peer, room.id()));
            if is_back {
                return Vec::new();
            }
            let effects = room.miss(peer, random());
            // It may have been missed before its process died.
            absence = room.member(peer).and_then(|member| member.absence);
            effects
        };
        let _ = self.change(room, missing).await;
        // The latest entry for a peer of this process ends any absence of it.
        let is_ours = process == self.process;
        let is_awaited = self
            .lock_missed()
            .latest
            .get(&key)
            .is_some_and(|(_, awaited)| is_ours || (absence.is_some() && absence == *awaited));
        if is_back {
            self.lock_missed().bereaved.remove(&key);
        } else if !is_awaited {
            self.miss(room, peer, absence, now);
        }
    }

    /// Notes that a peer that is not here may be in that room all the same.
    pub(super) fn doubt(&self, room: &RoomId, peer: PeerId) {
        let mut missed = self.lock_missed();
        if missed.queue.len() + missed.unsure.len() < self.limits.max_peers {
            missed.unsure.push((room.clone(), peer));
        }
    }

    /// The next peer whose time is over, and whether this is its latest entry for that room.
    fn next_overdue(&self, now: u64) -> Option<(Missed, bool)> {
        let mut missed = self.lock_missed();
        let next = missed.queue.pop_front_if(|missed| missed.until <= now)?;
        let key = (next.room.clone(), next.peer);
        let is_latest = missed.latest.get(&key).is_some_and(|(latest, _)| *latest == next.number);
        if is_latest {
            missed.latest.remove(&key);
        }
        missed.bereaved.remove(&key);
        // It may be missed again, by a later entry.
        if missed.places.get(&next.peer).is_some_and(|(_, until)| *until == next.until) {
            missed.places.remove(&next.peer);
        }
        Some((next, is_latest))
    }

    pub(super) fn lock_missed(&self) -> MutexGuard<'_, Waiting> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
