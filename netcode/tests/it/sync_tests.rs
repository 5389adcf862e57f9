//! The sync test and the audit, with games that contain typical mistakes. Each mistake is caught,
//! and its cause is named.

use bevy::{ecs::schedule::ScheduleConfigs, ecs::system::ScheduleSystem, prelude::*};
use netcode::{
    AuditProblem, AuditReport, Divergence, DivergenceCause, SyncTestFailure, prelude::*, testing,
};
use serde::{Deserialize, Serialize};

#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Body {
    position: Position,
    speed: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Position {
    x: f32,
    y: f32,
}

const STILL: Body = Body { position: Position { x: 0.0, y: 0.0 }, speed: 0.0 };

/// A headless game with five bodies, and these systems.
fn game<M>(systems: impl IntoScheduleConfigs<ScheduleSystem, M>) -> App {
    let systems: ScheduleConfigs<ScheduleSystem> = systems.into_configs();
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default()))
        .rollback_component::<Body>()
        .add_systems(SetupMatch, |mut commands: Commands| {
            for index in 0..5u8 {
                commands.spawn((Rollback, Body { speed: f32::from(index), ..STILL }));
            }
        })
        .add_systems(Simulate, systems);
    testing::random_inputs(&mut app, |random| random as u8);
    app
}

fn failure(app: &mut App, test: SyncTest) -> SyncTestFailure {
    testing::sync_test(app, test, 2, 200).expect_err("the game is broken")
}

fn divergence(app: &mut App, test: SyncTest) -> Divergence {
    match failure(app, test) {
        SyncTestFailure::Diverged(divergence) => *divergence,
        other => panic!("{other}"),
    }
}

/// Asserts that the text contains all of `names`.
fn assert_names(failure: &dyn std::fmt::Display, names: &[&str]) {
    let text = failure.to_string();
    for name in names {
        assert!(text.contains(name), "{name} is not named in: {text}");
    }
}

#[test]
fn a_sound_game_passes_in_chaos() {
    fn fly(inputs: Res<PlayerInputs<u8>>, mut bodies: Query<(&mut Body, &RollbackId)>) {
        for (mut body, id) in &mut bodies {
            body.position.x += body.speed * f32::from(inputs.get(Seat(0)));
            body.position.y += id.get() as f32;
        }
    }
    let stats = testing::sync_test(&mut game(fly), SyncTest::CHAOS, 2, 500);
    let stats = stats.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(stats.max_rollback, 8, "as deep as the prediction window");
    assert!(stats.resimulated_frames > 1500, "{stats:?}");
}

#[test]
fn an_unregistered_component_is_named_before_the_first_frame() {
    #[derive(Component, Default)]
    struct Fuel(f32);
    fn burn(mut bodies: Query<(&mut Body, &mut Fuel)>) {
        for (mut body, mut fuel) in &mut bodies {
            fuel.0 += 1.0;
            body.speed += fuel.0;
        }
    }
    let failure = failure(&mut game(burn), SyncTest::EVERY_DEPTH);
    assert_names(&failure, &["::Fuel`", "burn", ".rollback_component::<Fuel>()"]);
}

#[test]
fn a_component_that_commands_add_shows_in_what_depends_on_it() {
    #[derive(Component)]
    struct Boosted;
    fn boost(
        mut commands: Commands,
        frame: Res<SimFrame>,
        mut bodies: Query<(Entity, &mut Body, Has<Boosted>)>,
    ) {
        for (entity, mut body, is_boosted) in &mut bodies {
            body.speed += f32::from(u8::from(is_boosted));
            if frame.0 == 20 {
                commands.entity(entity).insert(Boosted);
            }
        }
    }
    let divergence = divergence(&mut game(boost), SyncTest::EVERY_DEPTH);
    assert_names(&divergence, &["::Body`", "`speed`", "boost"]);
}

#[test]
fn state_in_a_local_is_caught() {
    fn count(mut calls: Local<u32>, mut bodies: Query<&mut Body>) {
        *calls += 1;
        for mut body in &mut bodies {
            body.position.x = *calls as f32;
        }
    }
    let divergence = divergence(&mut game(count), SyncTest::EVERY_DEPTH);
    assert_names(&divergence, &["::Body`", "`position.x`", "count", "`Local`"]);
    assert_eq!(divergence.cause, DivergenceCause::NotRepeatable);
}

