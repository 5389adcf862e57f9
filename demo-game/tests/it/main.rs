//! The game as its players meet it: whole matches, on one machine and over a network in memory, headless.

mod determinism;
mod matches;
mod networks;
mod playground;
mod rules;
