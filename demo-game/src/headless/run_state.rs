//! The stages of a run: meet, play, wait until every peer has confirmed, leave. Whatever goes wrong
//! on the way is put into words here.

use std::time::Duration;

use bevy::app::AppExit;
use bevy::prelude::{Commands, MessageWriter, Res, ResMut, Resource};
use netcode::prelude::{
    ChecksumLog, JoinRoom, LinkConditions, Lobby, Roster, SessionState, SessionStats,
    SetConditions, SetReady, SimFrame,
};
use netcode::{IceServer, StartBlocker};

use super::clock::Clock;
use super::observe::Observed;
use super::options::HeadlessOptions;
use super::presence::{Presence, Seen};
use super::report::{PeerReport, print_error, print_line};
use crate::report::relayed_peers;
use crate::ship_stats::ShipStats;
use crate::sim::MatchState;
use crate::sim::tuning::FPS;

/// A run counts as stuck after twice its length plus this time: slow machines play slowly.
const PLAYING_PATIENCE: Duration = Duration::from_secs(30);
/// Time to stay after the last frame of the run is confirmed here, so that it is confirmed on all
/// peers: longer than the pauses of a bad network, which stop the other peers for a second.
const SETTLING_TIME: Duration = Duration::from_secs(2);
/// Time to stay after a failure: the other peers are about to find its cause, and no longer can
/// once this peer is gone.
const FAREWELL_TIME: Duration = Duration::from_secs(1);
/// With fewer frames left than this, no further match is played.
const SHORTEST_MATCH_FRAMES: u32 = 5 * FPS as u32;

/// The stage of the run, its options, and its report so far.
#[derive(Resource)]
pub(super) struct RunState {
    options: HeadlessOptions,
    /// The address of the room.
    room: String,
    clock: Clock,
    stage: Stage,
    /// When the stage began, as time since the process began.
    stage_began: Duration,
    /// Frames of the earlier matches, each up to the frame in which it could be left: the same on
    /// all peers.
    frames_before: u32,
    /// Whether the session's counters are in the report already.
    is_counted: bool,
    report: PeerReport,
    presence: Presence,
    last_progress: Duration,
}

/// What the peer is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// On the way to a match.
    Meeting,
    /// In a match.
    Playing,
    /// The last frame is confirmed here; the other peers may need a moment.
    Settling,
    /// The run failed, and the reason was printed.
    Failed,
}

/// What the peer does next.
enum Action {
    Wait,
    GetReady,
    Play,
    Rematch,
    Settle,
    Leave,
    Fail(String),
}

impl RunState {
    pub(super) fn new(options: HeadlessOptions, room: String, clock: Clock) -> Self {
        let report = PeerReport { name: options.name.clone(), ..PeerReport::default() };
        Self {
            options,
            room,
            clock,
            stage: Stage::Meeting,
            stage_began: Duration::ZERO,
            frames_before: 0,
            is_counted: false,
            report,
            presence: Presence::default(),
            last_progress: Duration::ZERO,
        }
    }

    fn enter(&mut self, stage: Stage) {
        (self.stage, self.stage_began) = (stage, self.clock.elapsed());
    }

