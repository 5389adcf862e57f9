//! What players hear and see once, although its frame may be simulated many times.

use bevy::math::Vec2;

use super::components::AsteroidSize;

/// Something that players hear and see.
///
/// Two effects are equal if they have the same kind, seat and size. Positions are deliberately left
/// out: when a rollback moves a shot by a hair, it is still the same shot and must not sound twice.
#[derive(Clone, Copy, Debug)]
pub enum SimEffect {
    /// A beep of the countdown; 0 is "go".
    CountdownBeep {
        /// Beeps still to come.
        left: u8,
    },
    /// A ship fired.
    Fired {
        /// The seat of the ship.
        seat: u8,
        /// The muzzle.
        position: Vec2,
        /// Direction of the shot, of length 1.
        direction: Vec2,
    },
    /// A ship began a dash.
    Dashed {
        /// The seat of the ship.
        seat: u8,
        /// Where it started.
        position: Vec2,
        /// Direction of the dash, of length 1.
        direction: Vec2,
    },
    /// A ship lost its shield.
    ShieldLost {
        /// The seat of the ship.
        seat: u8,
        /// The ship's centre.
        position: Vec2,
    },
    /// A ship's shield is back.
    ShieldBack {
        /// The seat of the ship.
        seat: u8,
        /// The ship's centre.
        position: Vec2,
    },
    /// Something hit a ship that could not be hurt.
    Deflected {
        /// The seat of the ship.
        seat: u8,
        /// Where.
        position: Vec2,
    },
    /// Two ships bumped into each other.
    Bumped {
        /// The lower of the two seats.
        seat: u8,
        /// Between them.
        position: Vec2,
    },
    /// A ship exploded.
    ShipExploded {
        /// The seat of the ship.
        seat: u8,
        /// Where.
        position: Vec2,
        /// Its velocity, in units per second: the wreckage drifts on.
        velocity: Vec2,
    },
    /// An asteroid split or burst.
    AsteroidSplit {
        /// The size it had.
        size: AsteroidSize,
        /// Where.
        position: Vec2,
    },
    /// Something other than a ship fell into the star.
    Burnt {
        /// How large it was: `None` for a shot.
        size: Option<AsteroidSize>,
        /// Where it touched the star.
        position: Vec2,
    },
    /// The star begins to grow.
    SuddenDeath,
    /// A round was decided.
    RoundOver {
        /// The seat that won it; `None` for a draw.
        winner: Option<u8>,
    },
    /// The match was decided.
    MatchOver {
        /// The seat that won it; `None` for a draw.
        winner: Option<u8>,
    },
}

impl SimEffect {
    /// What identifies an effect: its kind, and a number within the kind.
    fn identity(&self) -> (std::mem::Discriminant<Self>, u8) {
        let within = match *self {
            Self::CountdownBeep { left } => left,
            Self::Fired { seat, .. }
            | Self::Dashed { seat, .. }
            | Self::ShieldLost { seat, .. }
            | Self::ShieldBack { seat, .. }
            | Self::Deflected { seat, .. }
            | Self::Bumped { seat, .. }
            | Self::ShipExploded { seat, .. } => seat,
            Self::AsteroidSplit { size, .. } => size as u8,
            Self::Burnt { size, .. } => size.map_or(u8::MAX, |size| size as u8),
            Self::SuddenDeath => 0,
            Self::RoundOver { winner } | Self::MatchOver { winner } => winner.unwrap_or(u8::MAX),
        };
        (std::mem::discriminant(self), within)
    }
}

impl PartialEq for SimEffect {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_shot_from_a_corrected_place_is_the_same_effect() {
        let fired =
            |seat, x| SimEffect::Fired { seat, position: Vec2::new(x, 0.0), direction: Vec2::X };
        assert_eq!(fired(1, 10.0), fired(1, 10.5));
        assert_ne!(fired(1, 10.0), fired(2, 10.0));
    }

    #[test]
    fn kinds_and_sizes_differ() {
        let split = |size| SimEffect::AsteroidSplit { size, position: Vec2::ZERO };
        assert_ne!(split(AsteroidSize::Large), split(AsteroidSize::Small));
        assert_ne!(SimEffect::RoundOver { winner: None }, SimEffect::MatchOver { winner: None });
    }
}
