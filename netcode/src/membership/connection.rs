//! The connection to the room: one transport, one link per peer, and what they exchange.
//!
//! Driven by the systems next door: `receive` takes what arrived and returns what it means (the meaning of
//! single messages is in `incoming`), `send` flushes (in `outgoing`), `show` shows (in `lobby`). Time is an argument.

use std::time::Duration;

use bevy::prelude::Resource;
use signaling::{
    lobby::{RoomEvent, RoomRequest, RoomState},
    protocol::PeerId,
};

use super::{
    conduct::Misconduct,
    control::{Control, Hello, Status},
    finishing::LeftMatch,
    left_rooms::LeftRooms,
    lineup::{LineUp, MatchPlan},
    link::{Link, Standing},
    patience::{MAX_SILENCE_PER_UPDATE, Patience},
    player_name::clean_name,
    reasons::GoodbyeCause,
};
use crate::{
    checksum::FrameHashes,
    config::{FloodLimits, NetcodeConfig},
    diagnostics::{DroppedPackets, RateMeter},
    exchange::{Exchange, SharedExchange},
    transport::{
        Conditioner, LinkConditions, MAX_PEERS, Transport, TransportError, TransportEvent,
    },
};

/// If a match is still stalled this long after silent peers time out, some peer is connected but
/// has stopped playing.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// A bad network that is the same in every run can be reasoned about.
const CONDITIONER_SEED: u64 = 1;

/// What a received packet means to the session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Occurrence {
    /// We are in the room.
    Opened,
    /// The room, or the way to it, is gone.
    Failed(TransportError),
    /// The channels to a peer closed.
    Closed(PeerId),
    /// A peer said goodbye.
    Goodbye(PeerId, GoodbyeCause),
    /// All agreed: begin.
    Begin(MatchPlan),
    /// The server tells of the room.
    Room(RoomEvent),
    /// A peer did what nobody plays on with.
    Misconduct(PeerId, Misconduct),
    /// A peer has left the match at this frame, and stays in the room.
    Finished { peer: PeerId, end: u32 },
    /// A peer's checksums.
    Checksums { peer: PeerId, frame: u32, hashes: FrameHashes },
}

/// Everything about the room that we are in.
#[derive(Resource)]
pub(crate) struct Connection {
    pub(super) transport: Option<Box<dyn Transport>>,
    pub(super) left_rooms: LeftRooms,
    pub(super) conditioner: Conditioner,
    pub(super) links: Vec<Link>,
    /// Who is in the room, and could not be connected to.
    pub(super) unreachable: Vec<PeerId>,
    pub(super) local: Option<PeerId>,
    /// The signaling server is gone: nobody new can come.
    pub(super) is_signaling_lost: bool,
    /// And will stay so.
    pub(super) is_signaling_gone: bool,
    /// Somebody has been in the room with us.
    pub(super) has_met: bool,
    /// Until when no match begins, so that those who came during the last one are met before.
    pub(super) newcomers_until: Option<Duration>,
    pub(super) hello: Hello,
    pub(super) status: Status,
    pub(super) lineup: LineUp,
    /// The epoch that we agreed to begin; 0 is none.
    pub(super) expected: u32,
    /// The epoch that we began, whose inputs we exchange; 0 is none.
    pub(super) epoch: u32,
    pub(super) exchange: SharedExchange,
    /// The frame that we simulate next in that epoch, or where we finished it.
    pub(super) frame: u32,
    /// Time since the last step that the match could have run.
    pub(super) waited: Duration,
    /// How we left that epoch, once we finished it.
    pub(super) left: Option<LeftMatch>,
    pub(super) dropped: DroppedPackets,
    pub(super) meter_in: RateMeter,
    pub(super) meter_out: RateMeter,
    limits: Limits,
    events: Vec<TransportEvent>,
    pub(super) bytes: Vec<u8>,
}

/// What the connection needs of the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) fps: u16,
    pub(super) step: Duration,
    pub(super) quiet_after: Duration,
    pub(super) peer_timeout: Duration,
    pub(super) outage_timeout: Duration,
    pub(super) min_players: u8,
    pub(super) max_players: u8,
    pub(super) flood: FloodLimits,
}

