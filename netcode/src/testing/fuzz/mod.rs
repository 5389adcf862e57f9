//! The functions that the fuzz targets call. Tests pass the packets of real peers, and inputs that
//! once failed, to the same functions.
//!
//! Each function takes any bytes, plays a match with them, and panics if the crate breaks one of
//! its promises. Every input gets a match of its own, so that its bytes alone reproduce a finding.

mod game;

use std::cell::RefCell;

use bevy::prelude::World;
use signaling::lobby::MAX_NAME_CHARS;

use super::{SentPacket, Stepper};
use crate::{
    checksum::ChecksumLog,
    diagnostics::{DroppedPackets, SessionStats},
    exchange::{Datagram, DatagramError},
    membership::{FinishMatch, LeaveRoom, Lobby, SessionState, SetReady, control::Control},
    transport::{Channel, MAX_PEERS},
};

#[cfg(feature = "webrtc")]
pub use crate::transport::webrtc::strangers::Passed;

/// The most packets of one input that are used: fewer than in two seconds of play, after which a
/// peer that sends only junk is rightly removed.
const MAX_PACKETS: usize = 32;
/// The number of updates for which the match has to go on afterwards: enough for some checksums,
/// but no more, because these updates take most of the time of an input.
const GOES_ON_FOR: u32 = 12;
/// The number of updates before the first packet: past the frames for which no peer gives inputs.
const PLAYED_BEFORE: u32 = 8;
/// The peer that is attacked.
const VICTIM: usize = 0;
/// The peer in whose name the packets are sent.
const LIAR: usize = 1;

thread_local! {
    /// Two peers in one room. Building their apps takes longer than the match of one input, so they
    /// are reused.
    static PAIR: RefCell<Option<Stepper>> = const { RefCell::new(None) };
}

/// Splits one input into its packets. Two bytes before each packet hold its length; the last packet
/// may be cut off.
pub fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
        let (packet, after) = after.split_at(length);
        rest = after;
        Some(packet)
    })
}

/// Joins packets into the bytes of one input.
#[must_use]
pub fn join<'a>(packets: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let with_length = |packet: &[u8]| [&(packet.len() as u16).to_le_bytes(), packet].concat();
    packets.into_iter().flat_map(with_length).collect()
}

/// Plays a match of four peers and a rematch, and returns all packets that they sent to each other,
/// from the first hello to the goodbye of one peer.
#[must_use]
pub fn recorded_match() -> Vec<SentPacket> {
    let mut stepper = Stepper::new(4, |_, app| game::add_to(app));
    for index in 0..4 {
        stepper.join(index, 1);
    }
    stepper.record();
    stepper.start();
    stepper.updates(120);
    for app in &mut stepper.apps {
        app.world_mut().write_message(FinishMatch);
    }
    stepper.updates(20);
    stepper.start();
    stepper.updates(60);
    stepper.apps[LIAR].world_mut().write_message(LeaveRoom);
    stepper.update();
    stepper.record()
}

/// Injects datagrams of a connected peer in the middle of a match.
///
/// # Panics
///
/// If the match does not go on, if the two worlds differ although the peer claimed nothing false
/// about its inputs, or if a dropped packet was not counted.
pub fn datagrams(bytes: &[u8]) {
    with_pair(|stepper| {
        begin_match(stepper);
        let (mut believes_false_claim, mut expected) = (false, DroppedPackets::default());
        for packet in split(bytes).take(MAX_PACKETS) {
            if packet.len() > Channel::Datagrams.max_bytes() {
                expected.oversized += 1;
            } else {
                match Datagram::decode(packet) {
                    Ok(datagram) => {
                        let mut again = Vec::new();
                        datagram.encode(&mut again).expect("what was decoded can be encoded");
                        assert_eq!(Datagram::decode(&again), Ok(datagram));
                    }
                    Err(DatagramError::Malformed) => expected.malformed += 1,
                    Err(DatagramError::Unknown) => expected.unknown += 1,
                }
            }
            believes_false_claim |= stepper.is_false_claim(LIAR, VICTIM, packet);
            stepper.inject_datagram(LIAR, VICTIM, packet);
            stepper.update();
        }
        let DroppedPackets { malformed, oversized, unknown, .. } = dropped(stepper);
        let DroppedPackets { malformed: bad, oversized: long, unknown: later, .. } = expected;
        assert_eq!((malformed, oversized, unknown), (bad, long, later));
        assert_goes_on(stepper, believes_false_claim);
    });
}

