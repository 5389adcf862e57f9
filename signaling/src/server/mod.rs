//! The server: accepts connections, and stops cleanly when told to.
//!
//! Data flows `mod` → `http` (what is asked for, by which `address`) → `connection` (one peer, over
//! its `socket`) → `hub` (who changes a `room` in the `store`) → `local` (the peers of this
//! process) → `outbox` → the other peers' `connection`s.

mod address;
mod bind_error;
mod config;
mod connection;
mod counters;
mod files;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzz;
mod headers;
mod http;
mod hub;
mod introductions;
mod local;
mod metrics;
mod outbox;
mod patience;
mod rate;
#[cfg(test)]
#[path = "../../tests/it/redis_server.rs"]
#[expect(dead_code, reason = "here it is not stopped")]
mod redis_server;
mod room;
mod silence;
mod socket;
mod sources;
mod store;
mod stream;
mod ticket;
mod tls;
mod token;
mod turn;
mod views;

use std::{
    error::Error,
    future::pending,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    select,
    sync::{Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};
use uuid::Uuid;

pub use self::{
    bind_error::BindError,
    config::{Secret, ServerConfig, without_password},
    rate::Rate,
    ticket::{ANY_ROOM, MIN_SECRET_BYTES, TicketSecret, WeakSecret},
    tls::{Certificate, TlsError},
    turn::TurnSecret,
};
use self::{
    counters::{Counter, Health},
    http::Client,
    hub::Hub,
    local::Local,
    room::ProcessId,
    sources::Sources,
    store::{MemoryStore, RedisStore, Store},
    stream::{Stream, Tcp, tune},
    tls::Handshake,
    token::Signer,
};

/// How often places are given up that were kept for long enough: a second more or less makes no
/// difference to anybody.
const TICK: Duration = Duration::from_secs(1);

/// How often it is looked whether it is time to tell peers what they are told late, while there is
/// anything: a part of the 200 ms that it waits.
const TELL_LATE_EVERY: Duration = Duration::from_millis(50);

/// How long connections have to end once the server is told to stop; with it the process is gone
/// within two seconds.
const STOP_GRACE: Duration = Duration::from_millis(1500);

/// How long a server drains even with nobody in it, if its drain time is not shorter, so that a
/// load balancer that asks every few seconds hears of it from `/ready`, and not from a closed port.
const DRAIN_AT_LEAST: Duration = Duration::from_secs(5);

/// How often a server that drains looks whether anybody is left.
const DRAIN_CHECK: Duration = Duration::from_millis(100);

/// How long to wait when the system gives no socket, most often because too many files are open.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A server that listens, and serves as soon as [`run`](Self::run) is called.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    listener: TcpListener,
    local_addr: SocketAddr,
    hub: Hub,
    health: Arc<Health>,
    certificate: Option<Certificate>,
}

/// How far a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It lets peers in.
    Serving,
    /// It serves those who are in, and lets nobody else in.
    Draining,
    /// It tells everybody to go.
    Stopping,
}

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    config: ServerConfig,
    hub: Hub,
    health: Arc<Health>,
    sources: Arc<Sources>,
    phase: watch::Receiver<Phase>,
    /// Connections so far: each has its number.
    connections: AtomicU64,
}

impl Server {
    /// Checks the settings and starts to listen.
    ///
    /// # Errors
    ///
    /// A [`BindError`] that says what to do, most often because the port is in use.
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
            warn!(%error, "the system refuses an option of connections: they work without it");
        }
        let local_addr = listener.local_addr().map_err(listen_error)?;
        let health = Arc::new(Health::default());
        let hub = hub(&config, Arc::clone(&health)).await?;
        Ok(Self { config, listener, local_addr, hub, health, certificate })
    }

    /// Where the server listens; with the real port if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How pages reach it: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.certificate.is_some() { "https" } else { "http" }
    }

    /// The server's certificate, to take up another one while it runs; none without TLS.
    pub fn certificate(&self) -> Option<Certificate> {
        self.certificate.clone()
    }

    /// Serves until `shutdown` resolves. Then it lets nobody in any more, waits for the peers to
    /// leave, for [`drain_time`](ServerConfig::drain_time) at most, tells the remaining ones that
    /// the server is going away, and returns within two seconds.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        self.run_until(shutdown, pending()).await;
    }

    /// The same, and waits no longer for peers to leave once `hurry` resolves, if it does after
    /// `shutdown`.
    pub async fn run_until(
        self,
        shutdown: impl Future<Output = ()>,
        hurry: impl Future<Output = ()>,
    ) {
        let (phase_sender, phase) = watch::channel(Phase::Serving);
        let Self { hub, health, certificate, .. } = self;
        let ServerConfig { max_connections, drain_time, .. } = self.config;
        let places = Arc::new(Semaphore::new(max_connections));
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
                "no STUN or TURN server is set: peers behind different routers will not find each other"
            );
        }
        let handshake = certificate.as_ref().map(Handshake::new);
        let mut accepting = Box::pin(accept(self.listener, handshake, shared, &places));
        select! {
            () = shutdown => {}
            () = &mut accepting => {}
        }
        if !drain_time.is_zero() {
            info!("draining");
            // It cannot fail: `accepting` holds a receiver.
            let _ = phase_sender.send(Phase::Draining);
            select! {
                () = drained(&health, drain_time) => {}
                () = hurry => {}
                () = &mut accepting => {}
            }
        }
        info!("stopping");
        // The port is closed, and the place that waited for the next connection is free.
        drop(accepting);
        // Fails if nobody is connected, and then there is nobody to tell.
        let _ = phase_sender.send(Phase::Stopping);
        let all_places = u32::try_from(max_connections).unwrap_or(u32::MAX);
        if timeout(STOP_GRACE, places.acquire_many(all_places)).await.is_err() {
            debug!("some connections did not end in time");
        }
        ticking.abort();
        telling_late.abort();
        info!("stopped");
    }
}

