//! Direct access to the rollback store: save, load and hash a world without a session, to test your
//! own components or to measure what they cost. Every function panics in a world without
//! [`NetcodePlugin`](crate::NetcodePlugin).
//!
//! ```
//! use bevy::prelude::*;
//! use netcode::{prelude::*, testing::snapshots};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
//! struct Health(u32);
//!
//! let mut app = App::new();
//! app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default()))
//!     .rollback_component::<Health>();
//! let world = app.world_mut();
//! let ship = world.spawn((Rollback, Health(3))).id();
//!
//! snapshots::set_depth(world, 8);
//! snapshots::save(world, 1);
//! world.entity_mut(ship).insert(Health(0));
//! world.spawn((Rollback, Health(1)));
//! snapshots::save(world, 2);
//! snapshots::load(world, 1);
//! assert_eq!(world.query::<&Health>().iter(world).collect::<Vec<_>>(), [&Health(3)]);
//! ```

use bevy::prelude::World;

use crate::{rollback::RollbackStore, scoped::Scoped};

/// Makes room for the last `frames` frames, at least 1, and drops everything that is saved.
pub fn set_depth(world: &mut World, frames: usize) {
    let frames = frames.max(1);
    world.resource_mut::<Scoped<RollbackStore>>().set_depth(frames);
}

/// Saves the registered world as frame `frame`.
///
/// # Panics
///
/// Before the first [`set_depth`] or match.
pub fn save(world: &mut World, frame: u32) {
    Scoped::scope(world, |world, store: &mut RollbackStore| store.save(world, frame));
}

/// Brings the registered world back to what it was when `frame` was saved.
///
/// # Panics
///
/// If `frame` is not among the last saved ones.
pub fn load(world: &mut World, frame: u32) {
    Scoped::scope(world, |world, store: &mut RollbackStore| store.load(world, frame));
}

/// Drops all frames before `frame`, so that they can no longer be loaded, and despawns for good the
/// entities that left the simulation before `frame`.
pub fn confirm(world: &mut World, frame: u32) {
    Scoped::scope(world, |world, store: &mut RollbackStore| {
        store.confirm(world, frame);
        store.forget_before(frame);
    });
}

/// Returns the full path of each hashed type, with its checksum in the saved frame `frame`; empty
/// if the frame is not saved.
#[must_use]
pub fn checksums(world: &World, frame: u32) -> Vec<(&'static str, u64)> {
    let store = world.resource::<Scoped<RollbackStore>>();
    let mut parts = Vec::new();
    store.hash(frame, &mut parts);
    store.hashed_names().zip(parts).collect()
}
