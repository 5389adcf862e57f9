//! The inputs of this machine on their way into the session: read once per frame, and checked
//! before they are used.

use bevy::prelude::World;

use crate::{
    frame::SimFrame,
    input::{GameInput, LocalInputs},
    latch::Latches,
    packed_input::{InputProblem, MAX_INPUT_BYTES, PackedInput, UnfitInput},
    schedules::ReadInputs,
};

/// The inputs of this machine's seats as they were last read.
pub(super) struct Pressed {
    /// The frame that they are for. While the prediction window is full the same frame is tried
    /// again, and its inputs were taken already.
    frame: Option<u32>,
    inputs: Vec<PackedInput>,
    /// Whether all inputs are those of the frame before.
    are_held: bool,
}

impl Pressed {
    /// Nothing is read yet.
    pub(super) fn new() -> Self {
        Self { frame: None, inputs: Vec::new(), are_held: false }
    }

    /// Whether these are the inputs for `frame`.
    pub(super) fn is_of(&self, frame: u32) -> bool {
        self.frame == Some(frame)
    }

    pub(super) fn are_held(&self) -> bool {
        self.are_held
    }

    pub(super) fn inputs(&self) -> &[PackedInput] {
        &self.inputs
    }

    /// Reads the inputs of this machine for `frame`.
    ///
    /// # Errors
    ///
    /// If the game gave an input that cannot be sent, even if no other machine plays.
    pub(super) fn read<I: GameInput>(
        &mut self,
        world: &mut World,
        frame: u32,
        is_online: bool,
    ) -> Result<(), UnfitInput> {
        self.frame = Some(frame);
        world.resource_mut::<LocalInputs<I>>().clear();
        world.resource_mut::<SimFrame>().0 = frame;
        Latches::show_during(world, |world| world.run_schedule(ReadInputs));
        let packed = self.pack(world.resource::<LocalInputs<I>>(), is_online);
        packed.map_err(UnfitInput::new::<I>)
    }

    fn pack<I: GameInput>(
        &mut self,
        inputs: &LocalInputs<I>,
        is_online: bool,
    ) -> Result<(), InputProblem> {
        if self.is_of(0) {
            self.inputs.resize(inputs.values().len(), PackedInput::default());
        }
        self.are_held = true;
        for (pressed, input) in self.inputs.iter_mut().zip(inputs.values()) {
            let packed = PackedInput::pack(input)?;
            self.are_held &= packed == *pressed;
            *pressed = packed;
        }
        let bytes = self.inputs.iter().map(PackedInput::length).sum();
        // The seats of a local match may stand for as many machines of an online one.
        if is_online && bytes > MAX_INPUT_BYTES {
            return Err(InputProblem::TooLong { bytes, max: MAX_INPUT_BYTES });
        }
        Ok(())
    }
}

/// Refuses a match in which this machine has `seats` seats if their inputs could not be sent. The
/// default input takes no bytes itself, but shows how long the others are.
pub(super) fn check_size<I: GameInput>(seats: usize) -> Result<(), UnfitInput> {
    let bytes = PackedInput::full_length(&I::default()).map_err(UnfitInput::new::<I>)? * seats;
    let max = MAX_INPUT_BYTES;
    let problem = (bytes > max).then_some(InputProblem::TooLong { bytes, max });
    problem.map_or(Ok(()), |problem| Err(UnfitInput::new::<I>(problem)))
}
