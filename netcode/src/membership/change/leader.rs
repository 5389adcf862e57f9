//! What a leader does: it gathers promises, and proposes what follows from them.

use signaling::protocol::PeerId;

use super::{
    agreement::{Agreement, Step, View},
    inputs::MatchInputs,
    message::{Asked, Ballot, Body, Promise, Wish},
    value::{Clock, Occupant, Reason, Value},
    voters::Machines,
};

/// An attempt of ours to have the next epoch decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attempt {
    pub(super) ballot: Ballot,
    pub(super) wish: Wish,
    /// What each voter promised, in order of the voters.
    promises: Vec<Option<Promise>>,
    /// The frame before which we need all inputs to propose anything.
    pub(super) lacks: Option<u32>,
    proposed: Option<Value>,
}

impl Attempt {
    /// Notes a promise, as long as it can make a difference.
    pub(super) fn note(&mut self, sender: usize, promise: &Promise) {
        if self.proposed.is_none() {
            self.promises[sender] = Some(promise.clone());
        }
    }

    pub(super) fn promised(&self) -> Machines {
        let voters = 0..self.promises.len();
        voters.filter(|&voter| self.promises[voter].is_some()).collect()
    }

    #[cfg(test)]
    pub(super) fn has_proposed(&self) -> bool {
        self.proposed.is_some()
    }
}

impl Agreement {
    /// Begins an attempt, in the lowest ballot of ours that nobody has passed.
    pub(crate) fn begin(&mut self, wish: Wish, inputs: &impl MatchInputs) -> Vec<Step> {
        let Some(us) = self.us.filter(|_| !self.has_left) else { return Vec::new() };
        let round = self.decision.highest_round.saturating_add(1);
        let ballot = Ballot { round, leader: us as u8 };
        self.promise_to(ballot, wish, inputs);
        let promise = self.promise(inputs);
        let mut promises = vec![None; self.views.len()];
        promises[us] = Some(promise.clone());
        let (lacks, proposed) = (None, None);
        self.decision.attempt = Some(Attempt { ballot, wish, promises, lacks, proposed });
        vec![
            Step::ToAll(self.message(Body::Prepare { ballot, wish })),
            Step::ToAll(self.message(Body::Promise(promise))),
        ]
    }

    /// Proposes a value, if the promises allow it by now. Does nothing otherwise.
    pub(crate) fn propose(&mut self, inputs: &mut impl MatchInputs) -> Vec<Step> {
        let Some(mut attempt) = self.decision.attempt.take() else { return Vec::new() };
        let mut steps = Vec::new();
        let value = match attempt.proposed {
            None => {
                self.compare_inputs(&attempt, inputs, &mut steps);
                self.find_value(&mut attempt, inputs)
            }
            Some(_) => None,
        };
        let ballot = attempt.ballot;
        if value.is_some() {
            // No promise makes a difference from now on.
            attempt.promises.clear();
            attempt.lacks = None;
            attempt.proposed.clone_from(&value);
        }
        self.decision.attempt = Some(attempt);
        let Some(value) = value else { return steps };
        self.consent(ballot, &value, inputs);
        steps.push(Step::ToAll(self.message(Body::Accept { ballot, value })));
        steps.extend(self.advance(inputs));
        steps
    }

    /// Ends the attempt: it came to nothing in time.
    pub(super) fn give_up(&mut self) {
        let attempt = self.decision.attempt.take();
        self.decision.is_modest |= attempt.is_some_and(|attempt| attempt.lacks.is_some());
    }

