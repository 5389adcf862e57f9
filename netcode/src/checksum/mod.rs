//! Did we all compute the same world, and if not: which types differ?
//!
//! Every `checksum_interval` frames each peer hashes a confirmed frame, one hash per registered type, and
//! tells the others. Only confirmed frames are compared: predictions may differ, confirmed frames may not.

mod hasher;
mod serializer;

use std::{collections::VecDeque, fmt};

use bevy::prelude::{Message, Resource};
use signaling::protocol::PeerId;
use xxhash_rust::xxh3::Xxh3;

use crate::diagnostics::SessionStats;

pub(crate) use hasher::ValueHasher;

/// Frames of one peer that wait for ours: eight seconds at the default interval. A peer that is
/// further on, or says so, must not push out what others said.
const MAX_WAITING_PER_PEER: usize = 16;
/// Checksums kept: two minutes at the default interval, far longer than any peer lags behind another.
const MAX_KEPT: usize = 256;

/// Two peers computed different worlds for the same confirmed frame.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DesyncDetected(pub DesyncReport);

/// What is known of a desync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesyncReport {
    /// A compared frame that differs. The cause of the first one lies at most one checksum interval before it; from then on
    /// every compared frame is reported.
    pub frame: u32,
    /// The peer that computed something else.
    pub peer: PeerId,
    /// The registered types whose values differ.
    pub types: Vec<String>,
}

impl fmt::Display for DesyncReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { frame, peer, types } = self;
        write!(
            f,
            "desync: frame {frame} differs from that of peer {peer}: `{}`. ",
            types.join("`, `")
        )?;
        if *frame == 0 {
            f.write_str("That is what `SetupMatch` made. ")?;
        } else {
            f.write_str("The cause lies at most one checksum interval before the first frame that is reported. ")?;
        }
        f.write_str("The sync test in chaos most often names the field; if it passes, see \"When two peers disagree\" in netcode's README.")
    }
}

impl DesyncReport {
    /// Counts it, and logs the first one of a match: from then on every compared frame differs.
    pub(crate) fn count(&self, stats: &mut SessionStats) {
        if stats.desyncs == 0 {
            tracing::error!("{self}");
        }
        stats.desyncs += 1;
    }
}

/// The checksums of this match's confirmed frames, newest last. Stays readable until the next match begins.
#[derive(Resource, Clone, Debug, Default)]
pub struct ChecksumLog {
    entries: VecDeque<Entry>,
    /// Who gave a checksum for a frame of `entries`: only the first one of each peer counts.
    heard: VecDeque<(u32, PeerId)>,
    /// Checksums of peers for frames that are not confirmed here yet.
    waiting: VecDeque<(PeerId, Entry)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    frame: u32,
    parts: Vec<u64>,
}

/// Folds the hashes of all types into one, in such a way that equal parts do not cancel and swapped parts differ.
fn combine(parts: &[u64]) -> u64 {
    let mut hasher = Xxh3::new();
    for part in parts {
        hasher.update(&part.to_le_bytes());
    }
    hasher.digest()
}

impl ChecksumLog {
    /// Adds a frame of our own, and returns the disagreements that this settles: (peer, differing parts).
    pub(crate) fn push(&mut self, frame: u32, parts: &[u64]) -> Vec<(PeerId, Vec<usize>)> {
        if self.entries.len() == MAX_KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { frame, parts: parts.to_vec() });
        let oldest = self.entries.front().map_or(0, |entry| entry.frame);
        self.heard.retain(|&(frame, _)| frame >= oldest);
        let Self { waiting, heard, .. } = self;
        let mut found = Vec::new();
        waiting.retain(|(peer, theirs)| {
            if theirs.frame == frame {
                heard.push_back((frame, *peer));
                let differing = differing_parts(parts, &theirs.parts);
                if !differing.is_empty() {
                    found.push((*peer, differing));
                }
            }
            theirs.frame > frame
        });
        found
    }

    /// Takes what a peer says of a frame; returns the parts that differ, if our own frame is known
    /// already. None if the peer has said something of that frame before.
    pub(crate) fn receive(
        &mut self,
        peer: PeerId,
        frame: u32,
        parts: Vec<u64>,
    ) -> Option<Vec<usize>> {
        let waiting = self.waiting.iter().map(|(other, theirs)| (theirs.frame, *other));
        if waiting.chain(self.heard.iter().copied()).any(|it| it == (frame, peer)) {
            return None;
        }
        if let Some(ours) = self.entries.iter().rev().find(|entry| entry.frame == frame) {
            self.heard.push_back((frame, peer));
            return Some(differing_parts(&ours.parts, &parts));
        }
        if self.entries.back().is_none_or(|newest| newest.frame < frame) {
            let mut theirs = self.waiting.iter().filter(|(other, _)| *other == peer);
            if theirs.nth(MAX_WAITING_PER_PEER - 1).is_some() {
                let first = self.waiting.iter().position(|(other, _)| *other == peer);
                first.and_then(|first| self.waiting.remove(first));
            }
            self.waiting.push_back((peer, Entry { frame, parts }));
        }
        Some(Vec::new())
    }

    /// The newest frame with a checksum, and the checksum.
    #[must_use]
    pub fn latest(&self) -> Option<(u32, u64)> {
        self.entries.back().map(|entry| (entry.frame, combine(&entry.parts)))
    }

    /// The checksum of `frame`, if it is on the interval, confirmed, and among the last 256.
    #[must_use]
    pub fn get(&self, frame: u32) -> Option<u64> {
        let entry = self.entries.iter().find(|entry| entry.frame == frame)?;
        Some(combine(&entry.parts))
    }

    /// All kept checksums, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.entries.iter().map(|entry| (entry.frame, combine(&entry.parts)))
    }
}

