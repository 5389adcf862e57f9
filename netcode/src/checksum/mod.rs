//! Checks whether all peers computed the same world, and if not, which types differ.
//!
//! Every `checksum_interval` frames, and at the end of a match, each peer hashes a confirmed frame
//! (one hash per registered type) and all inputs before it (one hash per seat), and sends the
//! hashes to the other peers. Only confirmed frames are compared: predictions may differ, confirmed
//! frames must not.
//!
//! `serializer` feeds a value to `hasher`, the log below compares the hashes of frames, and
//! `report` is what the game learns about a difference.

mod hasher;
mod report;
mod serializer;

use std::collections::VecDeque;

use bevy::prelude::{App, Resource};
use serde::{Deserialize, Serialize};
use signaling::protocol::PeerId;
use xxhash_rust::xxh3::Xxh3;

use crate::{config::MAX_SEATS, input::Seat};

pub(crate) use hasher::ValueHasher;
pub use report::{DesyncDetected, DesyncReport};

/// The number of checksums that are kept: two minutes at the default interval, far longer than any
/// peer lags behind another.
const MAX_KEPT: usize = 256;
/// The number of checksums of one peer that may wait for our own. A peer cannot be more frames
/// ahead of us than the session accepts inputs for. Each peer has a limit of its own, so that none
/// can push out what another peer reported.
const MAX_WAITING: usize = 128;

/// The checksums of the match's confirmed frames, oldest first. It stays readable until the next
/// match begins.
#[derive(Resource, Clone, Debug, Default)]
pub struct ChecksumLog {
    entries: VecDeque<Entry>,
    /// Checksums of peers for frames that are not confirmed here yet.
    waiting: Vec<(PeerId, Entry)>,
    compared: Vec<Compared>,
    /// Frames off the interval that a peer wants to compare.
    asked: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    frame: u32,
    hashes: FrameHashes,
}

/// The peer has already reported on this frame, so this report does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeated;

/// The result of all comparisons with one peer.
#[derive(Clone, Copy, Debug)]
struct Compared {
    peer: PeerId,
    /// The newest frame that was compared.
    frame: u32,
    /// Whether all compared frames were the same.
    is_same: bool,
}

/// The hashes of one frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FrameHashes {
    /// One per registered type, of the world before the frame.
    pub(crate) parts: Vec<u64>,
    /// One per seat, of all inputs before the frame.
    pub(crate) inputs: Vec<u64>,
}

/// What differs between two peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Differing {
    /// The types, in order of registration.
    pub(crate) types: Vec<usize>,
    /// The seats whose inputs differ.
    pub(crate) seats: Vec<Seat>,
}

impl Differing {
    fn between(ours: &FrameHashes, theirs: &FrameHashes) -> Option<Self> {
        let seats = differing_parts(&ours.inputs, &theirs.inputs);
        let seats = seats.into_iter().filter_map(|seat| u8::try_from(seat).ok());
        let seats = seats.filter(|&seat| seat < MAX_SEATS).map(Seat).collect();
        let differing = Self { types: differing_parts(&ours.parts, &theirs.parts), seats };
        (differing != Self::default()).then_some(differing)
    }
}

/// Folds the hashes of all types into one, so that equal parts do not cancel and swapped parts
/// differ.
fn combine(parts: &[u64]) -> u64 {
    let mut hasher = Xxh3::new();
    for part in parts {
        hasher.update(&part.to_le_bytes());
    }
    hasher.digest()
}

