//! Accepts connections within the limits on their number, and serves the HTTP requests of each
//! connection.

use std::{error::Error, io, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    select,
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    counters::Counter,
    http::{self, Client},
    shared::{STOP_GRACE, Shared},
    stream::{Handshake, Stream, Tcp},
};

/// How long to wait when the system provides no socket, usually because too many files are open.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Accepts connections forever; while all slots are taken, the next connection waits.
pub(super) async fn accept(
    listener: TcpListener,
    handshake: Option<Handshake>,
    shared: Arc<Shared>,
    slots: &Arc<Semaphore>,
) {
    let router = http::router(Arc::clone(&shared));
    loop {
        if slots.available_permits() == 0 {
            shared.health.counters.count(Counter::ConnectionsFull);
        }
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else {
            return; // Never closed, so never reached.
        };
        match listener.accept().await {
            Ok((stream, address)) => {
                let address = address.ip();
                let is_proxy = shared.config.is_trusted_proxy(address);
                let among = (!is_proxy)
                    .then(|| shared.sources.connection_slot(address.into(), Instant::now()));
                if matches!(among, Some(None)) {
                    shared.health.counters.count(Counter::RefusedConnection);
                    continue;
                }
                let client = Client { address, _slots: Arc::new((slot, among.flatten())) };
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

/// Like [`serve`], for a client that must use TLS.
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
            debug!(%error, "TLS handshake with a client failed");
            shared.health.counters.count(Counter::TlsFailed);
        }
        Err(_) => shared.health.counters.count(Counter::TlsFailed),
    }
}

/// Serves the HTTP requests of one connection until it closes or becomes a WebSocket.
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

/// Returns whether a connection ended because its client stopped reading the response.
fn is_stalled(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::TimedOut)
}
