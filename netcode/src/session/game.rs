//! The frames of a match: each is simulated, saved, loaded and, once it is final, compared. A
//! [`Source`](super::source::Source) decides which frames, and with which inputs.

use std::marker::PhantomData;

use bevy::prelude::{Messages, Real, Time, World};

use super::{
    finish::{MatchEnd, members},
    input_hashes::InputHashes,
    rosters::{RosterFault, Rosters},
};
use crate::{
    checksum::{ChecksumLog, DesyncDetected, DesyncReport, FrameHashes},
    config::NetcodeConfig,
    diagnostics::SessionStats,
    effects::{EffectFrames, EffectTypes},
    frame::{SimFrame, time_of_frame},
    input::{GameInput, PlayerInputs},
    membership::{Connection, Roster, SeatChanged, SeatState, control::Control},
    packed_input::PackedInput,
    rollback::{Check, Hashed, RollbackStore, Strays},
    schedules::{PlayBots, Simulate},
    scoped::Scoped,
};

/// How often a match looks for components that should roll back and do not.
const STRAYS_FRAMES: u32 = 60;

/// The match that is running, or that has just ended, of a game with the input type `I`.
pub(super) struct Match<I> {
    /// Its number in the lobby; 0 for a local match.
    match_number: u32,
    /// The frame that is simulated next.
    frame: u32,
    /// The first frame that was never simulated.
    newest: u32,
    rosters: Rosters,
    checksums: Checksums,
    /// Components that are registered and do not roll back, and that a warning has named.
    strays: Vec<&'static str>,
    input: PhantomData<fn() -> I>,
}

/// How far final frames are compared.
struct Checksums {
    /// The next frame on the checksum interval.
    next: u32,
    /// The frame up to which the match is final, and its hashes were sent to the other peers.
    settled: u32,
    /// The inputs of all seats.
    inputs: InputHashes,
    /// Types with values that are not wholly in the checksum; each is logged once.
    opaque: Vec<&'static str>,
}

impl<I: GameInput> Match<I> {
    /// A match with this roster, which begins with frame 0.
    pub(super) fn new(match_number: u32, line_up: Roster) -> Self {
        let inputs = InputHashes::new(line_up.seats().len());
        Self {
            match_number,
            frame: 0,
            newest: 0,
            rosters: Rosters::new(line_up),
            checksums: Checksums { next: 0, settled: 0, inputs, opaque: Vec::new() },
            strays: Vec::new(),
            input: PhantomData,
        }
    }

    /// Whether other machines take part.
    pub(super) fn is_online(&self) -> bool {
        self.match_number != 0
    }

    /// The frame that is simulated next.
    pub(super) fn frame(&self) -> u32 {
        self.frame
    }

    /// The first frame that was never simulated.
    pub(super) fn newest(&self) -> u32 {
        self.newest
    }

    /// The frame up to which the match is final, and its hashes were sent to the other peers.
    pub(super) fn settled(&self) -> u32 {
        self.checksums.settled
    }

    /// The first frame that the store has to keep if all frames before `oldest_open` are final: one
    /// of those may still have to be hashed.
    pub(super) fn oldest_needed_frame(&self, oldest_open: u32) -> u32 {
        oldest_open.min(self.checksums.next)
    }

    /// The players of each frame.
    pub(super) fn rosters(&self) -> &Rosters {
        &self.rosters
    }

    pub(super) fn rosters_mut(&mut self) -> &mut Rosters {
        &mut self.rosters
    }

    /// Changes who plays from the frame `first` on. All machines make the same change. If `first`
    /// was simulated already, a live match rolls back to it in its next step, in which ggrs learns
    /// of the change from here.
    ///
    /// # Errors
    ///
    /// If the roster of that frame can no longer change. Then nothing changes.
    pub(super) fn change_roster(&mut self, first: u32, roster: Roster) -> Result<(), RosterFault> {
        self.rosters.change(first, roster)
    }

    /// Saves the present frame.
    pub(super) fn save(&self, world: &mut World) {
        Scoped::scope(world, |world, store: &mut RollbackStore| store.save(world, self.frame));
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
        self.show_roster(world, frame.saturating_sub(1));
    }

    /// Shows the roster of a frame to the game.
    fn show_roster(&self, world: &mut World, frame: u32) {
        let roster = self.rosters.at(frame);
        let mut shown = world.resource_mut::<Roster>();
        if *shown != *roster {
            shown.clone_from(roster);
        }
    }

    /// Writes which seats change hands in the present frame.
    fn write_seat_changes(&self, world: &mut World) {
        let mut messages = world.resource_mut::<Messages<SeatChanged>>();
        if !messages.is_empty() {
            messages.clear();
        }
        if let Some((before, now)) = self.rosters.change_at(self.frame) {
            messages.extend(now.changes_since(before));
        }
    }

    /// Gives the present frame its inputs. A seat that nobody plays, and that of a bot, has none,
    /// whatever its machine gave before.
    fn give_inputs(&self, world: &mut World, inputs: impl Iterator<Item = (PackedInput, bool)>) {
        let seats = self.rosters.at(self.frame).seats();
        let inputs = inputs.zip(seats).map(|((input, is_known), seat)| match seat.state {
            SeatState::Peer => (input.unpack(), is_known),
            SeatState::Bot | SeatState::Away | SeatState::Empty => (I::default(), true),
        });
        world.resource_mut::<PlayerInputs<I>>().replace(inputs);
    }

