//! Shots: how they leave a ship, how long they last, and the pieces that explosions throw.

use bevy::math::{Vec2, ops};
use bevy::prelude::{Commands, Entity, Query, Res, ResMut, With};
use netcode::prelude::{Effects, Ordered, PlayerInputs, Rollback, RollbackCommandsExt, Seat};

use super::arena::wrap;
use super::components::{Heading, Position, Ship, Shot, ShotKind, Velocity};
use super::effects::SimEffect;
use super::match_state::MatchState;
use super::rng::SimRng;
use super::tuning::{
    FIRE_COOLDOWN_FRAMES, RECOIL, SHIELD_RADIUS, SHOT_ARMING_FRAMES, SHOT_FRAMES, SHOT_RADIUS,
    SHOT_SPEED, SHRAPNEL_FRAMES, SHRAPNEL_SPEED,
};
use crate::input::Input;

/// Distance from a ship's centre at which its shots appear: outside its own shield.
const MUZZLE: f32 = SHIELD_RADIUS + SHOT_RADIUS + 1.0;

/// Fires the guns of all ships whose input asks for it and whose cooldown is over.
pub(super) fn fire_guns(
    mut commands: Commands,
    inputs: Res<PlayerInputs<Input>>,
    state: Res<MatchState>,
    mut effects: ResMut<Effects<SimEffect>>,
    mut ships: Ordered<
        (&'static mut Ship, &'static Heading, &'static Position, &'static mut Velocity),
        With<Rollback>,
    >,
) {
    if !state.is_moving() {
        return;
    }
    // Shots get their ids in the order in which they are fired.
    for (mut ship, heading, position, mut velocity) in ships.iter_mut() {
        let input = inputs.get(Seat(ship.seat));
        if try_fire(&mut ship, input) {
            let direction = heading.direction();
            let muzzle = wrap(position.0 + direction * MUZZLE);
            commands.spawn(shot(ship.seat, muzzle, velocity.0 + direction * SHOT_SPEED));
            velocity.0 -= direction * RECOIL;
            effects.emit(SimEffect::Fired { seat: ship.seat, position: muzzle, direction });
        }
    }
}

/// Removes the shots that have flown for their lifetime.
pub(super) fn age_shots(
    mut commands: Commands,
    state: Res<MatchState>,
    mut shots: Query<(Entity, &mut Shot), With<Rollback>>,
) {
    if !state.is_moving() {
        return;
    }
    for (entity, mut shot) in &mut shots {
        shot.age += 1;
        if shot.age >= shot.lifetime {
            commands.entity(entity).despawn_rollback();
        }
    }
}

/// Counts the gun's cooldown down, and fires if the input asks for it and the gun is ready.
fn try_fire(ship: &mut Ship, input: Input) -> bool {
    ship.fire_cooldown = ship.fire_cooldown.saturating_sub(1);
    if ship.fire_cooldown > 0 || !input.contains(Input::FIRE) {
        return false;
    }
    ship.fire_cooldown = FIRE_COOLDOWN_FRAMES;
    true
}

/// Whether `shot` can hurt the ship of `seat`: at first it spares the ship that fired it.
pub(crate) fn can_hit(shot: &Shot, seat: u8) -> bool {
    match shot.kind {
        ShotKind::Fired { seat: owner } => owner != seat || shot.age >= SHOT_ARMING_FRAMES,
        ShotKind::Shrapnel => true,
    }
}

fn shot(seat: u8, position: Vec2, velocity: Vec2) -> (Rollback, Shot, Position, Velocity) {
    let shot = Shot { kind: ShotKind::Fired { seat }, age: 0, lifetime: SHOT_FRAMES };
    (Rollback, shot, Position(position), Velocity(velocity))
}

/// Throws `pieces` of shrapnel from `position` in all directions, each with `velocity` added.
pub(super) fn throw_shrapnel(
    commands: &mut Commands,
    rng: &mut SimRng,
    pieces: u32,
    position: Vec2,
    velocity: Vec2,
) {
    let shot = Shot { kind: ShotKind::Shrapnel, age: 0, lifetime: SHRAPNEL_FRAMES };
    for thrown in shrapnel_velocities(rng, pieces) {
        commands.spawn((Rollback, shot, Position(position), Velocity(velocity + thrown)));
    }
}

/// One velocity per piece. Their directions are about evenly spaced, so that no explosion is
/// harmless on one side; each is a little random.
fn shrapnel_velocities(rng: &mut SimRng, pieces: u32) -> Vec<Vec2> {
    let slice = std::f32::consts::TAU / pieces.max(1) as f32;
    (0..pieces)
        .map(|piece| {
            let (sin, cos) = ops::sin_cos((piece as f32 + rng.unit()) * slice);
            Vec2::new(cos, sin) * rng.range(SHRAPNEL_SPEED)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_trigger_fires_at_the_rate_of_the_gun() {
        let mut ship = Ship::new(0);
        let frames = u16::from(ship.seat)..5 * FIRE_COOLDOWN_FRAMES;
        assert_eq!(frames.filter(|_| try_fire(&mut ship, Input::FIRE)).count(), 5);
    }

    #[test]
    fn a_fresh_shot_spares_only_the_ship_that_fired_it() {
        let mut shot = Shot { kind: ShotKind::Fired { seat: 1 }, age: 0, lifetime: SHOT_FRAMES };
        assert!(!can_hit(&shot, 1) && can_hit(&shot, 0));
        shot.age = SHOT_ARMING_FRAMES;
        assert!(can_hit(&shot, 1));
        shot.kind = ShotKind::Shrapnel;
        shot.age = 0;
        assert!(can_hit(&shot, 1));
    }

    #[test]
    fn shrapnel_flies_in_all_directions() {
        let velocities = shrapnel_velocities(&mut SimRng::new(3), 8);
        assert_eq!(velocities.len(), 8);
        for quarter in [Vec2::X, Vec2::Y, Vec2::NEG_X, Vec2::NEG_Y] {
            assert!(velocities.iter().any(|velocity| velocity.dot(quarter) > 60.0));
        }
        assert!(shrapnel_velocities(&mut SimRng::new(3), 0).is_empty());
    }
}
