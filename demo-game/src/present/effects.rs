//! What the effects of the simulation look like: explosions, flashes, shakes. Each effect is shown
//! once.

use bevy::prelude::*;
use netcode::prelude::*;

use super::bodies::hull;
use super::palette::{ROCK, STAR, WARNING, light, seat_color};
use super::sparks::{Ring, Shard, Spark, Sparks};
use crate::sim::{AsteroidSize, SimEffect};
use crate::view::View;

pub(super) fn show_effects(
    mut effects: MessageReader<EffectStarted<SimEffect>>,
    mut sparks: ResMut<Sparks>,
    mut view: ResMut<View>,
) {
    for started in effects.read() {
        show(started.effect, &mut sparks, &mut view);
    }
}

fn show(effect: SimEffect, sparks: &mut Sparks, view: &mut View) {
    match effect {
        SimEffect::Fired { seat, position, direction } => {
            let color = light(seat_color(seat), 1.6);
            for side in [-0.35, 0.0, 0.35] {
                let velocity = Vec2::from_angle(side).rotate(direction) * 190.0;
                sparks.add(Spark {
                    place: position,
                    velocity,
                    left: 0.11,
                    life: 0.11,
                    width: 1.8,
                    color,
                });
            }
        }
        SimEffect::Dashed { seat, position, direction } => {
            sparks.burst(
                position,
                -direction * 130.0,
                22,
                120.0,
                0.45,
                light(seat_color(seat), 1.6),
            );
            ring(sparks, position, (6.0, 38.0), 0.3, light(seat_color(seat), 1.2));
        }
        SimEffect::ShieldLost { seat, position } => {
            sparks.burst(position, Vec2::ZERO, 34, 230.0, 0.6, light(seat_color(seat), 1.8));
            ring(sparks, position, (17.0, 62.0), 0.45, light(seat_color(seat), 2.2));
            view.add_shake(0.42);
        }
        SimEffect::ShieldBack { seat, position } => {
            ring(sparks, position, (44.0, 17.0), 0.35, light(seat_color(seat), 1.1));
        }
        SimEffect::Deflected { seat, position } => {
            sparks.burst(position, Vec2::ZERO, 9, 150.0, 0.3, light(seat_color(seat), 1.8));
        }
        SimEffect::Bumped { position, .. } => {
            sparks.burst(position, Vec2::ZERO, 14, 160.0, 0.35, light(WARNING, 1.6));
            view.add_shake(0.2);
        }
        SimEffect::ShipExploded { seat, position, velocity } => {
            explode(sparks, seat, position, velocity);
            view.add_shake(0.95);
        }
        _ => show_arena(effect, sparks, view),
    }
}

/// Shows the effects that do not belong to one ship.
fn show_arena(effect: SimEffect, sparks: &mut Sparks, view: &mut View) {
    match effect {
        SimEffect::CountdownBeep { left: 3.. } => sparks.clear(),
        SimEffect::AsteroidSplit { size, position } => {
            let strength = match size {
                AsteroidSize::Small => 0.5,
                AsteroidSize::Medium => 0.8,
                AsteroidSize::Large => 1.2,
            };
            let count = 8 + (22.0 * strength) as u32;
            sparks.burst(
                position,
                Vec2::ZERO,
                count,
                130.0 + 60.0 * strength,
                0.7,
                light(ROCK, 1.3),
            );
            ring(
                sparks,
                position,
                (size.radius() * 0.5, size.radius() * 1.9),
                0.35,
                light(ROCK, 0.7),
            );
            view.add_shake(0.16 * strength);
        }
        SimEffect::Burnt { size, position } => {
            let count = size.map_or(6, |size| 12 + size.radius() as u32 / 2);
            sparks.burst(
                position,
                position.normalize_or_zero() * 60.0,
                count,
                170.0,
                0.6,
                light(STAR, 1.8),
            );
        }
        SimEffect::SuddenDeath => {
            ring(sparks, Vec2::ZERO, (36.0, 420.0), 1.4, light(STAR, 1.6));
            view.add_shake(0.5);
        }
        _ => {}
    }
}

fn ring(sparks: &mut Sparks, place: Vec2, radius: (f32, f32), life: f32, color: LinearRgba) {
    sparks.add_ring(Ring { place, radius, left: life, life, width: 2.2, color });
}

/// Breaks a ship into the strokes that it was drawn with.
fn explode(sparks: &mut Sparks, seat: u8, place: Vec2, drift: Vec2) {
    let color = light(seat_color(seat), 2.0);
    let drift = drift * 0.35;
    let corners = hull(seat, Vec2::ZERO, sparks.dice().between(0.0, 6.2), 1.0);
    for (index, from) in corners.iter().enumerate() {
        let to = corners[(index + 1) % corners.len()];
        let middle = (*from + to) * 0.5;
        let life = sparks.dice().between(0.9, 1.7);
        let velocity = drift + middle * sparks.dice().between(3.0, 7.0);
        let spin = sparks.dice().between(-7.0, 7.0);
        let spark = Spark { place: place + middle, velocity, left: life, life, width: 2.2, color };
        sparks.add_shard(Shard { spark, half: (to - *from) * 0.5, spin });
    }
    sparks.burst(place, drift, 70, 330.0, 1.1, color);
    sparks.burst(place, drift, 45, 190.0, 0.8, light(WARNING, 2.4));
    ring(sparks, place, (8.0, 110.0), 0.6, light(WARNING, 2.6));
    ring(sparks, place, (4.0, 190.0), 0.9, color * 0.5);
}
