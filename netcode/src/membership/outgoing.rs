//! What is sent to the other peers, and when: the part of [`Connection`] that runs as time passes.

use std::time::Duration;

use super::{
    connection::{Connection, Limits},
    control::Control,
    link::Link,
    match_wire::MatchPosition,
};
use crate::exchange::{Datagram, DatagramHeader, Lateness};

/// A peer that has nothing to send still sends a datagram this often: outside of a match, too, the
/// other peers must see that it is alive, and measure the round-trip time.
const KEEP_ALIVE: Duration = Duration::from_millis(100);

impl Connection {
    /// Sends what is due: at most one datagram per peer. `stepped` says that the simulation has
    /// advanced since the last call, up to `frame`.
    pub(crate) fn send(&mut self, now: Duration, frame: u32, stepped: bool) {
        self.tell_reach(now);
        self.repeat_finish(now);
        self.agree(now);
        self.count_steps(frame);
        self.send_datagrams(now, stepped);
        self.release(now);
    }

    /// Hands over the packets that were held back on purpose and are due.
    pub(crate) fn release(&mut self, now: Duration) {
        self.wire.release(now);
    }

    /// Sends to all peers.
    pub(super) fn broadcast(&mut self, now: Duration, message: &Control) {
        for link in self.peers.iter() {
            self.wire.send_control(now, link.peer, message);
        }
    }

    /// Sends a message about `frame` to all peers for which the match is not over before that
    /// frame.
    pub(crate) fn tell_match(&mut self, now: Duration, frame: u32, message: &Control) {
        for link in self.peers.iter().filter(|link| self.match_wire.reaches(link.peer, frame)) {
            self.wire.send_control(now, link.peer, message);
        }
    }

    /// The match, if one runs, ran up to this frame, and was stalled for the rest of the time.
    fn count_steps(&mut self, frame: u32) {
        let Some(progress) = self.match_wire.advance(frame, self.limits().step) else { return };
        let is_held = self.match_wire.is_held();
        for link in self.peers.iter_mut() {
            link.patience.recover(progress.ran);
            if Some(link.peer) == progress.last_known && !is_held {
                link.patience.wait(progress.stalled);
            }
        }
    }

    fn send_datagrams(&mut self, now: Duration, stepped: bool) {
        let Limits { step, fps, quiet_after, .. } = self.limits();
        let MatchPosition { match_number, frame } = self.match_wire.position();
        let epoch = self.match_wire.epoch();
        for link in self.peers.iter_mut() {
            let since = now.saturating_sub(link.last_sent);
            let is_step_over = since >= step;
            // What a machine that is away lacks grows, and it may never be back.
            let is_lost = link.silence() >= quiet_after && self.match_wire.is_away(link.peer);
            let lateness = lateness(link, fps);
            let is_due = since >= KEEP_ALIVE
                || (!is_lost && self.match_wire.is_due(link.peer, lateness, stepped, is_step_over));
            if is_due {
                link.last_sent = now;
                let header = link.clock.header(now, match_number, frame);
                let header = DatagramHeader { epoch, ..header };
                let inputs = self.match_wire.inputs_for(link.peer, &header);
                self.wire.send_datagram(now, link.peer, &Datagram { header, inputs });
            }
        }
    }
}

/// How late a datagram to the peer is.
pub(super) fn lateness(link: &Link, fps: u16) -> Lateness {
    let round_trip = link.clock.rtt().unwrap_or_default() + 2 * link.clock.jitter();
    Lateness { round_trip: round_trip.as_secs_f32() * f32::from(fps) }
}
