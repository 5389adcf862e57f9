//! The match on the wire: which one it is, which peers are in it, how far it has come here, and the
//! inputs that are exchanged.

use std::time::Duration;

use signaling::protocol::PeerId;

use super::{
    absences::Absences,
    change::Change,
    clock::ClockWishes,
    control::{Control, Finish},
    lineup::MatchPlan,
    patience::MAX_SILENCE_PER_UPDATE,
    roster::Roster,
};
use crate::{
    config::{DeparturePolicy, FinishPolicy, PairPolicy},
    exchange::{BadInputs, DatagramHeader, Departure, Exchange, Inputs, Lateness, SharedExchange},
};

/// The match that we play, or that we have just left while others play on.
///
/// Its roster is the one owner of who plays, and answers every question about that:
///
/// * whether we are in a match: [`is_in_match`](Self::is_in_match), from the agreement until we are
///   back in the lobby, and [`is_idle`](Self::is_idle), once no peer can need anything of us;
/// * which match that is, and who holds which seat: [`agreed`](Self::agreed);
/// * whether a peer is in it: [`has`](Self::has), also after we have left it;
/// * whether we play with a peer: [`plays_with`](Self::plays_with), until either of us has left;
/// * whether the match cannot go on without a peer: [`needs`](Self::needs);
/// * who plays it now, and whose seats are kept: `present`, where the machines change the roster.
///
/// How far each of these peers has come, and whether it has left, is known from its inputs, so the
/// exchange is asked for that. All else is a copy or a claim: the status that we send is written
/// from here, the `Roster` resource is for games, the session state says what a game is shown (a
/// local match is one, too), and what a peer says of itself stays a claim.
#[derive(Default)]
pub(super) struct MatchWire {
    /// The number of the match that we agreed to begin; 0 if none.
    expected: u32,
    pub(super) playing: Option<Playing>,
}

/// A match that we have begun.
pub(super) struct Playing {
    match_number: u32,
    seed: u64,
    /// The members of the match, as they began it. They stay members if they lose their seats.
    pub(super) roster: Roster,
    /// The roster that was agreed on last.
    pub(super) present: Roster,
    /// The inputs; `None` until the session of the match exists.
    pub(super) exchange: Option<SharedExchange>,
    /// The frame that we simulate next, or where we finished.
    frame: u32,
    /// Time since the last step in which the match could have run.
    waited: Duration,
    finished: Option<Finished>,
    pub(super) local: PeerId,
    /// The agreement on changes of the roster, once the session of the match exists.
    pub(super) change: Option<Change>,
    /// Whether the match goes on without machines that are lost.
    pub(super) loses_machines: bool,
    /// Rosters that were agreed on and that the session does not know yet, each with its first
    /// frame.
    pub(super) rosters: Vec<(u32, Roster)>,
    pub(super) absences: Absences,
    pub(super) clock: ClockWishes,
    /// The machines that the owner of the room wants to lose their seats.
    pub(super) kicked: Vec<PeerId>,
}

/// What the game says about matches that lose machines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policies {
    pub(crate) departure: DeparturePolicy,
    pub(crate) pair: PairPolicy,
}

/// What a match is that all its members agreed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AgreedMatch<'a> {
    /// Its number: peers tell by it which match a packet belongs to.
    pub(crate) number: u32,
    pub(crate) seed: u64,
    pub(crate) roster: &'a Roster,
}

/// Where we are in the match whose inputs we exchange; zeros outside of one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MatchPosition {
    pub(super) match_number: u32,
    /// The frame that we simulate next, or where we finished.
    pub(super) frame: u32,
}

/// How a match went on since the last look at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// The time of the frames that were simulated.
    pub(super) ran: Duration,
    /// The time in which no frame could be simulated.
    pub(super) stalled: Duration,
    /// The peer whose inputs are known least far, if any peer plays.
    pub(super) last_known: Option<PeerId>,
}

/// How we finished a match.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    /// The frame at which it was over for us.
    end: u32,
    /// The time until which we repeat our inputs.
    until: Duration,
    /// When we last said that we finished.
    told: Duration,
    /// Whether we are back in the lobby.
    has_left: bool,
}

