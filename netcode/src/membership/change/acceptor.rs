//! How a machine promises, and what it agrees to accept.

use super::{
    agreement::{Agreement, Hold, Step, View},
    inputs::MatchInputs,
    message::{Asked, Ballot, Body, Promise, Wish},
    value::{Clock, Occupant, Value},
};

/// A round further ahead than this is refused, so that no peer can use up the numbers: it would
/// take days, as each of its attempts has to wait.
const MAX_ROUNDS_AHEAD: u64 = 1024;

impl Agreement {
    pub(super) fn take_prepare(
        &mut self,
        sender: usize,
        ballot: Ballot,
        wish: Wish,
        inputs: &impl MatchInputs,
    ) -> Vec<Step> {
        if usize::from(ballot.leader) != sender || !self.is_near(ballot) || self.us.is_none() {
            return Vec::new();
        }
        let promised = self.decision.promised;
        if ballot > promised {
            // We promise even if we are missed ourselves: so we are not put away.
            let mut leaving = wish.leaving.iter().filter(|&voter| Some(voter) != self.us);
            let is_agreed = leaving.all(|voter| self.may_leave(voter));
            // A machine that ends a hold names no frame.
            let is_due = wish.first == 0 || self.is_change_asked_for(ballot);
            if !is_agreed || !is_due || wish.first > inputs.limit() {
                return Vec::new();
            }
            self.promise_to(ballot, wish, inputs);
        }
        let mut known = self.decision.pending.iter().chain(&self.decision.accepted);
        if ballot == promised && known.any(|(proposed, _)| *proposed == ballot) {
            // The leader has proposed since, and needs no promise any more.
            return Vec::new();
        }
        // To a lower ballot, this is the news that there is a higher one.
        let promise = self.message(Body::Promise(self.promise(inputs)));
        vec![if ballot > promised {
            Step::ToAll(promise)
        } else {
            Step::Send(self.voters.peer(sender), promise)
        }]
    }

    /// Whether a machine may be put away as we see it ourselves. What another machine says of it
    /// does not count.
    pub(super) fn may_leave(&self, voter: usize) -> bool {
        if voter >= self.views.len() {
            return false;
        }
        let peer = self.voters.peer(voter);
        let is_asked = |(seat, holder)| holder == peer && self.asked_for(seat).is_some();
        self.is_gone(voter) || self.installed().peer_seats().any(is_asked)
    }

    pub(super) fn asked_for(&self, seat: u8) -> Option<Occupant> {
        self.asked.iter().find_map(|asked| match *asked {
            Asked::Seat { seat: other, occupant } if other == seat => Some(occupant),
            Asked::Seat { .. } | Asked::Clock(_) => None,
        })
    }

    /// Promises, and holds. What was held before in this epoch stays held: a value with that cut
    /// may have been accepted.
    pub(super) fn promise_to(&mut self, ballot: Ballot, wish: Wish, inputs: &impl MatchInputs) {
        let decision = &mut self.decision;
        decision.promised = ballot;
        decision.highest_round = decision.highest_round.max(ballot.round);
        decision.pending = None;
        decision.attempt = None;
        let planned = if wish.leaving.is_empty() { wish.first } else { 0 };
        let from = inputs.exposed().max(planned);
        let hold = decision.hold.unwrap_or(Hold { from, ..Hold::default() });
        #[cfg(test)]
        if !self.rules.hold {
            return;
        }
        self.decision.hold =
            Some(Hold { machines: hold.machines.and(wish.leaving), from: hold.from.min(from) });
    }

    /// What we promised last, with what we have now. More inputs than at first do no harm: what is
    /// held was not acknowledged.
    pub(super) fn promise(&self, inputs: &impl MatchInputs) -> Promise {
        let ends = self.ends(inputs);
        let hashes = (0..).zip(&ends).map(|(seat, &end)| inputs.hash(seat, end)).collect();
        Promise {
            ballot: self.decision.promised,
            accepted: self.decision.accepted.clone(),
            exposed: inputs.exposed(),
            ends,
            hashes,
        }
    }

    pub(super) fn ends(&self, inputs: &impl MatchInputs) -> Vec<u32> {
        (0..self.installed().seats.len() as u8).map(|seat| inputs.end(seat)).collect()
    }

    pub(super) fn is_near(&self, ballot: Ballot) -> bool {
        let last = self.decision.highest_round.saturating_add(MAX_ROUNDS_AHEAD);
        (1..=last).contains(&ballot.round)
    }

    /// Whether a promise can be true as far as we know.
    pub(super) fn is_sound(&self, promise: &Promise, inputs: &impl MatchInputs) -> bool {
        let (seats, limit) = (self.installed().seats.len(), inputs.limit());
        let is_accepted_sound = promise.accepted.as_ref().is_none_or(|(ballot, value)| {
            *ballot <= promise.ballot
                && ballot.round > 0
                && self.installed().may_precede(self.digest, value, limit)
        });
        promise.ends.len() == seats
            && promise.hashes.len() == seats
            && promise.ends.iter().all(|&end| end <= limit)
            && promise.exposed <= limit
            && is_accepted_sound
    }

