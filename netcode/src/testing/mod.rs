//! Several peers in one process: headless apps, a network in memory, and a clock that tests advance
//! by hand.
//!
//! Everything above the transport is the code of a real match.

#![expect(clippy::disallowed_methods, reason = "the real clock limits how long a test waits")]

#[doc(hidden)]
pub mod fuzz;
pub mod snapshots;

mod network;
mod sync_test;

use std::time::{Duration, Instant};

use bevy::{
    MinimalPlugins,
    prelude::{App, Real, Time},
    time::TimeUpdateStrategy,
};
use signaling::{
    lobby::{RoomEvent, RoomRequest},
    protocol::PeerId,
};

use crate::{
    config::NetcodeConfig,
    membership::{
        Connection, Lobby, SessionState, SetConditions, SetReady,
        control::{Hello, protocol_hash},
        systems::Page,
    },
    session::FinishedWorld,
    transport::{
        Channel, LinkConditions,
        memory::{MemoryRoom, Sent},
    },
};

pub use network::{BadNetwork, LinkCounts};
pub use sync_test::{random_inputs, sync_test};

/// The time between two updates by the clocks of the apps: that of a 60 Hz display.
const UPDATE: Duration = Duration::from_nanos(16_666_667);
/// The real time after which a condition counts as never met. A condition that is met never waits
/// for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The number of updates within which a match begins, if it can: half a minute by the clocks of the
/// apps, in which a peer that never answers is counted out several times.
const START_UPDATES: u32 = 1_800;

/// A packet that one peer sent to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentPacket {
    /// The index of the sender.
    pub from: usize,
    /// The index of the receiver.
    pub to: usize,
    /// Whether it is a control message; otherwise it is a datagram.
    pub is_control: bool,
    /// The bytes that were sent.
    pub bytes: Vec<u8>,
}

/// Drives the apps of several peers. Methods refer to a peer by its index, counted from 0.
pub struct Stepper {
    apps: Vec<App>,
    room: MemoryRoom,
    /// Time since the last update of each app.
    waited: Vec<Duration>,
    /// The id of each peer in the room, once it has entered.
    ids: Vec<Option<PeerId>>,
}

impl Stepper {
    /// Creates `peers` apps. `build` receives the index of each and adds the
    /// [`NetcodePlugin`](crate::NetcodePlugin) and the game. No peer has joined yet.
    pub fn new(peers: usize, mut build: impl FnMut(usize, &mut App)) -> Self {
        let room = MemoryRoom::default();
        let make = |index| {
            let mut app = App::new();
            app.add_plugins(MinimalPlugins)
                .insert_resource(TimeUpdateStrategy::ManualDuration(UPDATE));
            build(index, &mut app);
            app.finish();
            app.cleanup();
            app
        };
        let (waited, ids) = (vec![Duration::ZERO; peers], vec![None; peers]);
        Self { apps: (0..peers).map(make).collect(), room, waited, ids }
    }

    /// Like [`new`](Self::new), but with all peers in the room and the match running.
    ///
    /// # Panics
    ///
    /// If the match does not start.
    pub fn in_match(peers: usize, build: impl FnMut(usize, &mut App)) -> Self {
        let mut stepper = Self::new(peers, build);
        for index in 0..peers {
            stepper.join(index, 1);
        }
        stepper.start();
        stepper
    }

    /// Lets one peer enter the room with this number of seats. It is named `peer 0`, `peer 1`, …
    pub fn join(&mut self, index: usize, local_seats: u8) {
        let transport = Box::new(self.room.join());
        self.ids[index] = Some(transport.peer());
        let world = self.apps[index].world_mut();
        let config = world.resource::<NetcodeConfig>().clone();
        let name = format!("peer {index}");
        let hash = protocol_hash(&config, world.resource());
        let hello = Hello::new(&config, hash, &name, local_seats);
        world.resource_mut::<Connection>().open(transport, hello);
        *world.resource_mut::<SessionState>() = SessionState::Connecting;
    }

    /// Gives the seats of the next matches to the peers in the reverse order of their ids: the peer
    /// that entered last holds seat 0.
    pub fn reverse_seats(&mut self) {
        for app in &mut self.apps {
            app.world_mut().resource_mut::<Connection>().reverse_seats();
        }
    }

    /// Makes all peers ready, and updates until the match runs.
    ///
    /// # Panics
    ///
    /// If the match does not start. If a session ends, at once, with the reason; otherwise after
    /// half a minute by the clocks of the apps, with what each peer waits for.
    pub fn start(&mut self) {
        self.await_state("all peers see each other", |state| *state == SessionState::Gathering);
        for app in &mut self.apps {
            app.world_mut().write_message(SetReady(true));
        }
        self.await_state("the match starts everywhere", SessionState::is_running);
    }

