//! What the simulation may know about the current frame and match.

use std::time::Duration;

use bevy::prelude::{App, Resource, Time};

/// The number of the frame that [`Simulate`](crate::Simulate) is computing, counted from 0 at the
/// start of the match.
///
/// Outside `Simulate`, it is the number of the frame that comes next.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimFrame(pub u32);

/// The seed of the match, the same on all peers. Seed every random generator of the simulation from
/// it.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchSeed(pub u64);

/// The clock that the simulation sees: it advances by one `step` per frame, whatever the real time.
pub(crate) fn time_of_frame(frame: u32, step: Duration) -> Time {
    let mut time = Time::default();
    time.advance_to(step * frame);
    time.advance_by(step);
    time
}

/// Adds the frame and the seed of the match.
pub(crate) fn plugin(app: &mut App) {
    app.init_resource::<SimFrame>().init_resource::<MatchSeed>();
}