/// How the match begins and ends.
impl MatchWire {
    /// We are in another room: nothing is agreed on.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// This match is about to begin: its datagrams are early, not wrong.
    pub(super) fn expect(&mut self, match_number: u32) {
        self.expected = match_number;
    }

    /// We play this match from now on, as `local`.
    pub(super) fn begin(&mut self, plan: &MatchPlan, local: PeerId) {
        let roster = Roster::from_plan(plan, local);
        self.playing = Some(Playing {
            match_number: plan.match_number,
            seed: plan.seed(),
            present: roster.clone(),
            roster,
            exchange: None,
            frame: 0,
            waited: Duration::ZERO,
            finished: None,
            local,
            change: None,
            loses_machines: false,
            rosters: Vec::new(),
            absences: Absences::default(),
            clock: ClockWishes::default(),
            kicked: Vec::new(),
        });
    }

    /// Takes the exchange of the match, and returns it as the session of the match shares it.
    pub(super) fn set_exchange(
        &mut self,
        mut exchange: Exchange,
        policies: Policies,
    ) -> SharedExchange {
        let Some(playing) = &mut self.playing else { return SharedExchange::new(exchange) };
        let Policies { departure, pair } = policies;
        playing.loses_machines = match playing.roster.machines() {
            0..=2 => pair == PairPolicy::GoOn,
            _ => departure != DeparturePolicy::EndMatch,
        };
        exchange.go_on(playing.loses_machines);
        let waits = departure == DeparturePolicy::Wait;
        let change = Change::new(playing.local, playing.roster.occupants());
        playing.change = Some(change.with_policies(waits, playing.loses_machines));
        let exchange = SharedExchange::new(exchange);
        playing.exchange = Some(exchange.clone());
        exchange
    }

    /// Time passes in which the match could have run. `is_heard` says whether any other machine of
    /// it is heard.
    pub(super) fn wait(&mut self, elapsed: Duration, is_heard: bool) {
        if let Some(playing) = self.running() {
            let elapsed = elapsed.min(MAX_SILENCE_PER_UPDATE);
            playing.waited += elapsed;
            let exposed = playing.exchange.as_ref().and_then(|it| it.with(|it| it.exposed()));
            let stuck_for = if is_heard { elapsed } else { Duration::ZERO };
            playing.absences.wait(stuck_for, exposed.unwrap_or(0));
        }
    }

    /// The match ran up to `frame`. Returns how it went on since the last call; `None` if it does
    /// not run.
    pub(super) fn advance(&mut self, frame: u32, step: Duration) -> Option<Progress> {
        let playing = self.running()?;
        let ran = step * frame.saturating_sub(playing.frame);
        let stalled = std::mem::take(&mut playing.waited).saturating_sub(ran);
        playing.frame = frame;
        let last_known = self.ask(|exchange| exchange.last_known()).flatten();
        Some(Progress { ran, stalled, last_known })
    }

    /// The match is over for us at the frame `end`. Until `until` we repeat our inputs.
    pub(super) fn finish(&mut self, now: Duration, end: u32, until: Duration) {
        if let Some(playing) = &mut self.playing {
            playing.finished = Some(Finished { end, until, told: now, has_left: false });
            playing.frame = end;
        }
    }

    /// We are back in the lobby. Only a match that we finished is still of interest to others.
    pub(super) fn leave(&mut self) {
        match self.playing.as_mut().and_then(|playing| playing.finished.as_mut()) {
            Some(finished) => finished.has_left = true,
            None => self.playing = None,
        }
    }

    /// Ends a match that we have left once no peer can lack our inputs any more.
    pub(super) fn end_if_left(&mut self, now: Duration) {
        let is_done = |finished: &Finished| finished.has_left && now >= finished.until;
        if self.finished().is_some_and(is_done) {
            self.playing = None;
        }
    }

    /// Returns the frame at which the match was over for us, if it is time to say so again.
    pub(super) fn finish_to_repeat(&mut self, now: Duration, every: Duration) -> Option<u32> {
        let finished = self.playing.as_mut()?.finished.as_mut();
        let finished = finished.filter(|it| now.saturating_sub(it.told) >= every)?;
        finished.told = now;
        Some(finished.end)
    }
}

