//! The stores of rooms: in the memory of this process, or in Redis for all processes of a service.
//!
//! A store does not know what happens in a [`Room`]. To change a room, a process loads it, changes
//! the copy and swaps it in, which fails if another change came first. So every change is atomic,
//! and its effects reach the peers in the order of the changes.

mod memory;
mod redis;
#[cfg(test)]
mod tests;

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use tungstenite::Utf8Bytes;

pub(crate) use self::{memory::MemoryStore, redis::RedisStore};
use super::{
    local::Local,
    room::{Effect, Member, ProcessId, Room, RoomId},
};
use crate::protocol::PeerId;

/// The store cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreDown;

/// A peer whose process is dead, as recorded in a room a moment ago: by now the peer may be back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrphanedPeer {
    pub(crate) room: RoomId,
    pub(crate) peer: PeerId,
    /// The dead process.
    pub(crate) process: ProcessId,
}

impl OrphanedPeer {
    /// Returns the members of a room that are orphaned if their process is dead, as seen by the
    /// process `own`. Of its own members, these are all that are not connected: whatever absence
    /// the room records, the process that noted it may be dead by now.
    pub(super) fn candidates(
        room: &Room,
        own: ProcessId,
        local: &Local,
    ) -> impl Iterator<Item = Self> {
        let is_elsewhere =
            move |member: &&Member| member.process != own || !local.is_in(member.id, room.id());
        room.members().iter().filter(is_elsewhere).map(|member| Self {
            room: room.id().clone(),
            peer: member.id,
            process: member.process,
        })
    }
}

/// A room as it was loaded.
#[derive(Debug, Clone)]
pub(crate) struct StoredRoom {
    pub(crate) room: Arc<Room>,
    version: Version,
}

/// What identifies one state of a room in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Version {
    Number(u64),
    /// The whole text of the room.
    Text(String),
}

/// A change to one room.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) id: &'a RoomId,
    /// The room as it was loaded; `None` if it did not exist.
    pub(crate) from: Option<&'a StoredRoom>,
    /// The changed room. A room without peers is removed.
    pub(crate) to: Room,
    pub(crate) effects: Vec<Effect>,
    /// The open rooms of its group that have refused the first peer of a new room, so that the new
    /// room is allowed besides them.
    pub(crate) beside: &'a [RoomId],
}

#[async_trait]
pub(crate) trait Store: Debug + Send + Sync {
    /// Returns whether other processes have the same rooms.
    fn is_shared(&self) -> bool;

    /// Returns whether it is known to be unreachable.
    fn is_down(&self) -> bool {
        false
    }

    /// Returns a room that takes the next peer of that group, if there is one besides these rooms.
    async fn open_room(&self, group: &str, beside: &[RoomId]) -> Result<Option<RoomId>, StoreDown>;

    /// Returns the room, if it exists.
    async fn load(&self, id: &RoomId) -> Result<Option<StoredRoom>, StoreDown>;

    /// Stores the changed room, and delivers its effects to the peers, here and at other processes.
    /// Does nothing and returns `false` if the room has changed since it was loaded, or if it is a
    /// new room of a group that has another open room by now.
    async fn swap(&self, change: Change<'_>) -> Result<bool, StoreDown>;

    /// Forwards a signal from the first peer to the second, which is not connected here. Returns
    /// whether the second peer may be connected to another process.
    async fn pass_on(
        &self,
        room: &RoomId,
        between: (PeerId, PeerId),
        message: &Utf8Bytes,
    ) -> Result<bool, StoreDown>;

    /// Returns up to `most` public rooms of a game.
    async fn listed(&self, game: &str, most: usize) -> Result<Vec<Arc<Room>>, StoreDown>;

    /// Notes that one more peer of this process is in the room, whose effects must be received
    /// here.
    async fn subscribe(&self, id: &RoomId) -> Result<(), StoreDown>;

    /// Notes that one peer of this process has left the room.
    fn unsubscribe(&self, id: &RoomId);

    /// Returns the peers in this process's rooms whose own processes are dead. Called regularly.
    async fn orphaned_peers(&self) -> Vec<OrphanedPeer> {
        Vec::new()
    }
}
