//! How entities leave the world without being lost to a rollback.
//!
//! A despawn inside the prediction window only disables the entity. It is removed once its frame is confirmed;
//! until then a rollback brings the same [`Entity`] back, with its children, handles and unregistered components.

use bevy::{
    ecs::{
        component::{ComponentId, ComponentInfo},
        entity_disabling::Disabled,
        query::Allow,
        relationship::RelationshipAccessor,
    },
    prelude::{ChildOf, Children, Entity, EntityCommands, EntityWorldMut, With, World},
};

use super::identity::{DespawnPending, Rollback, RollbackIdCounter};
use crate::frame::SimFrame;

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
