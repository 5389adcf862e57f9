//! The rooms of several processes, in Redis.
//!
//! A room is one key, which expires unless a process with a peer in the room refreshes it. A change
//! is a script that stores the room only if it is still in the loaded state, moves it in the
//! indexes, and publishes the effects on the room's channel. Every process with a peer in the room
//! listens there, so all of them receive all changes in the same order.
//!
//! Changes are published, not kept in a stream: everything that a peer must be told also follows
//! from the room itself, so a process that was cut off checks its rooms when it is back, and needs
//! no history.

mod client;
mod keys;
mod scripts;
mod fetched;
mod echoes;
mod events;
mod alive;
mod recovery;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use redis::{Client, RedisError, cmd};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tracing::warn;
use tungstenite::Utf8Bytes;

pub(crate) use self::client::RedisStore;
use self::{
    client::{
        AFTER_OUTAGE, Beat, ROOM_FOR, ROOM_LONGER, SubscribedRooms, Subscription, commands, in_time,
    },
    echoes::Echoes,
    fetched::Fetched,
    keys::{Published, key},
    scripts::Scripts,
};
use super::{Change, OrphanedPeer, Store, StoreDown, StoredRoom};
use crate::{
    protocol::PeerId,
    server::{
        local::Local,
        room::{ProcessId, Room, RoomId},
    },
};

impl RedisStore {
    /// Connects, and starts to listen for changes. Peers of a dead process stay in their rooms for
    /// `grace`.
    pub(crate) async fn connect(
        url: &str,
        process: ProcessId,
        local: Arc<Local>,
        grace: Duration,
    ) -> Result<Arc<Self>, RedisError> {
        let client = Client::open(url)?;
        let (subscriptions, receiver) = mpsc::unbounded_channel();
        let shared =
            SubscribedRooms { local, rooms: Mutex::default(), is_down: AtomicBool::new(false) };
        let connection = commands(&client).await?;
        let pubsub = client.get_async_pubsub().await?;
        // A Redis that requires a password, or refuses writes, reports it only now.
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
            reconnect: Arc::default(),
        });
        tokio::spawn(events::run_listener(client, pubsub, receiver, Arc::downgrade(&store)));
        tokio::spawn(alive::beat(Arc::downgrade(&store)));
        Ok(store)
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

    async fn load(&self, id: &RoomId) -> Result<Option<StoredRoom>, StoreDown> {
        if self.is_down() {
            return Err(StoreDown);
        }
        let mut fetched = self.fetch(id).await?;
        if matches!(fetched, Fetched::None) && self.has_ours(id) {
            warn!(room = id.0, "a room is gone from Redis, so it is put back");
            self.look_again(id).await?;
            fetched = self.fetch(id).await?;
        }
        match fetched {
            Fetched::None => Ok(None),
            Fetched::Room(stored) => Ok(Some(stored)),
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
        // If the room does not contain the receiver, no process listens for it.
        let seen = self.shared.lock().get(room).and_then(|subscribed| subscribed.room.clone());
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
        Ok(rooms
            .into_iter()
            .filter_map(|bytes| StoredRoom::read(bytes).ok())
            .map(|it| it.room)
            .collect())
    }

    async fn subscribe(&self, id: &RoomId) -> Result<(), StoreDown> {
        let (done, is_done) = oneshot::channel();
        self.shared.lock().entry(id.clone()).or_default().peers += 1;
        if self.is_down() {
            return Err(StoreDown);
        }
        let subscription = Subscription::Begin { id: id.clone(), done };
        // The listening task ends with the store.
        self.subscriptions.send(subscription).map_err(|_| StoreDown)?;
        match in_time(is_done).await {
            Some(Ok(done)) => done,
            _ => Err(StoreDown),
        }
    }

    fn unsubscribe(&self, id: &RoomId) {
        let mut rooms = self.shared.lock();
        if let Some(subscribed) = rooms.get_mut(id) {
            subscribed.peers -= 1;
            if subscribed.peers == 0 {
                rooms.remove(id);
            }
        }
        drop(rooms);
        let _ = self.subscriptions.send(Subscription::End { id: id.clone() });
    }

    async fn orphaned_peers(&self) -> Vec<OrphanedPeer> {
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
