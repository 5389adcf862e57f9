//! The STUN and TURN servers that the signaling server names to peers, and which of their addresses
//! can be used.
//!
//! STUN tells a peer its address outside its router; TURN relays for peers that cannot connect in
//! any other way. Always compiled, even for the browser: both sides check addresses by the same
//! rules, because other addresses make browsers throw an exception and the native WebRTC stack
//! panic.

use std::{fmt, net::Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The maximum number of STUN and TURN addresses together. Each peer asks all of them for each
/// connection, and a browser does not connect until each has answered or been given up.
pub const MAX_ICE_URLS: usize = 8;

/// The maximum length of a user name and of a password, in bytes: browsers throw an exception for
/// names of more than 509 bytes.
const MAX_CREDENTIAL_BYTES: usize = 500;

/// What the server sends to a peer at `/v1/` before the peer's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Welcome {
    /// The servers that help the peer reach other peers; the list may be empty.
    IceServers(IceServers),
}

/// The servers, and how long their passwords are valid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServers {
    /// The servers; a peer uses all of them.
    pub servers: Vec<IceServer>,
    /// The number of seconds after which the TURN servers no longer accept the passwords for new
    /// connections; `None` if there is no password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u32>,
}

/// One server, or several with the same password: the fields of the browser's `RTCIceServer`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// Its addresses: see [`is_stun_url`] and [`is_turn_url`].
    pub urls: Vec<String>,
    /// The user name that a TURN server requires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password that a TURN server requires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl IceServer {
    /// A STUN server, as in `stun:stun.example.org:3478`.
    #[must_use]
    pub fn stun(url: impl Into<String>) -> Self {
        Self { urls: vec![url.into()], ..Self::default() }
    }

    /// A TURN server, as in `turn:turn.example.org:3478`, with the user name and the password that
    /// it requires.
    #[must_use]
    pub fn turn(
        url: impl Into<String>,
        username: impl Into<String>,
        credential: impl Into<String>,
    ) -> Self {
        Self {
            urls: vec![url.into()],
            username: Some(username.into()),
            credential: Some(credential.into()),
        }
    }

    /// User name and password, if both are present and every WebRTC stack accepts them.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &str)> {
        let both = self.username.as_deref().zip(self.credential.as_deref());
        both.filter(|(username, credential)| is_plain(username) && is_plain(credential))
    }
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credential = self.credential.as_ref().map(|_| "secret");
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .field("credential", &credential)
            .finish()
    }
}

/// Returns whether this is `stun:HOST` or `stun:HOST:PORT`.
#[must_use]
pub fn is_stun_url(url: &str) -> bool {
    url.strip_prefix("stun:").is_some_and(is_address)
}

/// Returns whether this is `turn:HOST` or `turn:HOST:PORT`, optionally with `?transport=udp` or
/// `?transport=tcp`; or the same with `turns:` for TLS, which always uses TCP.
#[must_use]
pub fn is_turn_url(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else { return false };
    let (address, query) =
        rest.split_once('?').map_or((rest, None), |(address, query)| (address, Some(query)));
    let transports: &[&str] = match scheme {
        "turn" => &["transport=udp", "transport=tcp"],
        "turns" => &["transport=tcp"],
        _ => return false,
    };
    is_address(address) && query.is_none_or(|query| transports.contains(&query))
}

fn is_plain(text: &str) -> bool {
    (1..=MAX_CREDENTIAL_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// Returns whether this is a host, optionally with a port.
fn is_address(address: &str) -> bool {
    let (is_host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => {
            let port = rest.strip_prefix(':');
            (host.parse::<Ipv6Addr>().is_ok() && (rest.is_empty() || port.is_some()), port)
        }
        None => {
            let (host, port) =
                address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port)));
            let is_of_host =
                |letter: u8| letter.is_ascii_alphanumeric() || b"-._".contains(&letter);
            (!host.is_empty() && host.bytes().all(is_of_host), port)
        }
    };
    is_host
        && port.is_none_or(|port| {
            port.bytes().all(|digit| digit.is_ascii_digit())
                && port.parse::<u16>().is_ok_and(|port| port != 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_stun_servers_are_accepted_as_such() {
        for url in ["stun:a", "stun:stun.example.org:19302", "stun:192.0.2.1:3478", "stun:[::1]:1"]
        {
            assert!(is_stun_url(url) && !is_turn_url(url), "{url}");
        }
        for url in [
            "",
            "garbage",
            "stun:",
            "stun://a",
            "stun:a:0",
            "stun:a:b",
            "stun:a:+1",
            "stun:a:65536",
            "stun:a?transport=udp",
            "stun:[a]:1",
            "stun:[::1]1",
            "stuns:a",
            "http://a",
            "stun:a b",
        ] {
            assert!(!is_stun_url(url) && !is_turn_url(url), "{url}");
        }
    }

    #[test]
    fn an_address_of_a_turn_server_may_name_the_transport() {
        for url in [
            "turn:a",
            "turn:turn.example.org:3478",
            "turn:[2001:db8::1]:3478",
            "turn:192.0.2.1:3478?transport=udp",
            "turn:192.0.2.1?transport=tcp",
            "turns:a",
            "turns:turn.example.org:5349?transport=tcp",
        ] {
            assert!(is_turn_url(url) && !is_stun_url(url), "{url}");
        }
        for url in [
            "turn:",
            "turn://a",
            "turn:a:0",
            "turn:a:3478?",
            "turn:a?transport=sctp",
            "turn:a?transport=udp&x=1",
            "turn:user:password@a:3478",
            // No WebRTC stack speaks DTLS to a TURN server.
            "turns:a?transport=udp",
            "TURN:a",
        ] {
            assert!(!is_turn_url(url), "{url}");
        }
    }

    #[test]
    fn credentials_are_complete_or_missing_and_never_shown() {
        let whole = IceServer::turn("turn:a", "7:me", "top");
        assert_eq!(whole.credentials(), Some(("7:me", "top")));
        let shown = format!("{whole:?}");
        assert!(shown.contains("7:me") && !shown.contains("top"), "{shown}");
        let long = "x".repeat(MAX_CREDENTIAL_BYTES + 1);
        for (username, credential) in [("", "b"), ("a", ""), (&long, "b"), ("a", "b\n"), ("ä", "b")]
        {
            let server = IceServer::turn("turn:a", username, credential);
            assert_eq!(server.credentials(), None, "{username:?} {credential:?}");
        }
        assert_eq!(IceServer::stun("stun:a").credentials(), None);
    }

    #[test]
    fn a_welcome_is_encoded_as_the_protocol_says() {
        let servers = vec![IceServer::stun("stun:s:1"), IceServer::turn("turn:t:1", "u", "c")];
        let welcome = Welcome::IceServers(IceServers { servers, expires_in_s: Some(60) });
        let text = serde_json::to_string(&welcome).expect("a message is JSON");
        let expected = r#"{"IceServers":{"servers":[{"urls":["stun:s:1"]},{"urls":["turn:t:1"],"username":"u","credential":"c"}],"expires_in_s":60}}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Welcome>(&text).ok(), Some(welcome));
        let none = r#"{"IceServers":{"servers":[]}}"#;
        let empty = Welcome::IceServers(IceServers::default());
        assert_eq!(serde_json::to_string(&empty).expect("a message is JSON"), none);
        assert_eq!(serde_json::from_str::<Welcome>(none).ok(), Some(empty));
    }
}
