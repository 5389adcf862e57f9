//! A duel around a star for two to four ships, after Spacewar!: the game that proves the netcode.
//!
//! Data flows one way: [`input`] (and [`sim`], which alone decides what happens) → whoever draws, sounds and reports.

pub mod input;
pub mod sim;
