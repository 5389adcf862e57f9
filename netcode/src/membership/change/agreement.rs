//! One machine's part in the agreement: what it knows, how it takes messages, and what it answers.
//! It has no clock. What a leader does is in `leader`.

use signaling::protocol::PeerId;

use super::{
    filling::is_complete,
    inputs::MatchInputs,
    leader::Attempt,
    message::{Asked, Ballot, Body, Goodbye, Message, Promise},
    value::{Occupant, Value},
    voters::{Machines, Voters},
};

/// The number of decided values that are kept for machines that lag behind. A member of the roster
/// lags by one at most; the others are for machines that were put away.
pub(super) const MAX_HISTORY: usize = 64;

/// A step that the caller has to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send this to all other voters of the installed epoch.
    ToAll(Message),
    Send(PeerId, Message),
    /// A roster was decided, and all inputs before its first frame are here.
    Installed(Value),
    /// The machine of this seat sent different inputs to different machines, or somebody forged
    /// them. All machines that go on do so with the same ones.
    Differs {
        seat: u8,
    },
}

/// How a machine appears to us. The detector decides, not this state machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Presence {
    #[default]
    Here,
    /// Nobody has inputs of it.
    Missing,
    /// Its channel closed.
    Closed,
}

/// What a machine that promised keeps back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Hold {
    /// No further inputs of the seats of these voters are acknowledged, nor taken from them.
    pub(crate) machines: Machines,
    /// No frame from this one on is exposed.
    pub(crate) from: u32,
}

/// What we know of one voter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct View {
    pub(super) presence: Presence,
    /// The voters that it misses.
    pub(super) misses: Machines,
    /// The changes that it asks for: one for each seat at most, and one of the clock.
    pub(super) asks: Vec<Asked>,
    /// The highest ballot that it is known to have promised.
    pub(super) promised: Ballot,
    /// What it accepted last.
    pub(super) vote: Option<(Ballot, u64)>,
    /// What it says was decided.
    pub(super) installed: Option<(Ballot, Value)>,
    pub(super) goodbye: Option<Goodbye>,
    /// It is heard, and does not promise anything.
    pub(super) is_mute: bool,
}

/// The rules that tests can switch off, to see that the search misses them.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rules {
    pub(super) hold: bool,
    pub(super) flush: bool,
    pub(super) adopt: bool,
}

/// The state of the agreement on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Agreement {
    pub(super) local: PeerId,
    /// The newest decided values; the last one is in force.
    pub(super) history: Vec<(Ballot, Value)>,
    pub(super) digest: u64,
    pub(super) voters: Voters,
    /// Our number among the voters.
    pub(super) us: Option<usize>,
    pub(super) views: Vec<View>,
    /// One change for each seat at most, and one of the clock.
    pub(super) asked: Vec<Asked>,
    pub(super) has_left: bool,
    /// The match waits for machines that are missed.
    pub(super) waits: bool,
    /// Goodbyes of voters for epochs that we have not reached, one of each: none may come again.
    early: Vec<(PeerId, Message)>,
    pub(super) decision: Decision,
    #[cfg(test)]
    pub(super) rules: Rules,
}

/// What a machine keeps until the next epoch is decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Decision {
    pub(super) highest_round: u64,
    pub(super) promised: Ballot,
    pub(super) hold: Option<Hold>,
    pub(super) accepted: Option<(Ballot, Value)>,
    /// What we shall accept as soon as all inputs before its first frame are here.
    pub(super) pending: Option<(Ballot, Value)>,
    /// What was decided, likewise.
    pub(super) decided: Option<(Ballot, Value)>,
    pub(super) attempt: Option<Attempt>,
    /// An attempt failed for want of inputs that somebody claims to have.
    pub(super) is_modest: bool,
    /// The seats that were named because their inputs differ: a bit for each.
    pub(super) differing: u16,
}

