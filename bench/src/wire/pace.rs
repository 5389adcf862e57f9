//! Sixty frames a second by the real clock.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

pub(super) const FPS: u32 = 60;
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / FPS as u64);

/// The progress of the peers of one measurement.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// The number of peers that play.
    pub(super) playing: AtomicUsize,
    /// The sum of the frames that the peers played.
    pub(super) frames: AtomicU32,
    pub(super) is_over: AtomicBool,
}

impl Signals {
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// Calls `frame` sixty times a second until the measurement is over. The peers draw out of step, as
/// screens do.
pub(super) fn run(signals: &Signals, seat: u8, mut frame: impl FnMut()) {
    let mut due = Instant::now() + FRAME.mul_f32(f32::from(seat) / 4.0);
    while !signals.is_over() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        frame();
        due += FRAME;
    }
}
