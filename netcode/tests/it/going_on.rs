//! Matches that go on without the machines that they lose.

use std::time::Duration;

use netcode::{Agreement, DeparturePolicy, NetcodeConfig, prelude::*, testing::Stepper};

use crate::support::{add_game, busy, config, state, stats};

/// A match of `peers` machines, over a network with a round trip of 50 ms.
fn begin(peers: usize, seed: u64) -> Stepper {
    let config = NetcodeConfig {
        departure_policy: DeparturePolicy::GoOn,
        max_players: 8,
        checksum_interval: 10,
        ..config()
    };
    let mut stepper = Stepper::in_match(peers, |_, app| add_game(app, config.clone(), busy));
    let conditions = LinkConditions {
        latency: Duration::from_millis(25),
        jitter: Duration::from_millis(10),
        loss: 0.01,
        ..LinkConditions::NONE
    };
    stepper.set_network(conditions, seed);
    stepper.updates(120);
    stepper
}

/// Updates for `updates`, and returns the longest time in which one of these peers simulated no new
/// frame, in updates. Nothing that is confirmed is taken back meanwhile.
fn longest_freeze(stepper: &mut Stepper, peers: &[usize], updates: u32) -> u32 {
    let mut frozen = vec![(0, 0, 0); peers.len()];
    let mut longest = 0;
    for _ in 0..updates {
        stepper.update();
        for (&peer, (frames, confirmed, since)) in peers.iter().zip(&mut frozen) {
            let stats = stats(stepper.app(peer));
            *since = if stats.frames > *frames { 0 } else { *since + 1 };
            *frames = stats.frames;
            longest = longest.max(*since);
            assert!(stats.confirmed_frames >= *confirmed, "peer {peer} took back a frame");
            *confirmed = stats.confirmed_frames;
        }
    }
    longest
}

/// Asserts that these peers still play, that the seats of these others are nobody's, and that all
/// of them computed the same in at least `at_least` frames from `from` on.
fn assert_go_on(stepper: &Stepper, peers: &[usize], gone: &[usize], from: u32, at_least: usize) {
    for &peer in peers {
        let app = stepper.app(peer);
        assert!(state(app).is_running(), "peer {peer}: {:?}", state(app));
        let roster = app.world().resource::<Roster>();
        for seat in roster.seats() {
            let is_gone = gone.contains(&usize::from(seat.seat.0));
            let is_played = seat.state == SeatState::Peer;
            assert_eq!(is_played, !is_gone, "peer {peer}, seat {:?}: {:?}", seat.seat, seat.state);
        }
        assert_eq!(stats(app).desyncs, 0, "peer {peer}");
    }
    let log = |peer: usize| stepper.app(peer).world().resource::<ChecksumLog>();
    let mut common = 0;
    for (frame, hash) in log(peers[0]).iter().filter(|(frame, _)| *frame >= from) {
        let others: Vec<u64> = peers[1..].iter().filter_map(|&it| log(it).get(frame)).collect();
        if others.len() == peers.len() - 1 {
            assert!(others.iter().all(|&other| other == hash), "frame {frame} differs");
            common += 1;
        }
    }
    assert!(common >= at_least, "only {common} frames in common from frame {from} on");
}

fn newest(stepper: &Stepper) -> u32 {
    stepper.apps().iter().map(|app| stats(app).frames).max().unwrap_or(0)
}

#[test]
fn three_machines_play_on_when_one_leaves_the_room() {
    for leaver in 0..3 {
        let mut stepper = begin(3, leaver as u64);
        let stayers: Vec<usize> = (0..3).filter(|&peer| peer != leaver).collect();
        stepper.app_mut(leaver).world_mut().write_message(LeaveRoom);
        let freeze = longest_freeze(&mut stepper, &stayers, 300);
        assert!(freeze <= 6, "seat {leaver} left: a freeze of {freeze} updates");
        assert_go_on(&stepper, &stayers, &[leaver], 200, 10);
    }
}

#[test]
fn four_machines_play_on_when_one_crashes() {
    for lost in 0..4 {
        let mut stepper = begin(4, lost as u64);
        let stayers: Vec<usize> = (0..4).filter(|&peer| peer != lost).collect();
        stepper.crash(lost);
        let freeze = longest_freeze(&mut stepper, &stayers, 300);
        assert!(freeze <= 36, "seat {lost} was lost: a freeze of {freeze} updates");
        assert_go_on(&stepper, &stayers, &[lost], 200, 10);
    }
}

