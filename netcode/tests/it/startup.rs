//! Mistakes that show when the app starts: schedules that cannot be built.

use bevy::prelude::*;
use netcode::prelude::*;

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
