//! How a match starts, and what keeps it from starting: peers that are not ready, that cannot reach
//! each other or that fail during the start, and requests that are refused.

use bevy::prelude::*;
use netcode::{StartBlocker, StartRefusal, TransportError, prelude::*, testing::Stepper};

use crate::support::{add_game, build, busy, config, state, write_to_all};

/// A room of this number of peers, all of which have just said that they are ready.
fn all_ready(peers: usize) -> Stepper {
    let mut stepper = Stepper::new(peers, build(busy));
    for index in 0..peers {
        stepper.join(index, 1);
    }
    stepper.updates(5);
    write_to_all(&mut stepper, SetReady(true));
    stepper
}

#[test]
fn a_match_waits_until_all_are_ready() {
    let mut stepper = Stepper::new(3, build(busy));
    for index in 0..3 {
        stepper.join(index, 1);
    }
    stepper.updates(5);
    for index in 0..2 {
        stepper.app_mut(index).world_mut().write_message(SetReady(true));
    }
    stepper.updates(60);
    let lobby = stepper.app(0).world().resource::<Lobby>();
    assert_eq!(
        lobby.blocker().map(|why| why.to_string()),
        Some("waiting for peer 2 to get ready".into())
    );
    stepper.start();
}

#[test]
#[should_panic(expected = "peer 1 is Gathering: peer 0 has version 1.0, you have version 1.1")]
fn a_match_that_never_starts_says_what_each_peer_waits_for() {
    Stepper::in_match(2, |index, app| {
        let game_version = ["1.0", "1.1"][index].to_owned();
        add_game(app, NetcodeConfig { game_version, ..config() }, busy);
    });
}

#[test]
fn another_version_is_refused_on_both_sides_with_a_sentence() {
    let mut stepper = Stepper::new(2, |index, app| {
        let game_version = ["1.0", "1.1"][index].to_owned();
        add_game(app, NetcodeConfig { game_version, ..config() }, busy);
    });
    for index in 0..2 {
        stepper.join(index, 1);
        stepper.app_mut(index).world_mut().write_message(SetReady(true));
    }
    stepper.updates(60);
    let sentence = |app: &App| {
        let lobby = app.world().resource::<Lobby>();
        lobby.peers[0].refusal.as_ref().map(ToString::to_string).expect("the other peer is refused")
    };
    assert_eq!(
        sentence(stepper.app(0)),
        "peer 1 has version 1.1, you have version 1.0: both need the same version to play together"
    );
    assert!(sentence(stepper.app(1)).starts_with("peer 0 has version 1.0"));
    for app in stepper.apps() {
        assert_eq!(*state(app), SessionState::Gathering);
    }
}

#[test]
fn players_that_cannot_reach_each_other_are_named_instead_of_waiting_for_ever() {
    let mut stepper = Stepper::new(3, build(busy));
    for index in 0..3 {
        stepper.join(index, 1);
    }
    stepper.updates(5);
    stepper.part(0, 2);
    write_to_all(&mut stepper, SetReady(true));
    stepper.updates(60);
    let blockers = stepper.apps().iter().map(|app| app.world().resource::<Lobby>().blocker());
    let names: Vec<[String; 2]> = blockers
        .map(|blocker| match blocker {
            Some(StartBlocker::OutOfReach { names }) => names,
            other => panic!("{other:?}"),
        })
        .collect();
    let of_one_end = ["you", "a player connected to peer 1"];
    assert_eq!(names, [of_one_end, ["peer 0", "peer 2"], of_one_end]);
    // A peer that joins again, with a connection to every other one, plays.
    stepper.join(2, 1);
    stepper.start();
}

#[test]
fn an_impossible_start_is_refused_with_a_reason() {
    let refusal = |seats: usize, sync_test| {
        let mut stepper = Stepper::new(1, build(busy));
        let seats = vec!["x".to_owned(); seats];
        let request = StartLocal { seats, seed: 5, sync_test };
        stepper.app_mut(0).world_mut().write_message(request);
        stepper.updates(2);
        match state(stepper.app(0)) {
            SessionState::Ended(EndReason::StartRefused(refusal)) => *refusal,
            other => panic!("{other:?}"),
        }
    };
    for local_seats in [0, 17] {
        let mut stepper = Stepper::new(1, build(busy));
        let request = JoinRoom { local_seats, ..JoinRoom::new("ws://127.0.0.1:1/room") };
        stepper.app_mut(0).world_mut().write_message(request);
        stepper.updates(2);
        let seats = StartRefusal::Seats { seats: local_seats.into(), max: 16 };
        assert_eq!(*state(stepper.app(0)), SessionState::Ended(seats.into()));
    }
    let too_deep = |depth| StartRefusal::SyncTestDepth { depth, max: 8 };
    assert_eq!(refusal(0, None), StartRefusal::Seats { seats: 0, max: 16 });
    assert_eq!(refusal(17, None), StartRefusal::Seats { seats: 17, max: 16 });
    assert_eq!(refusal(2, Some(SyncTest::at_depth(0))), too_deep(0));
    assert_eq!(refusal(2, Some(SyncTest::at_depth(9))), too_deep(9));
}

#[test]
fn a_peer_that_leaves_while_the_match_starts_is_missed_at_once() {
    for updates_until_leaving in 0..6 {
        let mut stepper = all_ready(2);
        stepper.updates(updates_until_leaving);
        stepper.app_mut(1).world_mut().write_message(LeaveRoom);
        stepper.updates(30);
        match state(stepper.app(0)) {
            SessionState::Gathering => {}
            SessionState::Ended(EndReason::PeerLeft { name }) => assert_eq!(name, "peer 1"),
            other => panic!("{other:?} after leaving {updates_until_leaving} updates in"),
        }
    }
}

#[test]
fn a_transport_that_fails_while_the_match_starts_ends_it() {
    for updates_until_failing in 0..6 {
        let mut stepper = all_ready(2);
        stepper.updates(updates_until_failing);
        stepper.fail_transport(0);
        stepper.updates(30);
        let closed = SessionState::Ended(EndReason::Transport(TransportError::Closed));
        assert_eq!(*state(stepper.app(0)), closed, "{updates_until_failing} updates in");
    }
}

#[test]
fn a_connection_that_breaks_while_the_match_starts_ends_it_for_all() {
    for updates_until_breaking in 0..6 {
        let mut stepper = all_ready(3);
        stepper.updates(updates_until_breaking);
        stepper.part(1, 2);
        stepper.updates(30);
        for app in stepper.apps() {
            let is_over = matches!(
                state(app),
                SessionState::Gathering | SessionState::Ended(EndReason::PeerLost { .. })
            );
            assert!(is_over, "{:?} after breaking {updates_until_breaking} updates in", state(app));
        }
    }
}

#[test]
fn a_peer_that_crashes_while_the_match_starts_counts_as_lost_and_not_as_slow() {
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

#[test]
fn a_start_that_takes_too_long_ends_for_all_with_the_same_reason() {
    let mut stepper = all_ready(3);
    stepper.updates(2);
    // From now on the third machine is frozen, with its channels open, like a browser that never
    // finishes building its world.
    for _ in 0..700 {
        for index in 0..2 {
            stepper.app_mut(index).update();
        }
    }
    for index in 0..2 {
        assert_eq!(*state(stepper.app(index)), SessionState::Ended(EndReason::StartTimedOut));
    }
}