    /// Names the machines that may leave and whose inputs differ from ours where somebody promised.
    /// We propose ours.
    fn compare_inputs(
        &mut self,
        attempt: &Attempt,
        inputs: &impl MatchInputs,
        steps: &mut Vec<Step>,
    ) {
        let seats = Vec::from_iter(self.installed().peer_seats());
        for promise in attempt.promises.iter().flatten() {
            for &(seat, peer) in &seats {
                let is_leaving = |voter| attempt.wish.leaving.has(voter);
                let (index, exposed) = (usize::from(seat), inputs.exposed());
                let end = promise.ends[index];
                if self.voters.index(peer).is_some_and(is_leaving)
                    && (exposed + 1..=inputs.end(seat)).contains(&end)
                    && inputs.hash(seat, end) != promise.hashes[index]
                {
                    self.name_differing(seat, steps);
                }
            }
        }
    }

    /// What has not been answered of an attempt.
    pub(super) fn unanswered_of(&self, attempt: &Attempt) -> Vec<Step> {
        let Attempt { ballot, wish, .. } = *attempt;
        let body = match &attempt.proposed {
            Some(value) => Body::Accept { ballot, value: value.clone() },
            None => Body::Prepare { ballot, wish },
        };
        let has_answered = |view: &View| match &attempt.proposed {
            Some(_) => view.vote.is_some_and(|(voted, _)| voted == ballot),
            None => view.promised >= ballot,
        };
        let voters = (0..self.views.len()).filter(|&voter| Some(voter) != self.us);
        let waiting = voters.filter(|&voter| !has_answered(&self.views[voter]));
        waiting
            .map(|voter| Step::Send(self.voters.peer(voter), self.message(body.clone())))
            .collect()
    }

    /// The value to propose: what may have been decided already or, if nothing may, what follows
    /// from the promises.
    fn find_value(&self, attempt: &mut Attempt, inputs: &impl MatchInputs) -> Option<Value> {
        let ballot = attempt.ballot;
        let promised = attempt.promised();
        let gone = self.usable_goodbyes(ballot, promised, inputs);
        let adopted = self.adopted(attempt, promised, gone);
        let installers = match &adopted {
            Some(value) => self.installers(value),
            None => Machines::default(),
        };
        let who = promised.and(installers);
        if !self.is_quorum_without(gone, who) {
            return None;
        }
        // The members of the new roster are those that promised, so that each of them holds what it
        // has exposed; all others are in the wish, so that everybody holds their inputs. A value
        // that was accepted before waits for them as well: they may show that it was not decided.
        let leavers = self.voters.all().without(promised);
        let is_flushed = attempt.wish.leaving.and(gone).and(installers).has_all(leavers);
        #[cfg(test)]
        let is_flushed = is_flushed || !self.rules.flush;
        if !is_flushed {
            return None;
        }
        #[cfg(test)]
        let adopted = adopted.filter(|_| self.rules.adopt);
        if adopted.is_some() {
            return adopted;
        }
        self.new_value(attempt, leavers, gone, inputs)
    }

    /// The machines whose goodbye counts as a promise of a ballot: all that they had is here, but
    /// for the inputs of the machines that promised, which give theirs themselves. A machine that
    /// left without giving what it claims to have counts as one that crashed.
    fn usable_goodbyes(
        &self,
        ballot: Ballot,
        promised: Machines,
        inputs: &impl MatchInputs,
    ) -> Machines {
        let is_needed = |peer| self.voters.index(peer).is_none_or(|it| !promised.has(it));
        let has_all = |promise: &Promise| {
            let mut seats = self.installed().peer_seats().filter(|(_, peer)| is_needed(*peer));
            seats.all(|(seat, _)| inputs.end(seat) >= promise.ends[usize::from(seat)])
        };
        let goodbye = |voter: &usize| self.views[*voter].goodbye.as_ref();
        let gone = self.gone_for(ballot).iter();
        gone.filter(|voter| goodbye(voter).is_some_and(|it| has_all(&it.promise))).collect()
    }

    fn installers(&self, value: &Value) -> Machines {
        let says = |view: &View| view.installed.as_ref().is_some_and(|(_, it)| it == value);
        (0..self.views.len()).filter(|&voter| says(&self.views[voter])).collect()
    }

