//! The sync test: a local match in which every frame is rolled back and simulated again, and must
//! come out the same.
//!
//! It knows nothing of ggrs or of a network. In chaos mode the frame is simulated again after
//! changes that a sound game does not notice: entities in another order, or spawned again under
//! their old ids. Seats change hands, too, which a sound game may notice, at the same frame again.

mod chaos;
mod seats;
mod failure;

use std::collections::VecDeque;

use bevy::prelude::World;

use self::{
    chaos::{Chaos, Disturbance},
    seats::SeatChanges,
};
use super::game::Match;
use crate::{
    audit::AuditReport,
    config::SyncTest,
    diagnostics::SessionStats,
    input::GameInput,
    membership::{EndReason, Roster, end_session},
    packed_input::PackedInput,
    rollback::{ChangeByDespawns, Check, Difference, Hashed, RollbackStore},
    scoped::Scoped,
};

pub use failure::{
    ConfirmationChange, Divergence, DivergenceCause, SyncTestFailed, SyncTestFailure,
};

/// Chaos reads all values from their own bytes once in this many frames. It has to do so several
/// times: a set of two has the other order only every second time.
const READ_BACK_FRAMES: u32 = 8;

/// A running sync test.
pub(super) struct Run {
    depth: Option<u32>,
    window: u32,
    /// The inputs of the last frames, all seats, newest last.
    inputs: VecDeque<Vec<PackedInput>>,
    /// The hashes of the last frames as they were first simulated.
    first: VecDeque<Vec<u64>>,
    again: Vec<u64>,
    chaos: Option<Chaos>,
    seats: Option<SeatChanges>,
}

impl Run {
    pub(super) fn new(test: SyncTest, window: u8, seed: u64, line_up: &Roster) -> Self {
        Self {
            depth: test.depth.map(u32::from),
            window: window.into(),
            inputs: VecDeque::new(),
            first: VecDeque::new(),
            again: Vec::new(),
            chaos: test.is_chaotic.then(|| Chaos::new(seed)),
            seats: test.is_chaotic.then(|| SeatChanges::new(seed, line_up.clone())),
        }
    }

    /// The frames that may still be rolled back.
    pub(super) fn max_depth(&self) -> u32 {
        self.depth.unwrap_or(self.window)
    }

    /// The number of steps to take in an update in which `due` are due: sometimes none, sometimes
    /// several, on average `due`.
    pub(super) fn steps(&mut self, due: u32) -> u32 {
        self.chaos.as_mut().map_or(due, |chaos| chaos.steps(due))
    }

    /// The depth of the rollback after `frame` frames.
    fn depth_at(&self, frame: u32) -> u32 {
        self.depth.unwrap_or(1 + frame % self.window).min(frame)
    }

    /// Simulates one new frame, after simulating the ones before it again. Returns false if that
    /// ended the match.
    pub(super) fn step<I: GameInput>(
        &mut self,
        game: &mut Match<I>,
        pressed: &[PackedInput],
        world: &mut World,
    ) -> bool {
        let frame = game.frame();
        if frame == 0 && !is_audit_clean(world) {
            return false;
        }
        game.save(world);
        let is_full = self.first.len() > self.window as usize;
        let spare = if is_full { self.first.pop_front() } else { None };
        let mut hashes = spare.unwrap_or_default();
        let hashed = world.resource::<Scoped<RollbackStore>>().hash(frame, &mut hashes);
        self.first.push_back(hashes);
        if hashed == Hashed::InPart && fail_for_opaque(world, frame, Check::Serializes) {
            return false;
        }

        if self.chaos.is_some() && frame.is_multiple_of(READ_BACK_FRAMES) {
            let store = world.resource::<Scoped<RollbackStore>>();
            let unsaid = store.unsaid_entity(frame).zip(Some(DivergenceCause::UnsaidEntity));
            let found = unsaid
                .or_else(|| store.difference_to_bytes(frame).zip(Some(DivergenceCause::Bytes)));
            if let Some((difference, cause)) = found {
                let divergence = Divergence::new(frame, difference, cause, None);
                fail(world, SyncTestFailure::Diverged(Box::new(divergence)));
                return false;
            }
            if fail_for_opaque(world, frame, Check::ReadsBack) {
                return false;
            }
        }

        let depth = self.depth_at(frame);
        let disturbance = self.chaos.as_mut().map_or(Disturbance::None, Chaos::next_disturbance);
        if depth > 0
            && let Some(failure) = self.simulate_again(game, world, depth, disturbance)
        {
            fail(world, failure);
            return false;
        }

        if self.inputs.len() == self.window as usize {
            self.inputs.pop_front();
        }
        self.inputs.push_back(pressed.to_vec());
        if let Some(roster) = self.seats.as_mut().and_then(|seats| seats.roster_from(frame)) {
            let changed = game.change_roster(frame, roster.clone());
            changed.expect("the frame is a new one, and no roster begins after it");
        }
        self.simulate_recorded(game, world, 0);
        true
    }

