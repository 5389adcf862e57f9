//! Rooms of several processes, in Redis.
//!
//! A room is one key that expires unless somebody who is in it refreshes it. A change is a script that puts the room in only if it is
//! still as it was, moves it in the indexes, and publishes what comes of it on the channel of the room, to which every process listens
//! that has a peer in it: so all of them hear of all changes in the same order.
//!
//! Publishing and not a stream: what a peer has to hear it can also see from the room, so a process that was cut off looks at the rooms
//! when it is back, and needs no history of them.

mod events;
mod scripts;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use redis::{
    Client, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cmd, pipe,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tracing::{info, warn};
use tungstenite::Utf8Bytes;

use self::{
    events::{Published, Subscription},
    scripts::Scripts,
};
use super::{
    super::{
        local::Local,
        room::{ProcessId, Room, RoomId},
    },
    Change, Kept, Store, StoreDown, Version,
};
use crate::{
    lobby::{RoomEvent, ServiceState},
    protocol::PeerId,
};

/// How long Redis may take to answer. It needs less than a millisecond; after that it is gone, and a player should be told.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long a process is taken for alive after it last said so, which it does every second.
const ALIVE_FOR: Duration = Duration::from_secs(5);
/// How long a room is kept that nobody refreshes: longer than peers of a dead process are waited for.
const ROOM_FOR: Duration = Duration::from_secs(90);
/// How often rooms are refreshed.
const REFRESH: Duration = Duration::from_secs(15);
/// How long nobody is taken for dead after Redis was gone: the others need a moment to say that they are there.
const AFTER_OUTAGE: Duration = Duration::from_secs(5);
/// Commands in one message to Redis.
const BATCH: usize = 500;

/// Before all keys and channels, so that other programs can use the same Redis.
const PREFIX: &str = "signaling:";

fn key(kind: &str, name: impl fmt::Display) -> String {
    format!("{PREFIX}{kind}:{name}")
}

pub(crate) struct RedisStore {
    commands: ConnectionManager,
    scripts: Scripts,
    subscriptions: mpsc::UnboundedSender<Subscription>,
    process: ProcessId,
    shared: Arc<Followed>,
    beat: tokio::sync::Mutex<Beat>,
    echoes: Echoes,
}

/// Changes of this process that are on their way back to it.
#[derive(Default)]
struct Echoes(Mutex<(u64, HashMap<u64, oneshot::Sender<()>>)>);

impl Echoes {
    /// A number for a change, and what resolves when it was heard.
    fn expect(&self) -> (u64, oneshot::Receiver<()>) {
        let (sender, heard) = oneshot::channel();
        let mut echoes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        echoes.0 += 1;
        let number = echoes.0;
        echoes.1.insert(number, sender);
        (number, heard)
    }

    fn heard(&self, number: u64) {
        let mut echoes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = echoes.1.remove(&number) {
            // Who no longer waits need not be told.
            let _ = sender.send(());
        }
    }

    fn forget(&self, number: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&number);
    }
}

