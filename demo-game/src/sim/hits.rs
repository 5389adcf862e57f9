//! What happens when bodies meet: the star burns, shots split rocks, ships lose shield and life,
//! ships bump.
//!
//! Everything is handled in an order that is the same on all peers, because the order matters: a
//! shot hits only the first thing that it touches.

use bevy::math::Vec2;
use bevy::prelude::{Commands, Entity, Mut, Query, Res, ResMut, With, Without};
use netcode::prelude::{Effects, Ordered, Rollback, RollbackCommandsExt};

use super::arena::{offset, touches};
use super::asteroids::split_asteroid;
use super::components::{Asteroid, AsteroidSize, Position, Ship, Shot, ShotKind, Velocity};
use super::effects::SimEffect;
use super::guns::{can_hit, throw_shrapnel};
use super::match_state::{MatchState, Star};
use super::rng::SimRng;
use super::tuning::{
    HIT_GRACE_FRAMES, HIT_KNOCKBACK, SHIELD_REGROW_FRAMES, SHIP_RADIUS, SHIP_SHRAPNEL, SHOT_RADIUS,
};

type Shots<'w, 's> =
    Ordered<'w, 's, (Entity, &'static Shot, &'static Position), (With<Rollback>, Without<Ship>)>;
type Rocks<'w, 's> = Ordered<
    'w,
    's,
    (Entity, &'static Asteroid, &'static Position, &'static Velocity),
    (With<Rollback>, Without<Ship>),
>;

/// Counts down after hits: the grace period runs out, a lost shield grows back.
pub(super) fn recover_ships(
    state: Res<MatchState>,
    mut effects: ResMut<Effects<SimEffect>>,
    mut ships: Query<(&mut Ship, &Position), With<Rollback>>,
) {
    if !state.is_moving() {
        return;
    }
    for (mut ship, position) in &mut ships {
        if recover(&mut ship) {
            effects.emit(SimEffect::ShieldBack { seat: ship.seat, position: position.0 });
        }
    }
}

/// Destroys everything that touches the star. Neither shield nor dash helps.
pub(super) fn burn_in_star(
    mut commands: Commands,
    star: Res<Star>,
    mut effects: ResMut<Effects<SimEffect>>,
    bodies: Query<(Entity, &Position, &Velocity, Option<&Ship>, Option<&Asteroid>), With<Rollback>>,
) {
    for (entity, position, velocity, ship, rock) in &bodies {
        let radius = burning_radius(ship.is_some(), rock);
        let reach = star.radius + radius;
        if position.0.length_squared() > reach * reach {
            continue;
        }
        commands.entity(entity).despawn_rollback();
        effects.emit(if let Some(ship) = ship {
            SimEffect::ShipExploded { seat: ship.seat, position: position.0, velocity: velocity.0 }
        } else {
            SimEffect::Burnt { size: rock.map(|rock| rock.size), position: position.0 }
        });
    }
}

/// Splits the asteroids that shots have hit. Shrapnel splits none, or one burst would clear the
/// sky.
pub(super) fn hit_asteroids(
    mut commands: Commands,
    mut rng: ResMut<SimRng>,
    mut effects: ResMut<Effects<SimEffect>>,
    shots: Shots,
    rocks: Rocks,
) {
    let mut rocks: Vec<_> = rocks.iter().collect();
    let mut count = rocks.len();
    for (shot_entity, shot, place) in shots.iter() {
        if shot.kind == ShotKind::Shrapnel {
            continue;
        }
        let discs = rocks.iter().map(|&(_, rock, position, _)| (position.0, rock.size.radius()));
        let Some(index) = first_touched(place.0, SHOT_RADIUS, discs) else { continue };
        let (entity, rock, position, velocity) = rocks.remove(index);
        commands.entity(shot_entity).despawn_rollback();
        commands.entity(entity).despawn_rollback();
        let place = (position.0, velocity.0);
        count = split_asteroid(&mut commands, &mut rng, &mut effects, rock.size, place, count);
    }
}

/// Lets shots, shrapnel, rocks and other ships hit the ships.
pub(super) fn hit_ships(
    mut commands: Commands,
    state: Res<MatchState>,
    mut rng: ResMut<SimRng>,
    mut effects: ResMut<Effects<SimEffect>>,
    mut ships: Ordered<
        (Entity, &'static mut Ship, &'static Position, &'static mut Velocity),
        With<Rollback>,
    >,
    shots: Shots,
    rocks: Rocks,
) {
    if !state.is_moving() {
        return;
    }
    let mut targets: Vec<Target> = ships
        .iter_mut()
        .map(|(entity, ship, &Position(position), velocity)| Target {
            entity,
            ship,
            position,
            velocity,
            is_alive: true,
        })
        .collect();

    let mut blows = bump(&mut targets, &mut effects);
    blows.extend(meet_shots(&mut commands, &targets, &shots));
    let (rock_blows, smashed) = meet_rocks(&targets, &rocks);
    blows.extend(rock_blows);
    strike(&mut commands, &mut rng, &mut effects, &mut targets, &blows, state.is_fighting());

    let mut count = rocks.iter().count();
    for (entity, size, place) in smashed {
        commands.entity(entity).despawn_rollback();
        count = split_asteroid(&mut commands, &mut rng, &mut effects, size, place, count);
    }
}

/// A ship while hits are resolved.
struct Target<'w> {
    entity: Entity,
    ship: Mut<'w, Ship>,
    position: Vec2,
    velocity: Mut<'w, Velocity>,
    is_alive: bool,
}

/// A hit on the ship with this index, from this place.
struct Blow {
    target: usize,
    from: Vec2,
}

/// Lets ships bounce off each other; a dashing one strikes the other.
fn bump(targets: &mut [Target], effects: &mut Effects<SimEffect>) -> Vec<Blow> {
    let mut blows = Vec::new();
    for second in 1..targets.len() {
        let (firsts, rest) = targets.split_at_mut(second);
        let b = &mut rest[0];
        for (first, a) in firsts.iter_mut().enumerate() {
            if !touches(a.position, a.ship.radius(), b.position, b.ship.radius()) {
                continue;
            }
            let between = offset(a.position, b.position);
            if let Some((va, vb)) = bounce(between, a.velocity.0, b.velocity.0) {
                (a.velocity.0, b.velocity.0) = (va, vb);
                let position = a.position + between * 0.5;
                effects.emit(SimEffect::Bumped { seat: a.ship.seat, position });
            }
            if a.ship.is_dashing() && !b.ship.is_dashing() {
                blows.push(Blow { target: second, from: a.position });
            }
            if b.ship.is_dashing() && !a.ship.is_dashing() {
                blows.push(Blow { target: first, from: b.position });
            }
        }
    }
    blows
}

/// Each shot hits the first ship that it touches and can hurt, and disappears.
fn meet_shots(commands: &mut Commands, targets: &[Target], shots: &Shots) -> Vec<Blow> {
    let mut blows = Vec::new();
    for (entity, shot, place) in shots.iter() {
        let hit = targets.iter().position(|target| {
            can_hit(shot, target.ship.seat)
                && touches(target.position, target.ship.radius(), place.0, SHOT_RADIUS)
        });
        if let Some(target) = hit {
            commands.entity(entity).despawn_rollback();
            blows.push(Blow { target, from: place.0 });
        }
    }
    blows
}

/// A rock that a ship ran into: its entity, its size, and its position and velocity.
type SmashedRock = (Entity, AsteroidSize, (Vec2, Vec2));

/// Each rock hits the first ship that it touches, and is smashed.
fn meet_rocks(targets: &[Target], rocks: &Rocks) -> (Vec<Blow>, Vec<SmashedRock>) {
    let (mut blows, mut smashed) = (Vec::new(), Vec::new());
    for (entity, rock, position, velocity) in rocks.iter() {
        let discs = targets.iter().map(|target| (target.position, target.ship.radius()));
        if let Some(target) = first_touched(position.0, rock.size.radius(), discs) {
            blows.push(Blow { target, from: position.0 });
            smashed.push((entity, rock.size, (position.0, velocity.0)));
        }
    }
    (blows, smashed)
}

/// Applies the blows in order, and lets destroyed ships explode.
fn strike(
    commands: &mut Commands,
    rng: &mut SimRng,
    effects: &mut Effects<SimEffect>,
    targets: &mut [Target],
    blows: &[Blow],
    is_fighting: bool,
) {
    for blow in blows {
        let target = &mut targets[blow.target];
        if !target.is_alive {
            continue;
        }
        let (seat, position) = (target.ship.seat, target.position);
        match take_hit(&mut target.ship, is_fighting) {
            Hit::Deflected => effects.emit(SimEffect::Deflected { seat, position: blow.from }),
            Hit::ShieldLost => {
                let away = offset(blow.from, position).normalize_or_zero();
                target.velocity.0 += away * HIT_KNOCKBACK;
                effects.emit(SimEffect::ShieldLost { seat, position });
            }
            Hit::Killed => {
                target.is_alive = false;
                let velocity = target.velocity.0;
                effects.emit(SimEffect::ShipExploded { seat, position, velocity });
                commands.entity(target.entity).despawn_rollback();
                throw_shrapnel(commands, rng, SHIP_SHRAPNEL, position, velocity);
            }
        }
    }
}

/// What a hit does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hit {
    Deflected,
    ShieldLost,
    Killed,
}

