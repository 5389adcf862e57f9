//! How a machine accepts, learns what was decided, and installs it.

use super::{
    agreement::{Agreement, Decision, MAX_HISTORY, Step, View},
    filling::is_complete,
    inputs::MatchInputs,
    message::{Ballot, Body, Goodbye, Promise},
    value::Value,
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

    /// Looks for a value that was decided. A machine that has installed one will never accept
    /// another, so it counts as having accepted it in every ballot.
    pub(super) fn learn(&mut self) {
        if self.decision.decided.is_some() {
            return;
        }
        let known = self.decision.pending.iter().chain(&self.decision.accepted);
        let installed = self.views.iter().filter_map(|view| view.installed.as_ref());
        let found = known.chain(installed).find_map(|(ballot, value)| {
            let ballot = self.deciding_ballot(*ballot, value)?;
            Some((ballot, value.clone()))
        });
        self.decision.decided = found;
    }

    /// The ballot in which a value was decided, as far as we know. `named` is one in which somebody
    /// accepted it, or says that it was decided.
    pub(super) fn deciding_ballot(&self, named: Ballot, value: &Value) -> Option<Ballot> {
        let digest = value.digest();
        let installed =
            |view: &View| view.installed.as_ref().is_some_and(|(_, installed)| installed == value);
        let voters = || 0..self.views.len();
        let has_voted = |voter: usize, ballot: Ballot| {
            installed(&self.views[voter]) || self.views[voter].vote == Some((ballot, digest))
        };
        let votes = self.views.iter().filter_map(|view| view.vote);
        let ballots = votes.filter(|(_, voted)| *voted == digest).map(|(ballot, _)| ballot);
        let by_votes = ballots.chain([named]).find(|&ballot| {
            let who = voters().filter(|&voter| has_voted(voter, ballot)).collect();
            self.is_quorum(who, ballot)
        });
        // The machines that decided it may be gone since, all but one. That one is believed, if all
        // that are left accepted the value, we among them.
        let agrees = |voter: usize| {
            let view = &self.views[voter];
            installed(view) || view.vote.is_some_and(|(_, voted)| voted == digest)
        };
        let is_unopposed = self.views.iter().any(installed)
            && voters().all(|voter| self.is_gone(voter) || agrees(voter));
        by_votes.or(is_unopposed.then_some(named))
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
        self.asked.retain(|asked| value.seats[usize::from(asked.seat)] != asked.occupant);
        self.decision = Decision::default();
        self.history.push((ballot, value.clone()));
        if self.history.len() > MAX_HISTORY {
            self.history.remove(0);
        }
        steps.push(Step::Installed(value));
    }
}
