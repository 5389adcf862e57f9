//! The systems of membership: they wire requests and packets to [`Connection`], and its events to
//! the state.

use std::time::Duration;

use bevy::{
    app::AppExit,
    ecs::system::SystemParam,
    prelude::{MessageReader, MessageWriter, Real, Res, ResMut, Resource, Time, World},
};
use signaling::{
    lobby::{Place, RoomRequest},
    protocol::PeerId,
};

#[cfg(feature = "webrtc")]
use super::player_name::clean_name;
use super::{
    Connection, EndReason, JoinRoom, LeaveRoom, Lobby, PauseMatch, PeerFinished, Rename,
    SessionState, SetConditions, SetReady, SetSpectating, StartLocal, StartRefusal, StateChange,
    conduct::Misconduct,
    connection::ConnectionEvent,
    control::{Hello, protocol_hash},
    departures::{Consequence, cause_of_goodbye, decide, goodbye_for},
    reasons::GoodbyeCause,
};
#[cfg(feature = "webrtc")]
use crate::transport::webrtc::ClientInfo;
use crate::{
    checksum::{ChecksumLog, DesyncDetected, DesyncReport},
    config::{MAX_SEATS, NetcodeConfig},
    diagnostics::SessionStats,
    frame::SimFrame,
    match_maker::{AskRoom, Room, RoomChange, name_in},
    pacing::{DueSteps, Stepped},
    rollback::{Registrations, RollbackStore},
    scoped::Scoped,
    transport::{Transport, TransportError},
};

/// A match that the session is to begin.
#[derive(Resource, Clone, Debug, Default)]
pub(crate) enum PendingStart {
    #[default]
    None,
    /// The match that the connection is in.
    Online,
    Local(StartLocal),
}

/// The page that the game runs in, if it runs in one.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct Page {
    /// Whether it is hidden.
    pub(crate) is_hidden: bool,
}

/// Keeps the page running while it is hidden, if that is needed, and notes whether it is hidden.
/// Leaves the room as the page ends.
#[cfg(all(feature = "webrtc", target_arch = "wasm32"))]
pub(crate) fn attend_page(
    mut connection: ResMut<Connection>,
    mut page: ResMut<Page>,
    mut state: StateChange,
    time: Res<Time<Real>>,
) {
    use crate::transport::webrtc::page;

    page::run_on_while_hidden(connection.needs_updates());
    page.is_hidden = page::is_hidden();
    if page::is_ending() && connection.is_open() {
        connection.close(time.elapsed(), GoodbyeCause::Leaving);
        state.go(SessionState::Offline);
    }
}

/// The game's requests.
#[derive(SystemParam)]
pub(crate) struct Requests<'w, 's> {
    leave: MessageReader<'w, 's, LeaveRoom>,
    join: MessageReader<'w, 's, JoinRoom>,
    local: MessageReader<'w, 's, StartLocal>,
    ready: MessageReader<'w, 's, SetReady>,
    spectate: MessageReader<'w, 's, SetSpectating>,
    rename: MessageReader<'w, 's, Rename>,
    conditions: MessageReader<'w, 's, SetConditions>,
    ask: MessageReader<'w, 's, AskRoom>,
    pause: MessageReader<'w, 's, PauseMatch>,
}

