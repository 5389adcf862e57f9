//! The rollback store: saves the registered world each frame, and brings any recent frame back.
//!
//! One column per registered type and frame, in buffers that are reused. It knows nothing of the network;
//! the session says when to save and when to load.

mod columns;
mod hierarchy;
mod history;
mod identity;
mod register;
mod resources;

pub use identity::{Rollback, RollbackCommandsExt, RollbackId};
pub use register::AppRollbackExt;

pub(crate) use history::RollbackStore;
pub(crate) use identity::RollbackIdCounter;
pub(crate) use register::Registrations;