    /// Rolls back by `depth` frames, simulates them again, and returns what came out differently.
    fn simulate_again<I: GameInput>(
        &mut self,
        game: &mut Match<I>,
        world: &mut World,
        depth: u32,
        disturbance: Disturbance,
    ) -> Option<SyncTestFailure> {
        let (frame, difference) = self.run_again(game, world, depth, disturbance)?;
        let cause = self.cause(game, world, depth, frame, disturbance);
        let report = world.get_resource::<AuditReport>();
        let mut divergence = Divergence::new(frame, difference, cause, report);
        if let Some((before, now)) = game.rosters().change_at(frame - 1) {
            divergence.seat_changes = now.changes_since(before).collect();
        }
        Some(SyncTestFailure::Diverged(Box::new(divergence)))
    }

    /// What it takes for `frame` to come out differently, found by trying. A difference that no
    /// further attempt shows again comes from state that has settled by now, which no disturbance
    /// explains.
    fn cause<I: GameInput>(
        &mut self,
        game: &mut Match<I>,
        world: &mut World,
        depth: u32,
        frame: u32,
        disturbance: Disturbance,
    ) -> DivergenceCause {
        /// A shuffle may happen to leave the order as it was.
        const ATTEMPTS: usize = 4;
        // The match is over: disturbing it does no harm any more, in whatever mode.
        self.chaos.get_or_insert_with(|| Chaos::new(0));
        let mut hashes = |disturbance| self.hashes_again(game, world, depth, frame, disturbance);
        let undisturbed = hashes(Disturbance::None);
        let is_repeatable = (0..ATTEMPTS).all(|_| hashes(Disturbance::None) == undisturbed);
        // A new order stays when the disturbance is over, and so does its effect; what comes and
        // goes is something else.
        let is_order = (0..ATTEMPTS).any(|_| {
            let disturbed = hashes(Disturbance::Order);
            disturbed != undisturbed
                && (0..ATTEMPTS).all(|_| hashes(Disturbance::None) == disturbed)
        });
        match disturbance {
            _ if !is_repeatable => DivergenceCause::NotRepeatable,
            _ if is_order => DivergenceCause::Order,
            Disturbance::Entities => DivergenceCause::Entities,
            _ => DivergenceCause::NotRepeatable,
        }
    }

    /// Rolls back by `depth` frames, and simulates up to the first frame that comes out
    /// differently.
    fn run_again<I: GameInput>(
        &mut self,
        game: &mut Match<I>,
        world: &mut World,
        depth: u32,
        disturbance: Disturbance,
    ) -> Option<(u32, Difference)> {
        self.rewind(game, world, depth, disturbance);
        (1..=depth).rev().find_map(|back| {
            self.simulate_recorded(game, world, back);
            self.compare(game, world)
        })
    }

