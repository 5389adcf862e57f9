//! Which entities roll back, and under which id.

use bevy::{
    ecs::{entity_disabling::Disabled, lifecycle::HookContext, world::DeferredWorld},
    prelude::{Component, Or, Resource, With, Without},
};
use serde::{Deserialize, Serialize};

/// Marks an entity that is saved and restored with the simulation.
///
/// Spawn such entities in [`SetupMatch`](crate::SetupMatch) or [`Simulate`](crate::Simulate). They
/// are removed when another match begins, or the room is left.
#[derive(Component, Clone, Copy, Debug, Default)]
#[require(RollbackId)]
#[component(on_add = assign_id)]
pub struct Rollback;

/// The name of a rollback entity, the same on all peers: the how-manieth that the match spawned.
///
/// Assigned by itself when [`Rollback`] is added, and not for a game to write. Sort by it wherever order matters; the order of a query is not
/// part of the simulation.
#[derive(
    Component, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[component(clone_behavior = Ignore)] // a clone is another entity, so `Rollback` gives it an id of its own
#[component(on_insert = count_change, on_remove = count_change)]
pub struct RollbackId(u32);

impl RollbackId {
    /// What an entity carries for the moment between its spawn and the assignment of its id.
    const UNASSIGNED: Self = Self(u32::MAX);

    #[cfg(test)]
    pub(super) fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The id as a number, for seeds and sorting.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for RollbackId {
    fn default() -> Self {
        Self::UNASSIGNED
    }
}

/// The next id. It rolls back, so that an entity that is simulated again gets the same id again.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct RollbackIdCounter(pub(crate) u32);

/// Counts who gets an id and who loses it, and who gets [`Rollback`]. While it stands still, an id means the same entity.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Population(u64);

/// The entity left the simulation in this frame; it is disabled until that frame is confirmed.
#[derive(Component, Clone, Copy, Debug, Default)]
pub(crate) struct DespawnPending {
    pub(super) frame: u32,
    /// Whether the entity was already disabled, by the game itself.
    pub(super) was_disabled: bool,
}

fn count_change(mut world: DeferredWorld, _: HookContext) {
    count(&mut world);
}

fn count(world: &mut DeferredWorld) {
    if let Some(mut population) = world.get_resource_mut::<Population>() {
        population.0 += 1;
    }
}

fn assign_id(mut world: DeferredWorld, context: HookContext) {
    // Who had an id already comes into the simulation, too.
    count(&mut world);
    let Some(&RollbackIdCounter(next)) = world.get_resource() else { return };
    if let Some(mut id) = world.get_mut::<RollbackId>(context.entity)
        && *id == RollbackId::UNASSIGNED
    {
        *id = RollbackId(next);
        if let Some(mut counter) = world.get_resource_mut::<RollbackIdCounter>() {
            counter.0 += 1;
        }
    }
}

/// The filter of everything that is part of the simulation now.
///
/// The last term is true for all; naming [`Disabled`] is what keeps Bevy from leaving disabled entities out. Unlike
/// `Allow<Disabled>` it lets a query hand out whole tables.
pub(crate) type InSimulation =
    (With<Rollback>, Without<DespawnPending>, Or<(With<Disabled>, Without<Disabled>)>);
