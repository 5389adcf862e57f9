//! What counts as changed after a load, and values that are equal but not the same.

use super::*;

#[test]
fn only_values_that_differ_count_as_changed_after_a_load() {
    #[derive(Resource, Default)]
    struct Changed(Vec<&'static str>);
    fn watch(
        mut changed: ResMut<Changed>,
        positions: Query<(), bevy::prelude::Changed<Position>>,
        ages: Query<(), bevy::prelude::Changed<Age>>,
        names: Query<(), bevy::prelude::Changed<Name>>,
        log: Option<Res<Log>>,
    ) {
        changed.0.clear();
        changed.0.extend(positions.iter().map(|()| "position"));
        changed.0.extend(ages.iter().map(|()| "age"));
        changed.0.extend(names.iter().map(|()| "name"));
        changed.0.extend(log.filter(DetectChanges::is_changed).map(|_| "log"));
    }
    let mut app = app(|app| {
        app.init_resource::<Changed>()
            .compare_on_load::<Position>()
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
    // All are written with the same value. Types that a load compares do not count as changed; for
    // the other type, the store cannot know.
    let touched = seen(&|world| {
        world.get_mut::<Position>(all[3]).unwrap().set_changed();
        // One of several in its table.
        world.get_mut::<Age>(all[6]).unwrap().set_changed();
        world.get_mut::<Name>(all[0]).unwrap().set_changed();
        world.resource_mut::<Log>().set_changed();
    });
    assert_eq!(touched, ["age"]);
    let changed = seen(&|world| {
        world.get_mut::<Position>(all[3]).unwrap().0 += 1.0;
        world.get_mut::<Age>(all[6]).unwrap().0 += 1;
        world.get_mut::<Name>(all[0]).unwrap().0.push('!');
        world.resource_mut::<Log>().0.push(7);
    });
    assert_eq!(changed, ["position", "age", "name", "log"]);
    // The same frame once more: by now the world equals it.
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
    // Written with the same parent; an insertion would put the child at the end of its siblings.
    world.entity_mut(all[3]).insert(ChildOf(all[0]));
    let before = world.resource::<Insertions>().0;
    snapshots::load(world, 0);
    assert_eq!(world.resource::<Insertions>().0, before);
}

#[test]
fn zeros_of_either_sign_come_back_although_they_are_equal() {
    let mut app = app(|app| {
        app.compare_on_load::<Position>();
    });
    let world = app.world_mut();
    let entity = world.spawn((Rollback, Position(0.0, -0.0))).id();
    for frame in 0..3 * DEPTH as u32 {
        snapshots::save(world, frame);
        *world.get_mut::<Position>(entity).unwrap() = Position(-0.0, 0.0);
        snapshots::load(world, frame);
        let Position(x, y) = world.get::<Position>(entity).unwrap();
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
    // The second frame now gets a buffer that still holds the other zero, and no newer tick shows
    // it.
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
    // A parent that is the same to the last bit is not inserted again.
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
    // The slot of the second frame still holds the other zero, and no newer tick shows it.
    snapshots::save(world, 1);
    world.resource_mut::<Wind>().0 = 3.0;
    snapshots::load(world, 1);
    assert!(world.resource::<Wind>().0.is_sign_positive());
}

#[test]
#[should_panic(expected = "does not roll back")]
fn an_unregistered_type_cannot_be_compared() {
    #[derive(Component, Clone, PartialEq)]
    struct Stranger;
    App::new().compare_on_load::<Stranger>();
}