/// The players.
impl MatchWire {
    /// The match that we play, or have just left.
    pub(super) fn agreed(&self) -> Option<AgreedMatch<'_>> {
        let Playing { match_number, seed, roster, .. } = self.playing.as_ref()?;
        Some(AgreedMatch { number: *match_number, seed: *seed, roster })
    }

    /// The roster of the match that we play, or have just left.
    pub(super) fn roster(&self) -> Option<&Roster> {
        self.playing.as_ref().map(|playing| &playing.roster)
    }

    /// Whether we are in a match: also before its first frame, and while its last one is compared.
    pub(super) fn is_in_match(&self) -> bool {
        self.playing.is_some() && !self.finished().is_some_and(|finished| finished.has_left)
    }

    /// Whether we neither play a match nor have to repeat our last inputs to peers that still do.
    pub(super) fn is_idle(&self) -> bool {
        self.playing.is_none()
    }

    /// Whether the peer is in the match that we play, or have just left.
    pub(super) fn has(&self, peer: PeerId) -> bool {
        self.roster().is_some_and(|roster| roster.has(peer))
    }

    /// Whether we are in a match with the peer, and it has not left that match.
    pub(super) fn plays_with(&self, peer: PeerId) -> bool {
        self.is_in_match() && self.has(peer) && !self.has_left(peer)
    }

    /// Whether the match that we play cannot go on without the peer. A match that is over for us
    /// needs no peer, and one that goes on without some of its machines needs none by name.
    pub(super) fn needs(&self, peer: PeerId) -> bool {
        let has_finished = || self.ask(|exchange| exchange.has_finished(peer)).unwrap_or(false);
        self.plays_with(peer)
            && self.finished().is_none()
            && !self.goes_on_without_some()
            && !has_finished()
    }

    /// Whether the peer has left the match, which goes on without it: all inputs that it gave are
    /// here.
    fn has_left(&self, peer: PeerId) -> bool {
        self.ask(|exchange| exchange.has_left(peer)).unwrap_or(false)
    }

    /// Whether the peer said that the match is over for it.
    pub(super) fn is_leaving(&self, peer: PeerId) -> bool {
        self.ask(|exchange| exchange.is_leaving(peer)).unwrap_or(false)
    }

    /// Whether the match is not over for the peer before `frame`.
    pub(super) fn reaches(&self, peer: PeerId, frame: u32) -> bool {
        self.ask(|exchange| exchange.reaches(peer, frame)).unwrap_or(false)
    }

    /// Whether the match is over for us, too, as enough of its peers have finished it.
    pub(super) fn is_finished_by(&self, policy: FinishPolicy) -> bool {
        let is_over = |exchange: &mut Exchange| {
            let (leaving, others) = exchange.leavers();
            policy.is_over(leaving, others + 1)
        };
        self.finished().is_none() && self.ask(is_over).unwrap_or(false)
    }
}

/// What is exchanged.
impl MatchWire {
    /// Where we are in the match whose inputs we exchange.
    pub(super) fn position(&self) -> MatchPosition {
        let position =
            |it: &Playing| MatchPosition { match_number: it.match_number, frame: it.frame };
        self.playing.as_ref().map(position).unwrap_or_default()
    }

    /// Whether this is the number of the match whose inputs we exchange.
    pub(super) fn is_of(&self, match_number: u32) -> bool {
        let is_same = |it: &Playing| it.exchange.is_some() && it.match_number == match_number;
        self.playing.as_ref().is_some_and(is_same)
    }

    pub(super) fn is_expected(&self, match_number: u32) -> bool {
        self.expected == match_number
    }

    /// Takes a peer's inputs. Returns whether the lag that the peer claims is possible; `None`
    /// without a match.
    pub(super) fn receive(
        &self,
        from: PeerId,
        header: &DatagramHeader,
        inputs: &Inputs,
    ) -> Option<Result<bool, BadInputs>> {
        let MatchPosition { frame, .. } = self.position();
        self.ask(|exchange| exchange.receive(from, header, inputs, frame))
    }