/// Carries out what the game asked for since the last update; leaving comes first, so that leaving
/// and joining in one update does both.
pub(crate) fn take_requests(
    mut requests: Requests,
    mut connection: ResMut<Connection>,
    mut pending: ResMut<PendingStart>,
    mut state: StateChange,
    (config, registrations): (Res<NetcodeConfig>, Res<Registrations>),
    room: Res<Room>,
    time: Res<Time<Real>>,
) {
    let now = time.elapsed();
    if requests.leave.read().count() > 0 {
        connection.close(now, GoodbyeCause::Leaving);
        state.go(SessionState::Offline);
    }
    if let Some(request) = requests.join.read().last() {
        connection.close(now, GoodbyeCause::Leaving);
        match check_seats(request).and_then(|()| Ok(open_transport(request, &config)?)) {
            Ok(transport) => {
                let hash = protocol_hash(&config, &registrations);
                let hello = Hello::new(&config, hash, &request.name, request.local_seats);
                connection.open(transport, hello);
                state.go(SessionState::Connecting);
            }
            Err(reason) => state.go(SessionState::Ended(reason)),
        }
    }
    if let Some(request) = requests.local.read().last() {
        connection.close(now, GoodbyeCause::Leaving);
        *pending = PendingStart::Local(request.clone());
        state.go(SessionState::Starting);
    }
    if let Some(&SetReady(ready)) = requests.ready.read().last() {
        connection.set_ready(now, ready);
    }
    if let Some(&SetSpectating(spectates)) = requests.spectate.read().last() {
        if room.state.is_some() {
            // The server decides whether there is such a place, and reports it.
            let place = if spectates { Place::Spectator } else { Place::Player };
            connection.ask(now, RoomRequest::SetPlace(place));
        } else {
            connection.set_spectating(now, spectates);
        }
    }
    if let Some(Rename(name)) = requests.rename.read().last() {
        connection.rename(now, name);
    }
    if let Some(&SetConditions(conditions)) = requests.conditions.read().last() {
        connection.set_conditions(conditions);
    }
    if let Some(&PauseMatch(pauses)) = requests.pause.read().last() {
        connection.pause(now, pauses);
    }
    for AskRoom(request) in requests.ask.read() {
        connection.ask(now, request.clone());
    }
}

/// Leaves the room if the app is about to exit, and delays the exit until the other peers can have
/// received the goodbye: if none arrives, they wait for seconds.
pub(crate) fn leave_at_exit(
    mut exits: MessageReader<AppExit>,
    mut connection: ResMut<Connection>,
    mut state: StateChange,
    time: Res<Time<Real>>,
) {
    if exits.read().count() == 0 {
        return;
    }
    if connection.is_open() {
        connection.close(time.elapsed(), GoodbyeCause::Leaving);
        state.go(SessionState::Offline);
    }
    connection.wire.see_out();
}

/// Refuses a request with no seat or too many: other peers would take such a machine for another
/// build.
fn check_seats(request: &JoinRoom) -> Result<(), EndReason> {
    if (1..=MAX_SEATS).contains(&request.local_seats) {
        return Ok(());
    }
    let seats = usize::from(request.local_seats);
    Err(StartRefusal::Seats { seats, max: MAX_SEATS }.into())
}

#[cfg(feature = "webrtc")]
fn open_transport(
    request: &JoinRoom,
    config: &NetcodeConfig,
) -> Result<Box<dyn Transport>, TransportError> {
    let JoinRoom { url, ice_servers, is_relay_only, name, .. } = request;
    let name = clean_name(name);
    let client = ClientInfo { name: &name, game: &config.game_id, version: &config.game_version };
    let transport = crate::transport::webrtc::WebRtcTransport::open(
        url,
        &client,
        ice_servers.as_deref(),
        *is_relay_only,
    )?;
    Ok(Box::new(transport))
}

#[cfg(not(feature = "webrtc"))]
fn open_transport(
    _request: &JoinRoom,
    _config: &NetcodeConfig,
) -> Result<Box<dyn Transport>, TransportError> {
    Err(TransportError::NotBuilt)
}

/// What [`receive`] changes besides the connection.
#[derive(SystemParam)]
pub(crate) struct ReceiveParams<'w> {
    state: StateChange<'w>,
    pending: ResMut<'w, PendingStart>,
    lobby: ResMut<'w, Lobby>,
    log: ResMut<'w, ChecksumLog>,
    stats: ResMut<'w, SessionStats>,
    desyncs: MessageWriter<'w, DesyncDetected>,
    finished: MessageWriter<'w, PeerFinished>,
    store: Res<'w, Scoped<RollbackStore>>,
    room: RoomChange<'w>,
}