/// Takes first the shield, then the life; nothing while the ship is invulnerable or the round is
/// over.
fn take_hit(ship: &mut Ship, is_fighting: bool) -> Hit {
    if !is_fighting || ship.is_invulnerable() {
        Hit::Deflected
    } else if ship.has_shield() {
        ship.shield_frames = SHIELD_REGROW_FRAMES;
        ship.grace_frames = HIT_GRACE_FRAMES;
        Hit::ShieldLost
    } else {
        Hit::Killed
    }
}

/// Counts grace and shield down. Returns whether the shield is back in this very frame.
fn recover(ship: &mut Ship) -> bool {
    ship.grace_frames = ship.grace_frames.saturating_sub(1);
    let had_shield = ship.has_shield();
    ship.shield_frames = ship.shield_frames.saturating_sub(1);
    !had_shield && ship.has_shield()
}

/// The velocities of two equal discs after they bounce off each other, or `None` if they are
/// already parting. `between` leads from the first disc to the second.
fn bounce(between: Vec2, a: Vec2, b: Vec2) -> Option<(Vec2, Vec2)> {
    let normal = between.try_normalize().unwrap_or(Vec2::X);
    let approach = (a - b).dot(normal);
    (approach > 0.0).then(|| (a - normal * approach, b + normal * approach))
}

