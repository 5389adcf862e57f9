//! The touch controls, drawn translucent over the arena once a finger has touched the screen.

use bevy::prelude::*;

use super::palette::{ACCENT, TEXT_QUIET, WARNING, light};
use super::strokes::Strokes;
use crate::devices::{STICK_REACH, TouchPad};
use crate::view::View;

/// Where the stick is shown while no thumb is on it, in layout units from the lower left corner.
const STICK_HOME: Vec2 = Vec2::new(96.0, 92.0);

pub(super) fn draw_touch_controls(
    pad: Res<TouchPad>,
    view: Res<View>,
    mut strokes: ResMut<Strokes>,
) {
    if !pad.is_used {
        return;
    }
    let units = |pixels: f32| pixels * view.units_per_pixel;
    let reach = STICK_REACH * view.ui_scale;
    let home =
        Vec2::new(STICK_HOME.x * view.ui_scale, view.window.y - STICK_HOME.y * view.ui_scale);
    let (from, to) = pad.stick.unwrap_or((home, home));
    let strength = if pad.stick.is_some() { 0.5 } else { 0.2 };
    let knob = from + (to - from).clamp_length_max(reach);
    strokes.overlay.circle(view.world_at(from), units(reach), 1.5, light(TEXT_QUIET, strength));
    strokes.overlay.circle(
        view.world_at(knob),
        units(reach * 0.42),
        2.0,
        light(ACCENT, strength * 1.4),
    );

    for ((centre, radius), (held, color)) in
        TouchPad::buttons(&view).into_iter().zip([(pad.fire, ACCENT), (pad.dash, WARNING)])
    {
        let place = view.world_at(centre);
        let strength = if held { 1.1 } else { 0.35 };
        strokes.overlay.circle(place, units(radius), 2.0, light(color, strength));
        strokes.overlay.circle(place, units(radius * 0.22), 2.0, light(color, strength));
    }
}