    fn in_stage(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.stage_began)
    }

    /// Number of frames of the whole run.
    fn frames_asked(&self) -> u32 {
        u32::try_from(self.options.duration.as_secs())
            .unwrap_or(u32::MAX)
            .saturating_mul(u32::from(FPS))
    }

    /// The run's last frame, counted in the present match.
    fn last_frame(&self) -> u32 {
        self.frames_asked().saturating_sub(self.frames_before).saturating_sub(1)
    }

    fn meet(&mut self, state: &SessionState, lobby: &Lobby) -> Action {
        match state {
            SessionState::Running => return Action::Play,
            SessionState::Ended(reason) => return Action::Fail(reason.to_string()),
            SessionState::Gathering | SessionState::Starting => {
                self.report.joined(self.clock.stamp());
            }
            SessionState::Offline | SessionState::Connecting => {}
        }
        let players = lobby.seats();
        let wanted = u32::from(self.options.players);
        if players >= wanted {
            self.report.connected(self.clock.stamp());
            if !lobby.is_ready && !lobby.is_spectator && *state == SessionState::Gathering {
                return Action::GetReady;
            }
        } else if let Some(refusal) = lobby.peers.iter().find_map(|peer| peer.refusal.as_ref()) {
            return Action::Fail(refusal.to_string());
        }
        if self.in_stage() < self.options.patience {
            return Action::Wait;
        }
        let seconds = self.options.patience.as_secs();
        let room = &self.room;
        Action::Fail(if self.report.joined_unix_ms.is_none() {
            format!("there was no answer from {room} within {seconds} s")
        } else if players < wanted && lobby.unreachable > 0 {
            StartBlocker::Unreachable { players: lobby.unreachable }.to_string()
        } else if players < wanted {
            format!("not enough players: {players} of {wanted} are in {room} after {seconds} s")
        } else {
            let blocker = lobby
                .blocker()
                .map_or_else(|| "the reason is unknown".into(), |why| why.to_string());
            format!("the match did not start within {seconds} s: {blocker}")
        })
    }

    fn play(
        &mut self,
        state: &SessionState,
        frame: u32,
        stats: &SessionStats,
        observed: &Observed,
    ) -> Action {
        match state {
            SessionState::Running => {}
            SessionState::Ended(reason) => return Action::Fail(reason.to_string()),
            SessionState::Gathering if observed.finished_at.is_some() => {
                self.frames_before += observed.finished_at.unwrap_or(0);
                let is_enough = self.last_frame() < SHORTEST_MATCH_FRAMES;
                return if is_enough { Action::Settle } else { Action::Rematch };
            }
            _ => return Action::Fail("the match was left early".into()),
        }
        if frame > 0 {
            self.report.first_frame(self.clock.stamp());
        }
        if stats.confirmed_frames > self.last_frame() {
            return Action::Settle;
        }
        let played = self.presence.played(self.clock.elapsed());
        if self.options.leaves_after.is_some_and(|after| played >= after) {
            return Action::Leave;
        }
        if self.in_stage() > self.options.duration * 2 + PLAYING_PATIENCE {
            let asked = self.frames_asked();
            return Action::Fail(format!(
                "too slow: {} of {asked} frames in {:?}",
                self.frames_before + frame,
                self.in_stage()
            ));
        }
        Action::Wait
    }

    /// Brings the report up to date with the session.
    fn collect(&mut self, stats: &SessionStats, log: &ChecksumLog, lobby: &Lobby, roster: &Roster) {
        if let Some(rtt) = lobby.mean_rtt() {
            self.report.rtt_ms = rtt.as_secs_f64() * 1000.0;
        }
        if matches!(self.stage, Stage::Playing) {
            self.report.numbers.sample_rates(stats);
            self.report.relayed_peers = relayed_peers(lobby);
            let (now, confirmed) = (self.clock.elapsed(), stats.confirmed_frames);
            let seen = Seen { now, frames: stats.frames, confirmed };
            self.presence.observe(seen, roster, &mut self.report);
            self.presence.compare(log, &mut self.report);
        }
        if matches!(self.stage, Stage::Playing | Stage::Settling) {
            self.report.checksums.add(self.report.matches, log.iter());
        }
    }

    /// Adds the session's numbers to the report, once per match.
    fn count_match(&mut self, stats: &SessionStats) {
        if !self.is_counted && self.report.matches > 0 {
            self.report.numbers.add_match(stats);
            self.is_counted = true;
        }
    }

    /// Completes the report and writes it. Returns whether it could be written.
    fn finish(
        &mut self,
        state: &SessionState,
        observed: &Observed,
        ship_stats: &ShipStats,
    ) -> bool {
        self.report.add_ships(observed.snapshot.as_ref(), ship_stats);
        self.report.state = match state {
            SessionState::Ended(_) => "Ended".into(),
            other => format!("{other:?}"),
        };
        let Some(file) = &self.options.report else { return true };
        let written = self.report.write(file);
        if let Err(error) = &written {
            print_error(&format!("cannot write the report to {}: {error}", file.display()));
        }
        written.is_ok()
    }
}

