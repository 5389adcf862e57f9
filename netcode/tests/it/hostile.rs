//! Packets that no honest peer sends: each is dropped, counted under its reason, and changes
//! nothing else.

use netcode::{
    DroppedPackets,
    prelude::*,
    testing::{SentPacket, Stepper},
};
use serde::{Deserialize, Deserializer, Serialize};

use crate::support::{Input, assert_agreement, build, busy, state, stats, write_to_all};

/// The first byte of every control message, as PROTOCOL.md describes it.
pub(crate) const WIRE_VERSION: u8 = 10;

/// A datagram of the second player of two, as PROTOCOL.md describes it: of this match and frame,
/// with inputs from `first` on, from a sender that lacks our inputs from `wanted` on. Both are
/// relative to the frame.
pub(crate) fn datagram(
    match_number: u8,
    frame: u32,
    first: i16,
    wanted: i16,
    runs: &[(u8, &[u8])],
) -> Vec<u8> {
    // One stream, in a datagram with inputs.
    let mut bytes = vec![0x11, match_number, 0, 0xfc];
    bytes.extend_from_slice(&frame.to_le_bytes());
    // The clocks of both sides, how long the echo was held (the sender has heard nothing), and the
    // lead.
    bytes.extend_from_slice(&[0, 0, 0, 0, 0xfb, 0xff, 0xff, 0]);
    let relative = |bytes: &mut Vec<u8>, number: i16| {
        let zigzag = ((number << 1) ^ (number >> 15)) as u16;
        bytes.push(0xfb);
        bytes.extend_from_slice(&zigzag.to_le_bytes());
    };
    relative(&mut bytes, wanted);
    // One seat is listed, and what the sender has of it is written out.
    bytes.push(0x1f);
    relative(&mut bytes, wanted);
    // A stream of seat 1.
    bytes.push(0x10 | runs.len() as u8);
    relative(&mut bytes, first);
    for &(frames, input) in runs {
        let length = input.len() as u8;
        bytes.extend_from_slice(&[length.min(15), frames]);
        bytes.extend((length >= 15).then_some(length));
        bytes.extend_from_slice(input);
    }
    bytes
}

/// The input of the second player in this frame, in the form in which it is sent.
pub(crate) fn input(frame: u32) -> [u8; 3] {
    let Input { push, spawn, remove } = busy(Seat(1), frame);
    [push as u8, u8::from(spawn), u8::from(remove)]
}

