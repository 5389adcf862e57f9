//! Asteroids: where they start, how they drift in, and what happens to one that is hit.

use bevy::math::{Vec2, ops};
use bevy::prelude::{Commands, Query, Res, ResMut, With};
use netcode::prelude::{Effects, Ordered, Rollback};

use super::arena::{offset, orbit_velocity, wrap};
use super::components::{Asteroid, AsteroidSize, Position, Ship, Velocity};
use super::effects::SimEffect;
use super::guns::throw_shrapnel;
use super::match_state::MatchState;
use super::rng::SimRng;
use super::tuning::{
    ARENA_HALF, ASTEROID_ARRIVAL_FRAMES, ASTEROID_CLEARANCE, ASTEROID_DRIFT_SPEED, ASTEROID_ORBIT,
    ASTEROID_ORBIT_SPEED, ASTEROID_RAIN_FRAMES, ASTEROID_SHRAPNEL, ASTEROID_SPIN,
    ASTEROIDS_AT_START, ENOUGH_ASTEROIDS, MAX_ASTEROIDS, SPLIT_SPEED, SUDDEN_DEATH_FRAMES,
};

/// Number of positions tried for a new asteroid; after that, the last one is used as it is. This
/// bound is almost never reached.
const PLACEMENT_TRIES: u32 = 12;

/// Lets asteroids drift in over the edge: occasionally, and in sudden death like rain.
pub(super) fn admit_asteroids(
    mut commands: Commands,
    state: Res<MatchState>,
    mut rng: ResMut<SimRng>,
    rocks: Query<&Asteroid, With<Rollback>>,
    ships: Ordered<&'static Position, (With<Rollback>, With<Ship>)>,
) {
    if !state.is_fighting() || !is_arrival_due(state.phase_frames, rocks.iter().count()) {
        return;
    }
    let ships: Vec<Vec2> = ships.iter().map(|position| position.0).collect();
    let position = clear_place(&mut rng, &ships, edge_place);
    let direction = rng.direction();
    let velocity = direction * rng.range(ASTEROID_DRIFT_SPEED);
    let size = if rng.unit() < 0.5 { AsteroidSize::Large } else { AsteroidSize::Medium };
    spawn_asteroid(&mut commands, &mut rng, size, position, velocity);
}

/// Whether an asteroid arrives in this frame of the fight.
fn is_arrival_due(fight_frames: u32, rocks: usize) -> bool {
    let (every, limit) = if fight_frames < SUDDEN_DEATH_FRAMES {
        (ASTEROID_ARRIVAL_FRAMES, ENOUGH_ASTEROIDS)
    } else {
        (ASTEROID_RAIN_FRAMES, MAX_ASTEROIDS)
    };
    fight_frames > 0 && fight_frames.is_multiple_of(every) && rocks < limit
}

/// Puts the asteroids of a new round into orbit, away from the ships.
pub(super) fn spawn_field(commands: &mut Commands, rng: &mut SimRng, ships: &[Vec2]) {
    for index in 0..ASTEROIDS_AT_START + ships.len() as u32 {
        let position = clear_place(rng, ships, orbit_place);
        let velocity = orbit_velocity(position) * rng.range(ASTEROID_ORBIT_SPEED);
        let size = if index % 3 == 2 { AsteroidSize::Medium } else { AsteroidSize::Large };
        spawn_asteroid(commands, rng, size, position, velocity);
    }
}

/// Splits or bursts an asteroid that was hit. `rocks` is the number that exist now; returns the
/// number afterwards.
pub(super) fn split_asteroid(
    commands: &mut Commands,
    rng: &mut SimRng,
    effects: &mut Effects<SimEffect>,
    size: AsteroidSize,
    (position, velocity): (Vec2, Vec2),
    rocks: usize,
) -> usize {
    effects.emit(SimEffect::AsteroidSplit { size, position });
    // The two halves take the place of one.
    if let Some(half) = size.half().filter(|_| rocks < MAX_ASTEROIDS) {
        for part in halves(rng, half, position, velocity) {
            spawn_asteroid(commands, rng, half, part.0, part.1);
        }
        return rocks + 1;
    }
    throw_shrapnel(commands, rng, ASTEROID_SHRAPNEL, position, velocity);
    rocks.saturating_sub(1)
}

