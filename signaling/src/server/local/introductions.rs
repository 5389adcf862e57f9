//! The newcomers that have not been announced to the other peers of their rooms yet. Pure.
//!
//! A peer opens a connection to each newcomer that is announced to it, which costs the peer far
//! more than joining costs a stranger. So a newcomer must stay for a moment before it is announced,
//! a newcomer that leaves earlier is never announced, and the newcomers of a room are announced at
//! a bounded rate. This applies to peers at `/v1/`: newcomers are announced to matchbox's own
//! clients at once, as matchbox's server does.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    protocol::PeerId,
    server::{
        limits::{Bucket, Rate},
        room::RoomId,
    },
};

/// How long a newcomer must stay: too short for people to notice the delay.
const STAYS_FOR: Duration = Duration::from_millis(200);
/// How often newcomers of a room are announced. The number at once is the number of peers that one
/// of our peers keeps track of.
const RATE: Rate = Rate { per_second: 4, at_once: 32 };

/// All pending announcements, by room.
#[derive(Debug, Default)]
pub(super) struct Introductions {
    rooms: HashMap<RoomId, Pending>,
}

/// The newcomers of one room, in the order in which they joined.
#[derive(Debug)]
struct Pending {
    newcomers: VecDeque<Introduction>,
    told: Bucket,
}

/// A newcomer that is to be announced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Introduction {
    pub(super) newcomer: PeerId,
    /// The peers that were in the room before it.
    pub(super) to: Vec<PeerId>,
    since: Instant,
}

impl Introductions {
    /// Returns whether no announcement is pending.
    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Adds a newcomer that is to be announced to the peers `to`: those among `all` that are
    /// connected to this process and are told later. The other peers are told at once, or by
    /// another process.
    pub(super) fn add(
        &mut self,
        room: &RoomId,
        newcomer: PeerId,
        (to, all): (Vec<PeerId>, &[PeerId]),
        now: Instant,
    ) {
        if let Some(pending) = self.rooms.get_mut(room) {
            for waiting in &mut pending.newcomers {
                // Only one of two peers is told about the other, or both would make an offer.
                if all.contains(&waiting.newcomer) {
                    waiting.to.retain(|peer| *peer != newcomer);
                }
            }
        }
        if to.is_empty() {
            return;
        }
        let fresh = || Pending { newcomers: VecDeque::new(), told: Bucket::new(now) };
        let pending = self.rooms.entry(room.clone()).or_insert_with(fresh);
        match pending.newcomers.iter_mut().find(|waiting| waiting.newcomer == newcomer) {
            Some(waiting) => waiting.to = to,
            None => pending.newcomers.push_back(Introduction { newcomer, to, since: now }),
        }
    }

    /// Forgets a newcomer that is no longer in the room.
    pub(super) fn cancel(&mut self, room: &RoomId, newcomer: PeerId) {
        if let Some(pending) = self.rooms.get_mut(room) {
            pending.newcomers.retain(|waiting| waiting.newcomer != newcomer);
        }
    }

    /// Takes the newcomers that are to be announced now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(RoomId, Introduction)> {
        let mut due = Vec::new();
        self.rooms.retain(|room, Pending { newcomers, told }| {
            while newcomers.front().is_some_and(|next| now >= next.since + STAYS_FOR)
                && told.try_use(RATE, now)
            {
                due.extend(newcomers.pop_front().map(|next| (room.clone(), next)));
            }
            !newcomers.is_empty() || !told.is_empty(now)
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: PeerId = PeerId::from_u128(1);
    const BOB: PeerId = PeerId::from_u128(2);

    fn room() -> RoomId {
        RoomId("den".into())
    }

    fn peer(number: u32) -> PeerId {
        PeerId::from_u128(u128::from(number))
    }

    /// Returns the newcomers that are announced at this time, each with the peers that are told.
    fn told(introductions: &mut Introductions, now: Instant) -> Vec<(PeerId, Vec<PeerId>)> {
        let due = introductions.take_due(now).into_iter();
        due.map(|(_, Introduction { newcomer, to, .. })| (newcomer, to)).collect()
    }

    #[test]
    fn a_newcomer_is_announced_after_it_has_stayed_for_a_moment() {
        let (mut introductions, start) = (Introductions::default(), Instant::now());
        introductions.add(&room(), BOB, (vec![ANN], &[ANN]), start);
        assert_eq!(told(&mut introductions, start + STAYS_FOR - Duration::from_millis(1)), []);
        assert_eq!(told(&mut introductions, start + STAYS_FOR), [(BOB, vec![ANN])]);
        assert_eq!(told(&mut introductions, start + STAYS_FOR), []);
    }

    #[test]
    fn a_newcomer_that_leaves_early_is_never_announced() {
        let (mut introductions, start) = (Introductions::default(), Instant::now());
        for number in 2..10_000 {
            introductions.add(&room(), peer(number), (vec![ANN], &[ANN]), start);
            introductions.cancel(&room(), peer(number));
        }
        introductions.cancel(&RoomId("other".into()), BOB);
        assert_eq!(told(&mut introductions, start + STAYS_FOR), []);
        assert!(introductions.is_empty(), "nothing is left of them");
    }

    #[test]
    fn newcomers_of_a_room_are_announced_at_a_bounded_rate_and_in_order() {
        let (mut introductions, start) = (Introductions::default(), Instant::now());
        for number in 2..100 {
            introductions.add(&room(), peer(number), (vec![ANN], &[ANN]), start);
        }
        let elsewhere = RoomId("other".into());
        introductions.add(&elsewhere, BOB, (vec![ANN], &[ANN]), start);
        let first = told(&mut introductions, start + STAYS_FOR);
        assert_eq!(first.len(), RATE.at_once as usize + 1, "each room has its own rate");
        let mut order: Vec<_> = (0..60)
            .flat_map(|second| {
                told(&mut introductions, start + STAYS_FOR + Duration::from_secs(second))
            })
            .map(|(newcomer, _)| newcomer)
            .collect();
        order.dedup();
        let rest: Vec<_> = (2 + RATE.at_once..100).map(peer).collect();
        assert_eq!(order, rest);
        assert!(told(&mut introductions, start + Duration::from_secs(3_600)).is_empty());
        assert!(introductions.is_empty());
    }

    #[test]
    fn only_one_of_two_waiting_newcomers_is_told_about_the_other() {
        let (mut introductions, start) = (Introductions::default(), Instant::now());
        introductions.add(&room(), BOB, (vec![ANN], &[ANN]), start);
        // Ann lost her connection, and is back.
        introductions.add(&room(), ANN, (vec![BOB], &[BOB]), start);
        let told = told(&mut introductions, start + STAYS_FOR);
        assert_eq!(told, [(BOB, vec![]), (ANN, vec![BOB])]);
    }

    #[test]
    fn a_newcomer_announced_by_another_process_is_not_told_about_waiting_ones() {
        let (mut introductions, start) = (Introductions::default(), Instant::now());
        introductions.add(&room(), BOB, (vec![ANN], &[ANN]), start);
        // Ann is back. Another process tells Bob about her.
        introductions.add(&room(), ANN, (vec![], &[BOB]), start);
        assert_eq!(told(&mut introductions, start + STAYS_FOR), [(BOB, vec![])]);
    }
}
