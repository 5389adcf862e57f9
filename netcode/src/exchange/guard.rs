//! Which of a peer's inputs may pass. Pure.
//!
//! ggrs takes everything that passes here without a panic: the frames of a seat come without a gap,
//! each once, and never further ahead than ggrs has room for. All bounds lie far outside of what
//! our own peers send.

use super::datagram::Stream;
use crate::packed_input::ReadInput;

/// At most this many frames of one seat in one datagram.
pub(crate) const MAX_INPUT_FRAMES: u8 = 128;
/// ggrs keeps 128 inputs of each seat, from before the oldest frame that it may roll back to, and
/// panics beyond that. Some are left free, because ggrs counts the frames at both ends differently.
const INPUT_ROOM: u32 = 120;

/// Why inputs were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadInputs {
    /// They cover more frames than any peer has to send, or a run of them has no frames.
    TooMany,
    /// They do not follow the inputs that are known.
    Gap,
    /// They acknowledge inputs that were never sent.
    FalseAck,
    /// Their sender is in the room, but not in the match.
    NoSeat,
    /// They are not inputs of this game, or not of seats of the sender, one stream for each.
    NotInputs,
}

/// What the session can take at this moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// The frame that we simulate next.
    pub(super) frame: u32,
    /// The first frame of our inputs that the peer lacks.
    pub(super) acked: u32,
    /// Frames that we may predict.
    pub(super) window: u32,
    /// The most frames that our inputs wait.
    pub(super) max_delay: u32,
}

impl Room {
    /// Inputs before this frame are taken now; the peer repeats those that come too early.
    pub(super) fn limit(&self) -> u32 {
        let room = INPUT_ROOM.saturating_sub(self.window);
        // Our own inputs reach beyond those of a peer by as much as the window plus the delay. So
        // we stop soon after a peer that acknowledges none of them, and do not repeat more and more
        // of them to it.
        let unacknowledged = room.saturating_sub(self.max_delay);
        (self.frame.saturating_add(room)).min(self.acked.saturating_add(unacknowledged))
    }
}

/// Checks the streams of a peer. `known_end` is the first frame for which no input of a seat is
/// known; it is `None` for a seat that the peer does not hold.
pub(super) fn check(
    streams: &[Stream],
    known_end: impl Fn(u8) -> Option<u32>,
    read: ReadInput,
) -> Result<(), BadInputs> {
    if !streams.is_sorted_by(|one, next| one.seat < next.seat) {
        return Err(BadInputs::NotInputs);
    }
    for stream in streams {
        let known_end = known_end(stream.seat).ok_or(BadInputs::NotInputs)?;
        let has_empty = stream.runs.iter().any(|run| run.frames == 0);
        if has_empty || stream.frames() > usize::from(MAX_INPUT_FRAMES) {
            return Err(BadInputs::TooMany);
        }
        if stream.first > known_end {
            return Err(BadInputs::Gap);
        }
        if !stream.runs.iter().all(|run| run.input.is_input(read)) {
            return Err(BadInputs::NotInputs);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{exchange::datagram::InputRun, packed_input::PackedInput};

    fn run(frames: u8, bytes: &[u8]) -> InputRun {
        InputRun { frames, input: PackedInput::from_bytes(bytes).expect("it is short") }
    }

    /// What the check says of inputs of a peer that holds the seats 1 and 3, whose inputs are known
    /// up to frame 10 and 12.
    fn checked(streams: &[(u8, u32, Vec<InputRun>)]) -> Result<(), BadInputs> {
        let stream = |(seat, first, runs): &(u8, u32, Vec<InputRun>)| Stream {
            seat: *seat,
            first: *first,
            runs: runs.clone(),
        };
        let streams: Vec<Stream> = streams.iter().map(stream).collect();
        let known_end = |seat| match seat {
            1 => Some(10),
            3 => Some(12),
            _ => None,
        };
        check(&streams, known_end, PackedInput::read::<bool>)
    }

    #[test]
    fn inputs_pass_that_follow_or_repeat_what_is_known() {
        assert_eq!(checked(&[]), Ok(()));
        for first in [0, 9, 10] {
            let runs = vec![run(3, &[1]), run(2, &[])];
            assert_eq!(checked(&[(1, first, runs.clone()), (3, first + 2, runs)]), Ok(()));
        }
        assert_eq!(checked(&[(3, 0, vec![run(128, &[1])])]), Ok(()));
    }

    #[test]
    fn inputs_that_no_peer_of_ours_sends_are_refused_whole() {
        let one = || vec![run(1, &[1])];
        let cases = [
            (vec![(1, 0, vec![run(128, &[1]), run(1, &[])])], BadInputs::TooMany),
            (vec![(1, 0, vec![run(0, &[1])])], BadInputs::TooMany),
            (vec![(1, 11, one())], BadInputs::Gap),
            (vec![(1, u32::MAX, one())], BadInputs::Gap),
            (vec![(1, 10, vec![run(1, &[2])])], BadInputs::NotInputs),
            (vec![(1, 10, vec![run(1, &[0])])], BadInputs::NotInputs),
            (vec![(1, 10, vec![run(1, &[1, 1])])], BadInputs::NotInputs),
            (vec![(0, 0, one())], BadInputs::NotInputs),
            (vec![(200, 0, one())], BadInputs::NotInputs),
            (vec![(3, 12, one()), (1, 10, one())], BadInputs::NotInputs),
            (vec![(1, 10, one()), (1, 10, one())], BadInputs::NotInputs),
            (vec![(1, 10, one()), (3, 13, one())], BadInputs::Gap),
        ];
        for (streams, reason) in cases {
            assert_eq!(checked(&streams), Err(reason), "{streams:?}");
        }
    }

    #[test]
    fn inputs_far_ahead_are_taken_as_far_as_there_is_room() {
        let room = Room { frame: 10, acked: 12, window: 8, max_delay: 2 };
        assert_eq!(room.limit(), 10 + 120 - 8);
        // The rest follows when we are further on.
        assert_eq!(Room { frame: 30, acked: 32, ..room }.limit(), 30 + 120 - 8);
        // A peer that acknowledges nothing is not followed for ever.
        assert_eq!(Room { frame: 1_000, acked: 3, ..room }.limit(), 3 + 120 - 8 - 2);
        assert_eq!(Room { frame: u32::MAX, acked: u32::MAX, ..room }.limit(), u32::MAX);
    }
}
