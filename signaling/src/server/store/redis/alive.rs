//! How processes report to each other that they are alive, refresh their rooms, and find out which
//! processes are dead.

use std::{
    collections::{HashMap, HashSet},
    sync::Weak,
};

use futures::future::try_join_all;
use redis::{Pipeline, pipe};
use tokio::time::{Instant, sleep};

use super::{
    client::{AFTER_OUTAGE, ALIVE_FOR, BATCH, BEAT, FOR_EVER, REFRESH, RedisStore},
    fetched::Fetched,
    keys::key,
};
use crate::server::{
    room::{ProcessId, Room, RoomId},
    store::{Change, OrphanedPeer, StoreDown},
};

/// Reports regularly that this process is alive, for as long as the store exists. It is a task of
/// its own, so that nothing that blocks other tasks can delay it.
pub(super) async fn beat(store: Weak<RedisStore>) {
    while let Some(store) = store.upgrade() {
        // If this fails, the process notices that it does not receive its own message.
        let _ = store.say_alive().await;
        drop(store);
        sleep(BEAT).await;
    }
}

/// The commands by which a process shows that it is alive.
pub(super) fn sign_of_life(process: ProcessId) -> Pipeline {
    let mut say = pipe();
    let ProcessId(name) = process;
    say.cmd("SET").arg(key("process", name)).arg(1);
    say.arg("PX").arg(ALIVE_FOR.as_millis() as u64).ignore();
    say.cmd("PUBLISH").arg(key("beat", name)).arg(1).ignore();
    say
}

impl RedisStore {
    /// Reports that this process is alive: to the other processes, and to itself, so that it
    /// notices when messages no longer arrive.
    pub(super) async fn say_alive(&self) -> Result<(), StoreDown> {
        self.attempt(sign_of_life(self.process).exec_async(&mut self.commands())).await
    }

    /// Returns whether a process that has stopped reporting is really dead. It may be alive if no
    /// process could report for some time: because Redis was gone, or because this machine was
    /// halted, which a long time since the last check shows.
    pub(super) fn trusts(&self) -> bool {
        let now = Instant::now();
        let mut beat = self.lock_beat();
        if now - beat.looked > ALIVE_FOR / 2 {
            beat.trusts_from = now + AFTER_OUTAGE;
        }
        beat.looked = now;
        beat.trusts_from <= now
    }

    /// Refreshes the rooms of this process, and the indexes that contain them.
    pub(super) async fn refresh(&self) -> Result<(), StoreDown> {
        {
            let mut beat = self.lock_beat();
            if beat.refreshed.elapsed() < REFRESH {
                return Ok(());
            }
            beat.refreshed = Instant::now();
        }
        let mut ids = Vec::new();
        let mut indexes: HashMap<String, Vec<RoomId>> = HashMap::new();
        for (id, subscribed) in &*self.shared.lock() {
            ids.push(id.clone());
            let room = subscribed.room.as_deref();
            let open = room.and_then(Room::open_group).map(|group| key("open", group));
            let listed = room.and_then(Room::listed_game).map(|game| key("game", game));
            for index in open.into_iter().chain(listed) {
                indexes.entry(index).or_default().push(id.clone());
            }
        }
        self.keep_indexes(&indexes).await?;
        for ids in ids.chunks(BATCH) {
            self.keep_rooms(ids).await?;
        }
        Ok(())
    }

    /// Refreshes the indexes, and puts back the rooms that are missing from them.
    async fn keep_indexes(&self, indexes: &HashMap<String, Vec<RoomId>>) -> Result<(), StoreDown> {
        let commands = self.commands();
        let parts = indexes
            .iter()
            .flat_map(|(index, rooms)| rooms.chunks(BATCH).map(move |rooms| (index, rooms)));
        let parts: Vec<_> = parts.collect();
        for parts in parts.chunks(BATCH) {
            let kept =
                parts.iter().map(|(index, rooms)| self.scripts.keep(&commands, index, rooms));
            for id in self.run(try_join_all(kept)).await?.into_iter().flatten() {
                self.put_into_indexes(&RoomId(id)).await?;
            }
        }
        Ok(())
    }

    /// Puts a room back into the indexes to which it belongs.
    async fn put_into_indexes(&self, id: &RoomId) -> Result<(), StoreDown> {
        let Fetched::Room(kept) = self.fetch(id).await? else { return Ok(()) };
        let (to, effects) = (Room::clone(&kept.room), Vec::new());
        let change = Change { id, from: Some(&kept), to, effects, beside: &[] };
        // If another change came first, that change has already put the room there.
        self.put(change, false).await.map(drop)
    }

    /// Refreshes rooms, and puts back those that are gone or overwritten.
    async fn keep_rooms(&self, ids: &[RoomId]) -> Result<(), StoreDown> {
        let mut ask = pipe();
        for id in ids {
            ask.cmd("PTTL").arg(key("room", &id.0));
        }
        let times: Vec<i64> = self.run(ask.query_async(&mut self.commands())).await?;
        // We give every room an expiry. A key without one was written by another program, and must
        // not get one from us.
        for (id, _) in ids.iter().zip(times).filter(|(_, time)| *time == FOR_EVER) {
            self.look_again(id).await?;
        }
        let room_ms = self.room_for.as_millis() as u64;
        let mut keep = pipe();
        for id in ids {
            keep.cmd("PEXPIRE").arg(key("room", &id.0)).arg(room_ms);
        }
        let kept: Vec<bool> = self.run(keep.query_async(&mut self.commands())).await?;
        for (id, _) in ids.iter().zip(kept).filter(|(_, is_kept)| !is_kept) {
            self.look_again(id).await?;
        }
        Ok(())
    }

    /// Returns the members of our rooms that are not connected here, grouped by the process that
    /// they are or were connected to.
    pub(super) fn elsewhere(&self) -> HashMap<ProcessId, Vec<OrphanedPeer>> {
        let mut elsewhere: HashMap<ProcessId, Vec<OrphanedPeer>> = HashMap::new();
        for room in self.shared.lock().values().filter_map(|subscribed| subscribed.room.as_ref()) {
            for member in OrphanedPeer::candidates(room, self.process, &self.shared.local) {
                elsewhere.entry(member.process).or_default().push(member);
            }
        }
        elsewhere
    }

    /// Returns which of these processes are dead.
    pub(super) async fn dead(
        &self,
        processes: &[ProcessId],
    ) -> Result<HashSet<ProcessId>, StoreDown> {
        let mut dead = HashSet::new();
        for processes in processes.chunks(BATCH) {
            let mut batch = pipe();
            for process in processes {
                batch.cmd("EXISTS").arg(key("process", process.0));
            }
            let alive: Vec<bool> = self.run(batch.query_async(&mut self.commands())).await?;
            let gone = processes.iter().zip(alive).filter(|(_, is_alive)| !is_alive);
            dead.extend(gone.map(|(process, _)| *process));
        }
        Ok(dead)
    }
}
