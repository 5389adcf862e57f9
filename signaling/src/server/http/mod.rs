//! What an HTTP request is for: a WebSocket joins a room, everything else gets something for the
//! operator, or a file.

mod files;
mod headers;
mod metrics;

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tungstenite::handshake::derive_accept_key;

use self::headers::{Protection, is_allowed_origin, share_with_page};
use super::{
    address::{self, Address},
    connection::{Guest, receive_guest},
    counters::Counter,
    credentials::{ANY_ROOM, Resume, check_ticket},
    limits::{Source, SourcePlace},
    shared::{Shared, unix_millis},
    stream::{Socket, Stream},
};
use crate::{lobby::is_tag, protocol::Refusal};

/// The client of a connection. Lives in the request's extensions, because a WebSocket outlives the
/// HTTP connection that it came through.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// The place among `max_connections` that the connection holds, and the one among those of its
    /// address, unless that is a proxy's.
    pub(crate) _places: Arc<(OwnedSemaphorePermit, Option<SourcePlace>)>,
}

/// Answers all requests.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let answering = Arc::new((Protection::new(&shared.config), Arc::clone(&shared)));
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/rooms", get(list))
        .fallback_service(files::router(Arc::clone(&shared)))
        .layer(from_fn_with_state(answering, join_or_pass_on))
        .with_state(shared)
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let json = serde_json::to_string(&*shared.health).expect("counts are valid JSON");
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, json).into_response()
}

/// Whether somebody who comes now is let in: what a load balancer asks.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let answer = if !shared.is_serving() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if shared.hub.is_impaired() {
        (StatusCode::SERVICE_UNAVAILABLE, "Redis is gone\n")
    } else {
        (StatusCode::OK, "ready\n")
    };
    ([(header::CACHE_CONTROL, "no-store")], answer).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let headers =
        [(header::CONTENT_TYPE, metrics::CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    (headers, metrics::encode(&shared.health)).into_response()
}

/// The public rooms of a game, as a program or a page without a WebSocket asks for them:
/// `/v1/rooms?game=NAME`. Each request counts as a peer that comes, for as long as it takes.
async fn list(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    let mut response = match listed(&request, &shared).await {
        Ok(rooms) => rooms.into_response(),
        Err(refusal) => refuse(refusal, &shared),
    };
    share_with_page(&mut response, &request.headers, &shared.config);
    response
}

async fn listed(request: &request::Parts, shared: &Shared) -> Result<impl IntoResponse, Refusal> {
    let query = request.uri.query();
    let _place = welcome(request.extensions.get(), &request.headers, shared)?;
    require_ticket(query, ANY_ROOM, shared)?;
    let pairs = query.unwrap_or_default().split('&');
    let game = pairs.into_iter().find_map(|pair| pair.strip_prefix("game=")).unwrap_or_default();
    if !is_tag(game) {
        return Err(Refusal::BadRequest);
    }
    let list = shared.hub.list(game, Instant::now()).await?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Bytes::from(list.rooms)))
}

