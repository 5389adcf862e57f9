//! The seats that one machine holds in a match. Pure.

use serde::{Deserialize, Serialize};

use crate::{config::MAX_SEATS, input::Seat};

// There is a bit for each seat that a match may have.
const _: () = assert!(MAX_SEATS as u32 == u16::BITS);

/// Some of the seats of a match, in no other order than that of their numbers.
///
/// It is a bit for each seat: so no bytes of a peer can name a seat twice for one machine, or one
/// that no match has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeatSet(u16);

impl SeatSet {
    /// `count` seats from `first` on, as far as there are any.
    pub(super) fn run(first: u8, count: u8) -> Self {
        let is_in_run = |seat: &u8| *seat >= first && *seat - first < count;
        Self::of(&Vec::from_iter((0..MAX_SEATS).filter(is_in_run)))
    }

    /// The seats with these numbers, which are below [`MAX_SEATS`].
    pub(crate) fn of(seats: &[u8]) -> Self {
        Self(seats.iter().fold(0, |bits, seat| bits | 1 << seat))
    }

    /// Adds other seats. Returns false if one of them was in the set already.
    #[must_use]
    pub(super) fn add(&mut self, other: Self) -> bool {
        let is_new = self.0 & other.0 == 0;
        self.0 |= other.0;
        is_new
    }

    pub(crate) fn len(self) -> u8 {
        self.0.count_ones() as u8
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether these are the first seats of a match, without a gap.
    pub(super) fn is_gapless(self) -> bool {
        self.0 & self.0.wrapping_add(1) == 0
    }

    /// The seats, in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = Seat> {
        (0..MAX_SEATS).filter(move |seat| self.0 >> seat & 1 == 1).map(Seat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seats: SeatSet) -> Vec<u8> {
        seats.iter().map(|seat| seat.0).collect()
    }

    #[test]
    fn a_run_ends_at_the_last_seat_of_any_match() {
        assert_eq!(numbers(SeatSet::run(1, 2)), [1, 2]);
        assert_eq!(numbers(SeatSet::run(15, 3)), [15]);
        assert!(SeatSet::run(0, 0).is_empty() && SeatSet::run(200, 100).is_empty());
        assert_eq!(SeatSet::run(0, u8::MAX).len(), MAX_SEATS);
    }

    #[test]
    fn the_first_seats_are_gapless_whichever_machine_holds_them() {
        for gapless in [&[][..], &[0], &[1, 0], &(0..16).collect::<Vec<u8>>()] {
            assert!(SeatSet::of(gapless).is_gapless(), "{gapless:?}");
        }
        for gap in [&[1][..], &[0, 2], &[15], &(1..16).collect::<Vec<u8>>()] {
            assert!(!SeatSet::of(gap).is_gapless(), "{gap:?}");
        }
    }

    #[test]
    fn a_seat_is_added_once() {
        let mut seats = SeatSet::of(&[0, 3]);
        assert!(seats.add(SeatSet::of(&[1, 2])));
        assert!(!seats.add(SeatSet::of(&[2, 4])));
        assert_eq!(numbers(seats), [0, 1, 2, 3, 4]);
    }
}
