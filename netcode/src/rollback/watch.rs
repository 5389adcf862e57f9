//! Whether rows may have been added, taken away or moved, told without a look at them.

use bevy::prelude::World;

use super::identity::Population;

/// Counters that together with the lengths of all tables say that no table has other rows than before.
///
/// Bevy does not count when an entity moves from one table to another, but it keeps a message of each component that is removed,
/// and our own hooks count who begins and ceases to roll back. While neither count goes up, entities that are in the simulation can leave it
/// ([`despawn_rollback`](super::RollbackCommandsExt::despawn_rollback) only adds components), but none can enter it. And what
/// stays can only move to tables with more components, so the sum over all entities of the components that each one has goes up
/// with each move. Tables that are as long as before have as many entities and components as before: nobody left, and nobody
/// moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Structure {
    population: Population,
    removals: usize,
}

impl Structure {
    /// What the counters stand at.
    pub(super) fn of(world: &World) -> Self {
        let messages = world.removed_components().iter();
        // How many there ever were of each component: messages that are dropped stay counted.
        let removals = messages.map(|(_, removed)| removed.oldest_message_count() + removed.len());
        Self { population: population(world), removals: removals.sum() }
    }
}

/// The [`Population`] of the world.
pub(super) fn population(world: &World) -> Population {
    *world.resource()
}
