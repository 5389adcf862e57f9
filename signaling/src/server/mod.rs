//! The server: accepts connections, and shuts down cleanly when asked to stop.
//!
//! Data flows from `accept` (which takes a connection within the `limits`, as a `stream`) to `http`
//! (what the request's `address` asks for, and whether its `credentials` allow it), to `connection`
//! (one peer), to `hub` (which changes a `room` in the `store`), to `local` (the peers of this
//! process), and from there to the `connection`s of the other peers.

mod config;
mod bind_error;
mod shared;
mod accept;
mod stream;
mod http;
pub(crate) mod address;
mod limits;
pub(crate) mod credentials;
pub(crate) mod connection;
pub(crate) mod hub;
pub(crate) mod room;
pub(crate) mod store;
pub(crate) mod local;
mod counters;

use std::{
    future::pending,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    net::TcpListener,
    select,
    sync::{Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};
use uuid::Uuid;

use self::{
    accept::accept,
    counters::Health,
    credentials::Signer,
    hub::Hub,
    limits::Sources,
    local::Local,
    room::ProcessId,
    shared::{Phase, STOP_GRACE, Shared, steady_millis},
    store::{MemoryStore, RedisStore, Store},
    stream::{Handshake, tune},
};
pub use self::{
    bind_error::BindError,
    config::{Secret, ServerConfig, without_password},
    credentials::{ANY_ROOM, MIN_SECRET_BYTES, TicketSecret, TurnSecret, WeakSecret},
    limits::Rate,
    stream::{Certificate, TlsError},
};

/// How often the server looks for peers that did not come back in time, to remove them. Nobody
/// notices a second more or less.
const TICK: Duration = Duration::from_secs(1);

/// How often the server checks which deferred messages are due, while there are any: a fraction of
/// the 200 ms for which they wait.
const TELL_LATE_EVERY: Duration = Duration::from_millis(50);

/// How long a server drains even when no peer is left, unless its drain time is shorter: a load
/// balancer that checks every few seconds should learn of it from `/ready` and not from a closed
/// port.
const DRAIN_AT_LEAST: Duration = Duration::from_secs(5);

/// How often a draining server checks whether any peer is left.
const DRAIN_CHECK: Duration = Duration::from_millis(100);

/// A server that is listening, and that serves once [`run`](Self::run) is called.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    listener: TcpListener,
    local_addr: SocketAddr,
    hub: Hub,
    health: Arc<Health>,
    certificate: Option<Certificate>,
}

impl Server {
    /// Checks the settings and starts to listen.
    ///
    /// # Errors
    ///
    /// A [`BindError`] that says what to do about it; the most frequent cause is that the port is
    /// in use.
    pub async fn bind(config: ServerConfig) -> Result<Self, BindError> {
        config.check()?;
        if let Some(path) = config.web_root.as_ref().filter(|path| !path.is_dir()) {
            return Err(BindError::WebRoot { path: path.clone() });
        }
        let certificate = Certificate::open(config.tls_cert.as_deref(), config.tls_key.as_deref())?;
        let address = config.address;
        let listen_error = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::PortInUse { address },
            io::ErrorKind::PermissionDenied => BindError::NoPermission { address },
            _ => BindError::Listen { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(listen_error)?;
        if let Err(error) = tune(&listener) {
            warn!(%error, "the system rejects a socket option: connections work without it");
        }
        let local_addr = listener.local_addr().map_err(listen_error)?;
        let health = Arc::new(Health::default());
        let hub = hub(&config, Arc::clone(&health)).await?;
        Ok(Self { config, listener, local_addr, hub, health, certificate })
    }

    /// The address at which the server listens, with the actual port if port 0 was requested.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The scheme of the server's addresses: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.certificate.is_some() { "https" } else { "http" }
    }

    /// The server's certificate, through which it can be renewed while the server runs; `None`
    /// without TLS.
    pub fn certificate(&self) -> Option<Certificate> {
        self.certificate.clone()
    }

