//! Where things are on the screen: the arena fits into any window, below the match's score line,
//! and shakes.
//!
//! Only the numbers are here, for drawing, for layout and for reading fingers; `present/camera`
//! applies them.

use bevy::math::ops;
use bevy::prelude::*;

use crate::sim::tuning::ARENA;

/// Window size, in pixels, for which the user interface is laid out if the window is wider than
/// tall: everything fits into it.
const WIDE_LAYOUT: Vec2 = Vec2::new(960.0, 560.0);
/// The same if the window is taller than wide, as on a phone.
const TALL_LAYOUT: Vec2 = Vec2::new(460.0, 760.0);
/// Smallest and largest scale of the user interface: below it, text is unreadable; above it, text
/// is absurdly large.
const UI_SCALE_RANGE: (f32, f32) = (0.55, 3.0);
/// Height of the score line above the arena, in layout units.
pub(crate) const SCORE_LINE: f32 = 46.0;
/// Free space around the arena, in layout units.
const MARGIN: f32 = 4.0;
/// Space below the arena for the thumbs in a tall window, as a part of the window's height.
pub(crate) const THUMBS_SHARE: f32 = 0.3;
/// Greatest distance by which the camera shakes, in world units.
const SHAKE_REACH: f32 = 11.0;
/// Part of the shake that is left after a second.
const SHAKE_LEFT: f32 = 0.02;

/// How the window shows the world, this frame.
#[derive(Resource, Clone, Copy, Debug)]
pub(crate) struct View {
    /// Size of the window in logical pixels.
    pub(crate) window: Vec2,
    /// World units per logical pixel.
    pub(crate) units_per_pixel: f32,
    /// The position in the world that is in the middle of the window, without shake.
    pub(crate) centre: Vec2,
    /// Scale of the user interface: logical pixels per layout unit.
    pub(crate) ui_scale: f32,
    /// Size of a physical pixel, in layout units.
    pub(crate) pixel: f32,
    /// Strength of the shake, from 0 to 1.
    shake: f32,
}

impl Default for View {
    fn default() -> Self {
        Self {
            window: Vec2::new(1280.0, 720.0),
            units_per_pixel: 1.0,
            centre: Vec2::ZERO,
            ui_scale: 1.0,
            pixel: 1.0,
            shake: 0.0,
        }
    }
}

impl View {
    /// Whether the window is taller than wide.
    pub(crate) fn is_tall(&self) -> bool {
        self.window.y > self.window.x
    }

    /// Size of the window in layout units.
    pub(crate) fn layout_size(&self) -> Vec2 {
        self.window / self.ui_scale
    }

    /// The position in the world at a point of the window, in logical pixels from its top left
    /// corner.
    pub(crate) fn world_at(&self, pixel: Vec2) -> Vec2 {
        let from_centre = (pixel - self.window * 0.5) * Vec2::new(1.0, -1.0);
        self.centre + from_centre * self.units_per_pixel
    }

    /// Adds a shake. The sum of many small ones is limited.
    pub(crate) fn add_shake(&mut self, strength: f32) {
        self.shake = (self.shake + strength).min(1.0);
    }

    /// Fits the view to a window of this size, in logical pixels of `scale_factor` physical ones:
    /// shows the whole arena below the score line, or, without an arena, fills the window with a
    /// part of its area.
    pub(crate) fn fit(&mut self, window: Vec2, scale_factor: f32, shows_arena: bool) {
        self.window = window.max(Vec2::splat(1.0));
        self.ui_scale = ui_scale_for(self.window);
        self.pixel = 1.0 / (self.ui_scale * scale_factor);
        (self.units_per_pixel, self.centre) = if shows_arena {
            fit_arena(self.window, self.ui_scale)
        } else {
            (cover_window(self.window), Vec2::ZERO)
        };
    }

    /// Lets the shake fade by a rendered frame of `seconds`, and returns how far it moves the
    /// camera `now`, in seconds since the start.
    pub(crate) fn fade_shake(&mut self, seconds: f32, now: f32) -> Vec2 {
        self.shake *= ops::powf(SHAKE_LEFT, seconds);
        let reach = SHAKE_REACH * self.shake * self.shake;
        let phase = now * 47.0;
        Vec2::new(ops::sin(phase), ops::cos(phase * 1.31 + 1.0)) * reach
    }
}

/// Scale of the user interface for a window: the layout fits, and text stays readable.
fn ui_scale_for(window: Vec2) -> f32 {
    let layout = if window.y > window.x { TALL_LAYOUT } else { WIDE_LAYOUT };
    let fits = (window / layout).min_element();
    fits.clamp(UI_SCALE_RANGE.0, UI_SCALE_RANGE.1)
}

/// Units per pixel and centre for the arena between the score line and the thumbs.
fn fit_arena(window: Vec2, ui_scale: f32) -> (f32, Vec2) {
    // In a tall window, four players need two lines.
    let lines = if window.y > window.x { 2.0 } else { 1.0 };
    let top = (SCORE_LINE * lines + MARGIN) * ui_scale;
    let bottom = if window.y > window.x { window.y * THUMBS_SHARE } else { MARGIN * ui_scale };
    let room = Vec2::new(window.x - 2.0 * MARGIN * ui_scale, window.y - top - bottom)
        .max(Vec2::splat(1.0));
    let units_per_pixel = (ARENA / room).max_element();
    // In a tall window, the arena is near the score line and not in the middle of an empty area.
    let height = ARENA.y / units_per_pixel;
    let middle = if window.y > window.x {
        top + height * 0.5 + (room.y - height) * 0.35
    } else {
        top + room.y * 0.5
    };
    (units_per_pixel, Vec2::new(0.0, (middle - window.y * 0.5) * units_per_pixel))
}

/// Units per pixel so that the arena's area fills the window behind the menus.
fn cover_window(window: Vec2) -> f32 {
    (ARENA / window.max(Vec2::splat(1.0))).min_element()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::tuning::ARENA_HALF;

    #[test]
    fn the_arena_fits_below_the_score_line_of_every_window() {
        for window in
            [(1280.0, 720.0), (640.0, 360.0), (390.0, 844.0), (2560.0, 1080.0), (300.0, 200.0)]
        {
            let window = Vec2::from(window);
            let scale = ui_scale_for(window);
            let (units_per_pixel, centre) = fit_arena(window, scale);
            let view = View { window, units_per_pixel, centre, ui_scale: scale, ..View::default() };
            let top_left = view.world_at(Vec2::new(0.0, SCORE_LINE * scale));
            let bottom_right = view.world_at(window);
            assert!(
                top_left.x <= -ARENA_HALF.x && top_left.y >= ARENA_HALF.y,
                "{window}: {top_left}"
            );
            assert!(
                bottom_right.x >= ARENA_HALF.x && bottom_right.y <= -ARENA_HALF.y,
                "{window}: {bottom_right}"
            );
        }
    }

    #[test]
    fn text_grows_with_the_window() {
        assert!(ui_scale_for(Vec2::new(1280.0, 720.0)) > 1.2);
        assert!(ui_scale_for(Vec2::new(640.0, 360.0)) >= 0.64);
        assert!(ui_scale_for(Vec2::new(390.0, 844.0)) > 0.8);
    }
}
