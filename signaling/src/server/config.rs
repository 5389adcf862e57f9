//! The settings of the server: where it listens, what it serves, and its limits.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use axum::http::HeaderValue;
use ipnet::IpNet;

use super::{
    bind_error::BindError,
    credentials::{IceSettings, MIN_SECRET_BYTES, TicketSecret, TurnSecret},
    hub::RoomLimits,
    limits::{Rate, SourceLimits, message_cost},
};

/// What a page from this server may do, unless the operator sets something else: run its own
/// scripts and WebAssembly, but no inline scripts; start workers that it creates itself, as
/// `netcode` does for hidden pages; and open a WebSocket to any server. Pages from other hosts
/// cannot show it in a frame. WebRTC needs no permission.
const PAGE_POLICY: &str = "default-src 'self'; \
    script-src 'self' 'wasm-unsafe-eval'; \
    worker-src 'self' blob:; \
    connect-src 'self' ws: wss:; \
    img-src 'self' data: blob:; \
    object-src 'none'; \
    base-uri 'none'; \
    form-action 'none'; \
    frame-ancestors 'self'";

/// Settings of a [`Server`](super::Server). Every limit protects a resource that a stranger could
/// otherwise use up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where to listen. With port 0, the system chooses a port. Default: port 3536, like matchbox's
    /// server, on all IPv4 addresses.
    pub address: SocketAddr,
    /// The folder with the web build of the game, if the server should serve it.
    pub web_root: Option<PathBuf>,
    /// The `Content-Security-Policy` of all responses, including the page; empty for none. Default:
    /// what the page of `cargo xtask web` needs. A page with inline scripts, or with anything from
    /// other hosts, needs a policy of its own.
    pub content_security_policy: String,
    /// The certificate, if the server should use TLS: a PEM file with the whole chain, the server's
    /// own certificate first. Default: none, plain HTTP. Requires `tls_key`.
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, a PEM file without a password.
    pub tls_key: Option<PathBuf>,
    /// The longest message from a peer, in bytes; a longer one ends its connection. Default: 64
    /// KiB. A session description takes 2 to 6 kB and an ICE candidate far less, so this is ten
    /// times what is needed.
    pub max_message_bytes: usize,
    /// The longest head of an HTTP request, address and headers together, in bytes; a longer one is
    /// answered with 431 (or 414). Default: 16 KiB, ten times what a browser sends, including
    /// cookies and an address with a ticket and a token.
    pub max_header_bytes: usize,
    /// The most bytes that wait for a peer that does not read. Signals from other peers may take
    /// three quarters of it. Beyond that they are dropped, beginning with those of the sender that
    /// has the most waiting. The rest is for messages of the server itself; a peer that does not
    /// read even those is disconnected. Default: 512 KiB, because a newcomer to a room of 64
    /// receives 63 session descriptions at once.
    pub max_queued_bytes: usize,
    /// The most peers in one room, players and spectators together, and the largest `?next=`. A new
    /// room that asks for more gets this many. Default: 64. Every peer connects to every other
    /// peer, and a mesh of 64 already has 2016 connections.
    pub max_peers_per_room: u16,
    /// The most rooms. Default: 5000, enough for `max_peers` in pairs.
    pub max_rooms: usize,
    /// The most peers in all rooms. Default: 10,000. One peer was measured at 3.2 kB, even after
    /// its session descriptions had passed through: 32 MB for all peers.
    pub max_peers: usize,
    /// The most network connections, peers and downloads together; further ones wait until one
    /// ends. Default: 11,000, so that a full server has a thousand left to answer that it is full
    /// and to serve the page.
    pub max_connections: usize,
    /// How fast one peer may send, counted in messages. A message counts as one for each KiB or
    /// part of a KiB. A peer that sends faster is read more slowly; nothing is lost. Default: 2,000
    /// at once and 50 a second. A peer that joins a room of 64 answers 63 descriptions with its own
    /// and about 8 candidates each, which is about a thousand messages, and then has nothing more
    /// to send.
    pub message_rate: Rate,
    /// How often one peer may send requests about its room. Each request can make the server send
    /// the whole room to everybody in it, though at most 5 times a second after 8 at once. A peer
    /// that sends more requests is read more slowly; nothing is lost. Default: 20 at once and 5 a
    /// second, faster than people change their minds by clicking; `netcode` sends each request
    /// once, and again every 2 s. One member of a full room of 64 can make the server write at most
    /// 4 MB a second this way, 12 kB to each other peer each time.
    pub room_request_rate: Rate,
    /// The most connections from one network address that is not a trusted proxy, peers and
    /// downloads together; a further one is closed at once. Default: 400, which is
    /// `max_peers_per_address` plus as many downloads.
    pub max_connections_per_address: u32,
    /// The most simultaneous downloads to one network address; a further one is refused. Default:
    /// 200, because `max_peers_per_address` peers may arrive at the same time, and each downloads
    /// the game once. A download that the client does not read holds about 50 kB.
    pub max_downloads_per_address: u32,
    /// The most peers from one network address: an IPv4 address, or the first half of an IPv6
    /// address. Default: 200, a school or a LAN party behind one address.
    pub max_peers_per_address: u32,
    /// How often peers may join from one network address, or request the list of rooms. Default:
    /// 200 at once, which is `max_peers_per_address` after a restart of the server, and 5 a second.
    pub join_rate: Rate,
    /// The proxies whose `X-Forwarded-For` names the address of a peer. Default: none, so that
    /// nobody can choose the address that the limits count.
    pub trusted_proxies: Vec<IpNet>,
    /// The pages that may use the server, as their browser names them in `Origin`:
    /// `https://game.example`. Default: all. Programs other than browsers send no `Origin` and are
    /// always accepted.
    pub allowed_origins: Vec<String>,
    /// The STUN servers that the server names to peers at `/v1/`, as in
    /// `stun:stun.example.org:3478`. Default: none, so that no third party's server is ever used
    /// without the operator's consent; without a STUN server, peers behind different routers cannot
    /// connect.
    pub stun_servers: Vec<String>,
    /// The TURN servers that the server names to these peers, as in `turn:turn.example.org:3478`,
    /// `…?transport=tcp` or `turns:…`: relays for peers that cannot connect in any other way.
    /// Default: none.
    pub turn_servers: Vec<String>,
    /// The `static-auth-secret` of the TURN servers. Default: none; TURN servers require one.
    pub turn_secret: Option<TurnSecret>,
    /// How long a peer's password for the TURN servers is valid for new connections. Default: a
    /// day, which is longer than anybody stays in a room: `netcode` can take a new password only
    /// while it is connected to no peer. Existing connections outlast the password.
    pub turn_credential_time: Duration,
    /// The secret that signs the tickets that peers need to enter a room. Default: none; every peer
    /// may enter any room.
    pub ticket_secret: Option<TicketSecret>,
    /// How long a peer may be silent. After half of this time, the server sends a ping; after all
    /// of it, the server disconnects the peer. Default: 60 s; matchbox clients send something every
    /// 10 s, so six such messages have been lost by then.
    pub idle_timeout: Duration,
    /// How long a peer stays in its room after its connection broke. Until then, the other peers
    /// are not told that it left. Default: 15 s, enough for a phone to change from Wi-Fi to its
    /// mobile network and to reconnect at the third attempt.
    pub grace_time: Duration,
    /// The secret that signs the tokens that bring peers back to their rooms. All processes of one
    /// service, and a server before and after a restart, need the same secret: a long random text.
    /// Default: a random secret, so that tokens are valid only while the process runs.
    pub resume_secret: Option<Secret>,
    /// How long such a token is valid; peers receive a new one after half of this time. Default: 12
    /// h, the longest evening.
    pub resume_time: Duration,
    /// The URL of a Redis, as in `redis://host:6379`. All processes that use the same Redis form
    /// one service. Default: none; rooms are kept in memory. The URL may contain a password. TLS is
    /// not supported.
    pub redis: Option<Secret>,
    /// How long a server that was asked to stop keeps serving the peers in its rooms, while it
    /// accepts no others. Default: zero; it stops at once. It stops earlier when no peer is left,
    /// but not before 5 s have passed, in which load balancers ask `/ready`.
    pub drain_time: Duration,
    /// How long a TLS handshake and an HTTP request may take to arrive, and how long a connection
    /// may wait for its next request. Default: 10 s, plenty for the few hundred bytes of a request
    /// on the worst links.
    pub request_timeout: Duration,
    /// How long a client may stop reading an HTTP response. A slow client gains time with every
    /// byte that it reads: at 4 KiB a second or more, it is never cut off. Default: 30 s, enough
    /// for a phone to pass through a tunnel.
    pub write_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 3536),
            web_root: None,
            content_security_policy: PAGE_POLICY.to_owned(),
            tls_cert: None,
            tls_key: None,
            max_message_bytes: 64 * 1024,
            max_header_bytes: 16 * 1024,
            max_queued_bytes: 512 * 1024,
            max_peers_per_room: 64,
            max_rooms: 5_000,
            max_peers: 10_000,
            max_connections: 11_000,
            message_rate: Rate { per_second: 50, at_once: 2_000 },
            room_request_rate: Rate { per_second: 5, at_once: 20 },
            max_connections_per_address: 400,
            max_downloads_per_address: 200,
            max_peers_per_address: 200,
            join_rate: Rate { per_second: 5, at_once: 200 },
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            stun_servers: Vec::new(),
            turn_servers: Vec::new(),
            turn_secret: None,
            turn_credential_time: Duration::from_secs(24 * 60 * 60),
            ticket_secret: None,
            idle_timeout: Duration::from_secs(60),
            grace_time: Duration::from_secs(15),
            resume_secret: None,
            resume_time: Duration::from_secs(12 * 60 * 60),
            redis: None,
            drain_time: Duration::ZERO,
            request_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
        }
    }
}

