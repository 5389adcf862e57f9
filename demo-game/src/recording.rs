//! The recorded inputs of a match, as a small file that a test can replay on another machine.
//!
//! ```text
//! magic     4 bytes  "DUEL"
//! version   1 byte   1
//! seats     1 byte   1 to 4
//! seed      8 bytes  little-endian
//! runs, until the end of the file:
//!   frames  2 bytes  little-endian, 1 to 65535: how long these inputs were held
//!   inputs  1 byte per seat, the bits of `Input`
//! ```
//!
//! The inputs are those that the session was given, frame by frame from 0. Reading is total: any
//! bytes give a recording or an error.

use thiserror::Error;

use crate::input::Input;
use crate::sim::tuning::MAX_SEATS;

const MAGIC: [u8; 4] = *b"DUEL";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 14;
/// An hour at 60 frames per second: more is not a test but a mistake, or an attack.
const MAX_FRAMES: usize = 60 * 60 * 60;

/// The seed and all inputs of a match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recording {
    seed: u64,
    seats: u8,
    /// `seats` inputs per frame.
    inputs: Vec<Input>,
}

/// Why bytes are not a recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file does not begin like a recording.
    #[error("not a recording of this game")]
    NotARecording,
    /// A format that this build cannot read.
    #[error("recorded in format {0}, but this build reads format {VERSION}; record it again")]
    OtherVersion(u8),
    /// No seats, or more than the game has.
    #[error("recorded with {0} seats; 1 to {MAX_SEATS} can play")]
    Seats(u8),
    /// It ends in the middle of a run, or has a run of zero frames.
    #[error("the recording is damaged at byte {0}")]
    Damaged(usize),
    /// It plays for longer than an hour.
    #[error("the recording is longer than {MAX_FRAMES} frames")]
    TooLong,
}

impl Recording {
    /// A recording without frames. Seats beyond the game's four are left out.
    #[must_use]
    pub fn new(seed: u64, seats: u8) -> Self {
        Self { seed, seats: seats.clamp(1, MAX_SEATS as u8), inputs: Vec::new() }
    }

    /// The seed of the match.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The number of seats.
    #[must_use]
    pub const fn seats(&self) -> u8 {
        self.seats
    }

    /// The number of frames that were recorded.
    #[must_use]
    pub fn frames(&self) -> u32 {
        (self.inputs.len() / usize::from(self.seats)) as u32
    }

    /// The input of `seat` in `frame`; none after the end.
    #[must_use]
    pub fn input(&self, frame: u32, seat: u8) -> Input {
        let index = frame as usize * usize::from(self.seats) + usize::from(seat);
        let input = (seat < self.seats).then(|| self.inputs.get(index)).flatten();
        input.copied().unwrap_or_default()
    }

    /// Appends a frame: `input` returns what each seat held.
    pub fn push_frame(&mut self, input: impl FnMut(u8) -> Input) {
        self.inputs.extend((0..self.seats).map(input));
    }

    /// The recording as a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([VERSION, self.seats]);
        bytes.extend(self.seed.to_le_bytes());
        let mut frames = self.inputs.chunks_exact(usize::from(self.seats)).peekable();
        while let Some(held) = frames.next() {
            let mut length = 1_u16;
            while length < u16::MAX && frames.next_if_eq(&held).is_some() {
                length += 1;
            }
            bytes.extend(length.to_le_bytes());
            bytes.extend(held.iter().map(|input| input.bits()));
        }
        bytes
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If the bytes are not a recording; the error names what is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordingError> {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(RecordingError::NotARecording)?;
        let [m, a, g, i, version, seats, seed @ ..] = *header;
        if [m, a, g, i] != MAGIC {
            return Err(RecordingError::NotARecording);
        }
        if version != VERSION {
            return Err(RecordingError::OtherVersion(version));
        }
        if !(1..=MAX_SEATS).contains(&usize::from(seats)) {
            return Err(RecordingError::Seats(seats));
        }
        let mut recording = Self::new(u64::from_le_bytes(seed), seats);
        let run_bytes = 2 + usize::from(seats);
        for (index, run) in bytes[HEADER_BYTES..].chunks(run_bytes).enumerate() {
            let damaged = RecordingError::Damaged(HEADER_BYTES + index * run_bytes);
            if run.len() != run_bytes {
                return Err(damaged);
            }
            let (length, held) = run.split_at(2);
            let length = usize::from(length[0]) | usize::from(length[1]) << 8;
            if length == 0 {
                return Err(damaged);
            }
            if recording.frames() as usize + length > MAX_FRAMES {
                return Err(RecordingError::TooLong);
            }
            for _ in 0..length {
                recording.push_frame(|seat| Input::from_bits(held[usize::from(seat)]));
            }
        }
        Ok(recording)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Recording {
        let mut recording = Recording::new(0xfeed_beef, 2);
        for frame in 0_u32..70_000 {
            recording.push_frame(|seat| Input::from_bits((frame / 66_000) as u8 + seat));
        }
        recording
    }

    #[test]
    fn a_file_gives_back_what_was_recorded() {
        let recording = sample();
        let bytes = recording.to_bytes();
        assert_eq!(bytes.len(), HEADER_BYTES + 3 * 4, "a run holds at most 65535 frames");
        assert_eq!(Recording::from_bytes(&bytes), Ok(recording));
    }

    #[test]
    fn an_empty_match_is_a_recording() {
        let recording = Recording::new(1, 4);
        assert_eq!(Recording::from_bytes(&recording.to_bytes()), Ok(recording.clone()));
        assert_eq!((recording.frames(), recording.input(0, 0)), (0, Input::NONE));
    }

    #[test]
    fn after_the_end_and_beyond_the_seats_nothing_is_held() {
        let recording = sample();
        assert_eq!(recording.input(69_999, 1), Input::from_bits(2));
        assert_eq!(recording.input(70_000, 1), Input::NONE);
        assert_eq!(recording.input(0, 2), Input::NONE);
    }

    #[test]
    fn an_error_names_what_is_wrong_with_the_file() {
        let good = sample().to_bytes();
        let with = |index: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[index] = byte;
            Recording::from_bytes(&bytes)
        };
        assert_eq!(with(0, b'X'), Err(RecordingError::NotARecording));
        assert_eq!(with(4, 9), Err(RecordingError::OtherVersion(9)));
        assert_eq!(with(5, 0), Err(RecordingError::Seats(0)));
        assert_eq!(with(5, 5), Err(RecordingError::Seats(5)));
        assert_eq!(Recording::from_bytes(&good[..13]), Err(RecordingError::NotARecording));
        assert_eq!(
            Recording::from_bytes(&good[..good.len() - 1]),
            Err(RecordingError::Damaged(22))
        );
        let mut empty_run = good[..HEADER_BYTES].to_vec();
        empty_run.extend([0, 0, 1, 1]);
        assert_eq!(Recording::from_bytes(&empty_run), Err(RecordingError::Damaged(14)));
        let mut endless = good[..HEADER_BYTES].to_vec();
        endless.extend([0xff, 0xff, 0, 0].repeat(100_000));
        assert_eq!(Recording::from_bytes(&endless), Err(RecordingError::TooLong));
    }

    #[test]
    fn no_prefix_of_a_file_panics() {
        let bytes = sample().to_bytes();
        for length in 0..bytes.len() {
            let _ = Recording::from_bytes(&bytes[..length]);
        }
    }
}