    /// Rolls back by `depth` frames, and returns the hashes of `frame` as it comes out this time.
    fn hashes_again<I: GameInput>(
        &mut self,
        game: &mut Match<I>,
        world: &mut World,
        depth: u32,
        frame: u32,
        disturbance: Disturbance,
    ) -> Vec<u64> {
        self.rewind(game, world, depth, disturbance);
        while game.frame() < frame {
            self.simulate_recorded(game, world, game.newest() - game.frame());
        }
        let mut hashes = Vec::new();
        Scoped::scope(world, |world, store: &mut RollbackStore| {
            store.save_again(world, frame);
            store.hash_again(frame, &mut hashes);
        });
        hashes
    }

    fn rewind<I: GameInput>(
        &mut self,
        game: &mut Match<I>,
        world: &mut World,
        depth: u32,
        disturbance: Disturbance,
    ) {
        let frame = game.newest() - depth;
        if let Some(chaos) = &mut self.chaos {
            chaos.before_load(world, disturbance);
        }
        game.load(world, frame);
        if let Some(chaos) = &mut self.chaos {
            chaos.after_load(world, disturbance);
        }
        if disturbance == Disturbance::Order {
            // Hooks and observers that saw entities move may have changed what is registered.
            Scoped::scope(world, |world, store: &mut RollbackStore| store.load(world, frame));
        }
    }

    /// Simulates with the inputs of `back` frames ago: 0 stands for a new frame, 1 for the newest
    /// one that was simulated.
    fn simulate_recorded<I: GameInput>(
        &mut self,
        game: &mut Match<I>,
        world: &mut World,
        back: u32,
    ) {
        let index =
            if back == 0 { self.inputs.len() - 1 } else { self.inputs.len() - back as usize };
        let inputs = std::mem::take(&mut self.inputs[index]);
        game.simulate(world, inputs.iter().map(|&input| (input, true)));
        self.inputs[index] = inputs;
    }

    /// Compares the world with the same frame as it was first simulated.
    fn compare<I: GameInput>(
        &mut self,
        game: &mut Match<I>,
        world: &mut World,
    ) -> Option<(u32, Difference)> {
        let (frame, newest) = (game.frame(), game.newest());
        Scoped::scope(world, |world, store: &mut RollbackStore| {
            store.save_again(world, frame);
            store.hash_again(frame, &mut self.again);
            let first = self.first.get(self.first.len() - 1 - (newest - frame) as usize)?;
            if *first == self.again {
                return None;
            }
            Some((frame, store.difference(frame)?))
        })
    }
}

/// Ends the test if the audit found anything. State that is not registered does not roll back, so
/// there is no need to wait until that shows.
fn is_audit_clean(world: &mut World) -> bool {
    let Some(report) = world.get_resource::<AuditReport>() else { return true };
    if report.findings().is_empty() {
        return true;
    }
    let findings = report.findings().to_vec();
    fail(world, SyncTestFailure::Unregistered(findings));
    false
}

/// Ends the test if a value cannot be looked into. Returns whether there is one.
fn fail_for_opaque(world: &mut World, frame: u32, check: Check) -> bool {
    let found = world.resource::<Scoped<RollbackStore>>().opaque_values(frame, check).next();
    let Some(value) = found else { return false };
    fail(world, SyncTestFailure::Opaque(value));
    true
}

/// Ends a sync test in which something registered would have changed when an entity that had left
/// was despawned for good.
pub(super) fn fail_for_confirmation(world: &mut World, change: ChangeByDespawns) {
    let change = ConfirmationChange::new(change);
    fail(world, SyncTestFailure::ChangedAtConfirmation(Box::new(change)));
}

pub(super) fn fail(world: &mut World, failure: SyncTestFailure) {
    tracing::error!("{failure}");
    world.resource_mut::<SessionStats>().desyncs += 1;
    world.write_message(SyncTestFailed(failure));
    end_session(world, EndReason::SyncTestFailed);
}
