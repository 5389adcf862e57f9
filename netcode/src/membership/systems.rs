//! The systems of membership: they wire requests and packets to [`Connection`], and its findings to the state.

use std::time::Duration;

use bevy::{
    app::AppExit,
    ecs::system::SystemParam,
    prelude::{MessageReader, MessageWriter, Real, Res, ResMut, Resource, Time},
};
use signaling::{
    lobby::{Place, RoomRequest},
    protocol::PeerId,
};

#[cfg(feature = "webrtc")]
use super::control::clean_name;
use super::{
    AskRoom, Connection, EndReason, FinishMatch, JoinRoom, LeaveRoom, Lobby, MatchPlan,
    PeerFinished, Rename, Room, Roster, SessionState, SetConditions, SetReady, SetSpectating,
    StartLocal, StartRefusal, StateChange,
    conduct::Misconduct,
    connection::Occurrence,
    control::{Hello, protocol_hash},
    reasons::GoodbyeCause,
    room::{RoomChange, name_in},
};
#[cfg(feature = "webrtc")]
use crate::transport::Visitor;
use crate::{
    checksum::{ChecksumLog, DesyncDetected, DesyncReport, Differing},
    config::{MAX_SEATS, NetcodeConfig},
    diagnostics::SessionStats,
    frame::SimFrame,
    rollback::{Registrations, RollbackStore},
    scoped::Scoped,
    session::{DueSteps, MatchEnd, Remains},
    transport::{Transport, TransportError},
};

/// A match that the session is to begin.
#[derive(Resource, Clone, Debug, Default)]
pub(crate) enum PendingStart {
    #[default]
    None,
    Online(MatchPlan),
    Local(StartLocal),
}

/// The page that the game runs in, if it runs in one.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct Page {
    /// Nobody can see it.
    pub(crate) is_hidden: bool,
}

/// Looks after the page: it runs on while it is hidden, if it has to.
#[cfg(all(feature = "webrtc", target_arch = "wasm32"))]
pub(crate) fn attend_page(connection: Res<Connection>, mut page: ResMut<Page>) {
    use crate::transport::page;

    page::run_on_while_hidden(connection.needs_updates());
    page.is_hidden = page::is_hidden();
}

/// The game's requests.
#[derive(SystemParam)]
pub(crate) struct Requests<'w, 's> {
    leave: MessageReader<'w, 's, LeaveRoom>,
    finish: MessageReader<'w, 's, FinishMatch>,
    join: MessageReader<'w, 's, JoinRoom>,
    local: MessageReader<'w, 's, StartLocal>,
    ready: MessageReader<'w, 's, SetReady>,
    spectate: MessageReader<'w, 's, SetSpectating>,
    rename: MessageReader<'w, 's, Rename>,
    conditions: MessageReader<'w, 's, SetConditions>,
    ask: MessageReader<'w, 's, AskRoom>,
}

