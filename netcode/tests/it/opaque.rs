//! Values that no checksum covers completely: a sync test fails and names them, and a match names
//! them once.

use std::collections::BTreeMap;

use bevy::prelude::*;
use netcode::{
    OpaqueProblem, SerializeFault, SyncTestFailure, prelude::*, testing, testing::Stepper,
};
use serde::{Deserialize, Serialize, Serializer, ser::Error};

use crate::support::stats;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Spot {
    x: u32,
}

#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    spot: Spot,
}

/// Kept in a sparse set. It serializes completely as long as it is small.
#[derive(Component, Clone, Debug, PartialEq, Deserialize)]
#[component(storage = "SparseSet")]
struct Rising(u32);

impl Serialize for Rising {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 > 40 {
            return Err(S::Error::custom("beyond the scale"));
        }
        serializer.serialize_u32(self.0)
    }
}

/// Two variants that are written as the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Order {
    Turn(u8),
    Go { far: u8 },
}

#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Orders(BTreeMap<u8, Order>);

/// A game with one entity that has the component `value`.
fn add_game<C: Component + Clone>(app: &mut App, value: C) {
    app.add_plugins(NetcodePlugin::<u8>::default()).add_systems(
        SetupMatch,
        move |mut commands: Commands| {
            commands.spawn((Rollback, value.clone()));
        },
    );
}

fn failure(test: SyncTest, build: impl FnOnce(&mut App)) -> SyncTestFailure {
    let mut app = App::new();
    app.add_plugins(MinimalPlugins);
    build(&mut app);
    testing::sync_test(&mut app, test, 1, 100).expect_err("a value cannot be checked")
}

/// Returns what is wrong with the value, and asserts that the text of the failure contains `names`.
fn problem(failure: &SyncTestFailure, names: &[&str]) -> OpaqueProblem {
    let text = failure.to_string();
    assert!(names.iter().all(|name| text.contains(name)), "{names:?} in {text}");
    match failure {
        SyncTestFailure::Opaque(value) => value.problem.clone(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_component_that_does_not_serialize_completely_fails_the_sync_test() {
    // The worst case: what no checksum covers comes out differently in every simulation.
    fn count(mut calls: Local<u32>, mut all: Query<&mut Flat>) {
        for mut flat in &mut all {
            *calls += 1;
            flat.spot.x = *calls;
        }
    }
    for test in [SyncTest::EVERY_DEPTH, SyncTest::CHAOS] {
        let failure = failure(test, |app| {
            add_game(app, Flat::default());
            app.rollback_component::<Flat>().add_systems(Simulate, count);
        });
        let found = problem(&failure, &["::Flat`", "`RollbackId` 0", "`#[serde(flatten)]`"]);
        assert_eq!(found, OpaqueProblem::Unserializable(SerializeFault::NoLength));
    }
}

#[test]
fn a_value_that_stops_serializing_during_a_match_is_named_with_its_reason() {
    let failure = failure(SyncTest::EVERY_DEPTH, |app| {
        add_game(app, Rising(0));
        app.rollback_component::<Rising>().add_systems(Simulate, |mut all: Query<&mut Rising>| {
            all.iter_mut().for_each(|mut rising| rising.0 += 1);
        });
    });
    problem(&failure, &["::Rising`", "beyond the scale"]);
}

#[test]
fn a_resource_that_its_bytes_do_not_determine_fails_in_chaos() {
    let failure = failure(SyncTest::CHAOS, |app| {
        add_game(app, Spotless);
        let orders = [(1, Order::Turn(3)), (2, Order::Go { far: 3 })];
        app.insert_resource(Orders(orders.into())).rollback_resource::<Orders>();
    });
    let found = problem(&failure, &["::Orders`", "`untagged`"]);
    assert_eq!(found, OpaqueProblem::Unreadable);
}

/// A component for the game's only entity.
#[derive(Component, Clone)]
struct Spotless;

#[test]
fn a_match_names_once_each_type_that_is_in_no_checksum() {
    let mut peers = Stepper::in_match(2, |_, app| {
        add_game(app, Flat::default());
        app.rollback_component::<Flat>();
    });
    peers.updates(300);
    for app in peers.apps() {
        assert_eq!(stats(app).opaque_types, 1);
        assert_eq!(stats(app).desyncs, 0);
    }
}
