//! The rules of the duel: deterministic, headless, the same on every machine.
//!
//! `tuning` has the numbers, `components`, `match_state` and `effects` the state, the other modules the rules: pure
//! functions with their tests, and beside them the thin systems of the `Simulate` schedule that apply them. Nothing
//! here draws, sounds, or knows of the network.

mod components;
mod effects;
mod match_state;
mod rng;
pub mod tuning;

pub use components::{Asteroid, AsteroidSize, Heading, Position, Ship, Shot, ShotKind, Velocity};
pub use effects::SimEffect;
pub use match_state::{MatchState, Phase, Star};
pub use rng::SimRng;

use bevy::prelude::{App, Plugin};

/// The simulation of the game: its state, registered for rollback, and its rules.
#[derive(Default)]
pub struct SimPlugin;

impl Plugin for SimPlugin {
    fn build(&self, _app: &mut App) {}
}
