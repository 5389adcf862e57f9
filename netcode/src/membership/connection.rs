//! The connection to the room: one transport, one link per peer, and what they exchange.
//!
//! Apart from the transport it is pure: time is an argument, and nothing happens unless a method is
//! called.

use std::{collections::VecDeque, time::Duration};

use bevy::prelude::Resource;
use signaling::{
    lobby::{RoomEvent, RoomState},
    protocol::PeerId,
};

use super::{
    conduct::Misconduct,
    control::{Control, Hello},
    lineup::{LineUp, LineUpStep, MatchPlan},
    match_wire::{AgreedMatch, MatchWire, Policies},
    patience::Patience,
    peers::Peers,
    reasons::GoodbyeCause,
    roster::Roster,
    us::Us,
    wire::Wire,
};
use crate::{
    checksum::FrameHashes,
    config::{FloodLimits, NetcodeConfig, PausePolicy},
    diagnostics::DroppedPackets,
    exchange::{Exchange, SharedExchange},
    transport::{LinkConditions, Transport, TransportError, TransportEvent},
};

/// Something that has happened and that the session has to act on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ConnectionEvent {
    /// We are in the room.
    Opened,
    /// The room, or the way to it, is gone.
    Failed(TransportError),
    /// The channels to a peer closed.
    Closed(PeerId),
    /// A peer said goodbye.
    Goodbye(PeerId, GoodbyeCause),
    /// All agreed: the match that we are in now begins.
    Begin,
    /// The server sent news of the room.
    Room(RoomEvent),
    /// A peer misbehaved, and we have stopped listening to it.
    Misconduct(PeerId, Misconduct),
    /// The other machines play on without us, and keep no seat for us.
    PutAway,
    /// A peer has left the match at this frame, and stays in the room.
    Finished { peer: PeerId, name: String, end: u32 },
    /// A peer's checksums.
    Checksums { peer: PeerId, frame: u32, hashes: FrameHashes },
}

/// Everything about the room that we are in.
///
/// Its methods are of four kinds:
///
/// * *What happened*: [`receive`](Self::receive) takes what arrived since the last call, and the
///   time that has passed; then [`poll_event`](Self::poll_event) returns one [`ConnectionEvent`]
///   after the other until there is none left. [`note_roles`](Self::note_roles) takes what
///   the server says of the peers.
/// * *Time passes*: [`send`](Self::send) sends what is due, once per update and after the steps of
///   the simulation; [`release`](Self::release) only hands over the packets that a bad network has
///   held back.
/// * *What to do*: commands such as [`open`](Self::open), [`close`](Self::close),
///   [`set_ready`](Self::set_ready) and [`finish`](Self::finish). They take effect at once, and
///   their messages leave with the next `send`; those of `close` leave by themselves.
/// * *What to show*: [`show`](Self::show) writes the lobby, [`report`](Self::report) the counters;
///   methods with `&self` change nothing.
///
/// `now` never goes back from one call to the next.
#[derive(Resource)]
pub(crate) struct Connection {
    pub(super) peers: Peers,
    pub(super) wire: Wire,
    pub(super) us: Us,
    pub(super) match_wire: MatchWire,
    pub(super) lineup: LineUp,
    /// No match begins before this time, so that peers that came during the last one are connected
    /// first.
    pub(super) newcomers_until: Option<Duration>,
    pub(super) dropped: DroppedPackets,
    events: VecDeque<ConnectionEvent>,
    limits: Limits,
    /// Whether we propose matches whose seats are counted from the other end.
    #[cfg(any(test, feature = "testing"))]
    pub(super) has_reversed_seats: bool,
}

/// What the connection needs of the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) fps: u16,
    pub(super) step: Duration,
    pub(super) window: u32,
    pub(super) max_delay: u32,
    pub(super) seat_hold: Duration,
    pub(super) quiet_after: Duration,
    pub(super) peer_timeout: Duration,
    pub(super) outage_timeout: Duration,
    pub(super) min_players: u8,
    pub(super) max_players: u8,
    pub(super) flood: FloodLimits,
    /// Whether players may pause a match, and the owner of the room may remove some from it.
    pub(super) may_pause: bool,
    pub(super) may_kick: bool,
}

impl Connection {
    pub(crate) fn new(config: &NetcodeConfig) -> Self {
        Self {
            peers: Peers::default(),
            wire: Wire::default(),
            us: Us::new(config),
            match_wire: MatchWire::default(),
            lineup: LineUp::new(config.max_players),
            newcomers_until: None,
            dropped: DroppedPackets::default(),
            events: VecDeque::new(),
            limits: Limits {
                fps: config.fps,
                step: config.step_duration(),
                window: u32::from(config.prediction_window),
                max_delay: u32::from(config.input_delay.max()),
                seat_hold: config.seat_hold,
                quiet_after: config.quiet_after,
                peer_timeout: config.peer_timeout,
                outage_timeout: config.outage_timeout,
                min_players: config.min_players,
                max_players: config.max_players,
                flood: config.flood_limits,
                may_pause: config.pause_policy == PausePolicy::Anyone,
                may_kick: config.owner_may_kick,
            },
            #[cfg(any(test, feature = "testing"))]
            has_reversed_seats: false,
        }
    }
}

