//! How a bot flies: a pure function from what it sees to the controls that it holds.
//!
//! In order of importance: stay out of the star, out of the way of rocks and shots, then chase, aim
//! and fire. With exact arithmetic it would never miss, so its aim and its foresight are made poor
//! enough for a fair opponent.

use bevy::math::{Vec2, ops};

use crate::input::Input;
use crate::sim::arena::{gravity, offset, wrap};
use crate::sim::tuning::{
    CRUISE_SPEED, DASH_SPEED, SHIP_RADIUS, SHOT_FRAMES, SHOT_SPEED, STEP_SECONDS,
};
use crate::sim::{Heading, Position, Ship, Velocity};
use crate::steering::{shortest_turn, steer};

/// Largest error of its aim, in radians.
const AIM_ERROR: f32 = 0.22;
/// Frames that it looks ahead for the star and for rocks.
const FORESIGHT: u32 = 85;
/// Frames that it looks ahead for shots.
const REFLEX: f32 = 16.0;
/// Share of the time during which it does not fire.
const HESITATION: f32 = 0.4;

/// A disc in flight.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Body {
    /// Its centre.
    pub position: Vec2,
    /// Its velocity, in units per second.
    pub velocity: Vec2,
    /// Its radius.
    pub radius: f32,
}

impl Body {
    /// The disc of something in the simulation.
    #[must_use]
    pub const fn new(position: Position, velocity: Velocity, radius: f32) -> Self {
        Self { position: position.0, velocity: velocity.0, radius }
    }
}

/// The bot's own ship.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct OwnShip {
    /// Its cooldowns and shield.
    pub ship: Ship,
    /// Its position and velocity.
    pub body: Body,
    /// Where its nose points.
    pub heading: Heading,
}

/// What a bot sees.
#[derive(Clone, PartialEq, Debug)]
pub struct BotView<'a> {
    /// Its own ship.
    pub me: OwnShip,
    /// The other ships.
    pub enemies: Vec<Body>,
    /// All asteroids.
    pub rocks: &'a [Body],
    /// The shots and the shrapnel that could hurt it.
    pub shots: Vec<Body>,
    /// The radius of the star.
    pub star_radius: f32,
    /// Whether a round is being fought: otherwise it does not fire.
    pub is_fighting: bool,
    /// Random numbers that change its behaviour from time to time.
    pub mood: Mood,
}

/// Random numbers that stay the same for 20 frames, computed without any state: they make the aim
/// shake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mood {
    bits: u64,
}

impl Mood {
    /// Frames until the mood changes.
    const FRAMES: u32 = 20;

    /// The mood of `seat` at `frame` of the match with this seed.
    #[must_use]
    pub const fn new(seed: u64, seat: u8, frame: u32) -> Self {
        // SplitMix64 over all three, so that neighbouring seats and times have unrelated moods.
        let mut bits = seed ^ ((seat as u64) << 56) ^ ((frame / Self::FRAMES) as u64);
        bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self { bits: bits ^ (bits >> 31) }
    }

    /// The error of its aim, from -1 to 1.
    fn lean(self) -> f32 {
        (self.bits & 0xffff) as f32 / 32_767.5 - 1.0
    }

    /// Its readiness to fire, from 0 to 1.
    fn patience(self) -> f32 {
        ((self.bits >> 16) & 0xffff) as f32 / 65_535.0
    }
}

/// The controls that the bot holds in this frame.
#[must_use]
pub fn decide(view: &BotView) -> Input {
    let course = flee_star(view)
        .or_else(|| evade(view))
        .or_else(|| attack(view))
        .unwrap_or_else(|| orbit(view));
    let error = shortest_turn(view.me.heading.0, course.direction.to_angle());
    let mut input = steer(error);
    input = input.with(Input::THRUST, course.thrusts && error.abs() < course.tolerance);
    let may_dash = course.dashes
        && view.me.ship.dash_cooldown <= 1
        && error.abs() < 0.7
        && !dash_would_burn(view);
    input = input.with(Input::DASH, may_dash);
    input.with(Input::FIRE, view.is_fighting && wants_to_fire(view))
}

/// Where to point the nose, and what to do when it points there.
struct Course {
    direction: Vec2,
    thrusts: bool,
    /// The engine burns only while the nose is off the course by less than this, in radians.
    tolerance: f32,
    dashes: bool,
}

/// Steers outward, and around the star in the direction of flight, if the ship would soon fall into
/// it.
fn flee_star(view: &BotView) -> Option<Course> {
    /// A ship that gets this close to the star's surface is too close.
    const MARGIN: f32 = 45.0;
    let body = &view.me.body;
    let contact = frames_to_star(view, body.velocity, MARGIN)?;
    let outward = body.position.normalize_or(Vec2::X);
    let around =
        (body.velocity - outward * body.velocity.dot(outward)).normalize_or(outward.perp());
    let direction = (outward + around * 0.6).normalize_or(outward);
    Some(Course { direction, thrusts: true, tolerance: 1.1, dashes: contact < 25 })
}

