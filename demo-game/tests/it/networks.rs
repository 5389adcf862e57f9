//! Matches of bots over every network preset: whatever the network does, all peers compute the same
//! match.

use bevy::prelude::App;
use demo_game::DuelPlugin;
use demo_game::bots::Bots;
use demo_game::sim::MatchState;
use netcode::LinkConditions;
use netcode::prelude::{ChecksumLog, SessionState, SessionStats, SimFrame};
use netcode::testing::Stepper;

/// Frames played: ten seconds, which is a countdown, a fight and, as a rule, its end.
const FRAMES: u32 = 600;

/// Frames that a peer simulates before it knows all inputs for them.
const WINDOW: u32 = 9;
/// The longest round trip of these networks, in frames: 280 ms, and two datagrams that are lost.
const ROUND_TRIP: u32 = 20;

fn bot_peer(_: usize, app: &mut App) {
    app.add_plugins(DuelPlugin::default()).insert_resource(Bots::after(0, 1));
}

fn confirmed(app: &App) -> u32 {
    app.world().resource::<SessionStats>().confirmed_frames
}

/// Plays over a network with `conditions` and compares the checksums that all peers have.
fn play_over(peers: usize, conditions: LinkConditions) {
    let mut stepper = Stepper::in_match(peers, bot_peer);
    stepper.set_conditions(conditions);
    stepper.run_until("all frames are confirmed everywhere", |apps| {
        apps.iter().all(|app| confirmed(app) >= FRAMES)
    });
    assert_equal_checksums(stepper.apps());
}

/// Compares every hashed frame up to [`FRAMES`].
fn assert_equal_checksums(apps: &[App]) {
    let logs: Vec<&ChecksumLog> = apps.iter().map(|app| app.world().resource()).collect();
    let compared = (0..FRAMES)
        .filter_map(|frame| Some((frame, logs[0].get(frame)?)))
        .inspect(|&(frame, checksum)| {
            assert!(
                logs.iter().all(|log| log.get(frame) == Some(checksum)),
                "frame {frame} differs"
            );
        })
        .count();
    assert!(compared >= 19, "only {compared} frames could be compared");
    // With two peers, all is confirmed that is known here; with more, once most have said that they
    // know it as well.
    let most_open = if apps.len() == 2 { WINDOW } else { WINDOW + ROUND_TRIP };
    for app in apps {
        let stats = app.world().resource::<SessionStats>();
        assert_eq!(stats.desyncs, 0);
        let frame = app.world().resource::<SimFrame>().0;
        let confirmed = stats.confirmed_frames;
        assert!(frame <= confirmed + most_open, "{frame} is beyond the window after {confirmed}");
    }
}

#[test]
fn a_rematch_in_the_same_room_is_a_new_match() {
    let mut stepper = Stepper::in_match(2, bot_peer);
    stepper.run_until("the match is over", |apps| {
        apps.iter().all(|app| app.world().resource::<MatchState>().is_finished())
    });
    stepper.run_until("both are back in the room", |apps| {
        apps.iter().all(|app| *app.world().resource::<SessionState>() == SessionState::Gathering)
    });
    stepper.start();
    stepper.run_until("the rematch is under way", |apps| {
        apps.iter().all(|app| confirmed(app) >= FRAMES)
    });
    assert_equal_checksums(stepper.apps());
    let state = stepper.app(0).world().resource::<MatchState>();
    assert!(!state.is_finished() && state.round < 5, "{state:?}");
}

macro_rules! presets {
    ($($name:ident: $conditions:ident,)*) => {
        mod two_peers {
            $(#[test] fn $name() { super::play_over(2, netcode::LinkConditions::$conditions); })*
        }
        mod four_peers {
            $(#[test] fn $name() { super::play_over(4, netcode::LinkConditions::$conditions); })*
        }
        #[test]
        fn every_preset_has_its_tests() {
            let tested = [$(LinkConditions::$conditions),*];
            for (name, preset) in LinkConditions::presets() {
                assert!(tested.contains(preset), "{name} is not tested");
            }
        }
    };
}

presets! {
    without_conditioner: NONE,
    lan: LAN,
    wifi: WIFI,
    mobile_4g: MOBILE_4G,
    transatlantic: TRANSATLANTIC,
    awful: AWFUL,
}