/// The rooms with peers of this process, and whether we hear of them.
struct Followed {
    local: Arc<Local>,
    rooms: Mutex<HashMap<RoomId, FollowedRoom>>,
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
    trusts_from: Instant,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("process", &self.process).finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Connects, and begins to listen.
    pub(crate) async fn connect(
        url: &str,
        process: ProcessId,
        local: Arc<Local>,
    ) -> Result<Arc<Self>, RedisError> {
        let client = Client::open(url)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(ANSWER_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN))
            .set_number_of_retries(1);
        let commands = ConnectionManager::new_with_config(client.clone(), config).await?;
        let (subscriptions, receiver) = mpsc::unbounded_channel();
        let shared =
            Arc::new(Followed { local, rooms: Mutex::default(), is_down: AtomicBool::new(false) });
        let pubsub = client.get_async_pubsub().await?;
        let now = Instant::now();
        let store = Arc::new(Self {
            commands,
            scripts: Scripts::new(),
            subscriptions,
            process,
            shared,
            beat: tokio::sync::Mutex::new(Beat { refreshed: now, trusts_from: now + AFTER_OUTAGE }),
            echoes: Echoes::default(),
        });
        tokio::spawn(events::follow(client, pubsub, receiver, Arc::downgrade(&store)));
        Ok(store)
    }

    /// Runs one command or script, unless Redis is known to be gone.
    async fn run<T>(
        &self,
        work: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StoreDown> {
        if self.shared.is_down.load(Relaxed) {
            return Err(StoreDown);
        }
        work.await.map_err(|error| {
            warn!(%error, "Redis did not do what it was asked to");
            StoreDown
        })
    }

    /// Says that this process is alive, and keeps its rooms.
    async fn beat(&self) -> Result<(), StoreDown> {
        let mut commands = self.commands.clone();
        let alive = key("process", self.process.0);
        let millis = ALIVE_FOR.as_millis() as u64;
        let mut say = cmd("SET");
        say.arg(alive).arg(1).arg("PX").arg(millis);
        self.run(say.exec_async(&mut commands)).await?;
        let mut beat = self.beat.lock().await;
        if beat.refreshed.elapsed() < REFRESH {
            return Ok(());
        }
        beat.refreshed = Instant::now();
        drop(beat);
        let ids: Vec<RoomId> = self.shared.lock().keys().cloned().collect();
        for ids in ids.chunks(BATCH) {
            let mut batch = pipe();
            for id in ids {
                batch.cmd("PEXPIRE").arg(key("room", &id.0)).arg(ROOM_FOR.as_millis() as u64);
            }
            let kept: Vec<bool> = self.run(batch.query_async(&mut commands)).await?;
            for (id, _) in ids.iter().zip(kept).filter(|(_, is_kept)| !is_kept) {
                self.look_again(id).await?;
            }
        }
        Ok(())
    }

    /// Compares a room with what was last seen of it: tells our peers what they missed, and puts it and them back where Redis has
    /// forgotten them.
    async fn look_again(&self, id: &RoomId) -> Result<(), StoreDown> {
        loop {
            let Some(before) = self.shared.lock().get(id).and_then(|room| room.room.clone()) else {
                return Ok(());
            };
            let kept = self.load(id).await?;
            let ours = self.shared.local.of_room(id);
            let mut room = match &kept {
                Some(kept) => Room::clone(&kept.room),
                None => Room::clone(&before),
            };
            let is_put_back = room.put_back(&before, &ours);
            let effects = room.catch_up(&before, &ours);
            if kept.is_some() && !is_put_back {
                self.shared.see(id, Some(room));
                self.shared.local.apply(id, &effects);
                return Ok(());
            }
            let change = Change { id, from: kept.as_ref(), to: room, effects };
            if self.swap(change).await? {
                return Ok(());
            }
        }
    }

    /// After an outage: all rooms are looked at.
    async fn recover(&self) -> Result<(), StoreDown> {
        self.beat.lock().await.trusts_from = Instant::now() + AFTER_OUTAGE;
        self.shared.is_down.store(false, Relaxed);
        self.beat().await?;
        let ids: Vec<RoomId> = self.shared.lock().keys().cloned().collect();
        for id in &ids {
            self.look_again(id).await?;
        }
        info!(rooms = ids.len(), "Redis is back");
        self.shared.local.tell_all(&RoomEvent::Service(ServiceState::Restored));
        Ok(())
    }

    fn lose(&self) {
        if !self.shared.is_down.swap(true, Relaxed) {
            warn!("Redis is gone: matches go on, and nobody can come until it is back");
            self.shared.local.tell_all(&RoomEvent::Service(ServiceState::Impaired));
        }
    }

    /// The members of our rooms by the process that they are connected to, other than this one.
    fn elsewhere(&self) -> HashMap<ProcessId, Vec<(RoomId, PeerId)>> {
        let mut elsewhere: HashMap<ProcessId, Vec<(RoomId, PeerId)>> = HashMap::new();
        for (id, followed) in &*self.shared.lock() {
            for member in followed.room.iter().flat_map(|room| room.members()) {
                if member.process != self.process && member.absent_since.is_none() {
                    elsewhere.entry(member.process).or_default().push((id.clone(), member.id));
                }
            }
        }
        elsewhere
    }

    async fn dead(&self, processes: &[ProcessId]) -> Result<HashSet<ProcessId>, StoreDown> {
        let mut dead = HashSet::new();
        for processes in processes.chunks(BATCH) {
            let mut batch = pipe();
            for process in processes {
                batch.cmd("EXISTS").arg(key("process", process.0));
            }
            let alive: Vec<bool> = self.run(batch.query_async(&mut self.commands.clone())).await?;
            let gone = processes.iter().zip(alive).filter(|(_, is_alive)| !is_alive);
            dead.extend(gone.map(|(process, _)| *process));
        }
        Ok(dead)
    }
}