/// Plays a match of two in which the first peer receives what `inject` sends from the second, and
/// returns what the first peer dropped.
pub(crate) fn dropped(inject: impl FnOnce(&mut Stepper)) -> DroppedPackets {
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
fn junk_is_counted_on_the_channels_for_datagrams_and_control() {
    let junk: [&[u8]; 4] = [&[], &[0xff], &[0xfd; 9], b"GET / HTTP/1.1\r\n\r\n"];
    let malformed = junk.len() as u32;
    let expected = DroppedPackets { malformed, ..DroppedPackets::default() };
    // The junk follows the kind of a datagram: another kind is skipped, and no junk.
    let datagrams = dropped(|stepper| {
        for bytes in junk {
            stepper.inject_datagram(1, 0, &[&[0x11], bytes].concat());
        }
    });
    assert_eq!(datagrams, expected);
    // The junk follows the wire version and a known tag: another version is a refusal, and another
    // tag is skipped.
    let control = dropped(|stepper| {
        for (tag, bytes) in (0..).zip(junk) {
            stepper.inject_control(1, 0, &[&[WIRE_VERSION, tag], bytes].concat());
        }
        stepper.inject_control(1, 0, &[WIRE_VERSION]);
    });
    assert_eq!(control, DroppedPackets { malformed: malformed + 1, ..DroppedPackets::default() });
}

#[test]
fn control_messages_of_unknown_kinds_are_skipped_and_counted() {
    let unknown = dropped(|stepper| {
        for tag in [10, 11, 250, 251, 255] {
            stepper.inject_control(1, 0, &[WIRE_VERSION, tag]);
            stepper.inject_control(1, 0, &[&[WIRE_VERSION, tag][..], &[tag; 16_382]].concat());
        }
    });
    assert_eq!(unknown, DroppedPackets { unknown: 10, ..DroppedPackets::default() });
}

#[test]
fn an_unknown_message_before_the_hello_changes_nothing() {
    let mut stepper = Stepper::new(2, build(busy));
    stepper.join(0, 1);
    stepper.join(1, 1);
    stepper.inject_control(1, 0, &[WIRE_VERSION, 200, 1, 2, 3]);
    stepper.inject_bulk(1, 0, &[200, 1, 2, 3]);
    stepper.update();
    let dropped = stats(stepper.app(0)).dropped;
    assert_eq!(dropped, DroppedPackets { unknown: 2, ..DroppedPackets::default() });
    stepper.start();
    stepper.updates(60);
    assert!(state(stepper.app(0)).is_running());
    assert_agreement(&stepper, 1);
}

#[test]
fn datagrams_of_a_kind_that_is_to_come_are_skipped_and_counted() {
    let skipped = dropped(|stepper| {
        for bytes in [&[3][..], &[0xff], &[0xf2; 1200], b"GET / HTTP/1.1\r\n\r\n"] {
            stepper.inject_datagram(1, 0, bytes);
        }
    });
    assert_eq!(skipped, DroppedPackets { unknown: 4, ..DroppedPackets::default() });
}

#[test]
fn a_datagram_holds_no_control_message_that_must_not_be_lost() {
    let junk = dropped(|stepper| {
        // A status, a goodbye, and bytes that are no message.
        for message in [&[WIRE_VERSION, 1, 0][..], &[WIRE_VERSION, 4, 0], &[WIRE_VERSION, 6], &[]] {
            stepper.inject_datagram(1, 0, &[&[2], message].concat());
        }
    });
    assert_eq!(junk, DroppedPackets { malformed: 4, ..DroppedPackets::default() });
    let unknown = dropped(|stepper| {
        stepper.inject_datagram(1, 0, &[2, WIRE_VERSION, 200, 1]);
    });
    assert_eq!(unknown, DroppedPackets { unknown: 1, ..DroppedPackets::default() });
}

#[test]
fn bulk_of_any_kind_is_skipped_and_counted() {
    let bulk = dropped(|stepper| {
        (0..128).for_each(|kind| stepper.inject_bulk(1, 0, &[kind]));
        stepper.updates(120);
        (128..=255).for_each(|kind| stepper.inject_bulk(1, 0, &[kind]));
        for bytes in [&[][..], &[0xff; 9], &[WIRE_VERSION, 1, 0xff], &[0; 16 * 1024]] {
            stepper.inject_bulk(1, 0, bytes);
        }
    });
    assert_eq!(bulk, DroppedPackets { unknown: 260, ..DroppedPackets::default() });
}

#[test]
fn oversized_packets_are_not_even_looked_at() {
    let all = dropped(|stepper| {
        stepper.inject_datagram(1, 0, &[2; 1201]);
        stepper.inject_control(1, 0, &[WIRE_VERSION; 16 * 1024 + 1]);
        stepper.inject_bulk(1, 0, &[0; 16 * 1024 + 1]);
    });
    assert_eq!(all, DroppedPackets { oversized: 3, ..DroppedPackets::default() });
}

#[test]
fn datagrams_of_another_match_reach_no_session() {
    let stale = dropped(|stepper| stepper.inject_datagram(1, 0, &datagram(9, 0, 0, 0, &[])));
    assert_eq!(stale, DroppedPackets { wrong_match: 1, ..DroppedPackets::default() });
    // Checksums of match 9, frame 30, with one part.
    let checksums =
        dropped(|stepper| stepper.inject_control(1, 0, &[WIRE_VERSION, 3, 9, 30, 1, 7, 0]));
    assert_eq!(checksums, DroppedPackets { wrong_match: 1, ..DroppedPackets::default() });
}

#[test]
fn claimed_lengths_without_their_bytes_are_malformed() {
    let whole = datagram(1, 60, 0, 0, &[]);
    // 255 runs in the stream, and a run with an input of 255 bytes.
    let stream = whole.len() - 4;
    let mut runs = whole.clone();
    runs[stream] |= 0x0f;
    runs.insert(stream + 1, 255);
    let mut input = whole;
    input[stream] |= 1;
    input.extend_from_slice(&[0x1f, 255]);
    let claimed = dropped(|stepper| {
        stepper.inject_datagram(1, 0, &runs);
        stepper.inject_datagram(1, 0, &input);
    });
    assert_eq!(claimed, DroppedPackets { malformed: 2, ..DroppedPackets::default() });
}

#[test]
fn a_datagram_that_is_cut_off_anywhere_is_malformed() {
    let whole = datagram(1, 60, 0, 0, &[(1, &input(60))]);
    let cut = dropped(|stepper| {
        for length in 0..whole.len() {
            stepper.inject_datagram(1, 0, &whole[..length]);
        }
    });
    let malformed = whole.len() as u32;
    assert_eq!(cut, DroppedPackets { malformed, ..DroppedPackets::default() });
}

#[test]
fn inputs_of_more_frames_than_a_peer_can_have_are_refused() {
    let many = dropped(|stepper| {
        let frame = stats(stepper.app(0)).frames;
        let runs = [(128, &input(frame)[..]), (72, &input(frame))];
        stepper.inject_datagram(1, 0, &datagram(1, frame, 0, 0, &runs));
        stepper.inject_datagram(1, 0, &datagram(1, frame, 0, 0, &[(0, &input(frame))]));
    });
    assert_eq!(many, DroppedPackets { too_many_inputs: 2, ..DroppedPackets::default() });
}

#[test]
fn inputs_of_a_far_frame_are_refused() {
    let far = dropped(|stepper| {
        for frame in [1_000_000, u32::MAX] {
            stepper.inject_datagram(1, 0, &datagram(1, frame, 0, 0, &[(1, &input(frame))]));
        }
    });
    assert_eq!(far, DroppedPackets { input_gap: 2, ..DroppedPackets::default() });
}

#[test]
fn an_acknowledgement_of_inputs_never_sent_is_refused() {
    let false_ack = dropped(|stepper| {
        let frame = stats(stepper.app(0)).frames;
        let inputs = datagram(1, frame, 0, 100, &[]);
        stepper.inject_datagram(1, 0, &inputs);
    });
    assert_eq!(false_ack, DroppedPackets { false_ack: 1, ..DroppedPackets::default() });
}

#[test]
fn bytes_that_are_no_input_of_the_game_are_refused() {
    let not_inputs = dropped(|stepper| {
        let frame = stats(stepper.app(0)).frames;
        // Too short, too long, of two seats, with a bool that is neither true nor false, and the
        // default input, which takes no bytes.
        for input in [&[1][..], &[1, 0], &[1, 0, 0, 0], &[1, 0, 0, 1, 0, 0], &[0, 2, 0], &[0; 3]] {
            stepper.inject_datagram(1, 0, &datagram(1, frame, 0, 0, &[(1, input)]));
        }
    });
    assert_eq!(not_inputs, DroppedPackets { not_inputs: 6, ..DroppedPackets::default() });
}

#[test]
fn an_input_written_in_another_way_than_ours_is_refused() {
    /// A pedal that goes down to 9: any number above that is read as 9.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
    struct Pedal(u8);
    impl<'de> Deserialize<'de> for Pedal {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Ok(Self(u8::deserialize(deserializer)?.min(9)))
        }
    }
    let mut stepper = Stepper::in_match(2, |_, app| {
        app.add_plugins(NetcodePlugin::<Pedal>::default());
    });
    stepper.updates(60);
    let frame = stats(stepper.app(0)).frames;
    for input in [9, 10, 255] {
        stepper.inject_datagram(1, 0, &datagram(1, frame, 0, 0, &[(1, &[input])]));
    }
    stepper.update();
    let dropped = stats(stepper.app(0)).dropped;
    assert_eq!(dropped, DroppedPackets { not_inputs: 2, ..DroppedPackets::default() });
}