impl Shared {
    /// Resolves once the server is told to stop.
    async fn stopped(&self) {
        // The sender is only gone when the server is, so an error means the same.
        let _ = self.phase.clone().wait_for(|phase| *phase == Phase::Stopping).await;
    }

    /// Whether the server has not been told to stop.
    fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }
}

/// The rooms: in Redis for all processes of a service, or in memory for this one.
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
        // Then tokens hold as long as the process runs.
        None => Signer::new(&[*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat()),
    };
    Ok(Hub::new(store, local, config.room_limits(), (process, signer), health))
}

/// Gives up places that were kept for long enough, as long as the server runs.
async fn tick(shared: Arc<Shared>) {
    loop {
        sleep(TICK).await;
        shared.hub.tick(steady_millis()).await;
    }
}

/// Milliseconds since this process first asked: a time that nobody sets back or forward, and that
/// is of no use to other processes.
fn steady_millis() -> u64 {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(FIRST.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Tells peers what they are not told at once, for as long as the server runs.
async fn tell_late(shared: Arc<Shared>) {
    loop {
        shared.hub.late_news().await;
        while shared.hub.tell_late(Instant::now()) {
            sleep(TELL_LATE_EVERY).await;
        }
    }
}

/// Resolves once nobody is left in any room and load balancers have had their time, or after that
/// long.
async fn drained(health: &Health, at_most: Duration) {
    let empty = async {
        sleep(DRAIN_AT_LEAST).await;
        while health.peers.load(Relaxed) > 0 {
            sleep(DRAIN_CHECK).await;
        }
    };
    // Peers that are left are disconnected.
    let _ = timeout(at_most, empty).await;
}

/// Accepts connections for ever, as long as there are places for them.
async fn accept(
    listener: TcpListener,
    handshake: Option<Handshake>,
    shared: Arc<Shared>,
    places: &Arc<Semaphore>,
) {
    let router = http::router(Arc::clone(&shared));
    loop {
        if places.available_permits() == 0 {
            shared.health.counters.count(Counter::ConnectionsFull);
        }
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            return; // Never closed, so never reached.
        };
        match listener.accept().await {
            Ok((stream, address)) => {
                let address = address.ip();
                let is_proxy = shared.config.is_trusted_proxy(address);
                let among =
                    (!is_proxy).then(|| shared.sources.connect(address.into(), Instant::now()));
                if matches!(among, Some(None)) {
                    shared.health.counters.count(Counter::RefusedConnection);
                    continue;
                }
                let client = Client { address, _places: Arc::new((place, among.flatten())) };
                let stream = Tcp::new(stream, shared.config.write_timeout);
                let (router, shared) = (router.clone(), Arc::clone(&shared));
                match handshake.clone() {
                    None => tokio::spawn(serve(Stream::Plain(stream), client, router, shared)),
                    Some(handshake) => {
                        tokio::spawn(serve_tls(stream, handshake, client, router, shared))
                    }
                };
            }
            Err(error) => {
                warn!(%error, "cannot accept connections for now");
                shared.health.counters.count(Counter::AcceptFailed);
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// The same as [`serve`], for a client that has to speak TLS.
async fn serve_tls(
    stream: Tcp,
    handshake: Handshake,
    client: Client,
    router: Router,
    shared: Arc<Shared>,
) {
    let shaken = timeout(shared.config.request_timeout, handshake.with(stream));
    let shaken = select! {
        shaken = shaken => shaken,
        () = shared.stopped() => return,
    };
    match shaken {
        Ok(Ok(stream)) => serve(Stream::Tls(Box::new(stream)), client, router, shared).await,
        Ok(Err(error)) => {
            debug!(%error, "no TLS with a client");
            shared.health.counters.count(Counter::TlsFailed);
        }
        Err(_) => shared.health.counters.count(Counter::TlsFailed),
    }
}

/// Serves the HTTP requests of one connection, until it closes or becomes a WebSocket.
async fn serve(stream: Stream, client: Client, router: Router, shared: Arc<Shared>) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(client.clone());
        hyper::service::Service::call(&router, request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.config.request_timeout)
        .max_buf_size(shared.config.max_header_bytes)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let result = select! {
        result = connection.as_mut() => result,
        () = shared.stopped() => {
            connection.as_mut().graceful_shutdown();
            timeout(STOP_GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        debug!(%error, "HTTP connection ended");
        if error.is_parse_too_large() {
            shared.health.counters.count(Counter::HeaderTooLong);
        } else if error.is_timeout() {
            shared.health.counters.count(Counter::RequestTimedOut);
        } else if is_stalled(&error) {
            shared.health.counters.count(Counter::Stalled);
        }
    }
}

/// Whether a connection ended because its client took nothing of what it was sent.
fn is_stalled(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::TimedOut)
}