    /// The value of the highest ballot in which one may have been decided. A value that was
    /// accepted by too few to have been decided need not be adopted, so one machine alone cannot
    /// force a value on the others by claiming that it accepted it.
    fn adopted(&self, attempt: &Attempt, promised: Machines, gone: Machines) -> Option<Value> {
        let voters = || 0..self.views.len();
        let accepted = |voter: usize| {
            let view = &self.views[voter];
            let goodbye = view.goodbye.as_ref().filter(|_| gone.has(voter)).map(|it| &it.promise);
            let promise = attempt.promises[voter].as_ref().or(goodbye);
            view.installed.as_ref().or(promise.and_then(|it| it.accepted.as_ref()))
        };
        let has_answered = |voter: usize| {
            promised.has(voter) || gone.has(voter) || self.views[voter].installed.is_some()
        };
        // No more than these have accepted in a ballot. Others may have known of more goodbyes.
        let may_be_decided = |ballot: Ballot| {
            let may_have = |&voter: &usize| {
                !has_answered(voter) || accepted(voter).is_some_and(|(other, _)| *other >= ballot)
            };
            let most: Machines = voters().filter(may_have).collect();
            let rest = self.voters.all().without(most).without(gone);
            let has_lowest = rest.lowest().is_none_or(|rest| most.lowest() < Some(rest));
            let count = 2 * most.len() + gone.without(most).len();
            count > self.views.len() || (count == self.views.len() && has_lowest)
        };
        let candidates =
            voters().filter_map(accepted).filter(|(ballot, _)| may_be_decided(*ballot));
        candidates.max_by_key(|(ballot, _)| *ballot).map(|(_, value)| value.clone())
    }

    /// A value of our own. `leavers` are the voters that did not promise.
    fn new_value(
        &self,
        attempt: &mut Attempt,
        leavers: Machines,
        gone: Machines,
        inputs: &impl MatchInputs,
    ) -> Option<Value> {
        let installed = self.installed();
        let (seats, clock, reason) = self.new_seats(leavers, attempt.ballot);
        let held = attempt.wish.leaving.and(gone);
        let given_up = Vec::from_iter(installed.given_up(&seats));
        let is_held = |peer| self.voters.index(peer).is_some_and(|voter| held.has(voter));
        let are_held = given_up.iter().all(|&(_, peer)| is_held(peer));
        #[cfg(test)]
        let are_held = are_held || !self.rules.flush;
        if !are_held {
            return None;
        }
        let promises = self.last_words(attempt, gone);
        let shown = self.shown(attempt.wish, &promises);
        let exposed = self.exposed_anywhere(shown, &promises, inputs);
        // The last frame for which somebody has the inputs of all leavers. A majority has the
        // inputs of every exposed frame, and no more were acknowledged since.
        let highest = |&(seat, _): &(u8, PeerId)| {
            let known = promises.iter().filter_map(|it| it.ends.get(usize::from(seat)).copied());
            known.fold(inputs.end(seat), u32::max)
        };
        let cut = given_up.iter().map(highest).min();
        let mut first = cut.unwrap_or(attempt.wish.first.max(exposed));
        if self.decision.is_modest && cut.is_some() {
            // Nobody gave what somebody claimed to have: what may be exposed, and is here, will do.
            let here = given_up.iter().map(|&(seat, _)| inputs.end(seat)).min().unwrap_or(0);
            first = first.min(here.max(shown.unwrap_or(0)));
        }
        if first < exposed || first > inputs.limit() {
            return None;
        }
        if given_up.iter().any(|&(seat, _)| inputs.end(seat) < first) {
            attempt.lacks = Some(first);
            return None;
        }
        let ended = given_up.iter().map(|&(seat, _)| (seat, inputs.hash(seat, first))).collect();
        let (epoch, parent) = (self.next_epoch(), self.digest);
        Some(Value { epoch, parent, seats, clock, first, ended, reason })
    }

