//! The peers of the room that we are about to connect to: peers that wait to be met, and peers
//! whose handshake is under way. Pure.
//!
//! Anyone may enter and leave a room as often as the server allows, and a handshake costs file
//! descriptors, memory, and one of a browser's few hundred connections. So only a few handshakes
//! run at a time, they begin at a bounded rate, and each has a deadline. A peer that is not wanted
//! now waits without any handshake.

use std::{collections::VecDeque, time::Duration};

use signaling::protocol::PeerId;

use crate::transport::MAX_PEERS;

/// At most this many handshakes are unfinished at a time. Each takes about three file descriptors,
/// and some systems give a program only 256. With a peer that responds, a handshake takes well
/// below a second, so a full room is met within seconds.
const MAX_UNFINISHED: usize = 8;
/// At most this many connections in all: one for each peer that we keep track of, and one for each
/// unfinished handshake, which may replace one of them.
const MAX_CONNECTIONS: usize = MAX_PEERS + MAX_UNFINISHED;
/// After a rest, this many handshakes may begin at once: as many as a match has players.
const AT_ONCE: u32 = 16;
/// Later handshakes begin at most once in this time.
const EVERY: Duration = Duration::from_millis(250);
/// At most this many peers wait: as many as the largest room has members.
const MAX_WAITING: usize = 256;
/// A handshake that takes longer than this will not succeed: candidates are tried for some seconds.
const MEET_WITHIN: Duration = Duration::from_secs(10);

/// A peer whose handshake is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meeting {
    pub(super) peer: PeerId,
    /// Whether the peer's latest signal is recent. If it is not, the peer no longer waits for the
    /// answer to its offer.
    pub(super) is_fresh: bool,
}

/// The peers that are about to be connected to us.
#[derive(Debug, Default)]
pub(super) struct Meetings {
    /// Waiting peers in the order in which they came, and when each was last noted.
    waiting: VecDeque<(PeerId, Duration)>,
    /// Peers whose handshakes are under way, and when each began.
    begun: Vec<(PeerId, Duration)>,
    /// When the handshakes begun so far no longer count against the rate: the generic cell rate
    /// algorithm (ITU-T I.371).
    rested_at: Duration,
}

