//! What tests ask about memory.

use super::Exchange;

impl Exchange {
    /// The memory that the inputs of all seats take.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.seats.iter().map(|seat| seat.stream.bytes()).sum()
    }
}
