//! Hooks, observers and required components act while a frame is loaded, but do not change what the
//! load brings back.

use bevy::ecs::{lifecycle::HookContext, world::DeferredWorld};

use super::*;

#[test]
fn changes_by_observers_during_a_load_are_undone() {
    let mut app = app(|app| {
        // Whenever an entity gets a name, even from a load, it gets older and a companion is
        // spawned.
        app.add_observer(
            |named: On<Add, Name>, mut commands: Commands, mut ages: Query<&mut Age>| {
                commands.spawn((Rollback, Position(0.0, 0.0)));
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
fn a_required_component_that_was_not_saved_is_removed_again() {
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
fn hooks_and_observers_of_insertions_do_not_change_what_comes_back() {
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
        // A save at this point keeps what the load brought back.
        snapshots::save(world, frame + 1);
        world.get_mut::<Age>(all[0]).unwrap().0 += 1;
        snapshots::load(world, frame + 1);
        assert_eq!(picture(world), before, "frame {frame}");
    }
}

#[test]
fn observers_of_sparse_components_do_not_change_what_comes_back() {
    let mut app = app(|app| {
        // Both change the structure of the world, after the load has restored it.
        app.add_observer(|_: On<Add, Burning>, mut commands: Commands| {
            commands.spawn((Rollback, Position(0.0, 0.0)));
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
