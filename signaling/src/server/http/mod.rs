//! What an HTTP request asks for: a WebSocket joins a room; any other request gets information for
//! the operator, the list of rooms, or a file.

mod admission;
mod upgrade;
mod files;
mod headers;
mod metrics;

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{StatusCode, header, request},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::time::Instant;

pub(crate) use self::admission::Client;
use self::{
    admission::{admit, refuse, require_ticket},
    headers::{Protection, share_with_page},
    upgrade::{asks_for_websocket, join},
};
use super::{credentials::ANY_ROOM, shared::Shared};
use crate::{lobby::is_tag, protocol::Refusal};

/// Makes the router for all requests.
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

/// Reports whether a peer that connects now would be accepted, which is what a load balancer
/// checks.
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

/// Sends the public rooms of a game to a program or a page without a WebSocket:
/// `/v1/rooms?game=NAME`. While the request is served, it counts as a peer that joins.
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
    let _slot = admit(request.extensions.get(), &request.headers, shared)?;
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

/// Treats a request for a WebSocket as a request for a room, whatever its path: files and rooms may
/// have the same names. Every response gets the [`Protection`] headers.
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
