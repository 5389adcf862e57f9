//! How matches end: for all peers together, or for one peer that finishes by itself.

use std::time::Duration;

use bevy::app::App;
use netcode::{Agreement, InputDelay, SetInputDelay, prelude::*, testing::Stepper};

use crate::support::{assert_agreement, build, build_ending, busy, state, stats, write_to_all};

fn finish(stepper: &mut Stepper, index: usize) {
    stepper.app_mut(index).world_mut().write_message(FinishMatch);
}

fn frames(app: &App) -> u32 {
    stats(app).frames
}

/// Asserts that the peers from index `first` on play at full speed for 20 s, with the same worlds
/// and without a desync.
fn assert_plays_on(stepper: &mut Stepper, first: usize) {
    let before: Vec<u32> = stepper.apps().iter().map(frames).collect();
    stepper.updates(20 * 60);
    let players = &stepper.apps()[first..];
    for (app, before) in players.iter().zip(&before[first..]) {
        assert!(state(app).is_running(), "{:?}", state(app));
        let played = frames(app) - before;
        assert!(played > 16 * 60, "{played} frames in 20 s");
        assert!(stats(app).confirmed_frames + 60 > frames(app), "confirmed, not only predicted");
        assert_eq!(stats(app).desyncs, 0);
    }
    let logs: Vec<&ChecksumLog> = players.iter().map(|app| app.world().resource()).collect();
    let known = |frame| logs.iter().map(|log| log.get(frame)).collect::<Option<Vec<u64>>>();
    let common: Vec<Vec<u64>> = logs[0].iter().filter_map(|(frame, _)| known(frame)).collect();
    assert!(common.len() > 30, "{} frames in common", common.len());
    assert!(common.iter().all(|hashes| hashes.iter().all(|hash| *hash == hashes[0])));
}

#[test]
fn a_peer_that_finishes_alone_leaves_the_other_peers_to_play_on() {
    for (peers, conditions) in [
        (2, LinkConditions::NONE),
        (2, LinkConditions::AWFUL),
        (3, LinkConditions::WIFI),
        (3, LinkConditions::AWFUL),
        (4, LinkConditions::MOBILE_4G),
    ] {
        let mut stepper = Stepper::in_match(peers, build(busy));
        stepper.set_network(conditions, 3);
        stepper.updates(120);
        finish(&mut stepper, 0);
        stepper.updates(180);
        assert_eq!(*state(stepper.app(0)), SessionState::Gathering);
        assert_plays_on(&mut stepper, 1);
        let lobby = stepper.app(1).world().resource::<Lobby>();
        let playing: Vec<bool> = lobby.peers.iter().map(|peer| peer.is_in_match).collect();
        assert!(!playing[0] && playing[1..].iter().all(|&is_playing| is_playing), "{playing:?}");
    }
}

#[test]
fn a_machine_whose_seats_have_different_delays_leaves_the_other_peers_to_play_on() {
    for (conditions, seed) in
        [(LinkConditions::NONE, 1), (LinkConditions::WIFI, 2), (LinkConditions::AWFUL, 3)]
    {
        let mut stepper = Stepper::new(3, build(busy));
        stepper.join(0, 2);
        (1..3).for_each(|index| stepper.join(index, 1));
        stepper.start();
        stepper.set_network(conditions, seed);
        let roster = stepper.app(0).world().resource::<Roster>();
        let seats: Vec<Seat> = roster.local_seats().collect();
        for (seat, delay) in seats.into_iter().zip([1, 6]) {
            let delay = InputDelay::Fixed(delay);
            stepper.app_mut(0).world_mut().write_message(SetInputDelay { seat, delay });
        }
        stepper.updates(240);
        assert_eq!(stats(stepper.app(0)).input_delay, 6);
        finish(&mut stepper, 0);
        stepper.updates(180);
        assert_eq!(*state(stepper.app(0)), SessionState::Gathering);
        assert_plays_on(&mut stepper, 1);
    }
}

