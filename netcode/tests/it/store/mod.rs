//! The rollback store without a session: what a save keeps and a load brings back, for every kind
//! of component, and at what cost.

mod allocations;
mod changes;
mod entities;
mod frames;
#[cfg(not(target_arch = "wasm32"))]
mod moves;
mod observers;

use bevy::{
    ecs::{entity_disabling::Disabled, world::CommandQueue},
    prelude::*,
};
use netcode::{prelude::*, testing::snapshots};
use serde::{Deserialize, Serialize};

#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Position(f32, f32);

#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Age(u32);

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Name(String);

#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[component(storage = "SparseSet")]
struct Burning(u32);

#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[component(immutable)]
struct Team(u8);

#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[component(immutable, storage = "SparseSet")]
struct Flag(u8);

/// A relationship of the game's own.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[relationship(relationship_target = ChasedBy)]
struct Chases(#[entities] Entity);

#[derive(Component, Debug)]
#[relationship_target(relationship = Chases)]
struct ChasedBy(Vec<Entity>);

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Aim(#[entities] Entity);

#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Log(Vec<u32>);

const DEPTH: usize = 10;

fn app(register: impl FnOnce(&mut App)) -> App {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default()))
        .rollback_component::<Position>()
        .rollback_component::<Age>()
        .rollback_component::<Name>()
        .rollback_component::<Burning>()
        .rollback_component::<Team>()
        .rollback_component::<Flag>()
        .rollback_component::<Chases>()
        .rollback_component::<Aim>()
        .rollback_resource::<Log>();
    register(&mut app);
    app.finish();
    app.cleanup();
    snapshots::set_depth(app.world_mut(), DEPTH);
    app
}

/// Describes everything that rolls back, by id: two equal worlds have the same description.
fn picture(world: &mut World) -> Vec<String> {
    let mut query = world.query_filtered::<(EntityRef, &RollbackId), Without<Disabled>>();
    let id = |entity: Entity| world.get::<RollbackId>(entity).map(|id| id.get());
    let mut all: Vec<(u32, String)> = query
        .iter(world)
        .map(|(entity, number)| {
            let mut chasers: Vec<_> = entity
                .get::<ChasedBy>()
                .map_or_else(Vec::new, |by| by.0.iter().map(|&it| id(it)).collect());
            chasers.sort_unstable();
            let text = format!(
                "{:?} {:?} {:?} {:?} {:?} {:?} aims {:?} chases {:?} by {chasers:?} on {:?}",
                entity.get::<Position>(),
                entity.get::<Age>(),
                entity.get::<Name>(),
                entity.get::<Burning>(),
                entity.get::<Team>(),
                entity.get::<Flag>(),
                entity.get::<Aim>().map(|aim| id(aim.0)),
                entity.get::<Chases>().map(|chases| id(chases.0)),
                entity.get::<ChildOf>().map(|parent| id(parent.0)),
            );
            (number.get(), text)
        })
        .collect();
    all.sort_unstable();
    let log = format!("{:?}", world.get_resource::<Log>());
    all.into_iter().map(|(id, text)| format!("{id}: {text}")).chain([log]).collect()
}

fn by_id(world: &mut World, wanted: u32) -> Entity {
    let mut query = world.query_filtered::<(Entity, &RollbackId), Allow<Disabled>>();
    let found = query.iter(world).find(|(_, id)| id.get() == wanted);
    found.expect("an entity has this id").0
}

fn despawn_rollback(world: &mut World, entity: Entity) {
    let mut queue = CommandQueue::default();
    Commands::new(&mut queue, world).entity(entity).despawn_rollback();
    queue.apply(world);
}

/// Eight entities, with every kind of component on some of them.
fn populate(world: &mut World) -> Vec<Entity> {
    let all: Vec<Entity> = (0..8u32)
        .map(|index| world.spawn((Rollback, Position(index as f32, 0.0), Age(index))).id())
        .collect();
    world.entity_mut(all[0]).insert((Name("zero".into()), Team(1)));
    world.entity_mut(all[1]).insert((Burning(9), Flag(3)));
    world.entity_mut(all[2]).insert((Chases(all[0]), Aim(all[5])));
    world.entity_mut(all[3]).insert((Chases(all[0]), ChildOf(all[0])));
    world.insert_resource(Log(vec![1, 2]));
    all
}

