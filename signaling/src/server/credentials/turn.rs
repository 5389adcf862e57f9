//! STUN and TURN servers for the peers, with a temporary password for each peer.
//!
//! The passwords are those of coturn's `use-auth-secret`: the user name contains the time when it
//! expires, and the password is a hash of the user name and of a secret that only the two servers
//! know. So the servers need not communicate, and nothing has to be stored.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha1::Sha1;

use crate::{
    ice_servers::{IceServer, IceServers, MAX_ICE_URLS, Welcome, is_stun_url, is_turn_url},
    protocol::PeerId,
};

/// The secret that the signaling server shares with the TURN servers: coturn's
/// `static-auth-secret`. Never shown, not even by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnSecret(String);

impl TurnSecret {
    /// The secret with these characters; `None` if there are none.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Option<Self> {
        Some(secret.into()).filter(|secret| !secret.is_empty()).map(Self)
    }

    /// The password for a user name.
    fn password(&self, username: &str) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.0.as_bytes())
            .expect("keys of HMAC may have any length");
        mac.update(username.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnSecret(secret)")
    }
}

/// The settings of the STUN and TURN servers; see the fields of
/// [`ServerConfig`](crate::server::ServerConfig).
#[derive(Debug, Clone, Copy)]
pub(crate) struct IceSettings<'a> {
    pub(crate) stun_servers: &'a [String],
    pub(crate) turn_servers: &'a [String],
    pub(crate) turn_secret: Option<&'a TurnSecret>,
    pub(crate) turn_credential_time: Duration,
}

impl IceSettings<'_> {
    /// The rules for these settings, each with whether it is met.
    pub(crate) fn rules(self) -> [(bool, &'static str); 4] {
        let Self { stun_servers, turn_servers, turn_secret, .. } = self;
        [
            (
                stun_servers.iter().all(|url| is_stun_url(url)),
                "stun-servers: a STUN server is written as in stun:stun.example.org:3478, without a `?`",
            ),
            (
                turn_servers.iter().all(|url| is_turn_url(url)),
                "turn-servers: a TURN server is written as in turn:turn.example.org:3478, turn:turn.example.org:3478?transport=tcp or turns:turn.example.org:5349, without a user name",
            ),
            (
                turn_servers.is_empty() || turn_secret.is_some(),
                "turn-servers need a turn-secret, from which the passwords of peers are made: set it to coturn's static-auth-secret",
            ),
            (
                stun_servers.len() + turn_servers.len() <= MAX_ICE_URLS,
                "stun-servers and turn-servers may have at most 8 addresses together: peers contact all of them for each connection",
            ),
        ]
    }

    /// The message that a peer at `/v1/` receives before its id.
    pub(crate) fn welcome(self, peer: PeerId, now: SystemTime) -> Welcome {
        let mut servers = Vec::new();
        if !self.stun_servers.is_empty() {
            servers.push(IceServer { urls: self.stun_servers.to_vec(), ..IceServer::default() });
        }
        let secret = self.turn_secret.filter(|_| !self.turn_servers.is_empty());
        if let Some(secret) = secret {
            let username = username(now + self.turn_credential_time, peer);
            servers.push(IceServer {
                urls: self.turn_servers.to_vec(),
                credential: Some(secret.password(&username)),
                username: Some(username),
            });
        }
        let seconds = u32::try_from(self.turn_credential_time.as_secs()).unwrap_or(u32::MAX);
        Welcome::IceServers(IceServers { servers, expires_in_s: secret.map(|_| seconds) })
    }
}

/// The user name of a peer at a TURN server: the time when it expires, in seconds since 1970, and
/// the peer's id.
fn username(expiry: SystemTime, peer: PeerId) -> String {
    let expiry = expiry.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    format!("{}:{peer}", expiry.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::ServerConfig;

    const PEER: PeerId = PeerId::from_u128(7);

    fn config() -> ServerConfig {
        ServerConfig {
            stun_servers: vec!["stun:s.example:3478".into()],
            turn_servers: vec!["turn:t.example:3478".into(), "turns:t.example:5349".into()],
            turn_secret: TurnSecret::new("north"),
            turn_credential_time: Duration::from_secs(600),
            ..ServerConfig::default()
        }
    }

    #[test]
    fn a_password_equals_the_one_that_openssl_computes() {
        // The second test case of RFC 2202, in Base64.
        let secret = TurnSecret::new("Jefe").expect("a secret");
        let password = secret.password("what do ya want for nothing?");
        assert_eq!(password, "7/zfauXrL6LSdBbV8YTfnCWafHk=");
        // printf %s NAME | openssl dgst -sha1 -hmac north -binary | base64
        let name = username(UNIX_EPOCH + Duration::from_secs(1_700_000_000), PEER);
        assert_eq!(name, "1700000000:00000000-0000-0000-0000-000000000007");
        let secret = TurnSecret::new("north").expect("a secret");
        assert_eq!(secret.password(&name), "Jct2IMTfngjc9Q/bGBz6FtEea78=");
    }

    #[test]
    fn a_peer_gets_a_password_for_turn_servers_only() {
        let now = UNIX_EPOCH + Duration::from_secs(1_699_999_400);
        let Welcome::IceServers(IceServers { servers, expires_in_s }) =
            config().ice_settings().welcome(PEER, now);
        let [stun, turn] = &servers[..] else { panic!("{servers:?}") };
        assert_eq!((&stun.urls, stun.credentials()), (&config().stun_servers, None));
        assert_eq!(turn.urls, config().turn_servers);
        let expected =
            ("1700000000:00000000-0000-0000-0000-000000000007", "Jct2IMTfngjc9Q/bGBz6FtEea78=");
        assert_eq!((turn.credentials(), expires_in_s), (Some(expected), Some(600)));
    }

    #[test]
    fn without_turn_servers_nothing_expires() {
        let config = ServerConfig { turn_servers: Vec::new(), ..config() };
        let Welcome::IceServers(told) = config.ice_settings().welcome(PEER, SystemTime::now());
        assert_eq!((told.servers.len(), told.expires_in_s), (1, None));
        let config = ServerConfig::default();
        let told = config.ice_settings().welcome(PEER, SystemTime::now());
        assert_eq!(told, Welcome::IceServers(IceServers::default()));
    }

    #[test]
    fn settings_that_cannot_work_are_rejected_with_advice() {
        let broken = |config: ServerConfig, words: &str| {
            let error = config.check().expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        };
        config().check().expect("all of it makes sense");
        let stun_servers = vec!["stun:a?transport=udp".into()];
        broken(ServerConfig { stun_servers, ..config() }, "stun:stun.example.org:3478");
        let turn_servers = vec!["turn:me:secret@a".into()];
        broken(ServerConfig { turn_servers, ..config() }, "turn:turn.example.org:3478");
        broken(ServerConfig { turn_secret: None, ..config() }, "static-auth-secret");
        let stun_servers = vec!["stun:a".into(); MAX_ICE_URLS - 1];
        broken(ServerConfig { stun_servers, ..config() }, &MAX_ICE_URLS.to_string());
        let turn_credential_time = Duration::ZERO;
        broken(ServerConfig { turn_credential_time, ..config() }, "more than zero");
    }

    #[test]
    fn the_secret_is_never_shown() {
        let shown = format!("{:?}", config());
        assert!(shown.contains("TurnSecret(secret)") && !shown.contains("north"), "{shown}");
        assert_eq!(TurnSecret::new(""), None);
    }
}