/// Indices of the parts that differ; a missing part differs.
pub(crate) fn differing_parts(ours: &[u64], theirs: &[u64]) -> Vec<usize> {
    (0..ours.len().max(theirs.len()))
        .filter(|&index| ours.get(index) != theirs.get(index))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> PeerId {
        PeerId::from_u128(1)
    }

    #[test]
    fn equal_parts_do_not_cancel_and_swapped_parts_differ() {
        assert_ne!(combine(&[5, 5]), combine(&[6, 6]));
        assert_ne!(combine(&[1, 2]), combine(&[2, 1]));
    }

    #[test]
    fn a_difference_is_found_whoever_is_first() {
        let mut log = ChecksumLog::default();
        assert_eq!(log.receive(peer(), 30, vec![1, 9]), Some(vec![]));
        assert_eq!(log.push(30, &[1, 2]), [(peer(), vec![1])]);
        assert!(log.push(60, &[3, 4]).is_empty());
        assert_eq!(log.receive(peer(), 60, vec![0, 4]), Some(vec![0]));
        assert_eq!(log.receive(PeerId::from_u128(2), 60, vec![3, 4]), Some(vec![]));
    }

    #[test]
    fn only_the_first_checksum_of_a_peer_for_a_frame_counts() {
        let mut log = ChecksumLog::default();
        log.push(30, &[1]);
        assert_eq!(log.receive(peer(), 30, vec![2]), Some(vec![0]));
        assert_eq!(log.receive(peer(), 30, vec![2]), None, "it was compared");
        assert_eq!(log.receive(peer(), 60, vec![2]), Some(vec![]));
        assert_eq!(log.receive(peer(), 60, vec![3]), None, "it waits");
        assert_eq!(log.push(60, &[1]), [(peer(), vec![0])]);
        assert_eq!(log.receive(peer(), 60, vec![1]), None, "it waited");
    }

    #[test]
    fn early_checksums_of_one_peer_push_out_none_of_another() {
        let mut log = ChecksumLog::default();
        let other = PeerId::from_u128(2);
        log.receive(other, 30, vec![9]);
        for frame in 31..1000 {
            log.receive(peer(), frame, vec![9]);
        }
        assert!(log.waiting.len() <= 1 + MAX_WAITING_PER_PEER);
        assert_eq!(log.push(30, &[1]), [(other, vec![0])]);
    }

    #[test]
    fn a_missing_part_is_a_difference() {
        let mut log = ChecksumLog::default();
        log.push(30, &[1, 2]);
        assert_eq!(log.receive(peer(), 30, vec![1]), Some(vec![1]));
        assert_eq!(log.receive(PeerId::from_u128(2), 30, vec![1, 2, 3]), Some(vec![2]));
    }

    #[test]
    fn memory_is_bounded_whatever_a_peer_sends() {
        let mut log = ChecksumLog::default();
        for frame in 0..10_000 {
            log.receive(peer(), 1_000_000 + frame, vec![1]);
            log.push(frame, &[1]);
        }
        assert!(log.waiting.len() <= MAX_WAITING_PER_PEER && log.entries.len() <= MAX_KEPT);
        for frame in 0..10_000 {
            log.receive(peer(), frame, vec![1]);
        }
        assert!(log.heard.len() <= MAX_KEPT);
        assert_eq!(log.latest().map(|(frame, _)| frame), Some(9_999));
    }
}
