//! The inputs for comparing networks: a recorded match of the demo game's bots.

use std::sync::Arc;

use demo_game::{input::Input, recording::Recording};

/// Inputs change 4 to 15 times a second.
const RECORDING: &[u8] = include_bytes!("../../demo-game/tests/recordings/four-bots.duel");
/// The fifth player and all further ones use the inputs of the first four, this many frames ahead.
const NEXT_FOUR_FRAMES: u32 = 1000;

/// The inputs of one seat at each frame, repeated without end.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    recording: Arc<Recording>,
    seat: u8,
}

impl Script {
    /// The inputs of the player in this seat, counted from 0.
    ///
    /// # Panics
    ///
    /// If the recording, which is part of the repository, is damaged.
    pub(crate) fn new(seat: u8) -> Self {
        let recording = Recording::from_bytes(RECORDING).expect("the demo's tests play it");
        Self { recording: Arc::new(recording), seat }
    }

    pub(crate) fn at(&self, frame: u32) -> Input {
        let seats = self.recording.seats();
        let frame = frame + NEXT_FOUR_FRAMES * u32::from(self.seat / seats);
        self.recording.input(frame % self.recording.frames(), self.seat % seats)
    }

    /// Returns whether the input of this frame differs from that of the frame before.
    pub(crate) fn changes_at(&self, frame: u32) -> bool {
        let before = frame.checked_sub(1).map_or(Input::NONE, |before| self.at(before));
        self.at(frame) != before
    }
}