impl Connection {
    pub(crate) fn new(config: &NetcodeConfig) -> Self {
        Self {
            transport: None,
            left_rooms: LeftRooms::default(),
            conditioner: Conditioner::new(CONDITIONER_SEED),
            links: Vec::new(),
            unreachable: Vec::new(),
            local: None,
            is_signaling_lost: false,
            is_signaling_gone: false,
            has_met: false,
            newcomers_until: None,
            hello: Hello::new(config, 0, "", 1),
            status: Status::default(),
            lineup: LineUp::new(config.max_players),
            expected: 0,
            epoch: 0,
            exchange: SharedExchange::default(),
            frame: 0,
            waited: Duration::ZERO,
            left: None,
            dropped: DroppedPackets::default(),
            meter_in: RateMeter::default(),
            meter_out: RateMeter::default(),
            limits: Limits {
                fps: config.fps,
                step: config.step_duration(),
                quiet_after: config.quiet_after,
                peer_timeout: config.peer_timeout,
                outage_timeout: config.outage_timeout,
                min_players: config.min_players,
                max_players: config.max_players,
                flood: config.flood_limits,
            },
            events: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Enters a new room, over a fresh transport, as who we say in `hello`.
    pub(crate) fn open(&mut self, transport: Box<dyn Transport>, hello: Hello) {
        self.forget_room();
        self.transport = Some(transport);
        self.hello = hello;
    }

    /// Leaves the room, telling all peers why.
    pub(crate) fn close(&mut self, now: Duration, cause: GoodbyeCause) {
        self.broadcast(now, &Control::Goodbye(cause));
        if let Some(mut transport) = self.transport.take() {
            // Nothing that is held back on purpose may be left behind: the goodbye is among it.
            while let Some(packet) = self.conditioner.pop(Duration::MAX) {
                transport.send(now, packet.to, packet.channel, &packet.bytes);
            }
            self.left_rooms.push(now, transport);
        }
        self.forget_room();
    }

    /// Returns all state of the room to its beginning. The count of epochs goes on, and so does whether anybody sees the game.
    fn forget_room(&mut self) {
        self.links.clear();
        self.unreachable.clear();
        self.local = None;
        (self.is_signaling_lost, self.is_signaling_gone) = (false, false);
        (self.has_met, self.newcomers_until) = (false, None);
        self.conditioner.forget_peers();
        let Status { last_epoch, away, .. } = self.status;
        self.status = Status { last_epoch, away, ..Status::default() };
        self.lineup.reset();
        self.expected = 0;
        self.end_epoch();
    }

    fn end_epoch(&mut self) {
        self.epoch = 0;
        self.exchange = SharedExchange::default();
        self.left = None;
    }

    pub(crate) fn set_conditions(&mut self, conditions: LinkConditions) {
        self.conditioner.set(conditions);
    }

    /// Begins another sequence of accidents.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.conditioner = Conditioner::new(seed);
    }

    pub(crate) fn set_ready(&mut self, now: Duration, ready: bool) {
        if self.status.ready != ready {
            self.status.ready = ready;
            self.tell_status(now);
        }
    }

    /// Says whether we take no part in matches. Whoever comes back to them has to say anew that it is ready.
    pub(crate) fn set_spectating(&mut self, now: Duration, spectates: bool) {
        if self.status.spectates != spectates {
            self.status.spectates = spectates;
            self.status.ready = false;
            self.tell_status(now);
        }
    }

    pub(crate) fn spectates(&self) -> bool {
        self.status.spectates
    }

    /// Goes by this name from now on.
    pub(crate) fn rename(&mut self, now: Duration, name: &str) {
        let name = clean_name(name);
        if self.hello.name != name {
            self.hello.name = name;
            self.tell_status(now);
        }
    }

    /// Says whether nobody can see the game on this machine.
    pub(crate) fn set_away(&mut self, now: Duration, away: bool) {
        if self.status.away != away {
            self.status.away = away;
            self.tell_status(now);
        }
    }

    /// We play the match of this epoch now.
    pub(super) fn enter_match(&mut self, now: Duration, epoch: u32) {
        self.status.ready = false;
        self.status.in_match = true;
        self.status.last_epoch = epoch;
        self.end_epoch();
        (self.epoch, self.frame) = (epoch, 0);
        self.waited = Duration::ZERO;
        for link in &mut self.links {
            link.clock.restart();
            link.patience = Patience::default();
        }
        self.tell_status(now);
    }

    /// The session of the epoch that we entered takes and gives inputs through this.
    pub(crate) fn begin_exchange(&mut self, exchange: Exchange) -> SharedExchange {
        self.exchange = SharedExchange::new(exchange);
        self.exchange.clone()
    }

    pub(super) fn tell_status(&mut self, now: Duration) {
        self.broadcast(now, &self.status_message());
    }

    pub(super) fn status_message(&self) -> Control {
        Control::Status(Status { name: self.hello.name.clone(), ..self.status.clone() })
    }

    /// Tells the others whom we could play with, where that changed: nobody else can know who cannot reach whom.
    pub(super) fn tell_reach(&mut self, now: Duration) {
        let reaches = || self.players().map(|link| link.peer);
        if !reaches().eq(self.status.reaches.iter().copied()) {
            self.status.reaches = reaches().collect();
            self.tell_status(now);
        }
    }

    /// The peer that has kept the match standing still for too long: it is heard of, and gives too
    /// few inputs.
    pub(super) fn blocker(&self) -> Option<PeerId> {
        let limit = self.limits.outage_timeout + STUCK_AFTER;
        let blocks = |link: &&Link| self.plays_with(link) && link.patience.is_used_up(limit);
        self.links.iter().find(blocks).map(|link| link.peer)
    }

    /// The peers that we could play with.
    pub(super) fn players(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| self.is_present(link) && link.is_player())
    }