/// Drains the transport, and acts on its events.
pub(crate) fn receive(
    mut connection: ResMut<Connection>,
    mut params: ReceiveParams,
    frame: Res<SimFrame>,
    due: Res<DueSteps>,
    page: Res<Page>,
    time: Res<Time<Real>>,
) {
    let now = time.elapsed();
    connection.set_hidden(now, page.is_hidden);
    let our_frame = params.state.now().is_running().then(|| frame_position(frame.0, due.0));
    if *params.state.now() == SessionState::Connecting {
        // What we know is about another room: the server tells us about ours only once we are in
        // it.
        params.room.forget();
    }
    connection.receive(now, time.delta(), our_frame);
    while let Some(event) = connection.poll_event() {
        params.handle(&mut connection, now, event);
    }
    params.check_presence(&mut connection, now);
    if !connection.is_open() {
        params.room.forget();
    }
    connection.note_roles(params.room.state());
    connection.show(&mut params.lobby);
    // A local match counts, too.
    params.lobby.is_in_match =
        matches!(params.state.now(), SessionState::Starting | SessionState::Running);
    connection.report(now, &mut params.stats);
}

/// Where we are in the simulation before the steps of an update, if the last update had `steps`
/// steps.
///
/// A machine that takes several steps at once takes the first of them late, and the last early.
/// Whether there is a rollback depends on the step that lacks the most inputs; how deep it is
/// depends on all of them. So our place is between the first step and the middle one: at a sixth of
/// the steps, peers with 60 and with 30 or 20 updates a second have equally many rollbacks, as
/// experiments showed (`tests/it/pacing.rs`).
fn frame_position(frame: u32, steps: u32) -> f32 {
    frame as f32 + steps.saturating_sub(1) as f32 / 6.0
}

