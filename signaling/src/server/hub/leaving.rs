//! What happens to a peer whose connection has ended: it is removed at once, or stays in its room
//! for a while.

use std::sync::{MutexGuard, PoisonError};

use super::{
    Departure, Hub, JoinedPeer, millis,
    missed::{Missed, MissedPeers},
    random,
};
use crate::{
    protocol::PeerId,
    server::{
        room::{Room, RoomId},
        store::OrphanedPeer,
    },
};

impl Hub {
    /// Notes that a connection has ended, and tells the other peers, now or later. `now` is on the
    /// same clock as that of [`tick`](Self::tick).
    pub(crate) async fn leave(&self, joined: &mut JoinedPeer, departure: Departure, now: u64) {
        // If it is no longer there, the peer has entered again by another connection.
        if self.local.leave(joined.peer, joined.connection).is_some() {
            self.remove_or_keep(joined, departure, now).await;
        }
        joined.interest.end();
        self.count();
    }

    async fn remove_or_keep(&self, joined: &JoinedPeer, departure: Departure, now: u64) {
        let has_grace = departure == Departure::Lost && joined.is_lasting && self.can_keep_absent();
        let absence = random();
        let done = if has_grace {
            let peer = joined.peer;
            self.change(joined.room(), |room| {
                self.if_gone(room, peer, |room| room.mark_absent(peer, absence))
            })
            .await
        } else {
            self.remove(joined.room(), joined.peer).await
        };
        if has_grace || done.is_err() {
            self.keep_absent(joined.room(), joined.peer, has_grace.then_some(absence), now);
        }
    }

    /// Returns whether there is memory left for peers that may come back.
    fn can_keep_absent(&self) -> bool {
        !self.limits.grace.is_zero() && self.lock_missed().len() < self.limits.max_peers
    }

    fn keep_absent(&self, room: &RoomId, peer: PeerId, absence: Option<u64>, now: u64) {
        let until = now.saturating_add(millis(self.limits.grace));
        self.lock_missed().add(room, peer, absence, until);
    }

    /// Removes peers that did not come back in time, including those of dead processes. `now` is in
    /// milliseconds, on a monotonic clock.
    pub(crate) async fn tick(&self, now: u64) {
        // The lock must be released before the loop.
        let unsure = self.lock_missed().take_unsure();
        for (room, peer) in unsure {
            self.keep_absent(&room, peer, None, now);
        }
        for orphaned in self.store.orphaned_peers().await {
            self.keep_orphaned(orphaned, now).await;
        }
        while let Some((missed, is_latest)) = self.next_overdue(now) {
            let Missed { room, peer, absence, .. } = missed;
            let is_away = |room: &Room| {
                room.member(peer).is_some_and(|member| {
                    // It has been absent all the time.
                    (member.absence.is_some() && member.absence == absence)
                    // It has not come back here, regardless of what the room records. The room may
                    // record nothing, if the store could not be reached, or an absence that was
                    // noted by a process that is dead by now.
                        || (is_latest
                            && member.process == self.process
                            && !self.local.is_in(peer, room.id()))
                })
            };
            let removed = self
                .change(&room, |room| if is_away(room) { room.leave(peer) } else { Vec::new() })
                .await;
            if removed.is_err() {
                self.keep_absent(&room, peer, absence, now);
                break;
            }
        }
        self.count();
    }

    /// Keeps a peer of a dead process in its room for a while, unless the peer is back already.
    async fn keep_orphaned(&self, OrphanedPeer { room, peer, process }: OrphanedPeer, now: u64) {
        let key = (room, peer);
        if !self.lock_missed().note_orphaned(&key) {
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
            let effects = room.mark_absent_unless_away(peer, random());
            // It may have been absent before its process died.
            absence = room.member(peer).and_then(|member| member.absence);
            effects
        };
        let _ = self.change(room, missing).await;
        // For a peer of this process, an entry covers any absence.
        let is_ours = process == self.process;
        let latest = self.lock_missed().latest_absence(&key);
        let is_awaited =
            latest.is_some_and(|awaited| is_ours || (absence.is_some() && absence == awaited));
        if is_back {
            self.lock_missed().forget_orphaned(&key);
        } else if !is_awaited {
            self.keep_absent(room, peer, absence, now);
        }
    }

    /// Notes that a peer that is not connected here may still be in that room.
    pub(super) fn note_unsure(&self, room: &RoomId, peer: PeerId) {
        self.lock_missed().note_unsure(room, peer, self.limits.max_peers);
    }

    /// Takes the next peer whose time is over. The lock is released before anything else is done.
    fn next_overdue(&self, now: u64) -> Option<(Missed, bool)> {
        self.lock_missed().next_overdue(now)
    }

    pub(super) fn lock_missed(&self) -> MutexGuard<'_, MissedPeers> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
