//! The rollback store by hand: what a save keeps and a load brings back, for every kind of component, and at what cost.

mod allocations;
#[cfg(not(target_arch = "wasm32"))]
mod moves;

use bevy::{
    ecs::{
        entity_disabling::Disabled,
        lifecycle::HookContext,
        system::SystemState,
        world::{CommandQueue, DeferredWorld},
    },
    prelude::*,
};
use netcode::{prelude::*, testing::snapshots};
use serde::{Deserialize, Serialize};

#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Place(f32, f32);

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
        .rollback_component::<Place>()
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

/// Everything that rolls back, by id: what two worlds must have in common.
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
                entity.get::<Place>(),
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
    found.expect("the entity is there").0
}

fn despawn_rollback(world: &mut World, entity: Entity) {
    let mut queue = CommandQueue::default();
    Commands::new(&mut queue, world).entity(entity).despawn_rollback();
    queue.apply(world);
}

/// Eight entities with everything on some of them.
fn populate(world: &mut World) -> Vec<Entity> {
    let all: Vec<Entity> = (0..8u32)
        .map(|index| world.spawn((Rollback, Place(index as f32, 0.0), Age(index))).id())
        .collect();
    world.entity_mut(all[0]).insert((Name("zero".into()), Team(1)));
    world.entity_mut(all[1]).insert((Burning(9), Flag(3)));
    world.entity_mut(all[2]).insert((Chases(all[0]), Aim(all[5])));
    world.entity_mut(all[3]).insert((Chases(all[0]), ChildOf(all[0])));
    world.insert_resource(Log(vec![1, 2]));
    all
}

/// Saves, lets `change` change the world, loads, and asserts that everything is as before; then the same once more, for what the
/// first load may have left behind.
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
        *world.get_mut::<Place>(all[4]).unwrap() = Place(7.0, -0.0);
        world.get_mut::<Name>(all[0]).unwrap().0.push_str(" changed");
        world.get_mut::<Burning>(all[1]).unwrap().0 += 1;
        world.entity_mut(all[0]).insert(Team(2));
        world.entity_mut(all[1]).insert(Flag(4));
        world.resource_mut::<Log>().0.push(3);
    });
}

#[test]
fn components_that_came_go_and_those_that_went_come() {
    assert_comes_back(|world, all| {
        world.entity_mut(all[0]).remove::<(Name, Team)>();
        world.entity_mut(all[1]).remove::<(Burning, Flag, Age)>();
        world.entity_mut(all[6]).insert((Name("six".into()), Team(4), Burning(1), Flag(2)));
        world.entity_mut(all[7]).insert((Aim(all[0]), Chases(all[6])));
        world.remove_resource::<Log>();
    });
}

#[test]
fn relations_come_back_on_both_sides() {
    assert_comes_back(|world, all| {
        world.entity_mut(all[2]).insert(Chases(all[5]));
        world.entity_mut(all[3]).remove::<(Chases, ChildOf)>();
        world.entity_mut(all[4]).insert((Chases(all[0]), ChildOf(all[1])));
    });
}

#[test]
fn who_left_in_the_recommended_way_is_the_same_entity_again() {
    assert_comes_back(|world, all| {
        despawn_rollback(world, all[2]);
        despawn_rollback(world, all[5]);
        world.spawn((Rollback, Place(1.0, 1.0), Aim(all[1])));
        world.get_mut::<Age>(all[7]).unwrap().0 += 1;
    });
}

#[test]
fn who_was_despawned_is_spawned_anew_and_referred_to_by_all_that_did() {
    assert_comes_back(|world, all| {
        world.despawn(all[0]);
        world.despawn(all[5]);
        world.get_mut::<Age>(all[7]).unwrap().0 += 1;
    });
}

#[test]
fn another_order_of_rows_is_no_difference() {
    #[derive(Component)]
    struct Elsewhere;
    assert_comes_back(|world, all| {
        for &entity in &[all[3], all[0], all[6]] {
            world.entity_mut(entity).insert(Elsewhere).remove::<Elsewhere>();
        }
        // And one that is in another table than when it was saved.
        world.entity_mut(all[4]).insert(Elsewhere);
        *world.get_mut::<Place>(all[6]).unwrap() = Place(9.0, 9.0);
        world.get_mut::<Age>(all[4]).unwrap().0 += 5;
    });
}

