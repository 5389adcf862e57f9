//! What the server may be told: where to listen, what to serve, and how much of everything it
//! allows.

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

/// What a page from this server may do, unless the operator says otherwise: run its own scripts and
/// WebAssembly, but no script that is written into it; start workers that it makes itself, as
/// `netcode` does for hidden pages; and open a WebSocket to any server. Pages from elsewhere cannot
/// show it in a frame. WebRTC needs no permission.
const PAGE_POLICY: &str = "default-src 'self'; \
    script-src 'self' 'wasm-unsafe-eval'; \
    worker-src 'self' blob:; \
    connect-src 'self' ws: wss:; \
    img-src 'self' data: blob:; \
    object-src 'none'; \
    base-uri 'none'; \
    form-action 'none'; \
    frame-ancestors 'self'";

/// Settings of a [`Server`](super::Server). Every limit is on something that a stranger could use
/// up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where to listen. Port 0 lets the system choose one. Default: port 3536, which is matchbox's,
    /// on all IPv4 addresses.
    pub address: SocketAddr,
    /// The folder with the web build of the game, if it shall be served.
    pub web_root: Option<PathBuf>,
    /// The `Content-Security-Policy` of all answers, so of the page, too; empty for none. Default:
    /// what the page of `cargo xtask web` needs. A page with scripts inside of it, or with anything
    /// from other hosts, needs one of its own.
    pub content_security_policy: String,
    /// The certificate, if the server shall speak TLS: a PEM file with the whole chain, the
    /// server's own first. Default: none, plain HTTP. Not without `tls_key`.
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, a PEM file without a password.
    pub tls_key: Option<PathBuf>,
    /// Longest message from a peer, in bytes; a longer one ends its connection. Default: 64 KiB. A
    /// session description is 2 to 6 kB and an ICE candidate far less, so this is ten times what is
    /// needed.
    pub max_message_bytes: usize,
    /// Longest head of an HTTP request, address and headers together, in bytes; a longer one is
    /// answered with 431 (or 414). Default: 16 KiB, ten times that of a browser, cookies and all,
    /// with a ticket and a token in the address.
    pub max_header_bytes: usize,
    /// Most bytes that wait for a peer that does not read. Signals from other peers get three
    /// quarters of it and are dropped beyond that, those of the sender with the most waiting first;
    /// what the server itself says has the rest, and a peer that does not even read that is
    /// disconnected. Default: 512 KiB, because a newcomer in a room of 64 gets 63 session
    /// descriptions at once.
    pub max_queued_bytes: usize,
    /// Most peers in one room, those who play and those who look on together, and the largest
    /// `?next=`. A new room that asks for more gets this many. Default: 64. Everybody connects to
    /// everybody, and a mesh of 64 is already 2016 connections.
    pub max_peers_per_room: u16,
    /// Most rooms. Default: 5000, which is `max_peers` in pairs.
    pub max_rooms: usize,
    /// Most peers in all rooms. Default: 10,000. One was measured at 3.2 kB, also after its session
    /// descriptions went through: 32 MB for all.
    pub max_peers: usize,
    /// Most network connections, peers and downloads together; further ones wait until one ends.
    /// Default: 11,000, so that a full server still has a thousand to say so and to serve the page.
    pub max_connections: usize,
    /// How fast one peer may send, counted in messages. A message counts for its KiB, begun ones
    /// included. A peer that sends faster is read more slowly; nothing is lost. Default: 2,000 at
    /// once and 50 a second. A peer that comes into a room of 64 answers 63 descriptions with its
    /// own and some 8 candidates each, which is about a thousand, and then has nothing more to say.
    pub message_rate: Rate,
    /// How often one peer may ask for something in its room. Each time, everybody in it may be sent
    /// the whole room, though not more than 5 times a second after 8 at once. A peer that asks more
    /// often is read more slowly; nothing is lost. Default: 20 at once and 5 a second, faster than
    /// anybody changes their mind by clicking; `netcode` asks once for each of its wishes, and again
    /// every 2 s. One member of a full room of 64 makes the server write no more than 4 MB a second
    /// that way, 12 kB to each of the others for each time.
    pub room_request_rate: Rate,
    /// Most connections from one network address that is no trusted proxy, peers and downloads
    /// together; a further one is closed at once. Default: 400, all peers below and as many
    /// downloads.
    pub max_connections_per_address: u32,
    /// Most downloads at once to one network address; a further one is refused. Default: 200, as
    /// all peers below may come at the same time, and each needs the game itself once. One that is
    /// not read holds about 50 kB.
    pub max_downloads_per_address: u32,
    /// Most peers from one network address: an IPv4 address, or the first half of an IPv6 address.
    /// Default: 200, a school or a LAN party behind one address.
    pub max_peers_per_address: u32,
    /// How often peers may come from one network address, or ask for the list of rooms. Default:
    /// 200 at once, all of the above after a restart of the server, and 5 a second.
    pub join_rate: Rate,
    /// The proxies whose `X-Forwarded-For` tells the address of a peer. Default: none, so that
    /// nobody can choose the address that counts.
    pub trusted_proxies: Vec<IpNet>,
    /// The pages that may use the server, as their browser says it in `Origin`:
    /// `https://game.example`. Default: all. Programs that are no browser send none, and are always
    /// let in.
    pub allowed_origins: Vec<String>,
    /// STUN servers that peers at `/v1/` are told of, as in `stun:stun.example.org:3478`. Default:
    /// none, so that nobody else's server is used unasked; peers behind different routers do not
    /// find each other then.
    pub stun_servers: Vec<String>,
    /// TURN servers that they are told of, as in `turn:turn.example.org:3478`, `…?transport=tcp` or
    /// `turns:…`: relays for peers that no other way leads to. Default: none.
    pub turn_servers: Vec<String>,
    /// What the TURN servers know as `static-auth-secret`. Default: none; without it there can be
    /// no TURN servers.
    pub turn_secret: Option<TurnSecret>,
    /// How long the password of a peer for the TURN servers is good for new connections. Default: a
    /// day, longer than anybody stays in a room: `netcode` can take a new one only while it is
    /// connected to nobody. What is connected stays so beyond it.
    pub turn_credential_time: Duration,
    /// What signs the tickets without which nobody enters a room. Default: none, everybody may
    /// enter any room.
    pub ticket_secret: Option<TicketSecret>,
    /// How long a peer may be silent. After half of it the server asks (a ping), after all of it
    /// the peer is sent off. Default: 60 s; matchbox clients send something every 10 s, so six such
    /// messages are lost by then.
    pub idle_timeout: Duration,
    /// How long the place of a peer is kept whose connection broke. Until it is over the others are
    /// not told that it left. Default: 15 s, in which a phone changes from Wi-Fi to its own
    /// network, and comes back after the third attempt.
    pub grace_time: Duration,
    /// What the tokens are signed with by which peers come back to their rooms. Processes of one
    /// service, and a server before and after a restart, need the same one; a long random text.
    /// Default: a random one, so that tokens hold as long as the process runs.
    pub resume_secret: Option<Secret>,
    /// How long such a token holds; peers get a new one after half of it. Default: 12 h, the
    /// longest evening.
    pub resume_time: Duration,
    /// The Redis, `redis://host:6379`, that makes all processes with the same one into one service.
    /// Default: none, rooms are in memory. There may be a password in it. There is no TLS to it.
    pub redis: Option<Secret>,
    /// How long a server that is told to stop goes on for those who are in it, while it lets nobody
    /// else in. Default: zero, it stops at once. It ends sooner once nobody is left, but not before
    /// 5 s of it are over, in which load balancers ask `/ready`.
    pub drain_time: Duration,
    /// How long a TLS handshake and an HTTP request may take to arrive, and how long a connection
    /// may wait for its next one. Default: 10 s, plenty for the few hundred bytes of a request on
    /// the worst of links.
    pub request_timeout: Duration,
    /// How long a client may take nothing of an HTTP answer. A slow one gains time with all that it
    /// takes: from 4 KiB a second on it is never cut off. Default: 30 s, in which a phone is back
    /// from a tunnel.
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
    /// The first setting that makes no sense, if one does.
    pub(crate) fn check(&self) -> Result<(), BindError> {
        let rules = [
            (
                // The shortest signal, ids and all, is about 80 bytes.
                (256..=16 * 1024 * 1024).contains(&self.max_message_bytes),
                "the longest message must be from 256 bytes to 16 MiB",
            ),
            (
                // A token alone has up to 2 kB, and the HTTP library takes no smaller limit.
                (8 * 1024..=1024 * 1024).contains(&self.max_header_bytes),
                "the longest head of a request must be from 8 KiB to 1 MiB",
            ),
            (
                self.max_queued_bytes / 2 >= self.max_message_bytes,
                "a peer's queue must hold at least two of the longest messages",
            ),
            (
                self.max_peers_per_room >= 1 && self.max_rooms >= 1 && self.max_peers >= 1,
                "at least one room and one peer must be allowed",
            ),
            (
                (1..=MAX_CONNECTIONS).contains(&self.max_connections),
                "the number of connections must be from 1 to a million",
            ),
            (
                self.message_rate.is_sensible(),
                "one message a second, and one at once, must be allowed",
            ),
            (
                self.room_request_rate.is_sensible(),
                "one request in a room a second, and one at once, must be allowed",
            ),
            (
                self.message_rate.time_for(message_cost(self.max_message_bytes))
                    <= self.idle_timeout,
                "the longest message must take less than the idle timeout at the rate of messages",
            ),
            (self.drain_time <= MAX_TIMEOUT, "the drain time must be at most a day"),
            (self.grace_time <= MAX_TIMEOUT, "the grace time must be at most a day"),
            (
                self.resume_secret.as_ref().is_none_or(|secret| secret.0.len() >= MIN_SECRET_BYTES),
                "the resume secret must have at least 16 bytes: take what `openssl rand -hex 32` prints",
            ),
            (
                self.redis.as_ref().is_none_or(|url| !url.0.starts_with("rediss://")),
                "this server speaks no TLS to Redis: reach one inside your network by redis://, or another one through a tunnel such as stunnel",
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
                "a timeout, and the time of credentials, must be more than zero and at most a day",
            ),
        ];
        let ice_rules = self.ice_settings().rules();
        let mut rules = rules.into_iter().chain(self.rules_for_strangers()).chain(ice_rules);
        match rules.find(|(is_met, _)| !is_met) {
            Some((_, rule)) => Err(BindError::BadLimit { rule }),
            None => Ok(()),
        }
    }

    /// What is asked of the limits for one network address, and of the settings for pages.
    fn rules_for_strangers(&self) -> [(bool, &'static str); 4] {
        [
            (
                self.max_connections_per_address >= 1
                    && self.max_downloads_per_address >= 1
                    && self.max_peers_per_address >= 1,
                "at least one connection, one download and one peer from one address must be allowed",
            ),
            (self.join_rate.is_sensible(), "one join a second, and one at once, must be allowed"),
            (
                self.allowed_origins.iter().all(|origin| is_origin(origin)),
                "an allowed origin is what a browser says: https://game.example, without a path, and without the usual port",
            ),
            (
                HeaderValue::from_str(&self.content_security_policy).is_ok(),
                "the content security policy must be one line of visible letters",
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

/// Something that nobody else may know. It is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A URL as it may be shown.
#[must_use]
pub fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}…{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.to_owned(),
    }
}

/// Scheme, host and, if need be, port, as in RFC 6454.
fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        let usual_port = [("https", ":443"), ("http", ":80")];
        let has_usual_port =
            usual_port.iter().any(|&(of, port)| scheme == of && host.ends_with(port));
        let is_host = !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
        !scheme.is_empty() && is_host && !has_usual_port
    })
}

fn is_sensible(timeout: &Duration) -> bool {
    !timeout.is_zero() && *timeout <= MAX_TIMEOUT
}

/// Longer than anybody waits, and no danger to sums of times.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// More than one process can hold on any system; keeps the number inside what a semaphore takes
/// everywhere.
const MAX_CONNECTIONS: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::stream::SEND_BUFFER_BYTES;

    /// Keeps the page for operators true.
    #[test]
    fn the_page_for_operators_states_what_the_limits_allow() {
        let page = include_str!("../../OPERATING.md");
        let config = ServerConfig::default();
        let megabytes = |count: usize, bytes: usize| count * bytes / 1_000_000;
        // Linux doubles the size of a send buffer for what it needs itself.
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
    fn a_url_is_shown_without_its_password() {
        assert_eq!(without_password("redis://me:s@cret@host:1/0"), "redis://…@host:1/0");
        assert_eq!(without_password("redis://host:1"), "redis://host:1");
    }
}
