//! The peers whose return is awaited, in the order in which their time ends. Pure.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    mem,
};

use crate::{protocol::PeerId, server::room::RoomId};

/// The peers that may come again.
#[derive(Debug, Default)]
pub(super) struct MissedPeers {
    /// In the order of their times; some of these peers are back by now.
    queue: VecDeque<Missed>,
    /// The room in which each peer has its place, and until when.
    rooms: HashMap<PeerId, (RoomId, u64)>,
    /// The number of the latest entry in the queue for a peer in a room, and of its absence.
    latest: HashMap<(RoomId, PeerId), (u64, Option<u64>)>,
    /// How many entries the queue has had.
    entries: u64,
    /// Peers that the store has named as bereaved: it goes on doing so for as long as they are in
    /// the room.
    orphaned: HashSet<(RoomId, PeerId)>,
    /// Peers that may be in a room although they are not here, because the store did not say
    /// whether it did what it was asked to.
    unsure: Vec<(RoomId, PeerId)>,
}

/// A peer whose place is kept until then, on the steady clock of this process.
#[derive(Debug)]
pub(super) struct Missed {
    number: u64,
    until: u64,
    pub(super) room: RoomId,
    pub(super) peer: PeerId,
    /// The number of its absence, if the room knows of one.
    pub(super) absence: Option<u64>,
}

impl MissedPeers {
    /// How many entries wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Notes a peer whose place in this room is kept until then.
    pub(super) fn add(&mut self, room: &RoomId, peer: PeerId, absence: Option<u64>, until: u64) {
        self.entries += 1;
        let number = self.entries;
        self.queue.push_back(Missed { number, until, room: room.clone(), peer, absence });
        self.rooms.insert(peer, (room.clone(), until));
        self.latest.insert((room.clone(), peer), (number, absence));
    }

    /// A peer is in a room again, so what waits for its return waits no more: should it be lost once
    /// more, it has all of its time. Returns the room in which its place was kept.
    pub(super) fn end(&mut self, peer: PeerId, room: &RoomId) -> Option<RoomId> {
        self.latest.remove(&(room.clone(), peer));
        self.rooms.remove(&peer).map(|(room, _)| room)
    }

    /// The next peer whose time is over, and whether this is its latest entry for that room.
    pub(super) fn next_overdue(&mut self, now: u64) -> Option<(Missed, bool)> {
        let next = self.queue.pop_front_if(|missed| missed.until <= now)?;
        let key = (next.room.clone(), next.peer);
        let is_latest = self.latest.get(&key).is_some_and(|(latest, _)| *latest == next.number);
        if is_latest {
            self.latest.remove(&key);
        }
        self.orphaned.remove(&key);
        // It may be missed again, by a later entry.
        if self.rooms.get(&next.peer).is_some_and(|(_, until)| *until == next.until) {
            self.rooms.remove(&next.peer);
        }
        Some((next, is_latest))
    }

    /// The absence in the latest entry for a peer in a room; none if there is no entry.
    pub(super) fn latest_absence(&self, key: &(RoomId, PeerId)) -> Option<Option<u64>> {
        self.latest.get(key).map(|(_, absence)| *absence)
    }

    /// Notes that the store has named a peer as bereaved. Returns whether it is news.
    pub(super) fn note_orphaned(&mut self, key: &(RoomId, PeerId)) -> bool {
        self.orphaned.insert(key.clone())
    }

    pub(super) fn forget_orphaned(&mut self, key: &(RoomId, PeerId)) {
        self.orphaned.remove(key);
    }

    /// Notes that a peer that is not here may be in that room all the same, if fewer than `most`
    /// entries wait.
    pub(super) fn note_unsure(&mut self, room: &RoomId, peer: PeerId, most: usize) {
        if self.queue.len() + self.unsure.len() < most {
            self.unsure.push((room.clone(), peer));
        }
    }

    /// The peers that were doubted since the last call.
    pub(super) fn take_unsure(&mut self) -> Vec<(RoomId, PeerId)> {
        mem::take(&mut self.unsure)
    }
}
