//! What an HTTP request is for: a WebSocket joins a room, everything else gets `/health` or a file.

use std::sync::Arc;

use axum::{
    Router,
    extract::{
        FromRequestParts, Request, State, WebSocketUpgrade,
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::OwnedSemaphorePermit;

use super::{Shared, connection, counters::Counter, files, hub::Command, rooms::RoomKey};
use crate::protocol::{PeerKey, Refusal};

/// Where rooms are for clients that can read a [`Refusal`] from a close frame.
const V1_ROOMS: &str = "/v1/rooms/";

/// What a WebSocket reads at a time. Signals are a few kB and rare, and this much is held for each idle peer; the
/// library's own 128 KiB would be more than a gigabyte for 10,000 of them.
const READ_BUFFER_BYTES: usize = 2 * 1024;

/// Most that a WebSocket holds beyond one message while the peer's network takes nothing: frame headers, a pong and
/// a close frame, and an event's few bytes more than its request.
const WRITE_SPARE_BYTES: usize = 4 * 1024;

/// The place among `max_connections` that a connection holds. Lives in the request's extensions, because a WebSocket
/// outlives the HTTP connection that it came through.
pub(crate) type Place = Arc<OwnedSemaphorePermit>;

/// Answers all requests.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/health", get(health))
        .fallback_service(files::router(shared.config.web_root.as_deref()))
        .layer(from_fn_with_state(Arc::clone(&shared), join_or_pass_on))
        .with_state(shared)
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let json = serde_json::to_string(&*shared.health).expect("counts are valid JSON");
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, json).into_response()
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
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &shared)
        .await
        .map_err(WebSocketUpgradeRejection::into_response)?;
    let path = parts.uri.path();
    let query = parts.uri.query();
    let (room, key) = match path.strip_prefix(V1_ROOMS) {
        Some(name) => (RoomKey::parse(name, query), query.and_then(PeerKey::in_query)),
        None => {
            let name = path.strip_prefix('/').unwrap_or(path);
            let room = admit(name, query, &shared).await;
            (Ok(room.map_err(|refusal| refuse(refusal, &shared))?), None)
        }
    };
    let place = parts.extensions.remove::<Place>();
    let max_message_bytes = shared.config.max_message_bytes;
    Ok(upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(max_message_bytes + WRITE_SPARE_BYTES)
        .max_message_size(max_message_bytes)
        .max_frame_size(max_message_bytes)
        .on_upgrade(async move |socket| {
            connection::serve(socket, room, key, &shared).await;
            drop(place);
        }))
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
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{refusal}\n")).into_response()
}
