//! Limits on what a stranger can use up: how often something may happen, how much may come from one
//! network address, and how long a peer may be silent.

mod sources;
mod message_cost;
mod silence;

use tokio::time::Instant;

use crate::rate;

pub(crate) use self::{
    message_cost::message_cost,
    silence::{Silence, SilenceStep},
    sources::{Source, SourceLimits, SourceSlot, Sources},
};
pub use crate::rate::Rate;

/// How much of a [`Rate`] is used up, by the clock of the server.
pub(crate) type Bucket = rate::Bucket<Instant>;
