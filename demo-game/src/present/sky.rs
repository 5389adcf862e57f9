//! Draws the background: the starfield, the arena's border, and the star with its corona.

use bevy::math::ops;
use bevy::prelude::*;

use super::bodies::ROCK_REACH;
use super::palette::{FRAME, STAR, light};
use super::sparks::Dice;
use super::strokes::{Layer, LayerHandles, Strokes, upload_sky};
use crate::screen::{Screen, TextAreas};
use crate::sim::Star;
use crate::sim::tuning::{ARENA_HALF, STAR_RADIUS};
use crate::view::View;

/// Number of background stars. They cover more than any window shows around the arena.
const SKY_STARS: u32 = 900;
/// Half of the area that they cover, in world units.
const SKY_HALF: Vec2 = Vec2::new(1900.0, 1700.0);
/// Distance from text at which a rock or a ray is fully bright, in world units. Nearer, it fades,
/// so that it never vanishes suddenly.
const FADE: f32 = 60.0;
/// Number of rays in the corona.
const RAYS: u32 = 44;

/// Draws the starfield once, because it does not change.
pub(super) fn build_sky(handles: Res<LayerHandles>, mut meshes: ResMut<Assets<Mesh>>) -> Result {
    let mut layer = Layer::default();
    let mut dice = Dice::new(2026);
    for _ in 0..SKY_STARS {
        let place = Vec2::new(dice.between(-1.0, 1.0), dice.between(-1.0, 1.0)) * SKY_HALF;
        let depth = dice.roll();
        let tint = dice.roll();
        let color = LinearRgba::rgb(0.55 + 0.45 * tint, 0.72, 1.0 - 0.35 * tint);
        layer.dot(place, 0.5 + 0.7 * depth * depth, color * (0.16 + 1.1 * ops::powf(depth, 6.0)));
    }
    // Faint dust along a diagonal band.
    for _ in 0..26 {
        let along = dice.between(-1.0, 1.0);
        let place = Vec2::new(along * SKY_HALF.x, along * 620.0 + dice.between(-260.0, 260.0));
        let color = LinearRgba::rgb(0.10, 0.16, 0.34) * dice.between(0.10, 0.22);
        layer.haze(place, dice.between(260.0, 560.0), color);
    }
    upload_sky(&handles, layer, &mut meshes)
}

/// Draws the arena's border and its star.
pub(super) fn draw_arena(
    time: Res<Time<Real>>,
    screen: Res<Screen>,
    view: Res<View>,
    star: Option<Res<Star>>,
    text_areas: TextAreas,
    mut strokes: ResMut<Strokes>,
) {
    let now = time.elapsed_secs();
    if screen.shows_arena() {
        let corners = [
            Vec2::new(-ARENA_HALF.x, -ARENA_HALF.y),
            Vec2::new(ARENA_HALF.x, -ARENA_HALF.y),
            Vec2::new(ARENA_HALF.x, ARENA_HALF.y),
            Vec2::new(-ARENA_HALF.x, ARENA_HALF.y),
        ];
        strokes.overlay.outline(&corners, 1.0, light(FRAME, 0.55));
        let radius = star.map_or(STAR_RADIUS, |star| star.radius);
        draw_star(&mut strokes.arena, Vec2::ZERO, radius, now, &[]);
    } else {
        // Behind the menus: the edge of a huge star in the corner, away from the text.
        let tall = view.is_tall();
        let pixel = view.window * if tall { Vec2::new(0.5, 1.2) } else { Vec2::new(1.02, 1.04) };
        let place = view.world_at(pixel);
        let text_areas = text_areas.in_world(&view);
        draw_star(&mut strokes.arena, place, 205.0, now * 0.6, &text_areas);
        draw_orbits(&mut strokes.arena, place, now, &text_areas);
    }
}

