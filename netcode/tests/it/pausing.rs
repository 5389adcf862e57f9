//! Matches that stand still, because a player wants it or a machine is missed.

use std::time::Duration;

use bevy::prelude::*;
use netcode::{
    DeparturePolicy, NetcodeConfig, PairPolicy, Pause, PausePolicy, prelude::*, testing::Stepper,
};
use serde::{Deserialize, Serialize};

use crate::support::{add_game, busy, config, state, stats};

/// What the simulation has seen.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Seen {
    steps: u32,
    elapsed: Duration,
    changes: u32,
}

fn see(time: Res<Time>, mut changes: MessageReader<SeatChanged>, mut seen: ResMut<Seen>) {
    seen.steps += 1;
    seen.elapsed = time.elapsed();
    seen.changes += changes.read().count() as u32;
}

fn add_watched(app: &mut App, config: NetcodeConfig) {
    add_game(app, config, busy);
    app.init_resource::<Seen>().rollback_resource::<Seen>().add_systems(Simulate, see);
}

fn begin(peers: usize, policy: DeparturePolicy) -> Stepper {
    let config = NetcodeConfig { departure_policy: policy, checksum_interval: 10, ..config() };
    begin_with(peers, &config)
}

/// A match over a network with a round trip of 50 ms.
fn begin_with(peers: usize, config: &NetcodeConfig) -> Stepper {
    let mut stepper = Stepper::in_match(peers, |_, app| add_watched(app, config.clone()));
    let latency = Duration::from_millis(25);
    stepper.set_network(LinkConditions { latency, loss: 0.02, ..LinkConditions::NONE }, 7);
    stepper.updates(120);
    stepper
}

fn ask(stepper: &mut Stepper, peer: usize, pauses: bool) {
    stepper.app_mut(peer).world_mut().write_message(PauseMatch(pauses));
}

fn pause(app: &App) -> Option<Pause> {
    app.world().resource::<Roster>().pause()
}

fn seen(app: &App) -> Seen {
    *app.world().resource::<Seen>()
}

/// Asserts that these machines stand still in the same world for this reason.
fn assert_stand_still(stepper: &mut Stepper, peers: &[usize], reason: Pause) {
    let before = Vec::from_iter(peers.iter().map(|&peer| seen(stepper.app(peer))));
    stepper.updates(60);
    for (&peer, before) in peers.iter().zip(&before) {
        let app = stepper.app(peer);
        assert_eq!(pause(app), Some(reason), "peer {peer}");
        assert_eq!(seen(app), *before, "peer {peer}");
        assert_eq!(stats(app).desyncs, 0, "peer {peer}");
    }
    assert!(before.iter().all(|other| *other == before[0]), "{before:?}");
}

/// Asserts that these machines simulate again, each frame at its time, and compute the same.
fn assert_go_on(stepper: &mut Stepper, peers: &[usize]) {
    let before = seen(stepper.app(peers[0])).steps;
    stepper.updates(120);
    let step = config().step_duration();
    for &peer in peers {
        let app = stepper.app(peer);
        let seen = seen(app);
        assert_eq!(pause(app), None, "peer {peer}");
        assert!(seen.steps > before + 90, "peer {peer}: {seen:?} after {before} steps");
        assert_eq!(seen.elapsed, step * seen.steps, "peer {peer}");
        assert!(state(app).is_running() && stats(app).desyncs == 0, "peer {peer}");
        assert!(stats(app).confirmed_frames > stats(app).frames - 30, "peer {peer}");
    }
}

#[test]
fn any_player_pauses_a_match_for_all_and_any_other_goes_on_with_it() {
    for (peers, policy) in [
        (2, DeparturePolicy::GoOn),
        (4, DeparturePolicy::GoOn),
        (2, DeparturePolicy::EndMatch),
        (3, DeparturePolicy::EndMatch),
        (3, DeparturePolicy::Wait),
    ] {
        let mut stepper = begin(peers, policy);
        let all = Vec::from_iter(0..peers);
        for (one, other) in [(1, 0), (0, 1)] {
            ask(&mut stepper, one, true);
            stepper.updates(60);
            assert_stand_still(&mut stepper, &all, Pause::ByPlayer(Seat(one as u8)));
            ask(&mut stepper, other, false);
            stepper.updates(60);
            assert_go_on(&mut stepper, &all);
        }
    }
}

#[test]
fn a_pause_comes_two_round_trips_after_the_request_and_holds_nobody_up_before() {
    let mut stepper = begin(4, DeparturePolicy::GoOn);
    ask(&mut stepper, 2, true);
    let mut updates = 0;
    while stepper.apps().iter().any(|app| pause(app).is_none()) {
        updates += 1;
        assert!(updates < 40, "not paused after {updates} updates");
        stepper.update();
    }
    let stalls = stepper.apps().iter().map(|app| stats(app).stalls);
    assert_eq!(stalls.max(), Some(0));
}

