//! Decides what the router does with a packet. Pure: packets and time go in, packets come out.

use std::{net::Ipv4Addr, time::Duration};

use netcode::{
    prelude::LinkConditions,
    testing::{BadNetwork, LinkCounts},
};

/// The destination's address in an IPv4 header, which has at least 20 bytes.
const DESTINATION: std::ops::Range<usize> = 16..20;
/// Fixed, so that the network treats the same packets the same way in every run.
const SEED: u64 = 1;

/// A row of machines, each behind a bad link of its own.
#[derive(Debug)]
pub(super) struct Router {
    addresses: Vec<Ipv4Addr>,
    links: BadNetwork,
    is_dark: bool,
    /// For each machine, whether its cable is pulled.
    cut: Vec<bool>,
    darkened: Vec<u64>,
}

impl Router {
    /// A router that is connected to these machines, by links without any fault.
    pub(super) fn new(addresses: Vec<Ipv4Addr>) -> Self {
        Self {
            links: BadNetwork::new(addresses.len(), LinkConditions::NONE, SEED),
            cut: vec![false; addresses.len()],
            darkened: vec![0; addresses.len()],
            addresses,
            is_dark: false,
        }
    }

    /// From now on all links have these conditions.
    pub(super) fn set_conditions(&mut self, conditions: LinkConditions) {
        self.links.set_conditions(conditions);
    }

    /// Sets whether all packets that are sent from now on are lost.
    pub(super) fn set_dark(&mut self, is_dark: bool) {
        self.is_dark = is_dark;
        if is_dark {
            self.darkened.fill(0);
        }
    }

    /// Sets whether all packets that a machine sends from now on, and all that are sent to it, are
    /// lost.
    pub(super) fn set_cut(&mut self, machine: usize, is_cut: bool) {
        self.cut[machine] = is_cut;
    }

    /// Takes an IP packet that a machine sent. A packet without a destination here is dropped.
    pub(super) fn handle_packet(&mut self, now: Duration, from: usize, packet: &[u8]) {
        if self.is_dark {
            self.darkened[from] += 1;
            return;
        }
        if self.cut[from] {
            return;
        }
        let Some(destination) = destination_of(packet) else { return };
        for (to, address) in self.addresses.iter().enumerate() {
            if to != from
                && !self.cut[to]
                && (destination.is_multicast() || destination == *address)
            {
                self.links.send(now, from, to, packet);
            }
        }
    }

    /// Passes each packet that is due by now to `arrived`, with the index of its receiver.
    pub(super) fn deliver(&mut self, now: Duration, mut arrived: impl FnMut(usize, &[u8])) {
        self.links.deliver(now, |_, to, packet| arrived(to, packet));
    }

    /// When the next packet is due; `None` if none is in flight.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.links.next_arrival()
    }

    /// What each machine sent, and what became of it.
    pub(super) fn counts(&self) -> Vec<LinkCounts> {
        self.links.counts()
    }

    /// The packets that each machine sent during the last blackout.
    pub(super) fn darkened(&self) -> &[u64] {
        &self.darkened
    }
}

/// The destination of an IPv4 packet; `None` if this is not an IPv4 packet.
fn destination_of(packet: &[u8]) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = packet.get(DESTINATION)?.try_into().ok()?;
    (packet[0] >> 4 == 4).then(|| Ipv4Addr::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn address(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    fn router() -> Router {
        Router::new((1..=3).map(address).collect())
    }

    fn packet(to: Ipv4Addr) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[DESTINATION].copy_from_slice(&to.octets());
        packet
    }

    fn arrivals(router: &mut Router, now: Duration) -> Vec<usize> {
        let mut arrivals = Vec::new();
        router.deliver(now, |to, _| arrivals.push(to));
        arrivals
    }

    #[test]
    fn a_packet_goes_to_the_machine_with_its_address_and_to_no_other() {
        let mut router = router();
        router.handle_packet(NOW, 0, &packet(address(3)));
        assert_eq!(arrivals(&mut router, NOW), [2]);
    }

    #[test]
    fn multicast_goes_to_all_other_machines() {
        let mut router = router();
        router.handle_packet(NOW, 1, &packet(Ipv4Addr::new(224, 0, 0, 251)));
        assert_eq!(arrivals(&mut router, NOW), [0, 2]);
    }

    #[test]
    fn a_packet_without_a_destination_is_dropped() {
        let mut router = router();
        let mut ipv6 = packet(address(2));
        ipv6[0] = 0x60;
        for packet in [&packet(address(9)), &packet(address(1)), &ipv6, &vec![0x45; 19], &vec![]] {
            router.handle_packet(NOW, 0, packet);
        }
        assert!(arrivals(&mut router, NOW).is_empty());
        assert_eq!(router.next_due(), None);
    }

    #[test]
    fn a_machine_that_is_cut_off_neither_sends_nor_receives() {
        let mut router = router();
        router.set_cut(1, true);
        router.handle_packet(NOW, 0, &packet(address(2)));
        router.handle_packet(NOW, 1, &packet(address(3)));
        assert!(arrivals(&mut router, NOW).is_empty());
        router.handle_packet(NOW, 0, &packet(Ipv4Addr::new(224, 0, 0, 251)));
        assert_eq!(arrivals(&mut router, NOW), [2], "the rest of the network works");
        router.set_cut(1, false);
        router.handle_packet(NOW, 1, &packet(address(3)));
        assert_eq!(arrivals(&mut router, NOW), [2]);
    }

    #[test]
    fn packets_sent_in_a_blackout_are_lost_and_packets_in_flight_arrive() {
        let mut router = router();
        let latency = Duration::from_millis(50);
        router.set_conditions(LinkConditions { latency, ..LinkConditions::NONE });
        router.handle_packet(NOW, 0, &packet(address(2)));
        router.set_dark(true);
        router.handle_packet(NOW, 0, &packet(address(3)));
        assert_eq!(router.next_due(), Some(latency));
        assert_eq!(arrivals(&mut router, latency), [1]);
        router.set_dark(false);
        router.handle_packet(latency, 2, &packet(address(1)));
        assert_eq!(arrivals(&mut router, 2 * latency), [0]);
        assert_eq!(router.darkened(), [1, 0, 0]);
        router.set_dark(true);
        assert_eq!(router.darkened(), [0, 0, 0]);
    }
}
