//! The course of a match: phases, rounds, scores; and the star, which is part of the rules.
//!
//! ```text
//! Countdown ──► Fighting ──► RoundOver ──► Countdown …
//!                                 └──────► MatchOver (stays)
//! ```

use bevy::prelude::Resource;
use serde::{Deserialize, Serialize};

use super::tuning::{MATCH_OVER_FRAMES, MAX_SEATS, STAR_RADIUS};

/// Where the match stands. It is one resource because the changes of each field depend on the
/// others.
#[derive(Resource, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MatchState {
    /// The phase that the match is in.
    pub phase: Phase,
    /// Frames since the phase began: 0 in its first frame.
    pub phase_frames: u32,
    /// The round being played, from 1.
    pub round: u16,
    /// Rounds won, by seat.
    pub scores: [u8; MAX_SEATS],
    /// Seats in this match: the number of entries of `scores` that are used.
    pub seats: u8,
}

impl MatchState {
    /// A match of `seats` before its first countdown.
    #[must_use]
    pub const fn new(seats: u8) -> Self {
        Self { phase: Phase::Countdown, phase_frames: 0, round: 1, scores: [0; MAX_SEATS], seats }
    }

    /// Rounds won by each seat of this match.
    #[must_use]
    pub fn score(&self) -> &[u8] {
        &self.scores[..usize::from(self.seats).min(MAX_SEATS)]
    }

    /// Whether the match is decided and its result has been shown long enough: it ends with this
    /// frame.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::MatchOver { .. }) && self.phase_frames >= MATCH_OVER_FRAMES
    }

    /// Whether things move: ships wait in the countdown.
    #[must_use]
    pub const fn is_moving(&self) -> bool {
        !matches!(self.phase, Phase::Countdown)
    }

    /// Whether ships can be hurt.
    #[must_use]
    pub const fn is_fighting(&self) -> bool {
        matches!(self.phase, Phase::Fighting)
    }
}

impl Default for MatchState {
    fn default() -> Self {
        Self::new(0)
    }
}

/// The phase of a match.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing moves; ships may turn.
    Countdown,
    /// The round itself.
    Fighting,
    /// The round is decided; the ships that are left fly on, and only the star can still destroy
    /// them.
    RoundOver {
        /// The seat that won it; `None` for a draw.
        winner: Option<u8>,
    },
    /// The match is decided and stays so.
    MatchOver {
        /// The seat that won it; `None` for a draw.
        winner: Option<u8>,
    },
}

/// The star in the middle.
#[derive(Resource, Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Star {
    /// Radius in world units: everything that touches the star is destroyed.
    pub radius: f32,
}

impl Default for Star {
    fn default() -> Self {
        Self { radius: STAR_RADIUS }
    }
}
