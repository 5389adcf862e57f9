//! Admission: the checks on each request for a room or for the list of rooms.

use std::{net::IpAddr, sync::Arc};

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::headers::is_allowed_origin;
use crate::{
    protocol::Refusal,
    server::{
        counters::Counter,
        credentials::check_ticket,
        limits::{Source, SourceSlot},
        shared::{Shared, unix_millis},
    },
};

/// The client of a connection. It is kept in the request's extensions, because a WebSocket outlives
/// the HTTP connection on which it was opened.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// The connection's slot among `max_connections`, and its slot among the connections of its
    /// address, unless that address is a proxy.
    pub(crate) _slots: Arc<(OwnedSemaphorePermit, Option<SourceSlot>)>,
}

/// Checks whether the client may enter any room at all, and returns the slot for its peer.
pub(super) fn admit(
    client: Option<&Client>,
    headers: &HeaderMap,
    shared: &Shared,
) -> Result<Option<SourceSlot>, Refusal> {
    if !shared.is_serving() {
        return Err(Refusal::ServerStopping);
    }
    let is_allowed = |origin| is_allowed_origin(origin, &shared.config);
    if !headers.get_all(header::ORIGIN).into_iter().all(is_allowed) {
        return Err(Refusal::Origin);
    }
    let Some(client) = client else { return Ok(None) };
    let source = Source::of(client.address, headers, |it| shared.config.is_trusted_proxy(it));
    shared.sources.peer_slot(source, Instant::now()).map(Some)
}

/// Checks that a client with this query has a ticket for the room, if the server requires tickets.
pub(super) fn require_ticket(
    query: Option<&str>,
    room: &str,
    shared: &Shared,
) -> Result<(), Refusal> {
    check_ticket(shared.config.ticket_secret.as_ref(), query, room, unix_millis() / 1000)
}

pub(super) fn refuse(refusal: Refusal, shared: &Shared) -> Response {
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
