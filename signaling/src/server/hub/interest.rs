//! The rooms whose changes this process must receive: those that one of its peers is in or is
//! trying to enter.
//!
//! Each connection holds its own [`Interest`]. The number of interests in a room follows from that
//! alone, so nothing that happens to a peer in the meantime (it is refused, replaced, or enters
//! another room) can be counted twice, or not at all.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    protocol::Refusal,
    server::{room::RoomId, store::Store},
};

/// The rooms in which at least one connection of this process is interested.
pub(super) struct Interests {
    store: Arc<dyn Store>,
    max_rooms: usize,
    /// The number of interests in each room.
    held: Mutex<HashMap<RoomId, usize>>,
}

/// One connection's interest in the changes of a room, until it is ended or dropped.
pub(crate) struct Interest {
    all: Arc<Interests>,
    room: RoomId,
    is_over: bool,
}

impl Interests {
    pub(super) fn new(store: Arc<dyn Store>, max_rooms: usize) -> Arc<Self> {
        Arc::new(Self { store, max_rooms, held: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of rooms.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Returns whether the room is among them, or can be added.
    pub(super) fn can_take(&self, room: &RoomId) -> bool {
        let held = self.lock();
        held.len() < self.max_rooms || held.contains_key(room)
    }

    /// Adds an interest in a room. From now on all changes of the room are received.
    pub(super) async fn begin(self: &Arc<Self>, room: &RoomId) -> Result<Interest, Refusal> {
        {
            let mut held = self.lock();
            if held.len() >= self.max_rooms && !held.contains_key(room) {
                return Err(Refusal::TooManyRooms);
            }
            *held.entry(room.clone()).or_default() += 1;
        }
        // If the store fails, or this call is cancelled, the interest ends like any other.
        let interest = Interest { all: Arc::clone(self), room: room.clone(), is_over: false };
        self.store.subscribe(room).await?;
        Ok(interest)
    }
}

impl Interest {
    pub(super) fn room(&self) -> &RoomId {
        &self.room
    }

    /// Ends the interest before it is dropped.
    pub(super) fn end(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let mut held = self.all.lock();
        if let Some(count) = held.get_mut(&self.room) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.room);
            }
        }
        drop(held);
        self.all.store.unsubscribe(&self.room);
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Interest").field(&self.room).finish()
    }
}
