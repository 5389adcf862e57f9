//! The inputs of one machine, frame by frame from 0.

use std::collections::VecDeque;

use super::datagram::InputRun;

/// This many frames are kept: more than a peer of the match can lag behind, which is ggrs's 128.
const MAX_KEPT: usize = 192;
/// Bytes of a run besides its input: the number of frames, and the number of bytes.
const RUN_OVERHEAD: usize = 4;

/// Inputs of consecutive frames; the oldest are forgotten.
#[derive(Debug, Default)]
pub(super) struct InputLog {
    /// The oldest frame that is kept.
    first: u32,
    inputs: VecDeque<Vec<u8>>,
}

impl InputLog {
    /// The first frame without an input.
    pub(super) fn end(&self) -> u32 {
        self.first + self.inputs.len() as u32
    }

    /// Adds the input of the next frame.
    pub(super) fn push(&mut self, input: &[u8]) {
        // The buffer of the oldest input is reused.
        let oldest = (self.inputs.len() == MAX_KEPT).then(|| self.inputs.pop_front()).flatten();
        self.first += u32::from(oldest.is_some());
        let mut buffer = oldest.unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(input);
        self.inputs.push_back(buffer);
    }

    pub(super) fn get(&self, frame: u32) -> Option<&[u8]> {
        let index = frame.checked_sub(self.first)?;
        self.inputs.get(index as usize).map(|input| &input[..])
    }

    /// Whether the inputs of these frames equal the one of the frame before them, as every peer
    /// predicts.
    pub(super) fn is_held(&self, from: u32, to: u32) -> bool {
        let Some(before) = from.checked_sub(1) else { return from == to };
        let held = self.get(before);
        (from..to).all(|frame| self.get(frame) == held)
    }

    /// The inputs from `from` on, as many as fit into `max_bytes` and `max_frames`; at least one.
    /// `wire_form` turns an input as it is kept here into the bytes that are sent.
    pub(super) fn runs(
        &self,
        from: u32,
        max_bytes: usize,
        max_frames: usize,
        wire_form: impl Fn(&[u8]) -> Vec<u8>,
    ) -> Vec<InputRun> {
        let mut runs: Vec<InputRun> = Vec::new();
        let (mut bytes, mut before) = (0, None);
        for frame in (from..self.end()).take(max_frames) {
            let Some(input) = self.get(frame) else { break };
            if before.replace(input) == Some(input)
                && let Some(run) = runs.last_mut()
                && run.frames < u8::MAX
            {
                run.frames += 1;
                continue;
            }
            let input = wire_form(input);
            bytes += RUN_OVERHEAD + input.len();
            if bytes > max_bytes && !runs.is_empty() {
                break;
            }
            runs.push(InputRun { frames: 1, input });
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(inputs: &[u8]) -> InputLog {
        let mut log = InputLog::default();
        for &input in inputs {
            log.push(&[input]);
        }
        log
    }

    fn run(frames: u8, input: u8) -> InputRun {
        InputRun { frames, input: vec![input] }
    }

    fn runs(log: &InputLog, from: u32, max_bytes: usize, max_frames: usize) -> Vec<InputRun> {
        log.runs(from, max_bytes, max_frames, <[u8]>::to_vec)
    }

    #[test]
    fn inputs_that_are_held_are_one_run() {
        let log = log(&[0, 0, 5, 5, 5, 6]);
        assert_eq!(runs(&log, 1, 100, 100), [run(1, 0), run(3, 5), run(1, 6)]);
        assert_eq!(runs(&log, 6, 100, 100), []);
    }

    #[test]
    fn inputs_that_do_not_fit_wait_but_at_least_one_is_sent() {
        let log = log(&[1, 2, 2, 3]);
        assert_eq!(runs(&log, 0, 2 * (RUN_OVERHEAD + 1), 100), [run(1, 1), run(2, 2)]);
        assert_eq!(runs(&log, 0, 0, 100), [run(1, 1)]);
        assert_eq!(runs(&log, 0, 100, 2), [run(1, 1), run(1, 2)]);
    }

    #[test]
    fn held_means_as_in_the_frame_before() {
        let log = log(&[0, 0, 5, 5]);
        assert!(log.is_held(1, 2) && log.is_held(3, 4) && log.is_held(2, 2));
        assert!(!log.is_held(1, 3) && !log.is_held(2, 4) && !log.is_held(0, 1));
    }

    #[test]
    fn the_oldest_inputs_are_forgotten() {
        let mut log = InputLog::default();
        for frame in 0..1000u32 {
            log.push(&frame.to_le_bytes());
        }
        assert_eq!(log.end(), 1000);
        assert_eq!(log.get(999), Some(&999u32.to_le_bytes()[..]));
        assert_eq!((log.get(1000), log.get(1000 - MAX_KEPT as u32 - 1)), (None, None));
    }
}
