//! Driving the session: how many steps are due, each step with its rollbacks, and what is confirmed after it.

use std::time::Duration;

use bevy::prelude::{MessageReader, Real, Res, ResMut, Time, World};
use ggrs::{GgrsError, GgrsRequest, InputStatus, P2PSession};

use super::{
    DueSteps, Epoch, GgrsConfig, Kind, MatchEnd,
    sync_test::{NotRollingBack, fail_for_confirmation},
};
use crate::{
    checksum::{ChecksumLog, DesyncDetected, FrameHashes},
    config::NetcodeConfig,
    diagnostics::SessionStats,
    effects::{EffectFrames, EffectTypes},
    frame::SimFrame,
    input::{GameInput, LocalInputs, PlayerInputs, Seat},
    membership::{
        Connection, SessionState, SetInputDelay,
        control::Control,
        systems::{Stepped, desync_report},
    },
    pacing::{Pacer, StepPhase},
    packed_input::PackedInput,
    plugin::Simulate,
    rollback::{Check, Hashed, RollbackStore},
    scoped::Scoped,
    transport::Exchange,
};

/// How often a match looks for components that should roll back and do not.
const STRAYS_FRAMES: u32 = 60;

/// Decides how many steps are due.
pub(crate) fn pace(
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
    }
    *phase = pacer.phase();
}

/// Follows the game's requests for other input delays.
pub(crate) fn set_input_delay<I: GameInput>(
    mut requests: MessageReader<SetInputDelay>,
    epoch: Option<ResMut<Scoped<Epoch<I>>>>,
    config: Res<NetcodeConfig>,
    time: Res<Time<Real>>,
) {
    let Some(mut epoch) = epoch else { return requests.clear() };
    let Kind::Match { delays, .. } = &mut epoch.kind else { return requests.clear() };
    for &SetInputDelay { seat, delay } in requests.read() {
        delays.set(time.elapsed(), seat.index(), delay.at_most(config.input_delay.max()));
    }
}

/// Takes the steps that are due.
pub(crate) fn step<I: GameInput>(world: &mut World) {
    let due = world.resource::<DueSteps>().0;
    if due == 0 || !world.contains_resource::<Scoped<Epoch<I>>>() {
        return;
    }
    let outside = *world.resource::<Time>();
    Scoped::scope(world, |world, epoch: &mut Epoch<I>| {
        if epoch.is_over() {
            return;
        }
        let steps = match &mut epoch.kind {
            Kind::Match { .. } => due,
            Kind::SyncTest(run) => run.steps(due),
        };
        for _ in 0..steps {
            if !epoch.step(world) {
                world.resource_mut::<SessionStats>().stalls += 1;
                break;
            }
            world.resource_mut::<Stepped>().0 = true;
            epoch.settle(world);
            epoch.look_for_strays(world);
            // Whoever reads the inputs of the next step sees the clock of the machine again.
            *world.resource_mut::<Time>() = outside;
            if epoch.is_over() {
                break;
            }
        }
        world.resource_mut::<SimFrame>().0 = epoch.frame;
    });
    *world.resource_mut::<Time>() = outside;
}

/// Lets go of what can no longer be rolled back.
pub(crate) fn confirm<I: GameInput>(world: &mut World) {
    if !world.resource::<SessionState>().is_running() {
        return;
    }
    let Some(epoch) = world.get_resource::<Scoped<Epoch<I>>>() else { return };
    let oldest = epoch.oldest_open_frame();
    // A frame that is final may still have to be hashed.
    let needed = oldest.min(epoch.next_checksum);
    world.resource_mut::<EffectFrames>().oldest_open = oldest;
    world.resource_mut::<SessionStats>().confirmed_frames = oldest;
    let change = Scoped::scope(world, |world, store: &mut RollbackStore| {
        let change = store.confirm(world, oldest);
        store.forget_before(needed);
        change
    });
    if let Some(change) = change {
        fail_for_confirmation(world, change);
    }
}

