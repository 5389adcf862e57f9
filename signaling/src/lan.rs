//! Hosting in the local network: a server on a free port, and the addresses at which other machines
//! find it. For games that run the server themselves, as the demo game does, and for
//! `signaling --lan`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use getifaddrs::{Address, InterfaceFlags, getifaddrs};

use crate::server::{BindError, Server, ServerConfig};

/// The number of ports to try before the system may choose any.
const PORTS_TRIED: usize = 64;

/// Starts to listen on the port in `config`, or on the first higher port that is free, so that
/// several hosts on one machine do not conflict.
///
/// # Errors
///
/// Those of [`Server::bind`], except [`BindError::PortInUse`].
pub async fn bind(config: ServerConfig) -> Result<Server, BindError> {
    let at = |port| {
        let address = SocketAddr::new(config.address.ip(), port);
        Server::bind(ServerConfig { address, ..config.clone() })
    };
    let first = config.address.port();
    if first > 0 {
        for port in (first..=u16::MAX).take(PORTS_TRIED).filter(|port| is_free(*port)) {
            match at(port).await {
                // Another program took the port in the meantime, or listens on it at this address
                // only.
                Err(BindError::PortInUse { .. }) => {}
                bound => return bound,
            }
        }
    }
    // The system chooses a port that is free.
    at(0).await
}

fn is_free(port: u16) -> bool {
    // Both are tried, because on some systems a server on loopback does not occupy the wildcard
    // address.
    [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]
        .iter()
        .all(|address| TcpListener::bind((*address, port)).is_ok())
}

/// Returns this machine's addresses, as people in its networks would type them, the most likely
/// first. The list is empty without a network. It has only IPv4 addresses, because every local
/// network has them and people can type them.
#[must_use]
pub fn addresses() -> Vec<Ipv4Addr> {
    let wanted = InterfaceFlags::UP | InterfaceFlags::RUNNING;
    // If the list is missing, the address of the outgoing route remains.
    let interfaces = getifaddrs().into_iter().flatten();
    let found = interfaces.filter(|it| it.flags.contains(wanted)).filter_map(|it| {
        let Address::V4(network) = it.address else { return None };
        Some(network.address)
    });
    ranked(found, outgoing_address())
}

/// The source address of packets to the outside, if there is a route.
fn outgoing_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Connecting a UDP socket sends nothing; it only looks up the route. RFC 5737 reserves this
    // address for documentation.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    match socket.local_addr().ok()? {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    }
}

/// Puts the address of the outgoing route first, then private addresses, then others, and last the
/// link-local addresses that machines give themselves when no DHCP server assigns one.
fn ranked(
    found: impl Iterator<Item = Ipv4Addr>,
    outgoing_address: Option<Ipv4Addr>,
) -> Vec<Ipv4Addr> {
    let mut addresses: Vec<_> = outgoing_address.into_iter().chain(found).collect();
    addresses.retain(|address| !address.is_loopback() && !address.is_unspecified());
    addresses.sort_by_key(|&address| {
        let rank = match address {
            _ if Some(address) == outgoing_address => 0,
            _ if address.is_private() => 1,
            _ if address.is_link_local() => 3,
            _ => 2,
        };
        (rank, address)
    });
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port is free");
        let port = listener.local_addr().expect("it listens").port();
        assert!(!is_free(port));
        drop(listener);
        assert!(is_free(port));
    }

    #[test]
    fn the_likeliest_address_comes_first_and_loopback_is_left_out() {
        let ip = |text: &str| text.parse::<Ipv4Addr>().expect("an address");
        let found =
            ["127.0.0.1", "169.254.3.4", "8.8.4.4", "192.168.1.5", "10.0.0.7"].map(ip).into_iter();
        let all = ranked(found.clone(), Some(ip("192.168.1.5")));
        assert_eq!(all, ["192.168.1.5", "10.0.0.7", "8.8.4.4", "169.254.3.4"].map(ip));
        let offline = ranked(found, None);
        assert_eq!(offline[..2], ["10.0.0.7", "192.168.1.5"].map(ip));
        assert!(ranked(std::iter::empty(), Some(Ipv4Addr::LOCALHOST)).is_empty());
    }
}
