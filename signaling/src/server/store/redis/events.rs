//! The task that listens on the channels of rooms.

use std::{
    convert::Infallible,
    future::pending,
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use futures::StreamExt;
use redis::{
    Client, RedisResult,
    aio::{PubSub, PubSubSink},
};
use tokio::{
    select,
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tracing::warn;
use tungstenite::Utf8Bytes;

use super::{
    client::{ALIVE_FOR, BATCH, RedisStore, Subscription, commands, in_time},
    keys::{Published, key},
};
use crate::server::{
    limits::{Silence, SilenceStep},
    room::RoomId,
    store::{Store, StoreDown},
};

/// How long to wait before connecting to Redis again: Redis starts within a second.
const RETRY: Duration = Duration::from_millis(500);

/// The longest time between two attempts to put all rooms back.
const LONGEST_RETRY: Duration = Duration::from_secs(8);

/// Listens for as long as the store exists, and reconnects whenever necessary.
pub(super) async fn run_listener(
    client: Client,
    pubsub: PubSub,
    mut subscriptions: mpsc::UnboundedReceiver<Subscription>,
    store: Weak<RedisStore>,
) {
    let mut next = Some(pubsub);
    loop {
        if let Some(pubsub) = next.take() {
            select! {
                () = listen(pubsub, &mut subscriptions, &store) => {}
                // These run together: the changes that recovery makes come back on the channels, on
                // which somebody must listen.
                never = recover(&store) => match never {},
            }
        }
        match store.upgrade() {
            Some(store) => store.lose(),
            None => return,
        }
        let retry = Instant::now() + RETRY;
        // Peers that try to enter in the meantime are refused.
        loop {
            select! {
                subscription = subscriptions.recv() => match subscription {
                    Some(Subscription::Begin { done, .. }) => drop(done.send(Err(StoreDown))),
                    Some(Subscription::End { .. }) => {}
                    None => return,
                },
                () = sleep_until(retry) => break,
            }
        }
        next = match in_time(client.get_async_pubsub()).await {
            Some(Ok(mut pubsub)) => resume(&client, &mut pubsub, &store).await.then_some(pubsub),
            _ => None,
        };
    }
}

/// Subscribes to all channels again. Missed changes are looked up afterwards, so that none is lost
/// in between.
async fn resume(client: &Client, pubsub: &mut PubSub, store: &Weak<RedisStore>) -> bool {
    let Some(store) = store.upgrade() else { return false };
    let Some(Ok(commands)) = in_time(commands(client)).await else { return false };
    store.set_commands(commands);
    let channels: Vec<String> =
        store.shared.lock().keys().map(|RoomId(name)| key("events", name)).collect();
    for channels in channels.chunks(BATCH) {
        if !is_done(pubsub.subscribe(channels)).await {
            return false;
        }
    }
    true
}

/// After an outage, checks all rooms, as often as necessary while the connection lasts: the
/// connection for commands may need a moment longer.
async fn recover(store: &Weak<RedisStore>) -> Infallible {
    let mut retry = RETRY;
    while let Some(store) = store.upgrade().filter(|store| store.is_down()) {
        if store.recover().await.is_err() {
            drop(store);
            sleep(retry).await;
            retry = LONGEST_RETRY.min(retry * 2);
        }
    }
    pending().await
}

/// Listens on one connection until it ends, or until messages no longer arrive.
async fn listen(
    pubsub: PubSub,
    subscriptions: &mut mpsc::UnboundedReceiver<Subscription>,
    store: &Weak<RedisStore>,
) {
    let Some((own, reconnect)) =
        store.upgrade().map(|store| (key("beat", store.process.0), Arc::clone(&store.reconnect)))
    else {
        return;
    };
    let (mut sink, mut messages) = pubsub.split();
    let mut is_needed = pin!(reconnect.notified());
    if !is_done(sink.subscribe(&own)).await {
        return;
    }
    let mut silence = Silence::new(ALIVE_FOR, Instant::now());
    loop {
        select! {
            subscription = subscriptions.recv() => {
                let (Some(subscription), Some(store)) = (subscription, store.upgrade()) else {
                    return;
                };
                if !store.apply(&mut sink, subscription).await {
                    return;
                }
            }
            message = messages.next() => {
                let (Some(message), Some(store)) = (message, store.upgrade()) else { return };
                if message.get_channel_name() == own {
                    // Messages from other processes do not show that they receive ours.
                    silence.heard(Instant::now());
                    continue;
                }
                let id = message.get_channel_name().strip_prefix(&key("events", ""));
                let payload = message.get_payload::<String>();
                if let (Some(id), Ok(payload)) = (id, payload) {
                    store.hear(&RoomId(id.to_owned()), &payload);
                }
            }
            // Nothing has to be sent: this process reports itself regularly, and must receive its
            // own reports.
            () = sleep_until(silence.next_alarm()) => {
                if silence.step(Instant::now()) == SilenceStep::GiveUp {
                    return;
                }
            }
            () = &mut is_needed => return,
        }
    }
}

/// Returns whether Redis did it in time.
async fn is_done(work: impl Future<Output = RedisResult<()>>) -> bool {
    matches!(in_time(work).await, Some(Ok(())))
}

impl RedisStore {
    /// Returns `false` if the connection is unusable.
    async fn apply(&self, sink: &mut PubSubSink, subscription: Subscription) -> bool {
        match subscription {
            Subscription::Begin { id, done } => {
                // Subscribing again for a second peer does no harm, and this peer must not continue
                // before it is done.
                let subscribed = is_done(sink.subscribe(key("events", &id.0))).await;
                let result = if subscribed { Ok(()) } else { Err(StoreDown) };
                // A task that no longer waits will undo it.
                let _ = done.send(result);
                subscribed
            }
            Subscription::End { id } => {
                let is_subscribed = self.shared.lock().contains_key(&id);
                is_subscribed || is_done(sink.unsubscribe(key("events", &id.0))).await
            }
        }
    }

    fn hear(self: &Arc<Self>, id: &RoomId, message: &str) {
        match serde_json::from_str(message) {
            Ok(Published::Change { by: (process, number), room, effects }) => {
                let now = room.map(Arc::from);
                let before = self.shared.see(id, now.clone());
                self.shared.local.apply(id, &effects, Instant::now());
                if process == self.process {
                    self.echoes.heard(number);
                }
                if let Some(before) = before {
                    self.check_ours(id, &before, now.as_deref());
                }
            }
            Ok(Published::Signal { from, to, message }) => {
                // The receiver may be connected to another process, or to none.
                let _ = self.shared.local.deliver_signal(id, from, to, Utf8Bytes::from(message));
            }
            Err(error) => {
                warn!(%error, "cannot read a message, probably from another version of this program");
            }
        }
    }
}
