//! The plan of a match: its members, and what follows from them.

use serde::{Deserialize, Serialize};
use signaling::protocol::PeerId;
use xxhash_rust::xxh3::Xxh3;

use crate::{config::MAX_SEATS, membership::player_name::clean_name};

/// No honest peer has played this many matches more than we have.
pub(super) const MAX_AHEAD: u32 = 1 << 16;

/// One machine in the match, with the seats that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) peer: PeerId,
    pub(crate) name: String,
    pub(crate) seats: u8,
}

/// Everything that all peers must agree on to begin a match. What follows from it is not sent, so
/// that no peer can send it wrongly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MatchPlan {
    pub(crate) epoch: u32,
    /// In order of the peers' ids; seats are counted in this order.
    pub(crate) members: Vec<Member>,
}

impl MatchPlan {
    /// A plan for these members.
    pub(crate) fn new(epoch: u32, mut members: Vec<Member>) -> Self {
        members.sort_by_key(|member| member.peer);
        Self { epoch, members }
    }

    /// The seed of the match. It follows from the random ids and the epoch, so it needs no random
    /// source.
    pub(crate) fn seed(&self) -> u64 {
        let mut hasher = Xxh3::new();
        hasher.update(&self.epoch.to_le_bytes());
        for member in &self.members {
            hasher.update(member.peer.0.as_bytes());
            hasher.update(&[member.seats]);
        }
        hasher.digest()
    }

    pub(crate) fn leader(&self) -> Option<PeerId> {
        self.members.first().map(|member| member.peer)
    }

    pub(super) fn member(&self, peer: PeerId) -> Option<&Member> {
        self.members.iter().find(|member| member.peer == peer)
    }

    /// Whether the same machines play in both plans.
    pub(super) fn has_same_peers(&self, other: &Self) -> bool {
        let peers = |plan: &Self| plan.members.iter().map(|member| member.peer).collect::<Vec<_>>();
        peers(self) == peers(other)
    }

    /// Whether `plan` has the same machines, can be played, and says of `local` what we say of
    /// ourselves. What it says of the other machines may differ: a peer that tells each peer
    /// something else about itself keeps no match from starting.
    pub(super) fn accepts(&self, plan: &Self, local: PeerId, max_seats: u8) -> bool {
        let is_member = |member: &Member| {
            (1..=MAX_SEATS).contains(&member.seats) && clean_name(&member.name) == member.name
        };
        let seats: u32 = plan.members.iter().map(|member| u32::from(member.seats)).sum();
        self.has_same_peers(plan)
            && self.member(local) == plan.member(local)
            && plan.members.iter().all(is_member)
            && seats <= u32::from(max_seats)
    }
}

/// The epoch after our last one and those that other peers claim, never 0. Epochs are serial
/// numbers that wrap around (as in RFC 1982), and a claim far ahead of ours is ignored: the claim
/// of one peer must not use up the epochs of the others.
pub(crate) fn next_epoch(own_last: u32, claims: impl Iterator<Item = u32>) -> u32 {
    let ahead = claims.map(|claim| claim.wrapping_sub(own_last));
    let most = ahead.filter(|&ahead| ahead <= MAX_AHEAD).max().unwrap_or(0);
    successor(own_last.wrapping_add(most))
}

pub(super) fn successor(epoch: u32) -> u32 {
    epoch.checked_add(1).unwrap_or(1)
}

/// Whether a peer whose last epoch was `last` may propose `epoch`, which may be ahead of `last` by
/// what other peers claimed, at most [`MAX_AHEAD`], and by its own proposals that came to nothing,
/// of which there are never more than that either.
pub(super) fn may_follow(last: u32, epoch: u32) -> bool {
    let ahead = epoch.wrapping_sub(last);
    epoch != 0 && (1..=2 * MAX_AHEAD + 1).contains(&ahead)
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
        for claim in [u32::MAX, u32::MAX - 1, 4 + MAX_AHEAD] {
            assert_eq!(next_epoch(3, [4, claim].into_iter()), 5);
        }
        assert_eq!(next_epoch(3, [3 + MAX_AHEAD].into_iter()), 4 + MAX_AHEAD);
    }

    #[test]
    fn an_epoch_follows_the_last_one_of_the_peer_that_proposes_it() {
        assert!(may_follow(0, 1) && may_follow(7, 8) && may_follow(u32::MAX, 1));
        assert!(may_follow(7, 8 + 2 * MAX_AHEAD));
        for epoch in [0, 1, 6, 7, 9 + 2 * MAX_AHEAD, u32::MAX] {
            assert!(!may_follow(7, epoch), "{epoch}");
        }
    }

    #[test]
    fn the_seed_depends_on_members_and_epoch() {
        assert_eq!(plan(1, &[A, B]).seed(), plan(1, &[B, A]).seed());
        assert_ne!(plan(1, &[A, B]).seed(), plan(2, &[A, B]).seed());
        assert_ne!(plan(1, &[A, B]).seed(), plan(1, &[A, C]).seed());
    }

    #[test]
    fn a_plan_is_accepted_if_it_has_the_same_peers_and_says_of_us_what_we_say() {
        let seen = plan(1, &[A, B, C]);
        let accepts = |change: fn(&mut MatchPlan)| {
            let mut told = plan(9, &[A, B, C]);
            change(&mut told);
            seen.accepts(&told, B, 4)
        };
        assert!(accepts(|_| {}));
        assert!(accepts(|plan| plan.members[2].name = "another".into()));
        assert!(accepts(|plan| plan.members[2].seats = 2));
        assert!(!accepts(|plan| plan.members[2].seats = 3), "too many");
        assert!(!accepts(|plan| plan.members[2].seats = 0));
        assert!(!accepts(|plan| plan.members[2].name = "\n".into()));
        assert!(!accepts(|plan| plan.members[1].name = "another".into()));
        assert!(!accepts(|plan| plan.members[1].seats = 2));
        assert!(!accepts(|plan| plan.members.swap(0, 2)));
        assert!(!accepts(|plan| plan.members.truncate(2)));
        assert!(!accepts(|plan| plan.members.push(plan.members[2].clone())));
    }
}