#[test]
fn what_an_observer_does_while_a_frame_is_loaded_is_put_right() {
    let mut app = app(|app| {
        // Whoever gets a name gets a companion, and older: also when a load gives the name back.
        app.add_observer(
            |named: On<Add, Name>, mut commands: Commands, mut ages: Query<&mut Age>| {
                commands.spawn((Rollback, Place(0.0, 0.0)));
                if let Ok(mut age) = ages.get_mut(named.entity) {
                    age.0 += 100;
                }
            },
        );
    });
    let world = app.world_mut();
    let all = populate(world);
    snapshots::save(world, 0);
    let before = picture(world);
    world.despawn(all[0]);
    snapshots::load(world, 0);
    assert_eq!(picture(world), before);
}

#[test]
fn who_gives_its_id_to_another_gets_it_back() {
    assert_comes_back(|world, all| {
        let ids = [all[1], all[5]].map(|entity| *world.get::<RollbackId>(entity).unwrap());
        world.entity_mut(all[5]).insert((Burning(5), Flag(5)));
        for (entity, id) in [all[5], all[1]].into_iter().zip(ids) {
            world.entity_mut(entity).remove::<(Rollback, RollbackId)>().insert((Rollback, id));
        }
        // And one that ceases to exist for the simulation, while another takes its id.
        let id = *world.get::<RollbackId>(all[6]).unwrap();
        world.entity_mut(all[6]).remove::<(Rollback, RollbackId)>();
        world.spawn((Rollback, id, Age(60), Place(0.0, 0.0)));
    });
}

#[test]
fn relations_that_change_hands_move_nobody_elses_values() {
    // The targets of relationships change tables while a frame is loaded, past others in the same tables.
    assert_comes_back(|world, all| {
        world.entity_mut(all[3]).insert(ChildOf(all[5]));
        world.entity_mut(all[2]).insert(Chases(all[6]));
        for &entity in &all[3..] {
            world.get_mut::<Age>(entity).unwrap().0 += 10;
            world.get_mut::<Place>(entity).unwrap().0 += 10.0;
        }
    });
    assert_comes_back(|world, all| {
        despawn_rollback(world, all[4]);
        world.entity_mut(all[3]).insert(ChildOf(all[7]));
        world.get_mut::<Age>(all[0]).unwrap().0 += 10;
    });
}

#[test]
fn a_relation_to_who_leaves_is_cut_when_it_leaves_and_not_when_that_is_confirmed() {
    let mut app = app(|_| {});
    let world = app.world_mut();
    let all = populate(world);
    snapshots::save(world, 0);
    let before = picture(world);
    world.insert_resource(SimFrame(0));
    despawn_rollback(world, all[0]);
    assert!(!world.entity(all[2]).contains::<Chases>());
    snapshots::load(world, 0);
    assert_eq!(picture(world), before, "and whole again");
    despawn_rollback(world, all[0]);
    snapshots::save(world, 1);
    let left = picture(world);
    snapshots::confirm(world, 1);
    assert_eq!(picture(world), left);
    assert!(world.get_entity(all[0]).is_err());
}

