//! Agreement on who plays the next match. Pure: messages and time in, messages out.
//!
//! The peer with the lowest id proposes; all others check the proposal against what they see themselves.
//! It starts when everybody agreed, so no two peers ever start different matches.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use signaling::protocol::PeerId;
use xxhash_rust::xxh3::Xxh3;

/// Time for all members to answer a proposal, and for the leader to call the start: several round trips of a bad link.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Pause after a declined proposal: the views of two peers differ for about a round trip.
const PROPOSE_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Nobody has played so many matches more than we have.
const MOST_AHEAD: u32 = 1 << 16;

/// One machine in the match, with the seats that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) peer: PeerId,
    pub(crate) name: String,
    pub(crate) seats: u8,
}

/// Everything that all peers must know alike to begin a match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MatchPlan {
    pub(crate) epoch: u32,
    pub(crate) seed: u64,
    /// In order of the peers' ids; seats are counted in this order.
    pub(crate) members: Vec<Member>,
}

impl MatchPlan {
    /// A plan for these members. The seed follows from the random ids and the epoch, so it needs no random source.
    pub(crate) fn new(epoch: u32, mut members: Vec<Member>) -> Self {
        members.sort_by_key(|member| member.peer);
        let mut hasher = Xxh3::new();
        hasher.update(&epoch.to_le_bytes());
        for member in &members {
            hasher.update(member.peer.0.as_bytes());
            hasher.update(&[member.seats]);
        }
        Self { epoch, seed: hasher.digest(), members }
    }

    pub(crate) fn leader(&self) -> Option<PeerId> {
        self.members.first().map(|member| member.peer)
    }

