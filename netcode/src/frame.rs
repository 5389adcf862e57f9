//! What the simulation may know of its place in the match.

use bevy::prelude::{App, Resource};

/// The frame that [`Simulate`](crate::Simulate) computes now, counted from 0 at the start of the match.
///
/// Outside `Simulate` it is the frame that will be computed next.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimFrame(pub u32);

/// The seed of the match, the same on all peers: start every random generator of the simulation from it.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchSeed(pub u64);

/// Adds the frame and the seed of the match.
pub(crate) fn plugin(app: &mut App) {
    app.init_resource::<SimFrame>().init_resource::<MatchSeed>();
}
