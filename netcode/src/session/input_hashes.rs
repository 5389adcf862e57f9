//! One hash per seat, of all inputs that the match was simulated with. Pure.
//!
//! Equal hashes with different worlds mean that the simulation is not deterministic; different
//! hashes mean that a machine gave different inputs to different peers.

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64;

use crate::codec::encode_into;

/// The hashes up to a frame, and the inputs of the frames after it.
#[derive(Debug, Default)]
pub(super) struct InputHashes {
    /// One hash per seat, of the inputs of all frames before `end`.
    hashes: Vec<u64>,
    end: u32,
    /// One hash per seat and frame, of the frames from `end` on: these may be simulated again.
    open: VecDeque<Vec<u64>>,
    /// Buffers that are reused.
    spare: Vec<Vec<u64>>,
    bytes: Vec<u8>,
}

impl InputHashes {
    /// The inputs of a match with `seats` seats.
    pub(super) fn new(seats: usize) -> Self {
        Self { hashes: vec![0; seats], ..Self::default() }
    }

    /// Notes the inputs that a frame is simulated with; those of an earlier simulation of the same
    /// frame no longer count. No frame may be left out.
    pub(super) fn note<I: serde::Serialize>(
        &mut self,
        frame: u32,
        inputs: impl Iterator<Item = I>,
    ) {
        let Some(index) = frame.checked_sub(self.end) else { return };
        let index = index as usize;
        if index >= self.open.len() {
            let buffer = self.spare.pop().unwrap_or_default();
            self.open.push_back(buffer);
        }
        let Some(hashes) = self.open.get_mut(index) else { return };
        hashes.clear();
        for input in inputs {
            self.bytes.clear();
            // An input that cannot be written counts up to the fault, alike on all machines.
            let _ = encode_into(&input, &mut self.bytes);
            hashes.push(xxh3_64(&self.bytes));
        }
    }

    /// Adds the inputs of all frames before `end`, which are final, to the hashes.
    pub(super) fn count_up_to(&mut self, end: u32) {
        while self.end < end
            && let Some(inputs) = self.open.pop_front()
        {
            for (hash, input) in self.hashes.iter_mut().zip(&inputs) {
                let mut both = [0; 16];
                both[..8].copy_from_slice(&hash.to_le_bytes());
                both[8..].copy_from_slice(&input.to_le_bytes());
                *hash = xxh3_64(&both);
            }
            self.spare.push(inputs);
            self.end += 1;
        }
    }

    /// One hash per seat, of the inputs of all frames that were added.
    pub(super) fn hashes(&self) -> &[u64] {
        &self.hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(frames: &[[u8; 2]], end: u32) -> Vec<u64> {
        let mut hashes = InputHashes::new(2);
        for (frame, inputs) in (0..).zip(frames) {
            hashes.note(frame, inputs.iter());
        }
        hashes.count_up_to(end);
        assert_eq!(hashes.end, end);
        hashes.hashes().to_vec()
    }

    #[test]
    fn each_input_of_a_seat_counts_at_its_frame() {
        let [one, other] = [hashes(&[[1, 2], [3, 4]], 2), hashes(&[[1, 2], [3, 5]], 2)];
        assert_eq!(one[0], other[0]);
        assert_ne!(one[1], other[1]);
        assert_ne!(hashes(&[[1, 1], [2, 1]], 2)[0], hashes(&[[2, 1], [1, 1]], 2)[0]);
        assert_ne!(hashes(&[[0, 0]], 1), hashes(&[[0, 0], [0, 0]], 2));
        // Later inputs do not count.
        assert_eq!(hashes(&[[1, 2], [3, 4]], 1), hashes(&[[1, 2], [9, 9]], 1));
    }

    #[test]
    fn the_last_simulation_of_a_frame_counts() {
        let mut corrected = InputHashes::new(1);
        for (frame, input) in [(0, 1), (1, 2), (2, 2), (1, 5), (2, 5)] {
            corrected.note(frame, [input].iter());
        }
        corrected.count_up_to(2);
        corrected.note(1, [7].iter());
        corrected.count_up_to(3);
        let mut plain = InputHashes::new(1);
        [(0, 1), (1, 5), (2, 5)]
            .iter()
            .for_each(|(frame, input)| plain.note(*frame, [input].iter()));
        plain.count_up_to(3);
        assert_eq!(corrected.hashes(), plain.hashes());
    }
}
