//! How a match is finished: this machine leaves it, or another one does, and the other machines
//! play on; and which peer a match that cannot go on waits for. Part of [`Connection`].

use std::time::Duration;

use signaling::protocol::PeerId;

use super::{connection::Connection, control::Control, link::Link};
use crate::config::FinishPolicy;

/// A peer that left a match says so again this often, to the peers that play on. The control
/// channel loses nothing, but a peer that begins the match a little late does not know yet what the
/// message is about.
const FINISH_AGAIN: Duration = Duration::from_millis(500);

/// If a match is still stalled this long after silent peers time out, some peer is connected but
/// has stopped playing.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(5);

impl Connection {
    /// The match is over for us at the frame `end`: we give no more inputs.
    pub(crate) fn finish(&mut self, now: Duration, end: u32) {
        // A peer that has not got our last inputs by then has lost the connection.
        let until = now + self.limits().outage_timeout;
        self.match_wire.finish(now, end, until);
        // The goodbye of the agreement is a datagram, too, and must not overtake the end by which
        // the others compare our result.
        self.for_each_finish(end, |connection, peer, message| {
            connection.wire.send_unreliably(now, peer, message);
        });
        self.tell_finish(now, end);
        self.leave_roster(now);
    }

    /// We are done with the match that we finished, and back in the lobby.
    pub(crate) fn leave_match(&mut self, now: Duration) {
        self.match_wire.leave();
        self.wait_for_newcomers(now);
        self.tell_status(now);
    }

    /// Whether messages of a peer may still arrive.
    pub(crate) fn is_reachable(&self, peer: PeerId) -> bool {
        self.peers.get(peer).is_some_and(|link| self.is_present(link) && !link.is_removed())
    }

    /// Tells all peers of the match that we leave it, with the inputs that they lack.
    pub(super) fn tell_finish(&mut self, now: Duration, end: u32) {
        self.for_each_finish(end, |connection, peer, message| {
            connection.wire.send_control(now, peer, message);
        });
    }

    fn for_each_finish(&mut self, end: u32, mut send: impl FnMut(&mut Self, PeerId, &Control)) {
        let peers = Vec::from_iter(self.peers.iter().map(|link| link.peer));
        for peer in peers {
            if let Some(message) = self.match_wire.finish_for(peer, end) {
                send(self, peer, &message);
            }
        }
    }

    pub(super) fn repeat_finish(&mut self, now: Duration) {
        if let Some(end) = self.match_wire.finish_to_repeat(now, FINISH_AGAIN) {
            self.tell_finish(now, end);
        }
    }

    /// Whether the match is over for us, too, as enough of its peers have finished it.
    pub(crate) fn is_finished_by(&self, policy: FinishPolicy) -> bool {
        self.match_wire.is_finished_by(policy)
    }

    /// A peer that our match needs and that is gone, the first in the order of the seats. While a
    /// match does not run yet, a peer that is only silent is not gone.
    pub(super) fn missing(&self, is_running: bool) -> Option<PeerId> {
        let is_gone = |&peer: &PeerId| {
            !self.is_linked(peer)
                || (self.is_absent(peer) && (is_running || !self.is_at_server(peer)))
        };
        self.roster()?.other_peers().filter(|&peer| self.needs(peer)).find(is_gone)
    }

    /// The peer that has kept the match stalled for too long: it is not silent, but gives too few
    /// inputs.
    pub(super) fn blocker(&self) -> Option<PeerId> {
        let limit = self.limits().outage_timeout + STUCK_AFTER;
        let blocks = |link: &&Link| self.needs(link.peer) && link.patience.is_used_up(limit);
        self.peers.iter().find(blocks).map(|link| link.peer)
    }
}