#[test]
fn who_is_bound_to_a_stranger_is_not_dragged_along() {
    #[derive(Component, Clone, Serialize, Deserialize)]
    #[relationship(relationship_target = Crew)]
    struct Aboard(#[entities] Entity);
    #[derive(Component)]
    #[relationship_target(relationship = Aboard, linked_spawn)]
    struct Crew(Vec<Entity>);
    let mut app = app(|app| {
        app.rollback_component::<Aboard>();
    });
    let world = app.world_mut();
    let all = populate(world);
    snapshots::save(world, 0);
    let before = picture(world);
    let ship = world.spawn((Rollback, Age(50))).id();
    world.entity_mut(all[6]).insert(Aboard(ship));
    snapshots::load(world, 0);
    assert_eq!(picture(world), before);
    assert!(!world.entity(all[6]).contains::<Aboard>());
}

#[test]
fn what_a_component_requires_goes_again_if_it_was_not_there() {
    #[derive(Component, Clone, Default, Serialize, Deserialize)]
    struct Cooldown(u32);
    #[derive(Component, Clone, Serialize, Deserialize)]
    #[require(Cooldown)]
    struct Gun;
    let mut app = app(|app| {
        app.rollback_component::<Cooldown>().rollback_component::<Gun>();
    });
    let world = app.world_mut();
    let gun = world.spawn((Rollback, Age(1), Gun)).id();
    world.entity_mut(gun).remove::<Cooldown>();
    snapshots::save(world, 0);
    world.despawn(gun);
    snapshots::load(world, 0);
    let gun = by_id(world, 0);
    assert!(world.entity(gun).contains::<Gun>() && !world.entity(gun).contains::<Cooldown>());
}

#[test]
fn hooks_and_observers_of_what_is_inserted_have_no_say_in_what_comes_back() {
    /// Writes another registered component whenever it is inserted.
    #[derive(Component, Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[component(immutable, on_insert = bump)]
    struct Rank(u8);
    fn bump(mut world: DeferredWorld, context: HookContext) {
        if let Some(mut age) = world.get_mut::<Age>(context.entity) {
            age.0 += 100;
        }
    }
    let mut app = app(|app| {
        app.rollback_component::<Rank>().add_observer(
            |ranked: On<Insert, Rank>, mut ages: Query<&mut Age>| {
                if let Ok(mut age) = ages.get_mut(ranked.entity) {
                    age.0 += 1000;
                }
            },
        );
    });
    let world = app.world_mut();
    let all = populate(world);
    for &entity in &all {
        world.entity_mut(entity).insert(Rank(1));
    }
    for frame in 0..2 * DEPTH as u32 {
        snapshots::save(world, frame);
        let before = picture(world);
        let last = by_id(world, 7);
        world.entity_mut(last).insert(Rank(frame as u8 + 2));
        world.insert_resource(SimFrame(frame));
        let gone = by_id(world, 2);
        despawn_rollback(world, gone);
        snapshots::load(world, frame);
        assert_eq!(picture(world), before, "frame {frame}");
        // And what is saved now is what is there.
        snapshots::save(world, frame + 1);
        world.get_mut::<Age>(all[0]).unwrap().0 += 1;
        snapshots::load(world, frame + 1);
        assert_eq!(picture(world), before, "frame {frame}");
    }
}

#[test]
fn observers_of_sparse_components_have_no_say_either() {
    let mut app = app(|app| {
        // Both change the structure of the world, long after it was put right.
        app.add_observer(|_: On<Add, Burning>, mut commands: Commands| {
            commands.spawn((Rollback, Place(0.0, 0.0)));
        })
        .add_observer(|flagged: On<Insert, Flag>, mut commands: Commands| {
            commands.entity(flagged.entity).insert(Name("bearer".into()));
        });
    });
    let world = app.world_mut();
    let all = populate(world);
    world.entity_mut(all[1]).remove::<Name>();
    snapshots::save(world, 0);
    let before = picture(world);
    world.entity_mut(all[1]).remove::<Burning>().insert(Flag(4)).remove::<Name>();
    snapshots::load(world, 0);
    assert_eq!(picture(world), before);
}

#[test]
fn an_observer_of_a_sparse_component_does_not_change_its_value() {
    let mut app = app(|app| {
        app.add_observer(|lit: On<Insert, Burning>, mut fires: Query<&mut Burning>| {
            fires.get_mut(lit.entity).unwrap().0 += 1;
        });
    });
    let world = app.world_mut();
    let all = populate(world);
    snapshots::save(world, 0);
    let before = picture(world);
    world.entity_mut(all[1]).remove::<Burning>();
    snapshots::load(world, 0);
    assert_eq!(picture(world), before);
}

#[test]
fn who_loses_only_its_marker_gets_it_back() {
    assert_comes_back(|world, all| {
        world.entity_mut(all[3]).remove::<Rollback>();
        world.get_mut::<Age>(all[3]).unwrap().0 += 1;
    });
}

#[test]
fn a_later_frame_can_be_loaded_after_an_earlier_one() {
    let mut app = app(|app| {
        app.compare_on_load::<Place>();
    });
    let world = app.world_mut();
    let entity = world.spawn((Rollback, Place(0.0, 1.0))).id();
    snapshots::save(world, 0);
    *world.get_mut::<Place>(entity).unwrap() = Place(-0.0, 1.0);
    snapshots::save(world, 1);
    snapshots::load(world, 0);
    assert!(world.get::<Place>(entity).unwrap().0.is_sign_positive());
    snapshots::load(world, 1);
    assert!(world.get::<Place>(entity).unwrap().0.is_sign_negative());
}

#[test]
fn every_frame_of_the_window_can_be_loaded_in_any_order() {
    let mut app = app(|_| {});
    let world = app.world_mut();
    populate(world);
    let mut pictures = Vec::new();
    for frame in 0..DEPTH as u32 {
        world.insert_resource(SimFrame(frame));
        snapshots::save(world, frame);
        pictures.push(picture(world));
        let entity = by_id(world, frame % 8);
        match frame % 3 {
            0 => despawn_rollback(world, entity),
            1 => {
                world.spawn((Rollback, Name(format!("born in {frame}")), Burning(frame)));
            }
            _ => {
                let mut query = world.query::<&mut Age>();
                query.iter_mut(world).for_each(|mut age| age.0 += frame);
            }
        }
    }
    // A rollback goes back, and what lies after it is simulated anew: so each is further back than the one before.
    for frame in (0..DEPTH as u32).rev() {
        snapshots::load(world, frame);
        assert_eq!(picture(world), pictures[frame as usize], "frame {frame}");
    }
}

#[test]
fn confirmed_frames_are_forgotten_and_the_others_are_not() {
    let mut app = app(|_| {});
    let world = app.world_mut();
    let all = populate(world);
    for frame in 0..6 {
        world.get_mut::<Age>(all[0]).unwrap().0 = 100 + frame;
        snapshots::save(world, frame);
    }
    snapshots::confirm(world, 3);
    for frame in 0..6 {
        assert_eq!(snapshots::checksums(world, frame).is_empty(), frame < 3, "frame {frame}");
    }
    // What is saved next takes the place of what was forgotten, and of nothing else.
    for frame in 6..9 {
        snapshots::save(world, frame);
    }
    snapshots::load(world, 3);
    assert_eq!(world.get::<Age>(all[0]), Some(&Age(103)));
    // All of them: then only the last one stays, for the next to share.
    snapshots::confirm(world, 9);
    assert!(
        !snapshots::checksums(world, 3).is_empty() && snapshots::checksums(world, 8).is_empty()
    );
}

#[test]
fn only_what_differs_counts_as_changed_after_a_load() {
    #[derive(Resource, Default)]
    struct Changed(Vec<&'static str>);
    fn watch(
        mut changed: ResMut<Changed>,
        places: Query<(), bevy::prelude::Changed<Place>>,
        ages: Query<(), bevy::prelude::Changed<Age>>,
        names: Query<(), bevy::prelude::Changed<Name>>,
        log: Option<Res<Log>>,
    ) {
        changed.0.clear();
        changed.0.extend(places.iter().map(|()| "place"));
        changed.0.extend(ages.iter().map(|()| "age"));
        changed.0.extend(names.iter().map(|()| "name"));
        changed.0.extend(log.filter(DetectChanges::is_changed).map(|_| "log"));
    }
    let mut app = app(|app| {
        app.init_resource::<Changed>()
            .compare_on_load::<Place>()
            .compare_on_load::<Name>()
            .compare_resource_on_load::<Log>()
            .add_systems(Update, watch);
    });
    let all = populate(app.world_mut());
    app.update();
    let mut seen = |change: &dyn Fn(&mut World)| {
        snapshots::save(app.world_mut(), 1);
        change(app.world_mut());
        app.update();
        snapshots::load(app.world_mut(), 1);
        app.update();
        app.world().resource::<Changed>().0.clone()
    };
    assert_eq!(seen(&|_| {}), [""; 0], "nothing was touched");
    // Touched, but with the same value: types that compare stay quiet, the other one cannot know.
    let touched = seen(&|world| {
        world.get_mut::<Place>(all[3]).unwrap().set_changed();
        // One of several in its table.
        world.get_mut::<Age>(all[6]).unwrap().set_changed();
        world.get_mut::<Name>(all[0]).unwrap().set_changed();
        world.resource_mut::<Log>().set_changed();
    });
    assert_eq!(touched, ["age"]);
    let changed = seen(&|world| {
        world.get_mut::<Place>(all[3]).unwrap().0 += 1.0;
        world.get_mut::<Age>(all[6]).unwrap().0 += 1;
        world.get_mut::<Name>(all[0]).unwrap().0.push('!');
        world.resource_mut::<Log>().0.push(7);
    });
    assert_eq!(changed, ["place", "age", "name", "log"]);
    // The same frame once more: by now the world is what it was.
    snapshots::load(app.world_mut(), 1);
    app.update();
    assert_eq!(app.world().resource::<Changed>().0, [""; 0]);
}

#[test]
fn a_parent_that_is_the_same_is_not_inserted_again() {
    #[derive(Resource, Default)]
    struct Insertions(u32);
    let mut app = app(|app| {
        app.init_resource::<Insertions>().add_observer(
            |_: On<Insert, ChildOf>, mut insertions: ResMut<Insertions>| insertions.0 += 1,
        );
    });
    let world = app.world_mut();
    let all = populate(world);
    snapshots::save(world, 0);
    // Touched, and as it was; an insertion would put the child at the end of its siblings.
    world.entity_mut(all[3]).insert(ChildOf(all[0]));
    let before = world.resource::<Insertions>().0;
    snapshots::load(world, 0);
    assert_eq!(world.resource::<Insertions>().0, before);
}

#[test]
fn zeros_of_either_sign_come_back_although_they_are_equal() {
    let mut app = app(|app| {
        app.compare_on_load::<Place>();
    });
    let world = app.world_mut();
    let entity = world.spawn((Rollback, Place(0.0, -0.0))).id();
    for frame in 0..3 * DEPTH as u32 {
        snapshots::save(world, frame);
        *world.get_mut::<Place>(entity).unwrap() = Place(-0.0, 0.0);
        snapshots::load(world, frame);
        let Place(x, y) = world.get::<Place>(entity).unwrap();
        assert!(x.is_sign_positive() && y.is_sign_negative());
    }
}

#[test]
fn zeros_of_either_sign_in_values_that_own_memory_are_saved_as_they_are() {
    #[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Dial(String, f32);
    let mut app = app(|app| {
        app.rollback_component::<Dial>().compare_on_load::<Dial>();
    });
    let world = app.world_mut();
    let [one, other] = [0.0, 1.0].map(|at| world.spawn((Rollback, Dial("dial".into(), at))).id());
    let turn = |world: &mut World, entity, to| world.get_mut::<Dial>(entity).unwrap().1 = to;
    snapshots::save(world, 0);
    turn(world, one, -0.0);
    snapshots::save(world, 1);
    snapshots::load(world, 0);
    // The buffer that the second frame gets now still holds the other zero, and that is no newer change.
    turn(world, other, 2.0);
    snapshots::save(world, 1);
    turn(world, one, 3.0);
    snapshots::load(world, 1);
    assert!(world.get::<Dial>(one).unwrap().1.is_sign_positive());
}

#[test]
fn zeros_of_either_sign_in_immutable_components_come_back() {
    #[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[component(immutable)]
    struct Pole(f32);
    #[derive(Resource, Default)]
    struct Insertions(u32);
    let mut app = app(|app| {
        app.rollback_component::<Pole>()
            .compare_on_load::<Pole>()
            .init_resource::<Insertions>()
            .add_observer(|_: On<Insert, Pole>, mut insertions: ResMut<Insertions>| {
                insertions.0 += 1;
            });
    });
    let world = app.world_mut();
    let entity = world.spawn((Rollback, Pole(0.0))).id();
    snapshots::save(world, 0);
    world.entity_mut(entity).insert(Pole(-0.0));
    snapshots::load(world, 0);
    assert!(world.get::<Pole>(entity).unwrap().0.is_sign_positive());
    // What is the same to the last bit is not inserted again.
    world.entity_mut(entity).insert(Pole(0.0));
    let before = world.resource::<Insertions>().0;
    snapshots::load(world, 0);
    assert_eq!(world.resource::<Insertions>().0, before);
}

#[test]
fn zeros_of_either_sign_in_resources_are_saved_as_they_are() {
    #[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Wind(f32);
    let mut app = app(|app| {
        app.insert_resource(Wind(0.0))
            .rollback_resource::<Wind>()
            .compare_resource_on_load::<Wind>();
    });
    let world = app.world_mut();
    snapshots::save(world, 0);
    world.resource_mut::<Wind>().0 = -0.0;
    snapshots::save(world, 1);
    snapshots::load(world, 0);
    // What the second frame was saved as still holds the other zero, and that is no newer change.
    snapshots::save(world, 1);
    world.resource_mut::<Wind>().0 = 3.0;
    snapshots::load(world, 1);
    assert!(world.resource::<Wind>().0.is_sign_positive());
}

#[test]
#[should_panic(expected = "does not roll back")]
fn what_is_not_registered_cannot_be_compared() {
    #[derive(Component, Clone, PartialEq)]
    struct Stranger;
    App::new().compare_on_load::<Stranger>();
}

#[test]
fn order_is_that_of_the_ids_whatever_happened_to_the_rows() {
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
        // Other entities, other rows, another table.
        world.spawn_empty();
        let one = world.spawn((Rollback, Age(5))).id();
        world.spawn((Rollback, Age(6)));
        world.entity_mut(one).insert(Disabled).remove::<Disabled>();
    });
    assert_eq!(changed(&base, &same), [""; 0]);
}
