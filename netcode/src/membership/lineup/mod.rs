//! Agreement on the players of the next match. Pure: messages and time in, messages out.
//!
//! The peer with the lowest id leads: it proposes a match. Each other peer checks the proposal
//! against what it sees itself, and tells all members what it accepted. The match starts when all
//! members have accepted the same proposal, so no two peers ever start different matches. A peer
//! that keeps the match from starting is counted out after a few rounds.

mod seat_set;
mod plan;
mod start_delays;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use signaling::protocol::PeerId;

use self::{
    plan::{MAX_AHEAD, may_follow, successor},
    start_delays::StartDelays,
};
use super::patience::MAX_SILENCE_PER_UPDATE;
use crate::{config::MAX_SEATS, transport::MAX_PEERS};

pub(crate) use plan::{MatchPlan, next_match_number};
#[cfg(test)]
pub(crate) use {plan::Member, seat_set::SeatSet};

/// Time for all members to answer a proposal, and for the leader to call the start: several round
/// trips of a bad link.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Pause after a declined proposal: the views of two peers differ for about a round trip.
const PROPOSE_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// An answer goes to all members. A proposal that comes sooner than this after the last answer is
/// declined to the leader alone: a leader must not make one member flood another.
const ANSWER_EVERY: Duration = Duration::from_millis(50);
/// A peer that declined is blamed for the time until the next proposal, but for no more than this.
const DECLINED_FOR: Duration = Duration::from_secs(1);

/// The messages about the line-up. The leader gives each of its proposals a match number of its
/// own, which identifies the proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LineUpMessage {
    /// The leader: let us play this.
    Propose(MatchPlan),
    /// A member, to all: I accept this.
    Accept(MatchPlan),
    /// A member, to all: I see it differently; ask again.
    Decline { match_number: u32 },
    /// The leader: all agreed, begin.
    Begin { match_number: u32 },
}

/// A step that the caller has to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LineUpStep {
    Send(PeerId, LineUpMessage),
    /// The match of this number is about to begin: keep its datagrams.
    Expect(u32),
    Begin(MatchPlan),
}

/// What a peer sees when it takes a message.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) local: PeerId,
    /// The match that could start, if any.
    pub(crate) possible: Option<&'a MatchPlan>,
    /// The number of the last match that the sender of the message says it took part in.
    pub(crate) last_match_number: u32,
}

/// The state of the agreement on one peer.
#[derive(Clone, Debug)]
pub(crate) struct LineUp {
    max_seats: u8,
    stage: Stage,
    not_before: Duration,
    /// The match number that we proposed last: each proposal has its own.
    last_proposed: Option<u32>,
    /// The number of the last match that began here; 0 if none. Datagrams of it may still be on
    /// their way.
    last_begun: u32,
    /// What each peer accepted last.
    accepted: Vec<(PeerId, MatchPlan)>,
    /// When we last sent an answer to all members.
    answered: Option<Duration>,
    start_delays: StartDelays,
    polled: Duration,
}

#[derive(Clone, Debug)]
enum Stage {
    /// No proposal is open. A peer that declined is blamed for that until the given time; otherwise
    /// the leader is.
    Idle { declined: Option<(PeerId, Duration)> },
    /// We proposed or accepted a plan.
    Open { plan: MatchPlan, deadline: Duration, is_called: bool },
}

impl Stage {
    const IDLE: Self = Self::Idle { declined: None };
}

impl Default for LineUp {
    fn default() -> Self {
        Self::new(MAX_SEATS)
    }
}

impl LineUp {
    /// Nothing is agreed on yet; matches have at most `max_seats` seats.
    pub(crate) fn new(max_seats: u8) -> Self {
        Self {
            max_seats,
            stage: Stage::IDLE,
            not_before: Duration::ZERO,
            last_proposed: None,
            last_begun: 0,
            accepted: Vec::new(),
            answered: None,
            start_delays: StartDelays::default(),
            polled: Duration::ZERO,
        }
    }

