//! The way to the signaling server: a WebSocket in a room, and the attempts to get one again.

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

/// A server that has not answered by then will not; a player should be told rather than wait.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// When the first attempt to reach the server again is due, and how far apart later ones are at
/// most: a server restarts within seconds, and one that does not should not be asked all the time.
pub(super) const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// A WebSocket in a room, and what was said on the way in.
pub(super) struct ServerConnection {
    pub(super) socket: Socket,
    /// Who we are.
    pub(super) id: PeerId,
    pub(super) ice_servers: IceServers,
}

/// Connects, and waits for the id: only with it are we in the room.
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

/// Whether the owner of the room sent us off.
pub(super) fn is_kicked(closing: &Closing) -> bool {
    closing.code == Some(Refusal::Kicked.close_code())
}

/// Connects after a while, and not before somebody is connected to us: without that, there is
/// nobody to stay the same for.
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

/// How long to wait before the next attempt: twice as long each time, and for everybody a little
/// differently, so that not all peers of a server that restarts come at once. The address holds our
/// secret key, which is random.
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
