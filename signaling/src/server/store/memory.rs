//! The rooms of one process, in its memory.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::time::Instant;
use tungstenite::Utf8Bytes;

use super::{Change, Store, StoreDown, StoredRoom, Version};
use crate::{
    protocol::PeerId,
    server::{
        local::Local,
        room::{Room, RoomId},
    },
};

/// All rooms. Locked only for the moment of a change, never across an await.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    local: Arc<Local>,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    rooms: HashMap<RoomId, StoredRoom>,
    /// Rooms that can take the next peer of their group.
    open: HashMap<String, BTreeSet<RoomId>>,
    /// Public rooms of a game.
    listed: HashMap<String, BTreeSet<RoomId>>,
    changes: u64,
}

impl MemoryStore {
    pub(crate) fn new(local: Arc<Local>) -> Self {
        Self { local, shelf: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        // Nothing panics halfway through a change.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All rooms, in no particular order.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn rooms(&self) -> Vec<Arc<Room>> {
        self.lock().rooms.values().map(|kept| Arc::clone(&kept.room)).collect()
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn is_shared(&self) -> bool {
        false
    }

    async fn open_room(&self, group: &str, beside: &[RoomId]) -> Result<Option<RoomId>, StoreDown> {
        Ok(self.lock().open_room(group, beside))
    }

    async fn load(&self, id: &RoomId) -> Result<Option<StoredRoom>, StoreDown> {
        Ok(self.lock().rooms.get(id).cloned())
    }

    async fn swap(&self, change: Change<'_>) -> Result<bool, StoreDown> {
        let Change { id, from, to, effects, beside } = change;
        let mut shelf = self.lock();
        let is_as_loaded =
            shelf.rooms.get(id).map(|kept| &kept.version) == from.map(|kept| &kept.version);
        let has_open = |group: &str| shelf.open_room(group, beside).is_some();
        let is_second = from.is_none() && to.open_group().is_some_and(has_open);
        if !is_as_loaded || is_second {
            return Ok(false);
        }
        shelf.put(id, to);
        // Still locked, so that the effects of two changes are delivered in the order of the
        // changes.
        self.local.apply(id, &effects, Instant::now());
        Ok(true)
    }

    async fn pass_on(
        &self,
        _room: &RoomId,
        _between: (PeerId, PeerId),
        _message: &Utf8Bytes,
    ) -> Result<bool, StoreDown> {
        Ok(false)
    }

    async fn listed(&self, game: &str, most: usize) -> Result<Vec<Arc<Room>>, StoreDown> {
        let shelf = self.lock();
        let ids = shelf.listed.get(game).into_iter().flatten();
        let rooms = ids.filter_map(|id| shelf.rooms.get(id)).map(|kept| Arc::clone(&kept.room));
        Ok(rooms.take(most).collect())
    }

    async fn subscribe(&self, _id: &RoomId) -> Result<(), StoreDown> {
        Ok(())
    }

    fn unsubscribe(&self, _id: &RoomId) {}
}

impl Shelf {
    fn open_room(&self, group: &str, beside: &[RoomId]) -> Option<RoomId> {
        self.open.get(group)?.iter().find(|id| !beside.contains(id)).cloned()
    }

    fn put(&mut self, id: &RoomId, to: Room) {
        let before = self.rooms.remove(id);
        let was = before.as_ref().map(|kept| &*kept.room);
        let is = (!to.is_empty()).then_some(&to);
        move_in_index(
            &mut self.open,
            id,
            was.and_then(Room::open_group),
            is.and_then(Room::open_group),
        );
        move_in_index(
            &mut self.listed,
            id,
            was.and_then(Room::listed_game),
            is.and_then(Room::listed_game),
        );
        if is.is_some() {
            self.changes += 1;
            let version = Version::Number(self.changes);
            self.rooms.insert(id.clone(), StoredRoom { room: Arc::new(to), version });
        }
    }
}

/// Moves a room from one entry of an index to another.
fn move_in_index(
    index: &mut HashMap<String, BTreeSet<RoomId>>,
    id: &RoomId,
    was: Option<&str>,
    is: Option<&str>,
) {
    if was == is {
        return;
    }
    if let Some(was) = was
        && let Some(rooms) = index.get_mut(was)
    {
        rooms.remove(id);
        if rooms.is_empty() {
            index.remove(was);
        }
    }
    if let Some(is) = is {
        index.entry(is.to_owned()).or_default().insert(id.clone());
    }
}
