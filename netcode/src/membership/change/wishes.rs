//! What a machine wants changed, as it says in `Suspect`: the machines that it misses, and the
//! changes that it has itself seen to be asked for.

use super::{
    agreement::{Agreement, Step},
    message::{Asked, Ballot, Body},
};

impl Agreement {
    /// Notes that this machine has itself seen a change to be asked for.
    pub(crate) fn ask(&mut self, asked: Asked) {
        let subject = asked.subject();
        if subject.is_none_or(|seat| usize::from(seat) < self.installed().seats.len()) {
            self.withdraw(subject);
            self.asked.push(asked);
            self.asked.sort_unstable_by_key(|asked| asked.subject());
        }
    }

    /// The change of a seat, or of the clock, is no longer wanted.
    pub(crate) fn withdraw(&mut self, subject: Option<u8>) {
        self.asked.retain(|asked| asked.subject() != subject);
    }

    /// The changes that we ask for together with enough others to decide about them in a ballot.
    pub(super) fn agreed(&self, ballot: Ballot) -> impl Iterator<Item = Asked> + '_ {
        self.asked.iter().copied().filter(move |asked| {
            self.is_quorum(self.asking(*asked).chain(self.us).collect(), ballot)
        })
    }

    /// The other voters that ask for a change, and that we do not miss.
    fn asking(&self, asked: Asked) -> impl Iterator<Item = usize> + '_ {
        let voters = self.views.iter().enumerate();
        let asking = voters.filter(move |(_, view)| view.asks.contains(&asked));
        asking.map(|(voter, _)| voter).filter(|&voter| !self.is_gone(voter))
    }

    /// Whether enough others for a decision ask for some change, be it with us.
    pub(super) fn is_change_asked_for(&self, ballot: Ballot) -> bool {
        let mut asked = self.views.iter().flat_map(|view| &view.asks);
        asked.any(|&asked| {
            let we_ask = self.us.filter(|_| self.asked.contains(&asked));
            self.is_quorum(self.asking(asked).chain(we_ask).collect(), ballot)
        })
    }

    /// Whether we see a change to be due.
    pub(super) fn wants_change(&self) -> bool {
        self.us.is_some() && (!self.missing().is_empty() || !self.asked.is_empty())
    }

    /// The machines that we miss, and the changes that we see to be asked for.
    pub(super) fn wishes(&self) -> Step {
        let (missing, asked) = (self.missing(), self.asked.clone());
        Step::ToAll(self.message(Body::Suspect { missing, asked }))
    }
}
