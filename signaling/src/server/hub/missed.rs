//! The peers that may come back, in the order in which their time ends. Pure.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    mem,
};

use crate::{protocol::PeerId, server::room::RoomId};

/// The peers that may come back.
#[derive(Debug, Default)]
pub(super) struct MissedPeers {
    /// In the order of their deadlines; some of these peers are back by now.
    queue: VecDeque<Missed>,
    /// The room in which each peer is kept, and until when.
    rooms: HashMap<PeerId, (RoomId, u64)>,
    /// For each peer in a room, the number of its latest entry in the queue and of its absence.
    latest: HashMap<(RoomId, PeerId), (u64, Option<u64>)>,
    /// The number of entries that the queue has had.
    entries: u64,
    /// The peers that the store has reported as orphaned. It reports each of them repeatedly, for
    /// as long as the peer is in the room.
    orphaned: HashSet<(RoomId, PeerId)>,
    /// Peers that may be in a room although they are not connected here, because the store did not
    /// confirm a change.
    unsure: Vec<(RoomId, PeerId)>,
}

/// A peer that is kept in its room until a deadline, in milliseconds on the monotonic clock of this
/// process.
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
    /// The number of waiting entries.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Adds a peer that is kept in this room until then.
    pub(super) fn add(&mut self, room: &RoomId, peer: PeerId, absence: Option<u64>, until: u64) {
        self.entries += 1;
        let number = self.entries;
        self.queue.push_back(Missed { number, until, room: room.clone(), peer, absence });
        self.rooms.insert(peer, (room.clone(), until));
        self.latest.insert((room.clone(), peer), (number, absence));
    }

    /// Notes that a peer is in a room again, so that its return is no longer awaited. If it is lost
    /// again, it gets the full time again. Returns the room in which it was kept.
    pub(super) fn end(&mut self, peer: PeerId, room: &RoomId) -> Option<RoomId> {
        self.latest.remove(&(room.clone(), peer));
        self.rooms.remove(&peer).map(|(room, _)| room)
    }

    /// Takes the next peer whose time is over, and returns whether this is its latest entry for
    /// that room.
    pub(super) fn next_overdue(&mut self, now: u64) -> Option<(Missed, bool)> {
        let next = self.queue.pop_front_if(|missed| missed.until <= now)?;
        let key = (next.room.clone(), next.peer);
        let is_latest = self.latest.get(&key).is_some_and(|(latest, _)| *latest == next.number);
        if is_latest {
            self.latest.remove(&key);
        }
        self.orphaned.remove(&key);
        // Unless a later entry keeps the peer.
        if self.rooms.get(&next.peer).is_some_and(|(_, until)| *until == next.until) {
            self.rooms.remove(&next.peer);
        }
        Some((next, is_latest))
    }

    /// The absence in the latest entry for a peer in a room; `None` if there is no entry.
    pub(super) fn latest_absence(&self, key: &(RoomId, PeerId)) -> Option<Option<u64>> {
        self.latest.get(key).map(|(_, absence)| *absence)
    }

    /// Notes that the store has reported a peer as orphaned. Returns whether that is new.
    pub(super) fn note_orphaned(&mut self, key: &(RoomId, PeerId)) -> bool {
        self.orphaned.insert(key.clone())
    }

    pub(super) fn forget_orphaned(&mut self, key: &(RoomId, PeerId)) {
        self.orphaned.remove(key);
    }

    /// Notes that a peer that is not connected here may still be in that room, if fewer than `most`
    /// entries are waiting.
    pub(super) fn note_unsure(&mut self, room: &RoomId, peer: PeerId, most: usize) {
        if self.queue.len() + self.unsure.len() < most {
            self.unsure.push((room.clone(), peer));
        }
    }

    /// Takes the peers that were added by [`note_unsure`](Self::note_unsure) since the last call.
    pub(super) fn take_unsure(&mut self) -> Vec<(RoomId, PeerId)> {
        mem::take(&mut self.unsure)
    }
}
