//! What an HTTP request is for: a WebSocket joins a room, everything else gets something for the operator, or a file.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tungstenite::handshake::derive_accept_key;

use super::{
    Shared, connection,
    counters::Counter,
    files,
    hub::Command,
    metrics,
    rooms::RoomKey,
    socket::Socket,
    sources::{Source, SourcePlace},
    stream::Stream,
    ticket,
};
use crate::protocol::{PeerKey, Refusal};

/// Where rooms are for clients that can read a [`Refusal`] from a close frame.
const V1_ROOMS: &str = "/v1/rooms/";

/// Who connected. Lives in the request's extensions, because a WebSocket outlives the HTTP connection that it came through.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// The place among `max_connections` that the connection holds, and the one among those of its address, unless that is a proxy's.
    pub(crate) _places: Arc<(OwnedSemaphorePermit, Option<SourcePlace>)>,
}

/// Answers all requests.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .fallback_service(files::router(shared.config.web_root.as_deref()))
        .layer(from_fn_with_state(Arc::clone(&shared), join_or_pass_on))
        .with_state(shared)
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let json = serde_json::to_string(&*shared.health).expect("counts are valid JSON");
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, json).into_response()
}

/// Whether somebody who comes now is let in: what a load balancer asks.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let answer = if shared.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    };
    ([(header::CACHE_CONTROL, "no-store")], answer).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let headers =
        [(header::CONTENT_TYPE, metrics::CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    (headers, metrics::encode(&shared.health)).into_response()
}

/// A request for a WebSocket is one for a room, whatever its path: files and rooms may share names.
async fn join_or_pass_on(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    if !asks_for_websocket(request.headers()) {
        return next.run(request).await;
    }
    join(shared, request).await.unwrap_or_else(|error| error)
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Upgrades the connection and lets the peer into the room that the address names.
///
/// Stock clients are refused by an HTTP status. Clients of `/v1/` are refused by a close frame, since a browser shows
/// a page nothing of a refused upgrade.
async fn join(shared: Arc<Shared>, request: Request) -> Result<Response, Response> {
    let (mut parts, _) = request.into_parts();
    let accept =
        accept(&parts.headers).map_err(|wrong| (StatusCode::BAD_REQUEST, wrong).into_response())?;
    let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or_else(|| {
        let wrong = "This connection cannot become a WebSocket: it is not HTTP/1.1.\n";
        (StatusCode::UPGRADE_REQUIRED, wrong).into_response()
    })?;
    let client = parts.extensions.remove::<Client>();
    let welcome = welcome(client.as_ref(), &parts.headers, &shared);
    let path = parts.uri.path();
    let query = parts.uri.query();
    let name = path.strip_prefix(V1_ROOMS).or(path.strip_prefix('/')).unwrap_or(path);
    let secret = shared.config.ticket_secret.as_ref();
    let welcome = welcome
        .and_then(|place| ticket::check(secret, query, name, unix_seconds()).map(|()| place));
    let (room, key) = match path.strip_prefix(V1_ROOMS) {
        Some(name) => {
            let room = RoomKey::parse(name, query);
            (welcome.and_then(|place| Ok((room?, place))), query.and_then(PeerKey::in_query))
        }
        None => {
            let room = match welcome {
                Ok(place) => admit(name, query, &shared).await.map(|room| (room, place)),
                Err(refusal) => Err(refusal),
            };
            (Ok(room.map_err(|refusal| refuse(refusal, &shared))?), None)
        }
    };
    tokio::spawn(async move {
        // It fails where the client is gone before it got our answer.
        if let Ok(upgraded) = upgrade.await
            && let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<Stream>>()
        {
            let max_message_bytes = shared.config.max_message_bytes;
            let socket = Socket::new(io.into_inner(), &read_buf, max_message_bytes);
            let (room, place) = room.map_or_else(
                |refusal| (Err(refusal), None),
                |(room, place)| (Ok(room), Some(place)),
            );
            connection::serve(socket, room, key, &shared).await;
            drop(place);
        }
        drop(client);
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// By the clock of the machine; in 1970 if that is set before.
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What the server answers to the key in a WebSocket's opening handshake, as RFC 6455 has it.
fn accept(headers: &HeaderMap) -> Result<HeaderValue, &'static str> {
    let says = |name, word: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    if !says(header::CONNECTION, "upgrade") {
        return Err("A WebSocket begins with `Connection: upgrade`.\n");
    }
    if !says(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err("This server speaks version 13 of WebSocket.\n");
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let accept = key.map(|key| HeaderValue::from_str(&derive_accept_key(key)));
    accept.and_then(Result::ok).ok_or("A WebSocket begins with a `Sec-WebSocket-Key`.\n")
}

/// Whether somebody from there may come in at all, whatever the room.
fn welcome(
    client: Option<&Client>,
    headers: &HeaderMap,
    shared: &Shared,
) -> Result<Option<SourcePlace>, Refusal> {
    if !shared.is_ready() {
        return Err(Refusal::ServerStopping);
    }
    let allowed = &shared.config.allowed_origins;
    let is_allowed = |origin: &HeaderValue| {
        allowed.iter().any(|allowed| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes()))
    };
    if !allowed.is_empty() && !headers.get_all(header::ORIGIN).into_iter().all(is_allowed) {
        return Err(Refusal::Origin);
    }
    let Some(client) = client else { return Ok(None) };
    let source = Source::of(client.address, headers, |it| shared.config.is_trusted_proxy(it));
    shared.sources.enter(source, Instant::now()).map(Some)
}

/// Reads the address and asks whether its room takes another peer. In the instant until the peer joins the last seat
/// may go to another one; then this peer, too, gets a close frame.
async fn admit(name: &str, query: Option<&str>, shared: &Shared) -> Result<RoomKey, Refusal> {
    let key = RoomKey::parse(name, query)?;
    let room = key.clone();
    shared.ask(|answer| Command::Check { room, answer }).await?;
    Ok(key)
}

fn refuse(refusal: Refusal, shared: &Shared) -> Response {
    shared.health.counters.count(Counter::Refused(refusal));
    let status = match refusal {
        Refusal::RoomName | Refusal::GroupSize => StatusCode::BAD_REQUEST,
        Refusal::Ticket => StatusCode::UNAUTHORIZED,
        Refusal::Origin => StatusCode::FORBIDDEN,
        Refusal::AddressFull | Refusal::TooOften => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{refusal}\n")).into_response()
}
