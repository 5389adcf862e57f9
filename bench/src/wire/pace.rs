//! Sixty frames a second by the real clock, and the inputs that are played.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use demo_game::{input::Input, recording::Recording};

pub(super) const FPS: u32 = 60;
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / FPS as u64);

/// A match of four bots of the demo game: inputs change 4 to 15 times a second.
const RECORDING: &[u8] = include_bytes!("../../../demo-game/tests/recordings/four-bots.duel");

/// What one seat presses at each frame, over and over.
#[derive(Clone, Debug)]
pub(super) struct Script {
    recording: Arc<Recording>,
    seat: u8,
}

impl Script {
    /// The inputs of the `seat`th bot.
    ///
    /// # Panics
    ///
    /// If the recording, which is part of the repository, is damaged.
    pub(super) fn new(seat: u8) -> Self {
        let recording = Recording::from_bytes(RECORDING).expect("the demo's tests play it");
        Self { recording: Arc::new(recording), seat }
    }

    pub(super) fn at(&self, frame: u32) -> Input {
        self.recording.input(frame % self.recording.frames(), self.seat)
    }
}

/// Where the peers of one measurement stand.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Peers that play.
    pub(super) playing: AtomicUsize,
    pub(super) is_over: AtomicBool,
}

impl Signals {
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// Calls `frame` sixty times a second until the measurement is over. The peers draw out of step, as screens do.
pub(super) fn run(signals: &Signals, seat: u8, mut frame: impl FnMut()) {
    let mut due = Instant::now() + FRAME.mul_f32(f32::from(seat) / 4.0);
    while !signals.is_over() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        frame();
        due += FRAME;
    }
}
