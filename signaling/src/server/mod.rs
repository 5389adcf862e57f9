//! The server: accepts connections, and stops cleanly when told to.
//!
//! Data flows `mod` → `http` (what is asked for) → `connection` (one peer, over its `socket`) → `hub` (owner of the `rooms`)
//! → `outbox` → the other peers' `connection`s.

mod config;
mod connection;
mod counters;
mod files;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzz;
mod http;
mod hub;
mod outbox;
mod rooms;
mod socket;

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    select,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

pub use self::config::{BindError, ServerConfig};
use self::{
    counters::{Counter, Health},
    http::Place,
    hub::{Command, Hub},
};
use crate::protocol::Refusal;

/// How many commands wait for the hub before connections have to. The hub needs microseconds for one, so this is
/// about a millisecond's worth: long enough to keep it busy, short enough to be no delay.
const HUB_QUEUE: usize = 256;

/// Longest head of an HTTP request; a browser's, cookies and all, is one or two kB.
const MAX_REQUEST_HEAD_BYTES: usize = 16 * 1024;

/// How long connections have to end once the server is told to stop; with it the process is gone within two seconds.
const STOP_GRACE: Duration = Duration::from_millis(1500);

/// How long to wait when the system gives no socket, most often because too many files are open.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A server that listens, and serves as soon as [`run`](Self::run) is called.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    listener: TcpListener,
    local_addr: SocketAddr,
}

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    config: ServerConfig,
    hub: mpsc::Sender<Command>,
    health: Arc<Health>,
    stop: watch::Receiver<bool>,
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
        let address = config.address;
        let listen_error = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::PortInUse { address },
            io::ErrorKind::PermissionDenied => BindError::NoPermission { address },
            _ => BindError::Listen { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(listen_error)?;
        let local_addr = listener.local_addr().map_err(listen_error)?;
        Ok(Self { config, listener, local_addr })
    }

    /// Where the server listens; with the real port if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` resolves; then tells all peers that the server is going away, and returns within two
    /// seconds.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stop_sender, stop) = watch::channel(false);
        let (hub, commands) = mpsc::channel(HUB_QUEUE);
        let health = Arc::new(Health::default());
        let rooms = Hub::new(self.config.room_limits(), Arc::clone(&health));
        tokio::spawn(rooms.run(commands));

        let max_connections = self.config.max_connections;
        let places = Arc::new(Semaphore::new(max_connections));
        let shared = Arc::new(Shared {
            config: self.config,
            hub,
            health,
            stop,
            connections: AtomicU64::new(0),
        });
        info!("started");
        select! {
            () = shutdown => {}
            () = accept(self.listener, shared, &places) => {}
        }
        info!("stopping");
        // Fails if nobody is connected, and then there is nobody to tell.
        let _ = stop_sender.send(true);
        let all_places = u32::try_from(max_connections).unwrap_or(u32::MAX);
        if timeout(STOP_GRACE, places.acquire_many(all_places)).await.is_err() {
            debug!("some connections did not end in time");
        }
        info!("stopped");
    }
}

impl Shared {
    /// Resolves once the server is told to stop.
    async fn stopped(&self) {
        // The sender is only gone when the server is, so an error means the same.
        let _ = self.stop.clone().wait_for(|is_stopping| *is_stopping).await;
    }

    /// Gives the hub a command and waits for the answer.
    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), Refusal>>) -> Command,
    ) -> Result<(), Refusal> {
        let (sender, answer) = oneshot::channel();
        // A hub that is gone is a server that is stopping.
        let is_sent = self.hub.send(command(sender)).await.is_ok();
        if is_sent {
            answer.await.unwrap_or(Err(Refusal::ServerStopping))
        } else {
            Err(Refusal::ServerStopping)
        }
    }
}

/// Accepts connections for ever, as long as there are places for them.
async fn accept(listener: TcpListener, shared: Arc<Shared>, places: &Arc<Semaphore>) {
    let router = http::router(Arc::clone(&shared));
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            return; // Never closed, so never reached.
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, place, router.clone(), Arc::clone(&shared)));
            }
            Err(error) => {
                warn!(%error, "cannot accept connections for now");
                shared.health.counters.count(Counter::AcceptFailed);
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Serves the HTTP requests of one connection, until it closes or becomes a WebSocket.
async fn serve(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    router: Router,
    shared: Arc<Shared>,
) {
    // Signals are small and urgent. If the system cannot, they are a little late.
    let _ = stream.set_nodelay(true);
    let place: Place = Arc::new(place);
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&place));
        hyper::service::Service::call(&router, request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.config.request_timeout)
        .max_buf_size(MAX_REQUEST_HEAD_BYTES)
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
    }
}
