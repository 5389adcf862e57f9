//! Particles: short-lived light that only decorates. The pool is bounded; when it is full, the
//! oldest particle is dropped.

use std::collections::VecDeque;

use bevy::math::ops;
use bevy::prelude::*;

use super::strokes::Layer;
use crate::sim::arena::wrap;

/// Maximum number of sparks at once: enough for two ships that explode among many asteroids, and no
/// burden on the frame rate.
const MAX_SPARKS: usize = 700;
/// Maximum number of rings at once, and of shards.
const MAX_RINGS: usize = 48;

/// A point of light that flies, slows down and fades.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spark {
    pub(super) place: Vec2,
    pub(super) velocity: Vec2,
    /// Seconds until it is gone.
    pub(super) left: f32,
    /// Its whole lifetime, in seconds.
    pub(super) life: f32,
    pub(super) width: f32,
    pub(super) color: LinearRgba,
}

/// A circle that widens and fades.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    pub(super) place: Vec2,
    pub(super) radius: (f32, f32),
    pub(super) left: f32,
    pub(super) life: f32,
    pub(super) width: f32,
    pub(super) color: LinearRgba,
}

/// A straight piece of wreckage that turns and fades.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shard {
    pub(super) spark: Spark,
    pub(super) half: Vec2,
    pub(super) spin: f32,
}

/// All particles.
#[derive(Resource, Default)]
pub(super) struct Sparks {
    sparks: VecDeque<Spark>,
    rings: VecDeque<Ring>,
    shards: VecDeque<Shard>,
    dice: Dice,
}

/// Pseudo-random numbers for drawing, never for the simulation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(u32);

impl Default for Dice {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Dice {
    pub(super) fn new(seed: u32) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9) | 1)
    }

    /// A number in `0.0..1.0`, uniformly distributed.
    pub(super) fn roll(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }

    /// A number between `low` and `high`, uniformly distributed.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.roll()
    }

    /// A vector in a random direction, with a random length between `low` and `high`.
    pub(super) fn direction(&mut self, low: f32, high: f32) -> Vec2 {
        Vec2::from_angle(self.roll() * std::f32::consts::TAU) * self.between(low, high)
    }
}

impl Sparks {
    /// The random numbers for new particles.
    pub(super) fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    pub(super) fn add(&mut self, spark: Spark) {
        push_bounded(&mut self.sparks, spark, MAX_SPARKS);
    }

    pub(super) fn add_ring(&mut self, ring: Ring) {
        push_bounded(&mut self.rings, ring, MAX_RINGS);
    }

    pub(super) fn add_shard(&mut self, shard: Shard) {
        push_bounded(&mut self.shards, shard, MAX_RINGS);
    }

    /// Adds a burst of `count` sparks in all directions, each with `drift` added.
    pub(super) fn burst(
        &mut self,
        place: Vec2,
        drift: Vec2,
        count: u32,
        speed: f32,
        life: f32,
        color: LinearRgba,
    ) {
        for _ in 0..count {
            let dice = &mut self.dice;
            let velocity = drift + dice.direction(speed * 0.15, speed);
            let life = dice.between(life * 0.4, life);
            let width = dice.between(1.0, 2.2);
            self.add(Spark { place, velocity, left: life, life, width, color });
        }
    }

    /// Drops all particles, for a new round.
    pub(super) fn clear(&mut self) {
        self.sparks.clear();
        self.rings.clear();
        self.shards.clear();
    }

    fn age(&mut self, seconds: f32) {
        let slowed = ops::powf(0.25, seconds);
        for spark in
            self.sparks.iter_mut().chain(self.shards.iter_mut().map(|shard| &mut shard.spark))
        {
            spark.place += spark.velocity * seconds;
            spark.velocity *= slowed;
            spark.left -= seconds;
        }
        for shard in &mut self.shards {
            shard.half = Vec2::from_angle(shard.spin * seconds).rotate(shard.half);
        }
        for ring in &mut self.rings {
            ring.left -= seconds;
        }
        self.sparks.retain(|spark| spark.left > 0.0);
        self.shards.retain(|shard| shard.spark.left > 0.0);
        self.rings.retain(|ring| ring.left > 0.0);
    }

    fn draw(&self, layer: &mut Layer) {
        for spark in &self.sparks {
            let fade = spark.left / spark.life;
            let head = wrap(spark.place);
            let tail = head - spark.velocity * 0.03;
            let color = spark.color * (fade * fade);
            layer.tapered(tail, head, (spark.width * 0.3, spark.width), (color * 0.2, color));
        }
        for shard in &self.shards {
            let spark = &shard.spark;
            let place = wrap(spark.place);
            layer.line(
                place - shard.half,
                place + shard.half,
                spark.width,
                spark.color * (spark.left / spark.life),
            );
        }
        for ring in &self.rings {
            let fade = ring.left / ring.life;
            let grown = 1.0 - fade * fade;
            let radius = ring.radius.0 + (ring.radius.1 - ring.radius.0) * grown;
            layer.circle(ring.place, radius, ring.width * (0.4 + fade), ring.color * fade);
        }
    }
}

fn push_bounded<T>(pool: &mut VecDeque<T>, item: T, most: usize) {
    if pool.len() >= most {
        pool.pop_front();
    }
    pool.push_back(item);
}

pub(super) fn draw_sparks(
    time: Res<Time<Real>>,
    mut sparks: ResMut<Sparks>,
    mut strokes: ResMut<super::strokes::Strokes>,
) {
    sparks.age(time.delta_secs().min(0.1));
    sparks.draw(&mut strokes.arena);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_bounded_and_empties_by_itself() {
        let mut sparks = Sparks::default();
        sparks.burst(Vec2::ZERO, Vec2::ZERO, 2000, 100.0, 1.0, LinearRgba::WHITE);
        assert_eq!(sparks.sparks.len(), MAX_SPARKS);
        sparks.age(1.01);
        assert!(sparks.sparks.is_empty());
    }

    #[test]
    fn dice_stay_within_their_range() {
        let mut dice = Dice::new(7);
        for _ in 0..1000 {
            assert!((0.0..1.0).contains(&dice.roll()));
        }
    }
}
