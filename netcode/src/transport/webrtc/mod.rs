//! Peers over WebRTC data channels, through `matchbox_socket`. The same natively and in the
//! browser.
//!
//! The way in comes first: the `address`, the `server_connection`, the `room`. Then come the
//! server's messages (`signaller`, `room_news`, `peer_steps`), the signals that matchbox may see
//! (`signals`, `sdp`, `relays`), and the connections to peers (`meetings`, `peer_sockets`,
//! `peer_channels`). The signaller and the transport share a `mailbox`.

pub(super) mod address;
pub(super) mod platform;
mod ice_servers;
mod server_connection;
mod room;
mod signaller;
pub(super) mod room_news;
mod peer_steps;
mod signals;
mod sdp;
mod relays;
mod mailbox;
mod meetings;
mod peer_sockets;
mod peer_channels;
#[cfg(target_arch = "wasm32")]
pub(crate) mod page;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod strangers;

use std::time::Duration;

use matchbox_socket::PeerId as MatchboxId;
use signaling::{
    ice_servers::IceServer,
    lobby::{RoomEvent, RoomRequest},
    protocol::PeerId,
};

use self::{
    address::{as_member, opened_room, room_url, server_of},
    mailbox::{HandshakeTask, Mailbox},
    meetings::Meetings,
    peer_channels::PeerChannels,
    peer_steps::PeerStep,
    platform::hold_up,
    room::{Entering, Opened, Room},
    server_connection::backoff,
};
use super::{Channel, Route, Transport, TransportError, TransportEvent};

pub(crate) use address::ClientInfo;

/// A server that has not answered within this time will not answer; it is better to tell the player
/// than to keep them waiting.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A peer that waits alone in a room whose server is gone waits this long for the server to come
/// back.
const RETURN_WITHIN: Duration = Duration::from_secs(60);
/// Passwords for TURN servers are used for three quarters of their lifetime, so that a handshake
/// has some of it left; and for at least this long, whatever the server says.
const KEEP_AT_LEAST: Duration = Duration::from_secs(5);
/// The last data sent to a peer is out within this time, unless the machine is very busy.
const SEND_WITHIN: Duration = Duration::from_millis(300);
/// A program that ends waits no longer than this for the server to learn of it.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// The server cannot be reached.
#[derive(Clone, Copy, Debug)]
struct Outage {
    since: Duration,
    tries: u32,
    /// When the next attempt is due, counted from `since`.
    next_try: Duration,
    /// Whether an attempt is under way.
    is_trying: bool,
}

impl Outage {
    fn new(now: Duration, url: &str) -> Self {
        Self { since: now, tries: 0, next_try: backoff(url, 0), is_trying: false }
    }
}

/// A room on a signaling server.
pub(crate) struct WebRtcTransport {
    room: Room,
    outage: Option<Outage>,
    /// Whether we have been in the room at any time.
    was_open: bool,
    entering: Entering,
    /// When to enter the room again to get new passwords, if no peer is connected by then.
    renew_at: Option<Duration>,
    is_open: bool,
    /// Our id in the room, once we are in it.
    local: Option<PeerId>,
    meetings: Meetings,
    /// Peers that we are connected to, and peers whose handshakes are under way.
    peers: Vec<PeerChannels>,
    /// Connections that we give up, and when they close: once the last data is out, counted from
    /// the next poll.
    closing: Vec<(PeerChannels, Option<Duration>)>,
}

impl WebRtcTransport {
    /// Begins to enter the room at `url`; `poll` reports the outcome.
    pub(crate) fn open(
        url: &str,
        client: &ClientInfo,
        ice_servers: Option<&[IceServer]>,
        is_relay_only: bool,
    ) -> Result<Self, TransportError> {
        let room = Room::new(room_url(url, client)?, ice_servers, is_relay_only)?;
        let entering = room.enter();
        Ok(Self::new(room, entering))
    }

    fn new(room: Room, entering: Entering) -> Self {
        Self {
            entering,
            room,
            renew_at: None,
            is_open: false,
            local: None,
            meetings: Meetings::default(),
            peers: Vec::new(),
            closing: Vec::new(),
            outage: None,
            was_open: false,
        }
    }

