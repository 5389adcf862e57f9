//! A simulated bad network for other libraries and for real packets: the one that
//! [`Stepper`](super::Stepper) uses, driven by hand.

use std::time::Duration;

use signaling::protocol::PeerId;

use crate::transport::{Channel, Conditioner, Fate, LinkConditions};

/// A network of machines, each behind a bad link of its own. Time is an argument, and the same seed
/// gives the same network.
#[derive(Debug)]
pub struct BadNetwork(Vec<BadLink>);

/// Counts of what one machine sent over its link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Packets that the machine sent.
    pub sent: u64,
    /// Packets that were lost by chance.
    pub lost: u64,
    /// Packets that were lost because more were under way than the link holds.
    pub overflowed: u64,
    /// Packets that arrived; a packet that arrived twice counts twice.
    pub arrived: u64,
    /// Packets that arrived after a packet that was sent later.
    pub overtaken: u64,
    /// Bytes that arrived.
    pub bytes: u64,
}

#[derive(Debug)]
struct BadLink {
    conditioner: Conditioner,
    counts: LinkCounts,
    /// The highest number of a packet that has arrived; numbers follow the order of sending.
    newest: u64,
}

impl BadNetwork {
    /// Creates a network of `machines` machines. The link of the first is seeded with `seed`, that
    /// of the second with `seed + 1`, and so on, as in
    /// [`Stepper::set_network`](super::Stepper::set_network).
    #[must_use]
    pub fn new(machines: usize, conditions: LinkConditions, seed: u64) -> Self {
        let link = |index| {
            let mut conditioner = Conditioner::new(seed + index);
            conditioner.set(conditions);
            BadLink { conditioner, counts: LinkCounts::default(), newest: 0 }
        };
        Self((0..machines as u64).map(link).collect())
    }

    /// Sets the conditions of all links, and resets the counts. Packets that are under way arrive
    /// as they would have.
    pub fn set_conditions(&mut self, conditions: LinkConditions) {
        for link in &mut self.0 {
            link.counts = LinkCounts::default();
            link.conditioner.set(conditions);
        }
    }

    /// Sends a packet from one machine to another.
    pub fn send(&mut self, now: Duration, from: usize, to: usize, bytes: &[u8]) {
        let BadLink { conditioner, counts, .. } = &mut self.0[from];
        counts.sent += 1;
        match conditioner.push(now, PeerId::from_u128(to as u128), Channel::Datagrams, bytes) {
            Fate::OnItsWay => {}
            Fate::Lost => counts.lost += 1,
            Fate::Overflowed => counts.overflowed += 1,
        }
    }

    /// Calls `arrived` for each packet that has arrived by `now`, with the sender, the receiver and
    /// the bytes.
    pub fn deliver(&mut self, now: Duration, mut arrived: impl FnMut(usize, usize, &[u8])) {
        for (from, BadLink { conditioner, counts, newest }) in self.0.iter_mut().enumerate() {
            while let Some(delivery) = conditioner.pop(now) {
                counts.arrived += 1;
                counts.bytes += delivery.bytes.len() as u64;
                counts.overtaken += u64::from(delivery.number < *newest);
                *newest = delivery.number.max(*newest);
                arrived(from, delivery.to.0.as_u128() as usize, &delivery.bytes);
            }
        }
    }

    /// Returns when the next packet arrives; `None` if no packet is under way.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Duration> {
        self.0.iter().filter_map(|link| link.conditioner.next_due()).min()
    }

    /// Returns the counts of each machine since the conditions were last set.
    #[must_use]
    pub fn counts(&self) -> Vec<LinkCounts> {
        self.0.iter().map(|link| link.counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_arrives_twice_overtakes_nothing() {
        let doubled = LinkConditions { duplicates: 1.0, ..LinkConditions::NONE };
        let mut network = BadNetwork::new(1, doubled, 1);
        network.send(Duration::ZERO, 0, 0, &[0; 100]);
        network.deliver(Duration::ZERO, |_, _, _| {});
        let [counts] = network.counts()[..] else { panic!("one for each machine") };
        assert_eq!((counts.sent, counts.arrived, counts.overtaken), (1, 2, 0));
    }

    #[test]
    fn every_packet_is_counted_by_its_fate() {
        let bad = LinkConditions {
            loss: 0.2,
            jitter: Duration::from_millis(20),
            bytes_per_s: Some(20_000),
            ..LinkConditions::NONE
        };
        let mut network = BadNetwork::new(2, bad, 1);
        for millisecond in 0..1000 {
            network.send(Duration::from_millis(millisecond), 0, 1, &[0; 100]);
        }
        let mut last = Duration::ZERO;
        while let Some(due) = network.next_arrival() {
            assert!(due >= last);
            last = due;
            network
                .deliver(due, |from, to, bytes| assert_eq!((from, to, bytes.len()), (0, 1, 100)));
        }
        let [counts, idle] = network.counts()[..] else { panic!("one for each machine") };
        assert_eq!(idle, LinkCounts::default());
        assert_eq!(counts.sent, 1000);
        assert_eq!(counts.lost + counts.overflowed + counts.arrived, 1000);
        assert_eq!(counts.bytes, 100 * counts.arrived);
        for some in [counts.lost, counts.overflowed, counts.overtaken] {
            assert!(some > 0 && some < 900, "{counts:?}");
        }
    }

    #[test]
    fn a_network_may_improve() {
        let deaf = LinkConditions { loss: 1.0, ..LinkConditions::NONE };
        let mut network = BadNetwork::new(2, deaf, 1);
        network.send(Duration::ZERO, 0, 1, &[1]);
        network.set_conditions(LinkConditions::NONE);
        network.send(Duration::ZERO, 0, 1, &[2]);
        let mut arrived = Vec::new();
        network.deliver(Duration::ZERO, |_, _, bytes| arrived.push(bytes[0]));
        assert_eq!(arrived, [2]);
    }
}