/// What happened.
impl Connection {
    /// Takes what arrived since the last call, after `elapsed`.
    ///
    /// `our_frame` is where we are in the simulation, while a match runs: see `frame_position` in
    /// the systems.
    pub(crate) fn receive(&mut self, now: Duration, elapsed: Duration, our_frame: Option<f32>) {
        self.wire.forget_left_rooms(now);
        self.match_wire.end_if_left(now);
        if !self.wire.is_open() {
            return;
        }
        self.peers.wait(elapsed);
        if our_frame.is_some() {
            let is_heard = !self.is_cut_off_for(self.limits.quiet_after);
            self.match_wire.wait(elapsed, is_heard);
        }
        let mut events = self.wire.poll(now);
        for event in events.drain(..) {
            self.handle(now, event, our_frame);
        }
        self.wire.reuse(events);
        if our_frame.is_some() {
            self.watch_machines();
        }
        self.begin_connections(now);
        self.repeat_hello(now);
        if let Some(local) = self.us.id() {
            let possible = self.possible_match();
            let steps = self.lineup.poll(now, local, possible.as_ref());
            self.carry_out(now, steps);
        }
    }

    /// Takes the next event that the session has to act on.
    pub(crate) fn poll_event(&mut self) -> Option<ConnectionEvent> {
        self.events.pop_front()
    }

    pub(super) fn push_event(&mut self, event: ConnectionEvent) {
        self.events.push_back(event);
    }

    fn handle(&mut self, now: Duration, event: TransportEvent, our_frame: Option<f32>) {
        match event {
            TransportEvent::Opened(local) => {
                self.us.enter(local);
                self.peers.forget_unreachable();
                self.push_event(ConnectionEvent::Opened);
            }
            TransportEvent::Failed(error) => self.push_event(ConnectionEvent::Failed(error)),
            TransportEvent::SignalingLost => {
                self.us.lose_server_for_good();
                self.peers.note_all_at_server();
            }
            TransportEvent::SignalingAway => self.note_server(true),
            TransportEvent::SignalingBack => self.note_server(false),
            TransportEvent::Connected(peer) => self.greet(now, peer),
            TransportEvent::Room(event) => self.push_event(ConnectionEvent::Room(event)),
            TransportEvent::DroppedEarly => self.dropped.flooded += 1,
            TransportEvent::BadSignals(count) => {
                self.dropped.bad_signal = self.dropped.bad_signal.saturating_add(count);
            }
            TransportEvent::Crowded(count) => {
                self.dropped.crowded = self.dropped.crowded.saturating_add(count);
            }
            TransportEvent::Unreachable(peer) => self.peers.note_unreachable(peer),
            TransportEvent::LeftServer(peer) => {
                self.peers.note_reachable(peer);
                self.peers.note_at_server(peer, false);
            }
            TransportEvent::BackAtServer(peer) => self.peers.note_at_server(peer, true),
            TransportEvent::Disconnected(peer) => {
                if self.is_linked(peer) {
                    self.push_event(ConnectionEvent::Closed(peer));
                }
            }
            TransportEvent::Received { from, channel, bytes } => {
                self.wire.count_received(bytes.len());
                self.handle_packet(now, from, channel, &bytes, our_frame);
            }
        }
    }

    fn note_server(&mut self, is_lost: bool) {
        self.us.set_server_lost(is_lost);
        self.peers.note_all_at_server();
    }

    /// Takes the roles of the other peers in the room, as the server has them; `None` if the server
    /// does not say, or has not said for a while.
    pub(crate) fn note_roles(&mut self, room: Option<&RoomState>) {
        self.us.set_owner(room.and_then(|room| room.owner));
        self.peers.note_roles(room.filter(|_| !self.us.is_server_lost()));
    }
}

/// What to do.
impl Connection {
    /// Enters a new room over a fresh transport, and introduces us by `hello`.
    pub(crate) fn open(&mut self, transport: Box<dyn Transport>, hello: Hello) {
        self.forget_room();
        self.wire.open(transport);
        self.us.introduce(hello);
    }

    /// Leaves the room, telling all peers why.
    pub(crate) fn close(&mut self, now: Duration, cause: GoodbyeCause) {
        // Elsewhere the match ends for all.
        if self.match_wire.goes_on_without_some() {
            self.leave_roster(now);
        }
        self.broadcast(now, &Control::Goodbye(cause));
        self.wire.close(now);
        self.forget_room();
    }

    /// Returns all state of the room to its beginning.
    fn forget_room(&mut self) {
        self.peers.clear();
        self.us.leave();
        self.newcomers_until = None;
        self.wire.forget_peers();
        self.lineup.reset();
        self.match_wire.reset();
    }

    pub(crate) fn set_conditions(&mut self, conditions: LinkConditions) {
        self.wire.set_conditions(conditions);
    }

