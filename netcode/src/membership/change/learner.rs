//! How a machine accepts, learns what was decided, and installs it.

use signaling::protocol::PeerId;

use super::{
    agreement::{Agreement, Decision, MAX_HISTORY, Presence, Step, View},
    filling::is_complete,
    inputs::MatchInputs,
    message::{Asked, Ballot, Body, Goodbye, Message, Promise},
    schedule::Change,
    value::{Occupant, Value},
    voters::Voters,
};

impl Agreement {
    pub(super) fn accept_pending(&mut self, inputs: &impl MatchInputs, steps: &mut Vec<Step>) {
        let Some((_, value)) = &self.decision.pending else { return };
        if !is_complete(self.installed(), value, inputs) {
            return;
        }
        if let (Some((ballot, value)), Some(us)) = (self.decision.pending.take(), self.us) {
            let digest = value.digest();
            self.views[us].vote = Some((ballot, digest));
            self.decision.accepted = Some((ballot, value));
            steps.push(Step::ToAll(self.message(Body::Accepted { ballot, digest })));
        }
    }

    /// Looks for a value that was decided. What a quorum accepted takes the place of what a machine
    /// was believed.
    pub(super) fn learn(&mut self) {
        let known = self.decision.pending.iter().chain(&self.decision.accepted);
        let installed = self.views.iter().filter_map(|view| view.installed.as_ref());
        let candidates = || known.clone().chain(installed.clone());
        let proven = candidates().find_map(|(ballot, value)| {
            let ballot = self.deciding_ballot(*ballot, value)?;
            Some((ballot, value.clone()))
        });
        if proven.is_some() {
            self.decision.decided = proven;
        } else if self.decision.decided.is_none() {
            let believed = candidates().find(|it| self.is_believed(it.0, &it.1)).cloned();
            self.decision.decided = believed;
        }
    }

    /// The ballot in which a quorum accepted a value, as far as we know. `named` is one in which
    /// somebody accepted it, or says that it was decided. A machine that has installed a value will
    /// never accept another, so it counts as having accepted it in every ballot.
    fn deciding_ballot(&self, named: Ballot, value: &Value) -> Option<Ballot> {
        let digest = value.digest();
        let has_voted = |view: &View, ballot: Ballot| {
            has_installed(view, value) || view.vote == Some((ballot, digest))
        };
        let votes = self.views.iter().filter_map(|view| view.vote);
        let ballots = votes.filter(|(_, voted)| *voted == digest).map(|(ballot, _)| ballot);
        ballots.chain([named]).find(|&ballot| {
            let voters = 0..self.views.len();
            let who = voters.filter(|&voter| has_voted(&self.views[voter], ballot)).collect();
            self.is_quorum(who, ballot)
        })
    }

    /// Whether we believe that a value was decided though we cannot see it: the machines that
    /// decided it may be gone since, or may know of goodbyes that we did not hear. One that
    /// installed it is believed if all that are left accepted the value, and we did or would. We
    /// would if a second machine did, or if it is acceptable, and of the very ballot that we
    /// promised.
    fn is_believed(&self, named: Ballot, value: &Value) -> bool {
        let accepts = |voter: usize| self.has_accepted(voter, value);
        let others = || (0..self.views.len()).filter(|&voter| Some(voter) != self.us);
        let Some(source) = others().find(|&voter| has_installed(&self.views[voter], value)) else {
            return false;
        };
        let do_we_agree = self.us.is_some_and(accepts)
            || others().filter(|&voter| accepts(voter)).count() > 1
            || (named == self.decision.promised && self.is_acceptable(value, source));
        others().all(|voter| self.is_gone(voter) || accepts(voter))
            && (self.us.is_none() || do_we_agree)
    }