#[test]
fn messages_of_ggrs_mean_nothing_on_the_wire() {
    // An input that says that the third player left at frame 3, as ggrs 0.13 writes it, after a
    // header of ours.
    let claim = [&[7u8, 2, 3, 0, 40, 0, 40, 1, 6, 0][..], &[60, 58, 2, 4, 0]].concat();
    let dropped = dropped(|stepper| {
        let header = [0x11, 1, 0, 60, 0, 0, 0, 0, 0, 0];
        stepper.inject_datagram(1, 0, &[&header, &claim[..]].concat());
        stepper.inject_datagram(1, 0, &[&[0x11], &claim[..]].concat());
    });
    assert_eq!(dropped, DroppedPackets { malformed: 2, ..DroppedPackets::default() });
}

#[test]
fn an_echo_of_what_was_never_sent_changes_no_measurement() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    let rtt = |stepper: &Stepper| stepper.app(0).world().resource::<Lobby>().peers[0].rtt;
    let before = rtt(&stepper).expect("a second of datagrams was exchanged");
    for sent in 0..100u8 {
        // Each is sent later than the one before, and echoes a datagram as if it had been sent half
        // a minute ago and not been held.
        stepper.inject_datagram(1, 0, &[0, 0, 0, 0, sent, 128, 0, 64, 0, 0]);
    }
    stepper.update();
    let after = rtt(&stepper).expect("it was known before");
    assert!(after.abs_diff(before).as_millis() < 2, "{before:?}, then {after:?}");
    assert!(stats(stepper.app(0)).dropped.bad_echo >= 90);
    stepper.updates(120);
    assert_agreement(&stepper, 4);
}

