//! The connection of one process to Redis: what all else here stands on.

use std::{
    collections::HashMap,
    fmt, mem,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use redis::{
    Client, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, timeout},
};
use tracing::{debug, warn};

use super::{echoes::Echoes, scripts::Scripts};
use crate::server::{
    local::Local,
    room::{ProcessId, Room, RoomId},
    store::{Change, Store, StoreDown},
};

/// How long Redis may take to answer. It needs less than a millisecond; after that it is gone, and
/// a player should be told.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often a process says that it is alive.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// How long a process is taken for alive after it last said so. If it does not hear itself for so
/// long, it is cut off.
pub(super) const ALIVE_FOR: Duration = Duration::from_secs(5);
/// How long a room is kept that nobody refreshes, at least, and how much longer than peers of a
/// dead process are waited for.
pub(super) const ROOM_FOR: Duration = Duration::from_secs(90);
pub(super) const ROOM_LONGER: Duration = Duration::from_secs(60);
/// How often rooms are refreshed.
pub(super) const REFRESH: Duration = Duration::from_secs(15);
/// How long nobody is taken for dead after Redis was gone: the others need a moment to say that
/// they are there.
pub(super) const AFTER_OUTAGE: Duration = Duration::from_secs(5);
/// Commands in one message to Redis.
pub(super) const BATCH: usize = 500;

/// What Redis says of a key that does not expire.
pub(super) const FOR_EVER: i64 = -1;

/// A change in the rooms that have peers of this process.
pub(super) enum Subscription {
    /// One more peer is in the room. It is done once everything that is published from then on
    /// comes here.
    Begin { id: RoomId, done: oneshot::Sender<Result<(), StoreDown>> },
    /// One less.
    End { id: RoomId },
}

pub(crate) struct RedisStore {
    /// Another one after each outage: one that a network has lost silently would not notice for
    /// long.
    pub(super) commands: Mutex<ConnectionManager>,
    pub(super) scripts: Scripts,
    pub(super) subscriptions: mpsc::UnboundedSender<Subscription>,
    pub(super) process: ProcessId,
    pub(super) shared: SubscribedRooms,
    pub(super) beat: Mutex<Beat>,
    pub(super) echoes: Echoes,
    /// How long a room is kept that nobody refreshes.
    pub(super) room_for: Duration,
    /// Something that was published did not come: the connection is of no more use.
    pub(super) reconnect: Arc<Notify>,
}

/// The rooms with peers of this process, and whether we hear of them.
pub(super) struct SubscribedRooms {
    pub(super) local: Arc<Local>,
    pub(super) rooms: Mutex<HashMap<RoomId, SubscribedRoom>>,
    /// Whether rooms may not be as they should be: until all were looked at.
    pub(super) is_down: AtomicBool,
}

#[derive(Default)]
pub(super) struct SubscribedRoom {
    /// How many peers of this process are in it.
    pub(super) peers: usize,
    /// As it was last seen.
    pub(super) room: Option<Arc<Room>>,
}

pub(super) struct Beat {
    pub(super) refreshed: Instant,
    /// When it was last looked for dead processes.
    pub(super) looked: Instant,
    pub(super) trusts_from: Instant,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("process", &self.process).finish_non_exhaustive()
    }
}

/// A connection for commands.
pub(super) async fn commands(client: &Client) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(ANSWER_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN))
        .set_number_of_retries(1);
    ConnectionManager::new_with_config(client.clone(), config).await
}

impl RedisStore {
    pub(super) fn commands(&self) -> ConnectionManager {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_commands(&self, commands: ConnectionManager) {
        *self.commands.lock().unwrap_or_else(PoisonError::into_inner) = commands;
    }

    pub(super) fn lock_beat(&self) -> MutexGuard<'_, Beat> {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one command or script, unless Redis is known to be gone.
    pub(super) async fn run<T>(
        &self,
        work: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StoreDown> {
        if self.is_down() { Err(StoreDown) } else { self.attempt(work).await }
    }

    /// The same, also while it is not known to be back.
    pub(super) async fn attempt<T>(
        &self,
        work: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StoreDown> {
        work.await.map_err(|error| {
            if self.is_down() {
                debug!(%error, "Redis is not back yet");
            } else {
                warn!(%error, "Redis did not do what it was asked to");
            }
            StoreDown
        })
    }

    /// Whether peers that are connected here were in the room when it was last seen.
    pub(super) fn has_ours(&self, id: &RoomId) -> bool {
        let seen = self.shared.lock().get(id).and_then(|subscribed| subscribed.room.clone());
        seen.is_some_and(|seen| self.are_any_here(&seen))
    }

    /// Swaps a changed room in. Of a group with an open room there is no new one, unless it only
    /// was forgotten.
    pub(super) async fn put(&self, change: Change<'_>, is_new: bool) -> Result<bool, StoreDown> {
        let id = change.id;
        let is_subscribed = self.shared.lock().contains_key(id);
        let mut echo = self.echoes.expect()?;
        let by = (self.process, echo.number());
        let commands = self.commands();
        let swap = self.scripts.swap(&commands, change, by, is_new, self.room_for);
        let swapped = self.attempt(swap).await?;
        if swapped && is_subscribed {
            // Our own peers have been told once this comes back to us.
            let heard = in_time(echo.heard()).await;
            // Unless nobody is here any more who would hear of it.
            if heard != Some(Ok(())) && self.shared.lock().contains_key(id) {
                if heard.is_none() {
                    warn!("Redis publishes what does not come here");
                    self.reconnect.notify_waiters();
                }
                return Err(StoreDown);
            }
        }
        Ok(swapped)
    }
}

impl SubscribedRooms {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, SubscribedRoom>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the room as it was seen before.
    pub(super) fn see(&self, id: &RoomId, room: Option<Arc<Room>>) -> Option<Arc<Room>> {
        let mut rooms = self.lock();
        let subscribed = rooms.get_mut(id)?;
        mem::replace(&mut subscribed.room, room)
    }

    /// Returns what was so before.
    pub(super) fn set_down(&self, is_down: bool) -> bool {
        self.is_down.swap(is_down, Relaxed)
    }
}

/// The output, unless it takes longer than [`ANSWER_WITHIN`]: in two parts, only one of which
/// passes while this process is halted.
pub(super) async fn in_time<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..2 {
        if let Ok(output) = timeout(ANSWER_WITHIN / 2, &mut work).await {
            return Some(output);
        }
    }
    None
}
