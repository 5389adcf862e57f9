//! Our way to the signaling server, in place of matchbox's own.
//!
//! Once connected it never fails: a lost server must not end a match that runs on data channels, and matchbox
//! may panic where its signaller ends in the middle of a handshake. It connects again, as the same peer, for as long as somebody is
//! connected who would miss us; without anybody the transport begins anew. It withholds `PeerLeft`, which only says that
//! a peer's WebSocket closed, and a second `IdAssigned`, on which matchbox panics.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{
    future::{Either, pending, select},
    pin_mut,
};
use futures_timer::Delay;
use matchbox_socket::{
    PeerEvent, PeerId, PeerRequest, PeerSignal, SignalingError, Signaller, async_trait::async_trait,
};
use serde::Serialize;
use signaling::{
    ice_servers::{IceServers, Welcome},
    lobby::{RoomEvent, RoomRequest, RoomState},
    protocol::Refusal,
};

use super::{
    MAX_PEERS, TransportError,
    address::{as_member, is_elsewhere_each_time, opened_room, server_of},
    platform::{Closing, Incoming, Kept, Socket, keep},
    sdp::Candidates,
    signals::{BadSignal, Signals},
    watch::{PeerStep, Watch},
};
use crate::random;

/// A server that has not answered by then will not; a player should be told rather than wait.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The first attempt to reach the server again comes about so soon, and later ones at most so far apart: a server restarts within
/// seconds, and one that does not should not be asked all the time.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// A server that was told that we leave has so long to answer.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// Longest token that is kept: ten times what a server makes.
const MAX_TOKEN_BYTES: usize = 4096;

/// A WebSocket in a room, and what was said on the way in.
pub(super) struct Entrance {
    socket: Socket,
    /// Who we are.
    id: PeerId,
    pub(super) ice_servers: IceServers,
}