/// Draws the star. Its rays fade near text.
fn draw_star(layer: &mut Layer, place: Vec2, radius: f32, now: f32, text_areas: &[Rect]) {
    let pulse = 1.0 + 0.035 * ops::sin(now * 2.1) + 0.02 * ops::sin(now * 5.3);
    layer.haze(place, radius * 5.2 * pulse, light(STAR, 0.22));
    layer.haze(place, radius * 2.5 * pulse, light(STAR, 0.75));
    layer.circle(place, radius, 3.0, light(STAR, 2.4));
    layer.circle(place, radius * 0.80, 1.4, light(STAR, 0.5));
    let mut dice = Dice::new(11);
    for ray in 0..RAYS {
        let drift = dice.between(-0.12, 0.12);
        let turn =
            (ray as f32 + dice.roll() * 0.7) / RAYS as f32 * std::f32::consts::TAU + drift * now;
        let wave = 0.5 + 0.5 * ops::sin(now * dice.between(0.8, 2.4) + dice.roll() * 6.0);
        let direction = Vec2::from_angle(turn);
        let from = place + direction * (radius * 1.06);
        let to = place + direction * (radius * (1.16 + 0.34 * wave * pulse));
        let strength = (0.25 + 0.9 * wave) * light_beside(to, 0.0, text_areas);
        layer.tapered(from, to, (2.2, 0.5), (light(STAR, strength), light(STAR, 0.0)));
    }
    // Granules: short strokes that drift inside the disc.
    for granule in 0..18_u32 {
        let turn = dice.roll() * std::f32::consts::TAU + now * dice.between(-0.25, 0.25);
        let far = radius * (0.15 + 0.6 * (granule as f32 / 18.0));
        let at = place + Vec2::from_angle(turn) * far;
        let half = Vec2::from_angle(turn + 1.57) * (radius * 0.09);
        let breath = 0.25 + 0.25 * ops::sin(now * dice.between(0.5, 1.6) + granule as f32);
        layer.line(at - half, at + half, 1.3, light(STAR, breath));
    }
}

/// Draws rocks in orbit around the menu's star. They fade near text.
fn draw_orbits(layer: &mut Layer, place: Vec2, now: f32, text_areas: &[Rect]) {
    let mut dice = Dice::new(5);
    for rock in 0..9_u32 {
        let distance = 330.0 + 62.0 * rock as f32 + dice.between(-20.0, 20.0);
        let speed = 2200.0 / ops::powf(distance, 1.5);
        let turn = dice.roll() * std::f32::consts::TAU + now * speed;
        let at = place + Vec2::from_angle(turn) * distance;
        let radius = dice.between(8.0, 26.0);
        let spin = dice.between(-0.6, 0.6);
        let strength = 0.34 * light_beside(at, radius * ROCK_REACH, text_areas);
        if strength <= 0.0 {
            continue;
        }
        let outline = super::bodies::rock_outline(rock + 40, radius, 10, at, now * spin);
        layer.outline(&outline, 1.6, light(super::palette::ROCK, strength));
    }
}

/// The brightness of something of radius `reach` at `at`: from 0 where it would touch text to 1
/// where it is far from any.
fn light_beside(at: Vec2, reach: f32, text_areas: &[Rect]) -> f32 {
    let gap = |area: &Rect| (area.min - at).max(at - area.max).max(Vec2::ZERO).length() - reach;
    let nearest = text_areas.iter().map(gap).fold(f32::INFINITY, f32::min);
    (nearest / FADE).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rock_is_drawn_over_text() {
        let card = Rect::from_corners(Vec2::new(-100.0, -50.0), Vec2::new(100.0, 50.0));
        let beside = |x: f32, y: f32| light_beside(Vec2::new(x, y), 10.0, &[card]);
        assert_eq!(beside(0.0, 0.0), 0.0, "behind it");
        assert_eq!(beside(109.0, 0.0), 0.0, "its edge would still touch it");
        assert_eq!(beside(0.0, -60.0), 0.0, "at its edge");
        assert_eq!(beside(110.0 + FADE / 2.0, 0.0), 0.5, "it fades on the way");
        assert_eq!(beside(111.0 + FADE, 0.0), 1.0, "far from it");
        assert_eq!(light_beside(Vec2::ZERO, 10.0, &[]), 1.0, "there is nothing to read");
    }
}