/// A request for a WebSocket is one for a room, whatever its path: files and rooms may share names.
/// Every response is protected.
async fn join_or_pass_on(
    State(answering): State<Arc<(Protection, Arc<Shared>)>>,
    request: Request,
    next: Next,
) -> Response {
    let (protection, shared) = &*answering;
    let mut response = if asks_for_websocket(request.headers()) {
        join(Arc::clone(shared), request).await.unwrap_or_else(|error| error)
    } else {
        next.run(request).await
    };
    protection.apply(&mut response);
    response
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Upgrades the connection and lets the peer into the room that the address names.
///
/// Stock clients are refused by an HTTP status. Clients of `/v1/` are refused by a close frame,
/// since a browser shows a page nothing of a refused upgrade.
async fn join(shared: Arc<Shared>, request: Request) -> Result<Response, Response> {
    let (mut parts, _) = request.into_parts();
    let accept = accept(&parts)
        .map_err(|(status, words)| (status, [(header::ALLOW, "GET")], words).into_response())?;
    let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or_else(|| {
        let wrong = "This connection cannot become a WebSocket: it is not HTTP/1.1.\n";
        (StatusCode::UPGRADE_REQUIRED, wrong).into_response()
    })?;
    let client = parts.extensions.remove::<Client>();
    let address = Address::parse(parts.uri.path(), parts.uri.query());
    let resume = address.as_ref().ok().and_then(|address| resume(address, &shared));
    let welcome = welcome(client.as_ref(), &parts.headers, &shared);
    let welcome = welcome.and_then(|place| {
        let named = match &resume {
            Some(resume) => resume.named_room(),
            None => address::named_room(parts.uri.path()),
        };
        let room = named.unwrap_or(ANY_ROOM);
        require_ticket(parts.uri.query(), room, &shared).map(|()| place)
    });
    let is_v1 = !matches!(address, Ok(Address::Stock(_)) | Err((_, false)));
    let mut admitted = match (welcome, address) {
        (Ok(place), Ok(address)) => Ok((address, place)),
        (Err(refusal), _) | (_, Err((refusal, _))) => Err(refusal),
    };
    if let Ok((Address::Stock(wish), _)) = &admitted
        && let Err(refusal) = shared.hub.check(wish).await
    {
        // In the instant until another one joins the last place may go to it; then that one, too,
        // gets a close frame.
        admitted = Err(refusal);
    }
    if let (Err(refusal), false) = (&admitted, is_v1) {
        return Err(refuse(*refusal, &shared));
    }
    // In a box, which is given back before the long time in a room begins.
    let entering = Box::pin(enter(upgrade, admitted, resume, Arc::clone(&shared)));
    tokio::spawn(async move {
        let Some((mut guest, place)) = entering.await else { return };
        guest.stay(&shared).await;
        // Places are free once the socket is closed, so that there are never more sockets than
        // places.
        drop(guest);
        drop((place, client));
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// Goes on with a request that has become a WebSocket: brings the client to where it may go.
/// Returns a peer that is in a room now, and its place among those of its address.
async fn enter(
    upgrade: OnUpgrade,
    admitted: Result<(Address, Option<SourcePlace>), Refusal>,
    resume: Option<Resume>,
    shared: Arc<Shared>,
) -> Option<(Guest, Option<SourcePlace>)> {
    // It fails where the client is gone before it got our answer.
    let upgraded = upgrade.await.ok()?.downcast::<TokioIo<Stream>>();
    let Parts { io, read_buf, .. } = upgraded.ok()?;
    let mut stream = io.into_inner();
    stream.lift_demand();
    let socket = Socket::new(stream, &read_buf, shared.config.max_message_bytes);
    let (address, place) = admitted.map_or_else(
        |refusal| (Err(refusal), None),
        |(address, place)| (Ok((address, resume)), place),
    );
    let guest = receive_guest(socket, address, &shared).await?;
    Some((guest, place))
}

/// The proof that a client with this address was in a room before, which then is the one that it
/// enters.
fn resume(address: &Address, shared: &Shared) -> Option<Resume> {
    let Address::V1 { key: Some(key), token: Some(token), .. } = address else { return None };
    shared.hub.read_token(token, key.peer(), unix_millis())
}

/// What the server answers to the key in a WebSocket's opening handshake, as RFC 6455 has it.
fn accept(request: &request::Parts) -> Result<HeaderValue, (StatusCode, &'static str)> {
    let wrong = |words| Err((StatusCode::BAD_REQUEST, words));
    let headers = &request.headers;
    let says = |name, word: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    if request.method != Method::GET {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "A WebSocket begins with a GET.\n"));
    }
    if has_body(headers) {
        // What a proxy takes for the body would be heard as frames.
        return wrong("A request for a WebSocket has no body.\n");
    }
    if !says(header::CONNECTION, "upgrade") {
        return wrong("A WebSocket begins with `Connection: upgrade`.\n");
    }
    if !says(header::SEC_WEBSOCKET_VERSION, "13") {
        return wrong("This server speaks version 13 of WebSocket.\n");
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let accept = key.map(|key| HeaderValue::from_str(&derive_accept_key(key)));
    let Some(Ok(accept)) = accept else {
        return wrong("A WebSocket begins with a `Sec-WebSocket-Key`.\n");
    };
    Ok(accept)
}

/// Whether the head of a request says that a body follows.
fn has_body(headers: &HeaderMap) -> bool {
    let is_empty = |length: &HeaderValue| length == "0";
    headers.contains_key(header::TRANSFER_ENCODING)
        || !headers.get_all(header::CONTENT_LENGTH).into_iter().all(is_empty)
}

/// Whether somebody from there may come in at all, whatever the room.
fn welcome(
    client: Option<&Client>,
    headers: &HeaderMap,
    shared: &Shared,
) -> Result<Option<SourcePlace>, Refusal> {
    if !shared.is_serving() {
        return Err(Refusal::ServerStopping);
    }
    let is_allowed = |origin| is_allowed_origin(origin, &shared.config);
    if !headers.get_all(header::ORIGIN).into_iter().all(is_allowed) {
        return Err(Refusal::Origin);
    }
    let Some(client) = client else { return Ok(None) };
    let source = Source::of(client.address, headers, |it| shared.config.is_trusted_proxy(it));
    shared.sources.enter(source, Instant::now()).map(Some)
}

/// Whether who comes with this query has a ticket for the room, if it takes one.
fn require_ticket(query: Option<&str>, room: &str, shared: &Shared) -> Result<(), Refusal> {
    check_ticket(shared.config.ticket_secret.as_ref(), query, room, unix_millis() / 1000)
}

fn refuse(refusal: Refusal, shared: &Shared) -> Response {
    shared.health.counters.count(Counter::Refused(refusal));
    let status = match refusal {
        Refusal::RoomName | Refusal::GroupSize | Refusal::BadRequest => StatusCode::BAD_REQUEST,
        Refusal::Ticket => StatusCode::UNAUTHORIZED,
        Refusal::Origin | Refusal::Locked | Refusal::Kicked => StatusCode::FORBIDDEN,
        Refusal::AddressFull | Refusal::TooOften => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{refusal}\n")).into_response()
}