    /// Keeps track of the server, and enters the room again where no connected peer would miss us.
    fn poll_server(&mut self, now: Duration, events: &mut Vec<TransportEvent>) {
        let connected = self.peers.iter().filter(|channels| channels.is_open);
        self.mailbox().note_connected(connected.map(|channels| MatchboxId(channels.peer.0)));
        if self.mailbox().take_server_back() {
            self.outage = None;
            events.push(TransportEvent::SignalingBack);
        }
        if self.mailbox().take_server_lost() {
            self.outage = Some(Outage::new(now, &self.room.url));
            events.push(TransportEvent::SignalingAway);
        }
        if let Some(error) = self.mailbox().take_failure() {
            if self.was_open && self.outage.is_none() {
                events.push(TransportEvent::SignalingAway);
            }
            self.outage.get_or_insert(Outage::new(now, &self.room.url));
            let is_hopeless = error == TransportError::Kicked
                || matches!(error, TransportError::Refused(_)) && !self.was_open;
            if is_hopeless || self.has_peers() {
                events.push(TransportEvent::Failed(error));
                return;
            }
            if let Some(outage) = &mut self.outage {
                outage.is_trying = false;
            }
        }
        let has_peers = self.has_peers();
        let Some(outage) = &mut self.outage else { return self.renew(now) };
        if has_peers || outage.is_trying {
            return;
        }
        let waited = now.saturating_sub(outage.since);
        let patience = if self.was_open { RETURN_WITHIN } else { CONNECT_WITHIN };
        if waited >= patience {
            self.outage = None;
            events.push(if self.was_open {
                TransportEvent::SignalingLost
            } else {
                let url = server_of(&self.room.url).to_owned();
                TransportEvent::Failed(TransportError::Unreachable { url })
            });
        } else if waited >= outage.next_try {
            outage.tries += 1;
            outage.next_try = waited + backoff(&self.room.url, outage.tries);
            outage.is_trying = true;
            self.begin_again();
        }
    }

    /// Enters the room again, as a new peer. No peer is connected, but one may still wait for a
    /// handshake with the old peer to end.
    fn begin_again(&mut self) {
        self.drop_out();
        self.entering = self.room.enter();
    }

    /// Leaves the room, and forgets all peers in it.
    fn drop_out(&mut self) {
        self.mailbox().leave();
        self.is_open = false;
        self.peers.clear();
        self.meetings = Meetings::default();
    }

    /// Leaves the room, to enter it again in a moment, if the passwords for TURN servers will soon
    /// be too old for new connections and no peer would miss us. While a peer is connected, the old
    /// passwords stay: connected peers need no new ones, and a newcomer brings its own. We do not
    /// enter again at once, because a server that still has us would pair us with ourselves.
    fn renew(&mut self, now: Duration) {
        let is_due = self.is_open && self.renew_at.is_some_and(|at| now >= at);
        if is_due && self.peers.is_empty() && self.meetings.is_idle() {
            self.outage = Some(Outage::new(now, &self.room.url));
            self.drop_out();
        }
    }

    /// Takes note once we are in the room.
    fn poll_entering(&mut self, now: Duration, events: &mut Vec<TransportEvent>) {
        let Ok(Some(Opened { id: MatchboxId(id), good_for })) = self.entering.opened.try_recv()
        else {
            return;
        };
        self.renew_at = good_for.map(|time| now + (time * 3 / 4).max(KEEP_AT_LEAST));
        if self.outage.take().is_some() && self.was_open {
            events.push(TransportEvent::SignalingBack);
        }
        (self.is_open, self.was_open) = (true, true);
        self.local = Some(PeerId(id));
        events.push(TransportEvent::Opened(PeerId(id)));
    }

    /// Whether we are connected to any peer.
    fn has_peers(&self) -> bool {
        self.peers.iter().any(|channels| channels.is_open)
    }

    fn mailbox(&self) -> &Mailbox {
        &self.entering.mailbox
    }