/// The first of `discs` (centre, radius) that the disc at `position` touches.
fn first_touched(
    position: Vec2,
    radius: f32,
    discs: impl Iterator<Item = (Vec2, f32)>,
) -> Option<usize> {
    discs.into_iter().position(|(centre, reach)| touches(position, radius, centre, reach))
}

/// The radius of a body as the star sees it: a ship's hull, a shot's radius; a rock burns when its
/// centre does.
fn burning_radius(is_ship: bool, rock: Option<&Asteroid>) -> f32 {
    match rock {
        Some(_) => 0.0,
        None if is_ship => SHIP_RADIUS,
        None => SHOT_RADIUS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ship_loses_its_shield_then_its_life() {
        let mut ship = Ship::new(0);
        assert_eq!(take_hit(&mut ship, true), Hit::ShieldLost);
        assert_eq!(take_hit(&mut ship, true), Hit::Deflected, "grace");
        for _ in 0..HIT_GRACE_FRAMES {
            recover(&mut ship);
        }
        assert_eq!(take_hit(&mut ship, true), Hit::Killed);
    }

    #[test]
    fn a_shield_grows_back_once() {
        let mut ship = Ship::new(0);
        take_hit(&mut ship, true);
        let back: Vec<u16> =
            (1..=2 * SHIELD_REGROW_FRAMES).filter(|_| recover(&mut ship)).collect();
        assert_eq!(back, [SHIELD_REGROW_FRAMES]);
        assert_eq!(take_hit(&mut ship, true), Hit::ShieldLost);
    }

    #[test]
    fn nothing_hurts_after_the_round_or_in_a_dash() {
        let mut ship = Ship::new(0);
        assert_eq!(take_hit(&mut ship, false), Hit::Deflected);
        ship.dash_frames = 1;
        assert_eq!(take_hit(&mut ship, true), Hit::Deflected);
        assert!(ship.has_shield());
    }

    #[test]
    fn a_head_on_bump_swaps_velocities_and_parting_ships_do_not_bump() {
        let (a, b) =
            bounce(Vec2::X, Vec2::new(10.0, 3.0), Vec2::new(-5.0, 0.0)).expect("they approach");
        assert_eq!((a, b), (Vec2::new(-5.0, 3.0), Vec2::new(10.0, 0.0)));
        assert_eq!(bounce(Vec2::X, a, b), None);
        assert!(bounce(Vec2::ZERO, Vec2::X, Vec2::ZERO).is_some(), "same place: some direction");
    }

    #[test]
    fn a_shot_hits_only_the_first_thing_that_it_touches() {
        let discs = [(Vec2::new(50.0, 0.0), 5.0), (Vec2::new(2.0, 0.0), 5.0), (Vec2::ZERO, 5.0)];
        assert_eq!(first_touched(Vec2::ZERO, 1.0, discs.into_iter()), Some(1));
        assert_eq!(first_touched(Vec2::new(0.0, 90.0), 1.0, discs.into_iter()), None);
    }
}
