//! The rollback store: saves the registered world each frame, and brings any recent frame back.
//!
//! There is one column per registered type, with buffers that are reused from frame to frame. The
//! store knows nothing of the network; the session decides when to save and when to load.
//!
//! A save copies each table of each type as one slice. If nothing in the table has changed since
//! the last save, both frames share the copy instead. A load writes slices back, and only where the
//! world has changed since the save. Entities that have been spawned, despawned or moved between
//! tables since then are restored row by row, before the values are written.
//!
//! Read `history` first: it saves and loads all columns of a frame. Then read `columns`, which
//! lists what it needs from each type.

// What a game uses: which types and entities roll back, how entities leave, in which order to
// iterate.
mod departure;
mod identity;
mod order;
mod register;

// The store.
mod columns;
mod history;

// The columns, one file for each way in which Bevy stores values.
mod dense;
mod hierarchy;
mod resources;
mod sparse;

// What a save keeps: the moment of the save, the rows of each table, and the values in blocks.
mod blocks;
mod clock;
mod copying;
mod row_watch;
mod rows;

// What a load does: plan where each row gets its value, then write the values back.
mod names;
mod plan;
mod write_back;

// What checks need: hashes, differences between two versions of a frame, values that cannot be
// checked.
mod difference;
mod hashing;
mod opaque;

use bevy::prelude::App;

use crate::scoped::Scoped;

pub use departure::RollbackCommandsExt;
pub use identity::{Rollback, RollbackId};
pub use opaque::{OpaqueProblem, OpaqueValue};
pub use order::Ordered;
pub use register::AppRollbackExt;
pub use write_back::Restorable;

pub(crate) use departure::{SimulatedComponents, despawn_alone};
pub(crate) use difference::Difference;
pub(crate) use history::{
    RollbackStore,
    despawns::ChangeByDespawns,
    hashes::Hashed,
    strays::{AllowedUnregistered, Strays},
};
pub(crate) use identity::{InSimulation, Population, RollbackIdCounter};
pub(crate) use opaque::Check;
pub(crate) use register::Registrations;

/// Adds the store, and what it needs to know about the world.
pub(crate) fn plugin(app: &mut App) {
    app.init_resource::<Registrations>()
        .init_resource::<SimulatedComponents>()
        .init_resource::<Scoped<RollbackStore>>()
        .init_resource::<RollbackIdCounter>()
        .init_resource::<Population>();
}
