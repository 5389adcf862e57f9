//! The rules as a whole app applies them: the effect of a held key on a ship, and of a hit on the
//! world.

use bevy::math::Vec2;
use bevy::prelude::{Entity, With};
use demo_game::input::Input;
use demo_game::sim::tuning::{
    ASTEROID_SHRAPNEL, COUNTDOWN_FRAMES, DASH_COOLDOWN_FRAMES, FIRE_COOLDOWN_FRAMES,
    HIT_GRACE_FRAMES, MAX_SEATS, SHIP_SHRAPNEL, SHOT_FRAMES,
};
use demo_game::sim::{
    Asteroid, AsteroidSize, Heading, Phase, Position, Ship, Shot, ShotKind, SimEffect, Velocity,
};
use netcode::prelude::{Rollback, SyncTest};

use crate::playground::Playground;

/// A fight that has just begun, without rocks.
fn fight(seats: usize) -> Playground {
    let mut playground = Playground::idle(seats, 12);
    playground.until("the fight begins", 2 * COUNTDOWN_FRAMES, |playground| {
        playground.state().is_fighting()
    });
    let world = playground.app.world_mut();
    let rocks: Vec<Entity> = world.query_filtered::<Entity, With<Asteroid>>().iter(world).collect();
    for rock in rocks {
        world.despawn(rock);
    }
    playground.effects.clear();
    playground
}

impl Playground {
    fn ship(&mut self, seat: u8) -> Option<(Ship, Vec2, Vec2)> {
        let world = self.app.world_mut();
        let mut ships = world.query_filtered::<(&Ship, &Position, &Velocity), With<Rollback>>();
        let found = ships.iter(world).find(|(ship, ..)| ship.seat == seat);
        found.map(|(ship, position, velocity)| (*ship, position.0, velocity.0))
    }

    fn place_ship(&mut self, seat: u8, at: Vec2, heading: f32) {
        let world = self.app.world_mut();
        let mut ships = world.query::<(&Ship, &mut Position, &mut Velocity, &mut Heading)>();
        for (ship, mut position, mut velocity, mut nose) in ships.iter_mut(world) {
            if ship.seat == seat {
                (position.0, velocity.0, nose.0) = (at, Vec2::ZERO, heading);
            }
        }
    }

    /// A shot at rest that no ship of the match has fired.
    fn place_shot(&mut self, at: Vec2) {
        let shot =
            Shot { kind: ShotKind::Fired { seat: MAX_SEATS as u8 }, age: 0, lifetime: SHOT_FRAMES };
        self.app.world_mut().spawn((Rollback, shot, Position(at), Velocity(Vec2::ZERO)));
    }

    /// A shot like that, at the position of `seat`'s ship.
    fn shoot_at(&mut self, seat: u8) {
        let at = self.ship(seat).expect("the ship lives").1;
        self.place_shot(at);
    }

    fn place_rock(&mut self, size: AsteroidSize, at: Vec2) {
        let rock = Asteroid { size, spin: 0.0, shape: 0 };
        self.app.world_mut().spawn((Rollback, rock, Position(at), Velocity(Vec2::ZERO)));
    }

    fn rocks(&mut self) -> Vec<AsteroidSize> {
        let world = self.app.world_mut();
        let mut rocks = world.query_filtered::<&Asteroid, With<Rollback>>();
        rocks.iter(world).map(|rock| rock.size).collect()
    }

    fn shots(&mut self) -> Vec<ShotKind> {
        let world = self.app.world_mut();
        let mut shots = world.query_filtered::<&Shot, With<Rollback>>();
        shots.iter(world).map(|shot| shot.kind).collect()
    }

    fn count(&self, wanted: impl Fn(&SimEffect) -> bool) -> usize {
        self.effects.iter().filter(|(_, effect)| wanted(effect)).count()
    }
}

const FAR: Vec2 = Vec2::new(-500.0, 250.0);

#[test]
fn ships_wait_in_the_countdown_but_may_turn() {
    let mut playground = Playground::idle(2, 1);
    playground.hold(&[Input::THRUST | Input::LEFT | Input::FIRE | Input::DASH; 2]);
    let place = playground.ship(0).expect("ships exist from the start").1;
    let headings = |playground: &mut Playground| -> Vec<f32> {
        let world = playground.app.world_mut();
        world.query::<&Heading>().iter(world).map(|heading| heading.0).collect()
    };
    let before = headings(&mut playground);
    playground.updates(COUNTDOWN_FRAMES / 2);
    assert_eq!(playground.ship(0).expect("the ship still flies").1, place);
    assert!(playground.shots().is_empty());
    let after = headings(&mut playground);
    assert!(before.len() == 2 && before.iter().zip(&after).all(|(before, after)| before != after));
}