    /// Simulates one frame with these inputs; the flag says whether an input is confirmed.
    pub(super) fn simulate(
        &mut self,
        world: &mut World,
        inputs: impl Iterator<Item = (PackedInput, bool)>,
    ) {
        self.show_roster(world, self.frame);
        self.write_seat_changes(world);
        self.give_inputs(world, inputs);
        if self.is_online() {
            let inputs = world.resource::<PlayerInputs<I>>().iter();
            self.checksums.inputs.note(self.frame, inputs);
        }
        world.resource_mut::<SimFrame>().0 = self.frame;
        world.resource_mut::<MatchEnd>().begin(self.frame);
        EffectTypes::begin(world, self.frame);
        if !self.rosters.is_paused_at(self.frame) {
            self.run_simulation(world);
        }
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

    fn run_simulation(&self, world: &mut World) {
        let config = world.resource::<NetcodeConfig>();
        let (step, stand_in) = (config.step_duration(), config.stand_in);
        let number = self.rosters.simulated_before(self.frame);
        *world.resource_mut::<Time>() = time_of_frame(number, step);
        if self.rosters.at(self.frame).bots(stand_in).next().is_some() {
            world.run_schedule(PlayBots);
        }
        world.run_schedule(Simulate);
    }

    /// Makes a final frame the present one.
    pub(super) fn rest_at(&mut self, world: &mut World, end: u32) {
        Scoped::scope(world, |world, store: &mut RollbackStore| {
            if self.frame > end {
                store.load(world, end);
            } else {
                store.save(world, end);
            }
        });
        self.frame = end;
        self.show_roster(world, end.saturating_sub(1));
        world.resource_mut::<SimFrame>().0 = end;
        world.insert_resource(EffectFrames { oldest_open: end, end });
        let mut stats = world.resource_mut::<SessionStats>();
        stats.confirmed_frames = end;
        stats.stable_frames = stats.stable_frames.min(end);
    }

    /// Warns about components that are registered and were spawned without `Rollback`.
    pub(super) fn look_for_strays(&mut self, world: &World) {
        if !self.frame.is_multiple_of(STRAYS_FRAMES) {
            return;
        }
        let mut strays = world.resource::<Scoped<RollbackStore>>().strays(world);
        strays.retain(|name| !self.strays.contains(name));
        if !strays.is_empty() {
            tracing::warn!("{}", Strays(&strays));
            self.strays.extend(strays);
        }
    }

    /// Hashes the frames before `final_frame` that peers compare, and sends the hashes to the other
    /// peers.
    pub(super) fn settle(&mut self, world: &mut World, final_frame: u32) {
        let interval = u32::from(world.resource::<NetcodeConfig>().checksum_interval);
        loop {
            let Checksums { next: regular, settled, .. } = self.checksums;
            let asked = world.resource::<ChecksumLog>().asked_from(settled);
            let next = asked.map_or(regular, |asked| asked.min(regular));
            if next > final_frame || next >= self.frame {
                break;
            }
            self.record_checksum(world, next);
            if next == regular {
                self.checksums.next += interval;
            }
            self.checksums.settled = next + u32::from(asked == Some(next));
        }
        let Checksums { next, settled, inputs, .. } = &mut self.checksums;
        let end = final_frame.min(*next);
        inputs.count_up_to(end);
        *settled = (*settled).max(end);
    }

    /// Hashes a final frame and all inputs before it, and sends the hashes to the other peers.
    pub(super) fn record_checksum(&mut self, world: &mut World, frame: u32) {
        self.checksums.inputs.count_up_to(frame);
        if world.resource::<ChecksumLog>().get(frame).is_some() {
            return;
        }
        let mut parts = Vec::new();
        match world.resource::<Scoped<RollbackStore>>().hash(frame, &mut parts) {
            Hashed::NotSaved => return,
            Hashed::Wholly => {}
            Hashed::InPart => self.note_opaque(world, frame),
        }
        let hashes = FrameHashes { parts, inputs: self.checksums.inputs.hashes().to_vec() };
        let disagreements = world.resource_mut::<ChecksumLog>().push(frame, &hashes);
        for (peer, differing) in disagreements {
            let store = world.resource::<Scoped<RollbackStore>>();
            let known_as = members(world).known_as(peer);
            let names = store.hashed_names();
            let report = DesyncReport::new(names, frame, peer, known_as, &differing);
            report.count(&mut world.resource_mut());
            world.write_message(DesyncDetected(report));
        }
        let now = world.resource::<Time<Real>>().elapsed();
        let message = Control::Checksums { match_number: self.match_number, frame, hashes };
        world.resource_mut::<Connection>().tell_match(now, frame, &message);
    }

    /// Logs, once for each type, that a part of its values is in no checksum.
    fn note_opaque(&mut self, world: &mut World, frame: u32) {
        let opaque = &mut self.checksums.opaque;
        let store = world.resource::<Scoped<RollbackStore>>();
        let mut values: Vec<_> = store.opaque_values(frame, Check::Serializes).collect();
        values.retain(|value| !opaque.contains(&value.type_name));
        for value in values {
            tracing::warn!("{value}");
            opaque.push(value.type_name);
        }
        world.resource_mut::<SessionStats>().opaque_types = opaque.len() as u32;
    }
}
