//! The inputs of one seat, frame by frame from 0, as runs of equal ones.

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::datagram::InputRun;
use crate::packed_input::PackedInput;

/// Room for this many runs is never given back: it is filled again and again.
const MIN_CAPACITY: usize = 1024;

/// An input that was held for some frames.
#[derive(Clone, Copy, Debug)]
struct Run {
    frames: u32,
    input: PackedInput,
}

impl Run {
    /// The hash of inputs that end with `frames` frames of this one, where those before it have the
    /// hash `before`. Runs are as long as can be, so equal inputs have equal runs.
    fn hash_after(&self, before: u64, frames: u32) -> u64 {
        let mut bytes = Vec::new();
        self.input.write(&mut bytes);
        bytes.extend(frames.to_le_bytes());
        xxh3_64_with_seed(&bytes, before)
    }
}

/// Inputs of consecutive frames; the oldest are forgotten.
#[derive(Debug, Default)]
pub(super) struct InputStream {
    /// The oldest frame that is kept.
    first: u32,
    /// The first frame without an input.
    end: u32,
    /// No two that follow each other have the same input.
    runs: VecDeque<Run>,
    /// The hash of all inputs before `first`.
    forgotten: u64,
}

impl InputStream {
    /// The first frame without an input.
    pub(super) fn end(&self) -> u32 {
        self.end
    }

    /// Adds the input of the next frame.
    pub(super) fn push(&mut self, input: PackedInput) {
        self.end += 1;
        match self.runs.back_mut() {
            Some(run) if run.input == input => run.frames += 1,
            _ => self.runs.push_back(Run { frames: 1, input }),
        }
    }

    /// Adds the newest input again up to the frame `end`; the default input if there is none.
    pub(super) fn hold_up_to(&mut self, end: u32) {
        while self.end < end {
            self.push(self.runs.back().map(|run| run.input).unwrap_or_default());
        }
    }

