//! Tests of the crate's capabilities, with headless apps, a network in memory and a manual clock.

mod support;

mod advice;
mod agreement;
mod blockers;
mod claims;
mod conduct;
mod departing;
mod departures;
mod devices;
mod finishing;
#[cfg(not(target_arch = "wasm32"))]
mod fuzz;
mod going_on;
mod hidden;
mod hostile;
mod inputs;
mod log_filter;
mod matches;
mod opaque;
mod pacing;
mod pausing;
mod registering;
mod removals;
mod results;
mod rollback;
mod seats;
mod spectators;
#[cfg(all(feature = "webrtc", not(target_arch = "wasm32")))]
mod stack;
mod starting;
mod startup;
mod store;
mod strangers;
mod sync_tests;
mod traffic;
