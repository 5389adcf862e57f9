//! The match on the wire: which one it is, how far it has come here, and the inputs that are
//! exchanged.

use std::time::Duration;

use signaling::protocol::PeerId;

use super::{
    control::{Control, Finish},
    patience::MAX_SILENCE_PER_UPDATE,
};
use crate::{
    config::FinishPolicy,
    exchange::{BadInputs, DatagramHeader, Departure, Exchange, Inputs, Lateness, SharedExchange},
};

/// How we left a match.
#[derive(Clone, Copy, Debug)]
struct LeftMatch {
    /// The frame at which it was over for us.
    end: u32,
    /// The time until which we repeat our inputs.
    until: Duration,
    /// When we last said that we left.
    told: Duration,
}

/// The match that we play, or that we have just left while others play on.
#[derive(Default)]
pub(super) struct MatchWire {
    /// The number of the match that we agreed to begin; 0 if none.
    expected: u32,
    /// The number of the match that we began, whose inputs we exchange; 0 if none.
    match_number: u32,
    exchange: SharedExchange,
    /// The frame that we simulate next, or where we finished.
    frame: u32,
    /// Time since the last step in which the match could have run.
    waited: Duration,
    left: Option<LeftMatch>,
}

impl MatchWire {
    /// We are in another room: nothing is agreed on.
    pub(super) fn reset(&mut self) {
        self.expected = 0;
        self.end();
    }

    /// This match is about to begin: its datagrams are early, not wrong.
    pub(super) fn expect(&mut self, match_number: u32) {
        self.expected = match_number;
    }

    /// We play the match of this number from now on.
    pub(super) fn begin(&mut self, match_number: u32) {
        self.end();
        (self.match_number, self.frame) = (match_number, 0);
        self.waited = Duration::ZERO;
    }

    /// Returns the exchange through which the session of the match receives and sends inputs.
    pub(super) fn set_exchange(&mut self, exchange: Exchange) -> SharedExchange {
        self.exchange = SharedExchange::new(exchange);
        self.exchange.clone()
    }

    fn end(&mut self) {
        self.match_number = 0;
        self.exchange = SharedExchange::default();
        self.left = None;
    }

    /// The match is over for us at the frame `end`. Until `until` we repeat our inputs.
    pub(super) fn finish(&mut self, now: Duration, end: u32, until: Duration) {
        self.left = Some(LeftMatch { end, until, told: now });
        self.frame = end;
    }

    /// Ends a match that we have finished once no peer can lack our inputs any more.
    pub(super) fn end_if_finished(&mut self, now: Duration) {
        if self.left.is_some_and(|left| now >= left.until) {
            self.end();
        }
    }

    /// Returns the frame at which the match was over for us, if it is time to say so again.
    pub(super) fn finish_to_repeat(&mut self, now: Duration, every: Duration) -> Option<u32> {
        let left = self.left.as_mut().filter(|left| now.saturating_sub(left.told) >= every)?;
        left.told = now;
        Some(left.end)
    }

    /// Whether the match that we play is over for us.
    pub(super) fn has_finished(&self) -> bool {
        self.left.is_some()
    }

    /// Time passes in which the match could have run.
    pub(super) fn wait(&mut self, elapsed: Duration) {
        self.waited += elapsed.min(MAX_SILENCE_PER_UPDATE);
    }

    /// The match ran up to `frame`. Returns for how long it ran and for how long it was stalled
    /// since the last call, and the peer whose inputs are known least far, if any peer plays.
    pub(super) fn advance(
        &mut self,
        frame: u32,
        step: Duration,
    ) -> (Duration, Duration, Option<PeerId>) {
        let ran = step * frame.saturating_sub(self.frame);
        let stood_still = std::mem::take(&mut self.waited).saturating_sub(ran);
        self.frame = frame;
        (ran, stood_still, self.exchange.with(|exchange| exchange.last_known()).flatten())
    }

    pub(super) fn match_number(&self) -> u32 {
        self.match_number
    }

    pub(super) fn frame(&self) -> u32 {
        self.frame
    }

    /// Whether this is the number of the match that we play or have just left.
    pub(super) fn is_of(&self, match_number: u32) -> bool {
        self.match_number != 0 && self.match_number == match_number
    }

    pub(super) fn is_expected(&self, match_number: u32) -> bool {
        self.expected == match_number
    }

