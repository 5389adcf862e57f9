//! The advice of the sync test and the audit: it points to the mistake, and the calls that it
//! suggests compile.

use bevy::{ecs::schedule::ScheduleConfigs, ecs::system::ScheduleSystem, prelude::*};
use netcode::{
    AuditFinding, AuditProblem, AuditReport, Divergence, DivergenceCause, SyncTestFailure,
    prelude::*, testing,
};
use serde::{Deserialize, Serialize};

#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Body {
    position: f32,
    speed: f32,
}

/// A headless game with five bodies, and these systems.
fn game<M>(systems: impl IntoScheduleConfigs<ScheduleSystem, M>) -> App {
    let systems: ScheduleConfigs<ScheduleSystem> = systems.into_configs();
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default()))
        .rollback_component::<Body>()
        .add_systems(SetupMatch, |mut commands: Commands| {
            for index in 0..5u8 {
                commands.spawn((Rollback, Body { position: 0.0, speed: f32::from(index) }));
            }
        })
        .add_systems(Simulate, systems);
    app
}

fn divergence(app: &mut App, test: SyncTest) -> Divergence {
    match testing::sync_test(app, test, 1, 200).expect_err("the game is broken") {
        SyncTestFailure::Diverged(divergence) => *divergence,
        other => panic!("{other}"),
    }
}

fn report(app: &mut App) -> AuditReport {
    app.finish();
    app.cleanup();
    app.world().resource::<AuditReport>().clone()
}

/// What follows `words` in a text, up to the end of the sentence.
fn after<'a>(text: &'a str, words: &str) -> &'a str {
    let (_, rest) = text.split_once(words).unwrap_or_else(|| panic!("no {words:?} in: {text}"));
    rest.split_once(". ").map_or(rest, |(sentence, _)| sentence)
}

#[test]
fn a_missing_entity_is_blamed_on_systems_with_commands() {
    fn launch(mut calls: Local<u32>, mut commands: Commands) {
        *calls += 1;
        if *calls == 30 {
            commands.spawn((Rollback, Body { position: 7.0, speed: 1.0 }));
        }
    }
    fn fly(mut bodies: Query<&mut Body>) {
        bodies.iter_mut().for_each(|mut body| body.position += body.speed);
    }
    let divergence = divergence(&mut game((launch, fly).chain()), SyncTest::EVERY_DEPTH);
    assert!(divergence.is_missing, "{divergence}");
    let text = divergence.to_string();
    let blamed = after(&text, "spawn, despawn, insert and remove: ");
    assert!(blamed.contains("launch") && !text.contains("fly"), "{text}");
}

#[test]
fn a_loop_that_spawns_in_query_order_is_advised_to_use_ordered() {
    #[derive(Component, Clone, Serialize, Deserialize)]
    struct Stunned;
    #[derive(Component, Clone, Serialize, Deserialize)]
    struct Spark(f32);
    // A component that comes and goes moves its entity to the end of its table.
    fn stun(
        mut commands: Commands,
        frame: Res<SimFrame>,
        bodies: Query<(Entity, &RollbackId, Has<Stunned>), With<Body>>,
    ) {
        for (entity, id, is_stunned) in &bodies {
            if is_stunned {
                commands.entity(entity).remove::<Stunned>();
            } else if frame.0 % 5 == id.get() {
                commands.entity(entity).insert(Stunned);
            }
        }
    }
    fn spark(mut commands: Commands, frame: Res<SimFrame>, bodies: Query<&Body>) {
        if frame.0.is_multiple_of(8) {
            for body in &bodies {
                commands.spawn((Rollback, Spark(body.speed)));
            }
        }
    }
    for test in [SyncTest::EVERY_DEPTH, SyncTest::CHAOS] {
        let mut app = game((stun, spark).chain());
        app.rollback_component::<Stunned>().rollback_component::<Spark>();
        let divergence = divergence(&mut app, test);
        let text = divergence.to_string();
        assert_eq!(divergence.cause, DivergenceCause::Order, "{text}");
        assert!(text.contains("`Ordered`") && text.contains("spark"), "{text}");
    }
}

