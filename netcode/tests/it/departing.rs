//! Entities that leave with `despawn_rollback`: hooks and observers of the removal of their
//! components run in that frame, and nothing that rolls back changes when the frame is confirmed.

use bevy::{
    ecs::{
        entity_disabling::Disabled,
        lifecycle::HookContext,
        world::{CommandQueue, DeferredWorld},
    },
    prelude::*,
};
use netcode::{
    SyncTestFailure,
    prelude::*,
    testing::{self, Stepper, snapshots},
};
use serde::{Deserialize, Serialize};

use crate::support::{assert_agreement, stats};

/// The number of things of each kind, counted by observers and hooks as things come and go. It
/// rolls back.
#[derive(Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Seen {
    rocks: i32,
    hulls: i32,
    fuses: i32,
    turrets: i32,
    children: i32,
    chased: i32,
    /// These count up: the number of times that each was seen.
    replaced: u32,
    despawned: u32,
    despawned_by_hook: u32,
}

#[derive(Component, Clone, Debug, Default, Serialize, Deserialize)]
#[require(Hull)]
struct Rock {
    age: u32,
}

/// Required by a rock.
#[derive(Component, Clone, Debug, Default, Serialize, Deserialize)]
struct Hull;

/// Has hooks.
#[derive(Component, Clone, Debug, Default, Serialize, Deserialize)]
#[component(
    immutable,
    storage = "SparseSet",
    on_add = light,
    on_remove = put_out,
    on_despawn = count_despawn
)]
struct Fuse;

fn light(world: DeferredWorld, _: HookContext) {
    change(world, |seen| seen.fuses += 1);
}

fn put_out(world: DeferredWorld, _: HookContext) {
    change(world, |seen| seen.fuses -= 1);
}

fn count_despawn(world: DeferredWorld, _: HookContext) {
    change(world, |seen| seen.despawned_by_hook += 1);
}

fn change(mut world: DeferredWorld, change: impl FnOnce(&mut Seen)) {
    change(&mut world.resource_mut::<Seen>());
}

/// Is a child.
#[derive(Component, Clone, Debug, Serialize, Deserialize)]
struct Turret;

