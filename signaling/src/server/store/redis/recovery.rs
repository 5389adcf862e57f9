//! Recovery from missed changes: after an outage of Redis, and when other processes took this one
//! for dead.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{
    client::{AFTER_OUTAGE, RedisStore},
    fetched::Fetched,
};
use crate::{
    lobby::{RoomEvent, ServiceState},
    protocol::PeerId,
    server::{
        room::{Effect, Member, Room, RoomId},
        store::{Change, Store, StoreDown},
    },
};

/// How many times to check a room again because it has changed in the meantime. Each time, another
/// process has succeeded.
const MAX_LOOKS: u32 = 64;
/// How long to wait before trying again to bring peers back.
const RETRY: Duration = Duration::from_millis(500);

/// What our peers know about a room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Its state when it was last seen, before they were cut off.
    Before,
    /// Everything that was published: they were never cut off.
    Everything,
}

impl RedisStore {
    /// Checks all rooms after an outage. Until that is done, nobody can enter, because a newcomer
    /// could open a room that is yet to be put back.
    pub(super) async fn recover(&self) -> Result<(), StoreDown> {
        self.lock_beat().trusts_from = Instant::now() + AFTER_OUTAGE;
        self.say_alive().await?;
        // This precedes the checks, so that the changes with which peers are put back are received.
        self.echoes.reconnect();
        let ids: Vec<RoomId> = self.shared.lock().keys().cloned().collect();
        for id in &ids {
            self.look_again(id).await?;
        }
        self.lock_beat().trusts_from = Instant::now() + AFTER_OUTAGE;
        self.shared.set_down(false);
        info!(rooms = ids.len(), "Redis is back");
        self.shared.local.tell_all(&RoomEvent::Service(ServiceState::Restored));
        Ok(())
    }

    pub(super) fn lose(&self) {
        self.echoes.cut_off();
        if !self.shared.set_down(true) {
            warn!("Redis is gone: matches go on, and nobody can join until it is back");
            self.shared.local.tell_all(&RoomEvent::Service(ServiceState::Impaired));
        }
    }

    /// Compares a room with its last known state: tells our peers what they missed, and puts the
    /// room and the peers back if Redis has forgotten them.
    pub(super) async fn look_again(&self, id: &RoomId) -> Result<(), StoreDown> {
        let before = self.shared.lock().get(id).and_then(|room| room.room.clone());
        match before {
            Some(before) => self.settle(id, &before, Known::Before).await,
            None => Ok(()),
        }
    }

    /// Handles a room that changed from `before` to `now`. Looks for peers of this process that are
    /// connected to another one by now, and for connected peers that other processes removed
    /// because they took this process for dead.
    pub(super) fn check_ours(
        self: &Arc<Self>,
        id: &RoomId,
        before: &Arc<Room>,
        now: Option<&Room>,
    ) {
        self.end_replaced(id, before, now);
        let is_lost = |was: &Member| {
            let is = now.and_then(|now| now.member(was.id));
            let is_gone = is.is_none_or(|is| is.process == self.process && is.absence.is_some());
            is_gone
                && !now.is_some_and(|now| now.is_banned(was.id))
                && self.shared.local.is_in(was.id, id)
        };
        if self.present(before).any(is_lost) {
            let (store, id, before) = (Arc::clone(self), id.clone(), Arc::clone(before));
            tokio::spawn(async move { store.bring_back(&id, &before).await });
        }
    }

    /// The members that are connected to this process, according to the room.
    fn present<'a>(&self, room: &'a Room) -> impl Iterator<Item = &'a Member> {
        let process = self.process;
        let is_ours = move |member: &&Member| member.process == process && member.absence.is_none();
        room.members().iter().filter(is_ours)
    }

    /// Returns whether peers that are connected here are in the room.
    pub(super) fn are_any_here(&self, room: &Room) -> bool {
        self.present(room).any(|member| self.shared.local.is_in(member.id, room.id()))
    }

    /// Ends the connections of peers that have connected again to another process.
    fn end_replaced(&self, id: &RoomId, before: &Room, now: Option<&Room>) {
        let Some(now) = now else { return };
        for was in self.present(before) {
            if now.member(was.id).is_some_and(|is| is.process != self.process) {
                self.shared.local.replace(was.id, id);
            }
        }
    }

    /// Puts peers that are connected here back into a room that they were in `before`, and keeps
    /// trying until it succeeds or none of them is left.
    async fn bring_back(&self, id: &RoomId, before: &Room) {
        while self.are_any_here(before) {
            // After an outage, our peers are first told what they missed.
            if !self.is_down() && self.settle(id, before, Known::Everything).await.is_ok() {
                return;
            }
            sleep(RETRY).await;
        }
    }

    /// Puts the room and our peers back as they were `before`, and tells all peers what they do not
    /// know.
    async fn settle(&self, id: &RoomId, before: &Room, known: Known) -> Result<(), StoreDown> {
        for _ in 0..MAX_LOOKS {
            let stored = match self.fetch(id).await? {
                Fetched::None => None,
                Fetched::Room(stored) => Some(stored),
                // A process that can read the room is responsible for it.
                Fetched::Foreign => return Ok(()),
            };
            let ours = self.shared.local.of_room(id);
            let is_kept = |member: &Member| known == Known::Before || ours.contains(&member.id);
            let mut room = match &stored {
                Some(stored) => Room::clone(&stored.room),
                None => before.with_only(is_kept),
            };
            let is_put_back = room.put_back(before, &ours);
            let forgotten = before.with_only(|_| false);
            let published = stored.as_ref().map(|stored| &*stored.room);
            let known_here = match known {
                Known::Before => before,
                Known::Everything => published.unwrap_or(&forgotten),
            };
            let mut effects = room.catch_up(known_here, &ours);
            let is_banned = |peer: &&PeerId| room.is_banned(**peer);
            effects.extend(ours.iter().filter(is_banned).map(|&peer| Effect::SendOff { peer }));
            if (stored.is_some() && !is_put_back) || room.is_empty() {
                self.end_replaced(id, before, published);
                if known == Known::Before {
                    self.shared.see(id, stored.map(|_| Arc::new(room)));
                    self.shared.local.apply(id, &effects, Instant::now());
                }
                return Ok(());
            }
            let others = room.members().iter().map(|member| member.id);
            let others: Vec<PeerId> = others.filter(|peer| !ours.contains(peer)).collect();
            effects.extend(room.catch_up(published.unwrap_or(before), &others));
            let change = Change { id, from: stored.as_ref(), to: room, effects, beside: &[] };
            if self.put(change, false).await? {
                return Ok(());
            }
        }
        Err(StoreDown)
    }
}
