//! What a headless peer leaves behind: one JSON object, and one line a second.

use std::fs;
use std::io;
use std::path::Path;

use netcode::prelude::SessionStats;
use serde::Serialize;

use super::clock::Stamp;
use super::watch::{Snapshot, Travels};

/// Distance between the checksum frames of one match and those of the next: 4 hours of frames, so the two never mix.
pub(super) const FRAMES_PER_MATCH: u64 = 1_000_000;

/// The report of one peer. A run may hold several matches; numbers are those of the whole run unless said otherwise.
#[derive(Clone, Default, Debug, Serialize)]
pub(super) struct PeerReport {
    /// Our name.
    pub(super) name: String,
    /// Our seat in the last match.
    pub(super) seat: Option<u8>,
    /// Matches begun.
    pub(super) matches: u32,
    pub(super) frames: u32,
    pub(super) confirmed_frames: u32,
    pub(super) rollbacks: u32,
    pub(super) resimulated_frames: u32,
    pub(super) max_rollback: u32,
    pub(super) stalls: u32,
    pub(super) desyncs: u32,
    /// Packets that were dropped, for whatever reason.
    pub(super) dropped_packets: u32,
    /// Mean over the peers, as measured last.
    pub(super) rtt_ms: f64,
    pub(super) datagrams_out_per_s: f32,
    pub(super) datagrams_in_per_s: f32,
    pub(super) bytes_out_per_s: f32,
    pub(super) bytes_in_per_s: f32,
    /// Since the process began: until connected to all players, until the first frame.
    pub(super) connected_ms: Option<u64>,
    pub(super) first_frame_ms: Option<u64>,
    /// The same moments, and entering the room, in milliseconds since 1970.
    pub(super) joined_unix_ms: Option<u64>,
    pub(super) connected_unix_ms: Option<u64>,
    pub(super) first_frame_unix_ms: Option<u64>,
    /// Rounds won by each seat, at the last frame of the run; the same on all peers.
    pub(super) score: Vec<u8>,
    /// The newest checksum, and all of them: `[frame, "hex"]`. Frames of the second match begin at 1,000,000, and so on.
    pub(super) checksum_frame: Option<u64>,
    pub(super) checksum: Option<String>,
    pub(super) checksums: Vec<(u64, String)>,
    /// What each seat did.
    pub(super) ships: Vec<ShipReport>,
    /// Where the session stood when the run ended.
    pub(super) state: String,
    /// Why it ended before its time; nothing if it did not.
    pub(super) end_reason: Option<String>,
}

/// What one seat did.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ShipReport {
    pub(super) seat: u8,
    /// Where the ship was at the last frame of the run; where it was seen last if it was lost by then.
    pub(super) x: f32,
    pub(super) y: f32,
    /// How far it flew, in units.
    pub(super) travelled: f32,
    /// In how many frames its engine burned.
    pub(super) thrust_frames: u32,
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

    /// Adds the counters of a match that is over.
    pub(super) fn add_match(&mut self, stats: &SessionStats) {
        self.frames += stats.frames;
        self.confirmed_frames += stats.confirmed_frames;
        self.rollbacks += stats.rollbacks;
        self.resimulated_frames += stats.resimulated_frames;
        self.max_rollback = self.max_rollback.max(stats.max_rollback);
        self.stalls += stats.stalls;
        self.desyncs += stats.desyncs;
        self.dropped_packets += stats.dropped.total();
    }

    /// Takes over how fast the network is being used.
    pub(super) fn sample_rates(&mut self, stats: &SessionStats) {
        self.datagrams_out_per_s = stats.datagrams_out_per_s;
        self.datagrams_in_per_s = stats.datagrams_in_per_s;
        self.bytes_out_per_s = stats.bytes_out_per_s;
        self.bytes_in_per_s = stats.bytes_in_per_s;
    }

    /// Adds the checksums of the present match that are not in the report yet.
    pub(super) fn add_checksums(&mut self, log: impl Iterator<Item = (u32, u64)>) {
        let base = u64::from(self.matches.saturating_sub(1)) * FRAMES_PER_MATCH;
        for (frame, checksum) in log {
            let frame = base + u64::from(frame);
            if self.checksum_frame.is_none_or(|newest| frame > newest) {
                let hex = format!("{checksum:016x}");
                self.checksums.push((frame, hex.clone()));
                (self.checksum_frame, self.checksum) = (Some(frame), Some(hex));
            }
        }
    }

    /// Takes over score and places of the run's last frame, and what the ships did on the way.
    pub(super) fn add_ships(&mut self, snapshot: Option<&Snapshot>, travels: &Travels) {
        if let Some(snapshot) = snapshot {
            self.score.clone_from(&snapshot.score);
        }
        self.ships = travels
            .iter()
            .filter_map(|(seat, travel)| {
                let here =
                    snapshot.and_then(|snapshot| snapshot.ships.iter().find(|ship| ship.0 == seat));
                let place = here.map(|&(_, place)| place).or(travel.position)?;
                Some(ShipReport {
                    seat,
                    x: place.x,
                    y: place.y,
                    travelled: travel.travelled,
                    thrust_frames: travel.thrust_frames,
                })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_add_up_and_the_deepest_rollback_counts() {
        let mut report = PeerReport::default();
        for (frames, max_rollback) in [(100, 5), (50, 2)] {
            report.add_match(&SessionStats { frames, max_rollback, ..SessionStats::default() });
        }
        assert_eq!((report.frames, report.max_rollback), (150, 5));
    }

    #[test]
    fn checksums_of_two_matches_do_not_mix() {
        let mut report = PeerReport { matches: 1, ..PeerReport::default() };
        report.add_checksums([(0, 1), (30, 2)].into_iter());
        report.add_checksums([(0, 1), (30, 2), (60, 3)].into_iter());
        report.matches = 2;
        report.add_checksums([(0, 9)].into_iter());
        let frames: Vec<u64> = report.checksums.iter().map(|&(frame, _)| frame).collect();
        assert_eq!(frames, [0, 30, 60, FRAMES_PER_MATCH]);
        assert_eq!(report.checksum.as_deref(), Some("0000000000000009"));
    }
}