/// Saves, lets `change` change the world, loads, and asserts that everything is as before. Does the
/// same in later frames, because the first load may have left something behind.
fn assert_comes_back(change: impl Fn(&mut World, &[Entity])) {
    let mut app = app(|_| {});
    let world = app.world_mut();
    populate(world);
    for frame in 0..3 * DEPTH as u32 {
        world.insert_resource(SimFrame(frame));
        snapshots::save(world, frame);
        let before = picture(world);
        let checksums = snapshots::checksums(world, frame);
        let all: Vec<Entity> = (0..8).map(|id| by_id(world, id)).collect();
        change(world, &all);
        assert_ne!(picture(world), before, "the change changes something");
        snapshots::load(world, frame);
        assert_eq!(picture(world), before, "frame {frame}");
        snapshots::save(world, frame);
        assert_eq!(snapshots::checksums(world, frame), checksums, "frame {frame}");
    }
}

#[test]
fn values_come_back() {
    assert_comes_back(|world, all| {
        *world.get_mut::<Position>(all[4]).unwrap() = Position(7.0, -0.0);
        world.get_mut::<Name>(all[0]).unwrap().0.push_str(" changed");
        world.get_mut::<Burning>(all[1]).unwrap().0 += 1;
        world.entity_mut(all[0]).insert(Team(2));
        world.entity_mut(all[1]).insert(Flag(4));
        world.resource_mut::<Log>().0.push(3);
    });
}

#[test]
fn added_components_go_and_removed_ones_come_back() {
    assert_comes_back(|world, all| {
        world.entity_mut(all[0]).remove::<(Name, Team)>();
        world.entity_mut(all[1]).remove::<(Burning, Flag, Age)>();
        world.entity_mut(all[6]).insert((Name("six".into()), Team(4), Burning(1), Flag(2)));
        world.entity_mut(all[7]).insert((Aim(all[0]), Chases(all[6])));
        world.remove_resource::<Log>();
    });
}

#[test]
fn a_different_order_of_rows_is_no_difference() {
    #[derive(Component)]
    struct Elsewhere;
    assert_comes_back(|world, all| {
        for &entity in &[all[3], all[0], all[6]] {
            world.entity_mut(entity).insert(Elsewhere).remove::<Elsewhere>();
        }
        // Another entity, which is in a different table than when it was saved.
        world.entity_mut(all[4]).insert(Elsewhere);
        *world.get_mut::<Position>(all[6]).unwrap() = Position(9.0, 9.0);
        world.get_mut::<Age>(all[4]).unwrap().0 += 5;
    });
}

#[test]
fn ordered_follows_the_ids_whatever_happened_to_the_rows() {
    #[derive(Component)]
    struct Elsewhere;
    let mut app = app(|_| {});
    let world = app.world_mut();
    let all = populate(world);
    let ids = |world: &mut World| {
        let look = |ordered: Ordered<&Age>| ordered.iter().map(|age| age.0).collect::<Vec<_>>();
        world.run_system_cached(look).unwrap()
    };
    assert_eq!(ids(world), [0, 1, 2, 3, 4, 5, 6, 7]);
    for &entity in &[all[5], all[1]] {
        world.entity_mut(entity).insert(Elsewhere).remove::<Elsewhere>();
    }
    world.despawn(all[2]);
    world.spawn((Rollback, Age(8)));
    assert_eq!(ids(world), [0, 1, 3, 4, 5, 6, 7, 8]);
    let number = |mut ordered: Ordered<&mut Age, Without<Team>>| {
        ordered.iter_mut().zip(100..).for_each(|(mut age, number)| age.0 = number);
    };
    world.run_system_cached(number).unwrap();
    assert_eq!(ids(world), [0, 100, 101, 102, 103, 104, 105, 106]);
}

#[test]
fn checksums_depend_on_values_and_owners_and_on_nothing_else() {
    let sums = |build: &dyn Fn(&mut World)| {
        let mut app = app(|_| {});
        build(app.world_mut());
        snapshots::save(app.world_mut(), 0);
        snapshots::checksums(app.world(), 0)
    };
    let two = |one: u32, other: u32| {
        move |world: &mut World| {
            world.spawn((Rollback, Age(one)));
            world.spawn((Rollback, Age(other)));
        }
    };
    let changed = |one: &[(&'static str, u64)], other: &[(&'static str, u64)]| {
        let pairs = one.iter().zip(other).filter(|(one, other)| one != other);
        pairs.map(|(one, _)| one.0.rsplit("::").next().unwrap()).collect::<Vec<_>>()
    };
    let base = sums(&two(5, 6));
    assert_eq!(changed(&base, &sums(&two(6, 5))), ["Age"], "swapped values are seen");
    assert_eq!(changed(&sums(&two(5, 5)), &sums(&two(6, 6))), ["Age"], "equal parts do not cancel");
    let same = sums(&|world| {
        // Different entities, rows and tables.
        world.spawn_empty();
        let one = world.spawn((Rollback, Age(5))).id();
        world.spawn((Rollback, Age(6)));
        world.entity_mut(one).insert(Disabled).remove::<Disabled>();
    });
    assert_eq!(changed(&base, &same), [""; 0]);
}
