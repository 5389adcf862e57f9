//! The colours of the game, in one place: few, so that each has a meaning.

use bevy::prelude::*;

/// One colour per seat. They differ in lightness too, for people who cannot tell red from green.
const SEAT_COLORS: [Color; 4] = [
    Color::srgb(0.33, 0.86, 1.0),
    Color::srgb(1.0, 0.67, 0.24),
    Color::srgb(1.0, 0.42, 0.76),
    Color::srgb(0.55, 0.96, 0.45),
];

/// Text that matters.
pub(crate) const TEXT: Color = Color::srgb(0.90, 0.94, 0.99);
/// Text that explains.
pub(crate) const TEXT_QUIET: Color = Color::srgb(0.58, 0.66, 0.77);
/// What has the focus, and what invites a choice.
pub(crate) const ACCENT: Color = Color::srgb(0.33, 0.86, 1.0);
/// All is well.
pub(crate) const GOOD: Color = Color::srgb(0.55, 0.96, 0.45);
/// The game waits for something.
pub(crate) const WARNING: Color = Color::srgb(1.0, 0.76, 0.28);
/// Something is wrong.
pub(crate) const DANGER: Color = Color::srgb(1.0, 0.42, 0.42);
/// Behind everything.
pub(crate) const BACKGROUND: Color = Color::srgb(0.012, 0.016, 0.030);
/// Behind text that stands over the arena: ships shine through.
pub(crate) const PANEL: Color = Color::srgba(0.020, 0.030, 0.055, 0.55);
/// Behind a card: nothing shines through.
pub(crate) const CARD: Color = Color::srgb(0.020, 0.030, 0.055);
/// The frame of a panel or an item without focus.
pub(crate) const FRAME: Color = Color::srgba(0.40, 0.52, 0.68, 0.38);
/// The star's core.
pub(super) const STAR: Color = Color::srgb(1.0, 0.86, 0.55);
/// Rocks.
pub(super) const ROCK: Color = Color::srgb(0.66, 0.68, 0.76);

/// The colour of a seat's ship, shots and score.
pub(crate) fn seat_color(seat: u8) -> Color {
    SEAT_COLORS[usize::from(seat) % SEAT_COLORS.len()]
}

/// `color` as light of `strength`: above 1 it blooms.
pub(crate) fn light(color: Color, strength: f32) -> LinearRgba {
    let linear = color.to_linear();
    LinearRgba::new(linear.red * strength, linear.green * strength, linear.blue * strength, 1.0)
}