/// In `Startup`: joins the room.
pub(super) fn join(run: Res<RunState>, mut commands: Commands) {
    let options = &run.options;
    let stun_servers = options.stun_servers.as_ref();
    commands.write_message(SetConditions(options.conditions));
    commands.write_message(JoinRoom {
        url: run.room.clone(),
        name: options.name.clone(),
        ice_servers: stun_servers.map(|urls| urls.iter().map(IceServer::stun).collect()),
        is_relay_only: options.is_relay_only,
        ..JoinRoom::default()
    });
}

/// In `Update`: decides what comes next, and does it.
pub(super) fn advance(
    mut run: ResMut<RunState>,
    mut commands: Commands,
    mut exit: MessageWriter<AppExit>,
    (state, lobby, roster): (Res<SessionState>, Res<Lobby>, Res<Roster>),
    (frame, stats, log): (Res<SimFrame>, Res<SessionStats>, Res<ChecksumLog>),
    mut observed: ResMut<Observed>,
    ship_stats: Res<ShipStats>,
) {
    run.collect(&stats, &log, &lobby, &roster);
    let (now, outages) = (run.clock.elapsed(), run.options.outages.clone());
    if let Some(outage) = run.presence.change_of_network(now, &outages) {
        let conditions = LinkConditions { outage, ..run.options.conditions };
        commands.write_message(SetConditions(conditions));
    }
    let action = match run.stage {
        Stage::Meeting => run.meet(&state, &lobby),
        Stage::Playing => run.play(&state, frame.0, &stats, &observed),
        Stage::Settling if run.in_stage() < SETTLING_TIME && state.is_running() => Action::Wait,
        Stage::Settling => Action::Leave,
        Stage::Failed => {
            if run.in_stage() >= FAREWELL_TIME {
                exit.write(AppExit::error());
            }
            Action::Wait
        }
    };
    match action {
        Action::Wait => {}
        Action::GetReady => {
            commands.write_message(SetReady(true));
        }
        Action::Play => {
            run.report.matches += 1;
            run.is_counted = false;
            run.presence = Presence::default();
            run.report.seat = roster.local_seats().next().map(|seat| seat.0);
            observed.last_frame = run.last_frame();
            run.enter(Stage::Playing);
        }
        Action::Rematch => {
            run.count_match(&stats);
            run.enter(Stage::Meeting);
        }
        Action::Settle => run.enter(Stage::Settling),
        Action::Leave | Action::Fail(_) => {
            run.count_match(&stats);
            let mut is_well = run.report.numbers.desyncs == 0;
            if !is_well {
                print_error(&format!("desynced {} times", run.report.numbers.desyncs));
            }
            if let Action::Fail(reason) = action {
                print_error(&reason);
                run.report.end_reason = Some(reason);
                is_well = false;
            }
            if run.finish(&state, &observed, &ship_stats) && is_well {
                exit.write(AppExit::Success);
            } else {
                run.enter(Stage::Failed);
            }
        }
    }
}

