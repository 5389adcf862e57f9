//! Limits on what a stranger may use up: how often something may happen, how much may come from one
//! network address, and how long a peer may be silent.

mod sources;
mod rate;
mod silence;

pub use self::rate::Rate;
pub(crate) use self::{
    rate::{Bucket, message_cost},
    silence::{Silence, SilenceStep},
    sources::{Source, SourceLimits, SourceSlot, Sources},
};