    pub(super) fn take_promise(
        &mut self,
        sender: usize,
        promise: &Promise,
        inputs: &impl MatchInputs,
    ) -> Vec<Step> {
        if !self.is_near(promise.ballot) || !self.is_sound(promise, inputs) {
            return Vec::new();
        }
        let decision = &mut self.decision;
        decision.highest_round = decision.highest_round.max(promise.ballot.round);
        let view = &mut self.views[sender];
        view.promised = view.promised.max(promise.ballot);
        let Some(attempt) = &mut decision.attempt else { return Vec::new() };
        if attempt.ballot == promise.ballot {
            attempt.note(sender, promise);
        }
        Vec::new()
    }

    pub(super) fn take_accept(
        &mut self,
        sender: usize,
        ballot: Ballot,
        value: &Value,
        inputs: &impl MatchInputs,
    ) -> Vec<Step> {
        let is_leader = usize::from(ballot.leader) == sender && self.us.is_some();
        if !is_leader || ballot < self.decision.promised || !self.is_near(ballot) {
            return Vec::new();
        }
        if self.decision.accepted.as_ref().is_some_and(|(accepted, _)| *accepted == ballot) {
            let digest = value.digest();
            let accepted = self.message(Body::Accepted { ballot, digest });
            let is_same = self.us.is_some_and(|us| self.views[us].vote == Some((ballot, digest)));
            return Vec::from_iter(is_same.then(|| Step::Send(self.voters.peer(sender), accepted)));
        }
        let is_sound = self.installed().may_precede(self.digest, value, inputs.limit());
        if is_sound && value.first >= inputs.exposed() && self.is_acceptable(value, sender) {
            self.consent(ballot, value, inputs);
        }
        Vec::new()
    }

    /// Prepares to accept a value in a ballot, and promises the ballot if that is news.
    pub(super) fn consent(&mut self, ballot: Ballot, value: &Value, inputs: &impl MatchInputs) {
        if ballot > self.decision.promised {
            let given_up = self.installed().given_up(&value.seats);
            let leaving = given_up.filter_map(|(_, peer)| self.voters.index(peer)).collect();
            self.promise_to(ballot, Wish { leaving, first: 0 }, inputs);
        }
        self.decision.pending = Some((ballot, value.clone()));
    }

    /// Whether we agree with a value that `source` proposes: we see each change to be due
    /// ourselves, or have accepted it before, or a third machine has accepted it, which an honest
    /// machine does only on these terms. So no machine can put another one away alone, as long as
    /// a third one is there.
    pub(super) fn is_acceptable(&self, value: &Value, source: usize) -> bool {
        let digest = value.digest();
        let has_accepted = |view: &View| {
            let last = view.goodbye.as_ref().and_then(|goodbye| goodbye.promise.accepted.as_ref());
            view.vote.is_some_and(|(_, voted)| voted == digest)
                || view.installed.iter().chain(last).any(|(_, it)| it == value)
        };
        let mut others = (0..self.views.len()).filter(|&voter| voter != source);
        if others.any(|voter| has_accepted(&self.views[voter])) {
            return true;
        }
        let changes = (0..).zip(self.installed().seats.iter().zip(&value.seats));
        let mut changes = changes.filter(|(_, (old, new))| old != new);
        self.is_clock_acceptable(value)
            && changes.all(|(seat, (&old, &new))| {
                let is_put_away = match old {
                    Occupant::Peer(peer) => {
                        let voter = self.voters.index(peer);
                        let is_due = voter.is_some_and(|it| self.is_due_to_leave(it, source));
                        is_due
                            && [Occupant::Away(peer), Occupant::Empty, Occupant::Bot].contains(&new)
                    }
                    _ => false,
                };
                is_put_away || self.asked_for(seat) == Some(new)
            })
    }

    /// Whether we agree to pause the match, or to go on with it, as this value says.
    fn is_clock_acceptable(&self, value: &Value) -> bool {
        value.clock == self.due_clock(&value.seats)
            || self.asked.contains(&Asked::Clock(value.clock))
    }

    /// Whether the simulation runs once these are the seats, if nobody asks for anything else.
    pub(super) fn due_clock(&self, seats: &[Occupant]) -> Clock {
        let installed = self.installed();
        let is_away = |occupant: &Occupant| matches!(occupant, Occupant::Away(_));
        let mut changes = installed.seats.iter().zip(seats);
        match installed.clock {
            Clock::Runs if self.waits && changes.any(|(old, new)| old != new && is_away(new)) => {
                Clock::Waits
            }
            Clock::Waits if !seats.iter().any(is_away) => Clock::Runs,
            clock => clock,
        }
    }

    /// Whether we agree that a machine is put away, as `source` proposes: we miss it, or missed it
    /// as we promised. It may be back since; but what some accepted meanwhile may be decided, and
    /// then has to be finished. For the same reason we go ourselves where no machine is left that
    /// could confirm it.
    fn is_due_to_leave(&self, voter: usize, source: usize) -> bool {
        if Some(voter) == self.us {
            let others = (0..self.views.len()).filter(|&it| it != voter && it != source);
            let mut silent = others.filter(|&it| self.views[it].goodbye.is_none()).peekable();
            return silent.peek().is_some() && silent.all(|other| self.is_gone(other));
        }
        let is_held = self.decision.hold.is_some_and(|hold| hold.machines.has(voter));
        self.is_gone(voter) || is_held
    }
}
