//! A match of four that also receives the peers' own traffic, damaged, doubled or out of place, in
//! the name of each of them: none of it changes what any peer computes.
//!
//! One thing is left out, because no peer can tell it from the truth: datagrams that follow all
//! rules and claim false inputs of their own sender. Only the sender can make such a claim. A peer
//! that believes it computes a different world than the rest, and the checksums show that. Claims
//! about inputs that are already known change nothing: the first ones that arrived count.
//!
//! A peer may claim any checksum. So the tests compare what each peer computed with what the other
//! peers computed, and with the same match undisturbed.

use netcode::{
    DroppedPackets, InputDelay, NetcodeConfig,
    prelude::*,
    testing::{SentPacket, Stepper},
};

use crate::support::{
    Input, Script, add_game, assert_agreement, assert_same_worlds, busy, config, state, stats,
};

const PEERS: usize = 4;
/// The number of updates of an attack, in which all recorded packets fit.
const UPDATES: u32 = 240;
/// The number of packets that are injected in each update: far from a flood, even together with
/// what the peers send.
const PACKETS_PER_UPDATE: usize = 24;
/// The second byte of control messages that are believed: Goodbye and Finish.
const BELIEVED: [u8; 2] = [4, 5];

/// Xorshift, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

fn other(seat: Seat, frame: u32) -> Input {
    busy(seat, frame + 1000)
}

/// Four peers in a room. Their input delay never changes, so that equal scripts make equal matches,
/// whatever the network does.
fn four(script: fn(Seat, u32) -> Input) -> Stepper {
    let config = NetcodeConfig { input_delay: InputDelay::Fixed(2), ..config() };
    let mut stepper = Stepper::new(PEERS, |_, app| add_game(app, config.clone(), script));
    (0..PEERS).for_each(|index| stepper.join(index, 1));
    stepper
}

/// Everything that was sent in a match, from the first hello on.
fn recorded(script: fn(Seat, u32) -> Input) -> Vec<SentPacket> {
    let mut stepper = four(script);
    stepper.record();
    stepper.start();
    stepper.updates(UPDATES);
    stepper.record()
}

/// A match that has been running for a moment, on a network that loses and delays packets.
fn running(seed: u64) -> Stepper {
    let mut stepper = four(busy);
    stepper.start();
    stepper.set_network(LinkConditions::WIFI, seed);
    stepper.updates(30);
    stepper
}

/// Injects the packets that `next` makes, and returns the numbers of datagrams and control
/// messages.
fn attack(
    stepper: &mut Stepper,
    mut next: impl FnMut(&mut Stepper, &mut Random) -> Option<SentPacket>,
) -> (u32, u32) {
    let mut random = Random(7);
    let (mut datagrams, mut controls) = (0, 0);
    for _ in 0..UPDATES {
        for _ in 0..PACKETS_PER_UPDATE {
            let Some(packet) = next(stepper, &mut random) else { continue };
            let SentPacket { from, to, is_control, bytes } = packet;
            let is_believed = bytes.get(1).is_some_and(|index| BELIEVED.contains(index));
            if is_control && !is_believed {
                stepper.inject_control(from, to, &bytes);
                controls += 1;
            } else if !is_control && !stepper.is_false_claim(from, to, &bytes) {
                stepper.inject_datagram(from, to, &bytes);
                datagrams += 1;
            }
        }
        stepper.update();
    }
    assert!(datagrams > 500 && controls > 50, "{datagrams} datagrams, {controls} control messages");
    (datagrams, controls)
}

/// Picks any packet of a recording, and damages it. About every sixth is a control message,
/// although these are rare.
fn damaged(
    traffic: &[SentPacket],
    damage: impl Fn(&mut Random, &mut Vec<u8>),
) -> impl FnMut(&mut Stepper, &mut Random) -> Option<SentPacket> {
    let of_kind = |is_control| -> Vec<SentPacket> {
        traffic.iter().filter(|packet| packet.is_control == is_control).cloned().collect()
    };
    let (datagrams, controls) = (of_kind(false), of_kind(true));
    move |_, random| {
        let kind = if random.below(6) == 0 { &controls } else { &datagrams };
        let mut packet = kind[random.below(kind.len())].clone();
        damage(random, &mut packet.bytes);
        Some(packet)
    }
}

/// Asserts that the match goes on as if undisturbed, and returns what all peers together dropped.
fn assert_unharmed(stepper: &mut Stepper, script: fn(Seat, u32) -> Input) -> DroppedPackets {
    let before = stats(stepper.app(0)).frames;
    stepper.updates(60);
    assert!(stats(stepper.app(0)).frames > before + 30, "the match is stalled");
    assert_same_worlds(stepper, 8);
    let mut undisturbed = four(script);
    undisturbed.start();
    undisturbed.updates(UPDATES);
    let expected = undisturbed.app(0).world().resource::<ChecksumLog>();
    let mut sum = DroppedPackets::default();
    for app in stepper.apps() {
        assert!(state(app).is_running(), "{:?}", state(app));
        let log = app.world().resource::<ChecksumLog>();
        let common: Vec<_> =
            log.iter().filter_map(|(frame, hash)| Some((hash, expected.get(frame)?))).collect();
        assert!(common.len() >= 6 && common.iter().all(|(ours, theirs)| ours == theirs));
        add(&mut sum, &stats(app).dropped);
    }
    sum
}

