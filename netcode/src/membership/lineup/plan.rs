//! The plan of a match: its members, and what follows from them.

use serde::{Deserialize, Serialize};
use signaling::protocol::PeerId;
use xxhash_rust::xxh3::Xxh3;

use super::seat_set::SeatSet;
use crate::{input::Seat, membership::player_name::clean_name};

/// No honest peer has played this many matches more than we have.
pub(super) const MAX_AHEAD: u32 = 1 << 16;

/// What is hashed for the seed of a match before anything else, so that no other hash of the same
/// values is the same.
const SEED_LABEL: &[u8] = b"seed of a match";

/// One machine in the match, with the seats that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) peer: PeerId,
    pub(crate) name: String,
    pub(crate) seats: SeatSet,
}

/// Everything that all peers must agree on to begin a match. What follows from it is not sent, so
/// that no peer can send it wrongly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MatchPlan {
    pub(crate) match_number: u32,
    /// In any order, which means nothing.
    pub(crate) members: Vec<Member>,
}

impl MatchPlan {
    /// A plan for these machines, each of which has a name and a number of seats. It counts the
    /// seats in the order of the ids; any other order would do as well.
    pub(crate) fn seated(match_number: u32, mut machines: Vec<(PeerId, String, u8)>) -> Self {
        machines.sort_by_key(|&(peer, ..)| peer);
        let mut first = 0;
        let member = |(peer, name, count): (PeerId, String, u8)| {
            let seats = SeatSet::run(first, count);
            first = first.saturating_add(count);
            Member { peer, name, seats }
        };
        Self { match_number, members: machines.into_iter().map(member).collect() }
    }

    /// The same plan with the seats counted from the other end, as another leader might count them.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_reversed_seats(mut self) -> Self {
        let count: u8 = self.members.iter().map(|member| member.seats.len()).sum();
        for member in &mut self.members {
            let mirrored = member.seats.iter().map(|seat| count - 1 - seat.0);
            member.seats = SeatSet::of(&mirrored.collect::<Vec<u8>>());
        }
        self
    }

    /// The seed of the match: a hash of its number and of the peer that holds each seat, seat by
    /// seat.
    ///
    /// It is derived and not sent: so no leader can pick any value, or give two members different
    /// ones. The random ids and the number make it another one in each match without any random
    /// source. It identifies nothing: members agree on a match number and a whole plan, whose
    /// names, for example, do not change the seed.
    pub(crate) fn seed(&self) -> u64 {
        let mut holders: Vec<(Seat, PeerId)> = Vec::new();
        for member in &self.members {
            holders.extend(member.seats.iter().map(|seat| (seat, member.peer)));
        }
        holders.sort_unstable();
        let mut hasher = Xxh3::new();
        hasher.update(SEED_LABEL);
        hasher.update(&self.match_number.to_le_bytes());
        for (_, peer) in holders {
            hasher.update(peer.0.as_bytes());
        }
        hasher.digest()
    }

    /// The member with the least id, whatever the order of the list.
    pub(crate) fn leader(&self) -> Option<PeerId> {
        self.members.iter().map(|member| member.peer).min()
    }

    pub(super) fn member(&self, peer: PeerId) -> Option<&Member> {
        self.members.iter().find(|member| member.peer == peer)
    }

    /// Whether the same machines play in both plans. A plan that names one twice has other ones.
    pub(super) fn has_same_peers(&self, other: &Self) -> bool {
        let peers = |plan: &Self| {
            let mut peers: Vec<PeerId> = plan.members.iter().map(|member| member.peer).collect();
            peers.sort_unstable();
            peers
        };
        peers(self) == peers(other)
    }

    /// Whether the seats of all members are 0, 1, 2 and so on, each held by one member, at least
    /// one for each member and `max_seats` at most in all.
    pub(super) fn has_sound_seats(&self, max_seats: u8) -> bool {
        let mut taken = SeatSet::default();
        self.members.iter().all(|member| !member.seats.is_empty() && taken.add(member.seats))
            && (1..=max_seats).contains(&taken.len())
            && taken.is_gapless()
    }

    /// Whether `plan` has the same machines, can be played, and says of `local` what we say of
    /// ourselves: the name, and the number of seats. Which seats those are is up to the leader.
    /// What the plan says of the other machines may differ: a peer that tells each peer something
    /// else about itself keeps no match from starting.
    pub(super) fn accepts(&self, plan: &Self, local: PeerId, max_seats: u8) -> bool {
        let said_of_us =
            |plan: &Self| plan.member(local).map(|us| (us.name.clone(), us.seats.len()));
        self.has_same_peers(plan)
            && said_of_us(self) == said_of_us(plan)
            && plan.members.iter().all(|member| clean_name(&member.name) == member.name)
            && plan.has_sound_seats(max_seats)
    }
}