/// Carries out what the game asked for since the last frame; leaving comes first, so that leaving and joining
/// in one frame does both.
pub(crate) fn take_requests(
    mut requests: Requests,
    mut connection: ResMut<Connection>,
    mut pending: ResMut<PendingStart>,
    mut state: StateChange,
    (mut match_end, mut remains): (ResMut<MatchEnd>, ResMut<Remains>),
    (config, registrations): (Res<NetcodeConfig>, Res<Registrations>),
    room: Res<Room>,
    time: Res<Time<Real>>,
) {
    let now = time.elapsed();
    if requests.leave.read().count() > 0 {
        connection.close(now, GoodbyeCause::Leaving);
        remains.discard();
        state.go(SessionState::Offline);
    }
    if requests.finish.read().count() > 0 && *state.now() == SessionState::Running {
        match_end.want();
    }
    if let Some(request) = requests.join.read().last() {
        connection.close(now, GoodbyeCause::Leaving);
        remains.discard();
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
        remains.discard();
        *pending = PendingStart::Local(request.clone());
        state.go(SessionState::Starting);
    }
    if let Some(&SetReady(ready)) = requests.ready.read().last() {
        connection.set_ready(now, ready);
    }
    if let Some(&SetSpectating(spectates)) = requests.spectate.read().last() {
        if room.state.is_some() {
            // It says whether there is such a place, and we hear of that.
            let place = if spectates { Place::Spectator } else { Place::Player };
            connection.ask(RoomRequest::SetPlace(place));
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
    for AskRoom(request) in requests.ask.read() {
        connection.ask(request.clone());
    }
}

/// Leaves the room where the app is about to exit, and holds it up until the others can have heard of that: they wait for seconds for
/// whoever just goes.
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
    connection.left_rooms.see_out();
}

/// Others would take a machine with no seat, or with too many, for another build.
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
    let visitor = Visitor { name: &name, game: &config.game_id, version: &config.game_version };
    let transport = crate::transport::webrtc::WebRtcTransport::open(
        url,
        &visitor,
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
pub(crate) struct Findings<'w> {
    state: StateChange<'w>,
    pending: ResMut<'w, PendingStart>,
    lobby: ResMut<'w, Lobby>,
    log: ResMut<'w, ChecksumLog>,
    stats: ResMut<'w, SessionStats>,
    desyncs: MessageWriter<'w, DesyncDetected>,
    finished: MessageWriter<'w, PeerFinished>,
    match_end: ResMut<'w, MatchEnd>,
    config: Res<'w, NetcodeConfig>,
    store: Res<'w, Scoped<RollbackStore>>,
    roster: ResMut<'w, Roster>,
    room: RoomChange<'w>,
}

/// Drains the transport and follows what it says.
pub(crate) fn receive(
    mut connection: ResMut<Connection>,
    mut findings: Findings,
    frame: Res<SimFrame>,
    due: Res<DueSteps>,
    page: Res<Page>,
    time: Res<Time<Real>>,
) {
    let now = time.elapsed();
    connection.set_away(now, page.is_hidden);
    let our_frame = findings.state.now().is_running().then(|| place(frame.0, due.0));
    if *findings.state.now() == SessionState::Connecting {
        // What we know is of another room: of ours we hear only once we are in it.
        findings.room.forget();
    }
    for occurrence in connection.receive(now, time.delta(), our_frame) {
        findings.follow(&mut connection, now, occurrence);
    }
    findings.check_presence(&mut connection, now);
    findings.check_finish(&connection);
    if !connection.is_open() {
        findings.room.forget();
    }
    connection.note_standing(findings.room.state());
    connection.show(&mut findings.lobby);
    findings.lobby.in_match =
        matches!(findings.state.now(), SessionState::Starting | SessionState::Running);
    connection.report(now, &mut findings.stats);
}

/// Where we are in the simulation before the steps of an update, of which the last had so many.
///
/// Who takes several steps at once takes the first of them late, and the last early. Whether there is a rollback depends on the step that
/// lacks inputs the most, how deep it is on all of them. So the place is between the first of them and their middle: at a sixth, peers of
/// 60 and of 30 or 20 updates a second have as many rollbacks, as was found by trying (`tests/it/pacing.rs`).
fn place(frame: u32, steps: u32) -> f32 {
    frame as f32 + steps.saturating_sub(1) as f32 / 6.0
}

impl Findings<'_> {
    fn follow(&mut self, connection: &mut Connection, now: Duration, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Room(event) => {
                let is_first = self.room.state().is_none();
                self.room.follow(now, event);
                self.follow_place(connection, now, is_first);
                self.follow_name(connection, now);
            }
            Occurrence::Opened => self.state.go(SessionState::Gathering),
            Occurrence::Failed(TransportError::Kicked) if self.is_out_of_reach(connection) => {
                self.room.be_removed();
            }
            Occurrence::Failed(error) => self.end(connection, now, error.into()),
            Occurrence::Closed(peer) => {
                self.end_without(connection, now, GoodbyeCause::PeerLost(peer));
                connection.forget(peer);
            }
            Occurrence::Goodbye(peer, cause) => {
                let cause = match cause {
                    GoodbyeCause::Leaving => GoodbyeCause::PeerLeft(peer),
                    because_of_another => because_of_another,
                };
                // Whomever it blames, the one that said goodbye is gone.
                if self.plays_with_us(connection, peer) {
                    self.end_for(connection, now, cause);
                }
                connection.forget(peer);
            }
            Occurrence::Misconduct(peer, misconduct) => {
                self.end_without(connection, now, GoodbyeCause::PeerRemoved(peer, misconduct));
            }
            Occurrence::Begin(plan) => {
                if let Some(local) = connection.local() {
                    *self.roster = Roster::from_plan(&plan, local);
                }
                *self.pending = PendingStart::Online(plan);
                self.state.go(SessionState::Starting);
            }
            Occurrence::Finished { peer, end } => {
                self.log.ask(end);
                if let Some(name) = self.roster.name_of(peer) {
                    self.finished.write(PeerFinished { peer, name: name.to_owned(), frame: end });
                }
            }
            Occurrence::Checksums { peer, frame, mut hashes } => {
                // They may have to be kept for a while, and one part too many differs as well as
                // any number of them.
                hashes.parts.truncate(self.store.hashed_names().count() + 1);
                hashes.inputs.truncate(usize::from(MAX_SEATS));
                let Ok(differing) = self.log.receive(peer, frame, hashes) else {
                    connection.dropped.repeated_checksum += 1;
                    return;
                };
                if let Some(differing) = differing {
                    let report = desync_report(&self.store, frame, peer, &differing);
                    report.count(&mut self.stats);
                    self.desyncs.write(DesyncDetected(report));
                }
            }
        }
    }

    /// Takes the place that the server has us in; what the game wanted before there was word of the room is asked for now.
    fn follow_place(&self, connection: &mut Connection, now: Duration, is_first: bool) {
        let local = connection.local();
        let us = self.room.state().zip(local).and_then(|(room, local)| room.member(local));
        match us.map(|us| us.place) {
            Some(Place::Player) if is_first && connection.spectates() => {
                connection.ask(RoomRequest::SetPlace(Place::Spectator));
            }
            Some(place) => connection.set_spectating(now, place == Place::Spectator),
            None => {}
        }
    }

    /// Goes by the name that the server gives us where another member of the room has ours.
    fn follow_name(&self, connection: &mut Connection, now: Duration) {
        let us = self.room.state().zip(connection.local());
        if let Some(name) = us.and_then(|(room, us)| name_in(room, us, &connection.hello.name)) {
            connection.rename(now, name);
        }
    }

    /// Ends what cannot go on: a match without one of its peers, a lobby that nobody is in and nobody can come to.
    fn check_presence(&mut self, connection: &mut Connection, now: Duration) {
        if !connection.is_open() {
            return;
        }
        let is_running = self.state.now().is_running();
        let mut of_match = self.roster.seats().iter().filter(|seat| !seat.is_local);
        // While a match starts, a browser may stand still for seconds to build its world: then a
        // silent peer is missing only if the server misses it as well. The start has its own
        // timeout.
        let is_at_server = |peer| {
            let mut links = connection.links.iter();
            links.any(|link| link.peer == peer && link.is_at_server)
        };
        let missing = of_match.find_map(|seat| {
            seat.peer.filter(|&peer| !connection.has_left(peer)).filter(|&peer| {
                !connection.is_linked(peer)
                    || (connection.is_absent(peer) && (is_running || !is_at_server(peer)))
            })
        });
        if let Some(peer) = missing {
            self.end_without(connection, now, GoodbyeCause::PeerLost(peer));
        }
        if let Some(peer) = connection.blocker().filter(|_| is_running) {
            self.end_without(connection, now, GoodbyeCause::PeerRemoved(peer, Misconduct::Stuck));
        }
        if self.room.is_removed() && !self.is_in_match() {
            connection.set_ready(now, false);
            // Until then the others may need our last inputs again.
            if connection.epoch == 0 {
                self.end(connection, now, TransportError::Kicked.into());
            }
            return;
        }
        let waits = matches!(self.state.now(), SessionState::Connecting | SessionState::Gathering);
        if waits && connection.is_signaling_gone && connection.links.is_empty() {
            self.end(connection, now, EndReason::SignalingLost);
        }
    }

    /// Follows the peers that finished the match, where so many have that it is over for us, too.
    fn check_finish(&mut self, connection: &Connection) {
        if self.state.now().is_running() && connection.is_finished_by(self.config.finish_policy) {
            self.match_end.want();
        }
    }

    /// Whether our present match has that peer in it, and needs it.
    fn plays_with_us(&self, connection: &Connection, peer: PeerId) -> bool {
        self.is_in_match()
            && self.roster.name_of(peer).is_some()
            && !connection.has_finished()
            && !connection.has_left(peer)
    }

    fn is_in_match(&self) -> bool {
        matches!(self.state.now(), SessionState::Starting | SessionState::Running)
    }

    /// Whether we play a match that the owner of the room is not in, and so cannot end.
    fn is_out_of_reach(&self, connection: &Connection) -> bool {
        let owner = self.room.state().and_then(|room| room.owner);
        self.is_in_match() && !owner.is_some_and(|owner| self.plays_with_us(connection, owner))
    }

    /// Ends the match if the peer that is gone played in it.
    fn end_without(&mut self, connection: &mut Connection, now: Duration, cause: GoodbyeCause) {
        if let GoodbyeCause::PeerLeft(peer)
        | GoodbyeCause::PeerLost(peer)
        | GoodbyeCause::PeerRemoved(peer, _) = cause
            && self.plays_with_us(connection, peer)
        {
            self.end_for(connection, now, cause);
        }
    }

    /// Ends the match, and tells the others whose departure was the cause, so that all see the same reason.
    fn end_for(&mut self, connection: &mut Connection, now: Duration, cause: GoodbyeCause) {
        let name = |peer| self.roster.name_of(peer).unwrap_or("a player").to_owned();
        let reason = match cause {
            GoodbyeCause::PeerLeft(peer) => EndReason::PeerLeft { name: name(peer) },
            GoodbyeCause::PeerLost(peer) => EndReason::PeerLost { name: name(peer) },
            GoodbyeCause::PeerRemoved(peer, misconduct) => {
                EndReason::PeerRemoved { name: name(peer), misconduct }
            }
            GoodbyeCause::StartTimedOut => EndReason::StartTimedOut,
            GoodbyeCause::Leaving => return,
        };
        connection.close(now, cause);
        self.state.go(SessionState::Ended(reason));
    }

    fn end(&mut self, connection: &mut Connection, now: Duration, reason: EndReason) {
        connection.close(now, GoodbyeCause::Leaving);
        self.state.go(SessionState::Ended(reason));
    }
}

/// Says in words which parts differ.
pub(crate) fn desync_report(
    store: &RollbackStore,
    frame: u32,
    peer: PeerId,
    differing: &Differing,
) -> DesyncReport {
    let names: Vec<&str> = store.hashed_names().collect();
    let name = |&index: &usize| {
        names
            .get(index)
            .map_or_else(|| "a type that only one of us has".to_owned(), |&name| name.to_owned())
    };
    let types = differing.types.iter().map(name).collect();
    DesyncReport { frame, peer, types, seats: differing.seats.clone() }
}

/// Whether the simulation advanced in this update.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct Stepped(pub(crate) bool);

/// Flushes what is due.
pub(crate) fn send(
    mut connection: ResMut<Connection>,
    mut stepped: ResMut<Stepped>,
    frame: Res<SimFrame>,
    time: Res<Time<Real>>,
) {
    connection.send(time.elapsed(), frame.0, stepped.0);
    stepped.0 = false;
}
