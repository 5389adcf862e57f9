//! What exists in the arena. Every type here rolls back and is part of the checksum.

use bevy::math::{Vec2, ops};
use bevy::prelude::Component;
use serde::{Deserialize, Serialize};

use super::tuning::{SHIELD_RADIUS, SHIP_RADIUS};

/// Where a body is, in world units: inside the arena, with the star at the origin.
#[derive(Component, Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Position(pub Vec2);

/// How a body moves, in world units per second.
#[derive(Component, Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Velocity(pub Vec2);

/// Where a ship's nose points, in radians, counter-clockwise from +x, in `-π..=π`.
#[derive(Component, Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Heading(pub f32);

impl Heading {
    /// The direction of the nose, of length 1.
    #[must_use]
    pub fn direction(self) -> Vec2 {
        let (sin, cos) = ops::sin_cos(self.0);
        Vec2::new(cos, sin)
    }
}

/// A ship. It exists only while its player is alive in this round; the next round has new entities.
#[derive(Component, Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Ship {
    /// The seat that flies it.
    pub seat: u8,
    /// Frames until the gun may fire again.
    pub fire_cooldown: u16,
    /// Frames until the next dash may start, counted from the start of the last.
    pub dash_cooldown: u16,
    /// Frames until the dash is over; 0 when not dashing.
    pub dash_frames: u16,
    /// Frames during which nothing but the star can hurt the ship.
    pub grace_frames: u16,
    /// Frames until the shield is back; 0 when it is up.
    pub shield_frames: u16,
    /// Whether the engine is on in this frame.
    pub thrusting: bool,
}

impl Ship {
    /// A ship at the start of a round: everything ready, shield up.
    #[must_use]
    pub fn new(seat: u8) -> Self {
        Self { seat, ..Self::default() }
    }

    /// Whether the next hit takes the shield rather than the life.
    #[must_use]
    pub const fn has_shield(&self) -> bool {
        self.shield_frames == 0
    }

    /// Whether the ship is dashing: it cannot be hurt, and hurts the ships that it rams.
    #[must_use]
    pub const fn is_dashing(&self) -> bool {
        self.dash_frames > 0
    }

    /// Whether shots, shrapnel, asteroids and other ships cannot hurt it now.
    #[must_use]
    pub const fn is_invulnerable(&self) -> bool {
        self.is_dashing() || self.grace_frames > 0
    }

    /// The radius within which it is hit: the shield's, or the bare hull's.
    #[must_use]
    pub const fn radius(&self) -> f32 {
        if self.has_shield() { SHIELD_RADIUS } else { SHIP_RADIUS }
    }
}

/// A thing that flies for a short while and hurts the ship that it hits.
#[derive(Component, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shot {
    /// Decides its looks, and whether it spares its owner at first.
    pub kind: ShotKind,
    /// Frames since it was fired.
    pub age: u16,
    /// Age at which it disappears, in frames.
    pub lifetime: u16,
}

/// Where a [`Shot`] comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ShotKind {
    /// Fired by the ship of this seat.
    Fired {
        /// The seat that fired.
        seat: u8,
    },
    /// Thrown by an explosion: it belongs to nobody and hurts everybody.
    Shrapnel,
}

/// A rock in orbit.
#[derive(Component, Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Asteroid {
    /// Decides its radius, and what it splits into.
    pub size: AsteroidSize,
    /// Radians per second, for its looks only: to the rules, rocks are round.
    pub spin: f32,
    /// Seed of its outline, for its looks.
    pub shape: u32,
}

/// How large an [`Asteroid`] is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum AsteroidSize {
    /// Bursts into shrapnel.
    Small,
    /// Splits into two small ones.
    Medium,
    /// Splits into two medium ones.
    Large,
}

impl AsteroidSize {
    /// The radius in world units.
    #[must_use]
    pub const fn radius(self) -> f32 {
        match self {
            Self::Small => 11.0,
            Self::Medium => 21.0,
            Self::Large => 37.0,
        }
    }

    /// The size of the two halves, or `None` if it bursts.
    #[must_use]
    pub const fn half(self) -> Option<Self> {
        match self {
            Self::Small => None,
            Self::Medium => Some(Self::Small),
            Self::Large => Some(Self::Medium),
        }
    }
}
