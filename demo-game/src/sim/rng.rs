//! The simulation's random numbers: seeded by the match, rolled back like everything else.

use bevy::math::{Vec2, ops};
use bevy::prelude::Resource;
use serde::{Deserialize, Serialize};

/// PCG32 (XSH-RR): small, fast, and the same on every machine.
#[derive(Resource, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SimRng {
    state: u64,
}

/// Knuth's multiplier and an odd increment, as in the reference implementation.
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
const INCREMENT: u64 = 1_442_695_040_888_963_407;

impl SimRng {
    /// A generator that gives the same numbers for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Self { state: seed.wrapping_add(INCREMENT) };
        rng.next_u32();
        rng
    }

    /// The next number; all 2³² values are equally likely.
    pub fn next_u32(&mut self) -> u32 {
        let old = self.state;
        self.state = old.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        // Truncation is the algorithm: the high bits are the good ones.
        let mixed = (((old >> 18) ^ old) >> 27) as u32;
        mixed.rotate_right((old >> 59) as u32)
    }

    /// A number that is at least 0 and less than 1, in steps of 2⁻²⁴, which an `f32` holds exactly.
    pub fn unit(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// A number that is at least `low` and at most `high`.
    pub fn range(&mut self, (low, high): (f32, f32)) -> f32 {
        low + (high - low) * self.unit()
    }

    /// An angle in radians; all directions are equally likely.
    pub fn angle(&mut self) -> f32 {
        self.unit() * std::f32::consts::TAU
    }

    /// A vector of length 1; all directions are equally likely.
    pub fn direction(&mut self) -> Vec2 {
        let (sin, cos) = ops::sin_cos(self.angle());
        Vec2::new(cos, sin)
    }
}

impl Default for SimRng {
    fn default() -> Self {
        Self::new(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_numbers() {
        let mut rng = SimRng::new(42);
        let numbers: Vec<u32> = (0..4).map(|_| rng.next_u32()).collect();
        assert_eq!(numbers, KNOWN);
        assert_ne!(SimRng::new(43).next_u32(), KNOWN[0]);
    }

    #[test]
    fn unit_stays_below_one_and_fills_the_range() {
        let mut rng = SimRng::new(7);
        let values: Vec<f32> = (0..10_000).map(|_| rng.unit()).collect();
        assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
        let mean = values.iter().sum::<f32>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "mean {mean}");
    }

    #[test]
    fn directions_have_length_one() {
        let mut rng = SimRng::new(1);
        assert!((0..100).all(|_| (rng.direction().length() - 1.0).abs() < 1e-5));
    }

    /// Written down once: a change here changes every recorded match.
    const KNOWN: [u32; 4] = [3_270_867_926, 1_795_671_209, 1_924_641_435, 1_143_034_755];
}
