//! Rooms that this process has to hear of: those that a peer of it is in, or tries to enter.
//!
//! Each connection holds an [`Interest`] of its own. How many there are of a room follows from that
//! alone, so nothing that happens to a peer meanwhile (it is refused, replaced, led elsewhere) can
//! count twice, or not at all.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    protocol::Refusal,
    server::{room::RoomId, store::Store},
};

/// The rooms in which somebody here is interested.
pub(super) struct Interests {
    store: Arc<dyn Store>,
    max_rooms: usize,
    /// How many interests there are in each.
    held: Mutex<HashMap<RoomId, usize>>,
}

/// The reason of one connection to hear of a room, until it is ended or dropped.
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

    /// How many rooms there are.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Whether the room is one of them, or may become one.
    pub(super) fn can_take(&self, room: &RoomId) -> bool {
        let held = self.lock();
        held.len() < self.max_rooms || held.contains_key(room)
    }

    /// A new interest in a room, of which everything is heard from now on.
    pub(super) async fn begin(self: &Arc<Self>, room: &RoomId) -> Result<Interest, Refusal> {
        {
            let mut held = self.lock();
            if held.len() >= self.max_rooms && !held.contains_key(room) {
                return Err(Refusal::TooManyRooms);
            }
            *held.entry(room.clone()).or_default() += 1;
        }
        // If the store fails, or nobody waits for it any more, this ends as any other one.
        let interest = Interest { all: Arc::clone(self), room: room.clone(), is_over: false };
        self.store.subscribe(room).await?;
        Ok(interest)
    }
}

impl Interest {
    pub(super) fn room(&self) -> &RoomId {
        &self.room
    }

    /// Ends it before it is dropped.
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
