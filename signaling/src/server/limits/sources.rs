//! The network addresses that peers connect from, and how many peers may connect from one address,
//! and how often.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::HeaderMap;
use tokio::time::Instant;

use super::{Bucket, Rate};
use crate::protocol::Refusal;

/// The number of sources to remember before the first search for sources that can be forgotten.
const FIRST_SWEEP: usize = 1_024;

/// What the limits count as one source: an IPv4 address, or the /64 of an IPv6 address, since one
/// household has 2⁶⁴ IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
            }
            IpAddr::V4(address) => IpAddr::V4(address),
        })
    }
}

impl Source {
    /// The sender of a request: the other end of the connection or, if that is a proxy that we
    /// trust, the address that the proxy names.
    ///
    /// Proxies append to `X-Forwarded-For`, and a client may write anything at its beginning. So
    /// the header is read from its end, and the first address that is not one of our proxies
    /// counts.
    pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, is_proxy: impl Fn(IpAddr) -> bool) -> Self {
        let lists = headers.get_all("x-forwarded-for").into_iter().rev();
        let names = lists.flat_map(|list| list.as_bytes().rsplit(|byte| *byte == b','));
        let mut sender = peer;
        for name in names {
            if !is_proxy(sender) {
                break;
            }
            // The proxies that we know write nothing but addresses.
            let Some(address) = str::from_utf8(name).ok().and_then(read_address) else { break };
            sender = address;
        }
        sender.into()
    }
}

/// Parses an address as proxies write it, some of them with the port.
fn read_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().or_else(|_| text.parse().map(|it: SocketAddr| it.ip())).ok()
}

/// The limits for one source; see the fields of [`ServerConfig`](crate::server::ServerConfig).
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceLimits {
    pub(crate) max_connections: u32,
    pub(crate) max_downloads: u32,
    pub(crate) max_peers: u32,
    pub(crate) joins: Rate,
}

/// All sources that have a connection, a download or a peer, or had one a moment ago.
#[derive(Debug)]
pub(crate) struct Sources {
    limits: SourceLimits,
    all: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    entries: HashMap<Source, Entry>,
    /// The number of entries at which the next search for forgettable ones begins.
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    connections: u32,
    downloads: u32,
    peers: u32,
    joins: Bucket,
}

impl Entry {
    fn count(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::Connection => &mut self.connections,
            Kind::Download => &mut self.downloads,
            Kind::Peer => &mut self.peers,
        }
    }

    fn can_be_forgotten(&self, now: Instant) -> bool {
        let is_gone = self.connections == 0 && self.downloads == 0 && self.peers == 0;
        is_gone && self.joins.is_empty(now)
    }
}

/// The kinds of slots that a source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Connection,
    Download,
    Peer,
}

impl Sources {
    pub(crate) fn new(limits: SourceLimits) -> Self {
        let book = Book { entries: HashMap::new(), sweep_at: FIRST_SWEEP };
        Self { limits, all: Mutex::new(book) }
    }

    /// Takes a slot for a connection, if the source has one left.
    pub(crate) fn connection_slot(
        self: &Arc<Self>,
        source: Source,
        now: Instant,
    ) -> Option<SourceSlot> {
        let max = self.limits.max_connections;
        let is_free = |entry: &mut Entry| (entry.connections < max).then_some(()).ok_or(());
        self.take_slot(source, Kind::Connection, now, is_free).ok()
    }

    /// Takes a slot for a download, if the source has one left.
    pub(crate) fn download_slot(
        self: &Arc<Self>,
        source: Source,
        now: Instant,
    ) -> Option<SourceSlot> {
        let max = self.limits.max_downloads;
        let is_free = |entry: &mut Entry| (entry.downloads < max).then_some(()).ok_or(());
        self.take_slot(source, Kind::Download, now, is_free).ok()
    }

    /// Takes a slot for a peer, or returns the reason why there is none.
    pub(crate) fn peer_slot(
        self: &Arc<Self>,
        source: Source,
        now: Instant,
    ) -> Result<SourceSlot, Refusal> {
        self.take_slot(source, Kind::Peer, now, |entry| {
            if entry.peers >= self.limits.max_peers {
                Err(Refusal::AddressFull)
            } else if !entry.joins.try_use(self.limits.joins, now) {
                Err(Refusal::TooOften)
            } else {
                Ok(())
            }
        })
    }

    fn take_slot<E>(
        self: &Arc<Self>,
        source: Source,
        kind: Kind,
        now: Instant,
        is_free: impl FnOnce(&mut Entry) -> Result<(), E>,
    ) -> Result<SourceSlot, E> {
        let mut book = self.book();
        if book.entries.len() >= book.sweep_at {
            book.entries.retain(|_, entry| !entry.can_be_forgotten(now));
            book.sweep_at = FIRST_SWEEP.max(2 * book.entries.len());
        }
        let entry = book.entries.entry(source).or_insert_with(|| Entry {
            connections: 0,
            downloads: 0,
            peers: 0,
            joins: Bucket::new(now),
        });
        is_free(entry)?;
        *entry.count(kind) += 1;
        drop(book);
        Ok(SourceSlot { sources: Arc::clone(self), source, kind })
    }

