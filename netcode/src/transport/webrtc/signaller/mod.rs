//! Our connection to the signaling server, in place of matchbox's own.
//!
//! Once connected, the signaller never fails: losing the server must not end a match that runs on
//! data channels. While peers that would miss us are connected, the signaller connects again as the
//! same peer; without any, the transport enters the room from the start. The signaller also decides
//! what matchbox learns: a peer only when it is to be met, and no departures, which only mean that
//! a WebSocket closed.

use std::{
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    channel::mpsc::UnboundedReceiver,
    future::{pending, poll_fn, select},
    pin_mut,
};
use futures_timer::Delay;
use matchbox_socket::{PeerEvent, PeerId, PeerRequest, PeerSignal};
use serde::Serialize;
use signaling::lobby::{RoomEvent, RoomRequest, RoomState};

use super::{
    address::{as_member, leads_to_another_room, opened_room},
    mailbox::{HandshakeTask, Mailbox, SignallerTask},
    meetings::Meeting,
    peer_sockets::PeerSockets,
    peer_steps::PeerStep,
    platform::{self, Kept, Socket, keep},
    server_connection::{ServerConnection, backoff, is_kicked, try_again},
    signals::{BadSignal, HandshakeStart, Incoming, Signals},
};
use crate::transport::{MAX_PEERS, TransportError};

/// How often we tell the server that we are still there, as matchbox's clients do.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);

/// After our goodbye, the server has this long to answer.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// The longest token that is kept: ten times as long as a server makes it.
const MAX_TOKEN_BYTES: usize = 4096;

/// Our own requests to the server, besides matchbox's.
#[derive(Serialize)]
enum Request {
    /// A request about the room.
    Room(RoomRequest),
}

/// An attempt to reach the server again. It is kept while the signaller does other work.
type Attempt = Kept<Result<ServerConnection, TransportError>>;

/// What happened next.
enum Step {
    /// The server sent something.
    Heard(platform::Incoming),
    /// An attempt to reach the server is over.
    Tried,
    /// matchbox has something to send.
    Said(PeerRequest),
    /// The transport has a task for us.
    Wanted(SignallerTask),
    /// It is time to tell the server that we are still there.
    KeepAlive,
}

pub(super) struct RoomSignaller {
    url: String,
    socket: Option<Socket>,
    attempt: Option<Attempt>,
    tries: u32,
    /// Our peer id.
    id: PeerId,
    /// Whether we come back as the same peer without a token, by the key in the address.
    is_lasting: bool,
    /// The peers that were missing at the server by its latest news of the room.
    away: Vec<PeerId>,
    /// Proof that we were here, which gives us our place back.
    token: Option<String>,
    mailbox: Mailbox,
    signals: Signals,
    sockets: PeerSockets,
}

impl RoomSignaller {
    /// The signaller of a room that we are in.
    pub(super) fn new(
        url: String,
        connection: ServerConnection,
        mailbox: Mailbox,
        signals: Signals,
        sockets: PeerSockets,
    ) -> Self {
        let ServerConnection { socket, id, .. } = connection;
        Self {
            // A peer that comes back to a room for strangers without a token is paired with another
            // stranger, and a request for a new room opens yet another room.
            is_lasting: !leads_to_another_room(&url),
            id,
            token: None,
            away: Vec::new(),
            url,
            socket: Some(socket),
            attempt: None,
            tries: 0,
            mailbox,
            signals,
            sockets,
        }
    }

