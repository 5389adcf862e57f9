//! Peers over WebRTC data channels, through `matchbox_socket`. The same natively and in the browser.

use std::{collections::VecDeque, time::Duration};

use matchbox_socket::{Packet, PeerId as MatchboxId, PeerState, WebRtcSocket};
use signaling::{
    ice_servers::IceServer,
    lobby::{RoomEvent, RoomRequest},
    protocol::PeerId,
};

use super::{
    Channel, MAX_PEERS, Route, Transport, TransportError, TransportEvent,
    address::{Visitor, as_member, opened_room, room_url, server_of},
    platform::hold_up,
    room::{Entering, Opened, Room},
    signaller::backoff,
    watch::{PeerStep, Watch},
};

const CHANNELS: [(usize, Channel); 2] = [(0, Channel::Datagrams), (1, Channel::Control)];
/// Packets kept of each peer whose channels opened on its side first: its hello, its status and some datagrams. Its
/// first words should not be lost: they are said once more only after a round trip.
const MAX_EARLY_OF_PEER: usize = 16;
/// The same of all peers together: as many peers as we keep track of. At most 8 MiB, were all of them as long as may be.
const MAX_EARLY: usize = MAX_PEERS * MAX_EARLY_OF_PEER;
/// A handshake that takes longer will not end well: candidates are tried for some seconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Who waits alone in a room whose server is gone waits so long for it to come back.
const RETURN_WITHIN: Duration = Duration::from_secs(60);
/// Passwords for TURN servers are kept for three quarters of their time, so that a handshake has some left; and for so long at least,
/// whatever the server says.
const KEEP_AT_LEAST: Duration = Duration::from_secs(5);
/// What is sent last to a peer is out within this time, unless the machine is very busy.
const SEND_WITHIN: Duration = Duration::from_millis(300);
/// A program that ends waits no longer than this for the server to hear of it.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);
/// Departures remembered: more than a room holds.
const MAX_GONE: usize = 64;

/// The server is not there.
#[derive(Clone, Copy, Debug)]
struct Outage {
    since: Duration,
    tries: u32,
    /// When the next attempt is due, after `since`.
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
    /// Whether we were in the room at any time.
    was_open: bool,
    entering: Entering,
    /// Once the server let us in.
    socket: Option<WebRtcSocket>,
    /// When to enter anew for the sake of other passwords, if nobody is connected by then.
    renew_at: Option<Duration>,
    is_open: bool,
    /// Who we are in the room, once we are in it.
    local: Option<PeerId>,
    peers: Vec<PeerId>,
    /// The latest that left; a few packets of theirs may still be on the way.
    gone: VecDeque<PeerId>,
    /// Packets that arrived before matchbox told us of their sender.
    early: Vec<(PeerId, Channel, Packet)>,
    /// With whom a handshake is under way, and since when.
    handshakes: Vec<(PeerId, Duration)>,
}

impl WebRtcTransport {
    /// Begins to enter the room at `url`; how it went comes out of `poll`.
    pub(crate) fn open(
        url: &str,
        visitor: &Visitor,
        ice_servers: Option<&[IceServer]>,
        is_relay_only: bool,
    ) -> Result<Self, TransportError> {
        let room = Room::new(room_url(url, visitor)?, ice_servers, is_relay_only)?;
        Ok(Self {
            entering: room.enter(),
            room,
            socket: None,
            renew_at: None,
            is_open: false,
            local: None,
            peers: Vec::new(),
            gone: VecDeque::new(),
            early: Vec::new(),
            handshakes: Vec::new(),
            outage: None,
            was_open: false,
        })
    }

    /// Follows the way to the server, and begins anew where nobody is connected who would miss us.
    fn poll_server(&mut self, now: Duration, events: &mut Vec<TransportEvent>) {
        self.watch().note_connected(self.peers.iter().map(|peer| MatchboxId(peer.0)));
        if self.watch().take_back() {
            self.outage = None;
            events.push(TransportEvent::SignalingBack);
        }
        if self.watch().take_lost() {
            self.outage = Some(Outage::new(now, &self.room.url));
            events.push(TransportEvent::SignalingAway);
        }
        if let Some(error) = self.watch().take_failure() {
            if self.was_open && self.outage.is_none() {
                events.push(TransportEvent::SignalingAway);
            }
            let outage = self.outage.get_or_insert(Outage::new(now, &self.room.url));
            let is_hopeless = error == TransportError::Kicked
                || matches!(error, TransportError::Refused(_)) && !self.was_open;
            if is_hopeless || !self.peers.is_empty() {
                events.push(TransportEvent::Failed(error));
                return;
            }
            outage.is_trying = false;
        }
        let Some(outage) = &mut self.outage else { return self.renew(now) };
        if !self.peers.is_empty() || outage.is_trying {
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
            self.begin_anew();
        }
    }

