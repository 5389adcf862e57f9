//! End to end: few tests, each with real WebRTC through the real server, some with a real browser.
//!
//! Each plays several processes in real time, so they run one at a time (`--test-threads 1`).
#![expect(clippy::print_stdout, reason = "measured times are worth reading in the log")]

mod bad_networks;
mod browser;
mod departures;
mod hidden_page;
mod hostile_signals;
mod matches;
mod restarts;
mod seeds;
mod stock_clients;
mod timing;

use std::time::Duration;

use e2e_tests::{Peer, PeerSettings};

/// Starts this package's `peer`.
fn start(settings: &PeerSettings) -> Peer {
    Peer::start(env!("CARGO_BIN_EXE_peer"), settings)
}

/// How long a peer that plays for `seconds` may take in all: to start, to meet, to play slowly on a machine under
/// load, to say goodbye.
fn patience(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds) * 2 + 60)
}
