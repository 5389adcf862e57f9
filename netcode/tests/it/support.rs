//! The small game that the tests play, and the functions that read its state.

use bevy::prelude::*;
use netcode::{DeparturePolicy, NetcodeConfig, prelude::*, testing::Stepper};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) push: i8,
    pub(crate) spawn: bool,
    pub(crate) remove: bool,
}

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mover {
    pub(crate) seat: Seat,
    pub(crate) place: i64,
}

/// A short-lived thing, which belongs to the mover that made it.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[component(map_entities = Thing::map)]
pub(crate) struct Thing {
    pub(crate) owner: Entity,
    pub(crate) age: u32,
}

impl Thing {
    fn map<M: EntityMapper>(this: &mut Self, mapper: &mut M) {
        this.owner = mapper.get_mapped(this.owner);
    }
}

#[derive(Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) made: u32,
    pub(crate) history: Vec<u32>,
}

/// The inputs that the seats of an app give, by frame.
#[derive(Resource)]
pub(crate) struct Script(pub(crate) fn(Seat, u32) -> Input);

pub(crate) fn busy(seat: Seat, frame: u32) -> Input {
    let mixed =
        (u64::from(frame / 7) + 31 * u64::from(seat.0)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    Input { push: (mixed % 5) as i8 - 2, spawn: mixed % 3 == 0, remove: mixed % 4 == 0 }
}

pub(crate) fn config() -> NetcodeConfig {
    NetcodeConfig { game_id: "mover".into(), ..NetcodeConfig::default() }
}

pub(crate) fn build(script: fn(Seat, u32) -> Input) -> impl FnMut(usize, &mut App) {
    move |_, app| add_game(app, config(), script)
}

/// As [`build`], with matches that end when they lose a machine.
pub(crate) fn build_ending(script: fn(Seat, u32) -> Input) -> impl FnMut(usize, &mut App) {
    move |_, app| add_game(app, config_ending(), script)
}

pub(crate) fn config_ending() -> NetcodeConfig {
    NetcodeConfig { departure_policy: DeparturePolicy::EndMatch, ..config() }
}

pub(crate) fn add_game(app: &mut App, config: NetcodeConfig, script: fn(Seat, u32) -> Input) {
    app.add_plugins(NetcodePlugin::<Input>::new(config))
        .rollback_component::<Mover>()
        .rollback_component::<Thing>()
        .rollback_resource::<Tally>()
        .init_resource::<Tally>()
        .insert_resource(Script(script))
        .add_systems(SetupMatch, set_up)
        .add_systems(ReadInputs, read)
        .add_systems(Simulate, (push, make, grow_old).chain());
}

fn set_up(mut commands: Commands, roster: Res<Roster>) {
    for seat in roster.seats() {
        commands.spawn((Rollback, Mover { seat: seat.seat, place: 0 }));
    }
}

fn read(mut inputs: ResMut<LocalInputs<Input>>, script: Res<Script>, frame: Res<SimFrame>) {
    for seat in inputs.seats().to_vec() {
        inputs.set(seat, script.0(seat, frame.0));
    }
}

fn push(inputs: Res<PlayerInputs<Input>>, mut movers: Query<&mut Mover>) {
    for mut mover in &mut movers {
        mover.place += i64::from(inputs.get(mover.seat).push);
    }
}

fn make(
    mut commands: Commands,
    inputs: Res<PlayerInputs<Input>>,
    mut tally: ResMut<Tally>,
    movers: Query<(Entity, &Mover, &RollbackId)>,
) {
    let mut movers: Vec<_> = movers.iter().collect();
    movers.sort_by_key(|(.., id)| **id);
    for (owner, mover, _) in movers {
        if inputs.get(mover.seat).spawn {
            tally.made += 1;
            commands.spawn((Rollback, Thing { owner, age: 0 }));
        }
    }
    if tally.history.len() < 20 {
        let made = tally.made;
        tally.history.push(made);
    }
}

pub(crate) fn grow_old(
    mut commands: Commands,
    inputs: Res<PlayerInputs<Input>>,
    movers: Query<&Mover>,
    mut things: Query<(Entity, &mut Thing)>,
) {
    for (entity, mut thing) in &mut things {
        thing.age += 1;
        let owner = movers.get(thing.owner).expect("movers live as long as the match");
        if thing.age > 40 || (thing.age > 5 && inputs.get(owner.seat).remove) {
            commands.entity(entity).despawn_rollback();
        }
    }
}

pub(crate) fn places(app: &App) -> Vec<i64> {
    let world = app.world();
    let mut movers: Vec<&Mover> =
        world.iter_entities().filter_map(|entity| entity.get::<Mover>()).collect();
    movers.sort_by_key(|mover| mover.seat);
    movers.iter().map(|mover| mover.place).collect()
}

pub(crate) fn stats(app: &App) -> &SessionStats {
    app.world().resource()
}

pub(crate) fn state(app: &App) -> &SessionState {
    app.world().resource()
}

/// Asserts that all apps agree on every checksum that they have in common, that there are at least
/// `at_least` of those, and that no app has counted a desync.
pub(crate) fn assert_agreement(stepper: &Stepper, at_least: usize) {
    assert_same_worlds(stepper, at_least);
    for app in stepper.apps() {
        assert_eq!(stats(app).desyncs, 0);
    }
}

/// Asserts the same, except that apps may have counted desyncs that another peer made up.
pub(crate) fn assert_same_worlds(stepper: &Stepper, at_least: usize) {
    let logs: Vec<&ChecksumLog> = stepper.apps().iter().map(|app| app.world().resource()).collect();
    let mut common = 0;
    for (frame, hash) in logs[0].iter() {
        let others: Vec<u64> = logs[1..].iter().filter_map(|log| log.get(frame)).collect();
        if others.len() == logs.len() - 1 {
            assert!(others.iter().all(|&other| other == hash), "frame {frame} differs");
            common += 1;
        }
    }
    assert!(common >= at_least, "only {common} frames in common");
}

pub(crate) fn write_to_all<M: Message + Copy>(stepper: &mut Stepper, message: M) {
    for index in 0..stepper.apps().len() {
        stepper.app_mut(index).world_mut().write_message(message);
    }
}
