//! The way into a room: first to the server, which hands out STUN and TURN servers, then to
//! matchbox sockets that use them.
//!
//! matchbox takes these servers, with passwords that expire, only once: when a socket is made. So
//! there are no sockets before the server has sent them, and a peer that needs other passwords
//! enters again.

use std::time::Duration;

use futures::{
    channel::oneshot,
    future::{Either, join, select},
    pin_mut,
};
use futures_timer::Delay;
use matchbox_socket::{PeerId, RtcIceServerConfig};
use signaling::{ice_servers::IceServer, protocol::PeerKey};
use tracing::debug;
use uuid::Uuid;

use super::{
    ice_servers,
    mailbox::Mailbox,
    peer_sockets::{PeerSockets, SocketEnds, run_loops},
    platform,
    relays::Relays,
    sdp::Candidates,
    server_connection::{ServerConnection, enter},
    signaller::RoomSignaller,
    signals::Signals,
};
use crate::transport::TransportError;

/// The names of TURN servers are looked up for no longer than this: other peers wait to meet us.
const RESOLVE_WITHIN: Duration = Duration::from_secs(2);

/// What it takes to enter a room.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) url: String,
    /// The STUN and TURN servers that the game wants instead of those that the server hands out.
    ice_servers: Option<RtcIceServerConfig>,
    candidates: Candidates,
}

/// A room that is being entered.
pub(super) struct Entering {
    /// What the signaller shares with the transport from now on.
    pub(super) mailbox: Mailbox,
    /// Arrives once we are in the room. Dropping it means that we no longer want to be there.
    pub(super) opened: oneshot::Receiver<Opened>,
}

/// A room that was entered.
pub(super) struct Opened {
    /// Our peer id there.
    pub(super) id: PeerId,
    /// How long the passwords are good for new connections; none if they always are.
    pub(super) good_for: Option<Duration>,
}

impl Room {
    /// The room at `url`, an address for our own clients.
    pub(super) fn new(
        url: String,
        ice_servers: Option<&[IceServer]>,
        is_relay_only: bool,
    ) -> Result<Self, TransportError> {
        let ice_servers = ice_servers.map(ice_servers::check).transpose()?;
        let candidates = if is_relay_only { Candidates::RelaysOnly } else { Candidates::All };
        Ok(Self { url, ice_servers, candidates })
    }

    /// Begins to enter the room, under a new secret key.
    pub(super) fn enter(&self) -> Entering {
        let mailbox = Mailbox::default();
        let key = PeerKey::new(Uuid::new_v4().as_u128() ^ Uuid::new_v4().as_u128().rotate_left(64));
        let separator = if self.url.contains('?') { '&' } else { '?' };
        let url = format!("{}{separator}{}", self.url, key.to_query());
        let (sender, opened) = oneshot::channel();
        let stay = stay(url, self.ice_servers.clone(), self.candidates, mailbox.clone(), sender);
        platform::run(stay, mailbox.while_running());
        Entering { mailbox, opened }
    }
}

/// Enters the room, and stays until we leave. The sockets of its peers go on until they are
/// dropped.
async fn stay(
    url: String,
    chosen: Option<RtcIceServerConfig>,
    candidates: Candidates,
    mailbox: Mailbox,
    mut opened: oneshot::Sender<Opened>,
) {
    let connection = {
        let entering = enter(&url);
        pin_mut!(entering);
        match select(entering, opened.cancellation()).await {
            Either::Left((Ok(connection), _)) => connection,
            Either::Left((Err(error), _)) => {
                mailbox.fail(error);
                return;
            }
            Either::Right(_) => return,
        }
    };
    let (ice_server, good_for) = match chosen {
        Some(chosen) => (chosen, None),
        None => handed_out(&connection, &mailbox),
    };
    let id = connection.id;
    let relays = match candidates {
        Candidates::All => None,
        Candidates::RelaysOnly => known_relays(&ice_server).await,
    };
    let signals = Signals::new(candidates, relays);
    let (sockets, SocketEnds { loops, requests }) = PeerSockets::new(ice_server);
    let signaller = RoomSignaller::new(url, connection, mailbox, signals, sockets);
    if opened.send(Opened { id, good_for }).is_ok() {
        join(signaller.run(requests), run_loops(loops, candidates == Candidates::RelaysOnly)).await;
    }
}

/// The addresses of the TURN servers among these; none where the browser ensures that we send to no
/// others.
async fn known_relays(servers: &RtcIceServerConfig) -> Option<Relays> {
    let hosts = servers.urls.iter().filter_map(|url| ice_servers::turn_host(url));
    let resolving = platform::resolve(hosts.map(str::to_owned).collect())?;
    pin_mut!(resolving);
    // Addresses that are not known by then are learned from our own relays.
    let addresses = match select(resolving, Delay::new(RESOLVE_WITHIN)).await {
        Either::Left((addresses, _)) => addresses,
        Either::Right(_) => Vec::new(),
    };
    Some(Relays::new(addresses))
}

/// The usable ones of the STUN and TURN servers that the server handed out. If some are not usable,
/// that is counted.
fn handed_out(
    connection: &ServerConnection,
    mailbox: &Mailbox,
) -> (RtcIceServerConfig, Option<Duration>) {
    let told = &connection.ice_servers;
    let (config, is_all) = ice_servers::accept(&told.servers);
    if !is_all {
        debug!("the server names STUN or TURN servers that cannot be used");
        mailbox.count_bad_signal();
    }
    let seconds = told.expires_in_s.filter(|_| config.username.is_some());
    (config, seconds.map(|seconds| Duration::from_secs(seconds.into())))
}