#[test]
fn dependence_on_the_order_of_a_query_is_caught_in_chaos_and_only_there() {
    fn chase(mut bodies: Query<&mut Body>) {
        let mut before = 0.0;
        for mut body in &mut bodies {
            body.position.y = before;
            before += body.speed;
        }
    }
    assert!(testing::sync_test(&mut game(chase), SyncTest::EVERY_DEPTH, 2, 200).is_ok());
    let divergence = divergence(&mut game(chase), SyncTest::CHAOS);
    assert_names(&divergence, &["::Body`", "`position.y`", "chase", "order of a query"]);
    assert_eq!(divergence.cause, DivergenceCause::Order);
}

#[test]
fn the_order_of_a_hash_map_is_caught() {
    #[expect(clippy::disallowed_types, reason = "that is what is caught")]
    type HashMap<K, V> = std::collections::HashMap<K, V>;
    fn vote(mut bodies: Query<(&mut Body, &RollbackId)>) {
        let seen: HashMap<u32, f32> =
            bodies.iter().map(|(body, id)| (id.get(), body.speed)).collect();
        let first = *seen.values().next().expect("there are bodies");
        for (mut body, _) in &mut bodies {
            body.position.x = first;
        }
    }
    let divergence = divergence(&mut game(vote), SyncTest::EVERY_DEPTH);
    assert_names(&divergence, &["::Body`", "`position.x`", "vote", "hash map"]);
    assert_eq!(divergence.cause, DivergenceCause::NotRepeatable);
}

#[test]
fn the_clock_of_the_machine_is_caught() {
    #[expect(clippy::disallowed_methods, reason = "that is what is caught")]
    fn age(mut bodies: Query<&mut Body>) {
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).expect("it is later than 1970");
        for mut body in &mut bodies {
            body.position.y = since.subsec_nanos() as f32;
        }
    }
    let divergence = divergence(&mut game(age), SyncTest::EVERY_DEPTH);
    assert_names(&divergence, &["::Body`", "`position.y`", "age", "a clock"]);

    fn hurry(time: Res<Time<Real>>, mut bodies: Query<&mut Body>) {
        for mut body in &mut bodies {
            body.position.x = time.elapsed_secs();
        }
    }
    let failure = failure(&mut game(hurry), SyncTest::EVERY_DEPTH);
    assert_names(&failure, &["Time<bevy_time::real::Real>", "hurry"]);
}

#[test]
fn random_numbers_without_a_seed_are_caught() {
    use std::hash::{BuildHasher, RandomState};
    fn shake(mut bodies: Query<&mut Body>) {
        for mut body in &mut bodies {
            body.position.x += (RandomState::new().hash_one(0) % 7) as f32;
        }
    }
    let divergence = divergence(&mut game(shake), SyncTest::EVERY_DEPTH);
    assert_names(&divergence, &["::Body`", "`position.x`", "shake", "unseeded random number"]);
}

#[test]
fn a_message_that_is_read_a_frame_later_is_named() {
    #[derive(Message)]
    struct Hit;
    fn shoot(mut hits: MessageWriter<Hit>) {
        hits.write(Hit);
    }
    fn suffer(mut hits: MessageReader<Hit>, mut bodies: Query<&mut Body>) {
        let count = hits.read().count() as f32;
        bodies.iter_mut().for_each(|mut body| body.speed -= count);
    }
    let mut app = game((suffer, shoot).chain());
    app.add_message::<Hit>();
    let failure = failure(&mut app, SyncTest::EVERY_DEPTH);
    assert_names(&failure, &["Messages<", "::Hit>`", "suffer", "shoot", "what a reader has read"]);
}

#[test]
fn an_unregistered_resource_is_named() {
    #[derive(Resource, Default)]
    struct Wind(f32);
    fn blow(mut wind: ResMut<Wind>, mut bodies: Query<&mut Body>) {
        wind.0 += 0.5;
        bodies.iter_mut().for_each(|mut body| body.position.x += wind.0);
    }
    let mut app = game(blow);
    // The resource does not exist yet when the audit reads the app.
    app.add_systems(Startup, |mut commands: Commands| commands.init_resource::<Wind>());
    let failure = failure(&mut app, SyncTest::EVERY_DEPTH);
    assert_names(&failure, &["resource", "::Wind`", "blow", ".rollback_resource::<Wind>()"]);
}