impl ChecksumLog {
    /// Adds a frame of our own, and returns how it differs from those of the peers that have
    /// already reported on it.
    pub(crate) fn push(&mut self, frame: u32, hashes: &FrameHashes) -> Vec<(PeerId, Differing)> {
        if self.entries.len() == MAX_KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { frame, hashes: hashes.clone() });
        self.asked.retain(|&asked| asked > frame);
        let (due, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(_, it)| it.frame <= frame);
        self.waiting = waiting;
        let due = due.into_iter().filter(|(_, theirs)| theirs.frame == frame);
        due.filter_map(|(peer, theirs)| Some((peer, self.compare(peer, hashes, &theirs)?)))
            .collect()
    }

    /// Takes a peer's report on a frame, and returns the difference if our own frame is already
    /// known.
    ///
    /// # Errors
    ///
    /// If the peer has already reported on that frame, or on a later one that was compared: its
    /// first report counts.
    pub(crate) fn receive(
        &mut self,
        peer: PeerId,
        frame: u32,
        hashes: FrameHashes,
    ) -> Result<Option<Differing>, Repeated> {
        let mut of_peer = self.waiting.iter().filter(|(other, _)| *other == peer);
        let is_repeated = of_peer.clone().any(|(_, waiting)| waiting.frame == frame);
        if is_repeated || self.is_compared(peer, frame) {
            return Err(Repeated);
        }
        let theirs = Entry { frame, hashes };
        if let Some(ours) = self.entries.iter().rev().find(|entry| entry.frame == frame) {
            let ours = ours.hashes.clone();
            return Ok(self.compare(peer, &ours, &theirs));
        }
        let is_news = self.entries.back().is_none_or(|newest| newest.frame < frame);
        if is_news && of_peer.nth(MAX_WAITING - 1).is_none() {
            self.waiting.push((peer, theirs));
        }
        Ok(None)
    }

    fn compare(&mut self, peer: PeerId, ours: &FrameHashes, theirs: &Entry) -> Option<Differing> {
        let differing = Differing::between(ours, &theirs.hashes);
        let (frame, is_same) = (theirs.frame, differing.is_none());
        match self.compared.iter_mut().find(|compared| compared.peer == peer) {
            Some(compared) => {
                (compared.frame, compared.is_same) = (frame, compared.is_same && is_same);
            }
            None => self.compared.push(Compared { peer, frame, is_same }),
        }
        differing
    }

    /// Returns whether this frame of a peer, or a later one, was compared with ours.
    pub(crate) fn is_compared(&self, peer: PeerId, frame: u32) -> bool {
        self.compared.iter().any(|compared| compared.peer == peer && compared.frame >= frame)
    }

    /// Returns whether all frames that were compared with a peer were the same.
    pub(crate) fn is_same(&self, peer: PeerId) -> bool {
        self.compared.iter().all(|compared| compared.peer != peer || compared.is_same)
    }

    /// Notes that a peer wants to compare this frame as well, because its match ends there.
    pub(crate) fn ask(&mut self, frame: u32) {
        if self.asked.len() < usize::from(MAX_SEATS) {
            self.asked.push(frame);
        }
    }

    /// Returns the first frame, from `frame` on, that a peer wants to compare.
    pub(crate) fn asked_from(&self, frame: u32) -> Option<u32> {
        self.asked.iter().copied().filter(|&asked| asked >= frame).min()
    }

    /// Returns the newest frame that has a checksum, and the checksum.
    #[must_use]
    pub fn latest(&self) -> Option<(u32, u64)> {
        self.entries.back().map(|entry| (entry.frame, combine(&entry.hashes.parts)))
    }

    /// Returns the checksum of `frame`, if one was computed and is among the last 256. Frames are
    /// hashed once they are confirmed: those on the `checksum_interval`, and the last of the match.
    #[must_use]
    pub fn get(&self, frame: u32) -> Option<u64> {
        let entry = self.entries.iter().find(|entry| entry.frame == frame)?;
        Some(combine(&entry.hashes.parts))
    }

    /// Iterates over all checksums that are kept, oldest first, as (frame, checksum).
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.entries.iter().map(|entry| (entry.frame, combine(&entry.hashes.parts)))
    }
}

/// Returns the indices of the parts that differ. A missing part counts as different.
pub(crate) fn differing_parts(ours: &[u64], theirs: &[u64]) -> Vec<usize> {
    (0..ours.len().max(theirs.len()))
        .filter(|&index| ours.get(index) != theirs.get(index))
        .collect()
}

