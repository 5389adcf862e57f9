//! The inputs of this machine on their way into the session: read once per frame, and looked at
//! before anything is done with them.

use bevy::prelude::World;

use super::{Epoch, Kind, start::end, sync_test};
use crate::{
    frame::SimFrame,
    input::{GameInput, LocalInputs},
    latch::Latches,
    packed_input::{InputProblem, MAX_INPUT_BYTES, PackedInput, UnfitInput, wire_form},
    plugin::ReadInputs,
};

impl<I: GameInput> Epoch<I> {
    /// Reads the inputs of this machine for the present frame. False if the game gave one that
    /// cannot be sent: that ends the match, also where nobody else plays in it, so that it shows
    /// early.
    pub(super) fn read_inputs(&mut self, world: &mut World) -> bool {
        self.read_frame = Some(self.frame);
        world.resource_mut::<LocalInputs<I>>().clear();
        world.resource_mut::<SimFrame>().0 = self.frame;
        Latches::show_during(world, |world| world.run_schedule(ReadInputs));
        let Err(problem) = self.pack_inputs(world.resource::<LocalInputs<I>>()) else {
            return true;
        };
        let unfit = UnfitInput::new::<I>(problem);
        match self.kind {
            Kind::Match { .. } => end(world, unfit.into()),
            Kind::SyncTest(_) => sync_test::fail(world, unfit.into()),
        }
        false
    }

    fn pack_inputs(&mut self, inputs: &LocalInputs<I>) -> Result<(), InputProblem> {
        if self.frame == 0 {
            self.pressed.resize(inputs.values().len(), PackedInput::default());
        }
        self.are_held = true;
        for (pressed, input) in self.pressed.iter_mut().zip(inputs.values()) {
            let packed = PackedInput::pack(input)?;
            self.are_held &= packed == *pressed;
            *pressed = packed;
        }
        let bytes = self.pressed.iter().map(|input| input.length(self.default_length)).sum();
        // Seats of a local match may be those of as many machines elsewhere.
        if self.number != 0 && bytes > MAX_INPUT_BYTES {
            return Err(InputProblem::TooLong { bytes, max: MAX_INPUT_BYTES });
        }
        Ok(())
    }
}

/// What the default input travels as, in a match in which this machine has so many seats.
pub(super) fn default_input<I: GameInput>(seats: usize) -> Result<Vec<u8>, UnfitInput> {
    let default = wire_form(&I::default())?;
    let (bytes, max) = (default.len() * seats, MAX_INPUT_BYTES);
    if bytes > max {
        return Err(UnfitInput::new::<I>(InputProblem::TooLong { bytes, max }));
    }
    Ok(default)
}