#[test]
fn an_undeclared_entity_that_is_read_is_caught_in_chaos() {
    #[derive(Component, Clone, Serialize, Deserialize)]
    struct Partner(Entity);
    fn pair(
        mut commands: Commands,
        frame: Res<SimFrame>,
        alone: Query<(Entity, &RollbackId), Without<Partner>>,
        mut bodies: Query<(&mut Body, Option<&Partner>)>,
        all: Query<&RollbackId>,
    ) {
        let mut order: Vec<(RollbackId, Entity)> =
            alone.iter().map(|(entity, &id)| (id, entity)).collect();
        order.sort_unstable();
        if let (0, [(_, one), .., (_, other)]) = (frame.0, &*order) {
            commands.entity(*one).insert(Partner(*other));
        }
        for (mut body, partner) in &mut bodies {
            body.position.x = match partner {
                Some(partner) => all.get(partner.0).map_or(-1.0, |id| id.get() as f32),
                None => 0.0,
            };
        }
    }
    let mut app = game(pair);
    app.rollback_component_unhashed::<Partner>();
    let divergence = divergence(&mut app, SyncTest::CHAOS);
    assert_names(&divergence, &["::Body`", "`position.x`", "pair", "#[entities]"]);
    assert_eq!(divergence.cause, DivergenceCause::Entities);
}

#[test]
fn changes_that_bypass_change_detection_are_caught() {
    fn creep(mut bodies: Query<&mut Body>) {
        for mut body in &mut bodies {
            body.bypass_change_detection().position.x += 1.0;
        }
    }
    let divergence = divergence(&mut game(creep), SyncTest::EVERY_DEPTH);
    assert_names(&divergence, &["::Body`", "`position.x`", "creep"]);
}

#[test]
fn state_that_settles_is_not_blamed_on_a_disturbance() {
    fn start(mut has_started: Local<bool>, mut bodies: Query<&mut Body>, frame: Res<SimFrame>) {
        if frame.0 > 30 && !*has_started {
            *has_started = true;
            bodies.iter_mut().for_each(|mut body| body.speed += 1.0);
        }
    }
    for test in [SyncTest::EVERY_DEPTH, SyncTest::CHAOS] {
        assert_eq!(divergence(&mut game(start), test).cause, DivergenceCause::NotRepeatable);
    }
}

#[test]
fn the_audit_lists_what_each_system_writes_and_ignores_what_is_allowed() {
    #[derive(Resource, Default)]
    struct Cache(u32);
    fn fly(mut cache: ResMut<Cache>, mut bodies: Query<&mut Body>) {
        cache.0 += 1;
        bodies.iter_mut().for_each(|mut body| body.position.x += body.speed);
    }
    let report = |is_allowed: bool| {
        let mut app = game(fly);
        app.init_resource::<Cache>();
        if is_allowed {
            app.allow_unregistered::<Cache>();
        }
        app.finish();
        app.cleanup();
        app.world().resource::<AuditReport>().clone()
    };
    let warned = report(false);
    let [finding] = warned.findings() else { panic!("{warned:?}") };
    assert_eq!(finding.problem, AuditProblem::Resource);
    assert!(finding.type_name.ends_with("::Cache"));
    let allowed = report(true);
    assert!(allowed.findings().is_empty(), "{allowed:?}");
    let writers = allowed.writers(std::any::TypeId::of::<Body>());
    assert!(matches!(&*writers, [one] if one.ends_with("fly")), "{writers:?}");
}

#[test]
fn a_hash_map_is_caught_although_nothing_iterates_it() {
    #[expect(clippy::disallowed_types, reason = "that is what is caught")]
    type HashMap<K, V> = std::collections::HashMap<K, V>;
    #[derive(Component, Clone, Default, Serialize, Deserialize)]
    struct Stock(HashMap<u8, u8>);
    fn collect(frame: Res<SimFrame>, mut stocks: Query<&mut Stock>) {
        for mut stock in &mut stocks {
            stock.0.insert((frame.0 % 9) as u8, 1);
        }
    }
    let mut app = game(collect);
    app.rollback_component::<Stock>().add_systems(SetupMatch, |mut commands: Commands| {
        commands.spawn((Rollback, Stock::default()));
    });
    let divergence = divergence(&mut app, SyncTest::CHAOS);
    assert_eq!(divergence.cause, DivergenceCause::Bytes);
    assert_names(&divergence, &["::Stock`", "`RollbackId`", "own bytes", "`BTreeMap`"]);
    assert_names(&divergence, &["order of iteration differs"]);
    let [first, again] = &divergence.values;
    assert!(divergence.is_reordered && first != again, "{first}");
}

#[test]
fn a_resource_that_does_not_read_back_is_caught() {
    /// Reads as a different value than was written.
    #[derive(Resource, Clone, Serialize, Deserialize)]
    struct Odd(#[serde(deserialize_with = "one_more")] u32);
    fn one_more<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        Ok(u32::deserialize(deserializer)? + 1)
    }
    let mut app = game(|| {});
    app.insert_resource(Odd(1)).rollback_resource::<Odd>();
    let divergence = divergence(&mut app, SyncTest::CHAOS);
    assert_names(&divergence, &["::Odd`", "it was 1, and then 2"]);
}

