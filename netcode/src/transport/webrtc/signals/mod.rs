//! Which signals of other peers matchbox may see, and which of our signals other peers may see.

use matchbox_socket::{PeerEvent, PeerId, PeerSignal};

use super::{
    relays::Relays,
    sdp::{
        Candidate, Candidates, Description, Side, candidate_json, candidate_text, read_candidate,
    },
};

/// At most this many peers are remembered, from their arrival until their connection is over: as
/// many as the largest room has members. No other peer is met meanwhile.
const MAX_HANDSHAKES: usize = 256;
/// At most this many candidates are taken from one peer: those of a dozen interfaces, repeated as
/// networks come and go.
const MAX_CANDIDATES: u32 = 256;
/// At most this many candidates are kept with an offer that waits: as many as a description may
/// have.
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
    /// The handshake has not begun: matchbox does not know the peer yet.
    Waiting {
        /// The peer's offer, if it made one; otherwise the offer is ours to make.
        offer: Option<String>,
        /// The candidates that came after the offer.
        candidates: Vec<String>,
    },
    /// matchbox is shaking hands with the peer, or is connected to it by now.
    Begun {
        /// The id of the section that we offered, until an answer arrives.
        offered: Option<String>,
        /// Whether we are the side that answers.
        answers: bool,
    },
}

/// What becomes of a signal from another peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// matchbox may see it.
    Pass(PeerSignal),
    /// The signal is kept with the peer, which waits to be met.
    Keep,
    /// The same; and the peer has given up the handshake that had begun.
    Restart,
    /// The signal is of no use any more, or not yet.
    Drop,
}

/// The outcome of an attempt to begin a handshake.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HandshakeStart {
    /// The handshake begins, and matchbox is to get these events.
    Now(Vec<PeerEvent>),
    /// The handshake has already begun, with the peer's latest signals.
    AlreadyBegun,
    /// The peer no longer waits.
    Gone,
}

/// Checks signals in both directions.
#[derive(Debug)]
pub(super) struct Signals {
    which: Candidates,
    /// The relays that we may send to, where other peers must not learn our address and no browser
    /// ensures that.
    relays: Option<Relays>,
    handshakes: Vec<Handshake>,
}

impl Signals {
    pub(super) fn new(which: Candidates, relays: Option<Relays>) -> Self {
        Self { which, relays, handshakes: Vec::new() }
    }

    /// Returns what the other peer may see of a signal of ours, if anything.
    pub(super) fn outgoing(&mut self, to: PeerId, signal: PeerSignal) -> Option<PeerSignal> {
        let which = self.which;
        let stage = self.handshakes.iter_mut().find(|handshake| handshake.peer == to)?;
        let Stage::Begun { offered, .. } = &mut stage.stage else { return None };
        if which == Candidates::All {
            if let PeerSignal::Offer(sdp) = &signal {
                // If our own stack writes something that we cannot read, it knows best.
                *offered = Description::read(sdp, Side::Offer, which).map(|ours| ours.mid);
            }
            return Some(signal);
        }
        let mut learn = |candidate: &str| {
            if let Some(relays) = &mut self.relays {
                relays.learn_own(candidate);
            }
        };
        match signal {
            PeerSignal::Offer(sdp) => {
                let ours = Description::read(&sdp, Side::Offer, which)?;
                ours.candidates().iter().for_each(|candidate| learn(candidate));
                *offered = Some(ours.mid.clone());
                Some(PeerSignal::Offer(ours.write()))
            }
            PeerSignal::Answer(sdp) => {
                let ours = Description::read(&sdp, Side::Answer, which)?;
                ours.candidates().iter().for_each(|candidate| learn(candidate));
                Some(PeerSignal::Answer(ours.write()))
            }
            PeerSignal::IceCandidate(json) => {
                let Candidate::Good(json) = read_candidate(&json, which) else { return None };
                candidate_text(&json).iter().for_each(|candidate| learn(candidate));
                Some(PeerSignal::IceCandidate(json))
            }
        }
    }

    /// Takes the candidates of other peers that turned out to be at our own relays, for matchbox.
    pub(super) fn take_known(&mut self) -> Vec<(PeerId, PeerSignal)> {
        let known = self.relays.as_mut().map(Relays::take_known).unwrap_or_default();
        let mut passed = Vec::new();
        for (peer, candidate) in known {
            let json = candidate_json(&candidate);
            match self.stage(peer) {
                Some(Stage::Begun { .. }) => passed.push((peer, PeerSignal::IceCandidate(json))),
                Some(Stage::Waiting { candidates, .. }) if candidates.len() < MAX_KEPT => {
                    candidates.push(json);
                }
                Some(Stage::Waiting { .. }) | None => {}
            }
        }
        passed
    }

