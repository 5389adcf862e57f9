//! Bots: an input source like a keyboard, for local seats that no person plays; and stand-ins,
//! which fly the ships of players who are away or gone.
//!
//! Bots read the world in `ReadInputs`, outside the simulation, and fill in inputs, which are sent
//! to the other peers like any other inputs. Stand-ins are part of the simulation: every peer
//! computes the same for them. `pilot` decides what to do; this file collects what it sees.

mod pilot;

use std::ops::Range;

use bevy::ecs::system::SystemParam;
use bevy::prelude::{App, Plugin, Res, ResMut, Resource, With};
use netcode::prelude::{LocalInputs, MatchSeed, Ordered, ReadInputs, Rollback, Seat, SimFrame};
use netcode::{BotInputs, PlayBots};

use crate::input::Input;
use crate::sim::{Asteroid, Heading, MatchState, Position, Ship, Shot, Star, Velocity};

pub use pilot::{Body, BotView, OwnShip, decide};

/// Lets bots fly the seats that [`Bots`] gives them.
#[derive(Default)]
pub struct BotPlugin;

impl Plugin for BotPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Bots>()
            .add_systems(ReadInputs, drive_bots)
            .add_systems(PlayBots, drive_stand_ins);
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

/// What pilots can see.
#[derive(SystemParam)]
struct Sky<'w, 's> {
    frame: Res<'w, SimFrame>,
    seed: Res<'w, MatchSeed>,
    state: Res<'w, MatchState>,
    star: Res<'w, Star>,
    ships: Ordered<
        'w,
        's,
        (&'static Ship, &'static Position, &'static Velocity, &'static Heading),
        With<Rollback>,
    >,
    rocks:
        Ordered<'w, 's, (&'static Asteroid, &'static Position, &'static Velocity), With<Rollback>>,
    shots: Ordered<'w, 's, (&'static Shot, &'static Position, &'static Velocity), With<Rollback>>,
}

impl Sky<'_, '_> {
    /// The controls that a pilot holds in each of these seats, as far as they have ships.
    fn decide(&self, seats: impl IntoIterator<Item = Seat>) -> Vec<(Seat, Input)> {
        let mut seats = seats.into_iter().peekable();
        if seats.peek().is_none() {
            return Vec::new();
        }
        let rocks: Vec<Body> = self
            .rocks
            .iter()
            .map(|(rock, at, flight)| Body::new(*at, *flight, rock.size.radius()))
            .collect();
        seats.filter_map(|seat| Some((seat, decide(&self.seen_from(seat, &rocks)?)))).collect()
    }

    fn seen_from<'a>(&self, seat: Seat, rocks: &'a [Body]) -> Option<BotView<'a>> {
        let (ship, position, velocity, heading) =
            self.ships.iter().find(|(ship, ..)| ship.seat == seat.0)?;
        let enemies = self.ships.iter().filter(|(other, ..)| other.seat != seat.0);
        let shots = self.shots.iter().filter(|(shot, ..)| crate::sim::can_hit(shot, seat.0));
        Some(BotView {
            me: OwnShip {
                ship: *ship,
                body: Body::new(*position, *velocity, ship.radius()),
                heading: *heading,
            },
            enemies: enemies
                .map(|(other, at, flight, _)| Body::new(*at, *flight, other.radius()))
                .collect(),
            rocks,
            shots: shots
                .map(|(_, at, flight)| Body::new(*at, *flight, crate::sim::tuning::SHOT_RADIUS))
                .collect(),
            star_radius: self.star.radius,
            is_fighting: self.state.is_fighting(),
            // A mood differs between seats and matches, and lasts a third of a second.
            mood: pilot::Mood::new(self.seed.0, seat.0, self.frame.0),
        })
    }
}

fn drive_bots(bots: Res<Bots>, mut inputs: ResMut<LocalInputs<Input>>, sky: Sky) {
    let ours = (0..).zip(inputs.seats()).filter(|(index, _)| bots.is_bot(*index));
    for (seat, input) in sky.decide(ours.map(|(_, &seat)| seat)) {
        inputs.set(seat, input);
    }
}

fn drive_stand_ins(mut inputs: BotInputs<Input>, sky: Sky) {
    for (seat, input) in sky.decide(inputs.seats()) {
        inputs.set(seat, input);
    }
}
