//! Matches that nobody steers, played in advance: their seed alone decides how they go.

use std::time::Duration;

use bevy::{MinimalPlugins, app::App, time::TimeUpdateStrategy};
use demo_game::{DuelPlugin, sim::MatchState, sim::tuning::FPS};
use netcode::prelude::{SessionState, SimFrame, StartLocal};

/// Returns whether a match of two players that nobody steers is still going on after `seconds`. Of
/// 150 such matches, 9 were over within 95 s, and the shortest within 74 s.
pub fn lasts(seed: u64, seconds: u32) -> bool {
    let step = Duration::from_secs(1) / u32::from(FPS);
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, DuelPlugin::default()));
    // A nanosecond more than a step, so that each update takes one step.
    app.insert_resource(TimeUpdateStrategy::ManualDuration(step + Duration::from_nanos(1)));
    app.finish();
    app.cleanup();
    let seats = vec!["one".to_owned(), "other".to_owned()];
    app.world_mut().write_message(StartLocal { seats, seed, sync_test: None });
    let frames = u32::from(FPS) * seconds;
    // A few more updates than frames, because the match has to begin first.
    for _ in 0..frames + 60 {
        app.update();
        let world = app.world();
        let is_over = world.get_resource::<MatchState>().is_some_and(MatchState::is_finished);
        if is_over || world.resource::<SimFrame>().0 >= frames {
            return !is_over;
        }
    }
    panic!(
        "a local match never reaches frame {frames}: {:?}",
        app.world().resource::<SessionState>()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_matches_are_short_and_most_are_not() {
        let long = (0..40).filter(|&seed| lasts(seed, 95)).count();
        assert!((30..40).contains(&long), "{long} of 40");
    }
}
