//! A request that becomes a WebSocket: the opening handshake, and the checks on the way into the
//! room that its address names.

use std::sync::Arc;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request},
    response::{IntoResponse, Response},
};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tungstenite::handshake::derive_accept_key;

use super::admission::{Client, admit, refuse, require_ticket};
use crate::{
    protocol::Refusal,
    server::{
        address::{self, Address},
        connection::{RoomConnection, open_connection},
        credentials::{ANY_ROOM, Resume},
        limits::SourceSlot,
        shared::{Shared, unix_millis},
        stream::{Socket, Stream},
    },
};

/// Returns whether a request asks for a WebSocket.
pub(super) fn asks_for_websocket(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Upgrades the connection and lets the peer into the room that the address names.
///
/// Stock clients are refused by an HTTP status. Clients of `/v1/` are refused by a close frame,
/// because a browser tells a page nothing about a refused upgrade.
pub(super) async fn join(shared: Arc<Shared>, request: Request) -> Result<Response, Response> {
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
    let slot = admit(client.as_ref(), &parts.headers, &shared).and_then(|slot| {
        let named = match &resume {
            Some(resume) => resume.named_room(),
            None => address::named_room(parts.uri.path()),
        };
        let room = named.unwrap_or(ANY_ROOM);
        require_ticket(parts.uri.query(), room, &shared).map(|()| slot)
    });
    let is_v1 = !matches!(address, Ok(Address::Stock(_)) | Err((_, false)));
    let mut admitted = match (slot, address) {
        (Ok(slot), Ok(address)) => Ok((address, slot)),
        (Err(refusal), _) | (_, Err((refusal, _))) => Err(refusal),
    };
    if let Ok((Address::Stock(wish), _)) = &admitted
        && let Err(refusal) = shared.hub.check(wish).await
    {
        // Another peer may take the last place before this one joins. In that case, this stock
        // client, too, is refused by a close frame.
        admitted = Err(refusal);
    }
    if let (Err(refusal), false) = (&admitted, is_v1) {
        return Err(refuse(*refusal, &shared));
    }
    // Boxed, so that its memory is freed before the peer's long stay in a room.
    let entering = Box::pin(enter(upgrade, admitted, resume, Arc::clone(&shared)));
    tokio::spawn(async move {
        let Some((mut connection, slot)) = entering.await else { return };
        connection.run(&shared).await;
        // The slots are freed only after the socket is closed, so that there are never more sockets
        // than slots.
        drop(connection);
        drop((slot, client));
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// Continues with a request that has become a WebSocket: enters the room, or shows the list. If the
/// peer is in a room now, returns its connection, and its slot among the peers of its address.
async fn enter(
    upgrade: OnUpgrade,
    admitted: Result<(Address, Option<SourceSlot>), Refusal>,
    resume: Option<Resume>,
    shared: Arc<Shared>,
) -> Option<(RoomConnection, Option<SourceSlot>)> {
    // This fails if the client left before it received our response.
    let upgraded = upgrade.await.ok()?.downcast::<TokioIo<Stream>>();
    let Parts { io, read_buf, .. } = upgraded.ok()?;
    let mut stream = io.into_inner();
    stream.lift_demand();
    let socket = Socket::new(stream, &read_buf, shared.config.max_message_bytes);
    let (address, slot) = admitted.map_or_else(
        |refusal| (Err(refusal), None),
        |(address, slot)| (Ok((address, resume)), slot),
    );
    let connection = open_connection(socket, address, &shared).await?;
    Some((connection, slot))
}

/// The proof that a client with this address was in a room before. If there is one, the client
/// enters that room.
fn resume(address: &Address, shared: &Shared) -> Option<Resume> {
    let Address::V1 { key: Some(key), token: Some(token), .. } = address else { return None };
    shared.hub.read_token(token, key.peer(), unix_millis())
}

/// Returns the response to the key in a WebSocket's opening handshake, as defined in RFC 6455.
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
        // Bytes that a proxy considers the body would be read as frames.
        return wrong("A request for a WebSocket has no body.\n");
    }
    if !says(header::CONNECTION, "upgrade") {
        return wrong("A WebSocket begins with `Connection: upgrade`.\n");
    }
    if !says(header::SEC_WEBSOCKET_VERSION, "13") {
        return wrong("This server supports only version 13 of WebSocket.\n");
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let accept = key.map(|key| HeaderValue::from_str(&derive_accept_key(key)));
    let Some(Ok(accept)) = accept else {
        return wrong("A WebSocket begins with a `Sec-WebSocket-Key`.\n");
    };
    Ok(accept)
}

/// Returns whether the head of a request announces a body.
fn has_body(headers: &HeaderMap) -> bool {
    let is_empty = |length: &HeaderValue| length == "0";
    headers.contains_key(header::TRANSFER_ENCODING)
        || !headers.get_all(header::CONTENT_LENGTH).into_iter().all(is_empty)
}
