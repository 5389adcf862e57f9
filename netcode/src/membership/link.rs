//! What we know of one peer: who it is, where it stands, and when we last heard from it.

use std::time::Duration;

use signaling::protocol::PeerId;

use super::{
    control::{Hello, Status},
    reasons::Refusal,
};
use crate::transport::LinkClock;

/// Silence that one update may add. A machine that stood still for seconds has heard nothing, but that says
/// nothing about the others: what they sent meanwhile is still on its way to us.
const MAX_SILENCE_PER_UPDATE: Duration = Duration::from_millis(250);

/// The connection to one peer.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) peer: PeerId,
    pub(crate) hello: Option<Hello>,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) status: Status,
    pub(crate) clock: LinkClock,
    /// When the last datagram to the peer left.
    pub(crate) last_sent: Duration,
    silence: Duration,
}

impl Link {
    pub(crate) fn new(peer: PeerId) -> Self {
        Self {
            peer,
            hello: None,
            refusal: None,
            status: Status::default(),
            clock: LinkClock::default(),
            last_sent: Duration::ZERO,
            silence: Duration::ZERO,
        }
    }

    pub(crate) fn heard(&mut self) {
        self.silence = Duration::ZERO;
    }

    pub(crate) fn wait(&mut self, elapsed: Duration) {
        self.silence += elapsed.min(MAX_SILENCE_PER_UPDATE);
    }

    pub(crate) fn silence(&self) -> Duration {
        self.silence
    }

    /// Whether the peer said hello and fits us.
    pub(crate) fn is_compatible(&self) -> bool {
        self.hello.is_some() && self.refusal.is_none()
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
}