impl ReceiveParams<'_> {
    fn handle(&mut self, connection: &mut Connection, now: Duration, event: ConnectionEvent) {
        match event {
            ConnectionEvent::Room(event) => {
                let is_first = self.room.state().is_none();
                self.room.apply(now, event);
                self.adopt_place(connection, now, is_first);
                self.adopt_name(connection, now);
            }
            ConnectionEvent::Opened => self.state.go(SessionState::Gathering),
            ConnectionEvent::Failed(TransportError::Kicked) if self.is_out_of_reach(connection) => {
                self.room.be_removed();
            }
            ConnectionEvent::Failed(error) => self.end(connection, now, error.into()),
            ConnectionEvent::Closed(peer) => {
                self.end_without(connection, now, peer, GoodbyeCause::PeerLost(peer));
                connection.forget(peer);
            }
            ConnectionEvent::Goodbye(peer, said) => {
                // Whichever peer the goodbye blames, its sender is gone.
                self.end_without(connection, now, peer, cause_of_goodbye(peer, said));
                connection.forget(peer);
            }
            ConnectionEvent::Misconduct(peer, misconduct) => {
                let cause = GoodbyeCause::PeerRemoved(peer, misconduct);
                self.end_without(connection, now, peer, cause);
            }
            // What happened before may have ended the session.
            ConnectionEvent::Begin if connection.is_in_match() => {
                *self.pending = PendingStart::Online;
                self.state.go(SessionState::Starting);
            }
            ConnectionEvent::Begin => {}
            ConnectionEvent::PutAway if self.room.is_removed() => {
                self.end(connection, now, TransportError::Kicked.into());
            }
            ConnectionEvent::PutAway => self.end(connection, now, EndReason::PutAway),
            ConnectionEvent::Finished { peer, name, end } => {
                self.log.ask(end);
                self.finished.write(PeerFinished { peer, name, frame: end });
            }
            ConnectionEvent::Checksums { peer, frame, mut hashes } => {
                // The hashes may have to be kept for a while, and one part too many is as much a
                // difference as any number of them.
                hashes.parts.truncate(self.store.hashed_names().count() + 1);
                hashes.inputs.truncate(usize::from(MAX_SEATS));
                let Ok(differing) = self.log.receive(peer, frame, hashes) else {
                    connection.dropped.repeated_checksum += 1;
                    return;
                };
                if let Some(differing) = differing {
                    let Some(roster) = connection.roster() else { return };
                    let (names, known_as) = (self.store.hashed_names(), roster.known_as(peer));
                    let report = DesyncReport::new(names, frame, peer, known_as, &differing);
                    report.count(&mut self.stats);
                    self.desyncs.write(DesyncDetected(report));
                }
            }
        }
    }

    /// Takes the place that the server gives us. If the game asked to spectate before the server
    /// told us about the room, we ask for that now.
    fn adopt_place(&self, connection: &mut Connection, now: Duration, is_first: bool) {
        let local = connection.local();
        let us = self.room.state().zip(local).and_then(|(room, local)| room.member(local));
        match us.map(|us| us.place) {
            Some(Place::Player) if is_first && connection.is_spectator() => {
                connection.ask(now, RoomRequest::SetPlace(Place::Spectator));
            }
            Some(place) => connection.set_spectating(now, place == Place::Spectator),
            None => {}
        }
    }

    /// Goes by the name that the server gives us if another member of the room has ours.
    fn adopt_name(&self, connection: &mut Connection, now: Duration) {
        let us = self.room.state().zip(connection.local());
        if let Some(name) = us.and_then(|(room, us)| name_in(room, us, connection.name())) {
            connection.rename(now, name);
        }
    }

    /// Ends what cannot go on: a match without one of its peers, an empty lobby to which no peer
    /// can come.
    fn check_presence(&mut self, connection: &mut Connection, now: Duration) {
        if !connection.is_open() {
            return;
        }
        let is_running = self.state.now().is_running();
        // While a match starts, a browser may freeze for seconds to build its world: then a silent
        // peer is missing only if the server has lost it as well. The start has its own timeout.
        if let Some(peer) = connection.missing(is_running) {
            self.end_without(connection, now, peer, GoodbyeCause::PeerLost(peer));
        }
        if let Some(reason) = connection.dead_end().filter(|_| is_running) {
            self.end(connection, now, reason);
            return;
        }
        if let Some(peer) = connection.blocker().filter(|_| is_running) {
            let cause = GoodbyeCause::PeerRemoved(peer, Misconduct::Stuck);
            self.end_without(connection, now, peer, cause);
        }
        if self.room.is_removed() && !connection.is_in_match() {
            connection.set_ready(now, false);
            // Until we are idle, other peers may need our last inputs again.
            if connection.is_idle() {
                self.end(connection, now, TransportError::Kicked.into());
            }
            return;
        }
        let waits = matches!(self.state.now(), SessionState::Connecting | SessionState::Gathering);
        if waits && connection.is_stranded() {
            self.end(connection, now, EndReason::SignalingLost);
        }
    }

    /// Whether we play a match that the owner of the room is not in, and so cannot end.
    fn is_out_of_reach(&self, connection: &Connection) -> bool {
        let owner = self.room.state().and_then(|room| room.owner);
        connection.is_in_match() && !owner.is_some_and(|owner| connection.needs(owner))
    }

    /// Carries out the consequence of the departure of a peer.
    fn end_without(
        &mut self,
        connection: &mut Connection,
        now: Duration,
        gone: PeerId,
        cause: GoodbyeCause,
    ) {
        let Some(roster) = connection.roster() else { return };
        match decide(cause, connection.needs(gone), roster) {
            Consequence::None => {}
            Consequence::EndMatch { tell, reason } => {
                connection.close(now, tell);
                self.state.go(SessionState::Ended(reason));
            }
        }
    }

    fn end(&mut self, connection: &mut Connection, now: Duration, reason: EndReason) {
        connection.close(now, GoodbyeCause::Leaving);
        self.state.go(SessionState::Ended(reason));
    }
}

/// Sends what is due.
pub(crate) fn send(
    mut connection: ResMut<Connection>,
    mut stepped: ResMut<Stepped>,
    frame: Res<SimFrame>,
    time: Res<Time<Real>>,
) {
    connection.send(time.elapsed(), frame.0, stepped.0);
    stepped.0 = false;
}

/// Ends the session, and leaves the room.
pub(crate) fn end_session(world: &mut World, reason: EndReason) {
    let now = world.resource::<Time<Real>>().elapsed();
    world.resource_mut::<Connection>().close(now, goodbye_for(&reason));
    SessionState::enter(world, SessionState::Ended(reason));
}