    /// Forgets any agreement under way.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.max_seats);
    }

    /// A peer is gone: its proposal, and the time for which it held up the start, no longer count.
    /// Its answer is not waited for either: if the leader calls the start all the same, the match
    /// begins, and ends for all with the reason.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        self.drop_proposal_of(peer);
        self.accepted.retain(|(other, _)| *other != peer);
        if let Stage::Open { plan, .. } = &self.stage
            && plan.member(peer).is_some()
        {
            self.accepted.push((peer, plan.clone()));
        }
        self.start_delays.reset(peer);
    }

    /// A peer is not ready, and so holds up nothing else: the time for which it held up the start
    /// is counted from zero again.
    pub(crate) fn reset_start_delay(&mut self, peer: PeerId) {
        self.start_delays.reset(peer);
    }

    /// Whether a peer has held up the start long enough for players to be shown its name.
    pub(crate) fn is_waiting_for(&self, peer: PeerId) -> bool {
        self.start_delays.is_named(peer)
    }

    /// Whether a peer has held up the start long enough for the match to start without it.
    pub(crate) fn has_counted_out(&self, peer: PeerId) -> bool {
        self.start_delays.is_counted_out(peer)
    }

    fn drop_proposal_of(&mut self, leader: PeerId) {
        if matches!(&self.stage, Stage::Open { plan, .. } if plan.leader() == Some(leader)) {
            self.enter(Stage::IDLE);
        }
    }

    /// Goes to another stage. Answers to a plan that came to nothing no longer count.
    fn enter(&mut self, stage: Stage) {
        if let Stage::Open { plan, .. } = std::mem::replace(&mut self.stage, stage) {
            self.accepted.retain(|(_, accepted)| *accepted != plan);
        }
    }

    /// Called once per update with the match that could start as seen from here, if any.
    pub(crate) fn poll(
        &mut self,
        now: Duration,
        local: PeerId,
        possible: Option<&MatchPlan>,
    ) -> Vec<LineUpStep> {
        let elapsed = now.saturating_sub(std::mem::replace(&mut self.polled, now));
        if let Some(possible) = possible {
            self.blame(now, elapsed.min(MAX_SILENCE_PER_UPDATE), local, possible);
        }
        if let Stage::Open { plan, deadline, .. } = &self.stage {
            let is_ours = plan.leader() == Some(local);
            let has_changed = is_ours && possible.is_none_or(|seen| seen.members != plan.members);
            if now >= *deadline || has_changed {
                self.enter(Stage::IDLE);
            }
        }
        let (Stage::Idle { .. }, Some(seen)) = (&self.stage, possible) else { return Vec::new() };
        if seen.leader() != Some(local) || now < self.not_before {
            return Vec::new();
        }
        let plan = self.next_proposal(seen);
        let propose = |to| LineUpStep::Send(to, LineUpMessage::Propose(plan.clone()));
        let mut steps = vec![LineUpStep::Expect(plan.match_number)];
        steps.extend(others(&plan, local).map(propose));
        self.enter(Stage::Open { plan, deadline: now + ANSWER_WITHIN, is_called: true });
        steps.extend(self.begin_if_all_accepted(local));
        steps
    }

    /// The plan that we propose next, with a match number that we have not proposed before, as long
    /// as there is one.
    fn next_proposal(&mut self, seen: &MatchPlan) -> MatchPlan {
        let is_ahead = |proposed: &u32| proposed.wrapping_sub(seen.match_number) < MAX_AHEAD;
        let match_number = self.last_proposed.filter(is_ahead).map_or(seen.match_number, successor);
        self.last_proposed = Some(match_number);
        MatchPlan { match_number, members: seen.members.clone() }
    }

    /// Blames the peers that keep this match from starting for the time since the last call.
    fn blame(&mut self, now: Duration, time: Duration, local: PeerId, possible: &MatchPlan) {
        match &self.stage {
            Stage::Open { plan, is_called, .. } => {
                let leader = plan.leader().filter(|&leader| leader != local);
                let missing = self.missing(plan, local);
                for &peer in &missing {
                    // If a member accepted another plan of the same leader, the leader proposed
                    // different plans, and is to blame. (Answers to a plan that was proposed to us,
                    // too, are dropped with that plan.)
                    let accepts_other = self.accepted.iter().any(|(other, accepted)| {
                        *other == peer && accepted != plan && accepted.leader() == plan.leader()
                    });
                    self.start_delays.add(leader.filter(|_| accepts_other).unwrap_or(peer), time);
                }
                if let Some(leader) = leader.filter(|_| missing.is_empty() && !is_called) {
                    self.start_delays.add(leader, time);
                }
            }
            Stage::Idle { declined } => {
                let declined = declined.filter(|&(_, until)| now < until).map(|(peer, _)| peer);
                let late = declined.or(possible.leader()).filter(|&peer| peer != local);
                if let Some(peer) = late {
                    self.start_delays.add(peer, time);
                }
            }
        }
    }

    /// The members that have not accepted the plan, as far as we know.
    fn missing(&self, plan: &MatchPlan, local: PeerId) -> Vec<PeerId> {
        let has_accepted = |peer| {
            plan.leader() == Some(peer)
                || self.accepted.iter().any(|(other, accepted)| *other == peer && accepted == plan)
        };
        others(plan, local).filter(|&peer| !has_accepted(peer)).collect()
    }

    /// Takes a message of a peer.
    pub(crate) fn handle(
        &mut self,
        now: Duration,
        from: PeerId,
        message: LineUpMessage,
        view: View,
    ) -> Vec<LineUpStep> {
        match message {
            LineUpMessage::Propose(plan) => self.answer(now, from, plan, view),
            LineUpMessage::Accept(plan) => {
                self.note_accepted(from, plan);
                self.begin_if_all_accepted(view.local)
            }
            LineUpMessage::Decline { match_number } => {
                self.note_declined(now, from, match_number, view.local);
                Vec::new()
            }
            LineUpMessage::Begin { match_number } => {
                if let Stage::Open { plan, deadline, is_called } = &mut self.stage
                    && (plan.match_number, plan.leader()) == (match_number, Some(from))
                {
                    // The leader begins already: what another member told it is on its way to us,
                    // too.
                    (*is_called, *deadline) = (true, now + ANSWER_WITHIN);
                }
                self.begin_if_all_accepted(view.local)
            }
        }
    }

    fn note_accepted(&mut self, from: PeerId, plan: MatchPlan) {
        if !plan.has_sound_seats(MAX_SEATS) || plan.member(from).is_none() {
            return;
        }
        self.accepted.retain(|(peer, _)| *peer != from);
        if self.accepted.len() < MAX_PEERS {
            self.accepted.push((from, plan));
        }
    }

    fn note_declined(&mut self, now: Duration, from: PeerId, match_number: u32, local: PeerId) {
        let Stage::Open { plan, .. } = &self.stage else { return };
        if plan.match_number == match_number && plan.member(from).is_some() {
            if plan.leader() == Some(local) {
                self.not_before = now + PROPOSE_AGAIN_AFTER;
            }
            self.enter(Stage::Idle { declined: Some((from, now + DECLINED_FOR)) });
        }
    }

    fn answer(
        &mut self,
        now: Duration,
        from: PeerId,
        plan: MatchPlan,
        view: View,
    ) -> Vec<LineUpStep> {
        let View { local, possible, last_match_number } = view;
        let match_number = plan.match_number;
        let is_early = self.answered.is_some_and(|at| now.saturating_sub(at) < ANSWER_EVERY);
        let seen = possible.filter(|_| plan.leader() == Some(from) && from != local);
        // The number need not be above all that we know of: a peer may claim that it took part in
        // a match of any number.
        let is_new = may_follow(last_match_number, match_number) && match_number != self.last_begun;
        let is_agreed = seen.is_some_and(|seen| seen.accepts(&plan, local, self.max_seats));
        if !is_agreed || !is_new || is_early {
            // If we accepted a proposal of this peer before, the peer has changed its mind. If we
            // accepted one of another peer, that still holds.
            self.drop_proposal_of(from);
            let is_to_all = seen.is_some() && !is_early;
            if is_to_all {
                self.answered = Some(now);
            }
            let told = seen.filter(|_| is_to_all).map(|seen| others(seen, local));
            let mut told: Vec<PeerId> = told.into_iter().flatten().collect();
            if !told.contains(&from) {
                told.push(from);
            }
            let decline = |to| LineUpStep::Send(to, LineUpMessage::Decline { match_number });
            return told.into_iter().map(decline).collect();
        }
        self.answered = Some(now);
        let accept = |to| LineUpStep::Send(to, LineUpMessage::Accept(plan.clone()));
        let mut steps = vec![LineUpStep::Expect(match_number)];
        steps.extend(others(&plan, local).map(accept));
        self.enter(Stage::Open { plan, deadline: now + ANSWER_WITHIN, is_called: false });
        steps
    }

    /// Begins the match once all members have accepted it and the leader has called the start,
    /// which we do here if we lead.
    fn begin_if_all_accepted(&mut self, local: PeerId) -> Vec<LineUpStep> {
        let Stage::Open { plan, is_called: true, .. } = &self.stage else { return Vec::new() };
        if !self.missing(plan, local).is_empty() {
            return Vec::new();
        }
        let plan = plan.clone();
        let mut steps = Vec::new();
        if plan.leader() == Some(local) {
            let begin = LineUpMessage::Begin { match_number: plan.match_number };
            steps.extend(others(&plan, local).map(|to| LineUpStep::Send(to, begin.clone())));
        }
        self.stage = Stage::IDLE;
        self.last_begun = plan.match_number;
        self.start_delays.clear();
        self.accepted.clear();
        steps.push(LineUpStep::Begin(plan));
        steps
    }
}

/// The members of a plan except `local`.
fn others(plan: &MatchPlan, local: PeerId) -> impl Iterator<Item = PeerId> {
    plan.members.iter().map(|member| member.peer).filter(move |&peer| peer != local)
}
