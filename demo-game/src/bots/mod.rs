//! Bots: an input source like a keyboard, for local seats that no person plays.
//!
//! They read the world in `ReadInputs`, outside the simulation, and fill in inputs, which are sent
//! to the other peers like any other inputs. So nothing that a bot computes needs to be the same on
//! other machines. `pilot` decides what to do; this file collects what it sees.

mod pilot;

use std::ops::Range;

use bevy::prelude::{App, Plugin, Query, Res, ResMut, Resource, With};
use netcode::prelude::{LocalInputs, MatchSeed, ReadInputs, Rollback, Seat, SimFrame};

use crate::input::Input;
use crate::sim::{Asteroid, Heading, MatchState, Position, Ship, Shot, Star, Velocity};

pub use pilot::{Body, BotView, OwnShip, decide};

/// Lets bots fly the seats that [`Bots`] gives them.
#[derive(Default)]
pub struct BotPlugin;

impl Plugin for BotPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Bots>().add_systems(ReadInputs, drive_bots);
    }
}

/// The seats of this machine that bots fly.
///
/// Local seats are counted in order: the first one is 0, whatever its number in the match.
#[derive(Resource, Clone, PartialEq, Eq, Default, Debug)]
pub struct Bots(Range<usize>);

impl Bots {
    /// Seats for `people`, then seats for `bots`: one player against three bots is
    /// `Bots::after(1, 3)`.
    #[must_use]
    pub const fn after(people: usize, bots: usize) -> Self {
        Self(people..people + bots)
    }

    /// Whether a bot flies the `index`th local seat.
    #[must_use]
    pub fn is_bot(&self, index: usize) -> bool {
        self.0.contains(&index)
    }
}

fn drive_bots(
    bots: Res<Bots>,
    mut inputs: ResMut<LocalInputs<Input>>,
    (frame, seed): (Res<SimFrame>, Res<MatchSeed>),
    (state, star): (Res<MatchState>, Res<Star>),
    ships: Query<(&Ship, &Position, &Velocity, &Heading), With<Rollback>>,
    rocks: Query<(&Asteroid, &Position, &Velocity), With<Rollback>>,
    shots: Query<(&Shot, &Position, &Velocity), With<Rollback>>,
) {
    let pilots: Vec<Seat> = (0..)
        .zip(inputs.seats())
        .filter(|(index, _)| bots.is_bot(*index))
        .map(|(_, &seat)| seat)
        .collect();
    if pilots.is_empty() {
        return;
    }
    let rocks: Vec<Body> = rocks
        .iter()
        .map(|(rock, at, flight)| Body::new(*at, *flight, rock.size.radius()))
        .collect();
    for seat in pilots {
        let Some((ship, position, velocity, heading)) =
            ships.iter().find(|(ship, ..)| ship.seat == seat.0)
        else {
            continue;
        };
        let enemies = ships.iter().filter(|(other, ..)| other.seat != seat.0);
        let view = BotView {
            me: OwnShip {
                ship: *ship,
                body: Body::new(*position, *velocity, ship.radius()),
                heading: *heading,
            },
            enemies: enemies
                .map(|(other, at, flight, _)| Body::new(*at, *flight, other.radius()))
                .collect(),
            rocks: &rocks,
            shots: shots
                .iter()
                .filter(|(shot, ..)| crate::sim::can_hit(shot, seat.0))
                .map(|(_, at, flight)| Body::new(*at, *flight, crate::sim::tuning::SHOT_RADIUS))
                .collect(),
            star_radius: star.radius,
            is_fighting: state.is_fighting(),
            // A mood differs between seats and matches, and lasts a third of a second.
            mood: pilot::Mood::new(seed.0, seat.0, frame.0),
        };
        inputs.set(seat, decide(&view));
    }
}