    /// Begins another sequence of losses and delays.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.wire.set_seed(seed);
    }

    /// Proposes matches whose seats are counted from the other end, as other code might.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn reverse_seats(&mut self) {
        self.has_reversed_seats = true;
    }

    pub(crate) fn set_ready(&mut self, now: Duration, ready: bool) {
        let is_news = self.us.set_ready(ready);
        self.tell_status_if(is_news, now);
    }

    /// Takes no part in matches, or takes part again.
    pub(crate) fn set_spectating(&mut self, now: Duration, spectates: bool) {
        let is_news = self.us.set_spectating(spectates);
        self.tell_status_if(is_news, now);
    }

    /// Goes by this name from now on.
    pub(crate) fn rename(&mut self, now: Duration, name: &str) {
        let is_news = self.us.rename(name);
        self.tell_status_if(is_news, now);
    }

    /// Notes whether the page of the game on this machine is hidden.
    pub(crate) fn set_hidden(&mut self, now: Duration, is_hidden: bool) {
        let is_news = self.us.set_hidden(is_hidden);
        self.tell_status_if(is_news, now);
    }

    /// Tells the other peers which peers we could play with, if that changed: no third peer can see
    /// by itself that two others cannot reach each other.
    pub(super) fn tell_reach(&mut self, now: Duration) {
        let reach = || self.players().map(|link| link.peer);
        if !reach().eq(self.us.reaches().iter().copied()) {
            let reach = reach().collect();
            self.us.set_reach(reach);
            self.tell_status(now);
        }
    }

    fn tell_status_if(&mut self, is_news: bool, now: Duration) {
        if is_news {
            self.tell_status(now);
        }
    }

    pub(super) fn tell_status(&mut self, now: Duration) {
        let status = self.us.status_message(self.is_in_match());
        self.broadcast(now, &status);
    }

    /// Does what the line-up asks for.
    pub(super) fn carry_out(&mut self, now: Duration, steps: Vec<LineUpStep>) {
        for step in steps {
            match step {
                LineUpStep::Send(to, message) => {
                    self.wire.send_control(now, to, &Control::LineUp(message));
                }
                LineUpStep::Expect(match_number) => self.match_wire.expect(match_number),
                LineUpStep::Begin(plan) => {
                    // At once, so that nothing in this update still takes us for ready and asks
                    // again.
                    self.enter_match(now, &plan);
                    self.push_event(ConnectionEvent::Begin);
                }
            }
        }
    }

    /// Plays this match from now on.
    pub(super) fn enter_match(&mut self, now: Duration, plan: &MatchPlan) {
        let Some(local) = self.us.id() else { return };
        self.us.begin_match(plan.match_number);
        self.match_wire.begin(plan, local);
        for link in self.peers.iter_mut() {
            link.clock.restart();
            link.patience = Patience::default();
        }
        self.tell_status(now);
    }

    /// Returns the exchange through which the session of the match that we entered receives and
    /// sends inputs.
    pub(crate) fn begin_exchange(
        &mut self,
        exchange: Exchange,
        policies: Policies,
    ) -> SharedExchange {
        self.match_wire.set_exchange(exchange, policies)
    }

    /// Forgets a peer: its channels closed, or it said goodbye. If it is still connected, the
    /// connection ends.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        self.peers.remove(peer);
        self.lineup.forget(peer);
        self.wire.disconnect(peer);
    }

    /// A match begins: packets that were dropped before it do not count.
    pub(crate) fn forget_drops(&mut self) {
        self.dropped = DroppedPackets::default();
    }
}

/// What to show.
impl Connection {
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn local(&self) -> Option<PeerId> {
        self.us.id()
    }

    pub(super) fn name(&self) -> &str {
        &self.us.hello().name
    }

    pub(super) fn is_spectator(&self) -> bool {
        self.us.is_spectator()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.wire.is_open()
    }

    /// The match that we play, or have just left.
    pub(crate) fn agreed_match(&self) -> Option<AgreedMatch<'_>> {
        self.match_wire.agreed()
    }

    /// The roster of the match that we play, or have just left.
    pub(super) fn roster(&self) -> Option<&Roster> {
        self.match_wire.roster()
    }

    /// Whether we are in a match with other machines.
    pub(super) fn is_in_match(&self) -> bool {
        self.match_wire.is_in_match()
    }

    /// Whether our present match has that peer in it, and needs it.
    pub(super) fn needs(&self, peer: PeerId) -> bool {
        self.match_wire.needs(peer)
    }

    /// Whether we neither play a match nor have to repeat our last inputs to peers that still do.
    pub(super) fn is_idle(&self) -> bool {
        self.match_wire.is_idle()
    }

    /// Whether the room is empty, and no peer can ever come: the server is gone for good.
    pub(super) fn is_stranded(&self) -> bool {
        self.us.is_server_gone() && self.peers.is_empty()
    }

    /// Whether anything goes wrong if this is not updated for a while.
    #[cfg(all(feature = "webrtc", target_arch = "wasm32"))]
    pub(crate) fn needs_updates(&self) -> bool {
        self.wire.needs_updates()
    }
}
