//! The ways to register a type that does not serialize: outside the checksum, and with a
//! serializable stand-in.

use bevy::prelude::*;
use netcode::{
    SyncTestFailure,
    prelude::*,
    testing::{self, Stepper, snapshots},
};
use serde::{Deserialize, Serialize};

use crate::support::assert_agreement;

/// A type that does not serialize, like some types of other crates.
#[derive(Component, Clone, Debug, PartialEq)]
struct Spin {
    radians: f32,
    /// Derived from the angle.
    cached: Vec<f32>,
}

impl Spin {
    fn of(radians: f32) -> Self {
        Self { radians, cached: vec![radians; 3] }
    }
}

#[derive(Serialize, Deserialize)]
struct SpinBytes {
    radians: f32,
}

impl From<&Spin> for SpinBytes {
    fn from(spin: &Spin) -> Self {
        Self { radians: spin.radians }
    }
}

impl From<SpinBytes> for Spin {
    fn from(bytes: SpinBytes) -> Self {
        Self::of(bytes.radians)
    }
}

/// Stored in a sparse set, so that every kind of column is tested.
#[derive(Component, Clone, Debug, PartialEq)]
#[component(storage = "SparseSet")]
struct Wobble(Spin);

impl From<&Wobble> for SpinBytes {
    fn from(wobble: &Wobble) -> Self {
        Self::from(&wobble.0)
    }
}

impl From<SpinBytes> for Wobble {
    fn from(bytes: SpinBytes) -> Self {
        Self(bytes.into())
    }
}

/// Does not serialize, and has no stand-in.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
struct Grid(Vec<Option<Entity>>);

fn game(app: &mut App) {
    fn turn(
        inputs: Res<PlayerInputs<u8>>,
        mut whole: ResMut<WholeSpin>,
        mut spins: Query<(&mut Spin, &mut Wobble)>,
    ) {
        for (mut spin, mut wobble) in &mut spins {
            let radians = spin.radians + f32::from(inputs.get(Seat(0)) % 8);
            *spin = Spin::of(radians);
            wobble.0 = Spin::of(2.0 * radians);
            whole.0 = Spin::of(3.0 * radians);
        }
    }
    app.add_plugins(NetcodePlugin::<u8>::default())
        .rollback_component_as::<Spin, SpinBytes>()
        .rollback_component_as::<Wobble, SpinBytes>()
        .insert_resource(WholeSpin(Spin::of(0.0)))
        .rollback_resource_as::<WholeSpin, SpinBytes>()
        .add_systems(SetupMatch, |mut commands: Commands| {
            commands.spawn((Rollback, Spin::of(0.0), Wobble(Spin::of(0.0))));
        })
        .add_systems(Simulate, turn);
    testing::random_inputs(app, |random| random as u8);
}

#[derive(Resource, Clone, Debug, PartialEq)]
struct WholeSpin(Spin);

impl From<&WholeSpin> for SpinBytes {
    fn from(whole: &WholeSpin) -> Self {
        Self::from(&whole.0)
    }
}

impl From<SpinBytes> for WholeSpin {
    fn from(bytes: SpinBytes) -> Self {
        Self(bytes.into())
    }
}

#[test]
fn types_with_a_serializable_stand_in_play_a_match() {
    let mut peers = Stepper::in_match(2, |_, app| game(app));
    peers.set_network(LinkConditions::WIFI, 1);
    peers.updates(300);
    assert_agreement(&peers, 4);
    let mut app = App::new();
    app.add_plugins(MinimalPlugins);
    game(&mut app);
    let result = testing::sync_test(&mut app, SyncTest::CHAOS, 2, 300);
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_difference_in_a_type_with_a_stand_in_is_found_and_named() {
    fn count(mut calls: Local<u32>, mut spins: Query<&mut Spin>) {
        *calls += 1;
        spins.iter_mut().for_each(|mut spin| spin.radians = *calls as f32);
    }
    let mut app = App::new();
    app.add_plugins(MinimalPlugins);
    game(&mut app);
    app.add_systems(Simulate, count.ambiguous_with_all());
    let failure = testing::sync_test(&mut app, SyncTest::EVERY_DEPTH, 2, 100);
    let Err(SyncTestFailure::Diverged(divergence)) = failure else { panic!("{failure:?}") };
    let of_a_spin = divergence.type_name.ends_with("::Spin") && divergence.field == "radians";
    assert!(of_a_spin, "{divergence}");
}

#[test]
fn unhashed_types_roll_back_and_are_in_no_checksum() {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default()))
        .init_resource::<Grid>()
        .rollback_resource_unhashed::<Grid>()
        .rollback_component_unhashed::<Spin>()
        .rollback_component_as::<Wobble, SpinBytes>();
    let world = app.world_mut();
    let entity = world.spawn((Rollback, Spin::of(1.0), Wobble(Spin::of(1.0)))).id();
    snapshots::set_depth(world, 4);
    snapshots::save(world, 1);
    world.resource_mut::<Grid>().0.push(Some(entity));
    *world.get_mut::<Spin>(entity).expect("the entity has the component") = Spin::of(2.0);
    snapshots::save(world, 2);
    let [first, second] = [1, 2].map(|frame| snapshots::checksums(world, frame));
    assert_eq!(first, second, "no hashed value has changed");
    let names = first.iter().map(|(name, _)| name.rsplit("::").next().unwrap_or(name));
    assert!(names.eq(["ChildOf", "Wobble"]), "{first:?}");
    snapshots::load(world, 1);
    assert_eq!(*world.resource::<Grid>(), Grid::default());
    assert_eq!(world.get::<Spin>(entity), Some(&Spin::of(1.0)));
    world.remove_resource::<Grid>();
    snapshots::load(world, 1);
    assert_eq!(world.get_resource::<Grid>(), Some(&Grid::default()));
}

#[test]
fn a_resource_that_is_not_hashed_gives_a_sync_test_nothing_to_compare() {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default()))
        .init_resource::<Grid>()
        .rollback_resource_unhashed::<Grid>();
    let result = testing::sync_test(&mut app, SyncTest::EVERY_DEPTH, 1, 20);
    assert_eq!(result.map(|stats| stats.frames), Err(SyncTestFailure::Idle));
}
