//! The numbers of the game, in one place, each with its reason.
//!
//! Units: world units are pixels of a 1280 × 720 window, time is counted in frames of 1/60 s,
//! speeds are units per second, angles are radians.

use bevy::math::Vec2;

/// Frames per second of the simulation. It also sets the length of a step.
pub const FPS: u16 = 60;
/// Seconds per frame.
pub const STEP_SECONDS: f32 = 1.0 / 60.0;
/// Maximum number of seats in a match; also the length of every array by seat.
pub const MAX_SEATS: usize = 4;

/// Width and height of the arena: a 16:9 window shows all of it, so there is no scrolling and
/// nothing hides.
pub const ARENA: Vec2 = Vec2::new(1280.0, 720.0);
/// Half of [`ARENA`]: positions lie in `-ARENA_HALF..ARENA_HALF`, with the star at the origin.
pub const ARENA_HALF: Vec2 = Vec2::new(640.0, 360.0);

/// Radius of the star when a round begins: large enough to hide behind, small enough to fly around.
pub const STAR_RADIUS: f32 = 36.0;
/// The star's pull, as G·M: at 125 units it equals [`THRUST`], so inside that ring only speed saves
/// a ship.
pub const STAR_GRAVITY: f32 = 4.0e6;
/// Upper limit of the star's acceleration, so that a near miss bends a shot instead of flinging it
/// away.
pub const MAX_GRAVITY: f32 = 1200.0;
/// Frame of the fight from which the star grows: a minute is a long duel, and a stalemate must end.
pub const SUDDEN_DEATH_FRAMES: u32 = 60 * 60;
/// How fast the growth of the star's radius accelerates in sudden death, in units/s². The star
/// fills the arena after 22 s, and pulls harder as it grows.
pub const STAR_GROWTH: f32 = 3.0;

/// Radius of a ship's hull.
pub const SHIP_RADIUS: f32 = 11.0;
/// Radius of a ship's raised shield: larger than the hull, so that a ship without it is harder to
/// hit.
pub const SHIELD_RADIUS: f32 = 16.0;
/// Turning speed: a half turn takes 0.8 s, fast enough to flip and brake, slow enough to aim.
pub const TURN_SPEED: f32 = 4.0;
/// Acceleration of a thrusting ship: from rest to cruising speed in 1.3 s.
pub const THRUST: f32 = 256.0;
/// Fraction of its speed that a ship loses per second: so little that an idle ship circles for half
/// a minute before it falls into the star.
pub const DRAG: f32 = 0.03;
/// Fraction of its sideways speed that a thrusting ship loses per second: under thrust it goes
/// where it points sooner than physics allows, so that it feels like a ship and not like a brick on
/// ice.
pub const SIDEWAYS_DRAG: f32 = 0.9;
/// Speed above which a ship slows down by itself, so that players can follow the fight.
pub const CRUISE_SPEED: f32 = 330.0;
/// Fraction of the speed above [`CRUISE_SPEED`] that a ship loses per second.
pub const OVERSPEED_DRAG: f32 = 2.4;

/// Speed that a dash adds along the nose.
pub const DASH_SPEED: f32 = 420.0;
/// Frames that a dash lasts: its ship cannot be hurt, and hurts the ships it rams.
pub const DASH_FRAMES: u16 = 14;
/// Frames from the start of a dash until the next may start.
pub const DASH_COOLDOWN_FRAMES: u16 = 150;

/// Frames between two shots of one ship: four a second, so that it pays to aim.
pub const FIRE_COOLDOWN_FRAMES: u16 = 15;
/// Speed of a shot relative to the ship that fires it.
pub const SHOT_SPEED: f32 = 450.0;
/// Frames that a shot flies: about a second. In that time a shot from a ship at rest covers less
/// than the arena's height, so it does not come back around.
pub const SHOT_FRAMES: u16 = 62;
/// Radius of a shot.
pub const SHOT_RADIUS: f32 = 3.0;
/// Frames before a shot can hit the ship that fired it: it must first leave the hull. Later it may
/// come back.
pub const SHOT_ARMING_FRAMES: u16 = 18;
/// Speed that firing takes from the ship: players feel it but hardly see it.
pub const RECOIL: f32 = 5.0;

/// Frames during which a ship cannot be hurt again after losing its shield.
pub const HIT_GRACE_FRAMES: u16 = 70;
/// Frames until a lost shield is back: long enough to be hunted, short enough to have hope.
pub const SHIELD_REGROW_FRAMES: u16 = 4 * 60;
/// Speed that a hit gives to a ship, away from what hit it.
pub const HIT_KNOCKBACK: f32 = 110.0;

/// Pieces that an exploding ship throws: they hurt ships that are too close.
pub const SHIP_SHRAPNEL: u32 = 22;
/// Pieces that a small asteroid bursts into.
pub const ASTEROID_SHRAPNEL: u32 = 7;
/// Frames that shrapnel flies.
pub const SHRAPNEL_FRAMES: u16 = 42;
/// Slowest and fastest shrapnel.
pub const SHRAPNEL_SPEED: (f32, f32) = (120.0, 300.0);

/// Number of asteroids at the start of a round, in addition to one for each seat.
pub const ASTEROIDS_AT_START: u32 = 2;
/// Frames between two asteroids that drift in from the edge.
pub const ASTEROID_ARRIVAL_FRAMES: u32 = 4 * 60;
/// Frames between two asteroids in sudden death: they rain.
pub const ASTEROID_RAIN_FRAMES: u32 = 30;
/// Number of asteroids at which no more drift in before sudden death: more would be a wall, not a
/// hazard.
pub const ENOUGH_ASTEROIDS: usize = 14;
/// Maximum number of asteroids at once: at this number none arrives, and one that is hit leaves
/// only shrapnel.
pub const MAX_ASTEROIDS: usize = 48;
/// Slowest and fastest speed at which the halves of an asteroid part.
pub const SPLIT_SPEED: (f32, f32) = (30.0, 90.0);
/// Distances from the star at which asteroids start: inside and around the orbit of the ships.
pub const ASTEROID_ORBIT: (f32, f32) = (190.0, 290.0);
/// Start speed of an asteroid, as a multiple of the speed of a circular orbit: even the slowest
/// miss the star.
pub const ASTEROID_ORBIT_SPEED: (f32, f32) = (0.8, 1.05);
/// Speed of an asteroid that drifts in.
pub const ASTEROID_DRIFT_SPEED: (f32, f32) = (50.0, 110.0);
/// Fastest spin of an asteroid, either way.
pub const ASTEROID_SPIN: f32 = 1.2;
/// Least distance between a ship and an asteroid that appears: time to see it.
pub const ASTEROID_CLEARANCE: f32 = 130.0;

/// Distance from the star at which ships start: a circular orbit fits into the arena's height.
pub const START_ORBIT: f32 = 270.0;
/// Rounds to win a match.
pub const ROUNDS_TO_WIN: u8 = 5;
/// Rounds after which a match ends, whatever the score: draws score nothing and must not go on for
/// ever.
pub const MAX_ROUNDS: u16 = 25;
/// Frames of the countdown: three beeps, 40 frames apart, then go.
pub const COUNTDOWN_FRAMES: u32 = 120;
/// Frames between two beeps of the countdown.
pub const COUNTDOWN_BEEP_FRAMES: u32 = 40;
/// Frames between the end of a round and the next countdown: time to see who won.
pub const ROUND_OVER_FRAMES: u32 = 110;
/// Frames that a decided match keeps running: time to see who won.
pub const MATCH_OVER_FRAMES: u32 = 200;