    /// Reads the peers' channels.
    fn poll_peers(&mut self, now: Duration, events: &mut Vec<TransportEvent>) {
        self.closing.retain_mut(|(_, until)| now < *until.get_or_insert(now + SEND_WITHIN));
        for (MatchboxId(id), socket) in self.entering.mailbox.take_sockets() {
            let peer = PeerId(id);
            if self.meetings.is_under_way(peer) {
                // If a peer has two sockets, the later one counts.
                self.peers.retain(|channels| channels.peer != peer);
                self.peers.push(PeerChannels::new(peer, socket));
            } else {
                // The handshake began after we had given it up, and ends when its socket is
                // dropped. Any newer handshake comes after this task.
                self.mailbox().add_task(HandshakeTask::Forget(MatchboxId(id)));
            }
        }
        let Self { peers, meetings, entering, .. } = self;
        peers.retain_mut(|channels| {
            let peer = channels.peer;
            let goes_on = channels.poll(events);
            let was_met = (channels.is_open || !goes_on) && meetings.forget(peer);
            if !goes_on {
                entering.mailbox.add_task(HandshakeTask::Forget(MatchboxId(peer.0)));
                if was_met && !channels.is_open {
                    events.push(TransportEvent::Unreachable(peer));
                }
            }
            goes_on
        });
    }

    /// Passes on the server's news of the room. A newly created room gets an address of its own, so
    /// that coming back does not create another one.
    fn poll_room(&mut self, events: &mut Vec<TransportEvent>) {
        for event in self.mailbox().take_room() {
            if let RoomEvent::Room(room) = &event {
                if let Some(url) = opened_room(&self.room.url, &room.name) {
                    self.room.url = url;
                }
                if let Some(us) = self.local.and_then(|local| room.member(local)) {
                    self.room.url = as_member(&self.room.url, us);
                }
                let is_here = |peer| room.member(peer).is_some_and(|member| member.is_here);
                self.meetings.keep_waiting(is_here);
            }
            events.push(TransportEvent::Room(event));
        }
    }

    /// Handles the arrivals and departures of peers at the server.
    fn poll_steps(&mut self, now: Duration, events: &mut Vec<TransportEvent>) {
        let (steps, lost) = self.mailbox().take_steps();
        for (MatchboxId(id), step) in steps {
            let peer = PeerId(id);
            match step {
                PeerStep::Arrived | PeerStep::Restarted => self.expect(now, peer),
                PeerStep::Returned => events.push(TransportEvent::BackAtServer(peer)),
                PeerStep::Missed => {
                    self.meetings.keep_waiting(|other| other != peer);
                    events.push(TransportEvent::LeftServer(peer));
                }
                PeerStep::Left => {
                    if self.meetings.forget(peer) {
                        self.end(peer);
                    }
                    events.push(TransportEvent::LeftServer(peer));
                }
            }
        }
        let bad = self.mailbox().take_bad_signals();
        let counts =
            [(bad, TransportEvent::BadSignals(bad)), (lost, TransportEvent::Crowded(lost))];
        events.extend(counts.into_iter().filter(|(count, _)| *count > 0).map(|(_, event)| event));
    }

    /// Notes that a peer waits to be met.
    fn expect(&mut self, now: Duration, peer: PeerId) {
        if self.peers.iter().any(|channels| channels.peer == peer && channels.is_open) {
            return;
        }
        if self.meetings.forget(peer) {
            // The peer has given up the handshake that is under way, and begun another.
            self.peers.retain(|channels| channels.peer != peer);
        }
        self.meetings.arrive(now, peer);
    }

    /// Ends the connection to a peer, or the handshake with it.
    fn end(&mut self, peer: PeerId) {
        self.peers.retain(|channels| channels.peer != peer);
        self.mailbox().add_task(HandshakeTask::Forget(MatchboxId(peer.0)));
    }
}

impl Drop for WebRtcTransport {
    fn drop(&mut self) {
        self.mailbox().leave();
    }
}

impl Transport for WebRtcTransport {
    fn poll(&mut self, now: Duration, events: &mut Vec<TransportEvent>) {
        self.poll_entering(now, events);
        self.poll_room(events);
        self.poll_peers(now, events);
        self.poll_steps(now, events);
        while let Some(peer) = self.meetings.give_up_next(now) {
            self.end(peer);
            events.push(TransportEvent::Unreachable(peer));
        }
        self.poll_server(now, events);
    }

