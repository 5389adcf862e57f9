//! What peers did at the server since the transport looked last. Pure.
//!
//! A game may not look for minutes, while it loads or while nobody sees its page. Only where each
//! peer has got to by then is of interest, so what it did on the way there is not kept.

use matchbox_socket::PeerId;

/// Peers that are kept: as many as the largest room has members, and as many that have left it.
const MAX_KEPT: usize = 512;

/// What a peer did, as the server tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerStep {
    /// It is there, and can be met.
    Arrived,
    /// It gave up the handshake that is under way, and can be met once more.
    Restarted,
    /// Its connection to the server broke; it may come back.
    Missed,
    /// The server knows it no more.
    Left,
    /// It is connected to us, and at the server again.
    Returned,
}

/// What one peer did.
#[derive(Clone, Copy, Debug)]
struct Steps {
    peer: PeerId,
    /// How it was gone in between, if it was.
    absence: Option<PeerStep>,
    /// How it has come since, if it has.
    presence: Option<PeerStep>,
}

impl Steps {
    /// Whether the transport has never heard of the peer.
    fn is_news(&self) -> bool {
        self.absence.is_none() && self.presence == Some(PeerStep::Arrived)
    }
}

/// What all peers did, in the order in which they did the last of it.
#[derive(Debug, Default)]
pub(super) struct PeerSteps {
    kept: Vec<Steps>,
    lost: u32,
}

impl PeerSteps {
    /// Notes what a peer did.
    pub(super) fn note(&mut self, peer: PeerId, step: PeerStep) {
        let index = self.kept.iter().position(|steps| steps.peer == peer);
        let mut steps = match index {
            // A peer that comes back sends many signals, each of which says so.
            Some(index) if self.kept[index].presence == Some(step) => return,
            Some(index) => self.kept.remove(index),
            None => Steps { peer, absence: None, presence: None },
        };
        match step {
            // It came and went before anybody looked.
            PeerStep::Left if steps.is_news() => return,
            PeerStep::Left => (steps.absence, steps.presence) = (Some(step), None),
            PeerStep::Missed => {
                steps.absence.get_or_insert(step);
                steps.presence = None;
            }
            // Another offer of a peer that began again: the old handshake still has to end.
            PeerStep::Arrived if steps.presence == Some(PeerStep::Restarted) => {}
            PeerStep::Arrived | PeerStep::Restarted | PeerStep::Returned => {
                steps.presence = Some(step);
            }
        }
        if self.kept.len() < MAX_KEPT || self.drop_a_departed_peer() {
            self.kept.push(steps);
        } else {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Makes room: that a peer is gone is the least that can be lost, as its silence tells, too.
    fn drop_a_departed_peer(&mut self) -> bool {
        let gone = self.kept.iter().position(|steps| steps.presence.is_none());
        if let Some(index) = gone {
            self.kept.remove(index);
            self.lost = self.lost.saturating_add(1);
        }
        gone.is_some()
    }

    /// A handshake begins with what the peer said last: that it can be met is no news any more, and
    /// that it was gone before must not end the handshake.
    pub(super) fn begin(&mut self, peer: PeerId) {
        self.kept.retain(|steps| steps.peer != peer || steps.presence.is_none());
    }

    /// What peers did since the last call, and of how many of them nothing is known any more.
    pub(super) fn take(&mut self) -> (Vec<(PeerId, PeerStep)>, u32) {
        let kept = self.kept.drain(..);
        let steps = kept.flat_map(|Steps { peer, absence, presence }| {
            absence.into_iter().chain(presence).map(move |step| (peer, step))
        });
        (steps.collect(), std::mem::take(&mut self.lost))
    }
}

#[cfg(test)]
mod tests {
    use super::{PeerStep::*, *};

    fn peer(number: u128) -> PeerId {
        PeerId(signaling::protocol::PeerId::from_u128(number).0)
    }

    /// What is told of a peer that did this.
    fn told(steps: &[PeerStep]) -> Vec<PeerStep> {
        let mut kept = PeerSteps::default();
        steps.iter().for_each(|&step| kept.note(peer(1), step));
        kept.take().0.into_iter().map(|(_, step)| step).collect()
    }

    #[test]
    fn what_a_peer_did_last_is_told_and_that_it_was_gone_before() {
        assert_eq!(told(&[Left, Returned, Left, Returned]), [Left, Returned]);
        assert_eq!(told(&[Returned, Missed, Returned, Missed]), [Missed]);
        assert_eq!(told(&[Missed, Left, Arrived, Restarted]), [Left, Restarted]);
        assert_eq!(told(&[Arrived, Missed, Arrived]), [Missed, Arrived]);
        assert_eq!(told(&[Left, Arrived, Missed]), [Left], "a handshake may be under way");
    }

    #[test]
    fn of_a_peer_that_came_and_went_before_anybody_looked_nothing_is_left() {
        let mut steps = PeerSteps::default();
        for number in 0..10_000 {
            steps.note(peer(number), Arrived);
            steps.note(peer(number), Left);
        }
        assert_eq!(steps.take(), (vec![], 0));
        assert_eq!(told(&[Left]), [Left], "it came before that");
        assert_eq!(told(&[Restarted, Left]), [Left], "a handshake is under way");
        assert_eq!(told(&[Restarted, Arrived, Left]), [Left], "it still is");
    }

    #[test]
    fn memory_is_bounded_however_long_nobody_looks_and_what_is_lost_is_counted() {
        let mut steps = PeerSteps::default();
        for number in 0..10_000 {
            steps.note(peer(1), if number % 2 == 0 { Missed } else { Returned });
            steps.note(peer(2 + number), Left);
        }
        steps.note(peer(20_000), Arrived);
        let (told, lost) = steps.take();
        assert_eq!(told.len(), MAX_KEPT + 1, "one was missed, and has returned");
        assert!(told.contains(&(peer(1), Returned)) && told.contains(&(peer(20_000), Arrived)));
        assert_eq!(lost as usize, 10_000 + 2 - MAX_KEPT);
        for number in 0..10_000 {
            steps.note(peer(number), Arrived);
        }
        let (told, lost) = steps.take();
        assert_eq!((told.len(), lost as usize), (MAX_KEPT, 10_000 - MAX_KEPT));
        assert_eq!(told[0], (peer(0), Arrived), "they wait in the order in which they came");
        assert_eq!(steps.take(), (vec![], 0));
    }

    #[test]
    fn a_handshake_that_begins_is_with_what_the_peer_said_last() {
        let mut steps = PeerSteps::default();
        for (number, step) in [(1, Left), (1, Arrived), (2, Arrived), (3, Left)] {
            steps.note(peer(number), step);
        }
        steps.begin(peer(1));
        steps.begin(peer(3));
        assert_eq!(steps.take().0, [(peer(2), Arrived), (peer(3), Left)]);
    }
}
