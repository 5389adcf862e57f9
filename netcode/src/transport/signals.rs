//! Which signals of other peers matchbox may see, and which of ours others may see.

use matchbox_socket::{PeerId, PeerSignal};

use super::sdp::{Candidate, Candidates, Description, Side, read_candidate};

/// Peers whose handshakes are remembered, for as long as the socket is: many times what a room holds. Nobody else is met after that.
const MAX_HANDSHAKES: usize = 1024;
/// Candidates of one peer at most: those of a dozen interfaces, over and over as networks come and go.
const MAX_CANDIDATES: u32 = 256;

/// What we know of the handshake with one peer.
#[derive(Debug)]
struct Handshake {
    peer: PeerId,
    /// The section that we offered, while no answer came.
    offered: Option<String>,
    /// Whether an offer of theirs was passed on.
    has_offer: bool,
    /// Whether there was an offer of either side.
    has_begun: bool,
    candidates: u32,
}

/// Reads signals on their way.
#[derive(Debug)]
pub(super) struct Signals {
    which: Candidates,
    handshakes: Vec<Handshake>,
}

impl Signals {
    pub(super) fn new(which: Candidates) -> Self {
        Self { which, handshakes: Vec::new() }
    }

    /// What others get to see of a signal of ours, if anything.
    pub(super) fn outgoing(&mut self, to: PeerId, signal: PeerSignal) -> Option<PeerSignal> {
        let which = self.which;
        match signal {
            PeerSignal::Offer(sdp) => {
                let Some(ours) = Description::read(&sdp, Side::Offer, which) else {
                    // A stack that writes something new: it knows best, as long as nothing is to be hidden.
                    return (which == Candidates::All).then_some(PeerSignal::Offer(sdp));
                };
                let handshake = self.handshake(to)?;
                (handshake.offered, handshake.has_begun) = (Some(ours.mid.clone()), true);
                Some(PeerSignal::Offer(if which == Candidates::All { sdp } else { ours.write() }))
            }
            PeerSignal::Answer(sdp) => {
                match (which, Description::read(&sdp, Side::Answer, which)) {
                    (Candidates::All, _) => Some(PeerSignal::Answer(sdp)),
                    (Candidates::RelaysOnly, ours) => Some(PeerSignal::Answer(ours?.write())),
                }
            }
            PeerSignal::IceCandidate(json) => match (which, read_candidate(&json, which)) {
                (Candidates::All, _) => Some(PeerSignal::IceCandidate(json)),
                (Candidates::RelaysOnly, Candidate::Good(json)) => {
                    Some(PeerSignal::IceCandidate(json))
                }
                (Candidates::RelaysOnly, _) => None,
            },
        }
    }

    /// What matchbox gets to see of a signal of another peer. An error is a signal that no stack of ours sends.
    pub(super) fn incoming(
        &mut self,
        from: PeerId,
        signal: PeerSignal,
    ) -> Result<Option<PeerSignal>, BadSignal> {
        let which = self.which;
        let Some(handshake) = self.handshake(from) else { return Ok(None) };
        match signal {
            PeerSignal::Offer(sdp) => {
                let theirs = Description::read(&sdp, Side::Offer, which).ok_or(BadSignal)?;
                // A second one comes where both sides think that they should offer; matchbox has no use for it.
                if handshake.offered.is_some() || std::mem::replace(&mut handshake.has_offer, true)
                {
                    return Ok(None);
                }
                handshake.has_begun = true;
                Ok(Some(PeerSignal::Offer(theirs.write())))
            }
            PeerSignal::Answer(sdp) => {
                let theirs = Description::read(&sdp, Side::Answer, which).ok_or(BadSignal)?;
                // It answers what we offered, or nothing.
                let offered = handshake.offered.take().ok_or(BadSignal)?;
                if theirs.mid != offered {
                    handshake.offered = Some(offered);
                    return Err(BadSignal);
                }
                Ok(Some(PeerSignal::Answer(theirs.write())))
            }
            PeerSignal::IceCandidate(json) => {
                handshake.candidates += 1;
                if handshake.candidates > MAX_CANDIDATES {
                    return Err(BadSignal);
                }
                match read_candidate(&json, which) {
                    // Without an offer matchbox begins a handshake that never ends.
                    Candidate::Good(_) if !handshake.has_begun => Ok(None),
                    Candidate::Good(json) => Ok(Some(PeerSignal::IceCandidate(json))),
                    Candidate::Unwanted => Ok(None),
                    Candidate::Bad => Err(BadSignal),
                }
            }
        }
    }

