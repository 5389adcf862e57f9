//! The functions that the fuzz targets call. Tests feed the same functions with packets of real
//! peers and with inputs that once went wrong.
//!
//! Each function takes any bytes, plays with them, and panics if a promise of the crate is broken.
//! Every input gets a match of its own, so that its bytes alone reproduce a finding.

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

/// The most packets of one input that are looked at: less than two seconds of play, after which a
/// peer that sends only junk is rightly removed.
const MAX_PACKETS: usize = 32;
/// Updates for which a match has to go on afterwards: enough for some checksums, and no more, as
/// they take most of the time of an input.
const GOES_ON_FOR: u32 = 12;
/// Updates of play before the first packet: past the frames for which no peer gives inputs.
const PLAYED_BEFORE: u32 = 8;
/// The peer that is attacked.
const VICTIM: usize = 0;
/// The peer in whose name the packets are sent.
const LIAR: usize = 1;

thread_local! {
    /// Two peers in one room. Building their apps takes longer than all that is played in them for
    /// one input.
    static PAIR: RefCell<Option<Stepper>> = const { RefCell::new(None) };
}

/// The packets in the bytes of one input: each has its length in two bytes before it, and the last
/// one may be cut off.
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

/// The bytes of one input with these packets.
#[must_use]
pub fn join<'a>(packets: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let with_length = |packet: &[u8]| [&(packet.len() as u16).to_le_bytes(), packet].concat();
    packets.into_iter().flat_map(with_length).collect()
}

/// All packets that the peers of a match of four sent to each other: from the first hello, with a
/// rematch, to the goodbye of one peer.
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

/// Datagrams of a connected peer in the middle of a match.
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

/// Control messages of a peer, as its first words in the lobby, and in the middle of a match.
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

/// Takes a text as a description or a candidate of another peer. Returns what a WebRTC stack would
/// receive of it.
///
/// # Panics
///
/// If that is not the same when it is read once more, or contains an address that is to be hidden.
#[cfg(feature = "webrtc")]
pub fn signal(bytes: &[u8]) -> Vec<Passed> {
    crate::transport::webrtc::strangers::signal(&String::from_utf8_lossy(bytes))
}

/// Takes lines as messages of a signaling server. Returns what a WebRTC stack would receive of
/// them.
///
/// # Panics
///
/// If matchbox would receive what makes it panic.
#[cfg(feature = "webrtc")]
pub fn server_events(bytes: &[u8]) -> Vec<Passed> {
    crate::transport::webrtc::strangers::server_events(&String::from_utf8_lossy(bytes))
}

fn with_pair(work: impl FnOnce(&mut Stepper)) {
    PAIR.with_borrow_mut(|pair| {
        work(pair.get_or_insert_with(|| Stepper::new(2, |_, app| game::add_to(app))));
    });
}

/// Both peers begin their first match.
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

/// Both play on. If one received other inputs than the other gave, the match may wait for inputs
/// that it seems to have, and the worlds differ: that is noticed, and cannot be prevented.
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

/// Whatever was sent, the lobby stays fit to be shown, and a peer that is not ready does not play.
fn assert_lobby(stepper: &Stepper) {
    let lobby: &Lobby = world(stepper, VICTIM).resource();
    assert!(lobby.peers.len() <= 1);
    for peer in &lobby.peers {
        assert!(peer.name.chars().count() <= MAX_NAME_CHARS, "{:?}", peer.name);
        assert!(peer.reaches.len() <= MAX_PEERS);
    }
    assert_eq!(*world(stepper, LIAR).resource::<SessionState>(), SessionState::Gathering);
}