#[derive(Component, Clone, Debug, Serialize, Deserialize)]
#[relationship(relationship_target = ChasedBy)]
struct Chases(#[entities] Entity);

#[derive(Component, Debug)]
#[relationship_target(relationship = Chases)]
struct ChasedBy(Vec<Entity>);

#[derive(Component, Clone, Debug, Serialize, Deserialize)]
struct Ship;

/// Not registered: a stand-in for what a renderer attaches to an entity.
#[derive(Component, Debug, PartialEq)]
struct Sprite(u32);

fn watch<C: Component>(app: &mut App, of: fn(&mut Seen) -> &mut i32) {
    app.add_observer(move |_: On<Add, C>, mut seen: ResMut<Seen>| *of(&mut seen) += 1)
        .add_observer(move |_: On<Remove, C>, mut seen: ResMut<Seen>| *of(&mut seen) -= 1);
}

fn register(app: &mut App) {
    app.add_plugins(NetcodePlugin::<u8>::default())
        .rollback_component::<Rock>()
        .rollback_component::<Hull>()
        .rollback_component::<Fuse>()
        .rollback_component::<Turret>()
        .rollback_component::<Chases>()
        .rollback_component::<Ship>()
        .init_resource::<Seen>()
        .rollback_resource::<Seen>();
    watch::<Rock>(app, |seen| &mut seen.rocks);
    watch::<Hull>(app, |seen| &mut seen.hulls);
    watch::<Turret>(app, |seen| &mut seen.turrets);
    watch::<ChildOf>(app, |seen| &mut seen.children);
    watch::<ChasedBy>(app, |seen| &mut seen.chased);
    app.add_observer(|_: On<Discard, Rock>, mut seen: ResMut<Seen>| seen.replaced += 1)
        .add_observer(|_: On<Despawn, Rock>, mut seen: ResMut<Seen>| seen.despawned += 1);
}

/// A game in which rocks come and go. Each frame checks that all hooks and observers have counted
/// what there is.
fn game(app: &mut App) {
    register(app);
    app.add_systems(SetupMatch, |mut commands: Commands| {
        commands.spawn((Rollback, Ship));
    })
    .add_systems(Simulate, (look, grow_old, bring).chain());
    testing::random_inputs(app, |random| random as u8);
}

fn look(
    seen: Res<Seen>,
    rocks: Query<(), With<Rock>>,
    hulls: Query<(), With<Hull>>,
    fuses: Query<(), With<Fuse>>,
    turrets: Query<(), With<Turret>>,
    children: Query<(), (With<ChildOf>, With<Rollback>)>,
    chased: Query<(), With<ChasedBy>>,
) {
    let count = [
        (rocks.iter().count(), seen.rocks),
        (hulls.iter().count(), seen.hulls),
        (fuses.iter().count(), seen.fuses),
        (turrets.iter().count(), seen.turrets),
        (children.iter().count(), seen.children),
        (chased.iter().count(), seen.chased),
        (seen.replaced as usize, seen.despawned as i32),
        (seen.despawned as usize, seen.despawned_by_hook as i32),
    ];
    assert!(count.iter().all(|&(there, seen)| there as i32 == seen), "{count:?}");
}

fn grow_old(
    mut commands: Commands,
    inputs: Res<PlayerInputs<u8>>,
    mut rocks: Ordered<(Entity, &mut Rock)>,
) {
    for (entity, mut rock) in rocks.iter_mut() {
        rock.age += 1 + u32::from(inputs.get(Seat(0)) % 2 + inputs.get(Seat(1)) % 2);
        if rock.age > 12 {
            commands.entity(entity).despawn_rollback();
        }
    }
}

fn bring(mut commands: Commands, frame: Res<SimFrame>, ships: Query<Entity, With<Ship>>) {
    if !frame.0.is_multiple_of(4) {
        return;
    }
    let mut rock = commands.spawn((Rollback, Rock::default(), Fuse, Sprite(1)));
    rock.with_child((Rollback, Turret));
    // There are times when no rock chases the ship.
    if frame.0 % 40 < 12 {
        rock.insert(Chases(ships.single().expect("there is one ship")));
    }
}

#[test]
fn observers_and_hooks_of_removal_run_in_the_frame_of_the_departure() {
    let mut peers = Stepper::in_match(2, |_, app| game(app));
    peers.set_network(LinkConditions::WIFI, 1);
    peers.updates(400);
    assert!(peers.apps().iter().all(|app| stats(app).rollbacks > 20));
    assert_agreement(&peers, 5);
    let seen = peers.app(0).world().resource::<Seen>();
    assert!(seen.despawned > 50, "{seen:?}");
}

#[test]
fn a_sync_test_in_chaos_finds_nothing_wrong_with_observers_and_hooks() {
    let mut app = App::new();
    app.add_plugins(MinimalPlugins);
    game(&mut app);
    let result = testing::sync_test(&mut app, SyncTest::CHAOS, 2, 600);
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn an_entity_whose_departure_is_undone_has_everything_it_had() {
    let mut app = App::new();
    app.add_plugins(MinimalPlugins);
    register(&mut app);
    let world = app.world_mut();
    let ship = world.spawn((Rollback, Ship)).id();
    let rock = world
        .spawn((Rollback, Rock { age: 7 }, Fuse, Chases(ship), Sprite(7), children![Sprite(8)]))
        .id();
    let turret = world.spawn((Rollback, Turret, ChildOf(rock))).id();
    snapshots::set_depth(world, 8);
    let before = world.resource::<Seen>().clone();
    for frame in 1..=20 {
        world.insert_resource(SimFrame(frame));
        snapshots::save(world, frame);
        let mut queue = CommandQueue::default();
        Commands::new(&mut queue, world).entity(rock).despawn_rollback();
        queue.apply(world);
        // The sprite stays its child until it is despawned for good.
        let gone = Seen {
            children: 1,
            replaced: 1,
            despawned: 1,
            despawned_by_hook: 1,
            ..Seen::default()
        };
        assert_eq!(*world.resource::<Seen>(), gone, "frame {frame}");
        assert!(world.get::<Sprite>(rock).is_some() && world.get::<ChasedBy>(ship).is_none());
        snapshots::save(world, frame + 1);
        snapshots::load(world, frame);
        assert_eq!(*world.resource::<Seen>(), before, "frame {frame}");
        let entity = world.entity(rock);
        assert_eq!(entity.get::<Rock>().map(|rock| rock.age), Some(7));
        assert_eq!(entity.get::<Sprite>(), Some(&Sprite(7)), "the entity is the same");
        assert!(entity.contains::<Fuse>() && !entity.contains::<Disabled>());
        assert_eq!(entity.get::<Chases>().map(|chases| chases.0), Some(ship));
        assert_eq!(entity.get::<Children>().map_or(0, RelationshipTarget::len), 2);
        assert_eq!(world.get::<ChildOf>(turret).map(ChildOf::parent), Some(rock));
    }
}

/// A component that is not registered, but whose removal changes a registered value. It leaves with
/// the entity.
#[derive(Component)]
struct Shield;

fn lose_shield(_: On<Remove, Shield>, mut seen: ResMut<Seen>) {
    seen.replaced += 100;
}

fn shielded(app: &mut App) {
    fn simulate(
        mut commands: Commands,
        frame: Res<SimFrame>,
        inputs: Res<PlayerInputs<u8>>,
        mut rocks: Ordered<(Entity, &mut Rock)>,
    ) {
        commands.spawn((Rollback, Rock { age: frame.0 })).with_child(Shield);
        for (entity, mut rock) in rocks.iter_mut() {
            rock.age += u32::from(inputs.get(Seat(0)) % 2);
            if rock.age + 3 < frame.0 {
                commands.entity(entity).despawn_rollback();
            }
        }
    }
    app.add_plugins(NetcodePlugin::<u8>::default())
        .rollback_component::<Rock>()
        .init_resource::<Seen>()
        .rollback_resource::<Seen>()
        .add_observer(lose_shield)
        .add_systems(Simulate, simulate);
    testing::random_inputs(app, |random| random as u8);
}

#[test]
fn nothing_that_rolls_back_changes_when_a_departure_is_confirmed() {
    let mut peers = Stepper::in_match(2, |_, app| shielded(app));
    peers.set_network(LinkConditions::WIFI, 1);
    peers.updates(300);
    assert_agreement(&peers, 5);
    for app in peers.apps() {
        assert!(app.world().resource::<Seen>().replaced < 100);
    }
}

#[test]
fn the_sync_test_names_what_would_change_state_at_a_confirmation() {
    let mut app = App::new();
    app.add_plugins(MinimalPlugins);
    shielded(&mut app);
    let failure = testing::sync_test(&mut app, SyncTest::EVERY_DEPTH, 2, 200);
    let failure = failure.expect_err("an observer changes what rolls back");
    assert!(matches!(failure, SyncTestFailure::ChangedAtConfirmation(_)), "{failure}");
    let text = failure.to_string();
    for name in ["::Seen`", "`replaced`", "lose_shield", "::Shield`"] {
        assert!(text.contains(name), "{name} is not named in: {text}");
    }
}

#[test]
fn a_relationship_to_an_entity_that_has_left_is_cut_within_a_frame() {
    /// The number of frames that began with the sailor aboard or in pursuit.
    #[derive(Component, Clone, Default, Serialize, Deserialize)]
    struct Sailor(u32);
    fn simulate(
        mut commands: Commands,
        frame: Res<SimFrame>,
        ships: Query<Entity, With<Ship>>,
        mut sailors: Query<(Entity, &mut Sailor, Has<ChildOf>, Has<Chases>)>,
    ) {
        let (sailor, mut count, is_aboard, is_in_pursuit) =
            sailors.single_mut().expect("there is one sailor");
        count.0 += u32::from(is_aboard) + u32::from(is_in_pursuit);
        match (frame.0 % 12, ships.single()) {
            (0, Err(_)) => drop(commands.spawn((Rollback, Ship))),
            (6, Ok(ship)) => {
                commands.entity(ship).despawn_rollback();
                commands.entity(sailor).insert((ChildOf(ship), Chases(ship)));
            }
            _ => {}
        }
    }
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default()))
        .rollback_component::<Ship>()
        .rollback_component::<Sailor>()
        .rollback_component::<Chases>()
        .add_systems(SetupMatch, |mut commands: Commands| {
            commands.spawn((Rollback, Sailor::default()));
        })
        .add_systems(Simulate, simulate)
        .add_systems(Last, |sailors: Query<&Sailor>| {
            assert!(
                sailors.iter().all(|sailor| sailor.0 == 0),
                "no sailor is aboard a ship that has left"
            );
        });
    let result = testing::sync_test(&mut app, SyncTest::CHAOS, 2, 300);
    result.unwrap_or_else(|failure| panic!("{failure}"));
}
