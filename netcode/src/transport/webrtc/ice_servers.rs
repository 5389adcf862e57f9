//! Which STUN and TURN servers matchbox gets. Both WebRTC stacks panic or throw at an address that
//! they cannot read, each time that a peer is met.

use matchbox_socket::RtcIceServerConfig;
use signaling::ice_servers::{IceServer, MAX_ICE_URLS, is_stun_url, is_turn_url};

use crate::transport::TransportError;

/// Checks the servers that the game names, before any peer is met.
pub(super) fn check(servers: &[IceServer]) -> Result<RtcIceServerConfig, TransportError> {
    match gather(servers) {
        (config, None) => Ok(config),
        (_, Some(bad)) => Err(TransportError::BadIceServer(bad.chars().take(200).collect())),
    }
}

/// Takes the usable ones of the servers that the signaling server hands out, and returns whether
/// these are all.
pub(super) fn accept(servers: &[IceServer]) -> (RtcIceServerConfig, bool) {
    let (config, bad) = gather(servers);
    (config, bad.is_none())
}

/// The host in the address of a TURN server, without brackets; none for any other server.
pub(super) fn turn_host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once(':').filter(|_| is_turn_url(url))?;
    let address = rest.split('?').next()?;
    match address.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next(),
        None => address.split(':').next(),
    }
}

/// The servers as matchbox takes them, with one name and one password for all; and the first
/// address that cannot be used.
fn gather(servers: &[IceServer]) -> (RtcIceServerConfig, Option<&str>) {
    let mut config = RtcIceServerConfig { urls: Vec::new(), username: None, credential: None };
    let mut bad = None;
    let mut shared = None;
    for server in servers {
        let credentials = server.credentials();
        for url in &server.urls {
            let is_usable = if is_turn_url(url) {
                credentials.is_some_and(|own| *shared.get_or_insert(own) == own)
            } else {
                is_stun_url(url)
            };
            if is_usable && config.urls.len() < MAX_ICE_URLS {
                config.urls.push(url.clone());
            } else {
                bad.get_or_insert(url.as_str());
            }
        }
    }
    if let Some((username, credential)) = shared {
        (config.username, config.credential) = (Some(username.into()), Some(credential.into()));
    }
    (config, bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_server_that_cannot_be_used() {
        let with = IceServer::turn;
        for (bad, servers) in [
            ("stun:a b", vec![IceServer::stun("stun:a"), IceServer::stun("stun:a b")]),
            ("turn:a", vec![IceServer::stun("turn:a")]),
            ("turn:b", vec![with("turn:b", "", "secret")]),
            ("turn:d", vec![with("turn:c", "me", "secret"), with("turn:d", "me", "other")]),
            ("stun:z", vec![IceServer { urls: vec!["stun:z".into(); 9], ..IceServer::default() }]),
        ] {
            let error = check(&servers).expect_err(bad).to_string();
            assert!(error.contains(bad) && error.contains("stun:host:3478"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn stun_and_turn_go_together_under_one_name() {
        let servers = [
            IceServer::stun("stun:a"),
            IceServer::turn("turn:b?transport=udp", "me", "secret"),
            IceServer::turn("turns:c", "me", "secret"),
        ];
        let config = check(&servers).expect("all are good");
        assert_eq!(config.urls, ["stun:a", "turn:b?transport=udp", "turns:c"]);
        assert_eq!((config.username.as_deref(), config.credential.as_deref()), both("me"));
        let none = check(&[]).expect("an empty list is fine");
        assert!(none.urls.is_empty() && none.username.is_none());
    }

    fn both(username: &str) -> (Option<&str>, Option<&str>) {
        (Some(username), Some("secret"))
    }

    #[test]
    fn the_host_of_a_turn_server_is_found_in_its_address() {
        for (url, host) in [
            ("turn:a.example.org", Some("a.example.org")),
            ("turn:a:3478?transport=udp", Some("a")),
            ("turns:[2001:db8::1]:5349", Some("2001:db8::1")),
            ("turn:[::1]", Some("::1")),
            ("stun:a", None),
            ("turn:", None),
        ] {
            assert_eq!(turn_host(url), host, "{url}");
        }
    }

    #[test]
    fn the_good_servers_of_a_bad_list_are_kept() {
        let servers = [
            IceServer::stun("http://a"),
            IceServer::turn("turn:b", "me", "secret"),
            IceServer::turn("turn:c", "you", "secret"),
            IceServer::stun("stun:d"),
        ];
        let (config, is_all) = accept(&servers);
        assert!(!is_all);
        assert_eq!(config.urls, ["turn:b", "stun:d"]);
        assert_eq!((config.username.as_deref(), config.credential.as_deref()), both("me"));
    }

    /// A server that we accept must not cause a panic when a peer is met.
    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn the_native_stack_reads_every_server_that_we_accept() {
        use rtc::peer_connection::transport::RTCIceServer;
        for url in [
            "stun:a",
            "stun:stun.example.org:19302",
            "stun:[::1]:1",
            "stun:a_b-c.d",
            "turn:a",
            "turn:192.0.2.1:3478?transport=udp",
            "turn:a_b-c.d?transport=tcp",
            "turn:[2001:db8::1]:3478",
            "turns:turn.example.org:5349?transport=tcp",
            "turns:[::1]",
        ] {
            let config = check(&[IceServer::turn(url, "7:me", "secret")]).expect(url);
            let server = RTCIceServer {
                urls: config.urls,
                username: config.username.unwrap_or_default(),
                credential: config.credential.unwrap_or_default(),
            };
            assert!(server.urls().is_ok(), "{url}");
        }
    }
}
