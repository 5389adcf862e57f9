//! Which signals of other peers matchbox may see, and which of ours others may see.

use matchbox_socket::{PeerEvent, PeerId, PeerSignal};

use super::sdp::{Candidate, Candidates, Description, Side, read_candidate};

/// Peers that are remembered, from when they are heard of until their connection is over: as many as the largest room has members.
/// Nobody else is met meanwhile.
const MAX_HANDSHAKES: usize = 256;
/// Candidates of one peer at most: those of a dozen interfaces, over and over as networks come and go.
const MAX_CANDIDATES: u32 = 256;
/// Candidates that are kept with an offer which waits: as many as a description may have.
const MAX_KEPT: usize = 32;

/// What we know of the handshake with one peer.
#[derive(Debug)]
struct Handshake {
    peer: PeerId,
    stage: Stage,
    candidates: u32,
}

#[derive(Debug)]
enum Stage {
    /// It did not begin yet: matchbox has not heard of the peer.
    Waiting {
        /// What the peer offered, if it did; else it is for us to offer.
        offer: Option<String>,
        /// What came after that.
        candidates: Vec<String>,
    },
    /// matchbox is at it, or has a connection by now.
    Begun {
        /// The section that we offered, while no answer came.
        offered: Option<String>,
        /// Whether it is we who answer.
        answers: bool,
    },
}