impl<I: GameInput> Epoch<I> {
    /// Simulates one new frame, and before it whatever must be corrected. False if the prediction window is full.
    fn step(&mut self, world: &mut World) -> bool {
        if self.read_frame != Some(self.frame) {
            if !self.read_inputs(world) {
                return false;
            }
            self.adapt_delay(world);
        }
        let Kind::Match { session, .. } = &mut self.kind else { return self.step_sync_test(world) };
        let seats = world.resource::<LocalInputs<I>>().seats();
        // An error means that the session is not synchronised: the same step is tried again later.
        let Ok(requests) = advance(session, seats, &self.pressed) else { return false };
        let before = self.newest;
        for request in requests {
            self.fulfil(world, request);
        }
        self.newest > before
    }

    /// Changes the input delay where that is due. Just before inputs are added: those of this frame are the first to be delayed so.
    fn adapt_delay(&mut self, world: &mut World) {
        // Before the first input ggrs has none to fill a longer delay with, and tells the others of none.
        let Kind::Match { session, exchange, delays } = &mut self.kind else { return };
        if self.frame == 0 {
            return;
        }
        let now = world.resource::<Time<Real>>().elapsed();
        if let Some(predicted) = exchange.with(Exchange::take_predicted) {
            delays.observe(now, &predicted);
        }
        for seat in delays.change(now, self.are_held) {
            // It fails only for seats that are not ours, and these are.
            let _ = session.set_input_delay(seat.handle, usize::from(seat.frames));
        }
        world.resource_mut::<SessionStats>().input_delay = delays.longest();
    }

    fn fulfil(&mut self, world: &mut World, request: GgrsRequest<GgrsConfig>) {
        match request {
            GgrsRequest::SaveGameState { cell, frame } => {
                Scoped::scope(world, |world, store: &mut RollbackStore| {
                    store.save(world, self.frame);
                });
                cell.save(frame, Some(()), None);
            }
            GgrsRequest::LoadGameState { frame, .. } => {
                let frame =
                    u32::try_from(frame).expect("ggrs loads only frames that it saved, from 0 up");
                self.load(world, frame);
            }
            GgrsRequest::AdvanceFrame { inputs } => {
                let is_known = |status| status == InputStatus::Confirmed;
                let inputs = inputs.iter().map(|&(input, status)| (input, is_known(status)));
                self.simulate(world, inputs);
            }
        }
    }

    /// Rolls back to `frame`.
    pub(super) fn load(&mut self, world: &mut World, frame: u32) {
        let depth = self.frame - frame;
        let mut stats = world.resource_mut::<SessionStats>();
        stats.rollbacks += 1;
        stats.last_rollback = depth;
        stats.max_rollback = stats.max_rollback.max(depth);
        Scoped::scope(world, |world, store: &mut RollbackStore| store.load(world, frame));
        self.frame = frame;
    }

    /// Simulates one frame with these inputs; the flag says whether an input is confirmed.
    pub(super) fn simulate(
        &mut self,
        world: &mut World,
        inputs: impl Iterator<Item = (PackedInput, bool)>,
    ) {
        let inputs = inputs.map(|(input, is_known)| (input.unpack(), is_known));
        world.resource_mut::<PlayerInputs<I>>().replace(inputs);
        if self.is_online() {
            self.inputs.note(self.frame, world.resource::<PlayerInputs<I>>().iter());
        }
        world.resource_mut::<SimFrame>().0 = self.frame;
        world.resource_mut::<MatchEnd>().begin(self.frame);
        EffectTypes::begin(world, self.frame);
        let step = world.resource::<NetcodeConfig>().step_duration();
        *world.resource_mut::<Time>() = time_of_frame(self.frame, step);
        world.run_schedule(Simulate);
        Scoped::scope(world, |world, store: &mut RollbackStore| store.end_frame(world));
        world.resource_mut::<MatchEnd>().pause();
        self.frame += 1;
        let mut stats = world.resource_mut::<SessionStats>();
        if self.frame > self.newest {
            self.newest = self.frame;
            stats.frames = self.frame;
        } else {
            stats.resimulated_frames += 1;
        }
    }

    /// The oldest frame whose inputs are not all known: everything before it is final.
    pub(super) fn oldest_open_frame(&self) -> u32 {
        let confirmed = match &self.kind {
            Kind::Match { session, .. } => session.confirmed_frame() + 1,
            Kind::SyncTest(run) => return self.frame.saturating_sub(run.max_depth()),
        };
        u32::try_from(confirmed.max(0)).expect("the number is not negative").min(self.frame)
    }

