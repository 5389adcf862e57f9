//! Rooms of several processes, in Redis.
//!
//! A room is one key that expires unless somebody who is in it refreshes it. A change is a script
//! that puts the room in only if it is still as it was, moves it in the indexes, and publishes what
//! comes of it on the channel of the room, to which every process listens that has a peer in it: so
//! all of them hear of all changes in the same order.
//!
//! Publishing and not a stream: what a peer has to hear it can also see from the room, so a process
//! that was cut off looks at the rooms when it is back, and needs no history of them.

mod alive;
mod echoes;
mod events;
mod recovery;
mod scripts;

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

use async_trait::async_trait;
use redis::{
    Client, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cmd,
};
use serde_json::Value;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, timeout},
};
use tracing::{debug, warn};
use tungstenite::Utf8Bytes;

use self::{
    echoes::Echoes,
    events::{Published, Subscription},
    scripts::Scripts,
};
use super::{Bereaved, Change, Kept, Store, StoreDown, Version};
use crate::{
    protocol::PeerId,
    server::{
        local::Local,
        room::{ProcessId, Room, RoomId},
    },
};

/// How long Redis may take to answer. It needs less than a millisecond; after that it is gone, and
/// a player should be told.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often a process says that it is alive.
const BEAT: Duration = Duration::from_secs(1);
/// How long a process is taken for alive after it last said so. If it does not hear itself for so
/// long, it is cut off.
const ALIVE_FOR: Duration = Duration::from_secs(5);
/// How long a room is kept that nobody refreshes, at least, and how much longer than peers of a
/// dead process are waited for.
const ROOM_FOR: Duration = Duration::from_secs(90);
const ROOM_LONGER: Duration = Duration::from_secs(60);
/// How often rooms are refreshed.
const REFRESH: Duration = Duration::from_secs(15);
/// How long nobody is taken for dead after Redis was gone: the others need a moment to say that
/// they are there.
const AFTER_OUTAGE: Duration = Duration::from_secs(5);
/// Commands in one message to Redis.
const BATCH: usize = 500;

/// What Redis says of a key that does not expire.
const FOR_EVER: i64 = -1;

/// Before all keys and channels, so that other programs can use the same Redis.
const PREFIX: &str = "signaling:";

fn key(kind: &str, name: impl fmt::Display) -> String {
    format!("{PREFIX}{kind}:{name}")
}

pub(crate) struct RedisStore {
    /// Another one after each outage: one that a network has lost silently would not notice for
    /// long.
    commands: Mutex<ConnectionManager>,
    scripts: Scripts,
    subscriptions: mpsc::UnboundedSender<Subscription>,
    process: ProcessId,
    shared: Followed,
    beat: Mutex<Beat>,
    echoes: Echoes,
    /// How long a room is kept that nobody refreshes.
    room_for: Duration,
    /// Something that was published did not come: the connection is of no more use.
    doubt: Arc<Notify>,
}

/// The rooms with peers of this process, and whether we hear of them.
struct Followed {
    local: Arc<Local>,
    rooms: Mutex<HashMap<RoomId, FollowedRoom>>,
    /// Whether rooms may not be as they should be: until all were looked at.
    is_down: AtomicBool,
}

#[derive(Default)]
struct FollowedRoom {
    /// How many peers of this process are in it.
    peers: usize,
    /// As it was last seen.
    room: Option<Arc<Room>>,
}

struct Beat {
    refreshed: Instant,
    /// When it was last looked for dead processes.
    looked: Instant,
    trusts_from: Instant,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("process", &self.process).finish_non_exhaustive()
    }
}

/// A connection for commands.
async fn commands(client: &Client) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(ANSWER_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN))
        .set_number_of_retries(1);
    ConnectionManager::new_with_config(client.clone(), config).await
}

impl RedisStore {
    /// Connects, and begins to listen. The places of peers of a dead process are kept for `grace`.
    pub(crate) async fn connect(
        url: &str,
        process: ProcessId,
        local: Arc<Local>,
        grace: Duration,
    ) -> Result<Arc<Self>, RedisError> {
        let client = Client::open(url)?;
        let (subscriptions, receiver) = mpsc::unbounded_channel();
        let shared = Followed { local, rooms: Mutex::default(), is_down: AtomicBool::new(false) };
        let connection = commands(&client).await?;
        let pubsub = client.get_async_pubsub().await?;
        // A Redis that wants a password, or does not let us write, says so only now.
        alive::sign_of_life(process).exec_async(&mut connection.clone()).await?;
        let now = Instant::now();
        let store = Arc::new(Self {
            commands: Mutex::new(connection),
            scripts: Scripts::new(),
            subscriptions,
            process,
            shared,
            beat: Mutex::new(Beat { refreshed: now, looked: now, trusts_from: now + AFTER_OUTAGE }),
            echoes: Echoes::default(),
            room_for: ROOM_FOR.max(grace.saturating_add(ROOM_LONGER)),
            doubt: Arc::default(),
        });
        tokio::spawn(events::follow(client, pubsub, receiver, Arc::downgrade(&store)));
        tokio::spawn(alive::beat(Arc::downgrade(&store)));
        Ok(store)
    }

