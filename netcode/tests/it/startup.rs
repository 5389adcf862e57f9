//! Mistakes that show when the app starts: schedules that cannot be built.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use bevy::{
    ecs::schedule::{ScheduleLabel, SingleThreadedExecutor},
    prelude::*,
};
use netcode::prelude::*;
use serde::{Deserialize, Serialize};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    subscriber::with_default,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
};

#[derive(Resource, Default)]
struct Wind(f32);

fn blow(mut wind: ResMut<Wind>) {
    wind.0 += 1.0;
}

fn calm(mut wind: ResMut<Wind>) {
    wind.0 = 0.0;
}

/// Starts an app with the systems that `add` adds, as `App::run` does before the first update.
fn start_up(add: impl FnOnce(&mut App)) {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default())).init_resource::<Wind>();
    add(&mut app);
    app.finish();
    app.cleanup();
}

#[test]
#[should_panic(expected = "the systems of `Simulate` cannot run")]
fn unordered_systems_of_the_simulation_are_refused_at_start_up() {
    start_up(|app| {
        app.add_systems(Simulate, (blow, calm));
    });
}

#[test]
#[should_panic(expected = "startup::Wind")]
fn the_resource_of_unordered_systems_is_named() {
    start_up(|app| {
        app.add_systems(SetupMatch, (blow, calm));
    });
}

#[test]
fn ordered_systems_are_accepted() {
    start_up(|app| {
        app.add_systems(SetupMatch, (blow, calm).chain())
            .add_systems(Simulate, (blow, calm).chain())
            .add_systems(ReadInputs, (blow, calm));
    });
}

/// Starts an app with the plugin for `u8`, and with another one.
fn start_up_with(second: impl Plugin) {
    App::new().add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default())).add_plugins(second);
}

#[test]
#[should_panic(expected = "NetcodePlugin::<u8> was added twice: add it once")]
fn a_second_plugin_is_refused_with_advice() {
    start_up_with(NetcodePlugin::<u8>::default());
}

#[test]
#[should_panic(expected = "two input types, `u8` and `bool`, but a match has one: add it once")]
fn a_plugin_for_another_input_type_is_refused_with_advice() {
    start_up_with(NetcodePlugin::<bool>::default());
}

/// Keeps the texts of all warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Visit for Warnings {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.lock().expect("no test panics while it logs").push(format!("{value:?}"));
        }
    }
}

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if *event.metadata().level() == Level::WARN {
            event.record(&mut self.clone());
        }
    }
}

/// The warnings of a game that spawns an entity in `schedule`, and then begins two matches.
fn warnings_of_spawning_in(schedule: impl ScheduleLabel) -> Vec<String> {
    #[derive(Component, Clone, Serialize, Deserialize)]
    struct Player;
    let warnings = Warnings::default();
    let play = || {
        let mut app = App::new();
        app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default()))
            .rollback_component::<Player>()
            .add_systems(schedule, |mut commands: Commands| {
                commands.spawn((Rollback, Player));
            })
            // So that the log comes from the thread of the test.
            .edit_schedule(PreUpdate, |schedule| {
                schedule.set_executor(SingleThreadedExecutor::new());
            });
        app.update();
        for _ in 0..2 {
            let seats = vec!["one".to_owned()];
            app.world_mut().write_message(StartLocal { seats, seed: 1, sync_test: None });
            app.update();
            app.update();
            assert!(app.world().resource::<SessionState>().is_running());
        }
    };
    with_default(Registry::default().with(warnings.clone()), play);
    let texts = warnings.0.lock().expect("no test panics while it logs");
    texts.clone()
}

#[test]
fn entities_that_are_spawned_before_the_match_are_warned_of_once() {
    let warnings = warnings_of_spawning_in(Startup);
    let [warning] = &*warnings else { panic!("{warnings:?}") };
    assert!(warning.contains("(1, with `it::startup::"), "{warning}");
    assert!(warning.contains("Player`") && warning.contains("`SetupMatch`"), "{warning}");
    assert_eq!(warnings_of_spawning_in(SetupMatch), [""; 0]);
}
