//! The worlds that are saved and restored: the same components and the same changes for every
//! library.

use bevy::prelude::*;
use serde::{Deserialize, Serialize};

/// 8 bytes.
#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position(pub(crate) f32, pub(crate) f32);

/// 8 bytes.
#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Velocity(pub(crate) f32, pub(crate) f32);

/// 4 bytes.
#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Age(pub(crate) u32);

/// A `String`.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Name(pub(crate) String);

/// A `Vec<u32>` of 8.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Items(pub(crate) Vec<u32>);

/// Bytes of the three `Copy` components of one entity.
pub(crate) const COPY_BYTES: usize =
    size_of::<Position>() + size_of::<Velocity>() + size_of::<Age>();

/// The components of each entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Position, velocity and age.
    Copy,
    /// A name and a list of items.
    Owning,
}

/// Spawns the `index`-th entity, with the library's marker for rolling back.
pub(crate) fn spawn(world: &mut World, kind: Kind, index: usize, marker: impl Bundle) {
    let small = index as f32;
    match kind {
        Kind::Copy => {
            world.spawn((marker, Position(small, small), Velocity(1.0, 0.5), Age(index as u32)))
        }
        Kind::Owning => world.spawn((
            marker,
            Name(format!("entity number {index}")),
            Items((0..8).map(|item| item + index as u32).collect()),
        )),
    };
}

/// Changes every `step`-th entity, starting at one that depends on `turn`.
pub(crate) fn change(world: &mut World, kind: Kind, step: usize, turn: usize) {
    match kind {
        Kind::Copy => {
            let mut query = world.query::<(&mut Position, &mut Velocity, &mut Age)>();
            for (mut position, mut velocity, mut age) in
                query.iter_mut(world).skip(turn % step).step_by(step)
            {
                position.0 += velocity.0;
                position.1 += velocity.1;
                velocity.0 = -velocity.0;
                age.0 += 1;
            }
        }
        Kind::Owning => {
            let mut query = world.query::<(&mut Name, &mut Items)>();
            for (mut name, mut items) in query.iter_mut(world).skip(turn % step).step_by(step) {
                // The name keeps its length, like one that ends in a counter.
                name.0.pop();
                name.0.push(char::from(b'0' + (turn % 10) as u8));
                items.0[turn % 8] += 1;
            }
        }
    }
}

/// The game of the sync tests: everything moves in every frame. Goes table by table, so that the
/// game itself takes as little of the time as possible.
pub(crate) fn fly(mut things: Query<(&mut Position, &mut Velocity, &mut Age)>) {
    let tables = things.contiguous_iter_mut().expect("all three are kept in tables");
    for (mut positions, mut velocities, mut ages) in tables {
        for (position, velocity) in positions.iter_mut().zip(velocities.iter_mut()) {
            position.0 += velocity.0;
            position.1 += velocity.1;
            velocity.1 -= 0.01;
        }
        ages.iter_mut().for_each(|age| age.0 += 1);
    }
}
