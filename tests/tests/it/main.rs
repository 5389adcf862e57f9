//! End to end: a few tests, each with real WebRTC through the real server, some with a real
//! browser.
//!
//! Each runs several processes in real time, so only one test runs at a time (`--test-threads 1`).
#![expect(clippy::print_stdout, reason = "measured times are worth reading in the log")]

mod bad_networks;
mod browser;
mod departures;
mod going_on;
mod hidden_address;
mod hidden_page;
mod hostile_signals;
mod many_servers;
mod matches;
mod page;
mod relays;
mod restarts;
mod rooms;
mod seeds;
mod stock_clients;
mod timing;
#[cfg(target_os = "linux")]
mod visited_page;
#[cfg(target_os = "linux")]
mod visitors;

// The server's own tests start Redis as well.
#[expect(dead_code, reason = "here Redis is killed, but never only halted")]
#[path = "../../../signaling/tests/it/redis_server.rs"]
mod redis_server;

use std::time::Duration;

use e2e_tests::{Peer, PeerSettings, Report};

/// Starts this package's `peer`.
fn start(settings: &PeerSettings) -> Peer {
    Peer::start(env!("CARGO_BIN_EXE_peer"), settings)
}

/// Starts two peers that play for `seconds`; they are already playing when this returns.
fn two_in_match(room: &str, seconds: u32) -> [Peer; 2] {
    let mut peers =
        ["Ann", "Bob"].map(|name| start(&PeerSettings::new(room, name).seconds(seconds)));
    for peer in &mut peers {
        peer.wait_for_play(60);
    }
    peers
}

/// Waits until both have played for `seconds`. Returns their reports.
fn both_played(peers: [Peer; 2], seconds: u32) -> [Report; 2] {
    peers.map(|mut peer| peer.played(patience(seconds)))
}

/// The frame at or after which all peers must have a common checksum after `seconds` of play. The
/// last checksum of a run is at most an interval before its end, and a page may lack those that
/// were still in flight when its peer left.
fn last_checksum(seconds: u32) -> u64 {
    60 * u64::from(seconds) - 180
}

/// How long a peer that plays for `seconds` may take in total: to start, to meet, to play slowly on
/// a machine under load, and to say goodbye.
fn patience(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds) * 2 + 60)
}
