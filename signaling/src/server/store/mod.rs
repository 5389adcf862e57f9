//! Where rooms are kept: in the memory of this process, or in Redis for all processes of a service.
//!
//! A store knows nothing of what happens in a [`Room`]. To change one is to load it, change the
//! copy and swap it in, which fails if somebody else was faster. So each change is atomic, whatever
//! it is, and its effects reach the peers in the order of the changes.

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

/// A peer whose process is dead, as a room was a moment ago: by now the peer may be back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrphanedPeer {
    pub(crate) room: RoomId,
    pub(crate) peer: PeerId,
    /// The process that is dead.
    pub(crate) process: ProcessId,
}

impl OrphanedPeer {
    /// The members of a room that somebody has to look after if their process is dead, as seen by
    /// the process `own`. Of its own members it looks after all that are not connected: whatever
    /// the room knows of an absence, the process that noted it may be dead by now.
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

/// What a store knows one state of a room by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Version {
    Number(u64),
    /// All that is kept of it.
    Text(String),
}

/// A change to one room.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) id: &'a RoomId,
    /// The room as it was loaded; `None` if there was none.
    pub(crate) from: Option<&'a StoredRoom>,
    /// The room as it shall be. One without peers is removed.
    pub(crate) to: Room,
    pub(crate) effects: Vec<Effect>,
    /// Open rooms of its group that a new room may stand beside, as they do not let its first peer
    /// in.
    pub(crate) beside: &'a [RoomId],
}

#[async_trait]
pub(crate) trait Store: Debug + Send + Sync {
    /// Whether other processes have the same rooms.
    fn is_shared(&self) -> bool;

    /// Whether it is known to be out of reach.
    fn is_down(&self) -> bool {
        false
    }

    /// A room in which the next one of that group belongs, if there is one beside these.
    async fn open_room(&self, group: &str, beside: &[RoomId]) -> Result<Option<RoomId>, StoreDown>;

    /// The room, if there is one.
    async fn load(&self, id: &RoomId) -> Result<Option<StoredRoom>, StoreDown>;

    /// Puts the changed room in, and hands the effects to the peers, here and in other processes.
    /// False, and nothing is done, if the room has changed since it was loaded, or if it is a new
    /// one of a group that has another open one by now.
    async fn swap(&self, change: Change<'_>) -> Result<bool, StoreDown>;

    /// Passes a signal of the first peer on to the second, which is not connected here, if it can
    /// be anywhere else; whether it can.
    async fn pass_on(
        &self,
        room: &RoomId,
        between: (PeerId, PeerId),
        message: &Utf8Bytes,
    ) -> Result<bool, StoreDown>;

    /// The public rooms of a game, `most` at most.
    async fn listed(&self, game: &str, most: usize) -> Result<Vec<Arc<Room>>, StoreDown>;

    /// One more peer of this process is in the room: its effects must come here.
    async fn subscribe(&self, id: &RoomId) -> Result<(), StoreDown>;

    /// One peer less of this process is in the room.
    fn unsubscribe(&self, id: &RoomId);

    /// The peers in these rooms whose processes are dead. Called now and then.
    async fn orphaned_peers(&self) -> Vec<OrphanedPeer> {
        Vec::new()
    }
}
