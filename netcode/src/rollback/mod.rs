//! The rollback store: saves the registered world each frame, and brings any recent frame back.
//!
//! One column per registered type and frame, in buffers that are reused. It knows nothing of the network;
//! the session says when to save and when to load.
//!
//! A save copies each table of each type as one slice, unless nothing in it has changed since the save before: then both
//! frames share the copy. A load writes slices back, and only where the world has changed since the save. What was
//! spawned, despawned or moved between tables in between is sorted out row by row, before the values are written.

mod departure;
mod identity;
mod register;

mod blocks;
mod clock;
mod columns;
mod copying;
mod dense;
mod difference;
mod hashing;
mod hierarchy;
mod history;
mod names;
mod opaque;
mod order;
mod plan;
mod resources;
mod rows;
mod sparse;
mod watch;
mod write_back;

pub use departure::RollbackCommandsExt;
pub use identity::{Rollback, RollbackId};
pub use opaque::{OpaqueProblem, OpaqueValue};
pub use order::Ordered;
pub use register::AppRollbackExt;
pub use write_back::Restorable;

pub(crate) use departure::{SimulatedComponents, despawn_alone};
pub(crate) use difference::Difference;
pub(crate) use history::{ChangeByDespawns, Hashed, RollbackStore};
pub(crate) use identity::{InSimulation, Population, RollbackIdCounter};
pub(crate) use opaque::Check;
pub(crate) use register::Registrations;
