//! Devices and `ReadInputs`: a step reads the keys of its own update, and no press is lost or
//! doubled, whatever the frame rate of the display.

use std::time::Duration;

use bevy::{
    input::{ButtonInput, InputSystems},
    prelude::*,
    time::TimeUpdateStrategy,
};
use netcode::prelude::*;

/// A key of a device that exists only here. The system that reads it is in the same set as Bevy's
/// own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key;

/// A key went down, or up.
#[derive(Message, Clone, Copy, Debug)]
struct KeyMoved {
    is_down: bool,
}

/// The plugin of the device, as Bevy's `InputPlugin` is for Bevy's devices.
struct DevicePlugin;

impl Plugin for DevicePlugin {
    fn build(&self, app: &mut App) {
        app.add_message::<KeyMoved>()
            .init_resource::<ButtonInput<Key>>()
            .add_systems(PreUpdate, apply_key_moves.in_set(InputSystems));
    }
}

fn apply_key_moves(mut moved: MessageReader<KeyMoved>, mut keys: ResMut<ButtonInput<Key>>) {
    keys.bypass_change_detection().clear();
    for moved in moved.read() {
        if moved.is_down { keys.press(Key) } else { keys.release(Key) }
    }
}

/// What each run of `ReadInputs` read: whether the key was pressed, went down, and went up.
#[derive(Resource, Default)]
struct Read(Vec<[bool; 3]>);

fn read(keys: Res<ButtonInput<Key>>, mut read: ResMut<Read>) {
    read.0.push([keys.pressed(Key), keys.just_pressed(Key), keys.just_released(Key)]);
}

impl Read {
    fn count(&self, which: usize) -> usize {
        self.0.iter().filter(|read| read[which]).count()
    }
}

/// Starts a local match in an app that has everything but the clock. Each update takes `update`.
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
        app.add_systems(ReadInputs, read);
        // Exactly one step in each update.
        begin(&mut app, Duration::from_nanos(16_666_667));
        app.world_mut().write_message(KeyMoved { is_down: true });
        app.update();
        app.world_mut().write_message(KeyMoved { is_down: false });
        app.update();
        let pressed: Vec<bool> =
            app.world().resource::<Read>().0.iter().map(|&[pressed, ..]| pressed).collect();
        assert_eq!(pressed, [true, false], "order {number}");
    }
}

/// An app with the latched device, in which a local match begins. Each update takes `update`.
fn latched(update: Duration) -> App {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, DevicePlugin, NetcodePlugin::<u8>::default()))
        .latch_buttons::<Key>()
        .add_systems(ReadInputs, read);
    begin(&mut app, update);
    app
}

fn move_key(app: &mut App, is_down: bool) {
    app.world_mut().write_message(KeyMoved { is_down });
}

fn updates(app: &mut App, count: u32) {
    for _ in 0..count {
        app.update();
    }
}

#[test]
fn each_press_reaches_one_step_at_any_rate_of_the_display() {
    const PRESSES: usize = 70;
    // The frame rate of the display, the number of updates between two presses, and the number of
    // updates for which a key is held: at 240 Hz less than a step.
    for (hertz, apart, held) in [(240, 29, 1), (240, 31, 2), (144, 17, 1), (60, 7, 1), (30, 5, 1)] {
        let mut app = latched(Duration::from_secs(1) / hertz);
        for _ in 0..PRESSES {
            move_key(&mut app, true);
            updates(&mut app, held);
            move_key(&mut app, false);
            updates(&mut app, apart);
        }
        let read = app.world().resource::<Read>();
        let (down, up) = (read.count(1), read.count(2));
        assert_eq!((down, up), (PRESSES, PRESSES), "{hertz} Hz, held for {held} updates");
        let pressed = read.count(0);
        assert!(pressed >= PRESSES, "pressed in {pressed} steps, at {hertz} Hz");
        let is_sound = |&[pressed, down, _]: &[bool; 3]| pressed || !down;
        assert!(read.0.iter().all(is_sound), "a key that goes down is pressed in that step");
    }
}

#[test]
fn a_press_that_is_held_is_held_in_all_of_its_steps() {
    for hertz in [240, 60, 30] {
        let mut app = latched(Duration::from_secs(1) / hertz);
        move_key(&mut app, true);
        updates(&mut app, hertz);
        move_key(&mut app, false);
        updates(&mut app, hertz);
        let read = app.world().resource::<Read>();
        assert_eq!((read.count(1), read.count(2)), (1, 1), "{hertz} Hz");
        let pressed = read.count(0);
        assert!((59..=62).contains(&pressed), "pressed in {pressed} steps, at {hertz} Hz");
    }
}

#[test]
fn a_key_released_and_pressed_between_two_steps_is_a_new_press() {
    let mut app = latched(Duration::from_secs(1) / 240);
    move_key(&mut app, true);
    updates(&mut app, 40);
    app.world_mut().resource_mut::<Read>().0.clear();
    move_key(&mut app, false);
    updates(&mut app, 1);
    move_key(&mut app, true);
    updates(&mut app, 40);
    let read = app.world().resource::<Read>();
    assert_eq!((read.count(1), read.count(2)), (1, 1), "{:?}", read.0);
}

#[test]
fn presses_before_the_match_do_not_count_in_it() {
    let mut app = latched(Duration::from_secs(1) / 240);
    app.world_mut().write_message(FinishMatch);
    updates(&mut app, 10);
    for _ in 0..10 {
        move_key(&mut app, true);
        updates(&mut app, 1);
        move_key(&mut app, false);
        updates(&mut app, 1);
    }
    // This press is still held when the match begins.
    move_key(&mut app, true);
    updates(&mut app, 10);
    app.world_mut().resource_mut::<Read>().0.clear();
    let request = StartLocal { seats: vec!["one".into()], seed: 1, sync_test: None };
    app.world_mut().write_message(request);
    updates(&mut app, 40);
    let read = app.world().resource::<Read>();
    assert!(read.count(0) > 5, "it is held");
    assert_eq!((read.count(1), read.count(2)), (0, 0), "{:?}", read.0);
}