    /// A signaller without a server, whose messages the caller provides.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn without_server(candidates: super::sdp::Candidates) -> Self {
        Self {
            url: String::new(),
            socket: None,
            attempt: None,
            tries: 0,
            id: PeerId(uuid::Uuid::nil()),
            is_lasting: false,
            token: None,
            away: Vec::new(),
            mailbox: Mailbox::default(),
            signals: Signals::new(candidates, None),
            sockets: PeerSockets::new(matchbox_socket::RtcIceServerConfig::default()).0,
        }
    }

    /// Returns what the other peer may see of a signal of ours, if anything.
    pub(super) fn outgoing(&mut self, to: PeerId, signal: PeerSignal) -> Option<PeerSignal> {
        self.signals.outgoing(to, signal)
    }

    /// Begins the handshakes with all waiting peers. Returns the events that matchbox would get.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn meet_all(&mut self) -> Vec<PeerEvent> {
        let mut heard = Vec::new();
        for (peer, step) in self.mailbox.take_steps().0 {
            if matches!(step, PeerStep::Arrived | PeerStep::Restarted)
                && let HandshakeStart::Now(events) = self.signals.begin(peer, true)
            {
                heard.extend(events);
            }
        }
        heard
    }

    /// Runs until the server knows that we leave. `requests` come from matchbox.
    pub(super) async fn run(mut self, mut requests: UnboundedReceiver<PeerRequest>) {
        let mut keep_alive = Delay::new(KEEP_ALIVE_EVERY);
        loop {
            match self.next_step(&mut requests, &mut keep_alive).await {
                Step::Heard(platform::Incoming::Text(text)) => self.hear(&text),
                Step::Heard(platform::Incoming::Other) | Step::Tried => {}
                Step::Heard(platform::Incoming::Closed(closing)) if is_kicked(&closing) => {
                    self.be_kicked();
                }
                Step::Heard(platform::Incoming::Closed(_)) => self.lose(),
                Step::Said(request) => self.say(request).await,
                Step::KeepAlive => {
                    keep_alive.reset(KEEP_ALIVE_EVERY);
                    self.say(PeerRequest::KeepAlive).await;
                }
                Step::Wanted(SignallerTask::Handshake(HandshakeTask::Meet(meeting))) => {
                    self.meet(meeting);
                }
                Step::Wanted(SignallerTask::Handshake(HandshakeTask::Forget(peer))) => {
                    self.forget(peer);
                }
                Step::Wanted(SignallerTask::Ask(request)) => self.ask(request).await,
                Step::Wanted(SignallerTask::Leave) => return self.leave().await,
            }
        }
    }

    /// Waits for the first thing that happens. Nothing else is lost by that.
    async fn next_step(
        &mut self,
        requests: &mut UnboundedReceiver<PeerRequest>,
        keep_alive: &mut Delay,
    ) -> Step {
        let (mailbox, is_at_server) = (self.mailbox.clone(), self.socket.is_some());
        let mut from_server = pin!(async {
            match &mut self.socket {
                Some(socket) => Step::Heard(socket.next().await),
                None => {
                    self.come_back().await;
                    Step::Tried
                }
            }
        });
        let mut others = |context: &mut Context<'_>| {
            if let Poll::Ready(task) = mailbox.poll_task(is_at_server, context) {
                return Poll::Ready(Step::Wanted(task));
            }
            if let Poll::Ready(Some(request)) = requests.poll_next_unpin(context) {
                return Poll::Ready(Step::Said(request));
            }
            keep_alive.poll_unpin(context).map(|()| Step::KeepAlive)
        };
        poll_fn(|context| match from_server.as_mut().poll(context) {
            Poll::Ready(step) => Poll::Ready(step),
            Poll::Pending => others(context),
        })
        .await
    }

    /// Sends the server a request of matchbox, as far as other peers may see it.
    async fn say(&mut self, request: PeerRequest) {
        if self.mailbox.is_leaving() {
            return;
        }
        let request = match request {
            PeerRequest::Signal { receiver, data } => match self.outgoing(receiver, data) {
                Some(data) => PeerRequest::Signal { receiver, data },
                None => return,
            },
            PeerRequest::KeepAlive => request,
        };
        for (sender, data) in self.signals.take_known() {
            self.sockets.pass(sender, PeerEvent::Signal { sender, data });
        }
        if let Some(socket) = &mut self.socket
            && let Ok(text) = serde_json::to_string(&request)
            && !socket.send(text).await
        {
            self.lose();
        }
    }

    /// Begins the handshake with a peer, unless it has left by now.
    fn meet(&mut self, Meeting { peer, is_fresh }: Meeting) {
        let peer = PeerId(peer.0);
        match self.signals.begin(peer, is_fresh) {
            HandshakeStart::Now(events) => {
                self.mailbox.hand_over(peer, self.sockets.open(peer, events));
            }
            HandshakeStart::AlreadyBegun => {}
            HandshakeStart::Gone => self.mailbox.note(peer, PeerStep::Left),
        }
    }

    /// Forgets the handshake that has begun with a peer.
    fn forget(&mut self, peer: PeerId) {
        self.signals.forget_begun(peer);
        self.sockets.close(peer);
    }

    /// Handles a message of the server.
    fn hear(&mut self, text: &str) {
        if let Some(event) = self.read(text)
            && let PeerEvent::Signal { sender, .. } = event
        {
            self.sockets.pass(sender, event);
        }
    }

    /// Reads a message of the server. Returns what matchbox may see of it, if anything.
    pub(super) fn read(&mut self, text: &str) -> Option<PeerEvent> {
        if let Ok(event) = serde_json::from_str(text) {
            return self.apply(event);
        }
        match serde_json::from_str(text) {
            Ok(RoomEvent::Resume(token)) if token.len() <= MAX_TOKEN_BYTES => {
                self.token = Some(token);
            }
            Ok(RoomEvent::Resume(_)) | Err(_) => self.mailbox.count_bad_signal(),
            Ok(event) => {
                if let RoomEvent::Room(room) = &event {
                    self.apply_room(room);
                }
                self.mailbox.note_room_event(event);
            }
        }
        None
    }

    /// Notes which peers are missing at the server: a peer that is also missing here is gone, long
    /// before the server gives up its place.
    fn apply_room(&mut self, room: &RoomState) {
        if let Some(url) = opened_room(&self.url, &room.name) {
            (self.url, self.is_lasting) = (url, true);
        }
        if let Some(us) = room.member(signaling::protocol::PeerId(self.id.0)) {
            self.url = as_member(&self.url, us);
        }
        let away = room.members.iter().filter(|member| !member.is_here);
        // No room of ours has more; the rest is ignored.
        let away: Vec<PeerId> = away.take(MAX_PEERS).map(|member| PeerId(member.id.0)).collect();
        for peer in &away {
            if !self.away.contains(peer) {
                self.mailbox.note(*peer, PeerStep::Missed);
            }
        }
        self.away = away;
        // We may have missed departures while we were away ourselves.
        self.signals.forget_waiting(|peer| {
            let member = room.member(signaling::protocol::PeerId(peer.0));
            member.is_none_or(|member| !member.is_here)
        });
    }

    /// The address at which we come back as the same peer; `None` if we would be another peer
    /// there.
    fn way_back(&self) -> Option<String> {
        match &self.token {
            Some(token) => Some(format!("{}&token={token}", self.url)),
            None => self.is_lasting.then(|| self.url.clone()),
        }
    }

    /// Handles an event from the server. Returns what matchbox may see of it.
    fn apply(&mut self, event: PeerEvent) -> Option<PeerEvent> {
        match event {
            PeerEvent::PeerLeft(peer) => {
                self.signals.forget_waiting(|other| other == peer);
                self.mailbox.note(peer, PeerStep::Left);
                None
            }
            PeerEvent::NewPeer(peer) => {
                // The peer is at the server again, even if it is missing once more in the next
                // state of the room that we see.
                self.away.retain(|away| *away != peer);
                if self.mailbox.is_connected(peer) {
                    self.mailbox.note(peer, PeerStep::Returned);
                } else if self.signals.arrive(peer) {
                    self.mailbox.note(peer, PeerStep::Arrived);
                }
                None
            }
            // We know our id already.
            PeerEvent::IdAssigned(_) => None,
            // The peer was away from the server, or we were; we are still connected to each other.
            PeerEvent::Signal { sender, .. } if self.mailbox.is_connected(sender) => {
                self.mailbox.note(sender, PeerStep::Returned);
                None
            }
            PeerEvent::Signal { sender, data } => {
                let is_offer = matches!(data, PeerSignal::Offer(_));
                match self.signals.incoming(sender, data) {
                    Ok(Incoming::Pass(data)) => return Some(PeerEvent::Signal { sender, data }),
                    Ok(Incoming::Keep) if is_offer => self.mailbox.note(sender, PeerStep::Arrived),
                    Ok(Incoming::Restart) => self.mailbox.note(sender, PeerStep::Restarted),
                    Ok(Incoming::Keep | Incoming::Drop) => {}
                    Err(BadSignal) => self.mailbox.count_bad_signal(),
                }
                None
            }
        }
    }

    /// Gives up coming back to the room.
    fn give_up(&mut self) {
        (self.token, self.is_lasting) = (None, false);
    }

    fn be_kicked(&mut self) {
        self.socket = None;
        self.give_up();
        self.mailbox.fail(TransportError::Kicked);
    }

    fn lose(&mut self) {
        self.socket = None;
        self.mailbox.note_server_lost();
    }

    /// Sends the server a request.
    async fn ask(&mut self, request: RoomRequest) {
        let Some(socket) = &mut self.socket else { return };
        let is_sent = match serde_json::to_string(&Request::Room(request)) {
            Ok(text) => socket.send(text).await,
            Err(_) => true,
        };
        if is_sent {
            self.mailbox.ask_was_sent();
        } else {
            self.lose();
        }
    }

    /// Tells the server that we leave.
    async fn leave(&mut self) {
        if let Some(socket) = &mut self.socket {
            let closing = socket.close();
            pin_mut!(closing);
            select(closing, Delay::new(CLOSE_WITHIN)).await;
        }
        self.socket = None;
        self.mailbox.note_departure();
    }

    /// Tries to get back to the server, or waits for ever if we would be another peer there.
    async fn come_back(&mut self) {
        match self.way_back() {
            Some(way_back) => self.reconnect(way_back).await,
            None => pending().await,
        }
    }

    /// Tries once more to reach the server. If another server answers, which does not know us, we
    /// give up.
    async fn reconnect(&mut self, url: String) {
        let Self { attempt, tries, mailbox, .. } = self;
        let running = attempt.get_or_insert_with(|| {
            keep(try_again(url.clone(), backoff(&url, *tries), mailbox.clone()))
        });
        let result = running.await;
        *attempt = None;
        self.tries += 1;
        match result {
            // New passwords would be of no use: the sockets keep the old ones.
            Ok(ServerConnection { socket, id, .. }) if id == self.id => {
                self.socket = Some(socket);
                self.tries = 0;
                self.mailbox.note_server_back();
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
        // We get our place back only if the server does not take this for a departure.
        if !self.mailbox.is_leaving()
            && let Some(socket) = self.socket.take()
        {
            socket.break_off();
        }
    }
}

#[cfg(test)]
mod tests;