    fn has_same_members(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

/// The epoch after our last one and those that others claim, never 0. Epochs are serial numbers that begin anew after the last one
/// (as in RFC 1982), and a claim far ahead of ours counts for nothing: what a peer says must not use up the others' epochs.
pub(crate) fn next_epoch(own_last: u32, claims: impl Iterator<Item = u32>) -> u32 {
    let ahead = claims.map(|claim| claim.wrapping_sub(own_last));
    let most = ahead.filter(|&ahead| ahead <= MOST_AHEAD).max().unwrap_or(0);
    successor(own_last.wrapping_add(most))
}

fn successor(epoch: u32) -> u32 {
    epoch.checked_add(1).unwrap_or(1)
}

/// What peers say about the line-up. A plan is named by its seed, which is a hash of all that is in it: an answer to
/// an earlier proposal must not count for a later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LineUpMessage {
    /// The leader: let us play this.
    Propose(MatchPlan),
    /// A member: I see it the same way.
    Accept { seed: u64 },
    /// A member: I see it differently; ask again.
    Decline { seed: u64 },
    /// The leader: all agreed, begin.
    Begin { seed: u64 },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LineUpStep {
    Send(PeerId, LineUpMessage),
    /// This epoch is about to begin: keep its datagrams.
    Expect(u32),
    Begin(MatchPlan),
}

/// The state of the agreement on one peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineUp {
    stage: Stage,
    not_before: Duration,
    /// The last epoch that we proposed: each proposal has its own, and so its own seed.
    proposed_epoch: Option<u32>,
    /// The last epoch that began here; 0 is none. Datagrams of it may still be on their way.
    last_begun: u32,
}

#[derive(Clone, Debug, Default)]
enum Stage {
    #[default]
    Idle,
    Proposed {
        plan: MatchPlan,
        unanswered: Vec<PeerId>,
        deadline: Duration,
    },
    Accepted {
        plan: MatchPlan,
        deadline: Duration,
    },
}

impl LineUp {
    /// Forgets any agreement under way.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// A peer is gone. Who accepted its proposal waits no longer for it to call the start.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        if matches!(&self.stage, Stage::Accepted { plan, .. } if plan.leader() == Some(peer)) {
            self.stage = Stage::Idle;
        }
    }

    /// Called once a frame with the match that could start as seen from here, if one could.
    pub(crate) fn poll(
        &mut self,
        now: Duration,
        local: PeerId,
        possible: Option<&MatchPlan>,
    ) -> Vec<LineUpStep> {
        match &self.stage {
            Stage::Proposed { deadline, .. } | Stage::Accepted { deadline, .. }
                if now >= *deadline =>
            {
                self.stage = Stage::Idle;
            }
            Stage::Proposed { plan, .. }
                if possible.is_none_or(|seen| !seen.has_same_members(plan)) =>
            {
                self.stage = Stage::Idle;
            }
            _ => {}
        }
        let (Stage::Idle, Some(plan)) = (&self.stage, possible) else { return Vec::new() };
        if plan.leader() != Some(local) || now < self.not_before {
            return Vec::new();
        }
        let is_ahead = |proposed: &u32| proposed.wrapping_sub(plan.epoch) <= u32::MAX / 2;
        let epoch = self.proposed_epoch.filter(is_ahead).map_or(plan.epoch, successor);
        self.proposed_epoch = Some(epoch);
        let plan = MatchPlan::new(epoch, plan.members.clone());
        let unanswered: Vec<PeerId> =
            plan.members.iter().map(|member| member.peer).filter(|&peer| peer != local).collect();
        let mut steps = vec![LineUpStep::Expect(plan.epoch)];
        steps.extend(
            unanswered.iter().map(|&to| LineUpStep::Send(to, LineUpMessage::Propose(plan.clone()))),
        );
        self.stage = Stage::Proposed { plan, unanswered, deadline: now + ANSWER_WITHIN };
        steps.extend(self.begin_if_all_accepted(local));
        steps
    }

    /// Takes a message of a peer.
    pub(crate) fn handle(
        &mut self,
        now: Duration,
        local: PeerId,
        from: PeerId,
        message: LineUpMessage,
        possible: Option<&MatchPlan>,
    ) -> Vec<LineUpStep> {
        match message {
            LineUpMessage::Propose(plan) => self.answer(now, from, plan, possible),
            LineUpMessage::Accept { seed } => {
                if let Stage::Proposed { plan, unanswered, .. } = &mut self.stage
                    && plan.seed == seed
                {
                    unanswered.retain(|&peer| peer != from);
                }
                self.begin_if_all_accepted(local)
            }
            LineUpMessage::Decline { seed } => {
                if matches!(&self.stage, Stage::Proposed { plan, .. } if plan.seed == seed) {
                    self.stage = Stage::Idle;
                    self.not_before = now + PROPOSE_AGAIN_AFTER;
                }
                Vec::new()
            }
            LineUpMessage::Begin { seed } => {
                if let Stage::Accepted { plan, .. } = &self.stage
                    && plan.seed == seed
                    && plan.leader() == Some(from)
                {
                    let plan = plan.clone();
                    return vec![self.begin(plan)];
                }
                Vec::new()
            }
        }
    }

    fn answer(
        &mut self,
        now: Duration,
        from: PeerId,
        plan: MatchPlan,
        possible: Option<&MatchPlan>,
    ) -> Vec<LineUpStep> {
        let (epoch, seed) = (plan.epoch, plan.seed);
        // It need not be above all that we heard of: a peer may claim that it took part in whichever epoch it likes.
        let is_new = epoch != 0 && epoch != self.last_begun;
        let agreed = is_new
            && plan.leader() == Some(from)
            && possible.is_some_and(|seen| seen.has_same_members(&plan));
        if !agreed {
            // Whatever was accepted of this peer before, it thinks differently by now; of another, that still holds.
            self.forget(from);
            return vec![LineUpStep::Send(from, LineUpMessage::Decline { seed })];
        }
        self.stage = Stage::Accepted { plan, deadline: now + ANSWER_WITHIN };
        vec![LineUpStep::Expect(epoch), LineUpStep::Send(from, LineUpMessage::Accept { seed })]
    }

    fn begin_if_all_accepted(&mut self, local: PeerId) -> Vec<LineUpStep> {
        let Stage::Proposed { plan, unanswered, .. } = &self.stage else { return Vec::new() };
        if !unanswered.is_empty() {
            return Vec::new();
        }
        let plan = plan.clone();
        let others = plan.members.iter().map(|member| member.peer).filter(|&peer| peer != local);
        let mut steps: Vec<_> = others
            .map(|to| LineUpStep::Send(to, LineUpMessage::Begin { seed: plan.seed }))
            .collect();
        steps.push(self.begin(plan));
        steps
    }

    fn begin(&mut self, plan: MatchPlan) -> LineUpStep {
        self.stage = Stage::Idle;
        self.last_begun = plan.epoch;
        LineUpStep::Begin(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PeerId = PeerId::from_u128(1);
    const B: PeerId = PeerId::from_u128(2);
    const C: PeerId = PeerId::from_u128(3);

    fn plan(epoch: u32, peers: &[PeerId]) -> MatchPlan {
        let member = |&peer| Member { peer, name: "x".into(), seats: 1 };
        MatchPlan::new(epoch, peers.iter().map(member).collect())
    }

    fn sent_to(steps: &[LineUpStep], to: PeerId) -> LineUpMessage {
        let to_peer = |step: &LineUpStep| match step {
            LineUpStep::Send(peer, message) if *peer == to => Some(message.clone()),
            _ => None,
        };
        steps.iter().find_map(to_peer).expect("a message to that peer")
    }

    #[test]
    fn three_peers_that_agree_begin_the_same_match() {
        let plan = plan(1, &[C, A, B]);
        let (mut a, mut b, mut c) = (LineUp::default(), LineUp::default(), LineUp::default());
        let now = Duration::ZERO;
        assert!(b.poll(now, B, Some(&plan)).is_empty(), "only the lowest id proposes");
        let proposal = a.poll(now, A, Some(&plan));
        let yes_b = b.handle(now, B, A, sent_to(&proposal, B), Some(&plan));
        let yes_c = c.handle(now, C, A, sent_to(&proposal, C), Some(&plan));
        assert!(a.handle(now, A, B, sent_to(&yes_b, A), Some(&plan)).is_empty());
        let begin = a.handle(now, A, C, sent_to(&yes_c, A), Some(&plan));
        assert!(begin.contains(&LineUpStep::Begin(plan.clone())));
        let begun = b.handle(now, B, A, sent_to(&begin, B), Some(&plan));
        assert_eq!(begun, [LineUpStep::Begin(plan)]);
    }

    #[test]
    fn a_peer_that_sees_other_members_declines_and_is_asked_again() {
        let (mut a, mut b) = (LineUp::default(), LineUp::default());
        let now = Duration::ZERO;
        let all = plan(1, &[A, B, C]);
        let proposal = a.poll(now, A, Some(&all));
        let no = b.handle(now, B, A, sent_to(&proposal, B), Some(&plan(1, &[A, B])));
        assert_eq!(sent_to(&no, A), LineUpMessage::Decline { seed: all.seed });
        a.handle(now, A, B, sent_to(&no, A), Some(&all));
        assert!(a.poll(now, A, Some(&all)).is_empty(), "not at once");
        assert!(!a.poll(now + PROPOSE_AGAIN_AFTER, A, Some(&all)).is_empty());
    }

    #[test]
    fn only_the_leader_may_propose_and_call_the_start() {
        let mut b = LineUp::default();
        let now = Duration::ZERO;
        let all = plan(1, &[A, B, C]);
        let no = b.handle(now, B, C, LineUpMessage::Propose(all.clone()), Some(&all));
        assert_eq!(sent_to(&no, C), LineUpMessage::Decline { seed: all.seed });
        b.handle(now, B, A, LineUpMessage::Propose(all.clone()), Some(&all));
        assert!(
            b.handle(now, B, C, LineUpMessage::Begin { seed: all.seed }, Some(&all)).is_empty()
        );
        assert!(b.handle(now, B, A, LineUpMessage::Begin { seed: 2 }, Some(&all)).is_empty());
    }

    #[test]
    fn an_answer_to_one_proposal_does_not_count_for_the_next() {
        let (mut a, mut b, mut c) = (LineUp::default(), LineUp::default(), LineUp::default());
        let now = Duration::ZERO;
        let (two, three) = (plan(1, &[A, B]), plan(1, &[A, B, C]));
        let first = a.poll(now, A, Some(&two));
        let late_yes = b.handle(now, B, A, sent_to(&first, B), Some(&two));
        // C gets ready, A sees it, B does not yet.
        let second = a.poll(now, A, Some(&three));
        b.handle(now, B, A, sent_to(&second, B), Some(&two));
        let yes_c = c.handle(now, C, A, sent_to(&second, C), Some(&three));
        a.handle(now, A, B, sent_to(&late_yes, A), Some(&three));
        let after_both = a.handle(now, A, C, sent_to(&yes_c, A), Some(&three));
        assert!(after_both.is_empty(), "B never accepted the second proposal: {after_both:?}");
        let begin_of_first = LineUpMessage::Begin { seed: two.seed };
        assert!(
            b.handle(now, B, A, begin_of_first, Some(&two)).is_empty(),
            "B let go of the first"
        );
    }

    #[test]
    fn a_stray_proposal_does_not_undo_what_was_accepted_of_the_leader() {
        let mut c = LineUp::default();
        let now = Duration::ZERO;
        let (all, without_a) = (plan(1, &[A, B, C]), plan(1, &[B, C]));
        let of = |plan: &MatchPlan| LineUpMessage::Propose(plan.clone());
        c.handle(now, C, A, of(&all), Some(&all));
        let no = c.handle(now, C, B, of(&without_a), Some(&all));
        assert_eq!(sent_to(&no, B), LineUpMessage::Decline { seed: without_a.seed });
        let begun = c.handle(now, C, A, LineUpMessage::Begin { seed: all.seed }, Some(&all));
        assert_eq!(begun, [LineUpStep::Begin(all)]);
    }

    #[test]
    fn an_answer_does_not_count_for_the_same_proposal_made_again() {
        let mut a = LineUp::default();
        let all = plan(1, &[A, B, C]);
        let first = a.poll(Duration::ZERO, A, Some(&all));
        let LineUpMessage::Propose(first) = sent_to(&first, B) else { panic!("no proposal") };
        a.handle(Duration::ZERO, A, C, LineUpMessage::Decline { seed: first.seed }, Some(&all));
        let again = a.poll(PROPOSE_AGAIN_AFTER, A, Some(&all));
        let LineUpMessage::Propose(again) = sent_to(&again, B) else { panic!("no proposal") };
        assert!(again.has_same_members(&first) && again.seed != first.seed);
        for (from, seed) in [(B, first.seed), (C, again.seed)] {
            let steps =
                a.handle(PROPOSE_AGAIN_AFTER, A, from, LineUpMessage::Accept { seed }, Some(&all));
            assert_eq!(steps, [], "B has not answered the second");
        }
    }

    #[test]
    fn who_accepted_is_free_again_when_the_leader_is_gone() {
        let mut b = LineUp::default();
        let (all, rest) = (plan(1, &[A, B, C]), plan(1, &[B, C]));
        b.handle(Duration::ZERO, B, A, LineUpMessage::Propose(all.clone()), Some(&all));
        assert!(b.poll(Duration::ZERO, B, Some(&rest)).is_empty());
        b.forget(A);
        assert!(!b.poll(Duration::ZERO, B, Some(&rest)).is_empty(), "B leads now");
    }

    #[test]
    fn an_agreement_that_nobody_finishes_expires() {
        let (mut a, mut b) = (LineUp::default(), LineUp::default());
        let all = plan(1, &[A, B]);
        let proposal = a.poll(Duration::ZERO, A, Some(&all));
        b.handle(Duration::ZERO, B, A, sent_to(&proposal, B), Some(&all));
        b.poll(ANSWER_WITHIN, B, Some(&all));
        assert!(
            b.handle(ANSWER_WITHIN, B, A, LineUpMessage::Begin { seed: all.seed }, Some(&all))
                .is_empty()
        );
        assert!(!a.poll(ANSWER_WITHIN, A, Some(&all)).is_empty(), "the leader asks again");
    }

    #[test]
    fn the_next_epoch_is_above_all_others() {
        assert_eq!(next_epoch(0, [].into_iter()), 1);
        assert_eq!(next_epoch(3, [7, 5].into_iter()), 8);
        assert_eq!(next_epoch(9, [7, 5].into_iter()), 10);
        assert_eq!(next_epoch(u32::MAX, [].into_iter()), 1);
        assert_eq!(next_epoch(u32::MAX - 1, [2].into_iter()), 3);
    }

    #[test]
    fn a_claim_far_ahead_counts_for_nothing() {
        for claim in [u32::MAX, u32::MAX - 1, 4 + MOST_AHEAD] {
            assert_eq!(next_epoch(3, [4, claim].into_iter()), 5);
        }
        assert_eq!(next_epoch(3, [3 + MOST_AHEAD].into_iter()), 4 + MOST_AHEAD);
    }

    #[test]
    fn proposals_differ_to_the_last_epoch_and_beyond() {
        let mut a = LineUp::default();
        let mut seeds = Vec::new();
        for round in 0..6 {
            let now = ANSWER_WITHIN * round;
            // The second of them has heard of fewer matches.
            let epoch = if round == 1 { u32::MAX - 3 } else { u32::MAX - 1 };
            let steps = a.poll(now, A, Some(&plan(epoch, &[A, B])));
            let LineUpMessage::Propose(plan) = sent_to(&steps, B) else { panic!("no proposal") };
            assert!(!seeds.contains(&plan.seed), "{plan:?}");
            seeds.push(plan.seed);
        }
    }

    #[test]
    fn the_epoch_that_was_played_last_is_not_played_again() {
        let (mut a, mut b) = (LineUp::default(), LineUp::default());
        let now = Duration::ZERO;
        let of = |epoch| LineUpMessage::Propose(plan(epoch, &[A, B]));
        // B heard of an epoch that A did not take into account.
        let seen = plan(u32::MAX, &[A, B]);
        let proposal = a.poll(now, A, Some(&plan(4, &[A, B])));
        let yes = b.handle(now, B, A, sent_to(&proposal, B), Some(&seen));
        let begin = a.handle(now, A, B, sent_to(&yes, A), Some(&seen));
        let begun = b.handle(now, B, A, sent_to(&begin, B), Some(&seen));
        assert_eq!(begun, [LineUpStep::Begin(plan(4, &[A, B]))]);
        for used in [0, 4] {
            let answer = b.handle(now, B, A, of(used), Some(&seen));
            assert!(matches!(sent_to(&answer, A), LineUpMessage::Decline { .. }), "epoch {used}");
        }
        let proposal = a.poll(now, A, Some(&plan(4, &[A, B])));
        assert_eq!(sent_to(&proposal, B), of(5));
    }

    #[test]
    fn the_seed_depends_on_members_and_epoch() {
        assert_eq!(plan(1, &[A, B]).seed, plan(1, &[B, A]).seed);
        assert_ne!(plan(1, &[A, B]).seed, plan(2, &[A, B]).seed);
        assert_ne!(plan(1, &[A, B]).seed, plan(1, &[A, C]).seed);
    }
}
