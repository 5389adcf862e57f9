//! Decides when to step, from real time and from how far we are ahead of the other peers. Pure.
//!
//! Unlike in ggrs, the correction is two-sided: a peer that is ahead slows down and a peer that is
//! behind speeds up, so both share it.

use std::time::Duration;

use bevy::prelude::{App, Resource};

use crate::config::NetcodeConfig;

/// The largest change of speed: at 60 fps, a step that is 0.3 ms longer or shorter, which nobody
/// notices.
const MAX_SPEED_CHANGE: f32 = 0.02;
/// The lead or lag at which the speed changes by that much. A smaller one is corrected in
/// proportion, down to zero: a lead that remained would make one peer roll back more than the
/// other.
const FULL_CORRECTION_FRAMES: f32 = 0.5;
/// The most time that one update may catch up. The rest of a longer pause (a debugger, a suspended
/// machine) is dropped; otherwise the game would run fast for as long as it was paused.
const MAX_CATCH_UP: Duration = Duration::from_millis(250);

/// How far this update is between two steps of the simulation: 0.0 just after a step, 1.0 just
/// before the next. Interpolate with it when you draw.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq)]
pub struct StepPhase(pub f32);

/// The number of steps that are due in this update.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct DueSteps(pub(crate) u32);

/// Whether the simulation advanced in this update.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct Stepped(pub(crate) bool);

/// Turns real time into simulation steps.
#[derive(Resource, Clone, Debug)]
pub(crate) struct Pacer {
    step: Duration,
    owed: f64,
}

impl Pacer {
    pub(crate) fn new(step: Duration) -> Self {
        Self { step, owed: 0.0 }
    }

    /// Returns the number of steps that are due after another `elapsed` of real time.
    ///
    /// `lead_frames` is how far we are ahead of the other peers (negative: behind).
    pub(crate) fn advance(&mut self, elapsed: Duration, lead_frames: f32) -> u32 {
        let elapsed = elapsed.min(MAX_CATCH_UP).as_secs_f64();
        self.owed += elapsed * f64::from(speed(lead_frames)) / self.step.as_secs_f64();
        let due = self.owed.floor();
        self.owed -= due;
        due as u32
    }

    /// Drops the fraction of a step that is owed: time lost in a stall stays lost.
    pub(crate) fn restart(&mut self) {
        self.owed = 0.0;
    }

    pub(crate) fn phase(&self) -> StepPhase {
        StepPhase(self.owed as f32)
    }
}

/// The factor by which the simulation speed changes at a lead of `frames`.
fn speed(frames: f32) -> f32 {
    1.0 - MAX_SPEED_CHANGE * (frames / FULL_CORRECTION_FRAMES).clamp(-1.0, 1.0)
}

/// Adds the pacer and what it decides.
pub(crate) fn plugin(app: &mut App) {
    let step = app.world().resource::<NetcodeConfig>().step_duration();
    app.insert_resource(Pacer::new(step))
        .init_resource::<DueSteps>()
        .init_resource::<Stepped>()
        .init_resource::<StepPhase>();
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_nanos(16_666_667);

    #[test]
    fn real_time_becomes_the_right_number_of_steps() {
        let mut pacer = Pacer::new(STEP);
        let steps: u32 = (0..100).map(|_| pacer.advance(Duration::from_millis(10), 0.0)).sum();
        assert!((59..=60).contains(&steps), "{steps} steps in a second");
    }

    #[test]
    fn a_long_pause_is_caught_up_only_in_part() {
        let mut pacer = Pacer::new(STEP);
        assert_eq!(pacer.advance(Duration::from_secs(3600), 0.0), 14);
    }

    #[test]
    fn a_leader_slows_down_as_much_as_a_laggard_speeds_up() {
        assert!(speed(1.0) < 1.0 && speed(-1.0) > 1.0);
        for frames in [0.1, 0.5, 2.0, 4.0, 50.0] {
            assert!((speed(frames) + speed(-frames) - 2.0).abs() < 1e-6);
        }
        assert!((speed(0.25) - 0.99).abs() < 1e-6);
        assert!((speed(1000.0) - 0.98).abs() < 1e-6);
        assert!((speed(0.0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn two_machines_draw_level_although_one_starts_late() {
        let (mut early, mut late) = (Pacer::new(STEP), Pacer::new(STEP));
        let (mut a, mut b) = (8i64, 0i64);
        for _ in 0..8 * 60 {
            let lead = (a - b) as f32 / 2.0;
            a += i64::from(early.advance(STEP, lead));
            b += i64::from(late.advance(STEP, -lead));
        }
        assert!((a - b).abs() <= 1, "still {} frames apart after 8 s", a - b);
    }
}
