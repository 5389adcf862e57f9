//! What a headless peer leaves behind: one JSON object, and one line a second.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::clock::Stamp;
use super::observe::Snapshot;
use crate::report::{Checksums, Numbers};
use crate::ship_stats::{ShipReport, ShipStats};

/// The report of one peer. A run may hold several matches; numbers are those of the whole run unless said otherwise.
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
    /// Mean over the peers, as measured last.
    pub(super) rtt_ms: f64,
    /// Peers that were reached through a TURN server, as seen last in a match.
    pub(super) relayed_peers: usize,
    /// Since the process began: until connected to all players, until the first frame.
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
    /// What each seat did.
    pub(super) ships: Vec<ShipReport>,
    /// Where the session stood when the run ended.
    pub(super) state: String,
    /// Why it ended before its time; nothing if it did not.
    pub(super) end_reason: Option<String>,
}

impl PeerReport {
    /// Takes over the moment in which the room was entered.
    pub(super) fn joined(&mut self, stamp: Stamp) {
        self.joined_unix_ms.get_or_insert(stamp.unix_ms);
    }

    /// Takes over the moment in which all players were connected.
    pub(super) fn connected(&mut self, stamp: Stamp) {
        self.connected_ms.get_or_insert(stamp.since_start_ms);
        self.connected_unix_ms.get_or_insert(stamp.unix_ms);
    }

    /// Takes over the moment of the first frame.
    pub(super) fn first_frame(&mut self, stamp: Stamp) {
        self.first_frame_ms.get_or_insert(stamp.since_start_ms);
        self.first_frame_unix_ms.get_or_insert(stamp.unix_ms);
    }

    /// Takes over score and places of the run's last frame, and what the ships did on the way.
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

/// A line for whoever waits.
pub(super) fn print_line(line: &str) {
    // A reader that is gone is no reason to stop playing.
    let _ = writeln!(io::stdout(), "{line}");
}

/// A sentence for whoever started this.
pub(super) fn print_error(sentence: &str) {
    let _ = writeln!(io::stderr(), "demo-game: {sentence}");
}
