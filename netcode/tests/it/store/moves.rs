//! Rows that move: none may go unnoticed, because saves and loads skip rows that have not moved.

use proptest::{collection::vec, prelude::*, test_runner::RngSeed};

use super::*;

/// Neither of these is registered: an entity that gets or loses one moves to another table, and has
/// no other change.
#[derive(Component)]
struct One;
#[derive(Component)]
struct Other;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The entity with this index gets `One`.
    Insert(usize),
    InsertOther(usize),
    /// The first entity gets the second as its parent.
    Adopt(usize, usize),
    Retain(usize),
    Remove(usize),
    RemoveOther(usize),
    /// The entity moves to another table and back, so that only the order of rows differs.
    ThereAndBack(usize),
    TakeAway(usize),
    Spawn,
    SpawnElsewhere,
    Clone(usize),
    Despawn(usize),
    DespawnRollback(usize),
    /// Without its marker, an entity keeps its id but does not roll back.
    Unmark(usize),
    /// An entity that has an id but no marker gets the marker, in whatever table it is.
    Mark,
    /// Two entities swap their ids.
    SwapIds(usize, usize),
    Change(usize),
    Update,
    Save,
    /// Confirms all saved frames except this number of the newest ones.
    Confirm(u32),
    Load(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let entity = 0..8usize;
    prop_oneof![
        4 => entity.clone().prop_map(Step::Insert),
        4 => entity.clone().prop_map(Step::InsertOther),
        2 => entity.clone().prop_map(Step::Remove),
        2 => entity.clone().prop_map(Step::RemoveOther),
        1 => entity.clone().prop_map(Step::ThereAndBack),
        1 => entity.clone().prop_map(Step::TakeAway),
        3 => Just(Step::Spawn),
        1 => Just(Step::SpawnElsewhere),
        1 => entity.clone().prop_map(Step::Clone),
        1 => entity.clone().prop_map(Step::Despawn),
        3 => entity.clone().prop_map(Step::DespawnRollback),
        2 => entity.clone().prop_map(Step::Unmark),
        4 => Just(Step::Mark),
        1 => (entity.clone(), entity.clone()).prop_map(|(one, other)| Step::SwapIds(one, other)),
        3 => entity.clone().prop_map(Step::Change),
        1 => (entity.clone(), entity.clone()).prop_map(|(one, other)| Step::Adopt(one, other)),
        1 => entity.clone().prop_map(Step::Retain),
        2 => Just(Step::Update),
        2 => (1..6u32).prop_map(Step::Confirm),
        20 => Just(Step::Save),
        4 => (0..4u32).prop_map(Step::Load),
    ]
}

/// What must come back: values by id.
fn values(world: &mut World) -> Vec<(u32, Position, Age)> {
    let mut query = world
        .query_filtered::<(&RollbackId, &Position, &Age), (With<Rollback>, Without<Disabled>)>();
    let mut all: Vec<_> =
        query.iter(world).map(|(id, &position, &age)| (id.get(), position, age)).collect();
    all.sort_unstable_by_key(|&(id, ..)| id);
    all
}

fn pick(world: &mut World, index: usize) -> Option<Entity> {
    let mut query =
        world.query_filtered::<(&RollbackId, Entity), (With<Rollback>, Without<Disabled>)>();
    let mut all: Vec<_> = query.iter(world).collect();
    all.sort_unstable();
    all.get(index % all.len().max(1)).map(|&(_, entity)| entity)
}

fn apply_step(world: &mut World, step: Step) {
    let chosen = match step {
        Step::Insert(index)
        | Step::InsertOther(index)
        | Step::Remove(index)
        | Step::RemoveOther(index)
        | Step::ThereAndBack(index)
        | Step::TakeAway(index)
        | Step::Clone(index)
        | Step::Despawn(index)
        | Step::DespawnRollback(index)
        | Step::Unmark(index)
        | Step::SwapIds(index, _)
        | Step::Adopt(index, _)
        | Step::Retain(index)
        | Step::Change(index) => pick(world, index),
        _ => None,
    };
    let new = || (Rollback, Position(0.5, 0.5), Age(50));
    if let Some(entity) = chosen {
        let mut it = world.entity_mut(entity);
        match step {
            Step::Insert(_) => drop(it.insert(One)),
            Step::InsertOther(_) => drop(it.insert(Other)),
            Step::Remove(_) => drop(it.remove::<One>()),
            Step::RemoveOther(_) => drop(it.remove::<Other>()),
            Step::ThereAndBack(_) => drop(it.insert((One, Other)).remove::<(One, Other)>()),
            Step::TakeAway(_) => drop(it.take::<One>()),
            Step::Clone(_) => drop(it.clone_and_spawn()),
            Step::Despawn(_) => it.despawn(),
            Step::DespawnRollback(_) => despawn_rollback(world, entity),
            Step::Unmark(_) => drop(it.remove::<Rollback>()),
            Step::SwapIds(_, index) => {
                let other = pick(world, index).expect("there is at least one entity");
                let [one, two] = [entity, other].map(|it| world.get::<RollbackId>(it).copied());
                world.entity_mut(entity).insert(two.expect("an entity that rolls back has an id"));
                world.entity_mut(other).insert(one.expect("an entity that rolls back has an id"));
            }
            Step::Retain(_) => drop(it.retain::<(Rollback, RollbackId, Position, Age)>()),
            Step::Adopt(_, index) => {
                let parent = pick(world, index).expect("there is at least one entity");
                let is_tree = |world: &World| {
                    world.get::<ChildOf>(parent).is_none()
                        && world.get::<Children>(entity).is_none()
                };
                if parent != entity && is_tree(world) {
                    world.entity_mut(entity).insert(ChildOf(parent));
                }
            }
            _ => {
                it.get_mut::<Age>().expect("every entity has one").0 += 1;
                it.get_mut::<Position>().expect("every entity has one").1 += 1.0;
            }
        }
        return;
    }
    match step {
        Step::Spawn => drop(world.spawn(new())),
        Step::SpawnElsewhere => drop(world.spawn((new(), One))),
        Step::Mark => {
            let mut query = world.query_filtered::<Entity, (With<RollbackId>, Without<Rollback>)>();
            if let Some(entity) = query.iter(world).next() {
                world.entity_mut(entity).insert(Rollback);
            }
        }
        _ => {}
    }
}