    /// Serves until `shutdown` resolves. Then it accepts no more peers, waits for the peers to
    /// leave, for at most [`drain_time`](ServerConfig::drain_time), tells the remaining peers that
    /// the server is shutting down, and returns within two seconds.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        self.run_until(shutdown, pending()).await;
    }

    /// Like [`run`](Self::run), but stops waiting for peers to leave when `hurry` resolves after
    /// `shutdown`.
    pub async fn run_until(
        self,
        shutdown: impl Future<Output = ()>,
        hurry: impl Future<Output = ()>,
    ) {
        let (phase_sender, phase) = watch::channel(Phase::Serving);
        let Self { hub, health, certificate, .. } = self;
        let ServerConfig { max_connections, drain_time, .. } = self.config;
        let slots = Arc::new(Semaphore::new(max_connections));
        let sources = Arc::new(Sources::new(self.config.source_limits()));
        let shared = Arc::new(Shared {
            config: self.config,
            hub,
            health: Arc::clone(&health),
            sources,
            phase,
            connections: AtomicU64::new(0),
        });
        info!("started");
        let ticking = tokio::spawn(tick(Arc::clone(&shared)));
        let telling_late = tokio::spawn(tell_late(Arc::clone(&shared)));
        if shared.config.stun_servers.is_empty() && shared.config.turn_servers.is_empty() {
            info!(
                "no STUN or TURN server is set: peers behind different routers cannot connect to each other"
            );
        }
        let handshake = certificate.as_ref().map(Handshake::new);
        let mut accepting = Box::pin(accept(self.listener, handshake, shared, &slots));
        select! {
            () = shutdown => {}
            () = &mut accepting => {}
        }
        if !drain_time.is_zero() {
            info!("draining");
            // This cannot fail: `accepting` holds a receiver.
            let _ = phase_sender.send(Phase::Draining);
            select! {
                () = drained(&health, drain_time) => {}
                () = hurry => {}
                () = &mut accepting => {}
            }
        }
        info!("stopping");
        // The port is closed, and the slot reserved for the next connection is free again.
        drop(accepting);
        // This fails if nobody is connected, and then there is nobody to notify.
        let _ = phase_sender.send(Phase::Stopping);
        let all_slots = u32::try_from(max_connections).unwrap_or(u32::MAX);
        if timeout(STOP_GRACE, slots.acquire_many(all_slots)).await.is_err() {
            debug!("some connections did not end in time");
        }
        ticking.abort();
        telling_late.abort();
        info!("stopped");
    }
}

/// Creates the hub, with its rooms in Redis for all processes of a service, or in memory for this
/// process alone.
async fn hub(config: &ServerConfig, health: Arc<Health>) -> Result<Hub, BindError> {
    let local = Arc::new(Local::new(Arc::clone(&health)));
    let process = ProcessId(Uuid::new_v4().as_u64_pair().1);
    let store: Arc<dyn Store> = match &config.redis {
        None => Arc::new(MemoryStore::new(Arc::clone(&local))),
        Some(url) => {
            let Secret(url) = url;
            let store =
                RedisStore::connect(url, process, Arc::clone(&local), config.grace_time).await;
            store.map_err(|error| BindError::Redis {
                url: without_password(url),
                reason: error.to_string(),
            })?
        }
    };
    let signer = match &config.resume_secret {
        Some(secret) => Signer::new(secret.0.as_bytes()),
        // Such tokens are valid only while the process runs.
        None => Signer::new(&[*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat()),
    };
    Ok(Hub::new(store, local, config.room_limits(), (process, signer), health))
}

/// Removes peers that did not come back in time, for as long as the server runs.
async fn tick(shared: Arc<Shared>) {
    loop {
        sleep(TICK).await;
        shared.hub.tick(steady_millis()).await;
    }
}

/// Sends peers their deferred messages when these are due, for as long as the server runs.
async fn tell_late(shared: Arc<Shared>) {
    loop {
        shared.hub.late_news().await;
        while shared.hub.tell_late(Instant::now()) {
            sleep(TELL_LATE_EVERY).await;
        }
    }
}

/// Resolves when no peer is left in any room and load balancers have had time to notice, or after
/// `at_most`.
async fn drained(health: &Health, at_most: Duration) {
    let empty = async {
        sleep(DRAIN_AT_LEAST).await;
        while health.peers.load(Relaxed) > 0 {
            sleep(DRAIN_CHECK).await;
        }
    };
    // Peers that are still here are disconnected.
    let _ = timeout(at_most, empty).await;
}
