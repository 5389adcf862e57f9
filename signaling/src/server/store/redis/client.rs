//! One process's connection to Redis, on which the other files here build.

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

/// How long Redis may take to answer. It needs less than a millisecond; after this time, it counts
/// as gone, and players should be told.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often a process reports that it is alive.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// How long a process counts as alive after its last report. If a process does not receive its own
/// reports for this long, it is cut off.
pub(super) const ALIVE_FOR: Duration = Duration::from_secs(5);
/// The minimum time for which a room that nobody refreshes is kept.
pub(super) const ROOM_FOR: Duration = Duration::from_secs(90);
/// How much longer such a room is kept, at least, than the peers of a dead process are awaited.
pub(super) const ROOM_LONGER: Duration = Duration::from_secs(60);
/// How often rooms are refreshed.
pub(super) const REFRESH: Duration = Duration::from_secs(15);
/// For how long after an outage of Redis no process is taken for dead: the other processes need a
/// moment to report.
pub(super) const AFTER_OUTAGE: Duration = Duration::from_secs(5);
/// The number of commands in one message to Redis.
pub(super) const BATCH: usize = 500;

/// Redis's answer for a key that does not expire.
pub(super) const FOR_EVER: i64 = -1;

/// A change in the number of peers of this process in a room.
pub(super) enum Subscription {
    /// One more peer is in the room. `done` resolves when everything that is published from then on
    /// is received here.
    Begin { id: RoomId, done: oneshot::Sender<Result<(), StoreDown>> },
    /// One peer has left the room.
    End { id: RoomId },
}

pub(crate) struct RedisStore {
    /// Replaced after each outage: a connection that the network dropped silently would not notice
    /// for a long time.
    pub(super) commands: Mutex<ConnectionManager>,
    pub(super) scripts: Scripts,
    pub(super) subscriptions: mpsc::UnboundedSender<Subscription>,
    pub(super) process: ProcessId,
    pub(super) shared: SubscribedRooms,
    pub(super) beat: Mutex<Beat>,
    pub(super) echoes: Echoes,
    /// How long a room that nobody refreshes is kept.
    pub(super) room_for: Duration,
    /// Notified when a published message did not arrive, so that the connection must be replaced.
    pub(super) reconnect: Arc<Notify>,
}

/// The rooms with peers of this process, and whether their changes are received.
pub(super) struct SubscribedRooms {
    pub(super) local: Arc<Local>,
    pub(super) rooms: Mutex<HashMap<RoomId, SubscribedRoom>>,
    /// Whether the rooms may be out of date: true from an outage on until all rooms have been
    /// checked.
    pub(super) is_down: AtomicBool,
}

#[derive(Default)]
pub(super) struct SubscribedRoom {
    /// The number of peers of this process in it.
    pub(super) peers: usize,
    /// Its state when it was last seen.
    pub(super) room: Option<Arc<Room>>,
}

pub(super) struct Beat {
    pub(super) refreshed: Instant,
    /// When dead processes were last looked for.
    pub(super) looked: Instant,
    pub(super) trusts_from: Instant,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("process", &self.process).finish_non_exhaustive()
    }
}

/// Opens a connection for commands.
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

    /// Like [`run`](Self::run), but also before Redis is known to be back.
    pub(super) async fn attempt<T>(
        &self,
        work: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StoreDown> {
        work.await.map_err(|error| {
            if self.is_down() {
                debug!(%error, "Redis is not back yet");
            } else {
                warn!(%error, "a command to Redis failed");
            }
            StoreDown
        })
    }

    /// Returns whether peers that are connected here were in the room when it was last seen.
    pub(super) fn has_ours(&self, id: &RoomId) -> bool {
        let seen = self.shared.lock().get(id).and_then(|subscribed| subscribed.room.clone());
        seen.is_some_and(|seen| self.are_any_here(&seen))
    }

    /// Swaps a changed room in. If `is_new`, no room is created in a group that already has an open
    /// room; a room that had only been forgotten is not new.
    pub(super) async fn put(&self, change: Change<'_>, is_new: bool) -> Result<bool, StoreDown> {
        let id = change.id;
        let is_subscribed = self.shared.lock().contains_key(id);
        let mut echo = self.echoes.expect()?;
        let by = (self.process, echo.number());
        let commands = self.commands();
        let swap = self.scripts.swap(&commands, change, by, is_new, self.room_for);
        let swapped = self.attempt(swap).await?;
        if swapped && is_subscribed {
            // Our own peers have received the effects once the change has come back to us.
            let heard = in_time(echo.heard()).await;
            // This does not matter if no peer of this process is in the room any longer.
            if heard != Some(Ok(())) && self.shared.lock().contains_key(id) {
                if heard.is_none() {
                    warn!("a message that this process published through Redis did not come back");
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

    /// Notes the state of a room, and returns the previous one.
    pub(super) fn see(&self, id: &RoomId, room: Option<Arc<Room>>) -> Option<Arc<Room>> {
        let mut rooms = self.lock();
        let subscribed = rooms.get_mut(id)?;
        mem::replace(&mut subscribed.room, room)
    }

    /// Returns the previous value.
    pub(super) fn set_down(&self, is_down: bool) -> bool {
        self.is_down.swap(is_down, Relaxed)
    }
}

/// Returns the output, unless it takes longer than [`ANSWER_WITHIN`]. The wait has two parts,
/// because only one of them can elapse while this process is halted.
pub(super) async fn in_time<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..2 {
        if let Ok(output) = timeout(ANSWER_WITHIN / 2, &mut work).await {
            return Some(output);
        }
    }
    None
}
