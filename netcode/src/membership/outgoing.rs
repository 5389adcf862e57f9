//! What leaves for the others, and when: the sending half of [`Connection`].

use std::time::Duration;

use signaling::protocol::PeerId;

use super::{connection::Connection, control::Control, link::Link};
use crate::{
    exchange::{Datagram, Lateness},
    transport::Channel,
};

/// A peer that has nothing to say still says so this often: liveness and round-trip time need no match.
const KEEP_ALIVE: Duration = Duration::from_millis(100);

impl Connection {
    pub(super) fn send_control(&mut self, now: Duration, to: PeerId, message: &Control) {
        let bytes = message.encode();
        self.meter_out.count(bytes.len());
        self.conditioner.push(now, to, Channel::Control, &bytes);
    }

    /// Sends to all peers.
    pub(crate) fn broadcast(&mut self, now: Duration, message: &Control) {
        for index in 0..self.links.len() {
            self.send_control(now, self.links[index].peer, message);
        }
    }

    /// Sends what concerns this frame to all peers of the match for which it is not over before.
    pub(crate) fn tell_match(&mut self, now: Duration, frame: u32, message: &Control) {
        for index in 0..self.links.len() {
            let peer = self.links[index].peer;
            if self.exchange.with(|exchange| exchange.reaches(peer, frame)).unwrap_or(false) {
                self.send_control(now, peer, message);
            }
        }
    }

    /// The match ran up to this frame, and stood still for the rest of the time.
    fn count_steps(&mut self, frame: u32) {
        let ran = self.limits().step * frame.saturating_sub(self.frame);
        let stood_still = std::mem::take(&mut self.waited).saturating_sub(ran);
        let last = self.exchange.with(|exchange| exchange.last_known()).flatten();
        for link in &mut self.links {
            link.patience.recover(ran);
            if Some(link.peer) == last {
                link.patience.wait(stood_still);
            }
        }
        self.frame = frame;
    }

    /// Sends what is due: at most one datagram per peer. `stepped` says that the simulation advanced since the last call.
    pub(crate) fn send(&mut self, now: Duration, frame: u32, stepped: bool) {
        self.tell_reach(now);
        self.repeat_finish(now);
        if self.status.in_match && !self.has_finished() {
            self.count_steps(frame);
        }
        for index in 0..self.links.len() {
            let is_due = self.is_datagram_due(now, &self.links[index], stepped);
            if is_due {
                self.send_datagram(now, index);
            }
        }
        self.release(now);
    }

    /// Hands over what was held back on purpose, and is due.
    pub(crate) fn release(&mut self, now: Duration) {
        let Some(transport) = &mut self.transport else { return };
        while let Some(packet) = self.conditioner.pop(now) {
            transport.send(now, packet.to, packet.channel, &packet.bytes);
        }
    }

    fn is_datagram_due(&self, now: Duration, link: &Link, stepped: bool) -> bool {
        let since = now.saturating_sub(link.last_sent);
        if since >= KEEP_ALIVE {
            return true;
        }
        let due = self.exchange.with(|exchange| {
            if stepped {
                exchange.is_due(link.peer, self.lateness(link))
            } else {
                // We wait for somebody, and somebody may wait for what was lost.
                exchange.is_behind(link.peer) && since >= self.limits().step
            }
        });
        due.unwrap_or(false)
    }

    pub(super) fn lateness(&self, link: &Link) -> Lateness {
        let round_trip = link.clock.rtt().unwrap_or_default() + 2 * link.clock.jitter();
        Lateness { round_trip: round_trip.as_secs_f32() * f32::from(self.limits().fps) }
    }

    fn send_datagram(&mut self, now: Duration, index: usize) {
        let (epoch, frame) = (self.epoch, self.frame);
        let link = &mut self.links[index];
        let peer = link.peer;
        link.last_sent = now;
        let header = link.clock.header(now, epoch, if epoch == 0 { 0 } else { frame });
        let inputs = self.exchange.with(|exchange| exchange.inputs_for(peer, &header)).flatten();
        self.bytes.clear();
        if (Datagram { header, inputs }).encode(&mut self.bytes).is_ok() {
            self.meter_out.count(self.bytes.len());
            self.conditioner.push(now, peer, Channel::Datagrams, &self.bytes);
        }
    }
}