    /// Nothing panics while it holds the lock.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot of a source; free again when dropped.
#[derive(Debug)]
pub(crate) struct SourceSlot {
    sources: Arc<Sources>,
    source: Source,
    kind: Kind,
}

impl Drop for SourceSlot {
    fn drop(&mut self) {
        if let Some(entry) = self.sources.book().entries.get_mut(&self.source) {
            *entry.count(self.kind) -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::HeaderValue;

    use super::*;
    use crate::server::config::ServerConfig;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn source(text: &str) -> Source {
        address(text).into()
    }

    fn sources(max_peers: u32, at_once: u32) -> Arc<Sources> {
        let joins = Rate { per_second: 1, at_once };
        Arc::new(Sources::new(SourceLimits {
            max_connections: 2,
            max_downloads: 1,
            max_peers,
            joins,
        }))
    }

    #[test]
    fn each_household_is_one_source() {
        assert_eq!(source("2001:db8:1:2::7"), source("2001:db8:1:2:ffff:1:2:3"));
        assert_ne!(source("2001:db8:1:2::7"), source("2001:db8:1:3::7"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn only_trusted_proxies_can_name_the_sender() {
        let config = ServerConfig {
            trusted_proxies: ["10.0.0.0/8", "2001:db8::/64"]
                .map(|it| it.parse().expect("it"))
                .into(),
            ..ServerConfig::default()
        };
        let cases = [
            // Directly from the client, whatever address it claims.
            ("192.0.2.1", vec!["198.51.100.9"], "192.0.2.1"),
            ("192.0.2.1", vec![], "192.0.2.1"),
            // Through one proxy, and through two; anything that the client wrote before does not
            // count.
            ("10.0.0.1", vec!["198.51.100.9"], "198.51.100.9"),
            ("::ffff:10.0.0.1", vec!["203.0.113.5, 198.51.100.9"], "198.51.100.9"),
            ("10.0.0.1", vec!["203.0.113.5, 198.51.100.9 ,10.0.0.2"], "198.51.100.9"),
            ("10.0.0.1", vec!["203.0.113.5", "198.51.100.9", "2001:db8::7"], "198.51.100.9"),
            // A proxy that names no address, only proxies, or something that is not an address.
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", vec!["198.51.100.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", vec!["unknown, 10.0.0.2"], "10.0.0.2"),
            // The client wrote something that is not text; and ports, which some proxies add.
            ("10.0.0.1", vec!["\u{ff}, 198.51.100.9"], "198.51.100.9"),
            ("10.0.0.1", vec!["198.51.100.9:4711"], "198.51.100.9"),
            ("10.0.0.1", vec!["[2001:db8:1::1]:4711"], "2001:db8:1::1"),
            ("10.0.0.1", vec!["[2001:db8:1::1]"], "2001:db8:1::1"),
        ];
        for (peer, lists, expected) in cases {
            let mut headers = HeaderMap::new();
            for list in &lists {
                headers.append(
                    "x-forwarded-for",
                    HeaderValue::from_bytes(list.as_bytes()).expect("a header"),
                );
            }
            let found = Source::of(address(peer), &headers, |it| config.is_trusted_proxy(it));
            assert_eq!(found, source(expected), "{peer} {lists:?}");
        }
    }

    #[test]
    fn each_source_has_its_own_slots() {
        let sources = sources(2, 100);
        let now = Instant::now();
        let (one, other) = (source("192.0.2.1"), source("192.0.2.2"));
        let first = sources.peer_slot(one, now).expect("a slot");
        let _second = sources.peer_slot(one, now).expect("a slot");
        assert_eq!(sources.peer_slot(one, now).err(), Some(Refusal::AddressFull));
        let _third = sources.peer_slot(other, now).expect("a slot");
        drop(first);
        assert!(sources.peer_slot(one, now).is_ok());
    }

    #[test]
    fn connections_and_peers_are_counted_separately() {
        let sources = sources(1, 100);
        let now = Instant::now();
        let one = source("192.0.2.1");
        let _peer = sources.peer_slot(one, now).expect("a slot");
        let first = sources.connection_slot(one, now).expect("a slot");
        let _second = sources.connection_slot(one, now).expect("a slot");
        assert!(sources.connection_slot(one, now).is_none());
        assert!(sources.connection_slot(source("192.0.2.2"), now).is_some());
        drop(first);
        assert!(sources.connection_slot(one, now).is_some());
        assert_eq!(sources.peer_slot(one, now).err(), Some(Refusal::AddressFull));
    }

    #[test]
    fn downloads_and_connections_are_counted_separately() {
        let sources = sources(1, 100);
        let now = Instant::now();
        let one = source("192.0.2.1");
        let download = sources.download_slot(one, now).expect("a slot");
        assert!(sources.download_slot(one, now).is_none());
        assert!(sources.download_slot(source("192.0.2.2"), now).is_some());
        assert!(sources.connection_slot(one, now).is_some());
        drop(download);
        assert!(sources.download_slot(one, now).is_some());
    }

    #[test]
    fn a_source_that_joins_too_often_must_wait_and_is_forgotten_later() {
        let sources = sources(100, 3);
        let start = Instant::now();
        let one = source("192.0.2.1");
        for _ in 0..3 {
            assert!(sources.peer_slot(one, start).is_ok());
        }
        assert_eq!(sources.peer_slot(one, start).err(), Some(Refusal::TooOften));
        assert!(sources.peer_slot(one, start + Duration::from_secs(1)).is_ok());

        let number = |number: u32| Source::from(IpAddr::from(number.to_be_bytes()));
        for other in 0..FIRST_SWEEP as u32 {
            assert!(sources.peer_slot(number(other), start).is_ok());
        }
        let _present = sources.peer_slot(number(1 << 20), start).expect("a slot");
        let much_later = start + Duration::from_secs(60);
        for other in 0..2 * FIRST_SWEEP as u32 {
            assert!(sources.peer_slot(number((1 << 21) + other), much_later).is_ok());
        }
        let book = sources.book();
        assert!(!book.entries.contains_key(&number(5)), "gone, and long ago");
        assert!(book.entries.contains_key(&number(1 << 20)), "still here");
    }
}
