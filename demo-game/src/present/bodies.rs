//! Draws what flies, as vector outlines: ships with flame and shield, shots with streaks, rocks
//! with crooked edges.

use bevy::math::ops;
use bevy::prelude::*;

use super::motion::{Drawn, wrapped_copies};
use super::palette::{ROCK, WARNING, light, seat_color};
use super::sparks::{Dice, Spark, Sparks};
use super::strokes::{Layer, Strokes};
use crate::sim::tuning::{DASH_COOLDOWN_FRAMES, SHIELD_RADIUS, STEP_SECONDS};
use crate::sim::{Asteroid, Ship, Shot, ShotKind, Velocity};

/// Outlines of the ships, nose towards +x: one per seat, so that colour is not the only difference.
const HULLS: [&[Vec2]; 4] = [
    &[Vec2::new(15.0, 0.0), Vec2::new(-10.0, 9.5), Vec2::new(-5.5, 0.0), Vec2::new(-10.0, -9.5)],
    &[
        Vec2::new(16.0, 0.0),
        Vec2::new(0.0, 4.5),
        Vec2::new(-8.0, 11.0),
        Vec2::new(-9.0, 0.0),
        Vec2::new(-8.0, -11.0),
        Vec2::new(0.0, -4.5),
    ],
    &[
        Vec2::new(13.0, 4.0),
        Vec2::new(-2.0, 10.0),
        Vec2::new(-11.0, 6.5),
        Vec2::new(-7.0, 0.0),
        Vec2::new(-11.0, -6.5),
        Vec2::new(-2.0, -10.0),
        Vec2::new(13.0, -4.0),
        Vec2::new(6.0, 0.0),
    ],
    &[
        Vec2::new(15.0, 0.0),
        Vec2::new(4.0, 5.0),
        Vec2::new(2.0, 11.0),
        Vec2::new(-10.0, 7.0),
        Vec2::new(-10.0, -7.0),
        Vec2::new(2.0, -11.0),
        Vec2::new(4.0, -5.0),
    ],
];
/// Width of a ship's outline.
const HULL_WIDTH: f32 = 2.0;
/// Corners of an asteroid's outline, by size from small to large.
const ROCK_CORNERS: [usize; 3] = [8, 11, 14];

/// How far the corners of a rock reach, as a multiple of its radius.
pub(super) const ROCK_REACH: f32 = 1.12;

/// The outline of `seat`'s ship at `place`, turned by `angle`.
pub(super) fn hull(seat: u8, place: Vec2, angle: f32, scale: f32) -> Vec<Vec2> {
    let turn = Vec2::from_angle(angle);
    HULLS[usize::from(seat) % HULLS.len()]
        .iter()
        .map(|corner| place + turn.rotate(*corner) * scale)
        .collect()
}

/// The outline of a rock: irregular, the same on every machine because `shape` is part of the
/// simulation.
pub(super) fn rock_outline(
    shape: u32,
    radius: f32,
    corners: usize,
    place: Vec2,
    angle: f32,
) -> Vec<Vec2> {
    let mut dice = Dice::new(shape);
    (0..corners)
        .map(|corner| {
            let turn = angle
                + (corner as f32 + dice.between(-0.28, 0.28)) / corners as f32
                    * std::f32::consts::TAU;
            place + Vec2::from_angle(turn) * (radius * dice.between(0.80, ROCK_REACH))
        })
        .collect()
}

/// The corners of a rock around its centre, before it is turned.
#[derive(Component)]
pub(super) struct Outline(Vec<Vec2>);

/// Computes the outline of rocks that are new or have changed. A rollback does not repeat this
/// work: rocks compare equal after it.
pub(super) fn shape_asteroids(
    mut commands: Commands,
    asteroids: Query<(Entity, &Asteroid), Changed<Asteroid>>,
) {
    for (entity, asteroid) in &asteroids {
        let corners = ROCK_CORNERS[asteroid.size as usize];
        let radius = asteroid.size.radius();
        let outline = rock_outline(asteroid.shape, radius, corners, Vec2::ZERO, 0.0);
        commands.entity(entity).insert(Outline(outline));
    }
}

pub(super) fn draw_asteroids(
    time: Res<Time<Real>>,
    mut strokes: ResMut<Strokes>,
    asteroids: Query<(&Asteroid, &Outline, &Drawn)>,
) {
    let mut corners = Vec::new();
    for (asteroid, outline, drawn) in &asteroids {
        let turn = Vec2::from_angle(asteroid.spin * time.elapsed_secs());
        for place in wrapped_copies(drawn.place, asteroid.size.radius()) {
            corners.clear();
            corners.extend(outline.0.iter().map(|&corner| place + turn.rotate(corner)));
            strokes.arena.outline(&corners, 1.7, light(ROCK, 0.85));
        }
    }
}

pub(super) fn draw_shots(mut strokes: ResMut<Strokes>, shots: Query<(&Shot, &Velocity, &Drawn)>) {
    for (shot, velocity, drawn) in &shots {
        let left = 1.0 - f32::from(shot.age) / f32::from(shot.lifetime.max(1));
        let (color, width, streak) = match shot.kind {
            ShotKind::Fired { seat } => (light(seat_color(seat), 2.6), 3.4, 0.045),
            ShotKind::Shrapnel => (light(WARNING, 0.5 + 1.3 * left), 2.4, 0.03),
        };
        for place in wrapped_copies(drawn.place, 20.0) {
            let tail = place - velocity.0 * streak;
            strokes.arena.tapered(tail, place, (width * 0.25, width), (color * 0.05, color));
        }
    }
}

