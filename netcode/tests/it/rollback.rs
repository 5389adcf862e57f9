//! What the rollback store restores: each kind of change that a frame can make is undone and made
//! again.

use bevy::{ecs::entity_disabling::Disabled, prelude::*};
use netcode::{NetcodeConfig, prelude::*, testing::Stepper};
use serde::{Deserialize, Serialize};

use crate::support::{state, stats};

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Count(u32);

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Words(Vec<String>);

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[component(storage = "SparseSet")]
struct Burning(u32);

/// Not registered: a stand-in for what a renderer attaches to an entity.
#[derive(Component, Clone, Debug, PartialEq)]
struct Sprite(u32);

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Target(#[entities] Entity);

#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Weather(u32);

fn game(simulate: impl Fn(&mut App) + 'static) -> impl FnMut(usize, &mut App) {
    move |_, app| {
        app.add_plugins(NetcodePlugin::<u8>::new(NetcodeConfig::default()))
            .rollback_component::<Count>()
            .rollback_component::<Words>()
            .rollback_component::<Burning>()
            .rollback_component::<Target>()
            .rollback_resource::<Weather>();
        simulate(app);
    }
}

/// Plays `frames` frames of a sync test at `depth`. Each frame is undone and simulated again, and
/// must come out the same.
fn sync_test(depth: u8, frames: u32, simulate: impl Fn(&mut App) + 'static) -> Stepper {
    let mut stepper = Stepper::new(1, game(simulate));
    let request = StartLocal {
        seats: vec!["one".into()],
        seed: 1,
        sync_test: Some(SyncTest::at_depth(depth)),
    };
    stepper.app_mut(0).world_mut().write_message(request);
    stepper.updates(frames);
    assert!(state(stepper.app(0)).is_running());
    assert!(stats(stepper.app(0)).resimulated_frames > frames);
    stepper
}

fn assert_sound(stepper: &Stepper) {
    assert_eq!(stats(stepper.app(0)).desyncs, 0);
}

fn in_order(world: &World) -> Vec<(u32, Entity)> {
    let mut all: Vec<(u32, Entity)> = world
        .iter_entities()
        .filter_map(|entity| Some((entity.get::<RollbackId>()?.get(), entity.id())))
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn components_come_and_go() {
    fn simulate(
        mut commands: Commands,
        frame: Res<SimFrame>,
        counts: Query<(Entity, &mut Count, Has<Burning>)>,
    ) {
        for (entity, mut count, burns) in counts {
            count.0 += 1;
            match frame.0 % 4 {
                0 if !burns => drop(commands.entity(entity).insert(Burning(frame.0))),
                2 => drop(commands.entity(entity).remove::<Burning>()),
                3 => drop(
                    commands.entity(entity).insert(Words(vec!["hot".into(); count.0 as usize % 5])),
                ),
                _ => {}
            }
        }
    }
    let stepper = sync_test(6, 200, |app| {
        app.add_systems(SetupMatch, |mut commands: Commands| {
            for start in 0..5 {
                commands.spawn((Rollback, Count(start)));
            }
        })
        .add_systems(Simulate, simulate);
    });
    assert_sound(&stepper);
}

#[test]
fn resources_come_and_go() {
    fn simulate(mut commands: Commands, frame: Res<SimFrame>, weather: Option<ResMut<Weather>>) {
        match (frame.0 % 5, weather) {
            (0, _) => commands.insert_resource(Weather(frame.0)),
            (3, _) => commands.remove_resource::<Weather>(),
            (_, Some(mut weather)) => weather.0 += 1,
            _ => {}
        }
    }
    assert_sound(&sync_test(4, 100, |app| {
        app.add_systems(Simulate, simulate);
    }));
}

#[test]
fn a_despawned_entity_comes_back_as_itself_with_its_unregistered_components() {
    // It leaves in frame 30, and each rollback to that frame or before brings it back.
    fn simulate(mut commands: Commands, frame: Res<SimFrame>, counts: Query<(Entity, &mut Count)>) {
        for (entity, mut count) in counts {
            count.0 += 1;
            if frame.0 == 30 {
                commands.entity(entity).despawn_rollback();
            }
        }
    }
    let mut stepper = Stepper::new(
        1,
        game(|app| {
            app.add_systems(SetupMatch, |mut commands: Commands| {
                commands.spawn((Rollback, Count(0), Sprite(7), children![Sprite(8)]));
            })
            .add_systems(Simulate, simulate);
        }),
    );
    let request =
        StartLocal { seats: vec!["one".into()], seed: 1, sync_test: Some(SyncTest::at_depth(7)) };
    stepper.app_mut(0).world_mut().write_message(request);
    stepper.updates(20);
    let before = in_order(stepper.app(0).world());
    let sprites = |world: &mut World| {
        let mut query = world.query_filtered::<&Sprite, Allow<Disabled>>();
        query.iter(world).count()
    };
    while stats(stepper.app(0)).frames < 34 {
        stepper.update();
    }
    assert_eq!(in_order(stepper.app(0).world()), before, "it is still the same entity");
    assert_eq!(sprites(stepper.app_mut(0).world_mut()), 2);
    let mut visible = stepper.app_mut(0).world_mut().query::<&Sprite>();
    assert_eq!(visible.iter(stepper.app(0).world()).count(), 0, "it is not visible");
    stepper.updates(20);
    assert_eq!(
        sprites(stepper.app_mut(0).world_mut()),
        0,
        "it and its child are gone for good once confirmed"
    );
    assert_sound(&stepper);
}

#[test]
fn an_entity_that_left_comes_back_as_itself_after_rollbacks_of_several_depths() {
    // The inputs of the three peers arrive with different delays, so some loads go back to before
    // the departure, and others to after it.
    fn simulate(
        mut commands: Commands,
        inputs: Res<PlayerInputs<u8>>,
        counts: Query<(Entity, &mut Count)>,
    ) {
        let all: u32 = (0..3).map(|seat| u32::from(inputs.get(Seat(seat)))).sum();
        for (entity, mut count) in counts {
            count.0 += all;
            if count.0 % 97 > 80 {
                commands.entity(entity).despawn_rollback();
                commands.spawn((Rollback, Count(count.0 + 20), Sprite(1)));
            }
        }
    }
    let mut stepper = Stepper::in_match(3, |_, app: &mut App| {
        app.add_plugins(NetcodePlugin::<u8>::new(NetcodeConfig::default()))
            .rollback_component::<Count>()
            .add_systems(SetupMatch, |mut commands: Commands| {
                commands.spawn((Rollback, Count(0), Sprite(1)));
            })
            .add_systems(ReadInputs, |mut inputs: ResMut<LocalInputs<u8>>, frame: Res<SimFrame>| {
                for seat in inputs.seats().to_vec() {
                    inputs.set(
                        seat,
                        (frame.0.wrapping_mul(2_654_435_761) >> (29 - seat.0)) as u8 % 8,
                    );
                }
            })
            .add_systems(Simulate, simulate);
    });
    for index in 0..3 {
        let latency = std::time::Duration::from_millis(30 * index as u64);
        let jitter = std::time::Duration::from_millis(25);
        let conditions = LinkConditions { latency, jitter, ..LinkConditions::NONE };
        stepper.app_mut(index).world_mut().write_message(SetConditions(conditions));
    }
    for _ in 0..400 {
        stepper.update();
        for app in stepper.apps() {
            let spriteless = app
                .world()
                .iter_entities()
                .filter(|entity| entity.contains::<Count>() && !entity.contains::<Sprite>())
                .count();
            assert_eq!(spriteless, 0, "every entity still has the sprite it was spawned with");
        }
    }
    assert!(stats(stepper.app(0)).rollbacks > 50);
    crate::support::assert_agreement(&stepper, 5);
}

#[test]
fn references_follow_an_entity_that_plain_despawn_removed() {
    fn simulate(
        mut commands: Commands,
        frame: Res<SimFrame>,
        counts: Query<(Entity, &mut Count, Option<&Target>)>,
    ) {
        let mut missed = 0;
        let alive: Vec<Entity> = counts.iter().map(|(entity, ..)| entity).collect();
        for (entity, mut count, target) in counts {
            missed += u32::from(target.is_some_and(|target| !alive.contains(&target.0)));
            count.0 += 1 + missed;
            if frame.0 == 20 && target.is_none() {
                commands.entity(entity).despawn();
            }
        }
    }
    let stepper = sync_test(7, 60, |app| {
        app.add_systems(SetupMatch, |mut commands: Commands| {
            let prey = commands.spawn((Rollback, Count(0))).id();
            commands.spawn((Rollback, Count(0), Target(prey)));
        })
        .add_systems(Simulate, simulate);
    });
    assert_sound(&stepper);
}

#[test]
fn entities_get_the_same_ids_however_often_they_are_spawned() {
    fn simulate(
        mut commands: Commands,
        frame: Res<SimFrame>,
        counts: Query<(Entity, &mut Count, &RollbackId)>,
    ) {
        commands.spawn((Rollback, Count(frame.0)));
        for (entity, mut count, id) in counts {
            count.0 = count.0.wrapping_mul(31).wrapping_add(id.get());
            if id.get() + 9 < frame.0 {
                commands.entity(entity).despawn_rollback();
            }
        }
    }
    let stepper = sync_test(7, 300, |app| {
        app.add_systems(Simulate, simulate);
    });
    assert_sound(&stepper);
    let world = stepper.app(0).world();
    assert!(in_order(world).len() < 40, "the number of entities does not grow with the match");
}

#[test]
fn parents_change_and_change_back() {
    fn simulate(
        mut commands: Commands,
        frame: Res<SimFrame>,
        counts: Query<(Entity, &mut Count, &RollbackId, Option<&ChildOf>)>,
    ) {
        let mut order: Vec<_> = counts.iter().map(|(entity, _, id, _)| (*id, entity)).collect();
        order.sort_unstable();
        for (entity, mut count, id, parent) in counts {
            count.0 += u32::from(parent.is_some());
            if id.get() == 2 {
                match frame.0 % 6 {
                    0 => drop(commands.entity(entity).insert(ChildOf(order[0].1))),
                    2 => drop(commands.entity(entity).insert(ChildOf(order[1].1))),
                    4 => drop(commands.entity(entity).remove::<ChildOf>()),
                    _ => {}
                }
            }
        }
    }
    let stepper = sync_test(5, 120, |app| {
        app.add_systems(SetupMatch, |mut commands: Commands| {
            // Several entities, so that those that stay share a table with those that move.
            for start in 0..7 {
                commands.spawn((Rollback, Count(start)));
            }
        })
        .add_systems(Simulate, simulate);
    });
    assert_sound(&stepper);
}

#[test]
fn a_child_survives_a_parent_whose_spawn_is_rolled_back() {
    // In every sixth frame, the oldest entity becomes a child of one that is spawned in that frame
    // and leaves two frames later.
    fn simulate(
        mut commands: Commands,
        frame: Res<SimFrame>,
        counts: Query<(Entity, &mut Count, &RollbackId, Option<&ChildOf>)>,
    ) {
        for (entity, mut count, id, parent) in counts {
            count.0 += 1 + u32::from(parent.is_some());
            if id.get() == 0 {
                match frame.0 % 6 {
                    0 => {
                        let parent = commands.spawn((Rollback, Count(0))).id();
                        commands.entity(entity).insert(ChildOf(parent));
                    }
                    2 => drop(commands.entity(entity).remove::<ChildOf>()),
                    _ => {}
                }
            } else if count.0 == 3 {
                commands.entity(entity).despawn_rollback();
            }
        }
    }
    let stepper = sync_test(5, 120, |app| {
        app.add_systems(SetupMatch, |mut commands: Commands| {
            commands.spawn((Rollback, Count(0)));
        })
        .add_systems(Simulate, simulate);
    });
    assert_sound(&stepper);
    assert_eq!(in_order(stepper.app(0).world())[0].0, 0, "the oldest entity lives");
}

#[test]
fn entities_in_resources_are_remapped_and_hash_alike_everywhere() {
    #[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[component(map_entities = Quarry::map)]
    struct Quarry(Entity);
    impl Quarry {
        fn map<M: EntityMapper>(this: &mut Self, mapper: &mut M) {
            this.0 = mapper.get_mapped(this.0);
        }
    }
    fn simulate(
        mut commands: Commands,
        frame: Res<SimFrame>,
        quarry: Res<Quarry>,
        mut counts: Query<&mut Count>,
    ) {
        counts.get_mut(quarry.0).expect("the quarry is alive").0 += 1;
        if frame.0 % 10 == 9 {
            commands.entity(quarry.0).despawn();
            let next = commands.spawn((Rollback, Count(frame.0))).id();
            commands.insert_resource(Quarry(next));
        }
    }
    // In the second app, entities have other numbers than in the first.
    let mut stepper = Stepper::in_match(2, |index, app: &mut App| {
        for _ in 0..index * 7 {
            app.world_mut().spawn_empty();
        }
        app.add_plugins(NetcodePlugin::<u8>::new(NetcodeConfig::default()))
            .rollback_component::<Count>()
            .rollback_resource::<Quarry>()
            .add_systems(SetupMatch, |mut commands: Commands| {
                let first = commands.spawn((Rollback, Count(0))).id();
                commands.insert_resource(Quarry(first));
            })
            .add_systems(ReadInputs, |mut inputs: ResMut<LocalInputs<u8>>, frame: Res<SimFrame>| {
                for seat in inputs.seats().to_vec() {
                    inputs.set(seat, (frame.0 / 3) as u8);
                }
            })
            .add_systems(Simulate, simulate);
    });
    stepper.set_conditions(LinkConditions::WIFI);
    stepper.updates(400);
    assert!(stats(stepper.app(0)).rollbacks > 0);
    crate::support::assert_agreement(&stepper, 5);
}

#[test]
fn each_match_starts_with_the_resources_that_the_game_began_with() {
    let mut stepper = Stepper::new(
        1,
        game(|app| {
            app.insert_resource(Weather(100))
                .add_systems(Simulate, |mut weather: ResMut<Weather>| weather.0 += 1);
        }),
    );
    for _ in 0..2 {
        let request = StartLocal { seats: vec!["one".into()], seed: 1, sync_test: None };
        stepper.app_mut(0).world_mut().write_message(request);
        stepper.update();
        assert!(stepper.app(0).world().resource::<Weather>().0 <= 101);
        stepper.updates(50);
        assert!(stepper.app(0).world().resource::<Weather>().0 > 140);
        stepper.app_mut(0).world_mut().write_message(FinishMatch);
        stepper.updates(2);
        assert!(stepper.app(0).world().resource::<Weather>().0 > 140, "the result stays readable");
    }
    stepper.app_mut(0).world_mut().write_message(LeaveRoom);
    stepper.updates(2);
    assert_eq!(stepper.app(0).world().resource::<Weather>().0, 100);
    assert!(in_order(stepper.app(0).world()).is_empty());
}

#[test]
fn a_child_added_after_its_parent_left_outlives_the_parent() {
    fn simulate(mut commands: Commands, frame: Res<SimFrame>, counts: Query<(Entity, &Count)>) {
        let named = |number| counts.iter().find(|(_, count)| count.0 == number);
        if let (10, Some((ship, _)), Some((sailor, _))) = (frame.0, named(0), named(1)) {
            commands.entity(ship).despawn_rollback();
            commands.entity(sailor).insert(ChildOf(ship));
        }
    }
    let mut stepper = Stepper::new(
        1,
        game(|app| {
            app.add_systems(SetupMatch, |mut commands: Commands| {
                let ship = commands.spawn((Rollback, Count(0))).id();
                commands.spawn((Rollback, Count(1)));
                commands.spawn((Rollback, Count(2), ChildOf(ship)));
            })
            .add_systems(Simulate, simulate);
        }),
    );
    // Without rollbacks, because those would bring back a missing entity.
    let request = StartLocal { seats: vec!["one".into()], seed: 1, sync_test: None };
    stepper.app_mut(0).world_mut().write_message(request);
    stepper.updates(60);
    let ids: Vec<u32> = in_order(stepper.app(0).world()).iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [1], "the ship and its first sailor are gone; the late sailor is not");
}

#[test]
fn a_grandchild_survives_an_entity_whose_spawn_is_rolled_back() {
    /// A child that the simulation does not know.
    #[derive(Component)]
    struct Mast;
    fn simulate(mut commands: Commands, frame: Res<SimFrame>, counts: Query<(Entity, &Count)>) {
        let Some((flag, _)) = counts.iter().find(|(_, count)| count.0 == 0) else { return };
        match frame.0 % 6 {
            0 => {
                let ship = commands.spawn((Rollback, Count(1))).id();
                let mast = commands.spawn((Mast, ChildOf(ship))).id();
                commands.entity(flag).insert(ChildOf(mast));
            }
            2 => drop(commands.entity(flag).remove::<ChildOf>()),
            _ => {}
        }
    }
    let stepper = sync_test(5, 120, |app| {
        app.add_systems(SetupMatch, |mut commands: Commands| {
            commands.spawn((Rollback, Count(0)));
        })
        .add_systems(Simulate, simulate);
    });
    assert_sound(&stepper);
    assert_eq!(in_order(stepper.app(0).world())[0].0, 0, "the flag is still there");
}

#[test]
fn an_entity_that_is_gone_may_be_despawned_again() {
    fn simulate(mut commands: Commands, frame: Res<SimFrame>, counts: Query<(Entity, &Count)>) {
        if frame.0 == 10 {
            for (entity, _) in &counts {
                commands.entity(entity).despawn();
                commands.entity(entity).despawn_rollback();
            }
        }
    }
    let stepper = sync_test(3, 30, |app| {
        app.add_systems(SetupMatch, |mut commands: Commands| {
            commands.spawn((Rollback, Count(0)));
        })
        .add_systems(Simulate, simulate);
    });
    assert_sound(&stepper);
    assert!(in_order(stepper.app(0).world()).is_empty());
}

#[test]
fn a_clone_is_an_entity_with_an_id_of_its_own() {
    fn simulate(mut commands: Commands, frame: Res<SimFrame>, counts: Query<(Entity, &Count)>) {
        if let (10, Ok((entity, _))) = (frame.0, counts.single()) {
            commands.entity(entity).clone_and_spawn();
        }
    }
    let stepper = sync_test(3, 30, |app| {
        app.add_systems(SetupMatch, |mut commands: Commands| {
            commands.spawn((Rollback, Count(7)));
        })
        .add_systems(Simulate, simulate);
    });
    assert_sound(&stepper);
    let world = stepper.app(0).world();
    let ids: Vec<u32> = in_order(world).iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [0, 1]);
}