    /// Takes what arrived since the last call, and says what it means.
    ///
    /// `our_frame` is where we are in the simulation, while a match runs: see `place` of the systems.
    pub(crate) fn receive(
        &mut self,
        now: Duration,
        elapsed: Duration,
        our_frame: Option<f32>,
    ) -> Vec<Occurrence> {
        self.left_rooms.forget_old(now);
        if self.left.is_some_and(|left| now >= left.until) {
            self.end_epoch();
        }
        let mut occurrences = Vec::new();
        let has_finished = self.has_finished();
        let Some(transport) = &mut self.transport else { return occurrences };
        for link in &mut self.links {
            link.wait(elapsed);
        }
        if our_frame.is_some() && !has_finished {
            self.waited += elapsed.min(MAX_SILENCE_PER_UPDATE);
        }
        let mut events = std::mem::take(&mut self.events);
        transport.poll(now, &mut events);
        for event in events.drain(..) {
            self.handle(now, event, our_frame, &mut occurrences);
        }
        self.events = events;
        self.begin_connections(now);
        self.repeat_first_words(now);
        if let Some(local) = self.local {
            let possible = self.possible_match();
            let steps = self.lineup.poll(now, local, possible.as_ref());
            self.follow(now, steps, &mut occurrences);
        }
        occurrences
    }

    fn handle(
        &mut self,
        now: Duration,
        event: TransportEvent,
        our_frame: Option<f32>,
        occurrences: &mut Vec<Occurrence>,
    ) {
        match event {
            TransportEvent::Opened(local) => {
                // Whoever could not be reached is met again.
                (self.local, self.unreachable) = (Some(local), Vec::new());
                occurrences.push(Occurrence::Opened);
            }
            TransportEvent::Failed(error) => occurrences.push(Occurrence::Failed(error)),
            TransportEvent::SignalingLost => {
                self.is_signaling_gone = true;
                self.note_server(true);
            }
            TransportEvent::SignalingAway => self.note_server(true),
            TransportEvent::SignalingBack => self.note_server(false),
            TransportEvent::Connected(peer) => self.greet(now, peer),
            TransportEvent::Room(event) => occurrences.push(Occurrence::Room(event)),
            TransportEvent::DroppedEarly => self.dropped.flooded += 1,
            TransportEvent::BadSignals(count) => {
                self.dropped.bad_signal = self.dropped.bad_signal.saturating_add(count);
            }
            TransportEvent::Crowded(count) => {
                self.dropped.crowded = self.dropped.crowded.saturating_add(count);
            }
            TransportEvent::Unreachable(peer) => {
                if self.unreachable.len() < MAX_PEERS && !self.unreachable.contains(&peer) {
                    self.unreachable.push(peer);
                }
            }
            TransportEvent::LeftServer(peer) => {
                self.unreachable.retain(|&other| other != peer);
                self.note_at_server(peer, false);
            }
            TransportEvent::BackAtServer(peer) => self.note_at_server(peer, true),
            TransportEvent::Disconnected(peer) => {
                if self.links.iter().any(|link| link.peer == peer) {
                    occurrences.push(Occurrence::Closed(peer));
                }
            }
            TransportEvent::Received { from, channel, bytes } => {
                self.meter_in.count(bytes.len());
                self.take(now, from, channel, &bytes, our_frame, occurrences);
            }
        }
    }