#[test]
fn a_claim_to_have_played_the_highest_match_number_keeps_nobody_from_playing() {
    let mut stepper = Stepper::in_match(3, build(busy));
    let mut numbers = Vec::new();
    stepper.record();
    for _ in 0..3 {
        stepper.updates(120);
        let is_of_match = |sent: &SentPacket| !sent.is_control && sent.bytes[0] & 0x0f == 1;
        let match_number = |sent: SentPacket| is_of_match(&sent).then_some(sent.bytes[1]);
        let played = stepper.record().into_iter().filter_map(match_number).max().expect("inputs");
        assert!(played <= 3, "a small number, in one byte");
        numbers.push(played);
        assert_agreement(&stepper, 4);
        write_to_all(&mut stepper, FinishMatch);
        stepper.updates(60);
        stepper.app_mut(2).world_mut().write_message(SetReady(true));
        stepper.updates(5);
        let mut false_claims = 0;
        for status in stepper.record() {
            if status.from == 2 && status.is_control && status.bytes[1] == 1 {
                let (start, rest) = (&status.bytes[..6], &status.bytes[7..]);
                let claim = [start, &[0xfc, 0xff, 0xff, 0xff, 0xff], rest].concat();
                stepper.inject_control(2, status.to, &claim);
                false_claims += 1;
            }
        }
        assert!(false_claims >= 2, "the other peers received the false claim");
        stepper.updates(5);
        assert_eq!(stats(stepper.app(0)).dropped.malformed, 0, "the claims are well-formed");
        write_to_all(&mut stepper, SetReady(true));
        stepper.updates(60);
        assert!(stepper.apps().iter().all(|app| state(app).is_running()));
    }
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn a_datagram_without_inputs_moves_nothing() {
    let gap = dropped(|stepper| {
        let frame = stats(stepper.app(0)).frames;
        stepper.inject_datagram(1, 0, &datagram(1, frame, 20, 0, &[]));
    });
    assert_eq!(gap, DroppedPackets { input_gap: 1, ..DroppedPackets::default() });
}

#[test]
fn hostile_packets_leave_no_memory_behind() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(600);
    let far = datagram(1, 1_000_000, 0, 0, &[(128, &[1, 0, 0])]);
    let many = datagram(1, 700, 0, 0, &[(255, &[1, 0, 0])]);
    let attack = |stepper: &mut Stepper| {
        for _ in 0..600 {
            for bytes in [&far[..], &many, b"\x11junk", &[0; 1500]] {
                stepper.inject_datagram(1, 0, bytes);
            }
            // Checksums of frames that are never reached.
            stepper.inject_control(1, 0, &[WIRE_VERSION, 3, 1, 0xfc, 0, 0, 0, 0x7f, 1, 7, 0]);
            stepper.update();
        }
    };
    attack(&mut stepper);
    let left = allocation_counter::measure(|| attack(&mut stepper)).bytes_current;
    assert!(left < 64 * 1024, "{left} bytes are left");
    assert!(state(stepper.app(0)).is_running());
}