#[test]
fn unregistered_reads_are_listed() {
    #[derive(Resource, Default)]
    struct Wind(f32);
    #[derive(Component)]
    struct Sail;
    fn drift(
        wind: Res<Wind>,
        frame: Res<SimFrame>,
        inputs: Res<PlayerInputs<u8>>,
        mut bodies: Query<&mut Body, Without<Sail>>,
        sails: Query<(), With<Sail>>,
    ) {
        let push = wind.0 + f32::from(inputs.get(Seat(0))) + frame.0 as f32;
        let sails = sails.iter().count() as f32;
        bodies.iter_mut().for_each(|mut body| body.position += push + sails);
    }
    let mut app = game(drift);
    app.init_resource::<Wind>().add_systems(Update, |mut wind: ResMut<Wind>| wind.0 += 1.0);
    let divergence = divergence(&mut app, SyncTest::EVERY_DEPTH);
    let text = divergence.to_string();
    let listed = after(&text, "also reads what does not roll back");
    for name in ["::Wind`", "::Sail`", "drift"] {
        assert!(listed.contains(name), "{name} is not in: {text}");
    }
    assert_eq!(divergence.unregistered_reads.len(), 2, "{text}");
}

/// Asserts that a finding suggests a call, and makes that call.
macro_rules! take_advice {
    ($app:expr, $finding:expr, $method:ident::<$type:ty>()) => {{
        let advice = concat!(".", stringify!($method), "::<", stringify!($type), ">()");
        let text = $finding.to_string();
        assert!(text.contains(advice), "{advice} is not advised by: {text}");
        $app.$method::<$type>();
    }};
}

#[test]
fn advice_compiles_and_leaves_nothing_to_find() {
    #[derive(Component, Clone, Serialize, Deserialize)]
    struct Fuel(f32);
    #[derive(Resource, Clone, Default, Serialize, Deserialize)]
    struct Stock<T: Send + Sync + 'static>(T);
    #[derive(Message)]
    struct Hit;
    fn work(
        mut fuel: Query<(&mut Fuel, &mut Transform)>,
        mut stock: ResMut<Stock<u8>>,
        mut hits: MessageWriter<Hit>,
        _clock: Res<Time<Real>>,
    ) {
        fuel.iter_mut().for_each(|(mut fuel, _)| fuel.0 += 1.0);
        stock.0 = 1;
        hits.write(Hit);
    }
    let build = || {
        let mut app = game(work);
        app.add_message::<Hit>().init_resource::<Stock<u8>>();
        app
    };
    let first = report(&mut build());
    let find = |name: &str| -> &AuditFinding {
        let found = first.findings().iter().find(|finding| finding.type_name.contains(name));
        found.unwrap_or_else(|| panic!("{name} is not in {first:?}"))
    };
    assert_eq!(first.findings().len(), 5, "{first:?}");
    let mut app = build();
    take_advice!(app, find("::Fuel"), rollback_component::<Fuel>());
    take_advice!(app, find("Transform"), rollback_component::<Transform>());
    take_advice!(app, find("::Stock<"), rollback_resource::<Stock<u8>>());
    take_advice!(app, find("Messages<"), allow_unregistered::<Messages<Hit>>());
    take_advice!(app, find("Time<"), allow_unregistered::<Time<Real>>());
    assert_eq!(report(&mut app).findings(), []);
    let mut app = build();
    take_advice!(app, find("::Fuel"), allow_unregistered::<Fuel>());
    take_advice!(app, find("::Stock<"), allow_unregistered::<Stock<u8>>());
    assert_eq!(report(&mut app).findings().len(), 3);
}

#[test]
fn systems_that_spawn_in_no_fixed_order_are_found() {
    fn left(mut commands: Commands) {
        commands.spawn((Rollback, Body { position: -1.0, speed: 0.0 }));
    }
    fn right(mut commands: Commands) {
        commands.spawn((Rollback, Body { position: 1.0, speed: 0.0 }));
    }
    #[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
    struct Left;
    let findings = |mut app: App| report(&mut app).findings().to_vec();
    let found = findings(game((left, right)));
    let [finding] = &*found else { panic!("{found:?}") };
    assert_eq!(finding.problem, AuditProblem::Unordered);
    let text = finding.to_string();
    assert!(
        text.contains("left") && text.contains("right") && text.contains("`.chain()`"),
        "{text}"
    );
    let failure = testing::sync_test(&mut game((left, right)), SyncTest::EVERY_DEPTH, 1, 50);
    assert!(matches!(failure, Err(SyncTestFailure::Unregistered(_))), "{failure:?}");

    assert_eq!(findings(game(left)), []);
    assert_eq!(findings(game((left, right).chain())), []);
    assert_eq!(findings(game((left, right.after(left)))), []);
    assert_eq!(findings(game((left.in_set(Left), right.before(Left)))), []);
    assert_eq!(findings(game((left, right.ambiguous_with_all()))), []);
}
