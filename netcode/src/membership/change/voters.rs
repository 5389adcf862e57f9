//! The machines that decide about the next epoch, and how many of them are enough.

use serde::{Deserialize, Serialize};
use signaling::protocol::PeerId;

use super::value::Occupant;
use crate::config::MAX_SEATS;

/// Some of the voters of an epoch: a bit for each, in order of their lowest seats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Machines(u16);

// Each voter holds a seat, and so has a bit.
const _: () = assert!(MAX_SEATS as u32 <= u16::BITS);

impl Machines {
    pub(super) fn first(count: usize) -> Self {
        (0..count).collect()
    }

    pub(super) fn with(self, voter: usize) -> Self {
        Self(self.0 | 1 << voter)
    }

    pub(super) fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    pub(super) fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    pub(super) fn has(self, voter: usize) -> bool {
        voter < usize::from(MAX_SEATS) && self.0 >> voter & 1 == 1
    }

    pub(super) fn has_all(self, others: Self) -> bool {
        others.without(self).is_empty()
    }

    pub(super) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn lowest(self) -> Option<usize> {
        self.iter().next()
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        (0..usize::from(MAX_SEATS)).filter(move |&voter| self.has(voter))
    }
}

impl FromIterator<usize> for Machines {
    fn from_iter<T: IntoIterator<Item = usize>>(voters: T) -> Self {
        voters.into_iter().fold(Self::default(), Self::with)
    }
}

/// The machines that hold a human seat in an installed epoch, in order of their lowest seats.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Voters(Vec<PeerId>);

impl Voters {
    pub(super) fn of(seats: &[Occupant]) -> Self {
        let mut peers: Vec<PeerId> = Vec::new();
        for occupant in seats {
            if let Occupant::Peer(peer) = occupant
                && !peers.contains(peer)
            {
                peers.push(*peer);
            }
        }
        Self(peers)
    }

    pub(super) fn index(&self, peer: PeerId) -> Option<usize> {
        self.0.iter().position(|&voter| voter == peer)
    }

    pub(super) fn peer(&self, voter: usize) -> PeerId {
        self.0[voter]
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn all(&self) -> Machines {
        Machines::first(self.0.len())
    }

    /// Whether these machines may decide: more than half of the voters that have not said goodbye.
    /// A machine that said goodbye never answers anything else again, so it can be counted out.
    /// Exactly half of them may decide if they have the lowest of all, and if `may_break_tie`.
    ///
    /// Any two quorums have a machine in common: see the header of the folder.
    pub(super) fn is_quorum(&self, who: Machines, gone: Machines, may_break_tie: bool) -> bool {
        let left = self.all().without(gone);
        let who = who.without(gone);
        let tie_breaker = left.lowest().filter(|_| may_break_tie);
        2 * who.len() > left.len()
            || (2 * who.len() == left.len() && tie_breaker.is_some_and(|lowest| who.has(lowest)))
    }

    /// The first frame that must not be exposed yet: the inputs of some seat that a peer holds are
    /// not known to more than half of the voters before it. `ends` gives, for each voter, the first
    /// frame of a seat for which it lacks the input, as far as it has acknowledged.
    ///
    /// Each machine also stays before the first frame for which it lacks an input itself.
    #[cfg(test)]
    pub(crate) fn exposed(
        &self,
        seats: &[Occupant],
        ends: impl Fn(usize, usize) -> u32,
    ) -> Option<u32> {
        let held = (0..seats.len()).filter(|&seat| matches!(seats[seat], Occupant::Peer(_)));
        let known_to_most = |seat| {
            let mut known = Vec::from_iter((0..self.len()).map(|voter| ends(voter, seat)));
            known.sort_unstable_by(|one, other| other.cmp(one));
            known.get(self.len() / 2).copied()
        };
        held.filter_map(known_to_most).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(count: u128) -> Voters {
        let seats = Vec::from_iter((1..=count).map(|id| Occupant::Peer(PeerId::from_u128(id))));
        Voters::of(&seats)
    }

    fn set(voters: &[usize]) -> Machines {
        voters.iter().copied().collect()
    }

    #[test]
    fn more_than_half_of_the_voters_are_a_quorum() {
        for (count, enough) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (15, 8), (16, 9)] {
            let is_quorum =
                |size| voters(count).is_quorum(Machines::first(size), Machines::default(), false);
            assert!(is_quorum(enough) && !is_quorum(enough - 1), "{count}");
        }
    }

    #[test]
    fn an_exact_half_decides_only_with_the_lowest_seat_and_a_cause() {
        let four = voters(4);
        assert!(four.is_quorum(set(&[0, 3]), set(&[]), true));
        assert!(!four.is_quorum(set(&[0, 3]), set(&[]), false));
        assert!(!four.is_quorum(set(&[1, 2]), set(&[]), true));
        // Without the lowest, the next one is the lowest.
        assert!(four.is_quorum(set(&[1, 2]), set(&[0]), false));
        assert!(voters(3).is_quorum(set(&[1]), set(&[0]), true));
        assert!(!voters(3).is_quorum(set(&[2]), set(&[0]), true));
    }

    #[test]
    fn any_two_quorums_meet_whatever_each_knows_of_goodbyes() {
        for count in 1..=6u32 {
            let voters = voters(u128::from(count));
            let subsets = || (0..1u16 << count).map(Machines);
            let quorums: Vec<(Machines, Machines)> = subsets()
                .flat_map(|who| subsets().map(move |gone| (who, gone)))
                .filter(|&(who, gone)| who.without(gone) == who)
                .filter(|&(who, gone)| voters.is_quorum(who, gone, true))
                .collect();
            for &(one, gone_for_one) in &quorums {
                for &(other, gone_for_other) in &quorums {
                    // One accepted, and the other promises a higher ballot. What a machine that
                    // said goodbye had accepted is in its goodbye, and a goodbye that counts in the
                    // lower ballot comes from a machine that never promised the higher one.
                    let seen = other.and(gone_for_other);
                    let is_possible = other.without(gone_for_one) == other;
                    assert!(
                        !is_possible || one.without(seen) != one,
                        "{one:?} without {gone_for_one:?}, {other:?} without {gone_for_other:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_frame_is_exposed_once_a_majority_has_the_inputs_of_every_seat() {
        let seats = [1, 2, 3, 4].map(|id| Occupant::Peer(PeerId::from_u128(id)));
        let known = [[9, 9, 9, 9], [5, 9, 9, 4], [6, 9, 9, 3], [1, 9, 9, 8]];
        let voters = Voters::of(&seats);
        assert_eq!(voters.exposed(&seats, |voter, seat| known[voter][seat]), Some(4));
        let with_bot = [seats[0], seats[1], seats[2], Occupant::Bot];
        assert_eq!(Voters::of(&with_bot).exposed(&with_bot, |it, seat| known[it][seat]), Some(6));
        assert_eq!(Voters::of(&[]).exposed(&[Occupant::Bot], |_, _| 0), None);
    }
}
