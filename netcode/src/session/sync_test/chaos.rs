//! Disturbances that a sound game does not notice.

use bevy::prelude::{ChildOf, Component, Entity, World};

use crate::{
    random,
    rollback::{InSimulation, despawn_alone},
};

/// What is disturbed while some frames are simulated again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    None,
    /// The order of entities in their tables, and of children.
    Order,
    /// Entities are spawned again, with what is registered and nothing else.
    Entities,
}

/// The source of disturbances.
#[derive(Debug)]
pub(super) struct Chaos {
    /// The state of the generator.
    state: u64,
    turn: u32,
    /// Steps that were due and have not been taken.
    owed: u32,
}

/// Moves an entity out of its table for a moment; when it comes back, it stands at the end.
#[derive(Component)]
struct Shuffled;

impl Chaos {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed, turn: 0, owed: 0 }
    }

    fn next(&mut self) -> u64 {
        random::next(&mut self.state)
    }

    pub(super) fn next_disturbance(&mut self) -> Disturbance {
        const TURNS: [Disturbance; 4] =
            [Disturbance::None, Disturbance::Order, Disturbance::Entities, Disturbance::Order];
        /// The first turns, two windows long, are undisturbed: no disturbance is to blame for a
        /// frame that comes out differently even then.
        const QUIET_TURNS: u32 = 16;
        self.turn += 1;
        if self.turn < QUIET_TURNS {
            return Disturbance::None;
        }
        TURNS[self.turn as usize % TURNS.len()]
    }

    pub(super) fn steps(&mut self, due: u32) -> u32 {
        // So that a slow machine does not fall behind for ever.
        const MAX_OWED: u32 = 4;
        self.owed = (self.owed + due).min(MAX_OWED);
        let steps = if self.next() & 1 == 0 { self.owed } else { 0 };
        self.owed -= steps;
        steps
    }

    /// Despawns some entities, which the load then brings back as new ones.
    pub(super) fn before_load(&mut self, world: &mut World, disturbance: Disturbance) {
        if disturbance == Disturbance::Entities {
            for entity in entities(world) {
                if self.next() & 3 == 0 {
                    despawn_alone(world, entity, 0);
                }
            }
        }
    }

    /// Puts entities into another order.
    pub(super) fn after_load(&mut self, world: &mut World, disturbance: Disturbance) {
        if disturbance != Disturbance::Order {
            return;
        }
        let mut order = entities(world);
        for last in (1..order.len()).rev() {
            let other = (self.next() % (last as u64 + 1)) as usize;
            order.swap(last, other);
        }
        for entity in order {
            let Ok(mut entity) = world.get_entity_mut(entity) else { continue };
            entity.insert(Shuffled).remove::<Shuffled>();
            if let Some(&ChildOf(parent)) = entity.get::<ChildOf>() {
                entity.remove::<ChildOf>().insert(ChildOf(parent));
            }
        }
    }
}

fn entities(world: &mut World) -> Vec<Entity> {
    let mut query = world.query_filtered::<Entity, InSimulation>();
    query.iter(world).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_clump_but_none_is_lost() {
        let mut chaos = Chaos::new(3);
        let taken: Vec<u32> = (0..1000).map(|_| chaos.steps(1)).collect();
        assert!(taken.contains(&0) && taken.iter().any(|&steps| steps > 1));
        // A step is dropped only when four in a row are put off.
        assert!(taken.iter().sum::<u32>() > 900);
    }
}