impl Agreement {
    /// The agreement in a match that begins with these seats.
    pub(crate) fn new(local: PeerId, seats: Vec<Occupant>) -> Self {
        let value = Value::of_line_up(seats);
        let voters = Voters::of(&value.seats);
        Self {
            local,
            digest: value.digest(),
            us: voters.index(local),
            views: vec![View::default(); voters.len()],
            voters,
            history: vec![(Ballot::default(), value)],
            asked: Vec::new(),
            has_left: false,
            waits: false,
            early: Vec::new(),
            decision: Decision::default(),
            #[cfg(test)]
            rules: Rules { hold: true, flush: true, adopt: true },
        }
    }

    /// The epoch in force.
    pub(crate) fn installed(&self) -> &Value {
        &self.history.last().expect("the epoch in force is never forgotten").1
    }

    /// The epoch before the one in force.
    pub(super) fn before(&self) -> Option<&Value> {
        self.history.iter().rev().nth(1).map(|(_, value)| value)
    }

    #[cfg(test)]
    pub(crate) fn voters(&self) -> &Voters {
        &self.voters
    }

    /// What must not become more final; `None` if nothing is held. The exchange asks before it
    /// acknowledges or exposes anything.
    pub(crate) fn hold(&self) -> Option<Hold> {
        self.decision.hold
    }

    /// Notes how a machine appears to us. Returns whether that is news.
    pub(crate) fn notice(&mut self, peer: PeerId, presence: Presence) -> bool {
        let voter = self.voters.index(peer).filter(|&voter| Some(voter) != self.us);
        voter.is_some_and(|voter| {
            std::mem::replace(&mut self.views[voter].presence, presence) != presence
        })
    }

    /// Takes a message of a peer.
    pub(crate) fn handle(
        &mut self,
        from: PeerId,
        message: &Message,
        inputs: &mut impl MatchInputs,
    ) -> Vec<Step> {
        let next = self.next_epoch();
        let sender = self.voters.index(from).filter(|&voter| Some(voter) != self.us);
        let Some(sender) = sender.filter(|_| !self.has_left && message.epoch >= next) else {
            return self.answer_laggard(from, message, inputs);
        };
        if message.epoch > next {
            if matches!(message.body, Body::Goodbye(_)) {
                self.early.retain(|(peer, _)| *peer != from);
                self.early.push((from, message.clone()));
            }
            // It is ahead, and has what we lack.
            return vec![Step::Send(from, self.lack(inputs))];
        }
        let is_goodbye = matches!(message.body, Body::Goodbye(_));
        if self.views[sender].goodbye.is_some() && !is_goodbye {
            // A machine that said goodbye has promised to say nothing else.
            return Vec::new();
        }
        let mut steps = match &message.body {
            Body::Suspect { missing, asked } => {
                // One for each seat, and one for the clock.
                let most = self.installed().seats.len() + 1;
                let asks = asked.iter().take(most).copied().collect();
                let view = &mut self.views[sender];
                (view.misses, view.asks) = (*missing, asks);
                Vec::new()
            }
            Body::Prepare { ballot, wish } => self.take_prepare(sender, *ballot, *wish, inputs),
            Body::Promise(promise) => self.take_promise(sender, promise, inputs),
            Body::Lack { ends } => Vec::from_iter(self.fill(from, ends, message.epoch, inputs)),
            Body::Fill { streams } => {
                self.take_fill(sender, streams, inputs);
                Vec::new()
            }
            Body::Accept { ballot, value } => self.take_accept(sender, *ballot, value, inputs),
            Body::Accepted { ballot, digest } => {
                let vote = &mut self.views[sender].vote;
                if vote.is_none_or(|(voted, _)| voted < *ballot) {
                    *vote = Some((*ballot, *digest));
                }
                Vec::new()
            }
            Body::Install { ballot, value } => {
                // A machine without a seat may be far behind, and learns only what a quorum says.
                let limit = self.us.map_or(u32::MAX, |_| inputs.limit());
                let is_sound = self.installed().may_precede(self.digest, value, limit);
                if is_sound && value.first >= inputs.exposed() {
                    self.views[sender].installed = Some((*ballot, value.clone()));
                }
                Vec::new()
            }
            Body::Goodbye(goodbye) => {
                self.take_goodbye(sender, goodbye, inputs);
                Vec::new()
            }
        };
        steps.extend(self.advance(inputs));
        steps
    }