impl Meetings {
    /// Notes that a peer is in the room and can be met. If it waits already, it keeps its turn.
    pub(super) fn arrive(&mut self, now: Duration, peer: PeerId) {
        if let Some((_, since)) = self.waiting.iter_mut().find(|(other, _)| *other == peer) {
            *since = now;
        } else if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back((peer, now));
        }
    }

    /// Forgets a peer that left or is now connected. Returns whether a handshake with it was under
    /// way.
    pub(super) fn forget(&mut self, peer: PeerId) -> bool {
        self.keep_waiting(|other| other != peer);
        let before = self.begun.len();
        self.begun.retain(|&(other, _)| other != peer);
        self.begun.len() < before
    }

    /// Forgets waiting peers that can no longer be met.
    pub(super) fn keep_waiting(&mut self, is_here: impl Fn(PeerId) -> bool) {
        self.waiting.retain(|&(peer, _)| is_here(peer));
    }

    pub(super) fn is_under_way(&self, peer: PeerId) -> bool {
        self.begun.iter().any(|&(other, _)| other == peer)
    }

    /// Whether no handshake is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.begun.is_empty()
    }

    /// Whether a peer waits, or a handshake is under way.
    pub(super) fn has_any(&self) -> bool {
        !self.waiting.is_empty() || !self.begun.is_empty()
    }

    /// Begins the next handshake, if one more may begin now.
    pub(super) fn begin_next(
        &mut self,
        now: Duration,
        connections: usize,
        may_meet: &dyn Fn(PeerId) -> bool,
    ) -> Option<Meeting> {
        let is_crowded =
            self.begun.len() >= MAX_UNFINISHED || connections + self.begun.len() >= MAX_CONNECTIONS;
        if is_crowded || self.rested_at > now + EVERY * (AT_ONCE - 1) {
            return None;
        }
        let index = self.waiting.iter().position(|&(peer, _)| may_meet(peer))?;
        let (peer, since) = self.waiting.remove(index)?;
        self.begun.push((peer, now));
        self.rested_at = self.rested_at.max(now) + EVERY;
        Some(Meeting { peer, is_fresh: now.saturating_sub(since) < MEET_WITHIN })
    }

    /// Gives up a handshake whose time is over, if there is one.
    pub(super) fn give_up_next(&mut self, now: Duration) -> Option<PeerId> {
        let is_overdue =
            |&(_, since): &(PeerId, Duration)| now.saturating_sub(since) >= MEET_WITHIN;
        let index = self.begun.iter().position(is_overdue)?;
        Some(self.begun.remove(index).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn peer(number: usize) -> PeerId {
        PeerId::from_u128(number as u128)
    }

    fn any_peer(_: PeerId) -> bool {
        true
    }

    /// Begins all handshakes that may begin while no peer is connected. Returns their peers.
    fn begin_all(meetings: &mut Meetings, now: Duration) -> Vec<PeerId> {
        let next = || meetings.begin_next(now, 0, &any_peer).map(|meeting| meeting.peer);
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn few_handshakes_are_under_way_and_the_others_wait_for_their_turn() {
        let mut meetings = Meetings::default();
        (0..10_000).for_each(|number| meetings.arrive(NOW, peer(number)));
        assert_eq!(meetings.waiting.len(), MAX_WAITING);
        let first: Vec<_> = (0..MAX_UNFINISHED).map(peer).collect();
        assert_eq!(begin_all(&mut meetings, NOW), first);
        assert!(meetings.forget(peer(3)), "it is connected");
        assert_eq!(begin_all(&mut meetings, NOW), [peer(MAX_UNFINISHED)]);
    }

    #[test]
    fn a_handshake_is_given_up_when_its_time_is_over() {
        let mut meetings = Meetings::default();
        meetings.arrive(NOW, peer(1));
        assert_eq!(begin_all(&mut meetings, NOW), [peer(1)]);
        let end = NOW + MEET_WITHIN;
        assert_eq!(meetings.give_up_next(end - Duration::from_millis(1)), None);
        assert_eq!(meetings.give_up_next(end), Some(peer(1)));
        assert_eq!(meetings.give_up_next(end), None);
        assert!(meetings.is_idle() && !meetings.has_any());
    }

    #[test]
    fn handshakes_that_end_at_once_begin_at_a_bounded_rate() {
        let mut meetings = Meetings::default();
        let mut begun = 0;
        for step in 0..1_000 {
            let now = NOW + Duration::from_millis(10) * step;
            let stranger = peer(step as usize);
            meetings.arrive(now, stranger);
            begun += begin_all(&mut meetings, now).len() as u32;
            meetings.forget(stranger);
        }
        let seconds = 10;
        assert!((AT_ONCE..=AT_ONCE + 4 * seconds).contains(&begun), "{begun}");
    }

    #[test]
    fn a_peer_that_is_not_wanted_waits_without_holding_up_others() {
        let mut meetings = Meetings::default();
        (1..=2).for_each(|number| meetings.arrive(NOW, peer(number)));
        let is_wanted = |other| other == peer(2);
        let begun = meetings.begin_next(NOW, 0, &is_wanted);
        assert_eq!(begun, Some(Meeting { peer: peer(2), is_fresh: true }));
        assert_eq!(meetings.begin_next(NOW, 0, &is_wanted), None);
        let later = NOW + MEET_WITHIN;
        let begun = meetings.begin_next(later, 0, &any_peer);
        assert_eq!(
            begun,
            Some(Meeting { peer: peer(1), is_fresh: false }),
            "it waited for a long time"
        );
    }

    #[test]
    fn a_peer_that_leaves_is_forgotten_whether_it_waits_or_is_met() {
        let mut meetings = Meetings::default();
        (1..=2).for_each(|number| meetings.arrive(NOW, peer(number)));
        meetings.begin_next(NOW, 0, &any_peer);
        assert!(meetings.is_under_way(peer(1)) && !meetings.is_under_way(peer(2)));
        assert!(meetings.forget(peer(1)) && !meetings.forget(peer(2)));
        assert!(!meetings.has_any());
        meetings.arrive(NOW, peer(3));
        meetings.keep_waiting(|other| other != peer(3));
        assert!(!meetings.has_any());
    }

    #[test]
    fn connections_that_stay_are_bounded_too() {
        let mut meetings = Meetings::default();
        meetings.arrive(NOW, peer(1));
        assert_eq!(meetings.begin_next(NOW, MAX_CONNECTIONS, &any_peer), None);
        assert!(meetings.begin_next(NOW, MAX_CONNECTIONS - 1, &any_peer).is_some());
    }
}
