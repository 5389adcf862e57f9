//! From devices to one small value per seat and frame.

use std::fmt::Debug;

use bevy::prelude::Resource;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::codec::size_in_ggrs;

/// What an input type must be able to do; implemented by itself for every type that can.
///
/// Where one machine holds several seats, all values must have the same size when serialized: ggrs cuts the machine's
/// inputs into equal parts. Numbers, `bool`s, arrays, structs of them and enums without fields do; `Option`s and enums
/// with fields do not. A match for which that does not hold ends with [`EndReason::UnequalInputs`](crate::EndReason), also a
/// local one, so that it shows early.
///
/// Keep it to a few bytes: each one travels to every peer, for every frame that is not yet acknowledged. All seats of a machine together
/// may take 64 bytes, else no match can be started ([`StartRefusal::InputSize`](crate::StartRefusal)).
pub trait GameInput:
    Copy + PartialEq + Default + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<I> GameInput for I where
    I: Copy + PartialEq + Default + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// A player's place in the match, counted from 0; the same on all peers.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Seat(pub u8);

impl Seat {
    /// The seat as an index into per-seat arrays.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The inputs of this machine's seats for the next frame; fill it in [`ReadInputs`](crate::ReadInputs).
///
/// Every seat starts each frame with `I::default()`.
#[derive(Resource, Clone, Debug, Default)]
pub struct LocalInputs<I> {
    seats: Vec<Seat>,
    inputs: Vec<I>,
}

impl<I: GameInput> LocalInputs<I> {
    pub(crate) fn new(seats: Vec<Seat>) -> Self {
        let inputs = vec![I::default(); seats.len()];
        Self { seats, inputs }
    }

    /// Sets the input of one local seat; a seat that is not played on this machine is ignored.
    pub fn set(&mut self, seat: Seat, input: I) {
        if let Some(index) = self.seats.iter().position(|&local| local == seat) {
            self.inputs[index] = input;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.inputs.fill(I::default());
    }

    /// The inputs in order of the seats.
    pub(crate) fn values(&self) -> &[I] {
        &self.inputs
    }

    /// Whether ggrs can tell the inputs of the seats apart: it cuts their bytes into equal parts.
    pub(crate) fn can_be_told_apart(&self) -> bool {
        let size = size_in_ggrs(&I::default());
        self.inputs.len() < 2 || self.inputs.iter().all(|input| size_in_ggrs(input) == size)
    }

    /// The seats that are played on this machine, in order.
    #[must_use]
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Seat, I)> + '_ {
        self.seats.iter().copied().zip(self.inputs.iter().copied())
    }
}

/// The inputs of all seats for the frame that is being simulated.
#[derive(Resource, Clone, Debug, Default)]
pub struct PlayerInputs<I> {
    inputs: Vec<(I, bool)>,
}

impl<I: GameInput> PlayerInputs<I> {
    /// Replaces the inputs; the flag says whether the input is confirmed.
    pub(crate) fn replace(&mut self, inputs: impl Iterator<Item = (I, bool)>) {
        self.inputs.clear();
        self.inputs.extend(inputs);
    }

    /// The input of `seat`; `I::default()` for a seat that the match does not have.
    #[must_use]
    pub fn get(&self, seat: Seat) -> I {
        self.inputs.get(seat.index()).map_or_else(I::default, |&(input, _)| input)
    }

    /// Whether the input of `seat` is known rather than predicted.
    ///
    /// For display only: a simulation that depends on it differs between peers.
    #[must_use]
    pub fn is_confirmed(&self, seat: Seat) -> bool {
        self.inputs.get(seat.index()).is_some_and(|&(_, confirmed)| confirmed)
    }

    /// How many seats the match has.
    #[must_use]
    pub fn seats(&self) -> usize {
        self.inputs.len()
    }

    /// The inputs in order of the seats.
    pub(crate) fn iter(&self) -> impl Iterator<Item = I> + '_ {
        self.inputs.iter().map(|&(input, _)| input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_seats_take_inputs() {
        let mut inputs = LocalInputs::<u8>::new(vec![Seat(1), Seat(3)]);
        inputs.set(Seat(3), 7);
        inputs.set(Seat(0), 9);
        assert_eq!(inputs.iter().collect::<Vec<_>>(), [(Seat(1), 0), (Seat(3), 7)]);
        inputs.clear();
        assert_eq!(inputs.iter().map(|(_, input)| input).collect::<Vec<_>>(), [0, 0]);
    }

    #[test]
    fn inputs_of_different_sizes_cannot_be_told_apart() {
        let mut wide = LocalInputs::<(bool, u32)>::new(vec![Seat(0), Seat(1)]);
        wide.set(Seat(0), (true, u32::MAX));
        assert!(wide.can_be_told_apart());
        let mut alone = LocalInputs::<Option<u32>>::new(vec![Seat(0)]);
        alone.set(Seat(0), Some(1));
        assert!(alone.can_be_told_apart());
        let mut two = LocalInputs::<Option<u32>>::new(vec![Seat(0), Seat(1)]);
        assert!(two.can_be_told_apart());
        two.set(Seat(1), Some(1));
        assert!(!two.can_be_told_apart());
    }

    #[test]
    fn a_seat_that_does_not_exist_has_the_default_input() {
        let mut inputs = PlayerInputs::<u8>::default();
        inputs.replace([(5, true), (6, false)].into_iter());
        assert_eq!((inputs.get(Seat(0)), inputs.get(Seat(2))), (5, 0));
        assert!(inputs.is_confirmed(Seat(0)) && !inputs.is_confirmed(Seat(1)));
        assert!(!inputs.is_confirmed(Seat(2)));
    }
}
