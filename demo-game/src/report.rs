//! The part that the reports of headless peers and of pages have in common: the session's numbers
//! and checksums, as JSON.

use netcode::Route;
use netcode::prelude::{Lobby, SessionStats};
use serde::Serialize;

/// Distance between the checksum frames of one match and those of the next: more than 4 hours of
/// frames, so the two never mix.
pub(crate) const FRAMES_PER_MATCH: u64 = 1_000_000;

/// The number of other peers that are reached through a TURN server.
pub(crate) fn relayed_peers(lobby: &Lobby) -> usize {
    lobby.peers.iter().filter(|peer| peer.route == Route::Relayed).count()
}

/// The session's counters and rates.
#[derive(Clone, Default, Debug, Serialize)]
pub(crate) struct Numbers {
    pub(crate) frames: u32,
    pub(crate) confirmed_frames: u32,
    pub(crate) rollbacks: u32,
    pub(crate) resimulated_frames: u32,
    pub(crate) max_rollback: u32,
    pub(crate) stalls: u32,
    pub(crate) desyncs: u32,
    /// Packets that were dropped, for any reason.
    pub(crate) dropped_packets: u32,
    pub(crate) datagrams_out_per_s: f32,
    pub(crate) datagrams_in_per_s: f32,
    pub(crate) bytes_out_per_s: f32,
    pub(crate) bytes_in_per_s: f32,
}

impl Numbers {
    /// Adds the counters of a match.
    pub(crate) fn add_match(&mut self, stats: &SessionStats) {
        self.frames += stats.frames;
        self.confirmed_frames += stats.confirmed_frames;
        self.rollbacks += stats.rollbacks;
        self.resimulated_frames += stats.resimulated_frames;
        self.max_rollback = self.max_rollback.max(stats.max_rollback);
        self.stalls += stats.stalls;
        self.desyncs += stats.desyncs;
        self.dropped_packets += stats.dropped.total();
    }

    /// Copies the current rates of the network.
    pub(crate) fn sample_rates(&mut self, stats: &SessionStats) {
        self.datagrams_out_per_s = stats.datagrams_out_per_s;
        self.datagrams_in_per_s = stats.datagrams_in_per_s;
        self.bytes_out_per_s = stats.bytes_out_per_s;
        self.bytes_in_per_s = stats.bytes_in_per_s;
    }
}

/// The newest checksum, and all of them: `[frame, "hex"]`. Frames of the second match begin at
/// 1,000,000, and so on.
#[derive(Clone, Default, Debug, Serialize)]
pub(crate) struct Checksums {
    pub(crate) checksum_frame: Option<u64>,
    pub(crate) checksum: Option<String>,
    pub(crate) checksums: Vec<(u64, String)>,
}

impl Checksums {
    /// Adds the checksums of the `number`th match, counted from 1, that are not here yet.
    pub(crate) fn add(&mut self, number: u32, log: impl Iterator<Item = (u32, u64)>) {
        let base = u64::from(number.saturating_sub(1)) * FRAMES_PER_MATCH;
        for (frame, checksum) in log {
            let frame = base + u64::from(frame);
            if self.checksum_frame.is_none_or(|newest| frame > newest) {
                let hex = format!("{checksum:016x}");
                self.checksums.push((frame, hex.clone()));
                (self.checksum_frame, self.checksum) = (Some(frame), Some(hex));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_add_up_and_the_deepest_rollback_counts() {
        let mut numbers = Numbers::default();
        for (frames, max_rollback) in [(100, 5), (50, 2)] {
            numbers.add_match(&SessionStats { frames, max_rollback, ..SessionStats::default() });
        }
        assert_eq!((numbers.frames, numbers.max_rollback), (150, 5));
    }

    #[test]
    fn checksums_of_two_matches_do_not_mix() {
        let mut checksums = Checksums::default();
        checksums.add(1, [(0, 1), (30, 2)].into_iter());
        checksums.add(1, [(0, 1), (30, 2), (60, 3)].into_iter());
        checksums.add(2, [(0, 9)].into_iter());
        let frames: Vec<u64> = checksums.checksums.iter().map(|&(frame, _)| frame).collect();
        assert_eq!(frames, [0, 30, 60, FRAMES_PER_MATCH]);
        assert_eq!(checksums.checksum.as_deref(), Some("0000000000000009"));
    }
}