    /// Updates until `is_reached` holds for the state of each app. Panics if a session ends,
    /// because its state will never get there.
    fn await_state(&mut self, what: &str, is_reached: impl Fn(&SessionState) -> bool) {
        for _ in 0..START_UPDATES {
            let states = self.apps.iter().map(|app| app.world().resource::<SessionState>());
            for (index, state) in states.clone().enumerate() {
                if let SessionState::Ended(reason) = state {
                    panic!("{what}: it never will, as the session of peer {index} ended: {reason}");
                }
            }
            if states.clone().all(&is_reached) {
                return;
            }
            self.update();
        }
        let waiting: Vec<String> =
            (0..self.apps.len()).map(|index| self.waits_for(index)).collect();
        panic!("{what}: it never came\n{}", waiting.join("\n"));
    }

    /// What a peer waits for before a match, in the words that its player would read.
    fn waits_for(&self, index: usize) -> String {
        let world = self.apps[index].world();
        let (state, lobby) = (world.resource::<SessionState>(), world.resource::<Lobby>());
        let refusals = lobby.peers.iter().filter_map(|peer| peer.refusal.as_ref());
        let refusals = refusals.map(ToString::to_string);
        let blocker = lobby.blocker().map(|blocker| blocker.to_string());
        let reasons: Vec<String> = refusals.chain(blocker).collect();
        format!("  peer {index} is {state:?}: {}", reasons.join("; "))
    }

    /// Runs one update of all apps, 1/60 s by their clocks.
    pub fn update(&mut self) {
        self.update_some(|_| true);
    }

    /// Lets 1/60 s pass, and then updates the apps for which `is_due` returns true. With it, a test
    /// can give machines different frame rates.
    pub fn update_some(&mut self, is_due: impl Fn(usize) -> bool) {
        // Packets that are due by now reach every app in this update, whichever app runs first.
        for (app, waited) in self.apps.iter_mut().zip(&mut self.waited) {
            *waited += UPDATE;
            let now = app.world().resource::<Time<Real>>().elapsed() + *waited;
            app.world_mut().resource_mut::<Connection>().release(now);
        }
        for (index, app) in self.apps.iter_mut().enumerate().filter(|&(index, _)| is_due(index)) {
            app.update();
            self.waited[index] = Duration::ZERO;
        }
    }

    /// Runs `count` updates of all apps.
    pub fn updates(&mut self, count: u32) {
        for _ in 0..count {
            self.update();
        }
    }