    /// The last promise of each machine that gave one, be it by its goodbye.
    fn last_words<'a>(&'a self, attempt: &'a Attempt, gone: Machines) -> Vec<&'a Promise> {
        let goodbye = |voter: usize| self.views[voter].goodbye.as_ref().map(|it| &it.promise);
        let last = |voter: usize| match gone.has(voter) {
            true => goodbye(voter),
            false => attempt.promises.get(voter).and_then(Option::as_ref),
        };
        (0..self.views.len()).filter_map(last).collect()
    }

    /// The first frame that nobody can have exposed, as far as the machines in the wish go; `None`
    /// if there are none. Their inputs are not acknowledged after a promise, and more than half of
    /// the voters have acknowledged those before each exposed frame: so at least some of the
    /// promises show them, and the fewer machines are missing, the more.
    fn shown(&self, wish: Wish, promises: &[&Promise]) -> Option<u32> {
        let most = self.views.len() / 2 + 1;
        let showing = (promises.len() + most).saturating_sub(self.views.len()).max(1);
        let is_wished = |peer| self.voters.index(peer).is_some_and(|it| wish.leaving.has(it));
        let wished = self.installed().peer_seats().filter(|&(_, peer)| is_wished(peer));
        let shown = wished.map(|(seat, _)| {
            let ends = promises.iter().filter_map(|it| it.ends.get(usize::from(seat)).copied());
            let mut ends = Vec::from_iter(ends);
            ends.sort_unstable_by(|one, other| other.cmp(one));
            ends.get(showing - 1).copied().unwrap_or(0)
        });
        shown.min()
    }

    /// The first frame that no machine has exposed. What a machine says of itself counts as far as
    /// it can be true: nobody has exposed a frame without our own inputs either.
    fn exposed_anywhere(
        &self,
        shown: Option<u32>,
        promises: &[&Promise],
        inputs: &impl MatchInputs,
    ) -> u32 {
        let installed = self.installed();
        let ours = installed.peer_seats().filter(|&(_, peer)| peer == self.local);
        let ours = ours.map(|(seat, _)| inputs.end(seat)).min();
        let possible = ours.into_iter().chain(shown).min().unwrap_or(0);
        promises.iter().map(|it| it.exposed.min(possible)).fold(installed.first, u32::max)
    }

    /// The occupants of all seats without these voters, and with what enough machines ask for, and
    /// whether the simulation runs.
    fn new_seats(&self, leavers: Machines, ballot: Ballot) -> (Vec<Occupant>, Clock, Reason) {
        let (mut is_missed, mut is_left, mut is_asked) = (false, false, false);
        let mut seats = self.installed().seats.clone();
        for occupant in &mut seats {
            let Occupant::Peer(peer) = *occupant else { continue };
            let Some(voter) = self.voters.index(peer).filter(|&it| leavers.has(it)) else {
                continue;
            };
            let goodbye = self.views[voter].goodbye.as_ref();
            *occupant = match goodbye {
                Some(goodbye) if !goodbye.will_return => Occupant::Empty,
                _ => Occupant::Away(peer),
            };
            (is_missed, is_left) = (is_missed || goodbye.is_none(), is_left || goodbye.is_some());
        }
        let mut asked_clock = None;
        for asked in self.agreed(ballot) {
            match asked {
                Asked::Seat { seat, occupant } => {
                    let seat = &mut seats[usize::from(seat)];
                    is_asked |= *seat != occupant;
                    *seat = occupant;
                }
                Asked::Clock(clock) => asked_clock = Some(clock),
            }
        }
        let clock = asked_clock.unwrap_or_else(|| self.due_clock(&seats));
        is_asked |= asked_clock.is_some_and(|clock| clock != self.installed().clock);
        let reason = match (is_missed, is_left, is_asked) {
            (true, ..) => Reason::Missing,
            (_, true, _) => Reason::Goodbye,
            (.., true) => Reason::Asked,
            _ => Reason::Unchanged,
        };
        (seats, clock, reason)
    }
}
