//! Bytes that no honest peer sends: each is dropped, counted under its reason, and changes nothing else.

use netcode::{DroppedPackets, Lobby, testing::Stepper};

use crate::support::{assert_agreement, build, busy, stats};

/// The first byte of every control message, as PROTOCOL.md has it.
const WIRE_VERSION: u8 = 3;

/// A match of two in which the first receives these bytes from the second; what it counted.
fn dropped(inject: impl FnOnce(&mut Stepper)) -> DroppedPackets {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    inject(&mut stepper);
    stepper.updates(120);
    assert_agreement(&stepper, 4);
    let dropped = stats(stepper.app(0)).dropped;
    assert_eq!(stats(stepper.app(1)).dropped, DroppedPackets::default());
    dropped
}

#[test]
fn junk_is_counted_on_both_channels() {
    let junk: [&[u8]; 4] = [&[], &[0xff], &[0xfd; 9], b"GET / HTTP/1.1\r\n\r\n"];
    let malformed = junk.len() as u32;
    let expected = DroppedPackets { malformed, ..DroppedPackets::default() };
    let datagrams = dropped(|stepper| {
        for bytes in junk {
            stepper.inject_datagram(1, 0, bytes);
        }
    });
    assert_eq!(datagrams, expected);
    // After the wire version: another one is a refusal, not junk.
    let control = dropped(|stepper| {
        for bytes in junk {
            stepper.inject_control(1, 0, &[&[WIRE_VERSION], bytes].concat());
        }
    });
    assert_eq!(control, expected);
}

#[test]
fn what_is_too_large_is_not_even_looked_at() {
    let too_large = vec![2; 16 * 1024 + 1];
    let both = dropped(|stepper| {
        stepper.inject_datagram(1, 0, &too_large);
        stepper.inject_control(1, 0, &too_large);
    });
    assert_eq!(both, DroppedPackets { oversized: 2, ..DroppedPackets::default() });
}

#[test]
fn datagrams_of_another_epoch_reach_no_session() {
    // Epoch 9, a header, and one ggrs message that keeps a connection alive.
    let keep_alive = [9, 0, 0, 0, 0, 0, 1, 0, 7];
    let stale = dropped(|stepper| stepper.inject_datagram(1, 0, &keep_alive));
    assert_eq!(stale, DroppedPackets { wrong_epoch: 1, ..DroppedPackets::default() });
    // Checksums of epoch 9, frame 30, with one part.
    let checksums =
        dropped(|stepper| stepper.inject_control(1, 0, &[WIRE_VERSION, 3, 9, 30, 1, 7]));
    assert_eq!(checksums, DroppedPackets { wrong_epoch: 1, ..DroppedPackets::default() });
}

#[test]
fn who_is_not_connected_is_a_stranger() {
    let mut stepper = Stepper::new(2, build(busy));
    stepper.join(0, 1);
    stepper.join(1, 1);
    stepper.updates(5);
    stepper.part(0, 1);
    stepper.updates(5);
    stepper.inject_datagram(1, 0, &[0; 8]);
    stepper.inject_control(1, 0, &[WIRE_VERSION, 4, 0]);
    stepper.updates(5);
    let expected = DroppedPackets { stranger: 2, ..DroppedPackets::default() };
    assert_eq!(stats(stepper.app(0)).dropped, expected);
}

#[test]
fn a_flood_is_cut_off_before_it_fills_the_memory() {
    // Epoch 1, which is the match's, a header, and 64 messages that keep a connection alive.
    let many = [&[1, 0, 0, 0, 0, 0, 64][..], &[0, 7].repeat(64)].concat();
    let flooded = dropped(|stepper| {
        for _ in 0..20 {
            stepper.inject_datagram(1, 0, &many);
        }
    });
    // What the other one sent in that update may come before or after.
    assert!((256..=266).contains(&flooded.flooded), "1024 of 1280 fit: {flooded:?}");
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
