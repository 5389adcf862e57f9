//! Capabilities of the crate, over headless apps, the memory network and a manual clock.

mod support;

mod agreement;
mod away;
mod departures;
mod finishing;
#[cfg(not(target_arch = "wasm32"))]
mod fuzz;
mod hostile;
mod matches;
mod pacing;
mod results;
mod rollback;
mod spectators;
#[cfg(all(feature = "webrtc", not(target_arch = "wasm32")))]
mod stack;
mod store;
mod sync_tests;
mod traffic;
