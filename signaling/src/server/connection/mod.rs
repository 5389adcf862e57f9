//! One peer's WebSocket, from its first message to the close frame.
//!
//! Reads requests, writes what the hub queued, and ends the connection when the peer is silent,
//! sends too much or reads too little. Nothing that a peer sends can end any connection but its
//! own.

mod entering;
mod exchanging;
mod receiving;
mod requests;
mod budget;
mod writing;
mod listing;
mod ending;

pub(crate) use self::entering::RoomConnection;
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::requests::{ParsedRequest, parse_request};
use self::{
    ending::{End, end_connection},
    entering::{enter_room, joining_peer, stock_peer},
    listing::list,
};
use super::{address::Address, credentials::Resume, shared::Shared, stream::ClientSocket};
use crate::protocol::Refusal;

/// Does what the address of a new WebSocket asks for, or tells the client why not. A peer that can
/// prove that it was in a room returns to that room. If the peer is in a room now, returns its
/// connection; any other connection is over.
pub(crate) async fn open_connection(
    mut socket: ClientSocket,
    address: Result<(Address, Option<Resume>), Refusal>,
    shared: &Shared,
) -> Option<RoomConnection> {
    let entered = match address {
        Ok((Address::Stock(wish), _)) => enter_room(&wish, stock_peer(shared), shared).await,
        Ok((Address::V1 { wish, key, .. }, resume)) => {
            enter_room(&wish, joining_peer(key, resume, shared), shared).await
        }
        Ok((Address::List { game }, _)) => Err(list(&mut socket, &game, shared).await),
        Err(refusal) => Err(End::Refused(refusal)),
    };
    match entered {
        Ok((joined, queue, close_reason)) => {
            Some(RoomConnection { socket, joined, queue, close_reason })
        }
        Err(end) => {
            end_connection(&mut socket, &end, shared).await;
            None
        }
    }
}
