//! Peers that leave a match while the other peers play on: the leavers' seats get neutral inputs
//! from the frame at which they left.
//!
//! A leaver names that frame itself, to all peers alike, and gives all inputs before it. So every
//! peer that stays plays on with the same inputs. A leaver that names different frames gives itself
//! away by the hashes of its inputs.

use serde::{Deserialize, Serialize};
use signaling::protocol::PeerId;

use super::{BadInputs, Exchange, Stream};
use crate::config::MAX_WINDOW_AND_DELAY;

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

/// The last that a machine gives to the match that it leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastInputs {
    /// The first frame for which it gives no inputs.
    pub(crate) given: u32,
    /// All of its inputs that the receiver is not known to have.
    pub(crate) streams: Vec<Stream>,
}

impl Exchange {
    /// Notes that a peer leaves the match, which is over for it at the frame `end`, and takes its
    /// last inputs. `frame` is the one that we simulate next. Returns `None` if the peer has said
    /// goodbye before: its first goodbye counts, but inputs that it repeats are taken.
    pub(crate) fn leave(
        &mut self,
        peer: PeerId,
        end: u32,
        last: &LastInputs,
        frame: u32,
    ) -> Result<Option<Departure>, BadInputs> {
        let index = self.index(peer).ok_or(BadInputs::NoSeat)?;
        // Its goodbye may be the first thing that arrives from it.
        self.peers[index].is_here = true;
        self.check_streams(index, &last.streams)?;
        // It acknowledges nothing any more, and needs no more of our inputs.
        let is_held = self.peers[index].is_held || self.has_no_seat(index);
        if !is_held {
            self.take(index, &last.streams, frame, u32::MAX);
        }
        if self.peers[index].is_leaving() {
            return Ok(None);
        }
        // Inputs that it gave before count, whatever it says now.
        let of_peer = self.seats.iter().filter(|seat| seat.holder == Some(index));
        let given = of_peer.map(|seat| seat.stream.end()).fold(last.given, u32::max);
        let possible = given.saturating_sub(MAX_GIVEN_BEYOND_END)..=given;
        let is_possible = possible.contains(&end);
        let peer = &mut self.peers[index];
        peer.given = Some(given);
        peer.end = is_possible.then_some(end);
        Ok(Some(Departure { end: if is_possible { end } else { given }, is_possible }))
    }

    /// Whether the peer at `index` has left the match, and all of its inputs are here.
    pub(super) fn has_all_of(&self, index: usize) -> bool {
        self.peers[index].given.is_some_and(|given| self.known(index) >= given)
    }

    /// Whether a peer has left the match, and nothing more is needed from it.
    pub(crate) fn has_left(&self, peer: PeerId) -> bool {
        self.index(peer).is_some_and(|index| self.has_given_all(index))
    }

    /// Whether a peer has said that it leaves the match, and all of its inputs are here.
    pub(crate) fn has_finished(&self, peer: PeerId) -> bool {
        self.index(peer).is_some_and(|index| self.has_all_of(index))
    }

    /// Whether a peer has said that it leaves the match.
    pub(crate) fn is_leaving(&self, peer: PeerId) -> bool {
        self.index(peer).is_some_and(|index| self.peers[index].is_leaving())
    }

    /// How many of the other peers of the match have said that they leave it, and how many other
    /// peers there are in all.
    pub(crate) fn leavers(&self) -> (usize, usize) {
        // A peer that was put away counts neither as one that finished nor as one that plays.
        let playing = (0..self.peers.len())
            .filter(|&it| self.peers[it].is_leaving() || !self.has_given_all(it));
        let leaving = |&index: &usize| self.peers[index].is_leaving();
        (playing.clone().filter(leaving).count(), playing.count())
    }

    /// Whether a peer can compare this frame, because the match is not over for it before.
    pub(crate) fn reaches(&self, peer: PeerId, frame: u32) -> bool {
        let index = self.index(peer);
        index.is_some_and(|index| self.peers[index].end.is_none_or(|end| frame <= end))
    }

    /// The peers of the match, and the frame at which it ended for each peer that left it;
    /// `u32::MAX` for a peer that did not leave, or that named a frame at which it cannot have
    /// ended.
    pub(crate) fn ends(&self) -> Vec<(PeerId, u32)> {
        let compared = (0..self.peers.len())
            .filter(|&index| self.peers[index].is_leaving() || !self.has_given_all(index));
        compared.map(|it| (self.peers[it].id, self.peers[it].end.unwrap_or(u32::MAX))).collect()
    }

    /// What we give to `to` as we leave the match now. All of our seats then end at the same frame,
    /// so that all peers play on with the same inputs.
    pub(crate) fn last_inputs(&mut self, to: PeerId) -> Option<LastInputs> {
        let ours = || self.seats.iter().filter(|seat| seat.holder.is_none());
        let given = ours().map(|seat| seat.stream.end()).max().unwrap_or(0);
        for seat in self.seats.iter_mut().filter(|seat| seat.holder.is_none()) {
            seat.stream.hold_up_to(given);
        }
        let index = self.index(to)?;
        Some(LastInputs { given, streams: self.streams_for(index, MAX_LAST_BYTES) })
    }
}
