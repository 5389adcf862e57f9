//! What we know of one peer: who it is, where it stands, and when we last heard from it.

use std::time::Duration;

use signaling::{lobby::Place, protocol::PeerId};

use super::{
    conduct::Conduct,
    control::{Hello, Status},
    patience::{MAX_SILENCE_PER_UPDATE, Patience},
    reasons::Refusal,
};
use crate::exchange::LinkClock;

/// The time in which a hello must come. It is the first message of a peer, and takes half a round
/// trip, and some more on a bad network.
const HELLO_WITHIN: Duration = Duration::from_secs(3);

/// The role of a peer in the room. A peer may say what it likes about itself, and a peer that was
/// removed may stay connected to the others: the server has the last word, if it says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoomRole {
    Unknown,
    Member(Place),
    NotMember,
}

/// The connection to one peer.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) peer: PeerId,
    pub(crate) hello: Option<Hello>,
    pub(crate) refusal: Option<Refusal>,
    /// What the peer last said of itself. Nothing in it is checked: which peers play our match is
    /// asked of its roster.
    pub(crate) claims: Status,
    pub(crate) clock: LinkClock,
    pub(crate) conduct: Conduct,
    pub(crate) patience: Patience,
    /// Whether anything that we sent has arrived.
    pub(crate) hears_us: bool,
    /// Whether the signaling server has the peer, as far as we know.
    pub(crate) is_at_server: bool,
    /// Its role in the room, as the server has it.
    pub(crate) role: RoomRole,
    /// When the last datagram to the peer left.
    pub(crate) last_sent: Duration,
    silence: Duration,
    /// Time that we have spent waiting for the peer in all.
    age: Duration,
}

impl Link {
    pub(crate) fn new(peer: PeerId) -> Self {
        Self {
            peer,
            hello: None,
            refusal: None,
            claims: Status::default(),
            clock: LinkClock::default(),
            conduct: Conduct::default(),
            patience: Patience::default(),
            hears_us: false,
            is_at_server: true,
            role: RoomRole::Unknown,
            last_sent: Duration::ZERO,
            silence: Duration::ZERO,
            age: Duration::ZERO,
        }
    }

    pub(crate) fn heard(&mut self) {
        self.silence = Duration::ZERO;
    }

    pub(crate) fn wait(&mut self, elapsed: Duration) {
        let waited = elapsed.min(MAX_SILENCE_PER_UPDATE);
        self.silence += waited;
        self.age = self.age.saturating_add(waited);
    }

    pub(crate) fn silence(&self) -> Duration {
        self.silence
    }

    /// Whether the peer is in the room and has said what it is, or may still do so. A peer that
    /// never does is no player, and keeps no match from starting.
    pub(crate) fn is_expected(&self) -> bool {
        let is_known = self.hello.is_some() || self.refusal.is_some() || self.age < HELLO_WITHIN;
        is_known && self.role != RoomRole::NotMember
    }

    /// Whether the peer takes no part in matches.
    pub(crate) fn is_spectator(&self) -> bool {
        self.claims.is_spectator || self.role == RoomRole::Member(Place::Spectator)
    }

    /// Whether we have stopped listening to the peer.
    pub(crate) fn is_removed(&self) -> bool {
        matches!(self.refusal, Some(Refusal::Removed { .. }))
    }

    /// Whether the peer has said hello and is compatible with us.
    pub(crate) fn is_compatible(&self) -> bool {
        self.hello.is_some() && self.refusal.is_none()
    }

    /// Whether we could play with the peer.
    pub(crate) fn is_player(&self) -> bool {
        self.is_compatible() && self.is_expected() && !self.is_spectator()
    }

    pub(crate) fn name(&self) -> String {
        self.hello.as_ref().map_or_else(|| "a player".into(), |hello| hello.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_pause_of_our_own_is_not_the_peers_silence() {
        let mut link = Link::new(PeerId::from_u128(1));
        link.wait(Duration::from_secs(3600));
        assert_eq!(link.silence(), MAX_SILENCE_PER_UPDATE);
        link.wait(Duration::from_millis(10));
        assert_eq!(link.silence(), MAX_SILENCE_PER_UPDATE + Duration::from_millis(10));
        link.heard();
        assert_eq!(link.silence(), Duration::ZERO);
    }

    #[test]
    fn a_peer_that_never_says_hello_is_no_longer_waited_for() {
        let mut link = Link::new(PeerId::from_u128(1));
        let waits = HELLO_WITHIN.as_millis() / MAX_SILENCE_PER_UPDATE.as_millis();
        for _ in 0..waits {
            assert!(link.is_expected());
            link.wait(MAX_SILENCE_PER_UPDATE);
            link.heard();
        }
        assert!(!link.is_expected());
    }
}
