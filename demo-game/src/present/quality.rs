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
/// A frame longer than this means that the machine or the page was suspended, not that drawing is
/// slow.
const PAUSE: Duration = Duration::from_millis(700);

/// The quality of the drawing. It only ever drops: going back up would flicker between the two.
#[derive(Resource, Default, Debug)]
pub(crate) struct Quality {
    low: bool,
    slow_for: Duration,
}

impl Quality {
    /// Low quality from the start if the player asked for it, otherwise the best that the machine
    /// can afford.
    pub(crate) fn new(low: bool) -> Self {
        Self { low, slow_for: Duration::ZERO }
    }

    /// Whether bloom and HDR are off.
    pub(crate) fn is_low(&self) -> bool {
        self.low
    }

    /// Counts a rendered frame that took `delta`. Returns whether this one made quality drop.
    fn judge(&mut self, delta: Duration) -> bool {
        if self.low || delta > PAUSE {
            return false;
        }
        self.slow_for = if delta > SLOW_FRAME { self.slow_for + delta } else { Duration::ZERO };
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
}
