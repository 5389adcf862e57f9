//! Peers that leave, and networks that fail: what ends a match, what does not, and which reason the
//! other peers receive.

use std::time::Duration;

use bevy::{
    app::{AppExit, Last},
    prelude::MessageWriter,
};
use netcode::{NetcodeConfig, prelude::*, testing::Stepper};

use crate::support::{assert_agreement, build, build_ending, busy, state, stats};

#[test]
fn a_leaver_ends_the_match_for_the_other_peers_with_a_reason() {
    let mut stepper = Stepper::in_match(3, build_ending(busy));
    stepper.updates(60);
    stepper.app_mut(0).world_mut().write_message(LeaveRoom);
    stepper.updates(10);
    assert_eq!(*state(stepper.app(0)), SessionState::Offline);
    for index in [1, 2] {
        let reason = EndReason::PeerLeft { name: "peer 0".into() };
        assert_eq!(*state(stepper.app(index)), SessionState::Ended(reason));
    }
}

#[test]
fn an_app_that_exits_leaves_the_room() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    // This is where Bevy reports that the last window was closed. No other update follows.
    stepper.app_mut(0).add_systems(Last, |mut exits: MessageWriter<AppExit>| {
        exits.write(AppExit::Success);
    });
    stepper.app_mut(0).update();
    assert_eq!(*state(stepper.app(0)), SessionState::Offline);
    stepper.updates(10);
    let reason = EndReason::PeerLeft { name: "peer 0".into() };
    assert_eq!(*state(stepper.app(1)), SessionState::Ended(reason));
}

#[test]
fn a_crashed_peer_is_missed_within_three_seconds_by_all_for_the_same_reason() {
    let mut stepper = Stepper::in_match(3, build_ending(busy));
    stepper.updates(60);
    stepper.crash(2);
    assert_missed_within(&mut stepper, Duration::from_secs(3));
}

#[test]
fn a_peer_that_loses_power_is_missed_after_the_outage_timeout() {
    let mut stepper = Stepper::in_match(3, build_ending(busy));
    stepper.updates(60);
    stepper.cut_off(2);
    assert_missed_within(&mut stepper, NetcodeConfig::default().outage_timeout);
}

/// Asserts that the other peers miss the third one within this time.
fn assert_missed_within(stepper: &mut Stepper, time: Duration) {
    stepper.updates(time.as_millis() as u32 * 60 / 1000 + 1);
    for index in [0, 1] {
        let reason = EndReason::PeerLost { name: "peer 2".into() };
        assert_eq!(*state(stepper.app(index)), SessionState::Ended(reason));
    }
}

/// Loses everything that is sent to any peer for three seconds.
fn black_out(stepper: &mut Stepper) {
    let peers = stepper.apps().len();
    (0..peers).for_each(|index| stepper.set_deaf(index, true));
    stepper.updates(180);
    (0..peers).for_each(|index| stepper.set_deaf(index, false));
    stepper.updates(120);
}

fn assert_all_play(stepper: &Stepper) {
    assert!(stepper.apps().iter().all(|app| state(app).is_running()));
    assert_agreement(stepper, 5);
}

#[test]
fn a_peer_that_returned_to_the_server_may_be_silent_for_an_outage() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    stepper.leave_server(1);
    stepper.updates(60);
    stepper.return_to_server(1);
    black_out(&mut stepper);
    assert_all_play(&stepper);
    stepper.leave_server(1);
    black_out(&mut stepper);
    let reason = EndReason::PeerLost { name: "peer 1".into() };
    assert_eq!(*state(stepper.app(0)), SessionState::Ended(reason));
}

#[test]
fn a_peer_that_lost_the_server_does_not_trust_its_earlier_news() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    // The second peer returns while the first one is not at the server to receive the news.
    stepper.leave_server(1);
    stepper.updates(60);
    stepper.reconnect(0);
    black_out(&mut stepper);
    assert_all_play(&stepper);
}

#[test]
fn a_peer_cut_off_at_the_end_of_a_match_gets_the_last_inputs_when_it_is_back() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    stepper.set_deaf(1, true);
    stepper.updates(60);
    let last = stats(stepper.app(0)).frames;
    assert!(stats(stepper.app(1)).frames < last, "the second peer waits");
    stepper.app_mut(0).world_mut().write_message(FinishMatch);
    stepper.updates(7 * 60);
    stepper.set_deaf(1, false);
    stepper.updates(60);
    assert!(stats(stepper.app(1)).confirmed_frames >= last);
}

#[test]
fn a_match_survives_three_seconds_in_which_nothing_arrives() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    stepper.set_conditions(LinkConditions { loss: 1.0, ..LinkConditions::NONE });
    stepper.updates(180);
    stepper.set_conditions(LinkConditions::NONE);
    stepper.updates(180);
    assert_agreement(&stepper, 6);
}
