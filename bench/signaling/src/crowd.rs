//! Thousands of peers in rooms of two.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, interval_at},
};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, Receiver, Sender, keep_alive, signal};

/// Pairs that join at the same time.
const JOINING: usize = 32;
/// The keep-alive interval of matchbox's clients.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// All peers that joined.
#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) wanted: usize,
    pub(crate) joined: usize,
    orders: Vec<mpsc::UnboundedSender<Order>>,
    tasks: Vec<JoinHandle<()>>,
    pub(crate) arrivals: Arc<Arrivals>,
    stop: watch::Sender<bool>,
}

/// An order to a peer.
#[derive(Debug)]
enum Order {
    /// Send a signal with `bytes` bytes of padding to the other peer in the room.
    Signal { bytes: usize },
}

/// Measures when signals arrive.
#[derive(Debug)]
pub(crate) struct Arrivals {
    epoch: Instant,
    latencies: mpsc::UnboundedSender<Duration>,
    count: AtomicU64,
}

impl Crowd {
    /// Makes `peers` peers join in pairs, each pair in a room of its own. If there are two servers,
    /// the peers of a pair connect to different ones.
    pub(crate) async fn gather(
        servers: &[SocketAddr],
        peers: usize,
    ) -> (Self, mpsc::UnboundedReceiver<Duration>) {
        let (latencies, measured) = mpsc::unbounded_channel();
        let arrivals =
            Arc::new(Arrivals { epoch: Instant::now(), latencies, count: AtomicU64::new(0) });
        let (stop, stopped) = watch::channel(false);
        let mut crowd = Self {
            wanted: peers,
            joined: 0,
            orders: Vec::new(),
            tasks: Vec::new(),
            arrivals: Arc::clone(&arrivals),
            stop,
        };
        let server = |number: usize| servers[number % servers.len()];
        let pairs = stream::iter(0..peers / 2)
            .map(|pair| tokio::spawn(join_pair([server(pair), server(pair + 1)], pair)));
        let mut pairs = pairs.buffer_unordered(JOINING);
        while let Some(pair) = pairs.next().await {
            let Ok(Ok(pair)) = pair else { continue };
            let ids = [pair[1].id.clone(), pair[0].id.clone()];
            for (client, other) in pair.into_iter().zip(ids) {
                let (order, orders) = mpsc::unbounded_channel();
                crowd.joined += 1;
                crowd.orders.push(order);
                let Client { sender, receiver, .. } = client;
                let (arrivals, stopped) = (Arc::clone(&arrivals), stopped.clone());
                crowd
                    .tasks
                    .push(tokio::spawn(live(sender, receiver, other, orders, arrivals, stopped)));
            }
        }
        (crowd, measured)
    }

    /// Makes one of the peers send a signal with `bytes` bytes of padding to the other peer in its
    /// room.
    pub(crate) fn signal(&self, peer: usize, bytes: usize) {
        if let Some(order) = self.orders.get(peer % self.orders.len().max(1)) {
            // Fails if the server has closed the peer's connection, which shows in the number of
            // signals that arrive.
            let _ = order.send(Order::Signal { bytes });
        }
    }

    /// The number of signals that have arrived so far.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrivals.count.load(Relaxed)
    }

    /// Makes all peers leave.
    pub(crate) async fn leave(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

async fn join_pair(servers: [SocketAddr; 2], pair: usize) -> io::Result<[Client; 2]> {
    let path = format!("/load-{pair}");
    let mut first = Client::join(servers[0], &path).await?;
    let second = Client::join(servers[1], &path).await?;
    let met = first.meet().await?;
    if met == second.id {
        Ok([first, second])
    } else {
        Err(io::Error::other("another peer came into the room"))
    }
}

/// Stays in the room, carries out orders, and notes the signals that arrive.
async fn live(
    mut sender: Sender,
    mut receiver: Receiver,
    other: String,
    mut orders: mpsc::UnboundedReceiver<Order>,
    arrivals: Arc<Arrivals>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    loop {
        let is_sent = tokio::select! {
            _ = stopped.changed() => return,
            message = receiver.next() => match message {
                Some(Ok(Message::Text(text))) => { arrivals.note(&text); Ok(()) }
                Some(Ok(_)) => Ok(()),
                Some(Err(_)) | None => return,
            },
            order = orders.recv() => match order {
                Some(Order::Signal { bytes }) => {
                    let sent = arrivals.epoch.elapsed().as_micros();
                    let padding = "x".repeat(bytes);
                    signal(&mut sender, &other, &format!(r#"["sent",{sent},"{padding}"]"#)).await
                }
                None => return,
            },
            _ = alive.tick() => keep_alive(&mut sender).await,
        };
        if is_sent.is_err() {
            return;
        }
    }
}

impl Arrivals {
    fn note(&self, text: &str) {
        let Some((_, rest)) = text.split_once(r#"["sent","#) else { return };
        let sent = rest.split_once(',').and_then(|(sent, _)| sent.parse::<u64>().ok());
        let Some(sent) = sent.map(Duration::from_micros) else { return };
        self.count.fetch_add(1, Relaxed);
        // Fails if nobody is measuring any more.
        let _ = self.latencies.send(self.epoch.elapsed().saturating_sub(sent));
    }
}
