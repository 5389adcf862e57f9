//! Entities that leave, come back, or change their ids and relationships.

use super::*;

#[test]
fn relationships_come_back_on_both_sides() {
    assert_comes_back(|world, all| {
        world.entity_mut(all[2]).insert(Chases(all[5]));
        world.entity_mut(all[3]).remove::<(Chases, ChildOf)>();
        world.entity_mut(all[4]).insert((Chases(all[0]), ChildOf(all[1])));
    });
}

#[test]
fn an_entity_that_left_with_despawn_rollback_comes_back_as_itself() {
    assert_comes_back(|world, all| {
        despawn_rollback(world, all[2]);
        despawn_rollback(world, all[5]);
        world.spawn((Rollback, Position(1.0, 1.0), Aim(all[1])));
        world.get_mut::<Age>(all[7]).unwrap().0 += 1;
    });
}

#[test]
fn a_despawned_entity_is_spawned_again_and_all_references_find_it() {
    assert_comes_back(|world, all| {
        world.despawn(all[0]);
        world.despawn(all[5]);
        world.get_mut::<Age>(all[7]).unwrap().0 += 1;
    });
}

#[test]
fn an_entity_that_gave_its_id_away_gets_it_back() {
    assert_comes_back(|world, all| {
        let ids = [all[1], all[5]].map(|entity| *world.get::<RollbackId>(entity).unwrap());
        world.entity_mut(all[5]).insert((Burning(5), Flag(5)));
        for (entity, id) in [all[5], all[1]].into_iter().zip(ids) {
            world.entity_mut(entity).remove::<(Rollback, RollbackId)>().insert((Rollback, id));
        }
        // Another entity leaves the simulation, and a new one takes its id.
        let id = *world.get::<RollbackId>(all[6]).unwrap();
        world.entity_mut(all[6]).remove::<(Rollback, RollbackId)>();
        world.spawn((Rollback, id, Age(60), Position(0.0, 0.0)));
    });
}

#[test]
fn an_entity_that_lost_only_its_marker_gets_it_back() {
    assert_comes_back(|world, all| {
        world.entity_mut(all[3]).remove::<Rollback>();
        world.get_mut::<Age>(all[3]).unwrap().0 += 1;
    });
}

#[test]
fn changed_relationships_do_not_mix_up_values_of_other_entities() {
    // During a load, the targets of relationships move between tables, which moves other rows.
    assert_comes_back(|world, all| {
        world.entity_mut(all[3]).insert(ChildOf(all[5]));
        world.entity_mut(all[2]).insert(Chases(all[6]));
        for &entity in &all[3..] {
            world.get_mut::<Age>(entity).unwrap().0 += 10;
            world.get_mut::<Position>(entity).unwrap().0 += 10.0;
        }
    });
    assert_comes_back(|world, all| {
        despawn_rollback(world, all[4]);
        world.entity_mut(all[3]).insert(ChildOf(all[7]));
        world.get_mut::<Age>(all[0]).unwrap().0 += 10;
    });
}

#[test]
fn a_relationship_to_a_leaver_is_cut_at_once_and_not_at_the_confirmation() {
    let mut app = app(|_| {});
    let world = app.world_mut();
    let all = populate(world);
    snapshots::save(world, 0);
    let before = picture(world);
    world.insert_resource(SimFrame(0));
    despawn_rollback(world, all[0]);
    assert!(!world.entity(all[2]).contains::<Chases>());
    snapshots::load(world, 0);
    assert_eq!(picture(world), before, "the relationship is back");
    despawn_rollback(world, all[0]);
    snapshots::save(world, 1);
    let left = picture(world);
    snapshots::confirm(world, 1);
    assert_eq!(picture(world), left);
    assert!(world.get_entity(all[0]).is_err());
}

#[test]
fn an_entity_survives_a_linked_one_whose_spawn_is_rolled_back() {
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