/// Frames until a ship that drifts with this velocity is within `margin` of the star, if that
/// happens within [`FORESIGHT`].
fn frames_to_star(view: &BotView, mut velocity: Vec2, margin: f32) -> Option<u32> {
    let mut position = view.me.body.position;
    (0..FORESIGHT).find(|_| {
        velocity += gravity(position, view.star_radius) * STEP_SECONDS;
        position = wrap(position + velocity * STEP_SECONDS);
        position.length() < view.star_radius + margin
    })
}

/// Whether a dash now would end in the star.
fn dash_would_burn(view: &BotView) -> bool {
    let velocity = view.me.body.velocity + view.me.heading.direction() * DASH_SPEED;
    frames_to_star(view, velocity, 2.0 * SHIP_RADIUS).is_some()
}

/// Steers sideways if a rock or a shot is about to hit the ship.
fn evade(view: &BotView) -> Option<Course> {
    let me = &view.me.body;
    let rock_horizon = FORESIGHT as f32 * 0.5 * STEP_SECONDS;
    let rocks = view.rocks.iter().filter_map(|rock| closest_approach(me, rock, rock_horizon, 6.0));
    let shot_horizon = REFLEX * STEP_SECONDS;
    let shots = view.shots.iter().filter_map(|shot| closest_approach(me, shot, shot_horizon, 2.0));
    let threat = rocks.chain(shots).min_by(|a, b| a.seconds.total_cmp(&b.seconds))?;
    // Away from its closest approach; if it comes dead centre, to the side nearer to the nose.
    let nose = view.me.heading.direction();
    let side = threat.approach.perp();
    let side = if side.dot(nose) < 0.0 { -side } else { side };
    let direction = (side - threat.miss * 0.05).normalize_or(side);
    Some(Course { direction, thrusts: true, tolerance: 0.9, dashes: threat.seconds < 0.3 })
}

/// Something that will come too close.
struct Threat {
    /// Seconds until it is at its closest.
    seconds: f32,
    /// From the ship to it, at its closest.
    miss: Vec2,
    /// The direction in which it flies relative to the ship, of length 1.
    approach: Vec2,
}

/// When and how `other` comes within `margin` of touching the ship, if both fly straight on and
/// that is less than `horizon` seconds away.
fn closest_approach(me: &Body, other: &Body, horizon: f32, margin: f32) -> Option<Threat> {
    let between = offset(me.position, other.position);
    let velocity = other.velocity - me.velocity;
    let speed_squared = velocity.length_squared();
    let closing = -between.dot(velocity);
    if speed_squared < 1.0 || closing <= 0.0 {
        return None;
    }
    let seconds = closing / speed_squared;
    let miss = between + velocity * seconds;
    let reach = me.radius + other.radius + margin;
    let is_threat = seconds < horizon && miss.length_squared() < reach * reach;
    is_threat.then(|| Threat { seconds, miss, approach: velocity / speed_squared.sqrt() })
}

/// Steers towards the point where the nearest enemy will be when a shot arrives.
fn attack(view: &BotView) -> Option<Course> {
    /// At this distance a bot stops closing in: ramming hurts nobody but is no fun.
    const CLOSE: f32 = 190.0;
    // An enemy behind the star cannot be hit, and the way there leads through the star: fly around
    // it.
    let aim = aim_at_nearest(view).filter(|&aim| !is_blocked(view, aim, 1.6 * view.star_radius))?;
    let angle = ops::atan2(aim.y, aim.x) + view.mood.lean() * AIM_ERROR;
    let (sin, cos) = ops::sin_cos(angle);
    let speed = view.me.body.velocity.length();
    Some(Course {
        direction: Vec2::new(cos, sin),
        thrusts: aim.length() > CLOSE && speed < CRUISE_SPEED * 0.8,
        tolerance: 0.5,
        dashes: false,
    })
}

/// From the ship to the point at which to aim for the nearest enemy.
fn aim_at_nearest(view: &BotView) -> Option<Vec2> {
    let me = &view.me.body;
    let distance = |enemy: &&Body| offset(me.position, enemy.position).length_squared();
    let enemy = view.enemies.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    let between = offset(me.position, enemy.position);
    let relative = enemy.velocity - me.velocity;
    // Two iterations of "how long does the shot take to get there" come within a ship's length of
    // the exact answer.
    let mut aim = between;
    for _ in 0..2 {
        aim = between + relative * (aim.length() / SHOT_SPEED);
    }
    Some(aim)
}

/// Whether a shot fired now would hit an enemy, or a rock in the way.
fn wants_to_fire(view: &BotView) -> bool {
    /// Share of the shots' range within which it is worth firing.
    const SURE: f32 = 0.9;
    if view.mood.patience() < HESITATION {
        return false;
    }
    let range = SHOT_SPEED * f32::from(SHOT_FRAMES) * STEP_SECONDS * SURE;
    let nose = view.me.heading.direction();
    let is_lined_up = |aim: Vec2, radius: f32| {
        let ahead = aim.dot(nose);
        let aside = (aim - nose * ahead).length();
        ahead > 0.0
            && ahead < range
            && aside < radius + ahead * AIM_ERROR
            && !is_blocked(view, aim, view.star_radius)
    };
    let me = &view.me.body;
    let rock_in_the_way = view.rocks.iter().any(|rock| {
        let between = offset(me.position, rock.position);
        between.length() < 180.0 && is_lined_up(between, rock.radius)
    });
    rock_in_the_way || aim_at_nearest(view).is_some_and(|aim| is_lined_up(aim, 1.6 * SHIP_RADIUS))
}