    /// Enters the room as a new peer. Nobody is connected, but somebody may wait for the end of a handshake with the old one, and
    /// matchbox knows no other way to give one up.
    fn begin_anew(&mut self) {
        self.entering = self.room.enter();
        (self.socket, self.is_open) = (None, false);
        self.early.clear();
        self.handshakes.clear();
    }

    /// Leaves the room to enter it anew in a moment, where the passwords for TURN servers are about to be good for no new connection, and
    /// nobody would miss us. While somebody is connected those that we have stay: what is connected needs no others, and a newcomer
    /// brings its own. Not at once: a server that still has us would pair us with ourselves.
    fn renew(&mut self, now: Duration) {
        let is_due = self.is_open && self.renew_at.is_some_and(|at| now >= at);
        if is_due && self.peers.is_empty() && self.handshakes.is_empty() {
            self.outage = Some(Outage::new(now, &self.room.url));
            (self.socket, self.is_open) = (None, false);
        }
    }

    /// Takes over the socket, once we are in the room.
    fn poll_entering(&mut self, now: Duration) {
        if self.socket.is_none()
            && let Ok(Some(Opened { socket, good_for })) = self.entering.opened.try_recv()
        {
            self.socket = Some(socket);
            self.renew_at = good_for.map(|time| now + (time * 3 / 4).max(KEEP_AT_LEAST));
        }
    }

    fn watch(&self) -> &Watch {
        &self.entering.watch
    }

    fn poll_peers(&mut self, events: &mut Vec<TransportEvent>) {
        let Some(socket) = &mut self.socket else { return };
        // An error means that the loop is over, which the watch reports with its reason.
        for (MatchboxId(id), state) in socket.try_update_peers().unwrap_or_default() {
            let peer = PeerId(id);
            match state {
                PeerState::Connected => {
                    self.peers.push(peer);
                    events.push(TransportEvent::Connected(peer));
                    let early = self.early.extract_if(.., |(from, ..)| *from == peer);
                    events.extend(
                        early.map(|(from, channel, packet)| received(from, channel, &packet)),
                    );
                }
                PeerState::Disconnected => {
                    self.peers.retain(|&connected| connected != peer);
                    self.early.retain(|(from, ..)| *from != peer);
                    if self.gone.len() == MAX_GONE {
                        self.gone.pop_front();
                    }
                    self.gone.push_back(peer);
                    events.push(TransportEvent::Disconnected(peer));
                }
            }
        }
    }

    fn poll_packets(&mut self, events: &mut Vec<TransportEvent>) {
        for (index, channel) in CHANNELS {
            let Some(socket) = &mut self.socket else { return };
            let Ok(source) = socket.get_channel_mut(index) else { continue };
            for (MatchboxId(id), packet) in source.receive() {
                let from = PeerId(id);
                if self.peers.contains(&from) {
                    events.push(received(from, channel, &packet));
                } else if !self.gone.contains(&from) {
                    self.keep_early(from, channel, packet, events);
                }
            }
        }
    }

    /// Passes on what the server tells of the room; a new one is not left for another new one.
    fn poll_room(&mut self, events: &mut Vec<TransportEvent>) {
        for event in self.watch().take_room() {
            if let RoomEvent::Room(room) = &event {
                if let Some(url) = opened_room(&self.room.url, &room.name) {
                    self.room.url = url;
                }
                if let Some(us) = self.local.and_then(|local| room.member(local)) {
                    self.room.url = as_member(&self.room.url, us);
                }
            }
            events.push(TransportEvent::Room(event));
        }
    }