/// Position and velocity of the two halves: apart, side by side, with the momentum of the whole.
fn halves(
    rng: &mut SimRng,
    half: AsteroidSize,
    position: Vec2,
    velocity: Vec2,
) -> [(Vec2, Vec2); 2] {
    let side = rng.direction();
    let parting = side * rng.range(SPLIT_SPEED);
    let apart = side * (half.radius() * 0.7);
    [(wrap(position + apart), velocity + parting), (wrap(position - apart), velocity - parting)]
}

fn spawn_asteroid(
    commands: &mut Commands,
    rng: &mut SimRng,
    size: AsteroidSize,
    position: Vec2,
    velocity: Vec2,
) {
    let spin = rng.range((-ASTEROID_SPIN, ASTEROID_SPIN));
    let asteroid = Asteroid { size, spin, shape: rng.next_u32() };
    commands.spawn((Rollback, asteroid, Position(position), Velocity(velocity)));
}

/// A position from `draw` that is clear of the ships, or any position after [`PLACEMENT_TRIES`]
/// attempts.
fn clear_place(rng: &mut SimRng, ships: &[Vec2], draw: fn(&mut SimRng) -> Vec2) -> Vec2 {
    let mut place = draw(rng);
    for _ in 1..PLACEMENT_TRIES {
        if ships.iter().all(|&ship| offset(ship, place).length() > ASTEROID_CLEARANCE) {
            break;
        }
        place = draw(rng);
    }
    place
}

fn orbit_place(rng: &mut SimRng) -> Vec2 {
    let (sin, cos) = ops::sin_cos(rng.angle());
    Vec2::new(cos, sin) * rng.range(ASTEROID_ORBIT)
}

fn edge_place(rng: &mut SimRng) -> Vec2 {
    // Along half of the perimeter: opposite edges are the same line.
    let along = rng.range((0.0, ARENA_HALF.x + ARENA_HALF.y));
    if along < ARENA_HALF.x {
        Vec2::new(along * 2.0 - ARENA_HALF.x, -ARENA_HALF.y)
    } else {
        Vec2::new(-ARENA_HALF.x, (along - ARENA_HALF.x) * 2.0 - ARENA_HALF.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_keep_the_momentum_and_part() {
        let velocity = Vec2::new(40.0, -10.0);
        let parts = halves(&mut SimRng::new(5), AsteroidSize::Medium, Vec2::ZERO, velocity);
        let mean = (parts[0].1 + parts[1].1) / 2.0;
        assert!((mean - velocity).length() < 1e-3);
        assert!((parts[0].1 - parts[1].1).dot(offset(parts[1].0, parts[0].0)) > 0.0);
    }

    #[test]
    fn a_large_rock_ends_as_four_small_ones() {
        let mut sizes = vec![AsteroidSize::Large];
        let mut hits = 0;
        while let Some(size) = sizes.pop() {
            hits += 1;
            sizes.extend([size.half(), size.half()].into_iter().flatten());
        }
        assert_eq!(hits, 1 + 2 + 4);
    }

    #[test]
    fn rocks_arrive_now_and_then_and_rain_in_sudden_death() {
        let arrivals = |from: u32, rocks| {
            (from..from + 600).filter(|&frame| is_arrival_due(frame, rocks)).count()
        };
        assert_eq!(arrivals(1, 0), 2);
        assert_eq!(arrivals(1, ENOUGH_ASTEROIDS), 0);
        assert_eq!(arrivals(SUDDEN_DEATH_FRAMES, ENOUGH_ASTEROIDS), 20);
        assert_eq!(arrivals(SUDDEN_DEATH_FRAMES, MAX_ASTEROIDS), 0);
    }

    #[test]
    fn rocks_appear_inside_the_arena_and_away_from_ships() {
        let mut rng = SimRng::new(11);
        let ships = [Vec2::new(270.0, 0.0), Vec2::new(-270.0, 0.0)];
        for draw in [orbit_place, edge_place] {
            for _ in 0..200 {
                let place = clear_place(&mut rng, &ships, draw);
                assert_eq!(wrap(place), place);
                assert!(
                    ships.iter().all(|&ship| offset(ship, place).length() > ASTEROID_CLEARANCE)
                );
            }
        }
    }
}