#[test]
fn of_two_players_that_pause_at_once_one_does() {
    let mut stepper = begin(3, DeparturePolicy::GoOn);
    ask(&mut stepper, 1, true);
    ask(&mut stepper, 2, true);
    stepper.updates(90);
    assert_stand_still(&mut stepper, &[0, 1, 2], Pause::ByPlayer(Seat(1)));
}

#[test]
fn nobody_pauses_where_the_game_forbids_it() {
    let config = NetcodeConfig { pause_policy: PausePolicy::Nobody, ..config() };
    let mut stepper = begin_with(3, &config);
    ask(&mut stepper, 1, true);
    assert_go_on(&mut stepper, &[0, 1, 2]);
}

#[test]
fn a_local_match_pauses_too() {
    let mut app = App::new();
    app.add_plugins(MinimalPlugins);
    add_watched(&mut app, config());
    app.insert_resource(bevy::time::TimeUpdateStrategy::ManualDuration(config().step_duration()));
    app.finish();
    app.cleanup();
    app.world_mut().write_message(StartLocal {
        seats: vec!["Ann".into()],
        seed: 1,
        sync_test: None,
    });
    let run = |app: &mut App| {
        (0..60).for_each(|_| app.update());
        seen(app)
    };
    let begun = run(&mut app);
    assert!(begun.steps > 50, "{begun:?}");
    app.world_mut().write_message(PauseMatch(true));
    let paused = run(&mut app);
    assert!(paused.steps <= begun.steps + 1, "{paused:?}");
    assert_eq!((run(&mut app), pause(&app)), (paused, Some(Pause::ByPlayer(Seat(0)))));
    app.world_mut().write_message(PauseMatch(false));
    let after = run(&mut app);
    assert!(after.steps > paused.steps + 50, "{after:?}");
    assert_eq!(after.elapsed, config().step_duration() * after.steps);
}

#[test]
fn a_machine_that_is_lost_in_a_pause_is_gone_in_the_first_frame_after_it() {
    let mut stepper = begin(4, DeparturePolicy::GoOn);
    ask(&mut stepper, 0, true);
    stepper.updates(60);
    stepper.crash(3);
    stepper.updates(120);
    let left = [0, 1, 2];
    assert_stand_still(&mut stepper, &left, Pause::ByPlayer(Seat(0)));
    for peer in left {
        let roster = stepper.app(peer).world().resource::<Roster>();
        assert_eq!(roster.state(Seat(3)), SeatState::Away);
        assert_eq!(seen(stepper.app(peer)).changes, 0);
    }
    ask(&mut stepper, 1, false);
    stepper.updates(60);
    assert_go_on(&mut stepper, &left);
    for peer in left {
        assert_eq!(seen(stepper.app(peer)).changes, 1, "peer {peer}");
    }
}

#[test]
fn a_match_waits_for_a_machine_that_is_away_and_goes_on_with_it() {
    let mut stepper = begin(3, DeparturePolicy::Wait);
    for is_cut in [true, false] {
        stepper.set_deaf(2, is_cut);
        stepper.set_mute(2, is_cut);
        stepper.updates(120);
        if is_cut {
            assert_stand_still(&mut stepper, &[0, 1], Pause::ForMissing);
        }
    }
    assert_go_on(&mut stepper, &[0, 1, 2]);
    let roster = stepper.app(0).world().resource::<Roster>();
    assert_eq!(roster.state(Seat(2)), SeatState::Peer);
}

#[test]
fn a_match_goes_on_without_a_machine_once_most_of_the_others_want_it() {
    let mut stepper = begin(4, DeparturePolicy::Wait);
    stepper.crash(1);
    stepper.updates(120);
    let left = [0, 2, 3];
    assert_stand_still(&mut stepper, &left, Pause::ForMissing);
    ask(&mut stepper, 3, false);
    stepper.updates(60);
    assert_stand_still(&mut stepper, &left, Pause::ForMissing);
    ask(&mut stepper, 0, false);
    stepper.updates(60);
    assert_go_on(&mut stepper, &left);
    let roster = stepper.app(0).world().resource::<Roster>();
    assert_eq!(roster.state(Seat(1)), SeatState::Away);
}

#[test]
fn nobody_waits_for_a_machine_that_left() {
    let mut stepper = begin(3, DeparturePolicy::Wait);
    stepper.app_mut(1).world_mut().write_message(LeaveRoom);
    stepper.updates(30);
    assert_go_on(&mut stepper, &[0, 2]);
}

#[test]
fn one_of_two_goes_on_alone_where_the_game_wants_it() {
    for leaver in [0, 1] {
        // What larger matches do is another matter.
        let config = NetcodeConfig {
            departure_policy: DeparturePolicy::EndMatch,
            pair_policy: PairPolicy::GoOn,
            ..config()
        };
        let mut stepper = begin_with(2, &config);
        stepper.app_mut(leaver).world_mut().write_message(LeaveRoom);
        stepper.updates(30);
        assert_go_on(&mut stepper, &[1 - leaver]);
    }
}