    /// Gives up on those with whom no connection comes about; matchbox never does.
    fn poll_handshakes(&mut self, now: Duration, events: &mut Vec<TransportEvent>) {
        for (MatchboxId(id), step) in self.watch().take_steps() {
            let peer = PeerId(id);
            if step != PeerStep::Returned {
                self.handshakes.retain(|&(other, _)| other != peer);
            }
            match step {
                PeerStep::Met => self.handshakes.push((peer, now)),
                PeerStep::Left => events.push(TransportEvent::LeftServer(peer)),
                PeerStep::Returned => events.push(TransportEvent::BackAtServer(peer)),
            }
        }
        let Self { handshakes, peers, .. } = self;
        handshakes.retain(|&(peer, since)| {
            let is_over = peers.contains(&peer);
            let is_too_long = now.saturating_sub(since) >= CONNECT_WITHIN;
            if !is_over && is_too_long {
                events.push(TransportEvent::Unreachable(peer));
            }
            !is_over && !is_too_long
        });
        let bad = self.watch().take_bad_signals();
        events.extend((0..bad).map(|_| TransportEvent::BadSignal));
    }

    fn keep_early(
        &mut self,
        from: PeerId,
        channel: Channel,
        packet: Packet,
        events: &mut Vec<TransportEvent>,
    ) {
        let of_peer = self.early.iter().filter(|(peer, ..)| *peer == from).count();
        // The first datagrams of a flood may go, they are lost on the way as often; control may not.
        let is_welcome = of_peer < MAX_EARLY_OF_PEER
            && packet.len() <= channel.max_bytes()
            && (channel == Channel::Control || of_peer < MAX_EARLY_OF_PEER / 2);
        if is_welcome && self.early.len() < MAX_EARLY {
            self.early.push((from, channel, packet));
        } else {
            events.push(TransportEvent::DroppedEarly);
        }
    }
}

fn received(from: PeerId, channel: Channel, packet: &Packet) -> TransportEvent {
    // One byte too many is enough to be refused by.
    let length = packet.len().min(channel.max_bytes() + 1);
    TransportEvent::Received { from, channel, bytes: packet[..length].into() }
}

impl Drop for WebRtcTransport {
    fn drop(&mut self) {
        self.watch().leave();
    }
}

impl Transport for WebRtcTransport {
    fn poll(&mut self, now: Duration, events: &mut Vec<TransportEvent>) {
        self.poll_entering(now);
        if !self.is_open
            && let Some(MatchboxId(id)) = self.socket.as_mut().and_then(WebRtcSocket::id)
        {
            self.is_open = true;
            if self.outage.take().is_some() && self.was_open {
                events.push(TransportEvent::SignalingBack);
            }
            self.was_open = true;
            self.local = Some(PeerId(id));
            events.push(TransportEvent::Opened(PeerId(id)));
        }
        self.poll_room(events);
        // Packets first: the last words of a peer come before its departure.
        self.poll_packets(events);
        self.poll_peers(events);
        self.poll_handshakes(now, events);
        self.poll_server(now, events);
    }

    fn send(&mut self, _now: Duration, to: PeerId, channel: Channel, bytes: &[u8]) {
        let index = match channel {
            Channel::Datagrams => 0,
            Channel::Control => 1,
        };
        if self.peers.contains(&to)
            && let Some(socket) = &mut self.socket
            && let Ok(channel) = socket.get_channel_mut(index)
        {
            // It fails only once the loop is over, which the watch reports.
            let _ = channel.try_send(Packet::copy_from_slice(bytes), MatchboxId(to.0));
        }
    }

    fn ask(&mut self, request: RoomRequest) {
        self.watch().ask(request);
    }

    fn leave(&mut self) {
        self.watch().leave();
        // Who is not in the room yet does not enter it any more.
        self.entering.opened.close();
    }

    fn see_out(&self) {
        // matchbox does not tell when a packet is out.
        let sent_after = if self.peers.is_empty() { Duration::ZERO } else { SEND_WITHIN };
        hold_up(LEAVE_WITHIN, |waited| waited >= sent_after && self.watch().has_left());
    }

    fn route(&self, peer: PeerId) -> Route {
        match self.socket.as_ref().and_then(|socket| socket.is_relayed(MatchboxId(peer.0))) {
            Some(true) => Route::Relayed,
            Some(false) => Route::Direct,
            None => Route::Unknown,
        }
    }
}
