//! What goes wrong before the first frame: schedules that cannot be built, and peers that do not
//! come through the start.

use bevy::prelude::*;
use netcode::{EndReason, prelude::*, testing::Stepper};

use crate::support::{build, busy, state};

#[derive(Resource, Default)]
struct Wind(f32);

fn blow(mut wind: ResMut<Wind>) {
    wind.0 += 1.0;
}

fn calm(mut wind: ResMut<Wind>) {
    wind.0 = 0.0;
}

/// Starts an app with these systems, as `App::run` does before the first update.
fn start_up(add: impl FnOnce(&mut App)) {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default())).init_resource::<Wind>();
    add(&mut app);
    app.finish();
    app.cleanup();
}

#[test]
#[should_panic(expected = "the systems of `Simulate` cannot run")]
fn systems_of_the_simulation_that_are_not_ordered_are_refused_at_start_up() {
    start_up(|app| {
        app.add_systems(Simulate, (blow, calm));
    });
}

#[test]
#[should_panic(expected = "startup::Wind")]
fn what_they_cannot_agree_on_is_named() {
    start_up(|app| {
        app.add_systems(SetupMatch, (blow, calm));
    });
}

#[test]
fn systems_that_are_ordered_are_not_refused() {
    start_up(|app| {
        app.add_systems(SetupMatch, (blow, calm).chain())
            .add_systems(Simulate, (blow, calm).chain())
            .add_systems(ReadInputs, (blow, calm));
    });
}

#[test]
fn a_peer_that_crashes_while_the_match_starts_is_lost_and_not_slow() {
    let mut peers = Stepper::new(2, build(busy));
    peers.join(0, 1);
    peers.join(1, 1);
    peers.run_until("everybody sees everybody", |apps| {
        apps.iter().all(|app| *state(app) == SessionState::Gathering)
    });
    for index in 0..2 {
        peers.app_mut(index).world_mut().write_message(SetReady(true));
    }
    peers.run_until("the match is to start", |apps| {
        apps.iter().any(|app| *state(app) == SessionState::Starting)
    });
    let left = usize::from(*state(peers.app(0)) != SessionState::Starting);
    peers.crash(1 - left);
    let began = peers.elapsed();
    peers.run_until("the match is over", |apps| {
        matches!(state(&apps[left]), SessionState::Ended(_))
    });
    let name = format!("peer {}", 1 - left);
    assert_eq!(*state(peers.app(left)), SessionState::Ended(EndReason::PeerLost { name }));
    let waited = peers.elapsed() - began;
    assert!(waited.as_secs_f32() < 5.0, "it took {waited:?}");
}
