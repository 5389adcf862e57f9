//! Which entities roll back, under which id, and how they leave the world without being lost to a rollback.
//!
//! A despawn inside the prediction window only disables the entity. It is removed once its frame is confirmed;
//! until then a rollback brings the same [`Entity`] back, with its children, handles and unregistered components.

use bevy::{
    ecs::{
        component::{ComponentId, ComponentInfo},
        entity_disabling::Disabled,
        lifecycle::HookContext,
        query::Allow,
        relationship::RelationshipAccessor,
        world::DeferredWorld,
    },
    prelude::{
        ChildOf, Children, Component, Entity, EntityCommands, EntityWorldMut, Or, Resource, With,
        Without, World,
    },
};
use serde::{Deserialize, Serialize};

use crate::frame::SimFrame;

/// Marks an entity that is saved and restored with the simulation.
///
/// Spawn such entities in [`SetupMatch`](crate::SetupMatch) or [`Simulate`](crate::Simulate). They are removed when another match begins, or the room is left.
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
    was_disabled: bool,
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

/// Removes rollback entities in a way that a rollback can undo.
pub trait RollbackCommandsExt {
    /// Takes the entity and its children out of the world now, and despawns them once no rollback can bring them back.
    ///
    /// Until then they are [`Disabled`]: invisible to queries and renderers, but with all of their components. Relationships to the entity
    /// other than that of its children are cut at once; a rollback restores those that are registered.
    /// Plain `despawn` is also correct, but components that are not registered, and children, do not come back.
    fn despawn_rollback(&mut self) -> &mut Self;
}

impl RollbackCommandsExt for EntityCommands<'_> {
    fn despawn_rollback(&mut self) -> &mut Self {
        // An entity that went with its parent in the same frame is no fault, as for Bevy's own `despawn`.
        self.queue_silenced(|entity: EntityWorldMut| {
            let id = entity.id();
            let world = entity.into_world_mut();
            let frame = world.get_resource::<SimFrame>().copied().unwrap_or_default().0;
            disable_tree(world, id, frame);
        })
    }
}

/// The entities of a tree that are still to be visited. Most trees are one entity, and then this allocates nothing.
struct Unvisited {
    root: Option<Entity>,
    more: Vec<Entity>,
}

impl Unvisited {
    fn new(root: Entity) -> Self {
        Self { root: Some(root), more: Vec::new() }
    }

    fn next(&mut self) -> Option<Entity> {
        self.root.take().or_else(|| self.more.pop())
    }
}

fn disable_tree(world: &mut World, root: Entity, frame: u32) {
    let mut unvisited = Unvisited::new(root);
    while let Some(id) = unvisited.next() {
        let Ok(mut entity) = world.get_entity_mut(id) else { continue };
        if entity.contains::<DespawnPending>() {
            continue;
        }
        if let Some(children) = entity.get::<Children>() {
            unvisited.more.extend(children.iter());
        }
        let was_disabled = entity.contains::<Disabled>();
        entity.insert((Disabled, DespawnPending { frame, was_disabled }));
        cut_relations(world, id);
    }
}

/// Lets go of everybody who refers to an entity by a relationship, except its children: what a despawn does, but at the frame in which the
/// entity leaves, which is the same on all peers, and not when that frame is confirmed, which is not.
fn cut_relations(world: &mut World, entity: Entity) {
    let Ok(present) = world.get_entity(entity) else { return };
    let children = world.component_id::<Children>();
    let is_target = |&id: &ComponentId| {
        let info = world.components().get_info(id);
        let accessor = info.and_then(ComponentInfo::relationship_accessor);
        Some(id) != children
            && matches!(accessor, Some(RelationshipAccessor::RelationshipTarget { .. }))
    };
    let targets: Vec<ComponentId> =
        present.archetype().components().iter().copied().filter(is_target).collect();
    for target in targets {
        if let Ok(mut entity) = world.get_entity_mut(entity) {
            entity.remove_by_id(target);
        }
    }
}

/// Undoes [`disable_tree`] for `root` and those of its descendants that do not roll back themselves.
pub(super) fn enable_tree(world: &mut World, root: Entity) {
    let mut unvisited = Unvisited::new(root);
    while let Some(entity) = unvisited.next() {
        let is_root = entity == root;
        let Ok(mut entity) = world.get_entity_mut(entity) else { continue };
        let Some(&pending) = entity.get::<DespawnPending>() else { continue };
        if entity.contains::<Rollback>() && !is_root {
            continue;
        }
        if let Some(children) = entity.get::<Children>() {
            unvisited.more.extend(children.iter());
        }
        if pending.was_disabled {
            entity.remove::<DespawnPending>();
        } else {
            // Together: each removal alone would move the entity to another table.
            entity.remove::<(DespawnPending, Disabled)>();
        }
    }
}

/// Despawns an entity, but none of those that hang on it, at whatever depth, and roll back by themselves: they have lives
/// of their own. Only those that left the simulation before `confirmed` go along.
pub(crate) fn despawn_alone(world: &mut World, root: Entity, confirmed: u32) {
    let mut unvisited = Unvisited::new(root);
    while let Some(entity) = unvisited.next() {
        // Also those that Bevy would despawn along with it.
        cut_relations(world, entity);
        let children = world.get::<Children>(entity).map(|children| children.to_vec());
        for child in children.unwrap_or_default() {
            let Ok(mut child) = world.get_entity_mut(child) else { continue };
            let has_left = child.get::<DespawnPending>().is_some_and(|it| it.frame < confirmed);
            if child.contains::<Rollback>() && !has_left {
                child.remove::<ChildOf>();
            } else {
                unvisited.more.push(child.id());
            }
        }
    }
    despawn_if_alive(world, root);
}

fn despawn_if_alive(world: &mut World, entity: Entity) {
    // It may have gone with its parent.
    if let Ok(entity) = world.get_entity_mut(entity) {
        entity.despawn();
    }
}

/// Removes every rollback entity and starts counting from 0 again.
pub(super) fn despawn_all(world: &mut World) {
    let mut query = world.query_filtered::<Entity, (With<Rollback>, Allow<Disabled>)>();
    let all: Vec<Entity> = query.iter(world).collect();
    for entity in all {
        despawn_if_alive(world, entity);
    }
    world.insert_resource(RollbackIdCounter::default());
}

/// The filter of everything that is part of the simulation now.
///
/// The last term is true for all; naming [`Disabled`] is what keeps Bevy from leaving disabled entities out. Unlike
/// `Allow<Disabled>` it lets a query hand out whole tables.
pub(crate) type InSimulation =
    (With<Rollback>, Without<DespawnPending>, Or<(With<Disabled>, Without<Disabled>)>);