    /// Updates until `condition` holds.
    ///
    /// # Panics
    ///
    /// If `condition` does not hold within a minute of real time. `what` describes the condition in
    /// the message.
    pub fn run_until(&mut self, what: &str, mut condition: impl FnMut(&[App]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(&self.apps) {
            assert!(Instant::now() < deadline, "{what}: it never came");
            self.update();
        }
    }

    /// Sets the network conditions of all peers.
    pub fn set_conditions(&mut self, conditions: LinkConditions) {
        for app in &mut self.apps {
            app.world_mut().write_message(SetConditions(conditions));
        }
    }

    /// Sets the network conditions of all peers immediately, and seeds their links: that of the
    /// first peer with `seed`, that of the second with `seed + 1`, and so on.
    pub fn set_network(&mut self, conditions: LinkConditions, seed: u64) {
        for (index, app) in (0..).zip(&mut self.apps) {
            let mut connection = app.world_mut().resource_mut::<Connection>();
            connection.set_seed(seed + index);
            connection.set_conditions(conditions);
        }
    }

    /// Simulates that a peer's machine loses power: it sends nothing more, and no other peer is
    /// notified. Its app still updates.
    pub fn cut_off(&mut self, index: usize) {
        if let Some(peer) = self.ids[index] {
            self.room.cut_off(peer);
        }
    }

    /// Starts or stops losing all packets to one peer, even those on the reliable channels, as
    /// happens while a handshake completes.
    pub fn set_deaf(&mut self, index: usize, is_deaf: bool) {
        if let Some(peer) = self.ids[index] {
            self.room.set_deaf(peer, is_deaf);
        }
    }

    /// Starts or stops losing all packets from one peer, even those on the reliable channels.
    pub fn set_mute(&mut self, index: usize, is_mute: bool) {
        if let Some(peer) = self.ids[index] {
            self.room.set_mute(peer, is_mute);
        }
    }

    /// Simulates that a peer's program crashes: it sends nothing more, and the signaling server
    /// tells the other peers that it is gone. Its app still updates.
    pub fn crash(&mut self, index: usize) {
        if let Some(peer) = self.ids[index] {
            self.room.cut_off(peer);
            self.room.leave_server(peer);
        }
    }

    /// Breaks the connection between two peers; both stay in the room.
    pub fn part(&mut self, one: usize, other: usize) {
        if let (Some(one), Some(other)) = (self.ids[one], self.ids[other]) {
            self.room.part(one, other);
        }
    }

    /// Hides the page of one peer, or shows it again.
    pub fn set_hidden(&mut self, index: usize, is_hidden: bool) {
        self.apps[index].world_mut().insert_resource(Page { is_hidden });
    }

    /// Makes the signaling server tell the other peers that it has lost a peer. The channels of
    /// that peer stay open.
    pub fn leave_server(&mut self, index: usize) {
        if let Some(peer) = self.ids[index] {
            self.room.leave_server(peer);
        }
    }

    /// Makes the signaling server tell the other peers that a lost peer is back.
    pub fn return_to_server(&mut self, index: usize) {
        if let Some(peer) = self.ids[index] {
            self.room.return_to_server(peer);
        }
    }

    /// Makes the signaling server send one peer news of the room.
    pub fn tell_of_room(&mut self, index: usize, event: &RoomEvent) {
        if let Some(peer) = self.ids[index] {
            self.room.tell_of_room(peer, event);
        }
    }

    /// Removes one peer from the room, as the owner of the room can.
    pub fn remove_from_room(&mut self, index: usize) {
        if let Some(peer) = self.ids[index] {
            self.room.remove(peer);
        }
    }

    /// Makes the transport of one peer fail, as the WebRTC transport does if its message loop ends.
    pub fn fail_transport(&mut self, index: usize) {
        if let Some(peer) = self.ids[index] {
            self.room.fail(peer);
        }
    }

    /// Takes the requests that one peer has sent to the signaling server since the last call.
    pub fn take_asked(&mut self, index: usize) -> Vec<RoomRequest> {
        self.ids[index].map(|peer| self.room.take_asked(peer)).unwrap_or_default()
    }

    /// Returns the id of one peer in the room, once it has entered.
    pub fn id(&self, index: usize) -> Option<PeerId> {
        self.ids[index]
    }

    /// Disconnects one peer from the signaling server, and connects it again.
    pub fn reconnect(&mut self, index: usize) {
        if let Some(peer) = self.ids[index] {
            self.room.reconnect(peer);
        }
    }

    /// Stops the signaling server; connected peers stay connected.
    pub fn stop_signaling(&mut self) {
        self.room.lose_signaling();
    }

    /// Delivers bytes to one peer on the unreliable channel, as if another peer had sent them.
    pub fn inject_datagram(&mut self, from: usize, to: usize, bytes: &[u8]) {
        self.inject(from, to, Channel::Datagrams, bytes);
    }

    /// Delivers bytes to one peer on the control channel, as if another peer had sent them.
    pub fn inject_control(&mut self, from: usize, to: usize, bytes: &[u8]) {
        self.inject(from, to, Channel::Control, bytes);
    }

    /// Delivers bytes to one peer on the bulk channel, as if another peer had sent them.
    pub fn inject_bulk(&mut self, from: usize, to: usize, bytes: &[u8]) {
        self.inject(from, to, Channel::Bulk, bytes);
    }

    fn inject(&mut self, from: usize, to: usize, channel: Channel, bytes: &[u8]) {
        if let (Some(from), Some(to)) = (self.ids[from], self.ids[to]) {
            self.room.inject(from, to, channel, bytes);
        }
    }

    /// Returns the datagrams and control messages that were sent since the last call, and goes on
    /// recording. The first call returns nothing and only starts to record.
    pub fn record(&mut self) -> Vec<SentPacket> {
        let index = |peer| self.ids.iter().position(|&id| id == Some(peer));
        let packet = |sent: Sent| {
            let (from, to) = (index(sent.from)?, index(sent.to)?);
            let is_control = match sent.channel {
                Channel::Datagrams => false,
                Channel::Control => true,
                Channel::Bulk => return None,
            };
            Some(SentPacket { from, to, is_control, bytes: sent.bytes.into() })
        };
        self.room.record().into_iter().filter_map(packet).collect()
    }

    /// Returns whether a datagram follows all rules, and still makes a false claim about `from` to
    /// `to`: inputs that `from` did not give, or has not given yet, or the arrival of inputs that
    /// `from` does not have. Only `from` itself can make such a claim. No peer can detect it, and
    /// their worlds may differ afterwards.
    pub fn is_false_claim(&self, from: usize, to: usize, bytes: &[u8]) -> bool {
        let connection = |index: usize| self.apps[index].world().resource::<Connection>();
        connection(to).believes_false_claim(bytes, connection(from))
    }

    /// Resets all peers, so that the next match is their first one again. Building new apps would
    /// take longer than a short match.
    pub fn restart(&mut self) {
        self.room = MemoryRoom::default();
        self.waited.fill(Duration::ZERO);
        for app in &mut self.apps {
            let world = app.world_mut();
            let config = world.resource::<NetcodeConfig>().clone();
            world.insert_resource(Connection::new(&config));
            world.resource_mut::<FinishedWorld>().discard();
            *world.resource_mut::<SessionState>() = SessionState::Offline;
            // This clears what is left of the match.
            app.update();
            app.world_mut().insert_resource(Time::<Real>::default());
        }
    }

    /// Returns the app of one peer.
    pub fn app(&self, index: usize) -> &App {
        &self.apps[index]
    }

    /// Returns the app of one peer.
    pub fn app_mut(&mut self, index: usize) -> &mut App {
        &mut self.apps[index]
    }

    /// Returns the apps of all peers.
    pub fn apps(&self) -> &[App] {
        &self.apps
    }

    /// Returns the time that has passed by the clock of the first app.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.apps
            .first()
            .map_or(Duration::ZERO, |app| app.world().resource::<Time<Real>>().elapsed())
    }
}