/// Enough rows that no build reads them unless it must.
const MANY: u32 = 1_200;

/// Saves a world with many entities before and after a change of its rows, with an update in
/// between as in a game, and asserts that loads restore both frames.
fn assert_is_noticed(change: impl Fn(&mut World, &[Entity])) {
    let mut app = app(|_| {});
    let world = app.world_mut();
    let all: Vec<Entity> = (0..MANY)
        .map(|index| world.spawn((Rollback, Position(index as f32, 0.0), Age(index))).id())
        .collect();
    for &entity in &all[..10] {
        world.entity_mut(entity).insert(One);
    }
    snapshots::save(world, 0);
    app.update();
    let world = app.world_mut();
    let first = values(world);
    change(world, &all);
    world.insert_resource(SimFrame(1));
    let second = values(world);
    snapshots::save(world, 1);
    world.query::<&mut Age>().iter_mut(world).for_each(|mut age| age.0 += 1_000);
    // Makes the load compare the rows, even if the save took them for unchanged.
    world.entity_mut(all[all.len() - 1]).insert(Other).remove::<Other>();
    snapshots::load(world, 1);
    assert_eq!(values(world), second);
    world.query::<&mut Age>().iter_mut(world).for_each(|mut age| age.0 += 1_000);
    snapshots::load(world, 0);
    assert_eq!(values(world), first);
}

#[test]
fn rows_that_only_change_places_among_many_are_noticed() {
    assert_is_noticed(|world, all| {
        for &entity in &all[600..700] {
            world.entity_mut(entity).insert(Other).remove::<Other>();
        }
    });
}

#[test]
fn a_table_that_all_entities_leave_is_noticed() {
    assert_is_noticed(|world, all| {
        all[..10].iter().for_each(|&entity| despawn_rollback(world, entity));
    });
}

#[test]
fn an_arrival_in_place_of_a_leaver_is_noticed() {
    assert_is_noticed(|world, all| {
        despawn_rollback(world, all[20]);
        world.spawn((Rollback, Position(0.5, 0.5), Age(50)));
    });
}

/// The cases are the same in each run; `PROPTEST_CASES` sets their number.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_move_of_rows_goes_unnoticed(steps in vec(step(), 1..80)) {
        let mut app = app(|_| {});
        for index in 0..6u32 {
            app.world_mut().spawn((Rollback, Position(index as f32, 0.0), Age(index)));
        }
        let mut saved = Vec::new();
        let (mut latest, mut confirmed) = (0, 0);
        for step in steps {
            let frame = saved.len() as u32;
            let world = app.world_mut();
            match step {
                Step::Save => {
                    world.insert_resource(SimFrame(frame));
                    snapshots::save(world, frame);
                    saved.push(values(world));
                    latest = latest.max(frame);
                    world.increment_change_tick();
                }
                Step::Load(back) if back < frame => {
                    let frame = frame - 1 - back;
                    if frame < confirmed || frame + DEPTH as u32 <= latest {
                        continue;
                    }
                    snapshots::load(world, frame);
                    prop_assert_eq!(&values(world), &saved[frame as usize], "frame {}", frame);
                    saved.truncate(frame as usize + 1);
                    world.insert_resource(SimFrame(frame));
                    // The ids of these entities will be assigned again, like all others.
                    let mut strangers =
                        world.query_filtered::<Entity, (With<RollbackId>, Without<Rollback>)>();
                    let strangers: Vec<Entity> = strangers.iter(world).collect();
                    for entity in strangers {
                        world.despawn(entity);
                    }
                    world.increment_change_tick();
                }
                Step::Confirm(kept) => {
                    confirmed = confirmed.max(frame.saturating_sub(kept));
                    snapshots::confirm(world, confirmed);
                }
                Step::Update => app.update(),
                other => apply_step(world, other),
            }
        }
    }
}
