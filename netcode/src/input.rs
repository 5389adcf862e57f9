//! The game's inputs: one small value per seat and frame.

use bevy::prelude::{App, Resource};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The input type of a game; implemented for every type with these traits.
///
/// Inputs are predicted, compared and sent as the bytes that they serialize to, and every machine
/// simulates what it reads from those bytes, even for its own inputs. So NaN and `-0.0` do no harm,
/// values may differ in size, and a field with `#[serde(skip)]` has its default in the simulation.
///
/// An input that does not serialize, or that cannot be read back from its own bytes, ends a match
/// with [`EndReason::UnfitInput`](crate::EndReason), even a local one, and fails a sync test, so
/// that the mistake shows early. If the default input is one of these, the app panics when the
/// plugin is added, because each seat has the default input until the input delay is over.
///
/// Keep an input to a few bytes: each one is sent to every peer again and again until it is
/// acknowledged. The inputs of all seats of one machine may take at most 64 bytes together. A list
/// in an input must hold values that take bytes: the length of a list of `()` could be anything.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// enum Order {
///     #[default]
///     Wait,
///     March { x: i16, y: i16 },
///     Say(String),
/// }
/// # fn is_input<I: netcode::GameInput>() {}
/// # is_input::<Order>();
/// ```
pub trait GameInput:
    Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<I> GameInput for I where
    I: Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// A player's seat in the match, counted from 0; the same on all peers.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Seat(pub u8);

impl Seat {
    /// Returns the seat as an index into per-seat arrays.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The inputs of this machine's seats for the next frame; set them in
/// [`ReadInputs`](crate::ReadInputs).
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

    /// Sets the input of one local seat. Does nothing if `seat` is not played on this machine.
    pub fn set(&mut self, seat: Seat, input: I) {
        if let Some(index) = self.seats.iter().position(|&local| local == seat) {
            self.inputs[index] = input;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.inputs.fill(I::default());
    }

    /// The inputs, in order of the seats.
    pub(crate) fn values(&self) -> &[I] {
        &self.inputs
    }

    /// Returns the seats that are played on this machine, in order.
    #[must_use]
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }
}

/// The inputs of all seats for the frame that is being simulated.
#[derive(Resource, Clone, Debug, Default)]
pub struct PlayerInputs<I> {
    inputs: Vec<(I, bool)>,
}

impl<I: GameInput> PlayerInputs<I> {
    /// Replaces the inputs. The flag of each is whether it is confirmed.
    pub(crate) fn replace(&mut self, inputs: impl Iterator<Item = (I, bool)>) {
        self.inputs.clear();
        self.inputs.extend(inputs);
    }

    /// Replaces the input of a seat of the match.
    pub(crate) fn set(&mut self, seat: Seat, input: I) {
        if let Some((old, _)) = self.inputs.get_mut(seat.index()) {
            *old = input;
        }
    }

    /// Returns the input of `seat`. It is `I::default()` if nobody plays the seat (its
    /// [`SeatState`](crate::SeatState) is `Away` or `Empty`, and no
    /// [`StandIn`](crate::StandIn) plays it), or if the match has no such seat.
    #[must_use]
    pub fn get(&self, seat: Seat) -> I {
        self.inputs.get(seat.index()).map_or_else(I::default, |(input, _)| input.clone())
    }

    /// Returns whether the input of `seat` is confirmed rather than predicted. It is if no player
    /// plays the seat.
    ///
    /// For display only: a simulation that depends on it differs between peers.
    #[must_use]
    pub fn is_confirmed(&self, seat: Seat) -> bool {
        self.inputs.get(seat.index()).is_some_and(|&(_, confirmed)| confirmed)
    }

    /// Returns the number of seats in the match.
    #[must_use]
    pub fn seats(&self) -> usize {
        self.inputs.len()
    }

    /// The inputs, in order of the seats.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &I> + '_ {
        self.inputs.iter().map(|(input, _)| input)
    }
}

/// Adds the inputs of this machine, and those of all seats.
pub(crate) fn plugin<I: GameInput>(app: &mut App) {
    app.init_resource::<LocalInputs<I>>().init_resource::<PlayerInputs<I>>();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_seats_take_inputs() {
        let mut inputs = LocalInputs::<u8>::new(vec![Seat(1), Seat(3)]);
        inputs.set(Seat(3), 7);
        inputs.set(Seat(0), 9);
        assert_eq!((inputs.seats(), inputs.values()), (&[Seat(1), Seat(3)][..], &[0, 7][..]));
        inputs.clear();
        assert_eq!(inputs.values(), [0, 0]);
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