    /// Takes the last inputs of a peer that leaves the match. The departure is `None` where it is
    /// known already.
    pub(super) fn receive_finish(
        &self,
        from: PeerId,
        finish: &Finish,
    ) -> Option<Result<Option<Departure>, BadInputs>> {
        let MatchPosition { frame, .. } = self.position();
        self.ask(|exchange| exchange.leave(from, finish.end, &finish.last, frame))
    }

    /// The message that the match is over for us at `end`, with the inputs that `peer` lacks.
    /// `None` if the peer is not in the match.
    pub(super) fn finish_for(&self, peer: PeerId, end: u32) -> Option<Control> {
        let MatchPosition { match_number, .. } = self.position();
        let last = self.ask(|exchange| exchange.last_inputs(peer));
        Some(Control::Finish(Finish { match_number, end, last: last.flatten()? }))
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
        let due = self.ask(|exchange| {
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
        self.ask(|exchange| exchange.inputs_for(peer, header)).flatten()
    }

    /// Frames by which we delay our inputs longer than the peer delays its own.
    pub(super) fn extra_delay(&self, peer: PeerId) -> f32 {
        let MatchPosition { frame, .. } = self.position();
        self.ask(|exchange| exchange.extra_delay(peer, frame)).unwrap_or(0) as f32
    }

    /// See [`Connection::believes_false_claim`](super::Connection::believes_false_claim).
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn believes_false_claim(
        &self,
        (from, us): (PeerId, PeerId),
        inputs: &Inputs,
        sender: &Self,
    ) -> bool {
        let believes_false_claim = self
            .ask(|ours| sender.ask(|theirs| ours.believes_false_claim(from, inputs, theirs, us)));
        believes_false_claim.flatten().unwrap_or(false)
    }

    /// Asks the exchange of the match, once its session exists.
    pub(super) fn ask<T>(&self, work: impl FnOnce(&mut Exchange) -> T) -> Option<T> {
        self.playing.as_ref()?.exchange.as_ref()?.with(work)
    }

    /// The match that we play and have not finished.
    fn running(&mut self) -> Option<&mut Playing> {
        self.playing.as_mut().filter(|playing| playing.finished.is_none())
    }

    pub(super) fn finished(&self) -> Option<&Finished> {
        self.playing.as_ref()?.finished.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: PeerId = PeerId::from_u128(1);
    const OTHER: PeerId = PeerId::from_u128(2);
    const STRANGER: PeerId = PeerId::from_u128(3);
    const UNTIL: Duration = Duration::from_secs(10);

    fn begun() -> MatchWire {
        let machines = vec![(US, "Ann".into(), 1), (OTHER, "Bob".into(), 1)];
        let mut wire = MatchWire::default();
        wire.begin(&MatchPlan::seated(7, machines), US);
        wire
    }

    #[test]
    fn a_peer_plays_with_us_from_the_agreement_on() {
        let wire = begun();
        assert!(wire.is_in_match() && wire.plays_with(OTHER) && wire.needs(OTHER));
        assert!(!wire.has(STRANGER) && !wire.plays_with(STRANGER) && !wire.needs(STRANGER));
        assert!(!wire.is_of(7), "no session takes its inputs yet");
        let outside = MatchWire::default();
        assert!(!outside.is_in_match() && !outside.has(OTHER) && outside.is_idle());
    }

    #[test]
    fn a_finished_match_needs_no_peer_and_ends_some_time_after_we_left_it() {
        let mut wire = begun();
        wire.finish(Duration::ZERO, 60, UNTIL);
        assert!(wire.is_in_match() && wire.plays_with(OTHER) && !wire.needs(OTHER));
        wire.end_if_left(UNTIL);
        assert!(wire.is_in_match(), "its last frame is still compared");
        wire.leave();
        assert!(!wire.is_in_match() && !wire.plays_with(OTHER));
        assert!(wire.has(OTHER) && !wire.is_idle(), "the peer may lack inputs of ours");
        wire.end_if_left(UNTIL);
        assert!(!wire.has(OTHER) && wire.is_idle());
    }

    #[test]
    fn a_match_that_we_leave_without_an_end_is_over() {
        let mut wire = begun();
        wire.leave();
        assert!(!wire.has(OTHER) && wire.is_idle());
    }
}