/// Adds the checksum log, and the message that reports a desync.
pub(crate) fn plugin(app: &mut App) {
    app.init_resource::<ChecksumLog>().add_message::<DesyncDetected>();
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

    fn hashes(parts: &[u64]) -> FrameHashes {
        FrameHashes { parts: parts.to_vec(), inputs: vec![5, 5] }
    }

    fn types(received: Result<Option<Differing>, Repeated>) -> Vec<usize> {
        received.expect("the report is new").map(|differing| differing.types).unwrap_or_default()
    }

    #[test]
    fn a_difference_is_found_whichever_side_comes_first() {
        let mut log = ChecksumLog::default();
        assert_eq!(log.receive(peer(), 30, hashes(&[1, 9])), Ok(None));
        let found = log.push(30, &hashes(&[1, 2]));
        assert_eq!(found, [(peer(), Differing { types: vec![1], seats: Vec::new() })]);
        assert!(log.push(60, &hashes(&[3, 4])).is_empty());
        assert_eq!(types(log.receive(peer(), 60, hashes(&[0, 4]))), [0]);
        log.push(90, &hashes(&[3, 4]));
        assert_eq!(log.receive(peer(), 90, hashes(&[3, 4])), Ok(None));
        assert!(
            log.is_compared(peer(), 90) && !log.is_compared(peer(), 91) && !log.is_same(peer())
        );
    }

    #[test]
    fn a_missing_part_is_a_difference() {
        let mut log = ChecksumLog::default();
        log.push(30, &hashes(&[1, 2]));
        assert_eq!(types(log.receive(peer(), 30, hashes(&[1]))), [1]);
        log.push(60, &hashes(&[1, 2]));
        assert_eq!(types(log.receive(peer(), 60, hashes(&[1, 2, 3]))), [2]);
    }

    #[test]
    fn seats_whose_inputs_differ_are_named() {
        let mut log = ChecksumLog::default();
        log.push(30, &hashes(&[1]));
        let theirs = FrameHashes { parts: vec![1], inputs: vec![5, 6] };
        let seats = vec![Seat(1)];
        let differing = Differing { types: Vec::new(), seats };
        assert_eq!(log.receive(peer(), 30, theirs), Ok(Some(differing)));
    }

    #[test]
    fn the_first_report_of_a_peer_on_a_frame_counts() {
        let mut log = ChecksumLog::default();
        log.push(30, &hashes(&[1]));
        log.push(60, &hashes(&[1]));
        assert_eq!(types(log.receive(peer(), 60, hashes(&[2]))), [0]);
        for frame in [30, 60] {
            assert_eq!(log.receive(peer(), frame, hashes(&[2])), Err(Repeated));
        }
        // The first report counts, even while it waits.
        assert_eq!(log.receive(peer(), 90, hashes(&[2])), Ok(None));
        assert_eq!(log.receive(peer(), 90, hashes(&[1])), Err(Repeated));
        assert_eq!(log.push(90, &hashes(&[1])).len(), 1);
    }

    #[test]
    fn a_peer_cannot_push_out_what_another_peer_reported() {
        let mut log = ChecksumLog::default();
        let other = PeerId::from_u128(2);
        assert_eq!(log.receive(other, 30, hashes(&[9])), Ok(None));
        for frame in 0..10_000 {
            assert_eq!(log.receive(peer(), 40 + frame, hashes(&[1])), Ok(None));
        }
        assert_eq!(log.push(30, &hashes(&[1])).len(), 1);
    }

    #[test]
    fn memory_is_bounded_whatever_a_peer_sends() {
        let mut log = ChecksumLog::default();
        for frame in 0..10_000 {
            assert_eq!(log.receive(peer(), 1_000_000 + frame, hashes(&[1])), Ok(None));
            log.push(frame, &hashes(&[1]));
            log.ask(frame + 5_000);
        }
        assert!(log.waiting.len() <= MAX_KEPT && log.entries.len() <= MAX_KEPT);
        assert!(log.asked.len() <= usize::from(MAX_SEATS));
        assert_eq!(log.latest().map(|(frame, _)| frame), Some(9_999));
    }
}