    /// Warns of components that somebody registered and forgot to spawn with `Rollback`.
    fn look_for_strays(&mut self, world: &World) {
        if !self.frame.is_multiple_of(STRAYS_FRAMES) {
            return;
        }
        let mut strays = world.resource::<Scoped<RollbackStore>>().strays(world);
        strays.retain(|name| !self.strays.contains(name));
        if !strays.is_empty() {
            tracing::warn!("{}", NotRollingBack(&strays));
            self.strays.extend(strays);
        }
    }

    /// Logs, once for each type, that a part of its values is in no checksum.
    fn note_opaque(&mut self, world: &mut World, frame: u32) {
        let store = world.resource::<Scoped<RollbackStore>>();
        let mut values: Vec<_> = store.opaque_values(frame, Check::Serializes).collect();
        values.retain(|value| !self.opaque.contains(&value.type_name));
        for value in values {
            tracing::warn!("{value}");
            self.opaque.push(value.type_name);
        }
        world.resource_mut::<SessionStats>().opaque_types = self.opaque.len() as u32;
    }

    /// Hashes the frames that became final, tells the other peers, and stops at the end of the
    /// match.
    fn settle(&mut self, world: &mut World) {
        let interval = u32::from(world.resource::<NetcodeConfig>().checksum_interval);
        let end = self.end_in_sight(world).unwrap_or(u32::MAX);
        world.resource_mut::<EffectFrames>().end = end;
        let final_frame = self.oldest_open_frame().min(end);
        loop {
            let asked = world.resource::<ChecksumLog>().asked_from(self.settled);
            let next = asked.map_or(self.next_checksum, |asked| asked.min(self.next_checksum));
            if next > final_frame || next >= self.frame {
                break;
            }
            self.record_checksum(world, next);
            if next == self.next_checksum {
                self.next_checksum += interval;
            }
            self.settled = next + u32::from(asked == Some(next));
        }
        self.inputs.count_up_to(final_frame.min(self.next_checksum));
        self.settled = self.settled.max(final_frame.min(self.next_checksum));
        self.stop_at_end(world);
    }

    /// Hashes a final frame and all inputs before it, and tells the other peers.
    pub(super) fn record_checksum(&mut self, world: &mut World, frame: u32) {
        self.inputs.count_up_to(frame);
        if world.resource::<ChecksumLog>().get(frame).is_some() {
            return;
        }
        let mut parts = Vec::new();
        match world.resource::<Scoped<RollbackStore>>().hash(frame, &mut parts) {
            Hashed::NotSaved => return,
            Hashed::Wholly => {}
            Hashed::InPart => self.note_opaque(world, frame),
        }
        let hashes = FrameHashes { parts, inputs: self.inputs.hashes().to_vec() };
        let disagreements = world.resource_mut::<ChecksumLog>().push(frame, &hashes);
        for (peer, differing) in disagreements {
            let report =
                desync_report(world.resource::<Scoped<RollbackStore>>(), frame, peer, &differing);
            report.count(&mut world.resource_mut());
            world.write_message(DesyncDetected(report));
        }
        let now = world.resource::<Time<Real>>().elapsed();
        let message = Control::Checksums { epoch: self.number, frame, hashes };
        world.resource_mut::<Connection>().tell_match(now, frame, &message);
    }
}

fn advance(
    session: &mut P2PSession<GgrsConfig>,
    seats: &[Seat],
    inputs: &[PackedInput],
) -> Result<Vec<GgrsRequest<GgrsConfig>>, GgrsError> {
    for (seat, &input) in seats.iter().zip(inputs) {
        session.add_local_input(seat.index(), input)?;
    }
    let requests = session.advance_frame();
    session.events().for_each(drop);
    requests
}

/// The clock as the simulation sees it: it knows no other time than its own frames.
pub(super) fn time_of_frame(frame: u32, step: Duration) -> Time {
    let mut time = Time::default();
    time.advance_to(step * frame);
    time.advance_by(step);
    time
}