/// What becomes of a signal of another peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// matchbox gets to see it.
    Pass(PeerSignal),
    /// The peer waits to be met, and this with it.
    Keep,
    /// It is of no use any more, or not yet.
    Drop,
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
        let Some(Stage::Begun { offered, .. }) = self.stage(to) else { return None };
        match signal {
            PeerSignal::Offer(sdp) => {
                let Some(ours) = Description::read(&sdp, Side::Offer, which) else {
                    // A stack that writes something new: it knows best, unless something is to be hidden.
                    return (which == Candidates::All).then_some(PeerSignal::Offer(sdp));
                };
                *offered = Some(ours.mid.clone());
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

    /// What becomes of a signal of another peer. An error is a signal that no stack of ours sends.
    pub(super) fn incoming(
        &mut self,
        from: PeerId,
        signal: PeerSignal,
    ) -> Result<Incoming, BadSignal> {
        match signal {
            PeerSignal::Offer(sdp) => self.take_offer(from, &sdp),
            PeerSignal::Answer(sdp) => {
                let theirs = Description::read(&sdp, Side::Answer, self.which).ok_or(BadSignal)?;
                // It answers what we offered, or nothing.
                match self.stage(from) {
                    Some(Stage::Begun { offered, .. }) if offered.as_ref() == Some(&theirs.mid) => {
                        *offered = None;
                        Ok(Incoming::Pass(PeerSignal::Answer(theirs.write())))
                    }
                    _ => Err(BadSignal),
                }
            }
            PeerSignal::IceCandidate(json) => self.take_candidate(from, &json),
        }
    }

    fn take_offer(&mut self, from: PeerId, sdp: &str) -> Result<Incoming, BadSignal> {
        let theirs = Description::read(sdp, Side::Offer, self.which).ok_or(BadSignal)?.write();
        let Some(handshake) = self.handshake(from) else { return Ok(Incoming::Drop) };
        match &handshake.stage {
            // Both sides think that they should offer; matchbox has no use for it.
            Stage::Begun { answers: false, .. } => Ok(Incoming::Drop),
            // It has given up what it offered before, or will have when we come to it.
            Stage::Begun { answers: true, .. } | Stage::Waiting { .. } => {
                (handshake.stage, handshake.candidates) =
                    (Stage::Waiting { offer: Some(theirs), candidates: Vec::new() }, 0);
                Ok(Incoming::Keep)
            }
        }
    }

    fn take_candidate(&mut self, from: PeerId, json: &str) -> Result<Incoming, BadSignal> {
        let candidate = match read_candidate(json, self.which) {
            Candidate::Good(candidate) => Some(candidate),
            Candidate::Unwanted => None,
            Candidate::Bad => return Err(BadSignal),
        };
        let found = self.handshakes.iter_mut().find(|handshake| handshake.peer == from);
        // Without an offer matchbox would begin a handshake that never ends.
        let Some(handshake) = found else { return Ok(Incoming::Drop) };
        handshake.candidates += 1;
        if handshake.candidates > MAX_CANDIDATES {
            return Err(BadSignal);
        }
        let Some(candidate) = candidate else { return Ok(Incoming::Drop) };
        match &mut handshake.stage {
            Stage::Begun { .. } => Ok(Incoming::Pass(PeerSignal::IceCandidate(candidate))),
            Stage::Waiting { offer: Some(_), candidates } if candidates.len() < MAX_KEPT => {
                candidates.push(candidate);
                Ok(Incoming::Keep)
            }
            Stage::Waiting { .. } => Ok(Incoming::Drop),
        }
    }

    /// Notes that a peer is here, to which we are to offer a connection. False if that is known, or too many are.
    pub(super) fn arrive(&mut self, peer: PeerId) -> bool {
        let is_known = self.handshakes.iter().any(|handshake| handshake.peer == peer);
        !is_known && self.handshake(peer).is_some()
    }

    /// Begins the handshake with a peer that waits; what matchbox is to hear, none if it does not wait any more. An offer that is not
    /// fresh is none: the peer has given it up.
    pub(super) fn begin(&mut self, peer: PeerId, is_fresh: bool) -> Option<Vec<PeerEvent>> {
        let stage = self.stage(peer)?;
        let Stage::Waiting { offer, candidates } = stage else { return None };
        let (offer, candidates) = (offer.take().filter(|_| is_fresh), std::mem::take(candidates));
        *stage = Stage::Begun { offered: None, answers: offer.is_some() };
        let Some(offer) = offer else { return Some(vec![PeerEvent::NewPeer(peer)]) };
        let candidates = candidates.into_iter().map(PeerSignal::IceCandidate);
        let signals = std::iter::once(PeerSignal::Offer(offer)).chain(candidates);
        Some(signals.map(|data| PeerEvent::Signal { sender: peer, data }).collect())
    }

    /// Forgets a peer: it left before it was met, or its connection is over. It may be met again.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.handshakes.retain(|handshake| handshake.peer != peer);
    }

    /// Forgets the peers that left, unless their handshakes began.
    pub(super) fn forget_waiting(&mut self, has_left: impl Fn(PeerId) -> bool) {
        self.handshakes.retain(|handshake| {
            !has_left(handshake.peer) || matches!(handshake.stage, Stage::Begun { .. })
        });
    }

    fn stage(&mut self, peer: PeerId) -> Option<&mut Stage> {
        let handshake = self.handshakes.iter_mut().find(|handshake| handshake.peer == peer)?;
        Some(&mut handshake.stage)
    }

    /// What we know of a peer; none if we know too many.
    fn handshake(&mut self, peer: PeerId) -> Option<&mut Handshake> {
        let index = self.handshakes.iter().position(|handshake| handshake.peer == peer);
        if index.is_none() && self.handshakes.len() < MAX_HANDSHAKES {
            let stage = Stage::Waiting { offer: None, candidates: Vec::new() };
            self.handshakes.push(Handshake { peer, stage, candidates: 0 });
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

    fn other(number: u128) -> PeerId {
        PeerId(signaling::protocol::PeerId::from_u128(number).0)
    }

    /// Those of a peer to whom we offer a connection.
    fn offering(which: Candidates) -> Signals {
        let mut signals = Signals::new(which);
        assert!(signals.arrive(peer()));
        assert_eq!(signals.begin(peer(), true), Some(vec![PeerEvent::NewPeer(peer())]));
        signals
    }

    #[test]
    fn an_answer_counts_once_and_only_for_what_was_offered() {
        let mut signals = signals();
        assert_eq!(signals.incoming(peer(), answer("0")), Err(BadSignal));
        let mut signals = offering(Candidates::All);
        assert_eq!(signals.incoming(peer(), answer("0")), Err(BadSignal));
        assert_eq!(signals.outgoing(peer(), offer()), Some(offer()));
        assert_eq!(signals.incoming(peer(), answer("1")), Err(BadSignal));
        let taken = signals.incoming(peer(), answer("0"));
        assert!(matches!(taken, Ok(Incoming::Pass(PeerSignal::Answer(_)))));
        assert_eq!(signals.incoming(peer(), answer("0")), Err(BadSignal));
    }

    #[test]
    fn an_offer_waits_with_its_candidates_until_the_peer_is_met() {
        let mut signals = signals();
        let candidate = r#"{"candidate":"candidate:1 1 udp 5 192.0.2.1 4 typ host"}"#;
        let candidate = || PeerSignal::IceCandidate(candidate.into());
        assert_eq!(signals.incoming(peer(), candidate()), Ok(Incoming::Drop), "nothing is offered");
        assert_eq!(signals.incoming(peer(), offer()), Ok(Incoming::Keep));
        assert_eq!(signals.incoming(peer(), candidate()), Ok(Incoming::Keep));
        assert_eq!(signals.outgoing(peer(), answer("0")), None, "matchbox knows nothing of it");
        let heard = signals.begin(peer(), true).expect("it waits");
        let kinds = [PeerSignal::Offer, PeerSignal::IceCandidate].map(|kind| kind(String::new()));
        for (event, kind) in heard.iter().zip(&kinds) {
            let PeerEvent::Signal { data, .. } = event else { panic!("{event:?}") };
            assert_eq!(std::mem::discriminant(data), std::mem::discriminant(kind));
        }
        assert_eq!(heard.len(), 2);
        assert_eq!(signals.begin(peer(), true), None, "it has begun");
        assert!(matches!(signals.incoming(peer(), candidate()), Ok(Incoming::Pass(_))));
    }

    #[test]
    fn an_offer_that_waited_too_long_is_answered_by_one_of_ours() {
        let mut signals = signals();
        assert_eq!(signals.incoming(peer(), offer()), Ok(Incoming::Keep));
        assert_eq!(signals.begin(peer(), false), Some(vec![PeerEvent::NewPeer(peer())]));
    }

    #[test]
    fn a_peer_that_offers_once_more_is_met_once_more() {
        let mut signals = signals();
        for _ in 0..3 {
            assert_eq!(signals.incoming(peer(), offer()), Ok(Incoming::Keep));
            assert!(signals.begin(peer(), true).is_some());
        }
        let mut signals = offering(Candidates::All);
        assert_eq!(signals.incoming(peer(), offer()), Ok(Incoming::Drop), "we offer");
    }

    #[test]
    fn matchbox_hears_of_nobody_twice_and_of_few_at_a_time() {
        let mut signals = offering(Candidates::All);
        assert!(!signals.arrive(peer()));
        assert_eq!(signals.begin(other(2), true), None, "nobody knows it");
        let known = (2..5000).filter(|&number| signals.arrive(other(number))).count();
        assert_eq!(known, MAX_HANDSHAKES - 1);
        assert_eq!(signals.incoming(other(6000), offer()), Ok(Incoming::Drop));
        signals.forget_waiting(|left| left == other(2) || left == peer());
        assert!(signals.arrive(other(6000)) && !signals.arrive(peer()), "that has begun");
        signals.forget(peer());
        assert!(signals.arrive(peer()));
    }

    #[test]
    fn candidates_are_counted() {
        let mut signals = offering(Candidates::All);
        let candidate = r#"{"candidate":"candidate:1 1 udp 5 192.0.2.1 4 typ host"}"#;
        let mut next = || signals.incoming(peer(), PeerSignal::IceCandidate(candidate.into()));
        let taken: Vec<_> = (0..=MAX_CANDIDATES).map(|_| next()).collect();
        assert!(matches!(taken.first(), Some(Ok(Incoming::Pass(_)))));
        assert_eq!(taken.last(), Some(&Err(BadSignal)));
    }

    #[test]
    fn who_wants_only_relays_tells_nobody_its_address() {
        let mut signals = offering(Candidates::RelaysOnly);
        let Some(PeerSignal::Offer(sdp)) = signals.outgoing(peer(), offer()) else {
            panic!("an offer stays one");
        };
        assert!(!sdp.contains("192.168."), "{sdp}");
        let host = r#"{"candidate":"candidate:1 1 udp 5 192.0.2.1 4 typ host"}"#;
        assert_eq!(signals.outgoing(peer(), PeerSignal::IceCandidate(host.into())), None);
    }
}