    /// The inputs from the frame `from` on, with the number of frames that each is held. None if
    /// `from` is no longer kept.
    fn runs_from(&self, from: u32) -> impl Iterator<Item = Run> + '_ {
        // What is asked for is nearly always among the newest.
        let (mut index, mut begin) = (self.runs.len(), self.end);
        while begin > from && index > 0 {
            index -= 1;
            begin -= self.runs[index].frames;
        }
        let is_kept = (self.first..self.end).contains(&from);
        let mut skip = from.saturating_sub(begin);
        self.runs.iter().skip(index).take_while(move |_| is_kept).map(move |&run| {
            let frames = run.frames - std::mem::take(&mut skip);
            Run { frames, ..run }
        })
    }

    /// The input of each frame from `from` on.
    pub(super) fn inputs_from(&self, from: u32) -> impl Iterator<Item = PackedInput> + '_ {
        self.runs_from(from).flat_map(|run| std::iter::repeat_n(run.input, run.frames as usize))
    }

    /// The input of a frame, if it is kept.
    pub(super) fn get(&self, frame: u32) -> Option<PackedInput> {
        self.runs_from(frame).next().map(|run| run.input)
    }

    /// Whether the inputs from the frame `from` on equal the one of the frame before them, as every
    /// peer predicts.
    pub(super) fn is_held_from(&self, from: u32) -> bool {
        let Some(before) = from.checked_sub(1) else { return self.end == 0 };
        from >= self.end || self.runs_from(before).count() == 1
    }

    /// The inputs from the frame `from` on for the wire, for at most `max_frames`.
    pub(super) fn wire_runs(&self, from: u32, max_frames: u8) -> Vec<InputRun> {
        let mut runs = Vec::new();
        let mut left = max_frames;
        for Run { frames, input } in self.runs_from(from) {
            // As many as are left, if there are more than a byte can count.
            let frames = u8::try_from(frames).unwrap_or(u8::MAX).min(left);
            if frames == 0 {
                break;
            }
            left -= frames;
            runs.push(InputRun { frames, input });
        }
        runs
    }

    /// The hash of all inputs before the frame `end`; of those that are known, if they are fewer.
    pub(super) fn hash_before(&self, end: u32) -> u64 {
        let mut left = end.saturating_sub(self.first);
        let mut hash = self.forgotten;
        for run in &self.runs {
            if left == 0 {
                break;
            }
            let frames = run.frames.min(left);
            hash = run.hash_after(hash, frames);
            left -= frames;
        }
        hash
    }

    /// Takes other inputs for the frames from `first` on. Nothing happens if `first` is no longer
    /// kept, or beyond the end.
    pub(super) fn replace_from(&mut self, first: u32, inputs: impl Iterator<Item = PackedInput>) {
        if !(self.first..=self.end).contains(&first) {
            return;
        }
        while self.end > first
            && let Some(newest) = self.runs.back_mut()
        {
            let frames = newest.frames.min(self.end - first);
            newest.frames -= frames;
            self.end -= frames;
            if newest.frames == 0 {
                self.runs.pop_back();
            }
        }
        inputs.for_each(|input| self.push(input));
    }

    /// Forgets whole runs before the frame `needed`.
    pub(super) fn forget_before(&mut self, needed: u32) {
        while let Some(oldest) = self.runs.front()
            && self.first + oldest.frames <= needed
            && self.runs.len() > 1
        {
            self.forgotten = oldest.hash_after(self.forgotten, oldest.frames);
            self.first += oldest.frames;
            self.runs.pop_front();
        }
        let (capacity, runs) = (self.runs.capacity(), self.runs.len());
        if capacity > MIN_CAPACITY && capacity > 4 * runs {
            self.runs.shrink_to(2 * runs);
        }
    }

    /// The memory that the inputs take.
    pub(super) fn bytes(&self) -> usize {
        self.runs.capacity() * size_of::<Run>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(number: u8) -> PackedInput {
        PackedInput::from_bytes(&[number]).expect("it is short")
    }

    fn stream(inputs: &[u8]) -> InputStream {
        let mut stream = InputStream::default();
        inputs.iter().for_each(|&number| stream.push(input(number)));
        stream
    }

    fn run(frames: u8, number: u8) -> InputRun {
        InputRun { frames, input: input(number) }
    }

    #[test]
    fn inputs_that_are_held_are_one_run() {
        let stream = stream(&[0, 0, 5, 5, 5, 6]);
        assert_eq!(stream.wire_runs(1, 100), [run(1, 0), run(3, 5), run(1, 6)]);
        assert_eq!(stream.wire_runs(3, 100), [run(2, 5), run(1, 6)]);
        assert_eq!(stream.wire_runs(6, 100), []);
    }

    #[test]
    fn frames_beyond_the_most_that_are_sent_wait() {
        let stream = stream(&[1, 2, 2, 3]);
        assert_eq!(stream.wire_runs(0, 2), [run(1, 1), run(1, 2)]);
        assert_eq!(stream.wire_runs(0, 3), [run(1, 1), run(2, 2)]);
        assert_eq!(stream.wire_runs(0, 0), []);
        let mut long = InputStream::default();
        (0..1000).for_each(|_| long.push(input(1)));
        long.push(input(2));
        assert_eq!(long.wire_runs(0, 128), [run(128, 1)]);
    }

    #[test]
    fn held_means_as_in_the_frame_before() {
        let stream = stream(&[0, 0, 5, 5]);
        assert_eq!(
            (0..6).map(|from| stream.is_held_from(from)).collect::<Vec<_>>(),
            [false, false, false, true, true, true]
        );
        assert!(InputStream::default().is_held_from(0));
    }

    #[test]
    fn each_input_before_the_end_counts_in_the_hash() {
        let (one, other) = (stream(&[1, 1, 2, 3]), stream(&[1, 1, 2, 4]));
        assert_eq!(one.hash_before(3), other.hash_before(3));
        assert_ne!(one.hash_before(4), other.hash_before(4));
        assert_ne!(one.hash_before(1), one.hash_before(2));
        assert_eq!(one.hash_before(9), one.hash_before(4));
    }

    #[test]
    fn inputs_can_be_replaced_from_a_kept_frame_on() {
        let mut replaced = stream(&[1, 1, 1, 2, 3]);
        replaced.replace_from(2, [4, 2].map(input).into_iter());
        assert_eq!(replaced.inputs_from(0).collect::<Vec<_>>(), [1, 1, 4, 2].map(input));
        assert_eq!(replaced.hash_before(4), stream(&[1, 1, 4, 2]).hash_before(4));
        replaced.replace_from(9, [input(7)].into_iter());
        assert_eq!(replaced.end(), 4);
    }

    #[test]
    fn an_input_is_held_over_frames_that_are_left_out() {
        let mut held = stream(&[4, 5]);
        held.hold_up_to(5);
        held.hold_up_to(2);
        assert_eq!(held.inputs_from(0).collect::<Vec<_>>(), [4, 5, 5, 5, 5].map(input));
        let mut blank = InputStream::default();
        blank.hold_up_to(2);
        assert_eq!(blank.inputs_from(0).collect::<Vec<_>>(), [PackedInput::default(); 2]);
    }

    #[test]
    fn old_inputs_are_forgotten_run_by_run() {
        let mut old = stream(&[1, 1, 1, 2, 3]);
        old.forget_before(2);
        assert_eq!((old.get(0), old.end()), (Some(input(1)), 5));
        old.forget_before(4);
        assert_eq!((old.get(3), old.get(4), old.end()), (None, Some(input(3)), 5));
        assert_eq!(old.wire_runs(3, 100), []);
        let all = stream(&[1, 1, 1, 2, 3]);
        assert_eq!([4, 5].map(|end| old.hash_before(end)), [4, 5].map(|end| all.hash_before(end)));
        // The newest is kept: it is what is predicted.
        old.forget_before(100);
        assert_eq!((old.get(4), old.end()), (Some(input(3)), 5));
    }
}
