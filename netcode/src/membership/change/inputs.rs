//! What the agreement needs to know of the inputs of the match.

use crate::exchange::{Exchange, Stream};

/// The inputs of all seats, as one machine knows them.
pub(crate) trait MatchInputs {
    /// The frame in a second. No honest machine gives inputs, or plans a change, from there on.
    fn limit(&self) -> u32;

    /// The first frame that is not exposed here: nothing before it is ever taken back. It is at
    /// most what more than half of the voters are known to have, and what is confirmed here, and
    /// stays as it is beyond a [`Hold`](super::agreement::Hold).
    fn exposed(&self) -> u32;

    /// The first frame whose inputs are not known to be known to all voters.
    fn stable(&self) -> u32;

    /// The first frame for which the input of a seat is missing here.
    fn end(&self, seat: u8) -> u32;

    /// The hash of all inputs of a seat before `end`, which is at most the end of its inputs.
    fn hash(&self, seat: u8, end: u32) -> u64;

    /// The inputs of each seat from the given frame on, as far as a message has room for them.
    fn streams(&self, ends: &[u32]) -> Vec<Stream>;

    /// Takes inputs that follow those that are known, up to the frame `before`. It ignores a stream
    /// that is none of the game, begins after a gap, or is of a seat of this machine.
    fn take(&mut self, stream: &Stream, before: u32);

    /// Takes inputs in place of those that are known from the first of them on, if all inputs of
    /// the seat before `before` then have this hash, and no exposed frame changes.
    fn replace(&mut self, stream: &Stream, before: u32, hash: u64);
}

impl MatchInputs for Exchange {
    fn limit(&self) -> u32 {
        self.limit()
    }

    fn exposed(&self) -> u32 {
        self.exposed()
    }

    fn stable(&self) -> u32 {
        self.stable()
    }

    fn end(&self, seat: u8) -> u32 {
        self.seat_end(usize::from(seat))
    }

    fn hash(&self, seat: u8, end: u32) -> u64 {
        self.seat_hash(usize::from(seat), end)
    }

    fn streams(&self, ends: &[u32]) -> Vec<Stream> {
        self.streams_from(ends)
    }

    fn take(&mut self, stream: &Stream, before: u32) {
        self.take_filled(stream, before);
    }

    fn replace(&mut self, stream: &Stream, before: u32, hash: u64) {
        self.replace_filled(stream, before, hash);
    }
}