/// In `Update`: prints the progress, one line a second.
pub(super) fn show_progress(
    mut run: ResMut<RunState>,
    (session, lobby): (Res<SessionState>, Res<Lobby>),
    (frame, stats, state): (Res<SimFrame>, Res<SessionStats>, Res<MatchState>),
) {
    let now = run.clock.elapsed();
    if now < run.last_progress + Duration::from_secs(1) {
        return;
    }
    run.last_progress = now;
    let seconds = now.as_secs();
    let line = match run.stage {
        Stage::Meeting if *session == SessionState::Gathering => {
            let here = lobby.seats();
            let server = if lobby.is_signaling_lost { "  the server is gone" } else { "" };
            format!("{seconds:3} s  {here} of {} players are here{server}", run.options.players)
        }
        Stage::Meeting => format!("{seconds:3} s  {:?}", *session),
        Stage::Playing | Stage::Settling => format!(
            "{seconds:3} s  frame {:5}  confirmed {:5}  rtt {:5.1} ms  rollbacks {:4} (deepest {})  stalls {}  round {}  score {}{}",
            frame.0,
            stats.confirmed_frames,
            run.report.rtt_ms,
            stats.rollbacks,
            stats.max_rollback,
            stats.stalls,
            state.round,
            state.score().iter().map(u8::to_string).collect::<Vec<_>>().join(":"),
            hidden_names(&lobby),
        ),
        Stage::Failed => return,
    };
    print_line(&line);
}

/// The names of the other players whose page is hidden, as the end of a progress line.
fn hidden_names(lobby: &Lobby) -> String {
    let hidden = lobby.peers.iter().filter(|peer| peer.is_hidden);
    let names: Vec<&str> = hidden.map(|peer| peer.name.as_str()).collect();
    if names.is_empty() { String::new() } else { format!("  in another tab: {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use netcode::prelude::LinkConditions;
    use netcode::{LobbyPeer, PeerId, Refusal, Route};

    use super::super::{inputs::Pilot, options::RoomChoice};
    use netcode::DeparturePolicy;

    use super::*;

    fn run(seconds: u64) -> RunState {
        let options = HeadlessOptions {
            room: RoomChoice::At("ws://127.0.0.1:1/r".into()),
            players: 2,
            duration: Duration::from_secs(seconds),
            patience: Duration::from_secs(30),
            name: "Bo".into(),
            report: None,
            pilot: Pilot::Bot,
            game_version: "1".into(),
            conditions: LinkConditions::NONE,
            departure_policy: DeparturePolicy::GoOn,
            outages: Vec::new(),
            leaves_after: None,
            stun_servers: None,
            is_relay_only: false,
        };
        RunState::new(options, "ws://127.0.0.1:1/r".into(), Clock::start())
    }

    fn confirmed(frames: u32) -> SessionStats {
        SessionStats { confirmed_frames: frames, ..SessionStats::default() }
    }

    #[test]
    fn it_plays_until_the_last_frame_is_confirmed() {
        let mut run = run(20);
        assert_eq!(run.last_frame(), 1199);
        let observed = Observed::default();
        assert!(matches!(
            run.play(&SessionState::Running, 1204, &confirmed(1199), &observed),
            Action::Wait
        ));
        assert!(matches!(
            run.play(&SessionState::Running, 1205, &confirmed(1200), &observed),
            Action::Settle
        ));
    }

    #[test]
    fn a_match_that_ends_by_the_rules_is_followed_by_another_if_there_is_time() {
        let observed = |frame| Observed { finished_at: Some(frame), ..Observed::default() };
        let mut long = run(100);
        assert!(matches!(
            long.play(&SessionState::Gathering, 3001, &confirmed(3001), &observed(3000)),
            Action::Rematch
        ));
        assert_eq!(long.last_frame(), 2999);
        let mut short = run(51);
        assert!(matches!(
            short.play(&SessionState::Gathering, 3001, &confirmed(3001), &observed(3000)),
            Action::Settle
        ));
    }

    #[test]
    fn a_refused_build_fails_with_a_sentence() {
        let mut lobby = Lobby::default();
        lobby.peers.push(LobbyPeer {
            id: PeerId::from_u128(1),
            name: "Al".into(),
            is_ready: false,
            seats: 1,
            is_in_match: false,
            is_spectator: false,
            is_hidden: false,
            is_quiet: false,
            reaches: Vec::new(),
            refusal: Some(Refusal::OtherProtocol),
            rtt: None,
            jitter: Duration::ZERO,
            route: Route::Unknown,
        });
        let action = run(1).meet(&SessionState::Gathering, &lobby);
        assert!(matches!(action, Action::Fail(reason) if reason.contains("same version")));
    }
}
