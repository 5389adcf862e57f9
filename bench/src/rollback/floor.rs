//! The floor: copying the bytes of the components of a world, and nothing else.

use bevy::{ecs::change_detection::ContiguousMut, prelude::*};

use super::{
    contestant::WINDOW,
    world::{Age, COPY_BYTES, Kind, Position, Velocity, change, spawn},
};

/// The number of frames that there is room for, as in the libraries.
const FRAMES: usize = WINDOW as usize + 2;

/// A world that changes like those of the libraries, and whose columns are copied as they are: no
/// rollback library can do less.
pub(crate) struct Columns {
    world: World,
    positions: QueryState<&'static mut Position>,
    velocities: QueryState<&'static mut Velocity>,
    ages: QueryState<&'static mut Age>,
    ring: Vec<(Vec<Position>, Vec<Velocity>, Vec<Age>)>,
    turn: usize,
}

impl Columns {
    pub(crate) fn new(entities: usize) -> Self {
        let mut world = World::new();
        (0..entities).for_each(|index| spawn(&mut world, Kind::Copy, index, ()));
        let frame = (
            vec![Position(0.0, 0.0); entities],
            vec![Velocity(0.0, 0.0); entities],
            vec![Age(0); entities],
        );
        Self {
            positions: QueryState::new(&mut world),
            velocities: QueryState::new(&mut world),
            ages: QueryState::new(&mut world),
            world,
            ring: vec![frame; FRAMES],
            turn: 0,
        }
    }

    /// Changes every entity.
    pub(crate) fn change(&mut self) {
        self.turn += 1;
        change(&mut self.world, Kind::Copy, 1, self.turn);
        self.world.increment_change_tick();
    }

    /// Copies into the buffers whose turn it is.
    pub(crate) fn save(&mut self) {
        let place = self.turn % FRAMES;
        let (positions, velocities, ages) = &mut self.ring[place];
        copy(&mut self.positions, &mut self.world, |column| positions.copy_from_slice(column));
        copy(&mut self.velocities, &mut self.world, |column| velocities.copy_from_slice(column));
        copy(&mut self.ages, &mut self.world, |column| ages.copy_from_slice(column));
        std::hint::black_box(&mut self.ring[place]);
    }

    /// Copies back from the buffers that were written `changes_since` changes ago.
    pub(crate) fn load(&mut self, changes_since: usize) {
        let (positions, velocities, ages) = &self.ring[(self.turn - changes_since) % FRAMES];
        copy(&mut self.positions, &mut self.world, |column| column.copy_from_slice(positions));
        copy(&mut self.velocities, &mut self.world, |column| column.copy_from_slice(velocities));
        copy(&mut self.ages, &mut self.world, |column| column.copy_from_slice(ages));
        std::hint::black_box(&mut self.world);
    }
}

/// Passes the one column of a component to `work`, without touching its change ticks.
fn copy<C: Component<Mutability = bevy::ecs::component::Mutable>>(
    query: &mut QueryState<&'static mut C>,
    world: &mut World,
    work: impl FnOnce(&mut [C]),
) {
    let mut columns = query.contiguous_iter_mut(world).expect("all three are kept in tables");
    let column = columns.next().expect("the world has entities");
    work(ContiguousMut::bypass_change_detection_split(column).0);
}

/// The same number of bytes in one piece. Nothing touches them between two copies, so they stay in
/// the nearest cache.
pub(crate) struct Bytes {
    source: Vec<u8>,
    ring: Vec<Vec<u8>>,
    turn: usize,
}

impl Bytes {
    pub(crate) fn new(entities: usize) -> Self {
        let bytes = entities * COPY_BYTES;
        Self { source: vec![1; bytes], ring: vec![vec![0; bytes]; FRAMES], turn: 0 }
    }

    /// Writes the source, with a value that the compiler cannot know.
    pub(crate) fn change(&mut self) {
        self.turn += 1;
        self.source.fill(self.turn as u8);
        std::hint::black_box(&mut self.source);
    }

    pub(crate) fn save(&mut self) {
        let place = self.turn % FRAMES;
        self.ring[place].copy_from_slice(&self.source);
        std::hint::black_box(&mut self.ring[place]);
    }

    pub(crate) fn load(&mut self) {
        let place = self.turn % FRAMES;
        // The turn stays that of the save.
        self.source.copy_from_slice(&self.ring[place]);
        std::hint::black_box(&mut self.source);
    }

    /// Overwrites the source without moving on to the next turn.
    pub(crate) fn spoil(&mut self) {
        self.source.fill(0);
        std::hint::black_box(&mut self.source);
    }
}
