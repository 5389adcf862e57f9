//! The game as its players see it: whole matches, on one machine and over a network in memory,
//! without a window.

mod departures;
mod determinism;
mod matches;
mod networks;
mod playground;
mod rules;