impl ServerConfig {
    /// Returns an error for the first invalid setting. The rules name the settings as the program
    /// does; here they are fields of nearly the same names.
    pub(crate) fn check(&self) -> Result<(), BindError> {
        let rules = [
            (
                // The shortest signal, including its ids, is about 80 bytes.
                (256..=16 * 1024 * 1024).contains(&self.max_message_bytes),
                "max-message-bytes must be from 256 to 16777216 (16 MiB), for example 65536",
            ),
            (
                // A token alone takes up to 2 kB, and the HTTP library accepts no smaller limit.
                (8 * 1024..=1024 * 1024).contains(&self.max_header_bytes),
                "max-header-bytes must be from 8192 (8 KiB) to 1048576 (1 MiB), for example 16384",
            ),
            (
                self.max_queued_bytes / 2 >= self.max_message_bytes,
                "max-queued-bytes must be at least twice max-message-bytes, for example 524288",
            ),
            (
                self.max_peers_per_room >= 1 && self.max_rooms >= 1 && self.max_peers >= 1,
                "max-rooms, max-peers and max-peers-per-room must be at least 1",
            ),
            (
                (1..=MAX_CONNECTIONS).contains(&self.max_connections),
                "max-connections must be from 1 to 1000000, for example 11000",
            ),
            (
                self.message_rate.is_sensible(),
                "messages-per-second and messages-at-once must be at least 1",
            ),
            (
                self.room_request_rate.is_sensible(),
                "room-requests-per-second and room-requests-at-once must be at least 1",
            ),
            (
                self.message_rate.time_for(message_cost(self.max_message_bytes))
                    <= self.idle_timeout,
                "messages-per-second is too low: the longest message (max-message-bytes, one message for each KiB) must take no longer than the idle-timeout",
            ),
            (self.drain_time <= MAX_TIMEOUT, "drain-time must be at most a day, 86400 seconds"),
            (self.grace_time <= MAX_TIMEOUT, "grace-time must be at most a day, 86400 seconds"),
            (
                self.resume_secret.as_ref().is_none_or(|secret| secret.0.len() >= MIN_SECRET_BYTES),
                "resume-secret must have at least 16 bytes: take what `openssl rand -hex 32` prints",
            ),
            (
                self.redis.as_ref().is_none_or(|url| !url.0.starts_with("rediss://")),
                "this server does not support TLS to Redis: use a Redis inside your network by redis://, or any other through a tunnel such as stunnel",
            ),
            (
                self.redis.as_ref().is_none_or(|url| is_redis_url(&url.0)),
                "redis takes the address of a Redis server, for example redis://localhost:6379, or redis://:PASSWORD@localhost:6379",
            ),
            (
                [
                    self.idle_timeout,
                    self.request_timeout,
                    self.write_timeout,
                    self.resume_time,
                    self.turn_credential_time,
                ]
                .iter()
                .all(is_sensible),
                "idle-timeout, request-timeout, write-timeout, resume-time and turn-credential-time must be more than zero and at most a day, 86400 seconds",
            ),
        ];
        let ice_rules = self.ice_settings().rules();
        let mut rules = rules.into_iter().chain(self.rules_for_strangers()).chain(ice_rules);
        match rules.find(|(is_met, _)| !is_met) {
            Some((_, rule)) => Err(BindError::BadLimit { rule }),
            None => Ok(()),
        }
    }

