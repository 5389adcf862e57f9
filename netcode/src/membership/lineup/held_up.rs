//! How long each peer has kept a match from starting. Pure.
//!
//! A match starts only when all agree, so a peer that never answers, never proposes or declines for
//! ever would keep everybody in the lobby. Each moment in which nothing else is in the way is put
//! down to the peer whose turn it is. An honest one takes a round trip.

use std::time::Duration;

use signaling::protocol::PeerId;

use super::ANSWER_WITHIN;

/// A peer that held up the start for so long is named: a whole round.
const NAMED_AFTER: Duration = ANSWER_WITHIN;
/// A peer that held up the start for so long is counted out: three rounds.
const COUNTED_OUT_AFTER: Duration = ANSWER_WITHIN.saturating_mul(3);

/// The time that each peer took.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldUp(Vec<(PeerId, Duration)>);

impl HeldUp {
    /// Puts some time down to a peer.
    pub(super) fn blame(&mut self, peer: PeerId, time: Duration) {
        match self.0.iter_mut().find(|(other, _)| *other == peer) {
            Some((_, held_up)) => *held_up = held_up.saturating_add(time),
            None => self.0.push((peer, time)),
        }
    }

    /// Whether a peer took so long that players should know.
    pub(super) fn is_named(&self, peer: PeerId) -> bool {
        self.of(peer) >= NAMED_AFTER
    }

    /// Whether a peer took so long that the match is to start without it.
    pub(super) fn is_counted_out(&self, peer: PeerId) -> bool {
        self.of(peer) >= COUNTED_OUT_AFTER
    }

    /// A peer begins again.
    pub(super) fn forgive(&mut self, peer: PeerId) {
        self.0.retain(|(other, _)| *other != peer);
    }

    /// A match starts: all begin again.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn of(&self, peer: PeerId) -> Duration {
        self.0.iter().find(|(other, _)| *other == peer).map_or(Duration::ZERO, |it| it.1)
    }
}
