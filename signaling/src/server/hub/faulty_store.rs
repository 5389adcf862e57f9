//! An in-memory store for tests of the hub. It lets other tasks run first, loses answers, fails,
//! and counts the subscriptions to each room.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    task::Poll,
};

use async_trait::async_trait;
use tungstenite::Utf8Bytes;

use crate::{
    protocol::PeerId,
    server::{
        local::Local,
        room::{ProcessId, Room, RoomId},
        store::{Change, MemoryStore, OrphanedPeer, Store, StoreDown, StoredRoom},
    },
};

/// The rooms as seen by one of several processes.
#[derive(Debug)]
pub(super) struct FaultyStore {
    pub(super) rooms: MemoryStore,
    local: Arc<Local>,
    process: ProcessId,
    /// It does nothing and returns errors.
    pub(super) is_down: AtomicBool,
    /// It makes changes, but does not confirm them.
    pub(super) is_slow: AtomicBool,
    /// Of this many changes, the answer to one is lost.
    loses_one_of: u32,
    swaps: AtomicU32,
    subscriptions: Mutex<HashMap<RoomId, i64>>,
    /// The peers of other processes that it reports as orphaned, rightly or not.
    pub(super) orphaned: Mutex<Vec<OrphanedPeer>>,
}

impl FaultyStore {
    /// A store without faults.
    pub(super) fn new(local: Arc<Local>, process: ProcessId) -> Self {
        Self {
            rooms: MemoryStore::new(Arc::clone(&local)),
            local,
            process,
            is_down: AtomicBool::new(false),
            is_slow: AtomicBool::new(false),
            loses_one_of: u32::MAX,
            swaps: AtomicU32::new(0),
            subscriptions: Mutex::default(),
            orphaned: Mutex::default(),
        }
    }

    /// The same store, but of this many changes, the answer to one is lost.
    pub(super) fn losing_one_of(self, loses_one_of: u32) -> Self {
        Self { loses_one_of, ..self }
    }

    /// Returns how many peers are subscribed to each room.
    pub(super) fn subscriptions(&self) -> HashMap<RoomId, i64> {
        self.subscriptions.lock().expect("nobody panicked").clone()
    }

    fn add(&self, id: &RoomId, more: i64) {
        let mut subscriptions = self.subscriptions.lock().expect("nobody panicked");
        let count = subscriptions.entry(id.clone()).or_default();
        *count += more;
        assert!(*count >= 0, "{id:?} has no subscription left");
        if *count == 0 {
            subscriptions.remove(id);
        }
    }

    /// Lets other tasks run first.
    async fn wait(&self) -> Result<(), StoreDown> {
        yield_once().await;
        if self.is_down.load(Relaxed) { Err(StoreDown) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn is_shared(&self) -> bool {
        true
    }

    async fn open_room(&self, group: &str, beside: &[RoomId]) -> Result<Option<RoomId>, StoreDown> {
        self.wait().await?;
        self.rooms.open_room(group, beside).await
    }

    async fn load(&self, id: &RoomId) -> Result<Option<StoredRoom>, StoreDown> {
        self.wait().await?;
        let loaded = self.rooms.load(id).await;
        yield_once().await;
        loaded
    }

    async fn swap(&self, change: Change<'_>) -> Result<bool, StoreDown> {
        self.wait().await?;
        let swapped = self.rooms.swap(change).await;
        yield_once().await;
        let number = self.swaps.fetch_add(1, Relaxed) + 1;
        let is_lost = self.is_slow.load(Relaxed) || number.is_multiple_of(self.loses_one_of);
        if is_lost { Err(StoreDown) } else { swapped }
    }

    async fn pass_on(
        &self,
        room: &RoomId,
        between: (PeerId, PeerId),
        message: &Utf8Bytes,
    ) -> Result<bool, StoreDown> {
        self.rooms.pass_on(room, between, message).await
    }

    async fn listed(&self, game: &str, most: usize) -> Result<Vec<Arc<Room>>, StoreDown> {
        self.rooms.listed(game, most).await
    }

    async fn subscribe(&self, id: &RoomId) -> Result<(), StoreDown> {
        self.add(id, 1);
        yield_once().await;
        Ok(())
    }

    fn unsubscribe(&self, id: &RoomId) {
        self.add(id, -1);
    }

    /// Reports no other process as dead, unless the test says so.
    async fn orphaned_peers(&self) -> Vec<OrphanedPeer> {
        let mut orphaned = self.orphaned.lock().expect("nobody panicked").clone();
        for room in self.rooms.rooms() {
            let members = OrphanedPeer::candidates(&room, self.process, &self.local);
            orphaned.extend(members.filter(|member| member.process == self.process));
        }
        orphaned
    }
}

/// Completes when it is polled for the second time.
async fn yield_once() {
    let mut is_second = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut is_second, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
