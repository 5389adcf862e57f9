//! A bad network for other libraries: what [`Stepper`](super::Stepper)'s peers go through, by hand.

use std::time::Duration;

use signaling::protocol::PeerId;

use crate::transport::{Channel, Conditioner, LinkConditions};

/// Machines, each behind a bad link of its own. Time is an argument; the same seed gives the same network.
#[derive(Debug)]
pub struct BadNetwork(Vec<Conditioner>);

impl BadNetwork {
    /// So many machines. The link of the first has this seed, that of the second the next, and so on, as
    /// [`Stepper::set_network`](super::Stepper::set_network) has it.
    #[must_use]
    pub fn new(machines: usize, conditions: LinkConditions, seed: u64) -> Self {
        let link = |index| {
            let mut conditioner = Conditioner::new(seed + index);
            conditioner.set(conditions);
            conditioner
        };
        Self((0..machines as u64).map(link).collect())
    }

    /// One machine sends to another.
    pub fn send(&mut self, now: Duration, from: usize, to: usize, bytes: &[u8]) {
        self.0[from].push(now, PeerId::from_u128(to as u128), Channel::Datagrams, bytes);
    }

    /// Hands over what arrived by now: from whom, to whom, what.
    pub fn deliver(&mut self, now: Duration, mut arrived: impl FnMut(usize, usize, &[u8])) {
        for (from, link) in self.0.iter_mut().enumerate() {
            while let Some(delivery) = link.pop(now) {
                arrived(from, delivery.to.0.as_u128() as usize, &delivery.bytes);
            }
        }
    }
}
