//! The rules of the duel: deterministic, headless, the same on every machine.
//!
//! `tuning` has the numbers; `components`, `match_state` and `effects` the state; the other modules
//! the rules: pure functions with their tests, and beside them the thin systems of the `Simulate`
//! schedule that apply them. Nothing here draws, plays sounds, or knows about the network.

pub mod tuning;

mod components;
mod effects;
mod match_state;
mod rng;
mod seat_times;

pub mod arena;
mod asteroids;
mod flight;
mod guns;
mod hits;
mod rounds;

pub use components::{Asteroid, AsteroidSize, Heading, Position, Ship, Shot, ShotKind, Velocity};
pub use effects::SimEffect;
pub use match_state::{MatchState, Phase, Star};
pub use rng::SimRng;
pub use seat_times::{SeatTime, SeatTimes};

pub(crate) use guns::can_hit;

use bevy::prelude::{App, IntoScheduleConfigs, Plugin, SystemSet};
use netcode::prelude::{AppEffectsExt, AppRollbackExt, SetupMatch, Simulate};

/// All rules of the game, in `Simulate`. Systems that only observe a frame run after them.
#[derive(SystemSet, Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SimSystems;

/// The simulation of the game: its state, registered for rollback, and its rules.
#[derive(Default)]
pub struct SimPlugin;

impl Plugin for SimPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<MatchState>()
            .init_resource::<Star>()
            .init_resource::<SimRng>()
            .init_resource::<SeatTimes>()
            .rollback_component::<Position>()
            .rollback_component::<Velocity>()
            .rollback_component::<Heading>()
            .rollback_component::<Ship>()
            .rollback_component::<Shot>()
            .rollback_component::<Asteroid>()
            .compare_on_load::<Asteroid>()
            .rollback_resource::<MatchState>()
            .rollback_resource::<Star>()
            .rollback_resource::<SimRng>()
            .rollback_resource_unhashed::<SeatTimes>()
            .rollback_effect::<SimEffect>()
            .add_systems(SetupMatch, (rounds::set_up_match, seat_times::begin))
            .add_systems(
                Simulate,
                (
                    seat_times::note_changes,
                    rounds::announce,
                    flight::steer_ships,
                    guns::fire_guns,
                    hits::recover_ships,
                    flight::move_bodies,
                    guns::age_shots,
                    hits::burn_in_star,
                    hits::hit_asteroids,
                    hits::hit_ships,
                    asteroids::admit_asteroids,
                    rounds::grow_star,
                    rounds::advance_match,
                    rounds::finish_match,
                )
                    .chain()
                    .in_set(SimSystems),
            );
    }
}
