//! How long each peer has kept a match from starting. Pure.
//!
//! A match starts only when all agree, so a peer that never answers, never proposes or always
//! declines would keep all of them in the lobby. As long as nothing else is in the way, the time is
//! counted for the peer whose turn it is. An honest peer takes a round trip.

use std::time::Duration;

use signaling::protocol::PeerId;

use super::ANSWER_WITHIN;

/// A peer that has held up the start for this time is named: a whole round.
const NAMED_AFTER: Duration = ANSWER_WITHIN;
/// A peer that has held up the start for this time is counted out: three rounds.
const COUNTED_OUT_AFTER: Duration = ANSWER_WITHIN.saturating_mul(3);

/// The time for which each peer has held up the start.
#[derive(Clone, Debug, Default)]
pub(super) struct StartDelays(Vec<(PeerId, Duration)>);

impl StartDelays {
    /// Counts `time` for a peer.
    pub(super) fn add(&mut self, peer: PeerId, time: Duration) {
        match self.0.iter_mut().find(|(other, _)| *other == peer) {
            Some((_, total)) => *total = total.saturating_add(time),
            None => self.0.push((peer, time)),
        }
    }

    /// Whether a peer has taken long enough for players to be shown its name.
    pub(super) fn is_named(&self, peer: PeerId) -> bool {
        self.of(peer) >= NAMED_AFTER
    }

    /// Whether a peer has taken long enough for the match to start without it.
    pub(super) fn is_counted_out(&self, peer: PeerId) -> bool {
        self.of(peer) >= COUNTED_OUT_AFTER
    }

    /// Counts the time of a peer from zero again.
    pub(super) fn reset(&mut self, peer: PeerId) {
        self.0.retain(|(other, _)| *other != peer);
    }

    /// Counts the time of all peers from zero again, as a match starts.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn of(&self, peer: PeerId) -> Duration {
        self.0.iter().find(|(other, _)| *other == peer).map_or(Duration::ZERO, |it| it.1)
    }
}