    /// Decides what becomes of a signal from another peer. The error means that no stack of ours
    /// sends such a signal.
    pub(super) fn incoming(
        &mut self,
        from: PeerId,
        signal: PeerSignal,
    ) -> Result<Incoming, BadSignal> {
        match signal {
            PeerSignal::Offer(sdp) => self.take_offer(from, &sdp),
            PeerSignal::Answer(sdp) => {
                let theirs = Description::read(&sdp, Side::Answer, self.which).ok_or(BadSignal)?;
                // An answer must match what we offered.
                match self.stage(from) {
                    Some(Stage::Begun { offered, .. }) if offered.as_ref() == Some(&theirs.mid) => {
                        *offered = None;
                    }
                    _ => return Err(BadSignal),
                }
                Ok(Incoming::Pass(PeerSignal::Answer(self.without_unknown_relays(from, theirs))))
            }
            PeerSignal::IceCandidate(json) => self.take_candidate(from, &json),
        }
    }

    fn take_offer(&mut self, from: PeerId, sdp: &str) -> Result<Incoming, BadSignal> {
        let theirs = Description::read(sdp, Side::Offer, self.which).ok_or(BadSignal)?;
        match self.handshake(from).map(|handshake| &handshake.stage) {
            // Both sides think that they should make the offer; matchbox has no use for this one.
            None | Some(Stage::Begun { answers: false, .. }) => Ok(Incoming::Drop),
            // The peer has given up its earlier offer, or will have by the time we come to it.
            Some(stage @ (Stage::Begun { answers: true, .. } | Stage::Waiting { .. })) => {
                let has_begun = matches!(stage, Stage::Begun { .. });
                self.forget(from);
                let offer = Some(self.without_unknown_relays(from, theirs));
                let stage = Stage::Waiting { offer, candidates: Vec::new() };
                self.handshakes.push(Handshake { peer: from, stage, candidates: 0 });
                Ok(if has_begun { Incoming::Restart } else { Incoming::Keep })
            }
        }
    }

    /// Writes a description of another peer without the candidates at relays that we do not know.
    /// Those are kept, as we may come to know their relays.
    fn without_unknown_relays(&mut self, from: PeerId, mut theirs: Description) -> String {
        if let Some(relays) = &mut self.relays {
            for candidate in theirs.take_candidates(|candidate| relays.knows(candidate)) {
                relays.keep(from, candidate);
            }
        }
        theirs.write()
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
        if let (Some(relays), Some(text)) = (&mut self.relays, candidate_text(&candidate))
            && !relays.knows(&text)
        {
            relays.keep(from, text);
            return Ok(Incoming::Drop);
        }
        match &mut handshake.stage {
            Stage::Begun { .. } => Ok(Incoming::Pass(PeerSignal::IceCandidate(candidate))),
            Stage::Waiting { offer: Some(_), candidates } if candidates.len() < MAX_KEPT => {
                candidates.push(candidate);
                Ok(Incoming::Keep)
            }
            Stage::Waiting { .. } => Ok(Incoming::Drop),
        }
    }

    /// Notes that a peer is here and that we are to offer it a connection. Returns false if the
    /// peer is known already, or if too many are.
    pub(super) fn arrive(&mut self, peer: PeerId) -> bool {
        let is_known = self.handshakes.iter().any(|handshake| handshake.peer == peer);
        !is_known && self.handshake(peer).is_some()
    }

    /// Begins the handshake with a peer that waits. An offer that is not fresh does not count: the
    /// peer has given it up.
    pub(super) fn begin(&mut self, peer: PeerId, is_fresh: bool) -> HandshakeStart {
        let Some(stage) = self.stage(peer) else { return HandshakeStart::Gone };
        let Stage::Waiting { offer, candidates } = stage else {
            return HandshakeStart::AlreadyBegun;
        };
        let (offer, candidates) = (offer.take().filter(|_| is_fresh), std::mem::take(candidates));
        *stage = Stage::Begun { offered: None, answers: offer.is_some() };
        let Some(offer) = offer else { return HandshakeStart::Now(vec![PeerEvent::NewPeer(peer)]) };
        let candidates = candidates.into_iter().map(PeerSignal::IceCandidate);
        let signals = std::iter::once(PeerSignal::Offer(offer)).chain(candidates);
        HandshakeStart::Now(signals.map(|data| PeerEvent::Signal { sender: peer, data }).collect())
    }

    /// Forgets the handshake that has begun with a peer: it is over, and the peer may be met again.
    /// If a newer offer of the peer waits, it stays.
    pub(super) fn forget_begun(&mut self, peer: PeerId) {
        if let Some(Stage::Begun { .. }) = self.stage(peer) {
            self.forget(peer);
        }
    }

    fn forget(&mut self, peer: PeerId) {
        self.handshakes.retain(|handshake| handshake.peer != peer);
        if let Some(relays) = &mut self.relays {
            relays.forget(peer);
        }
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

    /// What we know of a peer, which is added if it is new; none if there are too many.
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
mod tests;
