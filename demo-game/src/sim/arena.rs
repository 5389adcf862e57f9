//! The shape of space: a rectangle whose opposite edges touch, with the star at the origin.

use bevy::math::Vec2;

use super::tuning::{ARENA, ARENA_HALF, MAX_GRAVITY, STAR_GRAVITY, STAR_RADIUS};

/// `position` brought back into the arena after it crossed an edge.
///
/// It may be outside by at most the size of the arena, which holds for anything that moves less
/// than that per frame.
#[must_use]
pub fn wrap(position: Vec2) -> Vec2 {
    Vec2::new(
        wrap_axis(position.x, ARENA_HALF.x, ARENA.x),
        wrap_axis(position.y, ARENA_HALF.y, ARENA.y),
    )
}

fn wrap_axis(value: f32, half: f32, whole: f32) -> f32 {
    if value >= half {
        value - whole
    } else if value < -half {
        value + whole
    } else {
        value
    }
}

/// The shortest way from one position to another, across an edge where that is shorter.
#[must_use]
pub fn offset(from: Vec2, to: Vec2) -> Vec2 {
    wrap(to - from)
}

/// Whether two discs overlap, across the edges too.
#[must_use]
pub fn touches(a: Vec2, a_radius: f32, b: Vec2, b_radius: f32) -> bool {
    let reach = a_radius + b_radius;
    offset(a, b).length_squared() <= reach * reach
}

/// The star's pull at `position`, as an acceleration in units/s²: falls with the square of the
/// distance, grows with the star's radius, and has an upper limit.
#[must_use]
pub fn gravity(position: Vec2, star_radius: f32) -> Vec2 {
    let distance_squared = position.length_squared();
    if distance_squared < 1.0 {
        // At the very centre there is no direction to pull in; anything here has burnt anyway.
        return Vec2::ZERO;
    }
    let strength = STAR_GRAVITY * (star_radius / STAR_RADIUS) / distance_squared;
    -position / distance_squared.sqrt() * strength.min(MAX_GRAVITY)
}

/// The velocity of a counter-clockwise circular orbit through `position`, around a star that has
/// not grown.
#[must_use]
pub fn orbit_velocity(position: Vec2) -> Vec2 {
    let distance = position.length().max(1.0);
    position.perp() / distance * (STAR_GRAVITY / distance).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_leaves_on_one_side_comes_back_on_the_other() {
        assert_eq!(wrap(Vec2::new(650.0, 0.0)), Vec2::new(-630.0, 0.0));
        assert_eq!(wrap(Vec2::new(0.0, -361.0)), Vec2::new(0.0, 359.0));
        assert_eq!(wrap(ARENA_HALF), -ARENA_HALF);
        assert_eq!(wrap(-ARENA_HALF), -ARENA_HALF);
    }

    #[test]
    fn neighbours_across_an_edge_touch() {
        let (left, right) = (Vec2::new(-635.0, 10.0), Vec2::new(635.0, 10.0));
        assert_eq!(offset(right, left), Vec2::new(10.0, 0.0));
        assert!(touches(left, 5.0, right, 5.0));
        assert!(!touches(left, 4.0, right, 5.0));
    }

    #[test]
    fn gravity_pulls_inward_and_falls_with_the_square() {
        let near = gravity(Vec2::new(200.0, 0.0), STAR_RADIUS);
        let far = gravity(Vec2::new(400.0, 0.0), STAR_RADIUS);
        assert!(near.x < 0.0 && near.y == 0.0);
        assert!((near.x / far.x - 4.0).abs() < 1e-4);
        assert!((gravity(Vec2::new(0.0, 200.0), 2.0 * STAR_RADIUS).y / near.x - 2.0).abs() < 1e-4);
    }

    #[test]
    fn gravity_is_finite_everywhere() {
        assert_eq!(gravity(Vec2::ZERO, STAR_RADIUS), Vec2::ZERO);
        assert!((gravity(Vec2::new(3.0, 4.0), STAR_RADIUS).length() - MAX_GRAVITY).abs() < 0.1);
    }

    #[test]
    fn an_orbit_stays_at_its_distance() {
        let mut position = Vec2::new(250.0, 0.0);
        let mut velocity = orbit_velocity(position);
        for _ in 0..600 {
            velocity += gravity(position, STAR_RADIUS) / 60.0;
            position += velocity / 60.0;
            assert!((position.length() - 250.0).abs() < 10.0);
        }
    }
}