    fn meet(&mut self, now: Duration, may_meet: &dyn Fn(PeerId) -> bool) {
        while platform::has_connections_left() && !self.mailbox().is_busy() {
            let connections = self.peers.iter().filter(|channels| channels.is_open).count();
            let Some(meeting) = self.meetings.begin_next(now, connections, may_meet) else { break };
            self.mailbox().add_task(HandshakeTask::Meet(meeting));
        }
    }

    fn is_meeting(&self) -> bool {
        self.meetings.has_any()
    }

    fn is_out_of_connections(&self) -> bool {
        self.meetings.has_any() && !platform::has_connections_left()
    }

    fn disconnect(&mut self, peer: PeerId) {
        if let Some(index) = self.peers.iter().position(|channels| channels.peer == peer) {
            self.closing.push((self.peers.remove(index), None));
            self.meetings.forget(peer);
            self.end(peer);
        }
    }

    fn send(&mut self, _now: Duration, to: PeerId, channel: Channel, bytes: &[u8]) {
        if let Some(channels) = self.peers.iter_mut().find(|channels| channels.peer == to) {
            channels.send(channel, bytes);
        }
    }

    fn ask(&mut self, request: RoomRequest) {
        self.mailbox().ask(request);
    }

    fn leave(&mut self) {
        self.mailbox().leave();
        // If we are not in the room yet, we no longer enter it.
        self.entering.opened.close();
    }

    fn see_out(&self) {
        // matchbox does not report when a packet is out.
        let sent_after = if self.has_peers() { SEND_WITHIN } else { Duration::ZERO };
        hold_up(LEAVE_WITHIN, |waited| waited >= sent_after && self.mailbox().has_left());
    }

    fn route(&self, peer: PeerId) -> Route {
        let channels = self.peers.iter().find(|channels| channels.peer == peer);
        channels.map_or(Route::Unknown, PeerChannels::route)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use futures::channel::oneshot;
    use matchbox_socket::RtcIceServerConfig;

    use super::{mailbox::SignallerTask, meetings::Meeting, peer_sockets::PeerSockets, *};

    /// The handshake tasks that wait for the signaller.
    fn handshake_tasks(mailbox: &Mailbox) -> Vec<HandshakeTask> {
        let context = Context::from_waker(Waker::noop());
        let next = || match mailbox.poll_task(false, &context) {
            Poll::Ready(SignallerTask::Handshake(task)) => Some(task),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_handshake_that_begins_after_it_was_given_up_is_over_for_the_signaller_too() {
        let mailbox = Mailbox::default();
        let room = Room::new("ws://host/v1/rooms/DAM3R".into(), None, false).expect("no servers");
        let entering = Entering { mailbox: mailbox.clone(), opened: oneshot::channel().1 };
        let mut transport = WebRtcTransport::new(room, entering);
        let (mut sockets, _ends) = PeerSockets::new(RtcIceServerConfig::default());
        let (peer, id) = (PeerId::from_u128(7), MatchboxId(PeerId::from_u128(7).0));
        let meet = HandshakeTask::Meet(Meeting { peer, is_fresh: true });
        let poll = |transport: &mut WebRtcTransport| {
            let mut events = Vec::new();
            transport.poll(Duration::ZERO, &mut events);
            assert_eq!(events, []);
        };

        mailbox.note(id, PeerStep::Arrived);
        poll(&mut transport);
        transport.meet(Duration::ZERO, &|_| true);
        mailbox.note(id, PeerStep::Arrived);
        poll(&mut transport);
        assert_eq!(handshake_tasks(&mailbox), [meet], "the peer has offered again, and waits");
        mailbox.hand_over(id, sockets.open(id, Vec::new()));
        poll(&mut transport);
        assert_eq!(handshake_tasks(&mailbox), [HandshakeTask::Forget(id)]);

        transport.meet(Duration::ZERO, &|_| true);
        mailbox.hand_over(id, sockets.open(id, Vec::new()));
        poll(&mut transport);
        assert_eq!(handshake_tasks(&mailbox), [meet], "this one goes on");
    }
}
