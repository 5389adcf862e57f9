//! Driving the session: how many steps are due, each step with its rollbacks, and what is confirmed
//! after it.

use bevy::prelude::{MessageReader, Real, Res, ResMut, Time, World};

use super::{Session, source::Source, sync_test};
use crate::{
    config::NetcodeConfig,
    diagnostics::SessionStats,
    effects::EffectFrames,
    frame::SimFrame,
    input::GameInput,
    membership::{Connection, PauseMatch, SessionState, SetInputDelay, change::Clock, end_session},
    pacing::{DueSteps, Pacer, StepPhase, Stepped},
    rollback::RollbackStore,
    scoped::Scoped,
};

/// The most steps in one update of a machine that was away: it catches up ten times as fast as the
/// match runs, and draws only the last of these frames.
const MAX_CATCH_UP_STEPS: u32 = 10;

/// Decides how many steps are due.
pub(super) fn pace(
    state: Res<SessionState>,
    connection: Res<Connection>,
    time: Res<Time<Real>>,
    mut pacer: ResMut<Pacer>,
    mut due: ResMut<DueSteps>,
    mut phase: ResMut<StepPhase>,
) {
    due.0 = 0;
    if state.is_running() {
        due.0 = pacer.advance(time.delta(), connection.lead_frames());
        if let Some(lag) = connection.lag() {
            due.0 = due.0.max(lag.min(MAX_CATCH_UP_STEPS));
        }
    }
    *phase = pacer.phase();
}

/// Carries out the game's requests for other input delays.
pub(super) fn set_input_delay<I: GameInput>(
    mut requests: MessageReader<SetInputDelay>,
    session: Option<ResMut<Scoped<Session<I>>>>,
    config: Res<NetcodeConfig>,
    time: Res<Time<Real>>,
) {
    let Some(mut session) = session else { return requests.clear() };
    let Source::Live(live) = &mut session.source else { return requests.clear() };
    for &SetInputDelay { seat, delay } in requests.read() {
        live.set_delay(time.elapsed(), seat, delay.at_most(config.input_delay.max()));
    }
}

/// Pauses a local match, or goes on with it. The machines of an online match agree on that.
pub(super) fn pause_local<I: GameInput>(
    mut requests: MessageReader<PauseMatch>,
    session: Option<ResMut<Scoped<Session<I>>>>,
) {
    let Some(&PauseMatch(pauses)) = requests.read().last() else { return };
    let Some(mut session) = session else { return };
    let Session { source: Source::Live(_), game, .. } = &mut **session else { return };
    if !game.is_online() {
        let frame = game.frame();
        let clock = if pauses { Clock::PausedBy(0) } else { Clock::Runs };
        let roster = game.rosters().at(frame).clone().with_clock(clock);
        if let Err(fault) = game.change_roster(frame, roster) {
            tracing::error!("a local match cannot be paused at frame {frame}: {fault}");
        }
    }
}

/// Takes the steps that are due.
pub(super) fn step<I: GameInput>(world: &mut World) {
    let due = world.resource::<DueSteps>().0;
    if due == 0 || !world.contains_resource::<Scoped<Session<I>>>() {
        return;
    }
    let outside = *world.resource::<Time>();
    Scoped::scope(world, |world, session: &mut Session<I>| {
        if session.is_over() {
            return;
        }
        session.take_rosters(world);
        for _ in 0..session.source.steps(due) {
            if !session.step(world) {
                world.resource_mut::<SessionStats>().stalls += 1;
                break;
            }
            world.resource_mut::<Stepped>().0 = true;
            session.settle(world);
            session.game.look_for_strays(world);
            // Systems that read the inputs of the next step see the clock of the machine again.
            *world.resource_mut::<Time>() = outside;
            if session.is_over() {
                break;
            }
        }
        world.resource_mut::<SimFrame>().0 = session.game.frame();
    });
    *world.resource_mut::<Time>() = outside;
}

/// Forgets what can no longer be rolled back.
pub(super) fn confirm<I: GameInput>(world: &mut World) {
    if !world.resource::<SessionState>().is_running() {
        return;
    }
    let Some(mut session) = world.get_resource_mut::<Scoped<Session<I>>>() else { return };
    let oldest = session.oldest_open_frame();
    let needed = session.game.oldest_needed_frame(oldest);
    let stable = session.source.stable_frame(oldest);
    session.game.rosters_mut().forget_before(needed);
    world.resource_mut::<EffectFrames>().oldest_open = oldest;
    let mut stats = world.resource_mut::<SessionStats>();
    (stats.confirmed_frames, stats.stable_frames) = (oldest, stable);
    let change = Scoped::scope(world, |world, store: &mut RollbackStore| {
        let change = store.confirm(world, oldest);
        store.forget_before(needed);
        change
    });
    if let Some(change) = change {
        sync_test::fail_for_confirmation(world, change);
    }
}

impl<I: GameInput> Session<I> {
    /// Simulates one new frame, and before it every frame that must be corrected. Returns false if
    /// the prediction window is full, or if the game gave an input that cannot be sent: that ends
    /// the match, also a local one, so that the mistake shows early.
    fn step(&mut self, world: &mut World) -> bool {
        let Self { source, game, pressed, .. } = self;
        let frame = game.frame();
        if !pressed.is_of(frame) {
            if let Err(unfit) = pressed.read::<I>(world, frame, game.is_online()) {
                match source {
                    Source::Live(_) => end_session(world, unfit.into()),
                    Source::SyncTest(_) => sync_test::fail(world, unfit.into()),
                }
                return false;
            }
            if let Source::Live(live) = source {
                live.press(world, frame, pressed.inputs(), pressed.are_held());
            }
        }
        source.step(game, pressed.inputs(), world)
    }

    /// Takes the rosters that the machines have agreed on since the last call.
    fn take_rosters(&mut self, world: &mut World) {
        for (first, roster) in world.resource_mut::<Connection>().take_rosters() {
            if let Err(fault) = self.game.change_roster(first, roster) {
                // Nobody agrees to change a frame that is final anywhere.
                tracing::error!("a change of the roster at frame {first} comes too late: {fault}");
            }
        }
    }

    /// The oldest frame whose inputs are not all known: everything before it is final.
    pub(super) fn oldest_open_frame(&self) -> u32 {
        self.source.oldest_open_frame(self.game.frame())
    }

    /// Hashes the frames that became final, sends the hashes to the other peers, and stops at the
    /// end of the match.
    fn settle(&mut self, world: &mut World) {
        let end = self.end_in_sight(world).unwrap_or(u32::MAX);
        world.resource_mut::<EffectFrames>().end = end;
        let final_frame = self.oldest_open_frame().min(end);
        self.game.settle(world, final_frame);
        self.stop_at_end(world);
    }
}