#[test]
fn five_machines_play_on_when_two_crash_at_once() {
    let mut stepper = begin(5, 1);
    stepper.crash(0);
    stepper.crash(3);
    let freeze = longest_freeze(&mut stepper, &[1, 2, 4], 300);
    assert!(freeze <= 90, "a freeze of {freeze} updates");
    assert_go_on(&stepper, &[1, 2, 4], &[0, 3], 200, 10);
}

#[test]
fn machines_may_leave_one_after_the_other() {
    let mut stepper = begin(5, 7);
    for (gone, how) in [(1, "leaves"), (4, "crashes"), (0, "leaves")] {
        if how == "leaves" {
            stepper.app_mut(gone).world_mut().write_message(LeaveRoom);
        } else {
            stepper.crash(gone);
        }
        stepper.updates(200);
    }
    let from = newest(&stepper);
    stepper.updates(200);
    assert_go_on(&stepper, &[2, 3], &[0, 1, 4], from, 10);
    // The last one plays on alone.
    stepper.app_mut(3).world_mut().write_message(LeaveRoom);
    stepper.updates(30);
    let from = newest(&stepper);
    stepper.updates(60);
    assert_go_on(&stepper, &[2], &[0, 1, 3, 4], from, 5);
}

/// Loses everything that one peer sends and receives, for `updates`.
fn cut(stepper: &mut Stepper, peer: usize, updates: u32) {
    for is_cut in [true, false] {
        stepper.set_deaf(peer, is_cut);
        stepper.set_mute(peer, is_cut);
        stepper.updates(if is_cut { updates } else { 0 });
    }
}

#[test]
fn a_machine_that_was_away_gets_its_seat_back() {
    for (peers, away) in [(3, 1), (4, 0), (4, 3)] {
        let mut stepper = begin(peers, peers as u64);
        cut(&mut stepper, away, 180);
        let stayers: Vec<usize> = (0..peers).filter(|&peer| peer != away).collect();
        assert_go_on(&stepper, &stayers, &[away], 120, 3);
        let all: Vec<usize> = (0..peers).collect();
        let before = newest(&stepper);
        let freeze = longest_freeze(&mut stepper, &stayers, 60);
        assert!(freeze <= 6, "a freeze of {freeze} updates");
        assert_go_on(&stepper, &all, &[], before + 60, 0);
        stepper.updates(120);
        assert_go_on(&stepper, &all, &[], before + 60, 5);
    }
}

#[test]
fn a_seat_is_kept_no_longer_than_configured() {
    let mut stepper = begin(3, 9);
    cut(&mut stepper, 2, 32 * 60);
    let roster = stepper.app(0).world().resource::<Roster>();
    assert_eq!(roster.seats()[2].state, SeatState::Empty);
    stepper.updates(120);
    assert_go_on(&stepper, &[0, 1], &[2], 1_000, 10);
    assert_eq!(*state(stepper.app(2)), SessionState::Ended(EndReason::PutAway));
}

#[test]
fn a_match_that_loses_half_of_its_machines_in_silence_holds_and_then_ends() {
    let mut stepper = begin(4, 5);
    stepper.cut_off(1);
    stepper.cut_off(2);
    stepper.updates(120);
    for peer in [0, 3] {
        assert!(state(stepper.app(peer)).is_running(), "the others may come back");
    }
    stepper.updates(17 * 60);
    for peer in [0, 3] {
        let state = state(stepper.app(peer));
        assert!(matches!(state, SessionState::Ended(EndReason::PeerLost { .. })), "{state:?}");
    }
}

#[test]
fn a_match_that_all_finish_ends_for_all_with_the_same_result() {
    let mut stepper = begin(4, 11);
    stepper.crash(2);
    stepper.updates(200);
    for peer in [0, 1, 3] {
        let end = newest(&stepper) + 30;
        let mut end_of_match = stepper.app_mut(peer).world_mut().resource_mut::<MatchEnd>();
        end_of_match.finish_when_confirmed(end);
    }
    stepper.updates(300);
    let result = |peer: usize| stepper.app(peer).world().resource::<MatchResult>();
    for peer in [0, 1, 3] {
        assert_eq!(*state(stepper.app(peer)), SessionState::Gathering);
        assert_eq!((result(peer).frames, &result(peer).ended), (result(0).frames, &None));
        let agreements = result(peer).peers.iter().map(|other| other.agreement);
        assert_eq!(agreements.collect::<Vec<_>>(), [Agreement::Same; 2], "peer {peer}");
    }
}