    /// The rules for the limits of one network address, and for the settings about pages.
    fn rules_for_strangers(&self) -> [(bool, &'static str); 4] {
        [
            (
                self.max_connections_per_address >= 1
                    && self.max_downloads_per_address >= 1
                    && self.max_peers_per_address >= 1,
                "max-connections-per-address, max-downloads-per-address and max-peers-per-address must be at least 1",
            ),
            (self.join_rate.is_sensible(), "joins-per-second and joins-at-once must be at least 1"),
            (
                self.allowed_origins.iter().all(|origin| is_origin(origin)),
                "allowed-origins takes what a browser sends: https://game.example, without a path, and without the default port",
            ),
            (
                HeaderValue::from_str(&self.content_security_policy).is_ok(),
                "content-security-policy must be one line of visible characters",
            ),
        ]
    }

    pub(crate) fn is_trusted_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    pub(crate) fn source_limits(&self) -> SourceLimits {
        SourceLimits {
            max_connections: self.max_connections_per_address,
            max_downloads: self.max_downloads_per_address,
            max_peers: self.max_peers_per_address,
            joins: self.join_rate,
        }
    }

    pub(super) fn ice_settings(&self) -> IceSettings<'_> {
        IceSettings {
            stun_servers: &self.stun_servers,
            turn_servers: &self.turn_servers,
            turn_secret: self.turn_secret.as_ref(),
            turn_credential_time: self.turn_credential_time,
        }
    }

