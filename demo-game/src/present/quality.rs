//! How much light the machine can afford: bloom and HDR, or neither.

use std::time::Duration;

use bevy::prelude::*;
use netcode::Lobby;

/// A rendered frame that takes longer than this is slow: below 25 frames per second.
const SLOW_FRAME: Duration = Duration::from_millis(40);
/// Frames must be slow for this long before quality drops: one hiccup says nothing.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time after the start during which shaders compile, so that frame times are not typical.
const WARM_UP: Duration = Duration::from_secs(3);
/// A single frame longer than this means that the machine or the page was suspended; several of
/// them in a row mean that drawing is that slow. No frame counts as more.
const PAUSE: Duration = Duration::from_millis(700);

/// The quality of the drawing. It only ever drops: going back up would flicker between the two.
#[derive(Resource, Default, Debug)]
pub(crate) struct Quality {
    low: bool,
    slow_for: Duration,
    /// Whether the last frame was longer than [`PAUSE`].
    was_pause: bool,
}

impl Quality {
    /// Low quality from the start if the player asked for it, otherwise the best that the machine
    /// can afford.
    pub(crate) fn new(low: bool) -> Self {
        Self { low, ..Self::default() }
    }

    /// Whether bloom and HDR are off.
    pub(crate) fn is_low(&self) -> bool {
        self.low
    }

    /// Counts a rendered frame that took `delta`. Returns whether this one made quality drop.
    fn judge(&mut self, delta: Duration) -> bool {
        let is_first_pause = delta > PAUSE && !self.was_pause;
        self.was_pause = delta > PAUSE;
        if self.low || is_first_pause {
            return false;
        }
        let is_slow = delta > SLOW_FRAME;
        self.slow_for = if is_slow { self.slow_for + delta.min(PAUSE) } else { Duration::ZERO };
        self.low = self.slow_for >= PATIENCE;
        self.low
    }
}

pub(super) fn judge_quality(
    time: Res<Time<Real>>,
    lobby: Res<Lobby>,
    mut quality: ResMut<Quality>,
) {
    // A hidden page is updated rarely, and draws nothing.
    let is_typical = time.elapsed() > WARM_UP && !lobby.is_hidden;
    if is_typical && quality.bypass_change_detection().judge(time.delta()) {
        quality.set_changed();
        info!("frames are slow: drawing without bloom from now on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seconds_of_slow_frames_drop_the_quality_and_one_good_frame_starts_again() {
        let slow = Duration::from_millis(50);
        let mut quality = Quality::default();
        for _ in 0..39 {
            assert!(!quality.judge(slow));
        }
        assert!(!quality.judge(Duration::from_millis(16)));
        for _ in 0..39 {
            assert!(!quality.judge(slow));
        }
        assert!(quality.judge(slow));
        assert!(quality.is_low());
    }

    #[test]
    fn the_slowest_machine_drops_the_quality_and_a_suspended_one_does_not() {
        let mut quality = Quality::default();
        let judged = [1; 5].map(|seconds| quality.judge(Duration::from_secs(seconds)));
        assert_eq!(judged, [false, false, false, true, false]);
        let mut quality = Quality::default();
        for _ in 0..100 {
            assert!(!quality.judge(Duration::from_secs(3600)), "suspended");
            assert!(!quality.judge(Duration::from_millis(16)));
        }
    }
}
