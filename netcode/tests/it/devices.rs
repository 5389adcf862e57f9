//! Devices and `ReadInputs`: which update's keys a step reads, and that no press is lost or doubled at any display's rate.

use std::time::Duration;

use bevy::{
    input::{ButtonInput, InputSystems},
    prelude::*,
    time::TimeUpdateStrategy,
};
use netcode::prelude::*;

/// A key of a device that the tests make up. Bevy's own are read by systems of the same set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key;

/// A key went down, or up.
#[derive(Message, Clone, Copy, Debug)]
struct KeyMoved {
    is_down: bool,
}

/// The plugin of the device, as Bevy's `InputPlugin` is for its own.
struct DevicePlugin;

impl Plugin for DevicePlugin {
    fn build(&self, app: &mut App) {
        app.add_message::<KeyMoved>()
            .init_resource::<ButtonInput<Key>>()
            .add_systems(PreUpdate, follow_key.in_set(InputSystems));
    }
}

fn follow_key(mut moved: MessageReader<KeyMoved>, mut keys: ResMut<ButtonInput<Key>>) {
    keys.bypass_change_detection().clear();
    for moved in moved.read() {
        if moved.is_down { keys.press(Key) } else { keys.release(Key) }
    }
}

/// What each run of `ReadInputs` read.
#[derive(Resource, Default)]
struct Read(Vec<bool>);

/// Lets a local match begin in an app with everything but the clock, whose updates take this long.
fn begin(app: &mut App, update: Duration) {
    app.insert_resource(TimeUpdateStrategy::ManualDuration(update)).init_resource::<Read>();
    app.finish();
    app.cleanup();
    let seats = vec!["one".into()];
    app.world_mut().write_message(StartLocal { seats, seed: 1, sync_test: None });
    for _ in 0..5 {
        app.update();
    }
    app.world_mut().resource_mut::<Read>().0.clear();
}

#[test]
fn a_step_reads_the_keys_of_its_own_update_in_any_order_of_plugins() {
    type Plugins = fn(&mut App);
    let orders: [Plugins; 2] = [
        |app| {
            app.add_plugins((NetcodePlugin::<u8>::default(), MinimalPlugins, DevicePlugin));
        },
        |app| {
            app.add_plugins((MinimalPlugins, DevicePlugin, NetcodePlugin::<u8>::default()));
        },
    ];
    for (number, add_plugins) in orders.into_iter().enumerate() {
        let mut app = App::new();
        add_plugins(&mut app);
        app.add_systems(ReadInputs, |keys: Res<ButtonInput<Key>>, mut read: ResMut<Read>| {
            read.0.push(keys.pressed(Key));
        });
        // Exactly one step in each update.
        begin(&mut app, Duration::from_nanos(16_666_667));
        app.world_mut().write_message(KeyMoved { is_down: true });
        app.update();
        app.world_mut().write_message(KeyMoved { is_down: false });
        app.update();
        assert_eq!(app.world().resource::<Read>().0, [true, false], "order {number}");
    }
}