impl Followed {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RoomId, FollowedRoom>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, id: &RoomId, room: Option<Room>) {
        if let Some(followed) = self.lock().get_mut(id) {
            followed.room = room.map(Arc::new);
        }
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

    async fn open_room(&self, group: &str) -> Result<Option<RoomId>, StoreDown> {
        let found: Option<String> = self.run(self.scripts.open_room(&self.commands, group)).await?;
        Ok(found.map(RoomId))
    }

    async fn load(&self, id: &RoomId) -> Result<Option<Kept>, StoreDown> {
        let mut get = cmd("GET");
        get.arg(key("room", &id.0));
        let text: Option<String> = self.run(get.query_async(&mut self.commands.clone())).await?;
        text.map(|text| kept(text).ok_or(StoreDown)).transpose()
    }

    async fn swap(&self, change: Change<'_>) -> Result<bool, StoreDown> {
        let is_followed = self.shared.lock().contains_key(change.id);
        let (number, heard) = self.echoes.expect();
        let by = (self.process, number);
        let swapped = self.run(self.scripts.swap(&self.commands, change, by)).await;
        if swapped == Ok(true) && is_followed {
            // Our own peers have been told once this comes back to us. If it is lost, the connection is, and all is looked up again.
            let _ = timeout(ANSWER_WITHIN, heard).await;
        }
        self.echoes.forget(number);
        swapped
    }

    async fn pass_on(
        &self,
        room: &RoomId,
        to: PeerId,
        message: &Utf8Bytes,
    ) -> Result<bool, StoreDown> {
        let signal = Published::Signal { to, message: message.to_string() };
        let mut publish = cmd("PUBLISH");
        publish.arg(key("events", &room.0)).arg(signal.to_json());
        self.run(publish.exec_async(&mut self.commands.clone())).await?;
        Ok(true)
    }

    async fn listed(&self, game: &str, most: usize) -> Result<Vec<Arc<Room>>, StoreDown> {
        let rooms: Vec<String> = self.run(self.scripts.listed(&self.commands, game, most)).await?;
        Ok(rooms.into_iter().filter_map(kept).map(|kept| kept.room).collect())
    }

    async fn watch(&self, id: &RoomId) -> Result<(), StoreDown> {
        let (done, is_done) = oneshot::channel();
        self.shared.lock().entry(id.clone()).or_default().peers += 1;
        let subscription = Subscription::Begin { id: id.clone(), done };
        // The task that listens ends with the store.
        self.subscriptions.send(subscription).map_err(|_| StoreDown)?;
        is_done.await.unwrap_or(Err(StoreDown))
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

    async fn bereaved(&self) -> Vec<(RoomId, Vec<PeerId>)> {
        if self.beat().await.is_err() || self.beat.lock().await.trusts_from > Instant::now() {
            return Vec::new();
        }
        let mut elsewhere = self.elsewhere();
        let processes: Vec<ProcessId> = elsewhere.keys().copied().collect();
        let dead = self.dead(&processes).await.unwrap_or_default();
        elsewhere.retain(|process, _| dead.contains(process));
        let mut bereaved: HashMap<RoomId, Vec<PeerId>> = HashMap::new();
        for (room, peer) in elsewhere.into_values().flatten() {
            bereaved.entry(room).or_default().push(peer);
        }
        bereaved.into_iter().collect()
    }
}

/// A room as it lies in Redis. What another version of this program wrote may be unreadable.
fn kept(text: String) -> Option<Kept> {
    let room = serde_json::from_str(&text)
        .inspect_err(|error| warn!(%error, "a room in Redis cannot be read"))
        .ok()?;
    Some(Kept { room: Arc::new(room), version: Version::Text(text) })
}
