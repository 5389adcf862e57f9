//! One app with a local match, stepped by hand, and inputs that tests choose.

use std::time::Duration;

use bevy::MinimalPlugins;
use bevy::prelude::{App, Entity, Res, ResMut, Resource, With};
use bevy::time::TimeUpdateStrategy;
use demo_game::DuelPlugin;
use demo_game::bots::Bots;
use demo_game::input::Input;
use demo_game::sim::{MatchState, SimRng};
use netcode::prelude::{
    ChecksumLog, EffectStarted, LocalInputs, ReadInputs, Rollback, SessionState, SessionStats,
    SimFrame, StartLocal, SyncTest,
};

use demo_game::sim::SimEffect;

/// A local match.
pub(crate) struct Playground {
    pub(crate) app: App,
    /// Every effect that started, with its frame.
    pub(crate) effects: Vec<(u32, SimEffect)>,
}

/// The inputs that all seats hold from now on; `None` leaves them to the bots.
#[derive(Resource, Default)]
pub(crate) struct Held(pub(crate) Option<Vec<Input>>);

/// Seeded random inputs, each held for a few frames, as a person would.
#[derive(Resource)]
pub(crate) struct RandomInputs {
    rng: SimRng,
    held: Vec<(Input, u32)>,
}

impl RandomInputs {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: SimRng::new(seed), held: Vec::new() }
    }
}

/// Fills in random inputs for all local seats.
pub(crate) fn press_at_random(
    mut random: ResMut<RandomInputs>,
    mut inputs: ResMut<LocalInputs<Input>>,
) {
    let seats = inputs.seats().to_vec();
    let RandomInputs { rng, held } = &mut *random;
    held.resize(seats.len(), (Input::NONE, 0));
    for (&seat, (input, frames)) in seats.iter().zip(held) {
        if *frames == 0 {
            *input = Input::from_bits(rng.next_u32() as u8);
            *frames = 1 + rng.next_u32() % 25;
        }
        *frames -= 1;
        inputs.set(seat, *input);
    }
}

fn press_held(held: Res<Held>, mut inputs: ResMut<LocalInputs<Input>>) {
    let Some(held) = &held.0 else { return };
    for seat in inputs.seats().to_vec() {
        inputs.set(seat, held.get(seat.index()).copied().unwrap_or_default());
    }
}

impl Playground {
    /// An app that plays one frame per update and is not in a match yet.
    pub(crate) fn offline() -> Self {
        let mut app = App::new();
        app.add_plugins((MinimalPlugins, DuelPlugin::default()))
            .insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_nanos(16_666_667)))
            .init_resource::<Held>()
            .add_systems(ReadInputs, press_held);
        app.finish();
        app.cleanup();
        Self { app, effects: Vec::new() }
    }

    /// A match in which no seat holds anything.
    pub(crate) fn idle(seats: usize, seed: u64) -> Self {
        let mut playground = Self::offline();
        playground.hold(&vec![Input::NONE; seats]);
        playground.start(seats, seed, None);
        playground
    }

    /// A match of bots.
    pub(crate) fn bots(seats: usize, seed: u64) -> Self {
        Self::bots_with(seats, seed, |_| {})
    }

    /// A match of bots, in an app that `prepare` has changed.
    pub(crate) fn bots_with(seats: usize, seed: u64, prepare: impl FnOnce(&mut App)) -> Self {
        let mut playground = Self::offline();
        prepare(&mut playground.app);
        playground.app.insert_resource(Bots::after(0, seats));
        playground.start(seats, seed, None);
        playground
    }

    pub(crate) fn start(&mut self, seats: usize, seed: u64, sync_test: Option<SyncTest>) {
        let seats = (0..seats).map(|seat| format!("seat {seat}")).collect();
        self.app.world_mut().write_message(StartLocal { seats, seed, sync_test });
        self.app.update();
        assert!(
            self.app.world().resource::<SessionState>().is_running(),
            "a local match starts at once"
        );
    }

    pub(crate) fn hold(&mut self, inputs: &[Input]) {
        self.app.insert_resource(Held(Some(inputs.to_vec())));
    }

    pub(crate) fn update(&mut self) {
        self.app.update();
        let mut messages = self
            .app
            .world_mut()
            .resource_mut::<bevy::prelude::Messages<EffectStarted<SimEffect>>>();
        self.effects.extend(messages.drain().map(|started| (started.frame, started.effect)));
    }

    pub(crate) fn updates(&mut self, count: u32) {
        for _ in 0..count {
            self.update();
        }
    }

    /// Updates until `condition` holds, for at most `limit` updates.
    pub(crate) fn until(
        &mut self,
        what: &str,
        limit: u32,
        mut condition: impl FnMut(&mut Self) -> bool,
    ) {
        for _ in 0..limit {
            if condition(self) {
                return;
            }
            self.update();
        }
        panic!("{what}: not within {limit} updates; {:?}", self.state());
    }

    pub(crate) fn state(&self) -> MatchState {
        *self.app.world().resource::<MatchState>()
    }

    pub(crate) fn frame(&self) -> u32 {
        self.app.world().resource::<SimFrame>().0
    }

    pub(crate) fn stats(&self) -> SessionStats {
        self.app.world().resource::<SessionStats>().clone()
    }

    pub(crate) fn checksums(&self) -> Vec<(u32, u64)> {
        self.app.world().resource::<ChecksumLog>().iter().collect()
    }

    /// The simulated entities.
    pub(crate) fn entities(&mut self) -> Vec<Entity> {
        let world = self.app.world_mut();
        world.query_filtered::<Entity, With<Rollback>>().iter(world).collect()
    }
}
