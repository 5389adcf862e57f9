//! The measurements of a match.

use std::time::Duration;

use demo_game::input::Input;
use serde::{Deserialize, Serialize};

use super::FPS;

/// The simulated state of one seat: enough to show whether two peers computed the same, and which
/// inputs are on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Played {
    sum: u64,
    last: u8,
    pub(super) changes: u32,
}

impl Played {
    pub(super) fn step(&mut self, input: Input) {
        self.sum = self.sum.wrapping_mul(31).wrapping_add(u64::from(input.bits()) + 1);
        self.changes += u32::from(self.last != input.bits());
        self.last = input.bits();
    }
}

/// The counts of a match, over all its peers.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    peers: usize,
    seconds: u32,
    pub(super) frames: Vec<u32>,
    pub(super) stalls: u32,
    pub(super) rollbacks: Vec<u32>,
    /// The mean input delay, in frames.
    pub(super) delay: f32,
    pub(super) do_agree: bool,
    /// The times at which each seat changed its input.
    pressed: Vec<Vec<Duration>>,
    /// The number of changes of each seat that each peer has shown.
    shown: Vec<Vec<usize>>,
    latencies: Vec<Duration>,
}

impl Outcome {
    pub(super) fn new(peers: usize, seconds: u32) -> Self {
        Self {
            peers,
            seconds,
            frames: vec![0; peers],
            pressed: vec![Vec::new(); peers],
            shown: vec![vec![0; peers]; peers],
            ..Self::default()
        }
    }

    /// Notes that a seat pressed or released a key.
    pub(super) fn press(&mut self, now: Duration, seat: usize) {
        self.pressed[seat].push(now);
    }

    /// Notes that a peer shows this number of changes of a seat.
    pub(super) fn show(&mut self, now: Duration, peer: usize, seat: usize, changes: u32) {
        if peer == seat {
            return;
        }
        let (shown, pressed) = (&mut self.shown[peer][seat], &self.pressed[seat]);
        while *shown < (changes as usize).min(pressed.len()) {
            self.latencies.push(now.saturating_sub(pressed[*shown]));
            *shown += 1;
        }
    }

    pub(super) fn stalls_per_min(&self) -> f64 {
        f64::from(self.stalls) * 60.0 / f64::from(self.seconds) / self.peers as f64
    }

    pub(super) fn rollbacks_per_100(&self) -> f64 {
        let frames: u32 = self.frames.iter().sum();
        self.rollbacks.len() as f64 * 100.0 / f64::from(frames.max(1))
    }

    /// The median, 95th and 99th percentile of the depth of rollbacks, in frames.
    pub(super) fn depths(&self) -> [u32; 3] {
        let mut depths = self.rollbacks.clone();
        depths.sort_unstable();
        [0.5, 0.95, 0.99].map(|part| {
            let index = (depths.len() as f64 * part) as usize;
            depths.get(index.min(depths.len().saturating_sub(1))).copied().unwrap_or(0)
        })
    }

    /// Frames that the slowest peer did not play, out of those that fit into the time.
    pub(super) fn frames_lost(&self) -> u32 {
        let slowest = self.frames.iter().min().copied().unwrap_or(0);
        (self.seconds * FPS).saturating_sub(slowest)
    }

    /// The median time from a key press to its appearance on another machine's screen.
    pub(super) fn latency(&self) -> Duration {
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        latencies.get(latencies.len() / 2).copied().unwrap_or_default()
    }
}
