//! What the router does with a packet. Pure: packets and time go in, packets come out.

use std::{net::Ipv4Addr, time::Duration};

use netcode::{
    prelude::LinkConditions,
    testing::{BadNetwork, LinkCounts},
};

/// Where the destination's address stands in an IPv4 header, which has at least 20 bytes.
const DESTINATION: std::ops::Range<usize> = 16..20;
/// A bad network that is the same in every run can be reasoned about, as far as its packets are.
const SEED: u64 = 1;

/// Machines in a row, each behind a bad link of its own.
#[derive(Debug)]
pub(super) struct Router {
    addresses: Vec<Ipv4Addr>,
    links: BadNetwork,
    is_dark: bool,
    darkened: Vec<u64>,
}

impl Router {
    /// A router that is connected to these machines, by links without any fault.
    pub(super) fn new(addresses: Vec<Ipv4Addr>) -> Self {
        Self {
            links: BadNetwork::new(addresses.len(), LinkConditions::NONE, SEED),
            darkened: vec![0; addresses.len()],
            addresses,
            is_dark: false,
        }
    }

    /// From now on all links are like that.
    pub(super) fn set_conditions(&mut self, conditions: LinkConditions) {
        self.links.set_conditions(conditions);
    }

    /// Whether all that is sent is lost.
    pub(super) fn set_dark(&mut self, is_dark: bool) {
        self.is_dark = is_dark;
        if is_dark {
            self.darkened.fill(0);
        }
    }

    /// A machine sends an IP packet. What has nowhere to go is dropped.
    pub(super) fn handle_packet(&mut self, now: Duration, from: usize, packet: &[u8]) {
        if self.is_dark {
            self.darkened[from] += 1;
            return;
        }
        let Some(destination) = destination_of(packet) else { return };
        for (to, address) in self.addresses.iter().enumerate() {
            if to != from && (destination.is_multicast() || destination == *address) {
                self.links.send(now, from, to, packet);
            }
        }
    }

    /// Hands over the packets that are due by now: to whom, what.
    pub(super) fn deliver(&mut self, now: Duration, mut arrived: impl FnMut(usize, &[u8])) {
        self.links.deliver(now, |_, to, packet| arrived(to, packet));
    }

    /// When the next packet is due; nothing if none is under way.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.links.next_arrival()
    }

    /// What each machine sent, and what became of it.
    pub(super) fn counts(&self) -> Vec<LinkCounts> {
        self.links.counts()
    }

    /// Packets of each machine that came while it was dark last.
    pub(super) fn darkened(&self) -> &[u64] {
        &self.darkened
    }
}

/// To whom an IPv4 packet goes; nothing if it is none.
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
    fn multicast_goes_to_all_others() {
        let mut router = router();
        router.handle_packet(NOW, 1, &packet(Ipv4Addr::new(224, 0, 0, 251)));
        assert_eq!(arrivals(&mut router, NOW), [0, 2]);
    }

    #[test]
    fn what_has_nowhere_to_go_is_dropped() {
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
    fn nothing_that_is_sent_in_the_dark_arrives_and_what_was_under_way_does() {
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