/// Whether the disc of `radius` around the star's centre is between the ship and its aim.
fn is_blocked(view: &BotView, aim: Vec2, radius: f32) -> bool {
    let from = view.me.body.position;
    let length_squared = aim.length_squared().max(1.0);
    let nearest = from + aim * (-from.dot(aim) / length_squared).clamp(0.0, 1.0);
    nearest.length() < radius
}

/// Steers around the star, not too close to it, if there is nothing else to do.
fn orbit(view: &BotView) -> Course {
    let position = view.me.body.position;
    let direction = (position.perp() + position * 0.3).normalize_or(Vec2::X);
    let is_slow = view.me.body.velocity.length() < 0.6 * CRUISE_SPEED;
    Course { direction, thrusts: is_slow, tolerance: 0.6, dashes: false }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::PI;

    use super::*;

    fn body(x: f32, y: f32, vx: f32, vy: f32) -> Body {
        Body { position: Vec2::new(x, y), velocity: Vec2::new(vx, vy), radius: 12.0 }
    }

    fn view(me: Body, heading: f32, enemies: Vec<Body>, rocks: &[Body]) -> BotView<'_> {
        BotView {
            me: OwnShip { ship: Ship::new(0), body: me, heading: Heading(heading) },
            enemies,
            rocks,
            shots: Vec::new(),
            star_radius: 36.0,
            is_fighting: true,
            mood: Mood { bits: 0x8000 | 0xffff_0000 },
        }
    }

    #[test]
    fn it_turns_to_its_enemy_by_the_short_way_and_fires_when_lined_up() {
        let me = body(-300.0, 200.0, 0.0, 0.0);
        let above = view(me, 0.0, vec![body(-300.0, 340.0, 0.0, 0.0)], &[]);
        let input = decide(&above);
        assert!(input.contains(Input::LEFT) && !input.contains(Input::FIRE), "{input:?}");
        let across_the_edge = view(me, PI, vec![body(600.0, 200.0, 0.0, 0.0)], &[]);
        assert!(decide(&across_the_edge).contains(Input::FIRE));
    }

    #[test]
    fn it_leads_a_moving_enemy() {
        let me = body(-300.0, 200.0, 0.0, 0.0);
        let crossing = view(me, 0.0, vec![body(-50.0, 200.0, 0.0, 200.0)], &[]);
        assert!(decide(&crossing).contains(Input::LEFT));
    }

    #[test]
    fn it_does_not_shoot_through_the_star_or_outside_a_fight() {
        let me = body(-200.0, 0.0, 0.0, 120.0);
        let behind = view(me, 0.0, vec![body(200.0, 0.0, 0.0, 120.0)], &[]);
        assert!(!decide(&behind).contains(Input::FIRE));
        let me = body(-300.0, 200.0, 0.0, 0.0);
        let over = BotView {
            is_fighting: false,
            ..view(me, 0.0, vec![body(-100.0, 200.0, 0.0, 0.0)], &[])
        };
        assert!(!decide(&over).contains(Input::FIRE));
    }

    #[test]
    fn it_burns_away_from_the_star() {
        let falling =
            view(body(140.0, 0.0, -150.0, 0.0), 0.0, vec![body(0.0, 300.0, 0.0, 0.0)], &[]);
        assert!(decide(&falling).contains(Input::THRUST));
    }

    #[test]
    fn it_dashes_out_of_the_way_of_a_rock() {
        let rock = [Body { radius: 37.0, ..body(-260.0, 200.0, -250.0, 0.0) }];
        let me = body(-320.0, 200.0, 0.0, 0.0);
        let input = decide(&view(me, PI / 2.0, vec![], &rock));
        assert!(input.contains(Input::DASH | Input::THRUST), "{input:?}");
    }

    #[test]
    fn no_view_makes_a_bot_panic() {
        let odd = view(body(0.0, 0.0, 0.0, 0.0), 0.0, vec![body(0.0, 0.0, 0.0, 0.0)], &[]);
        let _ = decide(&odd);
        let alone = view(body(f32::MAX, 0.0, f32::MAX, 0.0), 9.0, vec![], &[]);
        let _ = decide(&alone);
    }

    #[test]
    fn moods_differ_between_seats_and_times() {
        let mood = Mood::new(1, 0, 0);
        assert_eq!(mood, Mood::new(1, 0, Mood::FRAMES - 1));
        assert_ne!(mood, Mood::new(1, 0, Mood::FRAMES));
        assert_ne!(mood, Mood::new(1, 1, 0));
    }
}