    /// A machine that gets its seat with the next epoch says that it was decided. It is believed if
    /// all voters that are left accepted the value, we among them.
    pub(super) fn hear_newcomer(&mut self, from: PeerId, ballot: Ballot, value: &Value) {
        let is_newcomer = value.peer_seats().any(|(_, peer)| peer == from);
        let is_ours = self.decision.accepted.as_ref().is_some_and(|(_, it)| it == value);
        let mut voters = 0..self.views.len();
        let is_unopposed = voters.all(|it| self.is_gone(it) || self.has_accepted(it, value));
        if is_newcomer && is_ours && is_unopposed && self.decision.decided.is_none() {
            self.decision.decided = Some((ballot, value.clone()));
        }
    }

    /// Whether a voter is known to have accepted or installed a value.
    fn has_accepted(&self, voter: usize, value: &Value) -> bool {
        let view = &self.views[voter];
        has_installed(view, value) || view.vote.is_some_and(|(_, voted)| voted == value.digest())
    }

    pub(super) fn install(&mut self, ballot: Ballot, value: Value, steps: &mut Vec<Step>) {
        let voters = Voters::of(&value.seats);
        let view_of = |peer| {
            let old = self.voters.index(peer).map(|voter| &self.views[voter])?;
            let goodbye = old.goodbye.clone().map(|goodbye| Goodbye {
                promise: Promise {
                    ballot: Ballot::default(),
                    accepted: None,
                    ..goodbye.promise.clone()
                },
                ..goodbye
            });
            Some(View { presence: old.presence, goodbye, ..View::default() })
        };
        let views = (0..voters.len()).map(|it| view_of(voters.peer(it)).unwrap_or_default());
        self.views = views.collect();
        self.us = voters.index(self.local);
        self.voters = voters;
        self.digest = value.digest();
        self.asked.retain(|asked| match *asked {
            Asked::Seat { seat, occupant } => value.seats[usize::from(seat)] != occupant,
            Asked::Clock(clock) => value.clock != clock,
        });
        self.decision = Decision::default();
        self.history.push((ballot, value.clone()));
        if self.history.len() > MAX_HISTORY {
            self.history.remove(0);
        }
        steps.push(Step::Installed(value));
    }
}

fn has_installed(view: &View, value: &Value) -> bool {
    view.installed.as_ref().is_some_and(|(_, installed)| installed == value)
}

impl Change {
    /// Whether the match waits for machines without which it cannot go on: no quorum is left, or
    /// none of the roster that may have been decided.
    pub(crate) fn is_stuck(&self) -> bool {
        self.agreement.us.is_some() && !(self.can_decide() && self.agreement.can_go_on())
    }

    /// Whether all other machines are gone for good, and we may not decide alone.
    pub(crate) fn is_deserted(&self) -> bool {
        let Agreement { us, views, .. } = &self.agreement;
        let is_lost = |view: &View| view.presence == Presence::Closed || view.goodbye.is_some();
        let mut others = views.iter().enumerate().filter(|(voter, _)| Some(*voter) != *us);
        (us.is_none() || self.is_stuck()) && others.all(|(_, view)| is_lost(view))
    }

    /// Whether it was decided that no seat is ours, or kept for us.
    pub(crate) fn have_we_lost(&self) -> bool {
        let local = self.agreement.local;
        let is_ours =
            |occupant: &Occupant| [Occupant::Peer(local), Occupant::Away(local)].contains(occupant);
        let decided = self.agreement.decision.decided.as_ref();
        decided.is_some_and(|(_, value)| !value.seats.iter().any(is_ours))
    }

    /// The first frame of a change that gives us our seats back, if a machine that decides about it
    /// proposes one.
    pub(crate) fn offered_return(
        &self,
        from: PeerId,
        message: &Message,
        inputs: &impl MatchInputs,
    ) -> Option<u32> {
        let agreement = &self.agreement;
        let Body::Accept { ballot, value } = &message.body else { return None };
        let leader = agreement.voters.index(from)?;
        let is_ours = |occupant: &Occupant| *occupant == Occupant::Peer(agreement.local);
        let is_offered = agreement.us.is_none()
            && usize::from(ballot.leader) == leader
            && message.epoch == agreement.next_epoch()
            && agreement.installed().may_precede(agreement.digest, value, inputs.limit())
            && value.seats.iter().any(is_ours);
        is_offered.then_some(value.first)
    }
}
