//! Peers that have no say in a match: those of another version, those that are not connected or do
//! not play, and a crowd.

use netcode::{DroppedPackets, Refusal, SetSpectating, prelude::*, testing::Stepper};

use crate::{
    hostile::{WIRE_VERSION, dropped},
    support::{build, busy, state, stats},
};

#[test]
fn only_the_checksums_of_players_count() {
    let mut stepper = Stepper::in_match(2, build(busy));
    // The third peer spectates while the other two play.
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
    // Checksums of frame 240, in the match that runs, sent before the true ones: they cause a
    // desync if they count.
    let claim = [WIRE_VERSION, 3, 1, 240, 1, 7, 0];
    for (stepper, from) in [(&mut stepper, 1), (&mut three, 2)] {
        stepper.updates(60);
        for _ in 0..1500 {
            stepper.inject_control(from, 0, &claim);
            stepper.update();
        }
    }
    assert_eq!(stats(stepper.app(0)).desyncs, 1, "a player's checksums count");
    assert_eq!(stats(three.app(0)).desyncs, 0);
    assert_eq!(stats(three.app(0)).dropped.stranger, 1500);
}

#[test]
fn datagrams_of_another_version_do_not_count_as_junk() {
    let mut stepper = Stepper::new(2, build(busy));
    stepper.join(0, 1);
    stepper.join(1, 1);
    stepper.inject_control(1, 0, &[WIRE_VERSION - 1, 0]);
    // One second longer than `outage_timeout`.
    for _ in 0..60 * 11 {
        stepper.inject_datagram(1, 0, b"as another version has it");
        stepper.app_mut(0).update();
    }
    let lobby = stepper.app(0).world().resource::<Lobby>();
    assert_eq!(lobby.peers.first().and_then(|peer| peer.refusal.clone()), None, "it is silent");
    assert_eq!(stats(stepper.app(0)).dropped.malformed, 0);
}

#[test]
fn a_peer_whose_first_message_has_another_version_stays_refused() {
    let mut stepper = Stepper::new(2, build(busy));
    stepper.join(0, 1);
    stepper.join(1, 1);
    stepper.inject_control(1, 0, &[WIRE_VERSION - 1, 0]);
    stepper.updates(10);
    let lobby = stepper.app(0).world().resource::<Lobby>();
    assert_eq!(lobby.peers[0].refusal, Some(Refusal::OtherProtocol));
}

#[test]
fn a_peer_cannot_change_its_version_after_hello() {
    let later = dropped(|stepper| stepper.inject_control(1, 0, &[WIRE_VERSION + 1, 0]));
    assert_eq!(later, DroppedPackets { malformed: 1, ..DroppedPackets::default() });
}

#[test]
fn a_peer_that_is_not_connected_is_a_stranger() {
    let mut stepper = Stepper::new(2, build(busy));
    stepper.join(0, 1);
    stepper.join(1, 1);
    stepper.updates(5);
    stepper.part(0, 1);
    stepper.updates(5);
    stepper.inject_datagram(1, 0, &[0; 10]);
    stepper.inject_control(1, 0, &[WIRE_VERSION, 4, 0]);
    stepper.updates(5);
    let expected = DroppedPackets { stranger: 2, ..DroppedPackets::default() };
    assert_eq!(stats(stepper.app(0)).dropped, expected);
}

#[test]
fn peers_beyond_the_limit_are_not_tracked() {
    let mut stepper = Stepper::new(34, build(busy));
    for index in 0..34 {
        stepper.join(index, 1);
    }
    stepper.updates(3);
    let lobby = stepper.app(0).world().resource::<Lobby>();
    assert_eq!(lobby.peers.len(), 32);
    assert_eq!(stats(stepper.app(0)).dropped.crowded, 1);
}
