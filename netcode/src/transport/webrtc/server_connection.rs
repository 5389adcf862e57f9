//! The connection to the signaling server: a WebSocket in a room, and the attempts to get one
//! again.

use std::time::Duration;

use futures::{
    future::{Either, select},
    pin_mut,
};
use futures_timer::Delay;
use matchbox_socket::{PeerEvent, PeerId};
use signaling::{
    ice_servers::{IceServers, Welcome},
    protocol::Refusal,
};

use super::{
    address::server_of,
    mailbox::Mailbox,
    platform::{Closing, Incoming, Socket},
};
use crate::{random, transport::TransportError};

/// A server that has not answered within this time will not answer; it is better to tell the player
/// than to keep them waiting.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// About when the first attempt to reach the server again is due: a server restarts within seconds.
pub(super) const FIRST_RETRY: Duration = Duration::from_millis(500);
/// About how far apart later attempts are at most: a server that does not restart should not be
/// asked all the time.
const LAST_RETRY: Duration = Duration::from_secs(10);

/// A WebSocket in a room, and what the server said when we entered.
pub(super) struct ServerConnection {
    pub(super) socket: Socket,
    /// Our peer id.
    pub(super) id: PeerId,
    pub(super) ice_servers: IceServers,
}

/// Connects, and waits for our id: we are in the room only once we have it.
pub(super) async fn enter(url: &str) -> Result<ServerConnection, TransportError> {
    let unreachable = || TransportError::Unreachable { url: server_of(url).to_owned() };
    let entering = async {
        let mut socket = Socket::connect(url)
            .await
            .map_err(|refused| refused.map_or_else(unreachable, TransportError::Refused))?;
        let mut ice_servers = IceServers::default();
        loop {
            match socket.next().await {
                Incoming::Text(text) => {
                    if let Ok(PeerEvent::IdAssigned(id)) = serde_json::from_str(&text) {
                        return Ok(ServerConnection { socket, id, ice_servers });
                    }
                    if let Ok(Welcome::IceServers(told)) = serde_json::from_str(&text) {
                        ice_servers = told;
                    }
                }
                Incoming::Other => {}
                Incoming::Closed(closing) if is_kicked(&closing) => {
                    return Err(TransportError::Kicked);
                }
                Incoming::Closed(Closing { words: Some(words), .. }) => {
                    return Err(TransportError::Refused(words));
                }
                Incoming::Closed(_) => return Err(unreachable()),
            }
        }
    };
    pin_mut!(entering);
    match select(entering, Delay::new(CONNECT_WITHIN)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(unreachable()),
    }
}

/// Whether the owner of the room removed us from it.
pub(super) fn is_kicked(closing: &Closing) -> bool {
    closing.code == Some(Refusal::Kicked.close_code())
}

/// Connects after `wait`, and not before a peer is connected to us: without one, there is no reason
/// to stay the same peer.
pub(super) async fn try_again(
    url: String,
    wait: Duration,
    mailbox: Mailbox,
) -> Result<ServerConnection, TransportError> {
    Delay::new(wait).await;
    while mailbox.is_alone() {
        Delay::new(FIRST_RETRY).await;
    }
    enter(&url).await
}

/// How long to wait before the next attempt: twice as long each time, and a little different for
/// each peer, so that not all peers of a server that restarts come back at once. The difference
/// comes from the address, which holds our random secret key.
pub(super) fn backoff(url: &str, tries: u32) -> Duration {
    let mut seed = url
        .bytes()
        .fold(u64::from(tries), |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let jitter = 0.5 + (random::next(&mut seed) >> 40) as f32 / (1u32 << 24) as f32;
    (FIRST_RETRY * 2u32.saturating_pow(tries.min(16))).min(LAST_RETRY).mul_f32(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_come_ever_later_and_not_all_at_once() {
        let wait = |tries| backoff("ws://host/room?key=1", tries);
        assert!(wait(0) >= FIRST_RETRY / 2 && wait(0) <= FIRST_RETRY.mul_f32(1.5));
        assert!(wait(3) > wait(0) && wait(1000) <= LAST_RETRY.mul_f32(1.5));
        assert_ne!(wait(3), backoff("ws://host/room?key=2", 3));
    }
}