    /// Asks the server for something in the room.
    pub(crate) fn ask(&mut self, request: RoomRequest) {
        if let Some(transport) = &mut self.transport {
            transport.ask(request);
        }
    }

    fn note_at_server(&mut self, peer: PeerId, is_at_server: bool) {
        if let Some(link) = self.links.iter_mut().find(|link| link.peer == peer) {
            link.is_at_server = is_at_server;
        }
    }

    /// We lost the server, or are there again. Nobody tells us who came back to it before we did.
    fn note_server(&mut self, is_lost: bool) {
        self.is_signaling_lost = is_lost;
        for link in &mut self.links {
            link.is_at_server = true;
        }
    }

    /// Forgets a peer: its channels closed, or it said goodbye. Should it stay connected all the
    /// same, the connection ends.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        self.links.retain(|link| link.peer != peer);
        self.lineup.forget(peer);
        if let Some(transport) = &mut self.transport {
            transport.disconnect(peer);
        }
    }

    /// Whether the channels to the peer are open.
    pub(super) fn is_linked(&self, peer: PeerId) -> bool {
        self.links.iter().any(|link| link.peer == peer)
    }

    /// Whether the peer was silent for too long. It is forgotten only when its channel closes: in the lobby it may come back.
    pub(super) fn is_absent(&self, peer: PeerId) -> bool {
        self.links.iter().any(|link| link.peer == peer && !self.is_present(link))
    }

    /// Whether the peer may still be there. Who crashes is missed by the server at once; who is not may be out of reach for a while.
    pub(super) fn is_present(&self, link: &Link) -> bool {
        let Limits { peer_timeout, outage_timeout, .. } = self.limits;
        link.silence() < if link.is_at_server { outage_timeout } else { peer_timeout }
    }

    /// Whether we are in a match with the peer.
    pub(super) fn plays_with(&self, link: &Link) -> bool {
        self.status.in_match && self.is_in_exchange(link.peer) && !self.has_left(link.peer)
    }

    /// Whether the peer is in the match that runs, or that we just finished.
    pub(super) fn is_in_exchange(&self, peer: PeerId) -> bool {
        self.exchange.with(|exchange| exchange.has(peer)).unwrap_or(false)
    }

    /// Follows what the others are in the room, as the server has it; `None` where it does not say, or has not for a while.
    pub(crate) fn note_standing(&mut self, room: Option<&RoomState>) {
        let room = room.filter(|_| !self.is_signaling_lost);
        for link in &mut self.links {
            let member = room.map(|room| room.member(link.peer));
            link.standing = match member {
                None => Standing::Unknown,
                Some(None) => Standing::Outside,
                Some(Some(member)) => Standing::In(member.place),
            };
        }
        if let Some(room) = room {
            // A peer that is not there any more is out of nobody's reach.
            let is_here = |peer| room.member(peer).is_some_and(|member| member.is_here);
            self.unreachable.retain(|&peer| is_here(peer));
            self.excuse_players(room);
        }
    }

    /// A match begins: what was dropped before it does not count.
    pub(crate) fn forget_drops(&mut self) {
        self.dropped = DroppedPackets::default();
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn local(&self) -> Option<PeerId> {
        self.local
    }

    pub(crate) fn is_open(&self) -> bool {
        self.transport.is_some()
    }

    /// Whether anything goes wrong if this is not updated for a while.
    #[cfg(all(feature = "webrtc", target_arch = "wasm32"))]
    pub(crate) fn needs_updates(&self) -> bool {
        self.is_open() || !self.left_rooms.is_empty()
    }
}