/// Connects, and waits for the id: only with it are we in the room.
pub(super) async fn enter(url: &str) -> Result<Entrance, TransportError> {
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
                        return Ok(Entrance { socket, id, ice_servers });
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
fn is_kicked(closing: &Closing) -> bool {
    closing.code == Some(Refusal::Kicked.close_code())
}

/// Connects after a while, and not before somebody is connected to us: without that, there is nobody to stay the same for.
async fn try_again(url: String, wait: Duration, watch: Watch) -> Result<Entrance, TransportError> {
    Delay::new(wait).await;
    while watch.is_alone() {
        Delay::new(FIRST_RETRY).await;
    }
    enter(&url).await
}

/// How long to wait before the next attempt: twice as long each time, and for everybody a little differently, so that not all
/// peers of a server that restarts come at once. The address holds our secret key, which is random.
pub(super) fn backoff(url: &str, tries: u32) -> Duration {
    let mut seed = url
        .bytes()
        .fold(u64::from(tries), |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let jitter = 0.5 + (random::next(&mut seed) >> 40) as f32 / (1u32 << 24) as f32;
    (FIRST_RETRY * 2u32.saturating_pow(tries.min(16))).min(LAST_RETRY).mul_f32(jitter)
}

/// What we ask the server for beside what matchbox does.
#[derive(Serialize)]
enum Request {
    /// Something in the room.
    Room(RoomRequest),
}

/// An attempt to reach the server again. Kept between polls, as matchbox drops what it waits for whenever it has to send.
type Attempt = Kept<Result<Entrance, TransportError>>;

pub(super) struct RoomSignaller {
    url: String,
    socket: Option<Socket>,
    /// Never locked: it makes the signaller `Sync`, as matchbox wants it, which a future need not be.
    attempt: Mutex<Option<Attempt>>,
    tries: u32,
    /// Who we are.
    id: PeerId,
    /// Whether we are the same again without proof, by the key in the address.
    is_lasting: bool,
    /// Who was missed at the server when it last told of the room.
    away: Vec<PeerId>,
    /// Proof that we were here, by which we get our place again.
    token: Option<String>,
    first: Option<PeerEvent>,
    watch: Watch,
    signals: Signals,
}

impl RoomSignaller {
    /// One that is in the room.
    pub(super) fn new(
        url: String,
        entrance: Entrance,
        watch: Watch,
        candidates: Candidates,
    ) -> Self {
        let Entrance { socket, id, .. } = entrance;
        Self {
            // Whoever comes back without proof to a room for strangers is paired with another one, and a new room is another room.
            is_lasting: !is_elsewhere_each_time(&url),
            id,
            token: None,
            away: Vec::new(),
            url,
            socket: Some(socket),
            attempt: Mutex::default(),
            tries: 0,
            first: Some(PeerEvent::IdAssigned(id)),
            watch,
            signals: Signals::new(candidates),
        }
    }

    /// One without a server, to be told by hand what one says.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn without_server(candidates: Candidates) -> Self {
        Self {
            url: String::new(),
            socket: None,
            attempt: Mutex::default(),
            tries: 0,
            id: PeerId(uuid::Uuid::nil()),
            is_lasting: false,
            token: None,
            away: Vec::new(),
            first: None,
            watch: Watch::default(),
            signals: Signals::new(candidates),
        }
    }

    /// What others get to see of a signal of ours, if anything.
    pub(super) fn outgoing(&mut self, to: PeerId, signal: PeerSignal) -> Option<PeerSignal> {
        self.signals.outgoing(to, signal)
    }

    /// What matchbox gets to see of what the server wrote, if anything.
    pub(super) fn read(&mut self, text: &str) -> Option<PeerEvent> {
        if let Ok(event) = serde_json::from_str(text) {
            return self.follow(event);
        }
        match serde_json::from_str(text) {
            Ok(RoomEvent::Resume(token)) if token.len() <= MAX_TOKEN_BYTES => {
                self.token = Some(token);
            }
            Ok(RoomEvent::Resume(_)) | Err(_) => self.watch.count_bad_signal(),
            Ok(event) => {
                if let RoomEvent::Room(room) = &event {
                    self.follow_room(room);
                }
                self.watch.tell_room(event);
            }
        }
        None
    }

    /// Follows who is at the server and who is not: whoever is missed there and by us is gone, long before its place is given up.
    fn follow_room(&mut self, room: &RoomState) {
        if let Some(url) = opened_room(&self.url, &room.name) {
            (self.url, self.is_lasting) = (url, true);
        }
        if let Some(us) = room.member(signaling::protocol::PeerId(self.id.0)) {
            self.url = as_member(&self.url, us);
        }
        let away = room.members.iter().filter(|member| !member.is_here);
        // No room has more; what is beyond is no room of ours.
        let away: Vec<PeerId> = away.take(MAX_PEERS).map(|member| PeerId(member.id.0)).collect();
        for peer in &away {
            if !self.away.contains(peer) {
                self.watch.note(*peer, PeerStep::Left);
            }
        }
        self.away = away;
    }

    /// Where to come back to, and as whom; `None` if we would be somebody else there.
    fn way_back(&self) -> Option<String> {
        match &self.token {
            Some(token) => Some(format!("{}&token={token}", self.url)),
            None => self.is_lasting.then(|| self.url.clone()),
        }
    }

    /// What matchbox gets to see of what the server says.
    fn follow(&mut self, event: PeerEvent) -> Option<PeerEvent> {
        if let PeerEvent::NewPeer(peer) = event {
            // It is at the server again, even if the next room we see is one in which it is missed once more.
            self.away.retain(|away| *away != peer);
        }
        match event {
            PeerEvent::PeerLeft(peer) => {
                self.watch.note(peer, PeerStep::Left);
                None
            }
            // It was away from the server, or we were; we have each other.
            PeerEvent::NewPeer(peer) | PeerEvent::Signal { sender: peer, .. }
                if self.watch.is_connected(peer) =>
            {
                self.watch.note(peer, PeerStep::Returned);
                None
            }
            PeerEvent::NewPeer(peer) if self.signals.meet(peer) => {
                self.watch.note(peer, PeerStep::Met);
                Some(event)
            }
            PeerEvent::IdAssigned(_) | PeerEvent::NewPeer(_) => None,
            PeerEvent::Signal { sender, data } => {
                let is_offer = matches!(data, PeerSignal::Offer(_));
                match self.signals.incoming(sender, data) {
                    Ok(Some(data)) => {
                        if is_offer {
                            self.watch.note(sender, PeerStep::Met);
                        }
                        Some(PeerEvent::Signal { sender, data })
                    }
                    Ok(None) => None,
                    Err(BadSignal) => {
                        self.watch.count_bad_signal();
                        None
                    }
                }
            }
        }
    }

    /// We come back no more.
    fn give_up(&mut self) {
        (self.token, self.is_lasting) = (None, false);
    }

    fn be_kicked(&mut self) {
        self.socket = None;
        self.give_up();
        self.watch.fail(TransportError::Kicked);
    }

    fn lose(&mut self) {
        self.socket = None;
        self.watch.lose();
    }

    /// Asks the server for something. Should this be dropped halfway it is asked for again, which is of no harm.
    async fn ask(&mut self, request: RoomRequest) {
        let Some(socket) = &mut self.socket else { return };
        let is_sent = match serde_json::to_string(&Request::Room(request)) {
            Ok(text) => socket.send(text).await,
            Err(_) => true,
        };
        if is_sent {
            self.watch.ask_was_sent();
        } else {
            self.lose();
        }
    }

    /// Tells the server that we leave. Should this be dropped halfway it is told again, which is of no harm.
    async fn leave(&mut self) {
        if let Some(socket) = &mut self.socket {
            let closing = socket.close();
            pin_mut!(closing);
            select(closing, Delay::new(CLOSE_WITHIN)).await;
        }
        self.socket = None;
        *self.attempt.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        self.give_up();
        self.watch.note_departure();
    }

    /// Is at the server again, or waits for ever if we would be somebody else there.
    async fn come_back(&mut self) {
        match self.way_back() {
            Some(way_back) => self.reconnect(way_back).await,
            None => pending().await,
        }
    }

    /// Tries to reach the server once more. Should it be another one, which does not know us, we are done with it.
    async fn reconnect(&mut self, url: String) {
        let Self { attempt, tries, watch, .. } = self;
        let attempt = attempt.get_mut().unwrap_or_else(PoisonError::into_inner);
        let running = attempt.get_or_insert_with(|| {
            keep(try_again(url.clone(), backoff(&url, *tries), watch.clone()))
        });
        let result = running.await;
        *attempt = None;
        self.tries += 1;
        match result {
            // New passwords would be of no use: matchbox keeps those it has.
            Ok(Entrance { socket, id, .. }) if id == self.id => {
                self.socket = Some(socket);
                self.tries = 0;
                self.watch.return_to_server();
            }
            Ok(_) => self.give_up(),
            Err(TransportError::Kicked) => self.be_kicked(),
            // The next attempt comes later.
            Err(_) => {}
        }
    }
}

impl Drop for RoomSignaller {
    fn drop(&mut self) {
        // Whoever comes back finds its place again only if the server does not take this for a departure.
        if !self.watch.is_leaving()
            && let Some(socket) = self.socket.take()
        {
            socket.break_off();
        }
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Signaller for RoomSignaller {
    async fn send(&mut self, request: PeerRequest) -> Result<(), SignalingError> {
        if self.watch.is_leaving() {
            return Ok(());
        }
        let request = match request {
            PeerRequest::Signal { receiver, data } => match self.outgoing(receiver, data) {
                Some(data) => PeerRequest::Signal { receiver, data },
                None => return Ok(()),
            },
            PeerRequest::KeepAlive => request,
        };
        if let Some(socket) = &mut self.socket
            && let Ok(text) = serde_json::to_string(&request)
            && !socket.send(text).await
        {
            self.lose();
        }
        Ok(())
    }

    async fn next_message(&mut self) -> Result<PeerEvent, SignalingError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            let Some(socket) = &mut self.socket else {
                if self.watch.is_leaving() {
                    self.leave().await;
                    return pending().await;
                }
                let watch = self.watch.clone();
                let (returning, leaving) = (self.come_back(), watch.leaving());
                pin_mut!(returning, leaving);
                select(returning, leaving).await;
                continue;
            };
            let step = {
                let (incoming, ask) = (socket.next(), self.watch.next_ask());
                pin_mut!(incoming, ask);
                match select(incoming, ask).await {
                    Either::Left((incoming, _)) => Either::Left(incoming),
                    Either::Right((ask, _)) => Either::Right(ask),
                }
            };
            match step {
                Either::Left(Incoming::Text(text)) => {
                    if let Some(event) = self.read(&text) {
                        return Ok(event);
                    }
                }
                Either::Left(Incoming::Other) => {}
                Either::Left(Incoming::Closed(closing)) if is_kicked(&closing) => self.be_kicked(),
                Either::Left(Incoming::Closed(_)) => self.lose(),
                Either::Right(Some(request)) => self.ask(request).await,
                Either::Right(None) => self.leave().await,
            }
        }
    }
}

#[cfg(test)]
mod tests;
