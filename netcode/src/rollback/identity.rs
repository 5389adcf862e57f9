//! Which entities roll back, and under which ids.

use bevy::{
    ecs::{entity_disabling::Disabled, lifecycle::HookContext, world::DeferredWorld},
    prelude::{Component, Or, Resource, With, Without},
};
use serde::{Deserialize, Serialize};

/// Marks an entity that rolls back: it is saved and restored with the simulation.
///
/// Spawn such entities in [`SetupMatch`](crate::SetupMatch) or [`Simulate`](crate::Simulate). They
/// are despawned when another match begins, or when the player enters or leaves a room. So are
/// those that exist before the first match, such as those of `Startup`: a warning in the log names
/// them.
#[derive(Component, Clone, Copy, Debug, Default)]
#[require(RollbackId)]
#[component(on_add = assign_id)]
pub struct Rollback;

/// The id of a rollback entity, the same on all peers: its spawn number in the match.
///
/// It is assigned when [`Rollback`] is added; a game does not write it. Sort by it wherever order
/// matters, because the order of a query is not part of the simulation. [`Ordered`] does so.
///
/// [`Ordered`]: crate::Ordered
#[derive(
    Component, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
// A clone is another entity, so `Rollback` gives it an id of its own.
#[component(clone_behavior = Ignore)]
#[component(on_insert = count_change, on_remove = count_change)]
pub struct RollbackId(u32);

impl RollbackId {
    /// The id between the spawn of an entity and the assignment of its number.
    const UNASSIGNED: Self = Self(u32::MAX);

    #[cfg(test)]
    pub(super) fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Returns the id as a number, for seeds and sorting.
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

/// The next id. It rolls back, so that an entity gets the same id when its frame is simulated
/// again.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct RollbackIdCounter(pub(crate) u32);

/// Counts each insertion and removal of an id, and each insertion of [`Rollback`]. While the count
/// stays the same, an id means the same entity.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Population(u64);

/// Marks an entity that left the simulation in `frame`. It is disabled until that frame is
/// confirmed.
#[derive(Component, Clone, Copy, Debug, Default)]
pub(crate) struct DespawnPending {
    pub(super) frame: u32,
    /// Whether the game itself had already disabled the entity.
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
    // An entity that already has an id enters the simulation, too.
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

/// The query filter for everything that is part of the simulation now.
///
/// The last term is always true, but because it names [`Disabled`], Bevy does not leave out
/// disabled entities. Unlike `Allow<Disabled>`, it lets a query iterate over whole tables.
pub(crate) type InSimulation =
    (With<Rollback>, Without<DespawnPending>, Or<(With<Disabled>, Without<Disabled>)>);
