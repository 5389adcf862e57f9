//! Capabilities of the crate, over headless apps, the memory network and a manual clock.

mod support;

mod away;
mod hostile;
mod matches;
mod pacing;
mod rollback;
mod store;
mod sync_tests;
