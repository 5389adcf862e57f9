//! What the simulation may know of the present frame and match.

use bevy::prelude::Resource;

/// The frame that [`Simulate`](crate::Simulate) computes now, counted from 0 at the start of the
/// match.
///
/// Outside `Simulate` it is the frame that will be computed next.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimFrame(pub u32);

/// The seed of the match, the same on all peers. Start every random generator of the simulation
/// from it.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchSeed(pub u64);
