//! Peers that have no say in a match: those of another version, those that are not connected or do
//! not play, and a crowd.

use netcode::{DroppedPackets, Refusal, SetSpectating, prelude::*, testing::Stepper};

use crate::{
    hostile::{WIRE_VERSION, dropped},
    support::{build, busy, state, stats},
};

#[test]
fn checksums_count_only_of_who_plays() {
    let mut stepper = Stepper::in_match(2, build(busy));
    // It comes when the others play.
    let mut three = Stepper::new(3, build(busy));
    (0..3).for_each(|index| three.join(index, 1));
    three.run_until("everybody sees everybody", |apps| {
        apps.iter().all(|app| app.world().resource::<Lobby>().seats() == 3)
    });
    three.app_mut(2).world_mut().write_message(SetSpectating(true));
    three.updates(10);
    (0..2).for_each(|index| {
        three.app_mut(index).world_mut().write_message(SetReady(true));
    });
    three.run_until("two play", |apps| apps[..2].iter().all(|app| state(app).is_running()));
    three.updates(120);
    // Of frame 240, in the epoch that runs, and earlier than the truth: wrong, if it counts.
    let lie = [WIRE_VERSION, 3, 1, 240, 1, 7, 0];
    for (stepper, from) in [(&mut stepper, 1), (&mut three, 2)] {
        stepper.updates(60);
        for _ in 0..1500 {
            stepper.inject_control(from, 0, &lie);
            stepper.update();
        }
    }
    assert_eq!(stats(stepper.app(0)).desyncs, 1, "a player's word counts");
    assert_eq!(stats(three.app(0)).desyncs, 0);
    assert_eq!(stats(three.app(0)).dropped.stranger, 1500);
}

#[test]
fn another_version_is_refused_as_such_whatever_its_datagrams_look_like_here() {
    let mut stepper = Stepper::new(2, build(busy));
    stepper.join(0, 1);
    stepper.join(1, 1);
    stepper.inject_control(1, 0, &[WIRE_VERSION - 1, 0]);
    // Longer than anybody may be silent.
    for _ in 0..60 * 11 {
        stepper.inject_datagram(1, 0, b"as another version has it");
        stepper.app_mut(0).update();
    }
    let lobby = stepper.app(0).world().resource::<Lobby>();
    assert_eq!(lobby.peers.first().and_then(|peer| peer.refusal.clone()), None, "it is silent");
    assert_eq!(stats(stepper.app(0)).dropped.malformed, 0);
}

#[test]
fn who_spoke_another_version_first_stays_refused() {
    let mut stepper = Stepper::new(2, build(busy));
    stepper.join(0, 1);
    stepper.join(1, 1);
    stepper.inject_control(1, 0, &[WIRE_VERSION - 1, 0]);
    stepper.updates(10);
    let lobby = stepper.app(0).world().resource::<Lobby>();
    assert_eq!(lobby.peers[0].refusal, Some(Refusal::OtherProtocol));
}

#[test]
fn who_said_hello_cannot_become_another_version_later() {
    let later = dropped(|stepper| stepper.inject_control(1, 0, &[WIRE_VERSION + 1, 0]));
    assert_eq!(later, DroppedPackets { malformed: 1, ..DroppedPackets::default() });
}

#[test]
fn who_is_not_connected_is_a_stranger() {
    let mut stepper = Stepper::new(2, build(busy));
    stepper.join(0, 1);
    stepper.join(1, 1);
    stepper.updates(5);
    stepper.part(0, 1);
    stepper.updates(5);
    stepper.inject_datagram(1, 0, &[0; 9]);
    stepper.inject_control(1, 0, &[WIRE_VERSION, 4, 0]);
    stepper.updates(5);
    let expected = DroppedPackets { stranger: 2, ..DroppedPackets::default() };
    assert_eq!(stats(stepper.app(0)).dropped, expected);
}

#[test]
fn a_crowd_is_not_kept_track_of() {
    let mut stepper = Stepper::new(34, build(busy));
    for index in 0..34 {
        stepper.join(index, 1);
    }
    stepper.updates(3);
    let lobby = stepper.app(0).world().resource::<Lobby>();
    assert_eq!(lobby.peers.len(), 32);
    assert_eq!(stats(stepper.app(0)).dropped.crowded, 1);
}