#[test]
fn a_peer_that_has_finished_receives_no_checksums_of_later_frames() {
    let mut stepper = Stepper::in_match(3, build(busy));
    stepper.updates(120);
    finish(&mut stepper, 0);
    stepper.updates(180);
    stepper.record();
    stepper.updates(300);
    let sent = stepper.record();
    let checksums = |to: usize| {
        let is_checksum = |bytes: &[u8]| bytes.get(1) == Some(&3);
        sent.iter()
            .filter(|sent| sent.to == to && sent.is_control && is_checksum(&sent.bytes))
            .count()
    };
    assert_eq!(checksums(0), 0);
    assert!([1, 2].iter().all(|&to| checksums(to) >= 9), "two a second");
    // It did receive those of its own last frame.
    let result = stepper.app(0).world().resource::<MatchResult>();
    assert!(result.peers.iter().all(|peer| peer.agreement == Agreement::Same), "{result:?}");
}

#[test]
fn a_player_that_leaves_the_match_is_in_the_lobby_in_the_same_update() {
    for peers in [2, 3] {
        let mut stepper = Stepper::in_match(peers, build(busy));
        stepper.set_network(LinkConditions::WIFI, 3);
        stepper.updates(120);
        stepper.app_mut(0).world_mut().write_message(LeaveMatch);
        stepper.app_mut(0).update();
        assert_eq!(*state(stepper.app(0)), SessionState::Gathering);
        let result = stepper.app(0).world().resource::<MatchResult>();
        assert!(result.ended.is_none() && result.frames > 60, "{result:?}");
        stepper.updates(180);
        assert_plays_on(&mut stepper, 1);
        // It may play the next match.
        (1..peers).for_each(|index| finish(&mut stepper, index));
        stepper.updates(180);
        stepper.set_network(LinkConditions::NONE, 3);
        stepper.start();
        stepper.updates(120);
        assert_agreement(&stepper, 3);
    }
}

#[test]
fn a_player_that_leaves_the_match_and_then_the_room_ends_it_for_nobody() {
    for peers in [2, 3] {
        let mut stepper = Stepper::in_match(peers, build_ending(busy));
        stepper.updates(120);
        stepper.app_mut(0).world_mut().write_message(LeaveMatch);
        stepper.app_mut(0).update();
        stepper.app_mut(0).world_mut().write_message(LeaveRoom);
        stepper.app_mut(0).update();
        stepper.updates(180);
        assert_plays_on(&mut stepper, 1);
    }
}

#[test]
fn peers_may_finish_one_after_the_other() {
    let mut stepper = Stepper::in_match(4, build(busy));
    stepper.set_network(LinkConditions::WIFI, 5);
    stepper.updates(120);
    for index in 0..3 {
        finish(&mut stepper, index);
        stepper.updates(7);
    }
    stepper.updates(180);
    assert_plays_on(&mut stepper, 3);
    finish(&mut stepper, 3);
    stepper.updates(180);
    assert!(stepper.apps().iter().all(|app| *state(app) == SessionState::Gathering));
    stepper.set_network(LinkConditions::NONE, 5);
    stepper.start();
    stepper.updates(120);
    assert_agreement(&stepper, 3);
}

#[test]
fn a_peer_that_finished_may_leave_the_room_crash_or_send_junk() {
    type Go = fn(&mut Stepper);
    let ways: [Go; 3] = [
        |stepper| {
            stepper.app_mut(0).world_mut().write_message(LeaveRoom);
        },
        |stepper| stepper.crash(0),
        |stepper| {
            for _ in 0..180 {
                (1..3).for_each(|to| {
                    (0..10).for_each(|_| stepper.inject_datagram(0, to, b"\x11junk"));
                });
                (1..3).for_each(|index| stepper.app_mut(index).update());
            }
        },
    ];
    for go in ways {
        let mut stepper = Stepper::in_match(3, build(busy));
        stepper.set_network(LinkConditions::WIFI, 7);
        stepper.updates(120);
        finish(&mut stepper, 0);
        stepper.updates(180);
        go(&mut stepper);
        assert_plays_on(&mut stepper, 1);
    }
}

#[test]
fn peers_that_finish_together_are_back_in_the_lobby_at_once() {
    let mut stepper = Stepper::in_match(3, build(busy));
    stepper.set_network(LinkConditions::WIFI, 9);
    stepper.updates(120);
    write_to_all(&mut stepper, FinishMatch);
    stepper.updates(60);
    assert!(stepper.apps().iter().all(|app| *state(app) == SessionState::Gathering));
    assert!(stepper.elapsed() < Duration::from_secs(5));
    assert!(stepper.apps().iter().all(|app| stats(app).desyncs == 0));
}