    /// Accepts and installs what can be, now that messages or inputs have come.
    pub(crate) fn advance(&mut self, inputs: &mut impl MatchInputs) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.has_left {
            return steps;
        }
        (0..self.views.len()).for_each(|voter| self.take_last(voter, inputs));
        self.accept_pending(inputs, &mut steps);
        self.learn();
        if let Some((_, value)) = &self.decision.decided
            && value.first >= inputs.exposed()
            && is_complete(self.installed(), value, inputs)
            && let Some((ballot, value)) = self.decision.decided.take()
        {
            self.install(ballot, value, &mut steps);
            for (peer, goodbye) in std::mem::take(&mut self.early) {
                steps.extend(self.handle(peer, &goodbye, inputs));
            }
        }
        for seat in self.differing(inputs) {
            self.name_differing(seat, &mut steps);
        }
        steps
    }

    /// Says goodbye: nothing else is said from now on.
    pub(crate) fn leave(&mut self, will_return: bool, inputs: &impl MatchInputs) -> Vec<Step> {
        if self.us.is_none() || self.has_left {
            self.has_left = true;
            return Vec::new();
        }
        let mut steps = Vec::new();
        // A machine that has not heard of the newest epoch needs it to understand the goodbye.
        steps.extend(self.install_message(self.installed().epoch).map(Step::ToAll));
        let goodbye = Goodbye {
            promise: self.promise(inputs),
            last: inputs.streams(&vec![inputs.stable(); self.installed().seats.len()]),
            will_return,
        };
        steps.push(Step::ToAll(self.message(Body::Goodbye(goodbye))));
        self.has_left = true;
        self.decision.attempt = None;
        steps
    }

    /// The messages that have not been answered yet, as far as we know. They are the same until
    /// something happens.
    pub(crate) fn unanswered(&self, inputs: &impl MatchInputs) -> Vec<Step> {
        if self.has_left {
            return Vec::new();
        }
        let mut steps = Vec::new();
        if self.wanted_before().is_some() {
            steps.push(Step::ToAll(self.lack(inputs)));
        }
        let Some(us) = self.us else { return steps };
        let decision = &self.decision;
        if self.wants_change() {
            steps.push(self.wishes());
        }
        if let Some(attempt) = &decision.attempt {
            steps.extend(self.unanswered_of(attempt));
        }
        if decision.promised > Ballot::default() && decision.accepted.is_none() {
            steps.push(Step::ToAll(self.message(Body::Promise(self.promise(inputs)))));
        }
        if let Some((ballot, digest)) = self.views[us].vote {
            steps.push(Step::ToAll(self.message(Body::Accepted { ballot, digest })));
        }
        steps
    }

    /// The newest decided value, for a machine that may not have heard of it.
    pub(crate) fn newest(&self, to: PeerId) -> Option<Step> {
        self.install_message(self.installed().epoch).map(|message| Step::Send(to, message))
    }

    pub(super) fn next_epoch(&self) -> u32 {
        self.installed().epoch.saturating_add(1)
    }

    pub(super) fn message(&self, body: Body) -> Message {
        Message { epoch: self.next_epoch(), body }
    }

    pub(super) fn install_message(&self, epoch: u32) -> Option<Message> {
        let is_wanted = |(_, value): &&(Ballot, Value)| value.epoch == epoch && epoch > 0;
        let (ballot, value) = self.history.iter().find(is_wanted)?;
        Some(Message { epoch, body: Body::Install { ballot: *ballot, value: value.clone() } })
    }

    /// The voters that we miss.
    pub(super) fn missing(&self) -> Machines {
        (0..self.views.len()).filter(|&voter| self.is_gone(voter)).collect()
    }

    pub(super) fn is_gone(&self, voter: usize) -> bool {
        let view = &self.views[voter];
        view.presence != Presence::Here || view.goodbye.is_some() || view.is_mute
    }

    /// The voters whose goodbye counts in a ballot: one that had promised a higher ballot before it
    /// said goodbye may have let that one be decided.
    pub(super) fn gone_for(&self, ballot: Ballot) -> Machines {
        let counts = |goodbye: &Goodbye| goodbye.promise.ballot <= ballot;
        let voters = 0..self.views.len();
        voters.filter(|&voter| self.views[voter].goodbye.as_ref().is_some_and(counts)).collect()
    }

    /// Whether these machines may decide in a ballot. An exact half of them may if all others left
    /// by a goodbye or a closed channel: silence alone never puts half of the machines away.
    pub(super) fn is_quorum(&self, who: Machines, ballot: Ballot) -> bool {
        self.is_quorum_without(self.gone_for(ballot), who)
    }

    /// As [`is_quorum`](Self::is_quorum), if only these goodbyes count.
    pub(super) fn is_quorum_without(&self, gone: Machines, who: Machines) -> bool {
        let has_gone = |view: &View| view.presence == Presence::Closed || view.goodbye.is_some();
        let mut others = self.voters.all().without(gone).without(who).iter();
        let may_break_tie = others.all(|voter| has_gone(&self.views[voter]));
        self.voters.is_quorum(who, gone, may_break_tie)
    }

    /// Whether the members of the roster that we accepted, and that may be decided, could decide
    /// what follows it.
    pub(super) fn can_go_on(&self) -> bool {
        let Some((_, value)) = &self.decision.accepted else { return true };
        let members = Voters::of(&value.seats);
        let view = |member: usize| Some(&self.views[self.voters.index(members.peer(member))?]);
        let which = |is: &dyn Fn(&View) -> bool| -> Machines {
            (0..members.len()).filter(|&member| view(member).is_some_and(is)).collect()
        };
        let gone = which(&|view| view.goodbye.is_some());
        let lost = which(&|view| view.presence != Presence::Here || view.is_mute);
        let may_break_tie = lost
            .without(gone)
            .iter()
            .all(|member| view(member).is_some_and(|view| view.presence == Presence::Closed));
        members.is_quorum(members.all().without(lost), gone, may_break_tie)
    }

    /// A machine that is an epoch behind gets what was decided, and the inputs before that.
    pub(super) fn answer_laggard(
        &mut self,
        from: PeerId,
        message: &Message,
        inputs: &mut impl MatchInputs,
    ) -> Vec<Step> {
        let voter = self.voters.index(from).filter(|&voter| Some(voter) != self.us);
        match &message.body {
            Body::Install { ballot, value } if message.epoch == self.next_epoch() => {
                self.hear_newcomer(from, *ballot, value);
                self.advance(inputs)
            }
            Body::Install { .. } | Body::Fill { .. } => Vec::new(),
            Body::Goodbye(goodbye) if message.epoch < self.next_epoch() => {
                // It left before it heard of the epoch in force, so it took no part in the next.
                if let Some(voter) = voter {
                    let (ballot, accepted) = (Ballot::default(), None);
                    let promise = Promise { ballot, accepted, ..goodbye.promise.clone() };
                    let goodbye = Goodbye { promise, ..goodbye.clone() };
                    self.take_goodbye(voter, &goodbye, inputs);
                }
                Vec::new()
            }
            body => {
                let install = self.install_message(message.epoch);
                let fill = match body {
                    Body::Lack { ends } => self.fill(from, ends, message.epoch, inputs),
                    _ => None,
                };
                install.map(|install| Step::Send(from, install)).into_iter().chain(fill).collect()
            }
        }
    }
}
