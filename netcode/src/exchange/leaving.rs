//! Peers that leave a match while the other peers play on: the leavers' seats get neutral inputs
//! from the frame at which they left.
//!
//! A leaver names that frame itself, to all peers alike, and gives all inputs before it. So every
//! peer that stays plays on with the same inputs. A leaver that names different frames gives itself
//! away by the hashes of its inputs.

use signaling::protocol::PeerId;

use super::{Exchange, Inputs, MAX_INPUT_FRAMES, Peer};
use crate::{
    config::MAX_WINDOW_AND_DELAY,
    packed_input::{PackedInput, unpack_all},
};

/// At most this many bytes of inputs in the message by which a peer leaves: all that it may have
/// given without an acknowledgement, which fit a control message.
const MAX_LAST_BYTES: usize = 12 * 1024;
/// A peer may have given inputs for at most this many frames beyond the end of a match: it predicts
/// no further than its window, and delays its inputs no longer than the settings of any peer allow.
/// Two frames are to spare, for code that counts the ends differently.
const MAX_GIVEN_BEYOND_END: u32 = MAX_WINDOW_AND_DELAY as u32 + 2;

/// What a peer that leaves the match said about its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Departure {
    /// The frame at which the match is over for the peer.
    pub(crate) end: u32,
    /// Whether its match can have ended there. If not, `end` is the first frame for which it gave
    /// no inputs, and its world is compared as that of a peer that plays on.
    pub(crate) is_possible: bool,
}

impl Exchange {
    /// Notes that a peer leaves the match, which is over for it at the frame `end`, and that it
    /// gives no inputs from the frame `given` on. Returns `None` if the peer does not play, or if
    /// it has said goodbye before: its first goodbye counts.
    pub(crate) fn leave(&mut self, peer: PeerId, given: u32, end: u32) -> Option<Departure> {
        let peer = self.peer(peer)?;
        // Its goodbye may be the first thing that arrives from it.
        peer.is_here = true;
        if peer.inputs.is_leaving() {
            return None;
        }
        let given = peer.inputs.leave(given);
        let possible = given.saturating_sub(MAX_GIVEN_BEYOND_END)..=given;
        let is_possible = possible.contains(&end);
        peer.end = is_possible.then_some(end);
        Some(Departure { end: if is_possible { end } else { given }, is_possible })
    }

    /// Whether a peer has left the match, and nothing more is needed from it.
    pub(crate) fn has_left(&self, peer: PeerId) -> bool {
        self.peers.iter().any(|other| other.id == peer && other.inputs.has_left())
    }

    /// Whether a peer has said that it leaves the match.
    pub(crate) fn is_leaving(&self, peer: PeerId) -> bool {
        self.peers.iter().any(|other| other.id == peer && other.inputs.is_leaving())
    }

    /// How many of the other peers of the match have said that they leave it, and how many other
    /// peers there are in all.
    pub(crate) fn leavers(&self) -> (usize, usize) {
        let leaving = self.peers.iter().filter(|peer| peer.inputs.is_leaving());
        (leaving.count(), self.peers.len())
    }

    /// Whether a peer can compare this frame, because the match is not over for it before.
    pub(crate) fn reaches(&self, peer: PeerId, frame: u32) -> bool {
        let reaches = |other: &Peer| other.end.is_none_or(|end| frame <= end);
        self.peers.iter().any(|other| other.id == peer && reaches(other))
    }

    /// The peers of the match, and the frame at which it ended for each peer that left it;
    /// `u32::MAX` for a peer that did not leave, or that named a frame at which it cannot have
    /// ended.
    pub(crate) fn ends(&self) -> Vec<(PeerId, u32)> {
        self.peers.iter().map(|peer| (peer.id, peer.end.unwrap_or(u32::MAX))).collect()
    }

    /// The first frame for which this machine gives no inputs if it leaves now, and all of its
    /// inputs that `to` is not known to have, relative to `frame`.
    pub(crate) fn last_inputs(&self, to: PeerId, frame: u32) -> Option<(u32, Inputs)> {
        let peer = self.peers.iter().find(|peer| peer.id == to)?;
        let relative = |other: u32| i16::try_from(i64::from(other) - i64::from(frame)).ok();
        let first = peer.inputs.acked();
        let wire_form = |packed: &[u8]| unpack_all(packed, &self.rules.default_input);
        let runs = self.ours.runs(first, MAX_LAST_BYTES, MAX_INPUT_FRAMES, wire_form);
        let wanted = relative(peer.inputs.wanted())?;
        Some((self.ours.end(), Inputs { first: relative(first)?, wanted, runs }))
    }

    /// Gives the session inputs of the peers that have left, a little beyond our own.
    pub(super) fn play_on_for_leavers(&mut self) {
        if !self.is_open {
            return;
        }
        let our_end = self.ours.end();
        for Peer { inputs, .. } in &mut self.peers {
            if inputs.is_leaving() {
                // The default input, as ggrs takes it.
                let neutral = vec![0; inputs.seats() * PackedInput::SIZE];
                inputs.play_on(our_end + self.rules.window, our_end, &neutral);
            }
        }
    }
}