pub(super) fn draw_ships(
    time: Res<Time<Real>>,
    mut strokes: ResMut<Strokes>,
    mut sparks: ResMut<Sparks>,
    ships: Query<(&Ship, &Velocity, &Drawn)>,
) {
    let now = time.elapsed_secs();
    for (ship, velocity, drawn) in &ships {
        for place in wrapped_copies(drawn.place, SHIELD_RADIUS + 6.0) {
            draw_ship(&mut strokes.arena, ship, place, drawn.angle, now);
        }
        trail_sparks(&mut sparks, ship, velocity.0, drawn, time.delta_secs());
    }
}

fn draw_ship(layer: &mut Layer, ship: &Ship, place: Vec2, angle: f32, now: f32) {
    let nose = Vec2::from_angle(angle);
    let color = seat_color(ship.seat);
    // The outline blinks while the ship cannot be hurt.
    let blink = if ship.grace_frames > 0 && ops::sin(now * 14.0) < 0.0 { 0.35 } else { 1.0 };
    let strength = if ship.is_dashing() { 3.2 } else { 1.5 };
    layer.polygon(&hull(ship.seat, place, angle, 1.0), HULL_WIDTH, light(color, strength * blink));
    layer.haze(place, 26.0, light(color, 0.16));
    if ship.thrusting {
        let flicker = 0.75 + 0.25 * ops::sin(now * 61.0) * ops::cos(now * 37.0);
        let root = place - nose * 7.5;
        for (side, length) in [(0.0, 20.0), (2.6, 12.0), (-2.6, 12.0)] {
            let from = root + nose.perp() * side;
            let to = from - nose * (length * flicker);
            layer.tapered(from, to, (3.4, 0.8), (light(WARNING, 2.4), light(color, 0.15)));
        }
    }
    draw_shield(layer, ship, place, angle, now);
    if ship.is_dashing() {
        layer.circle(place, SHIELD_RADIUS + 4.0, 2.2, light(color, 1.8));
    }
}

/// Draws the shield as a ring; while it grows back, as a faint arc that closes.
fn draw_shield(layer: &mut Layer, ship: &Ship, place: Vec2, angle: f32, now: f32) {
    use crate::sim::tuning::SHIELD_REGROW_FRAMES;
    let color = seat_color(ship.seat);
    if ship.has_shield() {
        let breath = 0.42 + 0.08 * ops::sin(now * 3.0);
        layer.circle(place, SHIELD_RADIUS, 1.3, light(color, breath));
        return;
    }
    let grown = 1.0 - f32::from(ship.shield_frames) / f32::from(SHIELD_REGROW_FRAMES);
    let start = angle / std::f32::consts::TAU + 0.5;
    layer.arc(
        place,
        SHIELD_RADIUS,
        (start - grown * 0.5, start + grown * 0.5),
        1.0,
        light(color, 0.14),
    );
}

/// Leaves exhaust and the trail of a dash behind: a number of sparks per second, not per frame.
fn trail_sparks(sparks: &mut Sparks, ship: &Ship, velocity: Vec2, drawn: &Drawn, seconds: f32) {
    let per_second = if ship.is_dashing() {
        190.0
    } else if ship.thrusting {
        45.0
    } else {
        return;
    };
    let nose = Vec2::from_angle(drawn.angle);
    let color = seat_color(ship.seat);
    let wanted = per_second * seconds.min(0.05);
    let count = wanted as u32 + u32::from(sparks.dice().roll() < wanted.fract());
    for _ in 0..count {
        let dice = sparks.dice();
        let spread = dice.direction(0.0, 34.0);
        let along = dice.roll();
        let life =
            if ship.is_dashing() { dice.between(0.25, 0.5) } else { dice.between(0.15, 0.4) };
        let (width, color, speed) = if ship.is_dashing() {
            (2.6, light(color, 1.7), velocity * 0.12)
        } else {
            (1.6, light(WARNING, 0.9), velocity - nose * 150.0)
        };
        let place = drawn.place - nose * 11.0 - velocity * (along * STEP_SECONDS);
        sparks.add(Spark { place, velocity: speed + spread, left: life, life, width, color });
    }
}

/// How far the dash of a ship has recovered: 1 is ready.
pub(crate) fn dash_readiness(ship: &Ship) -> f32 {
    1.0 - f32::from(ship.dash_cooldown) / f32::from(DASH_COOLDOWN_FRAMES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rock_keeps_its_shape_and_is_about_as_large_as_in_the_rules() {
        let outline = rock_outline(42, 37.0, 14, Vec2::ZERO, 0.0);
        assert_eq!(outline, rock_outline(42, 37.0, 14, Vec2::ZERO, 0.0));
        assert_ne!(outline, rock_outline(43, 37.0, 14, Vec2::ZERO, 0.0));
        assert!(outline.iter().all(|corner| (28.0..43.0).contains(&corner.length())));
    }
}
