//! How a match is finished: this machine leaves it, or another one does, and the rest plays on.
//! Part of [`Connection`].

use std::time::Duration;

use signaling::protocol::PeerId;

use super::{
    connection::Connection,
    control::{Control, Finish},
};
use crate::{config::FinishPolicy, exchange::Exchange};

/// A peer that left a match says so again this often, to the peers that play on. The reliable
/// channel loses nothing, but a peer that is a little late to begin the match does not know yet
/// what it is about.
const FINISH_AGAIN: Duration = Duration::from_millis(500);

/// How we left a match.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeftMatch {
    /// The frame at which it was over for us.
    pub(super) end: u32,
    /// Until then we repeat our inputs.
    pub(super) until: Duration,
    /// When we said last that we left.
    pub(super) told: Duration,
}

impl Connection {
    /// The match is over for us at the frame `end`: we give no more inputs.
    pub(crate) fn finish(&mut self, now: Duration, end: u32) {
        // A peer that has not got our last inputs by then has lost the connection.
        let until = now + self.limits().outage_timeout;
        self.left = Some(LeftMatch { end, until, told: now });
        self.frame = end;
        self.tell_finish(now, end);
    }

    /// We are done with the match that we finished, and back in the lobby.
    pub(crate) fn leave_match(&mut self, now: Duration) {
        self.status.in_match = false;
        self.wait_for_newcomers(now);
        self.tell_status(now);
    }

    /// Whether the match that we play is over for us.
    pub(super) fn has_finished(&self) -> bool {
        self.left.is_some()
    }

    /// Whether a peer may still tell us something.
    pub(crate) fn is_reachable(&self, peer: PeerId) -> bool {
        let link = self.links.iter().find(|link| link.peer == peer);
        link.is_some_and(|link| self.is_present(link) && !link.is_removed())
    }

    /// Tells all peers of the match that we leave it, with the inputs that they lack.
    pub(super) fn tell_finish(&mut self, now: Duration, end: u32) {
        let (epoch, frame) = (self.epoch, self.frame);
        for index in 0..self.links.len() {
            let peer = self.links[index].peer;
            let last = self.exchange.with(|exchange| exchange.last_inputs(peer, frame));
            if let Some((given, inputs)) = last.flatten() {
                let finish = Finish { epoch, end, given, frame, inputs };
                self.send_control(now, peer, &Control::Finish(finish));
            }
        }
    }

    pub(super) fn repeat_finish(&mut self, now: Duration) {
        if let Some(left) = &mut self.left
            && now.saturating_sub(left.told) >= FINISH_AGAIN
        {
            left.told = now;
            let end = left.end;
            self.tell_finish(now, end);
        }
    }

    /// Whether the peer said that the match is over for it.
    pub(super) fn is_leaving(&self, peer: PeerId) -> bool {
        self.exchange.with(|exchange| exchange.is_leaving(peer)).unwrap_or(false)
    }

    /// Whether the peer has left the match that runs, which goes on without it: all inputs that it
    /// gave are here.
    pub(super) fn has_left(&self, peer: PeerId) -> bool {
        self.exchange.with(|exchange| exchange.has_left(peer)).unwrap_or(false)
    }

    /// Whether the match is over for us, too, as so many of its peers have finished it.
    pub(crate) fn is_finished_by(&self, policy: FinishPolicy) -> bool {
        let is_over = |exchange: &mut Exchange| {
            let (leaving, others) = exchange.leavers();
            policy.is_over(leaving, others + 1)
        };
        !self.has_finished() && self.exchange.with(is_over).unwrap_or(false)
    }
}