    /// Whether the peer is in the match that runs, or that we have just finished.
    pub(super) fn has(&self, peer: PeerId) -> bool {
        self.exchange.with(|exchange| exchange.has(peer)).unwrap_or(false)
    }

    /// Whether the peer said that the match is over for it.
    pub(super) fn is_leaving(&self, peer: PeerId) -> bool {
        self.exchange.with(|exchange| exchange.is_leaving(peer)).unwrap_or(false)
    }

    /// Whether the peer has left the match, which goes on without it: all inputs that it gave are
    /// here.
    pub(super) fn has_left(&self, peer: PeerId) -> bool {
        self.exchange.with(|exchange| exchange.has_left(peer)).unwrap_or(false)
    }

    /// Whether the match is not over for the peer before `frame`.
    pub(super) fn reaches(&self, peer: PeerId, frame: u32) -> bool {
        self.exchange.with(|exchange| exchange.reaches(peer, frame)).unwrap_or(false)
    }

    /// Whether the match is over for us, too, as enough of its peers have finished it.
    pub(super) fn is_finished_by(&self, policy: FinishPolicy) -> bool {
        let is_over = |exchange: &mut Exchange| {
            let (leaving, others) = exchange.leavers();
            policy.is_over(leaving, others + 1)
        };
        !self.has_finished() && self.exchange.with(is_over).unwrap_or(false)
    }

    /// Takes a peer's inputs. Returns whether the lag that the peer claims is possible; `None`
    /// without a match.
    pub(super) fn receive(
        &self,
        from: PeerId,
        header: &DatagramHeader,
        inputs: &Inputs,
    ) -> Option<Result<bool, BadInputs>> {
        self.exchange.with(|exchange| exchange.receive(from, header, inputs, self.frame))
    }

    /// Takes the last inputs of a peer that leaves the match. The departure is `None` where it is
    /// known already.
    pub(super) fn receive_finish(
        &self,
        from: PeerId,
        finish: &Finish,
    ) -> Option<Result<Option<Departure>, BadInputs>> {
        let header = DatagramHeader { frame: finish.frame, ..DatagramHeader::default() };
        self.exchange.with(|exchange| {
            let taken = exchange.receive(from, &header, &finish.inputs, self.frame);
            taken.map(|_| exchange.leave(from, finish.given, finish.end))
        })
    }

    /// The message that the match is over for us at `end`, with the inputs that `peer` lacks.
    /// `None` if the peer is not in the match.
    pub(super) fn finish_for(&self, peer: PeerId, end: u32) -> Option<Control> {
        let (match_number, frame) = (self.match_number, self.frame);
        let last = self.exchange.with(|exchange| exchange.last_inputs(peer, frame));
        let (given, inputs) = last.flatten()?;
        Some(Control::Finish(Finish { match_number, end, given, frame, inputs }))
    }

    /// Whether a datagram to the peer is due. `stepped` says that the simulation has advanced, and
    /// `is_step_over` that a step's time has passed since the last datagram.
    pub(super) fn is_due(
        &self,
        peer: PeerId,
        lateness: Lateness,
        stepped: bool,
        is_step_over: bool,
    ) -> bool {
        let due = self.exchange.with(|exchange| {
            if stepped {
                exchange.is_due(peer, lateness)
            } else {
                // We wait for a peer, and a peer may wait for inputs of ours that were lost.
                exchange.is_behind(peer) && is_step_over
            }
        });
        due.unwrap_or(false)
    }

    /// The inputs that a datagram with this header brings to the peer.
    pub(super) fn inputs_for(&self, peer: PeerId, header: &DatagramHeader) -> Option<Inputs> {
        self.exchange.with(|exchange| exchange.inputs_for(peer, header)).flatten()
    }

    /// Frames by which we delay our inputs longer than the peer delays its own.
    pub(super) fn extra_delay(&self, peer: PeerId) -> f32 {
        let extra = self.exchange.with(|exchange| exchange.extra_delay(peer, self.frame));
        extra.unwrap_or(0) as f32
    }

    /// See [`Connection::believes_false_claim`](super::Connection::believes_false_claim).
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn believes_false_claim(
        &self,
        (from, us): (PeerId, PeerId),
        header: &DatagramHeader,
        inputs: &Inputs,
        sender: &Self,
    ) -> bool {
        let believes_false_claim = self.exchange.with(|ours| {
            sender
                .exchange
                .with(|theirs| ours.believes_false_claim(from, header, inputs, theirs, us))
        });
        believes_false_claim.flatten().unwrap_or(false)
    }
}
