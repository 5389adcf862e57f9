//! Which ICE servers can be used: both WebRTC stacks panic or throw at what they cannot read, each time that a peer is met.

use std::net::Ipv6Addr;

use super::TransportError;

/// Checks addresses of STUN servers, before any peer is met.
pub(super) fn check(urls: &[String]) -> Result<(), TransportError> {
    match urls.iter().find(|url| !is_stun(url)) {
        Some(bad) => Err(TransportError::BadIceServer(bad.chars().take(200).collect())),
        None => Ok(()),
    }
}

/// `stun:HOST` or `stun:HOST:PORT`. A TURN server needs credentials, and there is no way yet to give them.
fn is_stun(url: &str) -> bool {
    let Some(address) = url.strip_prefix("stun:") else { return false };
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => {
            let port = rest.strip_prefix(':');
            let is_host = host.parse::<Ipv6Addr>().is_ok() && (rest.is_empty() || port.is_some());
            (is_host, port)
        }
        None => {
            let (host, port) =
                address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port)));
            let is_of_host =
                |letter: u8| letter.is_ascii_alphanumeric() || b"-._".contains(&letter);
            (!host.is_empty() && host.bytes().all(is_of_host), port)
        }
    };
    host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stun_servers_are_welcome_and_all_else_is_told() {
        for url in ["stun:a", "stun:stun.example.org:19302", "stun:192.0.2.1:3478", "stun:[::1]:1"]
        {
            assert!(is_stun(url), "{url}");
        }
        for url in [
            "",
            "garbage",
            "stun:",
            "stun://a",
            "stun:a:0",
            "stun:a:b",
            "stun:a:65536",
            "stun:a?transport=udp",
            "stun:[a]:1",
            "stun:[::1]1",
            "turn:192.0.2.1:3478",
            "http://a",
            "stun:a b",
        ] {
            assert!(!is_stun(url), "{url}");
            let error = check(&["stun:a".into(), url.into()]).expect_err("one is bad").to_string();
            assert!(error.contains(url) && error.contains("stun:host:3478"), "{error}");
        }
    }

    /// What we let pass must not panic where a peer is met.
    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn the_native_stack_reads_what_we_let_pass() {
        use rtc::peer_connection::transport::RTCIceServer;
        for url in ["stun:a", "stun:stun.example.org:19302", "stun:[::1]:1", "stun:a_b-c.d"] {
            let server = RTCIceServer { urls: vec![url.into()], ..RTCIceServer::default() };
            assert!(server.urls().is_ok(), "{url}");
        }
    }
}