#[test]
fn holding_the_dash_dashes_once_per_cooldown() {
    let mut playground = fight(2);
    playground.place_ship(0, FAR, 2.5);
    playground.place_ship(1, -FAR, 2.5);
    playground.hold(&[Input::DASH, Input::NONE]);
    playground.updates(u32::from(DASH_COOLDOWN_FRAMES));
    let dashed = |effect: &SimEffect| matches!(effect, SimEffect::Dashed { seat: 0, .. });
    assert_eq!(playground.count(dashed), 1);
    playground.updates(2);
    assert_eq!(playground.count(dashed), 2);
}

#[test]
fn a_held_trigger_fires_shots_that_do_not_last() {
    let mut playground = fight(2);
    playground.place_ship(0, FAR, 2.5);
    playground.hold(&[Input::FIRE, Input::NONE]);
    playground.updates(3 * u32::from(FIRE_COOLDOWN_FRAMES));
    assert_eq!(playground.shots().len(), 3);
    playground.hold(&[Input::NONE; 2]);
    playground.updates(u32::from(SHOT_FRAMES) + 1);
    assert!(playground.shots().is_empty());
}

#[test]
fn a_ship_loses_its_shield_then_its_life_and_the_other_wins_the_round() {
    let mut playground = fight(2);
    playground.place_ship(0, FAR, 0.0);
    playground.place_ship(1, -FAR, 0.0);
    playground.place_shot(FAR);
    playground.updates(1);
    assert!(!playground.ship(0).expect("the ship lives").0.has_shield());
    playground.shoot_at(0);
    playground.updates(1);
    assert_eq!(
        playground.count(|effect| matches!(effect, SimEffect::Deflected { seat: 0, .. })),
        1,
        "grace"
    );
    playground.updates(u32::from(HIT_GRACE_FRAMES));
    playground.shoot_at(0);
    playground.updates(2);
    assert!(playground.ship(0).is_none());
    assert_eq!(playground.shots().len(), SHIP_SHRAPNEL as usize);
    assert_eq!(playground.state().phase, Phase::RoundOver { winner: Some(1) });
    assert_eq!(playground.state().scores, [0, 1, 0, 0]);
}

#[test]
fn two_ships_that_die_at_once_draw() {
    let mut playground = fight(2);
    playground.place_ship(0, Vec2::new(10.0, 0.0), 0.0);
    playground.place_ship(1, Vec2::new(-10.0, 0.0), 0.0);
    playground.updates(2);
    assert_eq!(playground.state().phase, Phase::RoundOver { winner: None });
    assert_eq!(playground.state().scores, [0; MAX_SEATS]);
}

#[test]
fn a_rock_splits_in_two_and_a_small_one_bursts() {
    let mut playground = fight(2);
    for (size, left, shrapnel) in [
        (AsteroidSize::Large, vec![AsteroidSize::Medium; 2], 0),
        (AsteroidSize::Medium, vec![AsteroidSize::Small; 2], 0),
        (AsteroidSize::Small, vec![], ASTEROID_SHRAPNEL as usize),
    ] {
        playground.place_rock(size, FAR);
        playground.place_shot(FAR);
        playground.updates(1);
        assert_eq!(playground.rocks(), left);
        assert_eq!(playground.shots(), vec![ShotKind::Shrapnel; shrapnel]);
        let world = playground.app.world_mut();
        let rocks: Vec<Entity> =
            world.query_filtered::<Entity, With<Asteroid>>().iter(world).collect();
        rocks.into_iter().for_each(|rock| {
            world.despawn(rock);
        });
    }
}

#[test]
fn a_ship_that_rams_a_rock_smashes_it_and_loses_its_shield() {
    let mut playground = fight(2);
    playground.place_ship(0, FAR, 0.0);
    playground.place_rock(AsteroidSize::Medium, FAR);
    playground.updates(1);
    assert_eq!(playground.rocks(), [AsteroidSize::Small; 2]);
    assert_eq!(
        playground.count(|effect| matches!(effect, SimEffect::ShieldLost { seat: 0, .. })),
        1
    );
}

#[test]
fn every_sound_is_heard_once() {
    let mut playground = Playground::offline();
    playground.hold(&[Input::NONE; 2]);
    playground.start(2, 8, Some(SyncTest::at_depth(7)));
    playground.updates(COUNTDOWN_FRAMES + 10);
    assert!(playground.stats().resimulated_frames > COUNTDOWN_FRAMES, "each frame ran many times");
    let beeps = |left: u8| {
        playground.count(
            |effect| matches!(effect, SimEffect::CountdownBeep { left: other } if *other == left),
        )
    };
    assert_eq!([beeps(3), beeps(2), beeps(1), beeps(0)], [1; 4]);
}