/// The number of the match after our last one and those that other peers claim, never 0. Match
/// numbers are serial numbers that wrap around (as in RFC 1982), and a claim far ahead of ours is
/// ignored: the claim of one peer must not use up the numbers for all.
pub(crate) fn next_match_number(own_last: u32, claims: impl Iterator<Item = u32>) -> u32 {
    let ahead = claims.map(|claim| claim.wrapping_sub(own_last));
    let most = ahead.filter(|&ahead| ahead <= MAX_AHEAD).max().unwrap_or(0);
    successor(own_last.wrapping_add(most))
}

pub(super) fn successor(match_number: u32) -> u32 {
    match_number.checked_add(1).unwrap_or(1)
}

/// Whether a peer whose last match was `last` may propose `match_number`. That may be ahead of
/// `last` by what other peers claimed, at most [`MAX_AHEAD`], and by its own proposals that came to
/// nothing, of which there are never more than that either.
pub(super) fn may_follow(last: u32, match_number: u32) -> bool {
    let ahead = match_number.wrapping_sub(last);
    match_number != 0 && (1..=2 * MAX_AHEAD + 1).contains(&ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PeerId = PeerId::from_u128(1);
    const B: PeerId = PeerId::from_u128(2);
    const C: PeerId = PeerId::from_u128(3);

    fn plan(match_number: u32, peers: &[PeerId]) -> MatchPlan {
        let machine = |&peer| (peer, "x".into(), 1);
        MatchPlan::seated(match_number, peers.iter().map(machine).collect())
    }

    #[test]
    fn the_next_match_number_is_above_all_others() {
        assert_eq!(next_match_number(0, [].into_iter()), 1);
        assert_eq!(next_match_number(3, [7, 5].into_iter()), 8);
        assert_eq!(next_match_number(9, [7, 5].into_iter()), 10);
        assert_eq!(next_match_number(u32::MAX, [].into_iter()), 1);
        assert_eq!(next_match_number(u32::MAX - 1, [2].into_iter()), 3);
    }

    #[test]
    fn a_claim_far_ahead_counts_for_nothing() {
        for claim in [u32::MAX, u32::MAX - 1, 4 + MAX_AHEAD] {
            assert_eq!(next_match_number(3, [4, claim].into_iter()), 5);
        }
        assert_eq!(next_match_number(3, [3 + MAX_AHEAD].into_iter()), 4 + MAX_AHEAD);
    }

    #[test]
    fn a_match_number_follows_the_last_one_of_the_peer_that_proposes_it() {
        assert!(may_follow(0, 1) && may_follow(7, 8) && may_follow(u32::MAX, 1));
        assert!(may_follow(7, 8 + 2 * MAX_AHEAD));
        for match_number in [0, 1, 6, 7, 9 + 2 * MAX_AHEAD, u32::MAX] {
            assert!(!may_follow(7, match_number), "{match_number}");
        }
    }

    #[test]
    fn the_seed_follows_from_the_number_of_the_match_and_from_who_holds_each_seat() {
        let seed = plan(1, &[A, B]).seed();
        assert_eq!(seed, 0xd7e9_7bea_8d4a_e8b9, "as PROTOCOL.md describes it");
        assert_ne!(plan(2, &[A, B]).seed(), seed);
        assert_ne!(plan(1, &[A, C]).seed(), seed);
        assert_ne!(plan(1, &[A, B, C]).seed(), seed);
        let changed = |change: fn(&mut [Member])| {
            let mut plan = plan(1, &[A, B]);
            change(&mut plan.members);
            plan.seed()
        };
        assert_eq!(changed(<[Member]>::reverse), seed, "another order of the list");
        assert_eq!(changed(|members| members[0].name = "another".into()), seed);
        assert_ne!(changed(|members| members[1].seats = SeatSet::of(&[1, 2])), seed);
        let swap = |members: &mut [Member]| {
            (members[0].seats, members[1].seats) = (members[1].seats, members[0].seats);
        };
        assert_ne!(changed(swap), seed, "other seats");
    }

    #[test]
    fn the_machine_with_the_least_id_leads_wherever_it_stands() {
        let mut plan = plan(1, &[C, A, B]);
        assert_eq!(plan.leader(), Some(A));
        plan.members.swap(0, 2);
        assert_eq!(plan.leader(), Some(A));
        plan.members.clear();
        assert_eq!(plan.leader(), None);
    }

    #[test]
    fn seats_are_counted_in_the_order_of_ids() {
        let machines = vec![(C, "c".into(), 1), (A, "a".into(), 2), (B, "b".into(), 1)];
        let plan = MatchPlan::seated(1, machines);
        let seats = |peer| plan.member(peer).map(|member| member.seats);
        let of = |seats: &[u8]| Some(SeatSet::of(seats));
        assert_eq!([A, B, C].map(seats), [of(&[0, 1]), of(&[2]), of(&[3])]);
        let plan = plan.with_reversed_seats();
        let seats = |peer| plan.member(peer).map(|member| member.seats);
        assert_eq!([A, B, C].map(seats), [of(&[2, 3]), of(&[1]), of(&[0])]);
    }

    /// Whether B, which sees A, B and C with one seat each, takes a plan with this change.
    fn is_accepted(change: impl FnOnce(&mut MatchPlan)) -> bool {
        let mut told = plan(9, &[A, B, C]);
        change(&mut told);
        plan(1, &[A, B, C]).accepts(&told, B, 4)
    }

    #[test]
    fn a_plan_is_accepted_if_it_has_the_same_peers_and_says_of_us_what_we_say() {
        assert!(is_accepted(|_| {}));
        assert!(is_accepted(|plan| plan.members.swap(0, 2)), "the order means nothing");
        assert!(is_accepted(|plan| plan.members[2].name = "another".into()));
        assert!(!is_accepted(|plan| plan.members[2].name = "\n".into()));
        assert!(!is_accepted(|plan| plan.members[1].name = "another".into()));
        assert!(!is_accepted(|plan| plan.members.truncate(2)));
        assert!(!is_accepted(|plan| plan.members.clear()));
        assert!(!is_accepted(|plan| plan.members.push(plan.members[2].clone())));
        assert!(!is_accepted(|plan| plan.members[0].peer = C), "C twice");
    }

    /// Whether B takes a plan that gives A, B and C these seats.
    fn are_seats_accepted(seats: [&[u8]; 3]) -> bool {
        is_accepted(|plan| {
            for (member, seats) in plan.members.iter_mut().zip(seats) {
                member.seats = SeatSet::of(seats);
            }
        })
    }

    #[test]
    fn any_seats_are_accepted_that_are_held_once_and_have_no_gap() {
        assert!(are_seats_accepted([&[2], &[0], &[1]]));
        assert!(are_seats_accepted([&[0, 3], &[2], &[1]]));
        assert!(are_seats_accepted([&[0], &[1], &[3, 2]]));
        assert!(!are_seats_accepted([&[0], &[1, 2], &[3]]), "we have one player");
        assert!(!are_seats_accepted([&[0], &[], &[1]]), "no seat for us");
        assert!(!are_seats_accepted([&[], &[0], &[1]]), "no seat for another");
        assert!(!are_seats_accepted([&[0], &[0], &[1]]), "a seat of two machines");
        assert!(!are_seats_accepted([&[0, 1], &[1], &[2]]), "a seat of two machines");
        assert!(!are_seats_accepted([&[0], &[1], &[3]]), "a gap");
        assert!(!are_seats_accepted([&[1], &[2], &[3]]), "no first seat");
        assert!(!are_seats_accepted([&[0, 4], &[1], &[2, 3]]), "one too many");
        let all: Vec<u8> = (0..16).collect();
        assert!(!are_seats_accepted([&all, &all, &all]), "all for everybody");
        assert!(!are_seats_accepted([&all[1..], &[0], &[]]), "the rest for one");
    }

    #[test]
    fn a_plan_of_many_members_is_refused() {
        let peers: Vec<PeerId> = (1..=900).map(PeerId::from_u128).collect();
        assert!(!plan(1, &peers[..17]).has_sound_seats(16));
        assert!(!plan(1, &peers).has_sound_seats(16), "the last of them hold no seat");
        assert!(plan(1, &peers[..16]).has_sound_seats(16));
        assert!(!plan(1, &[]).has_sound_seats(16));
    }
}
