//! Hosting in the local network: a server on a port that is free, and where others find it. For games that run the server themselves, as the
//! demo game does, and for `signaling --lan`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use getifaddrs::{Address, InterfaceFlags, getifaddrs};

use crate::server::{BindError, Server, config::ServerConfig};

/// How many ports are tried before the system may choose any.
const PORTS_TRIED: usize = 64;

/// Starts to listen on the port in `config`, or on the first one above it that nobody listens on: so several hosts on one machine do not get
/// in each other's way.
///
/// # Errors
///
/// Those of [`Server::bind`], but [`BindError::PortInUse`].
pub async fn bind(config: ServerConfig) -> Result<Server, BindError> {
    let at = |port| {
        let address = SocketAddr::new(config.address.ip(), port);
        Server::bind(ServerConfig { address, ..config.clone() })
    };
    let first = config.address.port();
    if first > 0 {
        for port in (first..=u16::MAX).take(PORTS_TRIED).filter(|port| is_free(*port)) {
            match at(port).await {
                // Somebody else found it free in the same moment, or listens at this address alone.
                Err(BindError::PortInUse { .. }) => {}
                bound => return bound,
            }
        }
    }
    // The system knows one that is nobody's.
    at(0).await
}

fn is_free(port: u16) -> bool {
    // Both, because a server on loopback alone does not occupy the wildcard address everywhere.
    [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]
        .iter()
        .all(|address| TcpListener::bind((*address, port)).is_ok())
}

/// This machine's addresses, as others in its networks would type them, the likeliest first. Empty without a network. IPv4 alone:
/// every local network has it, and people can type it.
#[must_use]
pub fn addresses() -> Vec<Ipv4Addr> {
    let wanted = InterfaceFlags::UP | InterfaceFlags::RUNNING;
    // Without the list there is still the way out.
    let interfaces = getifaddrs().into_iter().flatten();
    let found = interfaces.filter(|it| it.flags.contains(wanted)).filter_map(|it| {
        let Address::V4(network) = it.address else { return None };
        Some(network.address)
    });
    ranked(found, way_out())
}

/// The address that packets to the outside leave by, if any would.
fn way_out() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Connecting a UDP socket sends nothing; it only asks for the way. The address is one that RFC 5737 keeps for documentation.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    match socket.local_addr().ok()? {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    }
}

/// Puts the address of the way out before the private ones, those before others, and last the ones that machines give themselves where
/// nobody gives them any.
fn ranked(found: impl Iterator<Item = Ipv4Addr>, way_out: Option<Ipv4Addr>) -> Vec<Ipv4Addr> {
    let mut addresses: Vec<_> = way_out.into_iter().chain(found).collect();
    addresses.retain(|address| !address.is_loopback() && !address.is_unspecified());
    addresses.sort_by_key(|&address| {
        let rank = match address {
            _ if Some(address) == way_out => 0,
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
    fn the_likeliest_address_comes_first_and_loopback_never() {
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
