//! Whole matches on a simulated network, from seeds: several machines, each with a real
//! [`Connection`](super::Connection), hence with the real exchange of inputs and the real agreement
//! together, on one virtual clock. Only Bevy and ggrs are missing.
//!
//! In reading order: the network, the frames that a machine simulates, the machine, a trial, and
//! the events of a seed. What is checked is what a player would notice: a frame that one machine
//! exposed is the same on all others that expose it, for ever; no honest machine is accused; and
//! the match goes on if it can.

mod network;
mod game;
mod machine;
mod trial;
mod events;
mod seeds;
mod cases;
mod memory;