#[test]
fn a_machine_that_finishes_leaves_the_others_to_play_on() {
    let mut stepper = begin(3, 13);
    stepper.app_mut(1).world_mut().write_message(FinishMatch);
    let freeze = longest_freeze(&mut stepper, &[0, 2], 300);
    assert!(freeze <= 6, "a freeze of {freeze} updates");
    assert_eq!(*state(stepper.app(1)), SessionState::Gathering);
    assert_go_on(&stepper, &[0, 2], &[1], 250, 10);
}

#[test]
fn whatever_is_lost_the_survivors_agree() {
    for seed in 0..20 {
        let mut stepper = begin(4, 100 + seed);
        let gone = [(seed % 4) as usize, ((seed / 4 + 1 + seed) % 4) as usize];
        let bad = LinkConditions {
            latency: Duration::from_millis(40),
            jitter: Duration::from_millis(40),
            loss: 0.1,
            duplicates: 0.05,
            ..LinkConditions::NONE
        };
        stepper.set_network(bad, seed);
        stepper.updates(60);
        stepper.crash(gone[0]);
        stepper.updates(10 * seed as u32);
        let from = newest(&stepper);
        stepper.updates(400);
        let stayers: Vec<usize> = (0..4).filter(|peer| *peer != gone[0]).collect();
        assert_go_on(&stepper, &stayers, &gone[..1], from, 10);
    }
}

#[test]
fn another_machine_may_be_lost_while_one_is_away_or_returns() {
    for step in 0..12 {
        let mut stepper = begin(5, step);
        let away = 1 + step as usize % 2;
        for is_cut in [true, false] {
            stepper.set_deaf(away, is_cut);
            stepper.set_mute(away, is_cut);
            stepper.updates(if is_cut { 100 } else { 8 * step as u32 });
        }
        stepper.crash(if step % 3 == 0 { 0 } else { 3 });
        let (lost, stayers) = if step % 3 == 0 { (0, [1, 2, 3, 4]) } else { (3, [0, 1, 2, 4]) };
        stepper.updates(400);
        let from = newest(&stepper);
        stepper.updates(200);
        assert_go_on(&stepper, &stayers, &[lost], from, 10);
    }
}

/// A sequence of numbers, the same for the same seed.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// One machine after the other loses its network for some time, over a bad network, and each gets
/// its seat back.
fn cut_again_and_again(peers: usize, seed: u64, times: u32) {
    let mut stepper = begin(peers, seed);
    let bad = LinkConditions {
        latency: Duration::from_millis(30),
        jitter: Duration::from_millis(20),
        // On some of these networks, messages of the agreement are late again and again.
        loss: [0.02, 0.05, 0.2][seed as usize % 3],
        duplicates: 0.05,
        reorder: 0.05,
        ..LinkConditions::NONE
    };
    stepper.set_network(bad, seed);
    let mut state_of_random = seed;
    let all: Vec<usize> = (0..peers).collect();
    for time in 0..times {
        let away = random(&mut state_of_random) as usize % peers;
        let updates = 10 + random(&mut state_of_random) as u32 % 240;
        cut(&mut stepper, away, updates);
        let is_complete = |app: &bevy::prelude::App| {
            let roster = app.world().resource::<Roster>();
            state(app).is_running() && roster.seats().iter().all(|it| it.state == SeatState::Peer)
        };
        let mut waited = 0;
        // An absence that is over before anybody noticed it shows nothing at first.
        while waited < 30 || !stepper.apps().iter().all(is_complete) {
            stepper.update();
            waited += 1;
            let what = format!("seed {seed}, time {time}: peer {away} cut for {updates} updates");
            assert!(waited < 1_000, "{what}: it does not come back");
            for &peer in &all {
                assert!(state(stepper.app(peer)).is_running(), "{what}: peer {peer}");
            }
        }
    }
    let from = newest(&stepper);
    stepper.updates(200);
    assert_go_on(&stepper, &all, &[], from, 10);
}

#[test]
fn machines_that_lose_their_network_again_and_again_return_each_time() {
    for seed in 0..5 {
        cut_again_and_again(3 + seed as usize % 3, seed, 4);
    }
}

#[test]
#[ignore = "takes minutes"]
#[expect(clippy::print_stderr, reason = "a long test shows how far it is")]
fn machines_return_whatever_they_missed() {
    for seed in 0..200 {
        eprintln!("seed {seed} of 200");
        cut_again_and_again(3 + seed as usize % 5, seed, 10);
    }
}