fn add(sum: &mut DroppedPackets, dropped: &DroppedPackets) {
    sum.malformed += dropped.malformed;
    sum.unknown += dropped.unknown;
    sum.wrong_match += dropped.wrong_match;
    sum.too_many_inputs += dropped.too_many_inputs;
    sum.input_gap += dropped.input_gap;
    sum.false_ack += dropped.false_ack;
    sum.not_inputs += dropped.not_inputs;
    sum.bad_echo += dropped.bad_echo;
    sum.false_lag += dropped.false_lag;
    sum.false_end += dropped.false_end;
    sum.repeated_checksum += dropped.repeated_checksum;
    sum.flooded += dropped.flooded;
    sum.stranger += dropped.stranger;
}

fn flip_bits(random: &mut Random, bytes: &mut [u8]) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }
}

fn truncate(random: &mut Random, bytes: &mut Vec<u8>) {
    bytes.truncate(random.below(bytes.len()));
}

#[test]
fn flipped_bits_change_nothing_and_are_counted_under_every_reason() {
    let mut stepper = running(1);
    attack(&mut stepper, damaged(&recorded(busy), |random, bytes| flip_bits(random, bytes)));
    let dropped = assert_unharmed(&mut stepper, busy);
    let DroppedPackets { malformed, wrong_match, too_many_inputs, input_gap, .. } = dropped;
    let DroppedPackets { false_ack, not_inputs, bad_echo, .. } = dropped;
    let counts =
        [malformed, wrong_match, too_many_inputs, input_gap, false_ack, not_inputs, bad_echo];
    assert!(dropped.unknown > 0 && counts.iter().all(|&count| count > 0), "{dropped:?}");
    assert_eq!((dropped.flooded, dropped.stranger), (0, 0));
}

#[test]
fn every_truncated_packet_is_malformed() {
    let mut stepper = running(2);
    let (datagrams, controls) = attack(&mut stepper, damaged(&recorded(busy), truncate));
    let dropped = assert_unharmed(&mut stepper, busy);
    let malformed = datagrams + controls;
    assert_eq!(dropped, DroppedPackets { malformed, ..DroppedPackets::default() });
    assert_agreement(&stepper, 8);
}

#[test]
fn repeated_packets_in_any_order_are_ignored() {
    let mut stepper = running(3);
    stepper.record();
    let mut sent = Vec::new();
    attack(&mut stepper, |stepper, random| {
        sent.extend(stepper.record());
        // The packet may be recent or old.
        let packet: &SentPacket = sent.get(random.below(sent.len().max(1)))?;
        assert!(
            packet.is_control || !stepper.is_false_claim(packet.from, packet.to, &packet.bytes)
        );
        Some(packet.clone())
    });
    let dropped = assert_unharmed(&mut stepper, busy);
    let repeated_checksum = dropped.repeated_checksum;
    assert!(repeated_checksum > 0, "{dropped:?}");
    assert_eq!(dropped, DroppedPackets { repeated_checksum, ..DroppedPackets::default() });
    assert_agreement(&stepper, 8);
}

#[test]
fn packets_of_the_previous_match_are_counted() {
    let mut stepper = four(other);
    stepper.start();
    stepper.record();
    stepper.updates(UPDATES);
    let before = stepper.record();
    for index in 0..PEERS {
        let world = stepper.app_mut(index).world_mut();
        world.insert_resource(Script(busy));
        world.write_message(FinishMatch);
    }
    stepper.updates(30);
    stepper.start();
    stepper.updates(30);
    let (datagrams, controls) = attack(&mut stepper, damaged(&before, |_, _| {}));
    let dropped = assert_unharmed(&mut stepper, busy);
    let wrong_match = datagrams + controls;
    assert_eq!(
        dropped,
        DroppedPackets { wrong_match, bad_echo: dropped.bad_echo, ..DroppedPackets::default() }
    );
    assert_agreement(&stepper, 8);
}

#[test]
fn packets_of_another_match_change_nothing_that_is_known() {
    let mut stepper = running(5);
    attack(&mut stepper, damaged(&recorded(other), |_, _| {}));
    let dropped = assert_unharmed(&mut stepper, busy);
    assert!(dropped.input_gap > 0, "{dropped:?}");
    assert_eq!((dropped.malformed, dropped.flooded, dropped.stranger), (0, 0, 0));
}

#[test]
fn damaged_traffic_leaves_no_memory_behind() {
    let mut stepper = running(6);
    let traffic = recorded(busy);
    let feed = |stepper: &mut Stepper| {
        attack(stepper, damaged(&traffic, |random, bytes| flip_bits(random, bytes)));
        attack(stepper, damaged(&traffic, truncate));
    };
    feed(&mut stepper);
    let left = allocation_counter::measure(|| feed(&mut stepper)).bytes_current;
    assert!(left < 64 * 1024 * PEERS as i64, "{left} bytes are left");
    assert!(stepper.apps().iter().all(|app| state(app).is_running()));
}