/// Injects control messages of a peer, first as its first messages in the lobby, and then in the
/// middle of a match.
///
/// # Panics
///
/// If the lobby shows what it should not, if a player who is not ready plays, or if the match does
/// not go on although no peer said goodbye or finished it.
pub fn control(bytes: &[u8]) {
    let packets = || split(bytes).take(MAX_PACKETS);
    let is_goodbye =
        |packet| matches!(Control::decode(packet), Ok(Control::Goodbye(_) | Control::Finish(_)));
    for message in packets().filter_map(|packet| Control::decode(packet).ok()) {
        assert_eq!(Control::decode(&message.encode()), Ok(message));
    }
    with_pair(|stepper| {
        stepper.restart();
        stepper.join(VICTIM, 1);
        stepper.join(LIAR, 1);
        stepper.app_mut(VICTIM).world_mut().write_message(SetReady(true));
        for packet in packets() {
            stepper.inject_control(LIAR, VICTIM, packet);
            stepper.update();
        }
        stepper.updates(GOES_ON_FOR);
        assert_lobby(stepper);
        begin_match(stepper);
        for packet in packets() {
            stepper.inject_control(LIAR, VICTIM, packet);
            stepper.update();
        }
        if !packets().any(is_goodbye) {
            assert_goes_on(stepper, false);
        }
    });
}

/// Takes a text as a description or a candidate of another peer. Returns what would be passed on to
/// a WebRTC stack.
///
/// # Panics
///
/// If that changes when it is read once more, or contains an address that must be hidden.
#[cfg(feature = "webrtc")]
pub fn signal(bytes: &[u8]) -> Vec<Passed> {
    crate::transport::webrtc::strangers::signal(&String::from_utf8_lossy(bytes))
}

/// Takes lines as messages of a signaling server. Returns what would be passed on to a WebRTC
/// stack.
///
/// # Panics
///
/// If matchbox would receive something that makes it panic.
#[cfg(feature = "webrtc")]
pub fn server_events(bytes: &[u8]) -> Vec<Passed> {
    crate::transport::webrtc::strangers::server_events(&String::from_utf8_lossy(bytes))
}

fn with_pair(work: impl FnOnce(&mut Stepper)) {
    PAIR.with_borrow_mut(|pair| {
        work(pair.get_or_insert_with(|| Stepper::new(2, |_, app| game::add_to(app))));
    });
}

/// Resets both peers, and begins their first match.
fn begin_match(stepper: &mut Stepper) {
    stepper.restart();
    stepper.join(VICTIM, 1);
    stepper.join(LIAR, 1);
    stepper.start();
    stepper.updates(PLAYED_BEFORE);
}

fn world(stepper: &Stepper, index: usize) -> &World {
    stepper.app(index).world()
}

fn stats(stepper: &Stepper, index: usize) -> &SessionStats {
    world(stepper, index).resource()
}

fn dropped(stepper: &Stepper) -> DroppedPackets {
    stats(stepper, VICTIM).dropped
}

/// Asserts that both peers play on and agree. If one of them believes a false claim about the
/// inputs of the other, the match may stall and the worlds may differ: peers notice that, but
/// cannot prevent it.
fn assert_goes_on(stepper: &mut Stepper, believes_false_claim: bool) {
    let frames = |stepper: &Stepper| [VICTIM, LIAR].map(|index| stats(stepper, index).frames);
    let before = frames(stepper);
    stepper.updates(GOES_ON_FOR);
    for index in [VICTIM, LIAR] {
        let state: &SessionState = world(stepper, index).resource();
        assert!(state.is_running(), "peer {index} is {state:?}");
    }
    if believes_false_claim {
        return;
    }
    let after = frames(stepper);
    for (before, after) in before.into_iter().zip(after) {
        assert!(after >= before + GOES_ON_FOR / 2, "{before} frames, and then {after}");
    }
    let [ours, theirs] =
        [VICTIM, LIAR].map(|index| world(stepper, index).resource::<ChecksumLog>());
    let common = ours.iter().filter_map(|(frame, hash)| Some((frame, hash, theirs.get(frame)?)));
    let common: Vec<_> = common.collect();
    assert!(common.len() >= 2, "only {common:?} in common");
    assert!(common.iter().all(|(_, ours, theirs)| ours == theirs), "{common:?}");
}

/// Asserts that, whatever was sent, the lobby can be shown, and a peer that is not ready does not
/// play.
fn assert_lobby(stepper: &Stepper) {
    let lobby: &Lobby = world(stepper, VICTIM).resource();
    assert!(lobby.peers.len() <= 1);
    for peer in &lobby.peers {
        assert!(peer.name.chars().count() <= MAX_NAME_CHARS, "{:?}", peer.name);
        assert!(peer.reaches.len() <= MAX_PEERS);
    }
    assert_eq!(*world(stepper, LIAR).resource::<SessionState>(), SessionState::Gathering);
}
