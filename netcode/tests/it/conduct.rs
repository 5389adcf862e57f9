//! Peers that send only junk, flood, or give no inputs: they are removed with a reason, while a
//! peer that sends just some junk stays.

use netcode::{Misconduct, prelude::*, testing::Stepper};

use crate::{
    hostile::{WIRE_VERSION, datagram, input},
    support::{assert_agreement, build, build_ending, busy, state, stats},
};

#[test]
fn a_peer_that_sends_nothing_but_junk_is_removed_with_a_reason() {
    let mut stepper = Stepper::in_match(3, build_ending(busy));
    stepper.updates(60);
    for _ in 0..180 {
        // The peer itself is silent; the test sends in its name, 10 packets a frame.
        for to in [0, 1] {
            for _ in 0..10 {
                stepper.inject_datagram(2, to, b"\x11junk");
            }
        }
        for index in 0..2 {
            stepper.app_mut(index).update();
        }
    }
    for index in 0..2 {
        let reason = EndReason::PeerRemoved { name: "peer 2".into(), misconduct: Misconduct::Junk };
        assert_eq!(*state(stepper.app(index)), SessionState::Ended(reason));
    }
}

#[test]
fn a_peer_that_sends_only_unknown_messages_is_neither_removed_nor_silent() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    // The peer itself is silent for a second more than `outage_timeout`; the test sends in its
    // name.
    for _ in 0..60 * 11 {
        stepper.inject_control(1, 0, &[WIRE_VERSION, 99, 7]);
        stepper.inject_bulk(1, 0, &[99, 7]);
        stepper.app_mut(0).update();
    }
    assert!(state(stepper.app(0)).is_running());
    assert_eq!(stats(stepper.app(0)).dropped.unknown, 2 * 60 * 11);
}

#[test]
fn unknown_messages_excuse_no_junk() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    for _ in 0..180 {
        stepper.inject_datagram(1, 0, b"\x11junk");
        stepper.inject_bulk(1, 0, &[99, 7]);
        stepper.app_mut(0).update();
    }
    let reason = EndReason::PeerRemoved { name: "peer 1".into(), misconduct: Misconduct::Junk };
    assert_eq!(*state(stepper.app(0)), SessionState::Ended(reason));
}

#[test]
fn a_peer_that_sends_some_junk_stays() {
    let mut stepper = Stepper::in_match(2, build(busy));
    for _ in 0..300 {
        (0..3).for_each(|_| stepper.inject_datagram(1, 0, b"\x11junk"));
        stepper.update();
    }
    assert!(state(stepper.app(0)).is_running());
    assert_eq!(stats(stepper.app(0)).dropped.malformed, 900);
    assert_agreement(&stepper, 8);
}

#[test]
fn a_flood_is_cut_off_and_its_source_removed_whatever_it_sends() {
    type Inject = fn(&mut Stepper);
    let floods: [Inject; 4] = [
        |stepper| stepper.inject_datagram(1, 0, &[0; 10]),
        // A status that changes nothing.
        |stepper| stepper.inject_control(1, 0, &[WIRE_VERSION, 1, 0, 1, 0, 0, 1, 0, 0]),
        |stepper| stepper.inject_control(1, 0, &[WIRE_VERSION, 99]),
        |stepper| stepper.inject_bulk(1, 0, &[0; 9]),
    ];
    for inject in floods {
        let mut stepper = Stepper::in_match(2, build(busy));
        stepper.updates(60);
        // One flood is forgiven, and only the packets beyond the limit are dropped.
        (0..1100).for_each(|_| inject(&mut stepper));
        stepper.updates(10);
        let is_cut = stats(stepper.app(0)).dropped.flooded > 90;
        assert!(is_cut, "{:?}", stats(stepper.app(0)).dropped);
        for _ in 0..180 {
            (0..100).for_each(|_| inject(&mut stepper));
            stepper.update();
        }
        let reason =
            EndReason::PeerRemoved { name: "peer 1".into(), misconduct: Misconduct::Flood };
        assert_eq!(*state(stepper.app(0)), SessionState::Ended(reason));
    }
}

#[test]
fn a_peer_that_is_heard_but_gives_no_inputs_does_not_stop_the_match_for_ever() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    let frame = stats(stepper.app(1)).frames;
    // One second longer than `outage_timeout` and five seconds.
    for _ in 0..60 * 16 {
        // The second peer's game is frozen; in its name, the test only shows that it is connected.
        stepper.inject_datagram(1, 0, &datagram(1, frame, -8, -8, &[]));
        stepper.app_mut(0).update();
    }
    let reason = EndReason::PeerRemoved { name: "peer 1".into(), misconduct: Misconduct::Stuck };
    assert_eq!(*state(stepper.app(0)), SessionState::Ended(reason));
}

#[test]
fn a_trickle_of_inputs_does_not_hold_a_match_for_ever() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    let frame = stats(stepper.app(1)).frames;
    // The second peer gives one frame of inputs every 14 s.
    let mut given = 10;
    for update in 0..60 * 40 {
        given += u8::from(update % (14 * 60) == 0);
        let inputs = datagram(1, frame, -8, -8, &[(given, &input(frame))]);
        stepper.inject_datagram(1, 0, &inputs);
        stepper.app_mut(0).update();
    }
    let reason = EndReason::PeerRemoved { name: "peer 1".into(), misconduct: Misconduct::Stuck };
    assert_eq!(*state(stepper.app(0)), SessionState::Ended(reason));
}