    fn commands(&self) -> ConnectionManager {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_commands(&self, commands: ConnectionManager) {
        *self.commands.lock().unwrap_or_else(PoisonError::into_inner) = commands;
    }

    fn lock_beat(&self) -> MutexGuard<'_, Beat> {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one command or script, unless Redis is known to be gone.
    async fn run<T>(
        &self,
        work: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StoreDown> {
        if self.is_down() { Err(StoreDown) } else { self.attempt(work).await }
    }

    /// The same, also while it is not known to be back.
    async fn attempt<T>(
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

    /// What lies in Redis in the place of a room. What is no room at all is taken out, or nobody
    /// could ever use the name again.
    async fn fetch(&self, id: &RoomId) -> Result<Fetched, StoreDown> {
        let key = key("room", &id.0);
        let mut get = cmd("GET");
        get.arg(&key);
        let fetched = get.query_async::<Option<Vec<u8>>>(&mut self.commands()).await;
        let junk = match fetched {
            Ok(None) => return Ok(Fetched::None),
            Ok(Some(bytes)) => match Kept::read(bytes) {
                Ok(kept) => return Ok(Fetched::Kept(kept)),
                Err(unreadable) if unreadable.is_foreign && self.expires(&key).await? => {
                    warn!(
                        key,
                        "this room in Redis is one of another version of this program: nobody \
                         enters it here until its peers have left it"
                    );
                    return Ok(Fetched::Foreign);
                }
                Err(unreadable) => unreadable.bytes,
            },
            Err(error) if error.code() == Some("WRONGTYPE") => Vec::new(),
            Err(error) => return self.attempt(async { Err(error) }).await,
        };
        warn!(key, "what lies in Redis in the place of a room is none, and is taken out");
        self.attempt(self.scripts.remove(&self.commands(), id, &junk)).await?;
        Ok(Fetched::None)
    }

    /// Whether a key is one that Redis will forget by itself, as each version of this program has
    /// it with its rooms.
    async fn expires(&self, key: &str) -> Result<bool, StoreDown> {
        let mut ask = cmd("PTTL");
        ask.arg(key);
        let time: i64 = self.attempt(ask.query_async(&mut self.commands())).await?;
        Ok(time != FOR_EVER)
    }

    /// Puts a room back into the indexes in which it belongs.
    async fn put_into_indexes(&self, id: &RoomId) -> Result<(), StoreDown> {
        let Fetched::Kept(kept) = self.fetch(id).await? else { return Ok(()) };
        let (to, effects) = (Room::clone(&kept.room), Vec::new());
        let change = Change { id, from: Some(&kept), to, effects, beside: &[] };
        // If somebody else was faster, that change has put it there.
        self.put(change, false).await.map(drop)
    }

    /// Whether peers that are connected here were in the room when it was last seen.
    fn has_ours(&self, id: &RoomId) -> bool {
        let seen = self.shared.lock().get(id).and_then(|followed| followed.room.clone());
        seen.is_some_and(|seen| self.are_any_here(&seen))
    }

    /// Swaps a changed room in. Of a group with an open room there is no new one, unless it only
    /// was forgotten.
    async fn put(&self, change: Change<'_>, is_new: bool) -> Result<bool, StoreDown> {
        let id = change.id;
        let is_followed = self.shared.lock().contains_key(id);
        let mut echo = self.echoes.expect()?;
        let by = (self.process, echo.number());
        let commands = self.commands();
        let swap = self.scripts.swap(&commands, change, by, is_new, self.room_for);
        let swapped = self.attempt(swap).await?;
        if swapped && is_followed {
            // Our own peers have been told once this comes back to us.
            let heard = in_time(echo.heard()).await;
            // Unless nobody is here any more who would hear of it.
            if heard != Some(Ok(())) && self.shared.lock().contains_key(id) {
                if heard.is_none() {
                    warn!("Redis publishes what does not come here");
                    self.doubt.notify_waiters();
                }
                return Err(StoreDown);
            }
        }
        Ok(swapped)
    }
}

impl Followed {
    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, FollowedRoom>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the room as it was seen before.
    fn see(&self, id: &RoomId, room: Option<Arc<Room>>) -> Option<Arc<Room>> {
        let mut rooms = self.lock();
        let followed = rooms.get_mut(id)?;
        mem::replace(&mut followed.room, room)
    }

    /// Returns what was so before.
    fn set_down(&self, is_down: bool) -> bool {
        self.is_down.swap(is_down, Relaxed)
    }
}

#[async_trait]
impl Store for RedisStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn is_down(&self) -> bool {
        self.shared.is_down.load(Relaxed)
    }

    async fn open_room(&self, group: &str, beside: &[RoomId]) -> Result<Option<RoomId>, StoreDown> {
        let commands = self.commands();
        let found: Option<String> =
            self.run(self.scripts.open_room(&commands, group, beside)).await?;
        Ok(found.map(RoomId))
    }

    async fn load(&self, id: &RoomId) -> Result<Option<Kept>, StoreDown> {
        if self.is_down() {
            return Err(StoreDown);
        }
        let mut fetched = self.fetch(id).await?;
        if matches!(fetched, Fetched::None) && self.has_ours(id) {
            warn!(room = id.0, "a room is gone from Redis, and is put back");
            self.look_again(id).await?;
            fetched = self.fetch(id).await?;
        }
        match fetched {
            Fetched::None => Ok(None),
            Fetched::Kept(kept) => Ok(Some(kept)),
            Fetched::Foreign => Err(StoreDown),
        }
    }

    async fn swap(&self, change: Change<'_>) -> Result<bool, StoreDown> {
        if self.is_down() { Err(StoreDown) } else { self.put(change, true).await }
    }

    async fn pass_on(
        &self,
        room: &RoomId,
        between: (PeerId, PeerId),
        message: &Utf8Bytes,
    ) -> Result<bool, StoreDown> {
        if self.echoes.is_cut_off() {
            return Err(StoreDown);
        }
        let (from, to) = between;
        // Nobody listens for whom the room does not have.
        let seen = self.shared.lock().get(room).and_then(|followed| followed.room.clone());
        if seen.is_some_and(|seen| seen.member(to).is_none()) {
            return Ok(false);
        }
        let signal = Published::Signal { from, to, message: message.to_string() };
        let mut publish = cmd("PUBLISH");
        publish.arg(key("events", &room.0)).arg(signal.to_json());
        self.attempt(publish.exec_async(&mut self.commands())).await?;
        Ok(true)
    }

    async fn listed(&self, game: &str, most: usize) -> Result<Vec<Arc<Room>>, StoreDown> {
        let commands = self.commands();
        let rooms = self.run(self.scripts.listed(&commands, game, most)).await?;
        Ok(rooms.into_iter().filter_map(|bytes| Kept::read(bytes).ok()).map(|it| it.room).collect())
    }

    async fn watch(&self, id: &RoomId) -> Result<(), StoreDown> {
        let (done, is_done) = oneshot::channel();
        self.shared.lock().entry(id.clone()).or_default().peers += 1;
        if self.is_down() {
            return Err(StoreDown);
        }
        let subscription = Subscription::Begin { id: id.clone(), done };
        // The task that listens ends with the store.
        self.subscriptions.send(subscription).map_err(|_| StoreDown)?;
        match in_time(is_done).await {
            Some(Ok(done)) => done,
            _ => Err(StoreDown),
        }
    }

    fn unwatch(&self, id: &RoomId) {
        let mut rooms = self.shared.lock();
        if let Some(followed) = rooms.get_mut(id) {
            followed.peers -= 1;
            if followed.peers == 0 {
                rooms.remove(id);
            }
        }
        drop(rooms);
        let _ = self.subscriptions.send(Subscription::End { id: id.clone() });
    }

    async fn bereaved(&self) -> Vec<Bereaved> {
        if self.is_down() || self.refresh().await.is_err() || !self.trusts() {
            return Vec::new();
        }
        let mut elsewhere = self.elsewhere();
        let processes: Vec<ProcessId> =
            elsewhere.keys().copied().filter(|process| *process != self.process).collect();
        let mut dead = self.dead(&processes).await.unwrap_or_default();
        dead.insert(self.process);
        elsewhere.retain(|process, _| dead.contains(process));
        elsewhere.into_values().flatten().collect()
    }
}

/// The output, unless it takes longer than [`ANSWER_WITHIN`]: in two parts, only one of which
/// passes while this process is halted.
async fn in_time<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..2 {
        if let Ok(output) = timeout(ANSWER_WITHIN / 2, &mut work).await {
            return Some(output);
        }
    }
    None
}

/// What lies in Redis in the place of a room.
enum Fetched {
    None,
    Kept(Kept),
    /// A room of another version of this program, which may use it.
    Foreign,
}

/// What is no room as this version of the program writes it.
struct Unreadable {
    bytes: Vec<u8>,
    /// It may be one of another version.
    is_foreign: bool,
}

impl Kept {
    fn read(bytes: Vec<u8>) -> Result<Self, Unreadable> {
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                return Err(Unreadable { bytes: error.into_bytes(), is_foreign: false });
            }
        };
        match serde_json::from_str(&text) {
            Ok(room) => Ok(Self { room: Arc::new(room), version: Version::Text(text) }),
            Err(error) => {
                debug!(%error, "a room in Redis cannot be read");
                let value: Option<Value> = serde_json::from_str(&text).ok();
                let has_members = |value: Value| value.get("members").is_some_and(Value::is_array);
                let is_foreign = value.is_some_and(has_members);
                Err(Unreadable { bytes: text.into_bytes(), is_foreign })
            }
        }
    }
}
