//! What a headless peer reports: one JSON object at the end, and lines on the terminal.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::clock::Stamp;
use super::observe::Snapshot;
use crate::report::{Checksums, Numbers};
use crate::ship_stats::{ShipReport, ShipStats};

/// The report of one peer. A run may have several matches; numbers are for the whole run unless
/// stated otherwise.
#[derive(Clone, Default, Debug, Serialize)]
pub(super) struct PeerReport {
    /// Our name.
    pub(super) name: String,
    /// Our seat in the last match.
    pub(super) seat: Option<u8>,
    /// Matches begun.
    pub(super) matches: u32,
    #[serde(flatten)]
    pub(super) numbers: Numbers,
    /// Mean over the peers, last measured.
    pub(super) rtt_ms: f64,
    /// Peers that were reached through a TURN server, last seen in a match.
    pub(super) relayed_peers: usize,
    /// From the start of the process until all players were connected, and until the first frame.
    pub(super) connected_ms: Option<u64>,
    pub(super) first_frame_ms: Option<u64>,
    /// The same moments, and entering the room, in milliseconds since 1970.
    pub(super) joined_unix_ms: Option<u64>,
    pub(super) connected_unix_ms: Option<u64>,
    pub(super) first_frame_unix_ms: Option<u64>,
    /// Rounds won by each seat, at the last frame of the run; the same on all peers.
    pub(super) score: Vec<u8>,
    #[serde(flatten)]
    pub(super) checksums: Checksums,
    /// The numbers of each ship.
    pub(super) ships: Vec<ShipReport>,
    /// The longest time between two frames that were simulated for the first time, less one step.
    pub(super) longest_freeze_ms: f64,
    /// How often something confirmed was taken back. Must be 0.
    pub(super) taken_back: u32,
    /// From the return of our network until our own inputs were confirmed again, if our seat was
    /// given up meanwhile.
    pub(super) back_after_ms: Option<f64>,
    /// The state of each seat when the run ended: peer, bot, away or empty.
    pub(super) roster: Vec<String>,
    /// The state of the session when the run ended.
    pub(super) state: String,
    /// Why the run ended early; `None` if it did not.
    pub(super) end_reason: Option<String>,
}

impl PeerReport {
    /// Notes when the room was entered, the first time.
    pub(super) fn joined(&mut self, stamp: Stamp) {
        self.joined_unix_ms.get_or_insert(stamp.unix_ms);
    }

    /// Notes when all players were connected, the first time.
    pub(super) fn connected(&mut self, stamp: Stamp) {
        self.connected_ms.get_or_insert(stamp.since_start_ms);
        self.connected_unix_ms.get_or_insert(stamp.unix_ms);
    }

    /// Notes when the first frame was played.
    pub(super) fn first_frame(&mut self, stamp: Stamp) {
        self.first_frame_ms.get_or_insert(stamp.since_start_ms);
        self.first_frame_unix_ms.get_or_insert(stamp.unix_ms);
    }

    /// Takes over score and positions of the run's last frame, and the numbers of the ships.
    pub(super) fn add_ships(&mut self, snapshot: Option<&Snapshot>, ship_stats: &ShipStats) {
        if let Some(snapshot) = snapshot {
            self.score.clone_from(&snapshot.score);
        }
        self.ships = ship_stats
            .iter()
            .filter_map(|(seat, stats)| {
                let here =
                    snapshot.and_then(|snapshot| snapshot.ships.iter().find(|ship| ship.0 == seat));
                stats.report(seat, here.map(|&(_, place)| place))
            })
            .collect();
    }

    /// Writes the report.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(file, text)
    }
}

/// Prints a line on stdout.
pub(super) fn print_line(line: &str) {
    // The peer plays on even if nobody reads its output any more.
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints an error, as a sentence, on stderr.
pub(super) fn print_error(sentence: &str) {
    let _ = writeln!(io::stderr(), "demo-game: {sentence}");
}