    /// Whether matchbox may hear that a peer is here: once. It panics where a second handshake with a peer begins while the first
    /// is under way; who wants another one comes under another id.
    pub(super) fn meet(&mut self, peer: PeerId) -> bool {
        let is_known = self.handshakes.iter().any(|handshake| handshake.peer == peer);
        !is_known && self.handshake(peer).is_some()
    }

    /// What we know of a peer; none if we know too many.
    fn handshake(&mut self, peer: PeerId) -> Option<&mut Handshake> {
        let index = self.handshakes.iter().position(|handshake| handshake.peer == peer);
        if index.is_none() && self.handshakes.len() < MAX_HANDSHAKES {
            self.handshakes.push(Handshake {
                peer,
                offered: None,
                has_offer: false,
                has_begun: false,
                candidates: 0,
            });
            return self.handshakes.last_mut();
        }
        self.handshakes.get_mut(index?)
    }
}

/// A signal that no WebRTC stack could use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadSignal;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::sdp;

    fn peer() -> PeerId {
        PeerId(signaling::protocol::PeerId::from_u128(1).0)
    }

    fn signals() -> Signals {
        Signals::new(Candidates::All)
    }

    fn description(setup: &str, mid: &str) -> String {
        sdp::example()
            .replace("a=setup:actpass", &format!("a=setup:{setup}"))
            .replace("a=mid:0", &format!("a=mid:{mid}"))
    }

    fn offer() -> PeerSignal {
        PeerSignal::Offer(description("actpass", "0"))
    }

    fn answer(mid: &str) -> PeerSignal {
        PeerSignal::Answer(description("active", mid))
    }

    #[test]
    fn an_answer_counts_once_and_only_for_what_was_offered() {
        let mut signals = signals();
        assert_eq!(signals.incoming(peer(), answer("0")), Err(BadSignal));
        assert_eq!(signals.outgoing(peer(), offer()), Some(offer()));
        assert_eq!(signals.incoming(peer(), answer("1")), Err(BadSignal));
        assert!(matches!(signals.incoming(peer(), answer("0")), Ok(Some(PeerSignal::Answer(_)))));
        assert_eq!(signals.incoming(peer(), answer("0")), Err(BadSignal));
    }

    #[test]
    fn a_second_offer_is_not_passed_on() {
        let mut signals = signals();
        assert!(matches!(signals.incoming(peer(), offer()), Ok(Some(PeerSignal::Offer(_)))));
        assert_eq!(signals.incoming(peer(), offer()), Ok(None));
    }

    #[test]
    fn matchbox_hears_of_nobody_twice() {
        let mut signals = signals();
        assert!(signals.meet(peer()));
        assert!(!signals.meet(peer()));
        let other = |number| PeerId(signaling::protocol::PeerId::from_u128(number).0);
        assert!(signals.incoming(other(2), offer()).is_ok());
        assert!(!signals.meet(other(2)));
        let met = (3..5000).filter(|&number| signals.meet(other(number))).count();
        assert_eq!(met, MAX_HANDSHAKES - 2);
        assert!(!signals.meet(peer()));
    }

    #[test]
    fn candidates_are_counted_and_wait_for_an_offer() {
        let mut signals = signals();
        let candidate = r#"{"candidate":"candidate:1 1 udp 5 192.0.2.1 4 typ host"}"#;
        let mut next = || signals.incoming(peer(), PeerSignal::IceCandidate(candidate.into()));
        assert_eq!(next(), Ok(None));
        let rest: Vec<_> = (0..MAX_CANDIDATES).map(|_| next()).collect();
        assert_eq!(rest.last(), Some(&Err(BadSignal)));
        let mut signals = self::signals();
        assert!(signals.incoming(peer(), offer()).is_ok());
        let passed = signals.incoming(peer(), PeerSignal::IceCandidate(candidate.into()));
        assert!(matches!(passed, Ok(Some(PeerSignal::IceCandidate(_)))));
    }

    #[test]
    fn who_wants_only_relays_tells_nobody_its_address() {
        let mut signals = Signals::new(Candidates::RelaysOnly);
        let Some(PeerSignal::Offer(sdp)) = signals.outgoing(peer(), offer()) else {
            panic!("an offer stays one");
        };
        assert!(!sdp.contains("192.168."), "{sdp}");
        let host = r#"{"candidate":"candidate:1 1 udp 5 192.0.2.1 4 typ host"}"#;
        assert_eq!(signals.outgoing(peer(), PeerSignal::IceCandidate(host.into())), None);
    }
}