#[test]
fn a_sync_test_of_entities_without_rollback_fails() {
    #[derive(Component, Clone, Serialize, Deserialize)]
    struct Bullet(f32);
    let mut app = game(|mut bullets: Query<&mut Bullet>| {
        bullets.iter_mut().for_each(|mut bullet| bullet.0 += 1.0);
    });
    app.rollback_component::<Bullet>().add_systems(SetupMatch, |mut commands: Commands| {
        commands.spawn(Bullet(0.0));
    });
    let failure = failure(&mut app, SyncTest::EVERY_DEPTH);
    assert!(matches!(failure, SyncTestFailure::NotRollingBack(_)), "{failure}");
    assert_names(&failure, &["::Bullet`", "Spawn them with `Rollback`"]);
}

#[test]
fn numbers_that_look_like_entities_are_not_taken_for_them() {
    /// The bits of an entity of the first generation are the inverted bits of its index.
    #[derive(Component, Clone, Serialize, Deserialize)]
    struct Filter(Vec<u32>, f64);
    let mut app = game(|| {});
    app.rollback_component::<Filter>().add_systems(SetupMatch, |mut commands: Commands| {
        commands.spawn((Rollback, Filter((0..4096).map(|bit| !bit).collect(), 1.0)));
    });
    let stats = testing::sync_test(&mut app, SyncTest::CHAOS, 2, 50);
    stats.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn one_spawn_without_rollback_is_found_among_others_with_it() {
    let mut app = game(|frame: Res<SimFrame>, mut commands: Commands| {
        if frame.0 == 50 {
            commands.spawn(STILL);
        }
    });
    let failure = failure(&mut app, SyncTest::EVERY_DEPTH);
    app.allow_unregistered::<Body>();
    assert!(
        testing::sync_test(&mut app, SyncTest::EVERY_DEPTH, 2, 200).is_ok(),
        "an allowed type may be on any entity"
    );
    assert!(matches!(failure, SyncTestFailure::NotRollingBack(_)), "{failure}");
    assert_names(&failure, &["::Body`", "Spawn them with `Rollback`"]);
}

#[test]
fn a_sync_test_without_a_game_fails() {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default())).rollback_component::<Body>();
    assert_eq!(failure(&mut app, SyncTest::CHAOS), SyncTestFailure::Idle);
}

#[test]
fn an_undeclared_entity_is_caught_although_nothing_reads_it() {
    #[derive(Component, Clone, Serialize, Deserialize)]
    struct Homing {
        target: Option<Entity>,
    }
    #[derive(Component, Clone, Serialize, Deserialize)]
    struct Sound {
        #[entities]
        target: Entity,
    }
    let mut app = game(|| {});
    app.rollback_component::<Homing>().rollback_component::<Sound>().add_systems(
        SetupMatch,
        |mut commands: Commands| {
            let target = commands.spawn((Rollback, STILL)).id();
            commands.spawn((Rollback, Sound { target }));
            commands.spawn((Rollback, Homing { target: Some(target) }));
        },
    );
    let divergence = divergence(&mut app, SyncTest::CHAOS);
    assert_eq!(divergence.cause, DivergenceCause::UnsaidEntity);
    assert_names(&divergence, &["::Homing`", "`target`", "`RollbackId`", "#[entities]"]);
}

#[test]
fn writes_to_entities_without_rollback_are_no_finding() {
    #[derive(Component)]
    struct Spark(f32);
    fn outside(mut sparks: Query<&mut Spark, Without<Rollback>>) {
        sparks.iter_mut().for_each(|mut spark| spark.0 += 1.0);
    }
    fn either(mut sparks: Query<&mut Spark, Or<(Without<Rollback>, With<Body>)>>) {
        sparks.iter_mut().for_each(|mut spark| spark.0 += 1.0);
    }
    let findings = |mut app: App| {
        app.finish();
        app.cleanup();
        app.world().resource::<AuditReport>().findings().to_vec()
    };
    fn look(mut bodies: Query<&mut Body>, sparks: Query<&Spark>) {
        bodies.iter_mut().for_each(|mut body| body.speed += sparks.iter().count() as f32);
    }
    assert_eq!(findings(game(outside)), []);
    assert_eq!(findings(game((outside, look).chain())).len(), 1, "the simulation reads it");
    assert_eq!(findings(game(either)).len(), 1, "some of these roll back");
}
