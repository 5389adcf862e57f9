//! Which relays we may send to when other peers must not learn our address. Pure.
//!
//! A candidate is only another peer's claim: one that calls itself a relay may be that peer's own
//! machine, and our first check of it would reveal our address to that machine. So natively we send
//! only to TURN servers that we know.

use std::{mem, net::IpAddr};

use matchbox_socket::PeerId;

use super::sdp::address_of;

/// At most this many addresses of relays are remembered: several for each TURN server that there
/// may be.
const MAX_ADDRESSES: usize = 64;
/// At most this many candidates at other addresses are kept, of all peers together: as many as come
/// with a few descriptions.
const MAX_DOUBTFUL: usize = 128;

/// The relays that we know to be TURN servers.
#[derive(Debug, Default)]
pub(super) struct Relays {
    addresses: Vec<IpAddr>,
    /// Candidates of peers at addresses that we do not know, or do not know yet.
    doubtful: Vec<(PeerId, String)>,
}

impl Relays {
    /// The relays at these addresses.
    pub(super) fn new(addresses: Vec<IpAddr>) -> Self {
        let mut relays = Self::default();
        addresses.into_iter().for_each(|address| relays.learn(address));
        relays
    }

    fn learn(&mut self, address: IpAddr) {
        let address = address.to_canonical();
        if self.addresses.len() < MAX_ADDRESSES && !self.addresses.contains(&address) {
            self.addresses.push(address);
        }
    }

    /// Learns a relay from a candidate that one of our own TURN servers gave us: other peers use
    /// the same servers.
    pub(super) fn learn_own(&mut self, candidate: &str) {
        if let Some(address) = address_of(candidate) {
            self.learn(address);
        }
    }

    /// Whether a candidate of a peer leads to a TURN server that we know.
    pub(super) fn knows(&self, candidate: &str) -> bool {
        address_of(candidate)
            .is_some_and(|address| self.addresses.contains(&address.to_canonical()))
    }

    /// Keeps a candidate that may turn out to be good.
    pub(super) fn keep(&mut self, peer: PeerId, candidate: String) {
        if self.doubtful.len() < MAX_DOUBTFUL {
            self.doubtful.push((peer, candidate));
        }
    }

    /// Takes the candidates that turned out to be good.
    pub(super) fn take_known(&mut self) -> Vec<(PeerId, String)> {
        let (known, doubtful) = mem::take(&mut self.doubtful)
            .into_iter()
            .partition(|(_, candidate)| self.knows(candidate));
        self.doubtful = doubtful;
        known
    }

    /// Forgets what a peer said.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.doubtful.retain(|(other, _)| *other != peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(address: &str) -> String {
        format!("1 1 udp 5 {address} 3478 typ relay raddr 0.0.0.0 rport 0")
    }

    fn peer(number: u128) -> PeerId {
        PeerId(signaling::protocol::PeerId::from_u128(number).0)
    }

    #[test]
    fn only_relays_at_known_turn_servers_are_believed() {
        let relays = Relays::new(vec![[192, 0, 2, 1].into()]);
        assert!(relays.knows(&candidate("192.0.2.1")));
        assert!(relays.knows(&candidate("::ffff:192.0.2.1")), "the same address in another form");
        for other in ["192.0.2.2", "2001:db8::1", "name.local"] {
            assert!(!relays.knows(&candidate(other)), "{other}");
        }
    }

    #[test]
    fn a_candidate_waits_until_a_relay_of_ours_is_at_its_address() {
        let mut relays = Relays::new(Vec::new());
        for (number, address) in [(1, "192.0.2.1"), (2, "192.0.2.2"), (3, "192.0.2.1")] {
            relays.keep(peer(number), candidate(address));
        }
        relays.forget(peer(3));
        assert_eq!(relays.take_known(), []);
        relays.learn_own(&candidate("192.0.2.1"));
        assert_eq!(relays.take_known(), [(peer(1), candidate("192.0.2.1"))]);
        assert_eq!(relays.take_known(), []);
    }

    #[test]
    fn remembered_addresses_and_candidates_are_bounded() {
        let mut relays =
            Relays::new((0..1_000_u32).map(|bits| IpAddr::from(bits.to_be_bytes())).collect());
        (0..1_000).for_each(|number| relays.keep(peer(number), candidate("192.0.2.1")));
        assert_eq!((relays.addresses.len(), relays.doubtful.len()), (MAX_ADDRESSES, MAX_DOUBTFUL));
    }
}
