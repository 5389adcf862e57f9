//! What peers did at the server since the transport last looked. Pure.
//!
//! A game may not look for minutes, while it loads or while its page is hidden. Only where each
//! peer stands by then is of interest, so its steps on the way there are not kept.

use matchbox_socket::PeerId;

/// At most this many peers are kept: as many as the largest room has members, and as many that have
/// left it.
const MAX_KEPT: usize = 512;

/// What a peer did, as the server reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerStep {
    /// The peer is there, and can be met.
    Arrived,
    /// The peer gave up the handshake that is under way, and can be met again.
    Restarted,
    /// The peer's connection to the server broke; it may come back.
    Missed,
    /// The server no longer knows the peer.
    Left,
    /// The peer is connected to us, and at the server again.
    Returned,
}

/// What one peer did.
#[derive(Clone, Copy, Debug)]
struct Steps {
    peer: PeerId,
    /// How the peer went away in between, if it did.
    absence: Option<PeerStep>,
    /// How the peer has arrived since then, if it has.
    presence: Option<PeerStep>,
}

impl Steps {
    /// Whether the transport does not know the peer yet.
    fn is_news(&self) -> bool {
        self.absence.is_none() && self.presence == Some(PeerStep::Arrived)
    }
}

/// What all peers did, in the order of their latest steps.
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
            // The peer came and went before the transport looked.
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

    /// Makes room by dropping the news that a peer is gone: that is the smallest loss, as the
    /// peer's silence tells the same.
    fn drop_a_departed_peer(&mut self) -> bool {
        let gone = self.kept.iter().position(|steps| steps.presence.is_none());
        if let Some(index) = gone {
            self.kept.remove(index);
            self.lost = self.lost.saturating_add(1);
        }
        gone.is_some()
    }

    /// Notes that a handshake begins with the peer's latest signals: the news that the peer can be
    /// met is used up, and the news that it was gone before must not end the handshake.
    pub(super) fn begin(&mut self, peer: PeerId) {
        self.kept.retain(|steps| steps.peer != peer || steps.presence.is_none());
    }

    /// Takes what peers did since the last call, and the number of peers whose news was lost.
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

    /// The steps that are reported of a peer that took `steps`.
    fn reported(steps: &[PeerStep]) -> Vec<PeerStep> {
        let mut kept = PeerSteps::default();
        steps.iter().for_each(|&step| kept.note(peer(1), step));
        kept.take().0.into_iter().map(|(_, step)| step).collect()
    }

    #[test]
    fn the_last_step_of_a_peer_is_reported_and_an_absence_before_it() {
        assert_eq!(reported(&[Left, Returned, Left, Returned]), [Left, Returned]);
        assert_eq!(reported(&[Returned, Missed, Returned, Missed]), [Missed]);
        assert_eq!(reported(&[Missed, Left, Arrived, Restarted]), [Left, Restarted]);
        assert_eq!(reported(&[Arrived, Missed, Arrived]), [Missed, Arrived]);
        assert_eq!(reported(&[Left, Arrived, Missed]), [Left], "a handshake may be under way");
    }

    #[test]
    fn a_peer_that_came_and_went_between_looks_leaves_no_trace() {
        let mut steps = PeerSteps::default();
        for number in 0..10_000 {
            steps.note(peer(number), Arrived);
            steps.note(peer(number), Left);
        }
        assert_eq!(steps.take(), (vec![], 0));
        assert_eq!(reported(&[Left]), [Left], "it came before that");
        assert_eq!(reported(&[Restarted, Left]), [Left], "a handshake is under way");
        assert_eq!(reported(&[Restarted, Arrived, Left]), [Left], "it still is");
    }

    #[test]
    fn memory_is_bounded_between_looks_and_lost_steps_are_counted() {
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
    fn a_handshake_begins_with_the_latest_signals_of_the_peer() {
        let mut steps = PeerSteps::default();
        for (number, step) in [(1, Left), (1, Arrived), (2, Arrived), (3, Left)] {
            steps.note(peer(number), step);
        }
        steps.begin(peer(1));
        steps.begin(peer(3));
        assert_eq!(steps.take().0, [(peer(2), Arrived), (peer(3), Left)]);
    }
}