    pub(crate) fn room_limits(&self) -> RoomLimits {
        RoomLimits {
            max_rooms: self.max_rooms,
            max_peers: self.max_peers,
            max_peers_per_room: self.max_peers_per_room,
            grace: self.grace_time,
            resume_for: self.resume_time,
        }
    }
}

/// A secret text, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Returns the URL without its user name and password, which is safe to show.
#[must_use]
pub fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}…{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.to_owned(),
    }
}

/// Returns whether this is a scheme, a host and, if necessary, a port, as in RFC 6454.
fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        let usual_port = [("https", ":443"), ("http", ":80")];
        let has_usual_port =
            usual_port.iter().any(|&(of, port)| scheme == of && host.ends_with(port));
        let is_host = !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
        !scheme.is_empty() && is_host && !has_usual_port
    })
}

/// Returns whether the client can use this address. The text is never shown, as it may contain a
/// password.
fn is_redis_url(url: &str) -> bool {
    redis::Client::open(url).is_ok()
}

fn is_sensible(timeout: &Duration) -> bool {
    !timeout.is_zero() && *timeout <= MAX_TIMEOUT
}

/// Longer than anybody waits, and short enough that sums of durations cannot overflow.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// More connections than one process can hold on any system, and few enough for a semaphore on
/// every platform.
const MAX_CONNECTIONS: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::stream::SEND_BUFFER_BYTES;

    /// Keeps the figures in OPERATING.md correct.
    #[test]
    fn the_page_for_operators_states_what_the_limits_allow() {
        let page = include_str!("../../OPERATING.md");
        let config = ServerConfig::default();
        let megabytes = |count: usize, bytes: usize| count * bytes / 1_000_000;
        // Linux doubles the size of a send buffer for its own bookkeeping.
        let send_buffer_bytes = 2 * SEND_BUFFER_BYTES;
        for (limit, allowed) in [
            ("`max-queued-bytes`", megabytes(config.max_peers, config.max_queued_bytes)),
            ("`max-message-bytes`", megabytes(config.max_peers, 2 * config.max_message_bytes)),
            ("× 50 kB", megabytes(config.max_connections, 50_000)),
            ("× 393 kB", megabytes(config.max_connections, send_buffer_bytes)),
        ] {
            let row = page.lines().find(|line| line.starts_with('|') && line.contains(limit));
            let thousands = format!("{},{:03}", allowed / 1000, allowed % 1000);
            let shown = thousands.strip_prefix("0,").unwrap_or(&thousands);
            let row = row.expect(limit);
            assert!(row.contains(&format!(" {shown} MB ")), "{shown} MB in {row}");
        }
        assert_eq!(send_buffer_bytes / 1000, 393);
        assert_eq!(config.max_peers / config.max_peers_per_address as usize, 50);
    }

    #[test]
    fn an_address_that_is_none_of_a_redis_is_refused_with_an_example() {
        let check = |url: &str| {
            ServerConfig { redis: Some(Secret(url.to_owned())), ..ServerConfig::default() }.check()
        };
        for url in ["redis://localhost", "redis://localhost:6379/1", "redis://:hush@10.0.0.1:1"] {
            check(url).expect(url);
        }
        for url in ["localhost", "localhost:6379", "6379", "http://host", "redis://host:99999"] {
            let error = check(url).expect_err(url).to_string();
            assert!(error.contains("redis://localhost:6379"), "{error}");
        }
        let error = check("me:hush@localhost").expect_err("no scheme").to_string();
        assert!(!error.contains("hush"), "{error}");
        assert!(check("rediss://host").expect_err("TLS").to_string().contains("stunnel"));
    }

    /// An operator who reads an error must find the setting.
    #[test]
    fn an_error_names_the_setting() {
        let day = Duration::from_secs(24 * 60 * 60);
        let none = Rate { per_second: 0, at_once: 0 };
        let usual = ServerConfig::default;
        for (config, name) in [
            (ServerConfig { max_message_bytes: 1, ..usual() }, "max-message-bytes"),
            (ServerConfig { max_header_bytes: 1, ..usual() }, "max-header-bytes"),
            (ServerConfig { max_queued_bytes: 1, ..usual() }, "max-queued-bytes"),
            (ServerConfig { max_rooms: 0, ..usual() }, "max-rooms"),
            (ServerConfig { max_peers_per_room: 0, ..usual() }, "max-peers-per-room"),
            (ServerConfig { max_connections: 0, ..usual() }, "max-connections"),
            (ServerConfig { max_peers_per_address: 0, ..usual() }, "max-peers-per-address"),
            (ServerConfig { message_rate: none, ..usual() }, "messages-per-second"),
            (ServerConfig { room_request_rate: none, ..usual() }, "room-requests-per-second"),
            (ServerConfig { join_rate: none, ..usual() }, "joins-per-second"),
            (ServerConfig { drain_time: 2 * day, ..usual() }, "drain-time"),
            (ServerConfig { grace_time: 2 * day, ..usual() }, "grace-time"),
            (ServerConfig { request_timeout: Duration::ZERO, ..usual() }, "request-timeout"),
            (ServerConfig { resume_secret: Some(Secret("x".into())), ..usual() }, "resume-secret"),
            (ServerConfig { allowed_origins: vec!["game".into()], ..usual() }, "allowed-origins"),
            (
                ServerConfig { content_security_policy: "a\nb".into(), ..usual() },
                "content-security-policy",
            ),
        ] {
            let error = config.check().expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        assert_eq!(without_password("redis://me:s@cret@host:1/0"), "redis://…@host:1/0");
        assert_eq!(without_password("redis://host:1"), "redis://host:1");
    }
}
