//! The controls that a player holds in one frame, as one byte.
//!
//! Only the type is here; `devices` decides which keys, sticks and fingers mean which control.

use std::ops::{BitOr, BitOrAssign};

use serde::{Deserialize, Serialize};

/// The controls held by one seat during one frame.
///
/// `Input::default()` holds nothing. Combine controls with `|`:
///
/// ```
/// use demo_game::input::Input;
///
/// let input = Input::LEFT | Input::THRUST;
/// assert!(input.contains(Input::THRUST));
/// assert_eq!(input.turn(), 1.0);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub struct Input(u8);

impl Input {
    /// Nothing is held.
    pub const NONE: Self = Self(0);
    /// Turn counter-clockwise.
    pub const LEFT: Self = Self(1);
    /// Turn clockwise.
    pub const RIGHT: Self = Self(1 << 1);
    /// Accelerate along the nose.
    pub const THRUST: Self = Self(1 << 2);
    /// Shoot as often as the gun allows.
    pub const FIRE: Self = Self(1 << 3);
    /// Dash as soon as the dash is ready.
    pub const DASH: Self = Self(1 << 4);
    /// Every control at once: the bits that have a meaning.
    pub const ALL: Self = Self(0b1_1111);

    /// The controls in the low five bits of `bits`; the other bits, which a hostile peer may send,
    /// are dropped.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// The controls as bits, in the order of the constants.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// These controls and, if `held`, also `control`. Meant for chains over the keys of a device.
    #[must_use]
    pub const fn with(self, control: Self, held: bool) -> Self {
        if held { Self(self.0 | control.0) } else { self }
    }

    /// Whether all of `controls` are held.
    #[must_use]
    pub const fn contains(self, controls: Self) -> bool {
        self.0 & controls.0 == controls.0
    }

    /// The direction of the turn: 1 is counter-clockwise, -1 clockwise, 0 neither or both.
    #[must_use]
    pub fn turn(self) -> f32 {
        f32::from(u8::from(self.contains(Self::LEFT)))
            - f32::from(u8::from(self.contains(Self::RIGHT)))
    }
}

impl From<u8> for Input {
    fn from(bits: u8) -> Self {
        Self::from_bits(bits)
    }
}

impl From<Input> for u8 {
    fn from(input: Input) -> Self {
        input.0
    }
}

impl BitOr for Input {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Input {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_bits_are_dropped() {
        assert_eq!(Input::from_bits(0xff), Input::ALL);
        assert_eq!(serde_json::from_str::<Input>("255").unwrap(), Input::ALL);
    }

    #[test]
    fn both_turns_cancel() {
        assert_eq!((Input::LEFT | Input::RIGHT).turn(), 0.0);
        assert_eq!(Input::RIGHT.turn(), -1.0);
    }

    #[test]
    fn with_adds_only_what_is_held() {
        let input = Input::NONE.with(Input::FIRE, true).with(Input::DASH, false);
        assert_eq!(input, Input::FIRE);
        assert!(!input.contains(Input::FIRE | Input::DASH));
    }
}
