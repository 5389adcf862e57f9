//! The rollback store: saves the registered world each frame, and brings any recent frame back.
//!
//! One column per registered type and frame, in buffers that are reused. It knows nothing of the network;
//! the session says when to save and when to load.
//!
//! A save copies each table of each type as one slice, unless nothing in it has changed since the save before: then both
//! frames share the copy. A load writes slices back, and only where the world has changed since the save. What was
//! spawned, despawned or moved between tables in between is sorted out row by row, before the values are written.

// What a game names: which types and entities roll back, and how entities leave and are iterated.
mod departure;
mod identity;
mod order;
mod register;

// The store. Read `history` first, which saves and loads all columns of a frame, then `columns`,
// which says what it asks of each type.
mod columns;
mod history;

// The columns, by where Bevy keeps the values.
mod dense;
mod hierarchy;
mod resources;
mod sparse;

// What a save keeps: when it was, which rows each table had and what might have changed them, and
// the values in blocks.
mod blocks;
mod clock;
mod copying;
mod row_watch;
mod rows;

// What a load does: a plan of where rows are now, then the values back into them.
mod names;
mod plan;
mod write_back;

// What checks ask: hashes, differences between two versions of a frame, values that hide something.
mod difference;
mod hashing;
mod opaque;

pub use departure::RollbackCommandsExt;
pub use identity::{Rollback, RollbackId};
pub use opaque::{OpaqueProblem, OpaqueValue};
pub use order::Ordered;
pub use register::AppRollbackExt;
pub use write_back::Restorable;

pub(crate) use departure::{SimulatedComponents, despawn_alone};
pub(crate) use difference::Difference;
pub(crate) use history::{
    RollbackStore, despawns::ChangeByDespawns, hashes::Hashed, strays::AllowedUnregistered,
};
pub(crate) use identity::{InSimulation, Population, RollbackIdCounter};
pub(crate) use opaque::Check;
pub(crate) use register::Registrations;
