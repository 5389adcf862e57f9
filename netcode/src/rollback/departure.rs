//! How entities leave the world in such a way that a rollback can bring them back.
//!
//! At first, [`despawn_rollback`](RollbackCommandsExt::despawn_rollback) only disables the entity.
//! It is despawned for good once the frame in which it left is confirmed; until then a rollback
//! brings the same [`Entity`] back, with its children, handles and unregistered components.
//!
//! Each peer confirms a frame at a different time, so the simulation must not notice the
//! confirmation. Components that hooks or observers watch are therefore removed in the frame in
//! which the entity leaves, and relationships to the entity end in that frame.

use std::collections::BTreeSet;

use bevy::{
    ecs::{
        change_detection::MaybeLocation,
        component::{ComponentId, ComponentInfo},
        entity_disabling::Disabled,
        event::{EntityComponentsTrigger, EventKey},
        lifecycle::{
            ComponentHook, ComponentHooks, DESPAWN, DISCARD, Despawn, HookContext, REMOVE,
        },
        query::Allow,
        relationship::{RelationshipAccessor, RelationshipHookMode},
        world::DeferredWorld,
    },
    prelude::{
        ChildOf, Children, Component, Entity, EntityCommands, EntityWorldMut, FromWorld, Observer,
        Resource, With, World,
    },
};

use super::identity::{DespawnPending, Rollback, RollbackId, RollbackIdCounter};
use crate::frame::SimFrame;

/// Despawns rollback entities in such a way that a rollback can undo it.
pub trait RollbackCommandsExt {
    /// Removes the entity and its children from the simulation now, and despawns them once no
    /// rollback can bring them back.
    ///
    /// Until then they are [`Disabled`]: invisible to queries and renderers, but with their
    /// unregistered components. Relationships to the entity are cut at once, except those of its
    /// children; a rollback restores those that are registered. Plain `despawn` is also correct,
    /// but then a rollback does not bring back unregistered components and children.
    ///
    /// Observers and hooks of the removal, replacement or despawn of *registered* components run
    /// now, as they do for plain `despawn`, so they may change what rolls back. (In an observer of
    /// [`Despawn`], the archetypes of the trigger are `None`.) If a rollback undoes the departure,
    /// it inserts these components again, and undoes what observers of that insertion change.
    ///
    /// Observers and hooks of components that are *not* registered run when the entity is despawned
    /// for good, which is at a different frame on each peer. They must not change anything that
    /// rolls back. If they do, a match undoes the change, and a sync test names them
    /// ([`SyncTestFailure::ChangedAtConfirmation`](crate::SyncTestFailure::ChangedAtConfirmation)).
    fn despawn_rollback(&mut self) -> &mut Self;
}

impl RollbackCommandsExt for EntityCommands<'_> {
    fn despawn_rollback(&mut self) -> &mut Self {
        // As with Bevy's own `despawn`, it is no fault if the entity was already despawned with its
        // parent in the same frame.
        self.queue_silenced(|entity: EntityWorldMut| {
            let id = entity.id();
            let world = entity.into_world_mut();
            let frame = world.get_resource::<SimFrame>().copied().unwrap_or_default().0;
            disable_tree(world, id, frame);
        })
    }
}

/// The entities of a tree that are still to be visited. For a tree of one entity, as most are, it
/// allocates nothing.
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
        let Some(entity) = not_yet_left(world, id) else { continue };
        if let Some(children) = entity.get::<Children>() {
            unvisited.more.extend(children.iter());
        }
        remove_watched(world, id);
        // An observer may have despawned the entity.
        let Some(mut entity) = not_yet_left(world, id) else { continue };
        let was_disabled = entity.contains::<Disabled>();
        entity.insert((Disabled, DespawnPending { frame, was_disabled }));
        cut_relations(world, id);
    }
}

fn not_yet_left(world: &mut World, entity: Entity) -> Option<EntityWorldMut<'_>> {
    let entity = world.get_entity_mut(entity).ok()?;
    (!entity.contains::<DespawnPending>()).then_some(entity)
}

/// The components that belong to the simulation: all registered ones, and [`ChildOf`].
#[derive(Resource, Debug)]
pub(crate) struct SimulatedComponents(Vec<SimulatedComponent>);

#[derive(Clone, Copy, Debug)]
struct SimulatedComponent {
    id: ComponentId,
    /// The hook that Bevy runs only when an entity is despawned.
    on_despawn: Option<ComponentHook>,
}

impl FromWorld for SimulatedComponents {
    fn from_world(world: &mut World) -> Self {
        let id = world.register_component::<ChildOf>();
        Self(vec![SimulatedComponent { id, on_despawn: None }])
    }
}

impl SimulatedComponents {
    /// Adds a registered type.
    pub(super) fn add<C: Component>(world: &mut World) {
        let id = world.register_component::<C>();
        let mut all = world.get_resource_or_init::<Self>();
        all.0.push(SimulatedComponent { id, on_despawn: C::on_despawn() });
    }
}

/// Removes the components that hooks or observers watch, so that the hooks and observers run in the
/// frame in which the entity leaves. A load inserts the components again.
///
/// Components that nothing watches stay: removing them would have no effect, and slow down the
/// load.
fn remove_watched(world: &mut World, entity: Entity) {
    let watched = watched_components(world, entity);
    if watched.is_empty() {
        return;
    }
    let ids: Vec<ComponentId> = watched.iter().map(|component| component.id).collect();
    if ids.iter().any(|&id| is_observed(world, DESPAWN, id)) {
        let trigger =
            EntityComponentsTrigger { components: &ids, old_archetype: None, new_archetype: None };
        world.trigger_with(Despawn { entity }, trigger);
    }
    for SimulatedComponent { id, on_despawn } in watched {
        if let Some(hook) = on_despawn.filter(|_| !is_relationship_target(world, id)) {
            let context = HookContext {
                entity,
                component_id: id,
                caller: MaybeLocation::caller(),
                relationship_hook_mode: RelationshipHookMode::Run,
            };
            hook(DeferredWorld::from(&mut *world), context);
        }
    }
    if let Ok(mut entity) = world.get_entity_mut(entity) {
        entity.remove_by_ids(&ids);
    }
}

/// The watched components that leave together with the entity. An entity without [`Rollback`] keeps
/// all of them, since no load would bring them back.
fn watched_components(world: &World, entity: Entity) -> Vec<SimulatedComponent> {
    let (Ok(entity), Some(simulated)) =
        (world.get_entity(entity), world.get_resource::<SimulatedComponents>())
    else {
        return Vec::new();
    };
    let disabled = world.component_id::<Disabled>();
    let is_watched = |component: &&SimulatedComponent| {
        let SimulatedComponent { id, on_despawn } = **component;
        // An entity that the game itself has disabled stays disabled.
        entity.contains_id(id)
            && Some(id) != disabled
            && (on_despawn.is_some()
                || has_removal_hook(world, id)
                || REMOVALS.iter().any(|&event| is_observed(world, event, id)))
    };
    let simulated = simulated.0.iter().filter(|_| entity.contains::<Rollback>());
    simulated.filter(is_watched).copied().collect()
}

/// The events by which the removal of a component can be observed.
const REMOVALS: [EventKey; 3] = [DISCARD, REMOVE, DESPAWN];

fn is_observed(world: &World, event: EventKey, id: ComponentId) -> bool {
    let observers = world.observers().try_get_observers(event);
    observers.is_some_and(|observers| observers.component_observers().contains_key(&id))
}

/// Returns whether a hook runs when the component is removed or replaced.
fn has_removal_hook(world: &World, id: ComponentId) -> bool {
    // Bevy has no way to read a hook, but it refuses a second one, which shows that there is one.
    let mut hooks = hooks(world, id);
    hooks.try_on_discard(no_hook).is_none() || hooks.try_on_remove(no_hook).is_none()
}

fn hooks(world: &World, id: ComponentId) -> ComponentHooks {
    world.components().get_info(id).map(|info| info.hooks().clone()).unwrap_or_default()
}

fn no_hook(_: DeferredWorld, _: HookContext) {}

/// Returns whether a hook or an observer may run when an entity that has left is despawned for
/// good. The hooks of Bevy's relationships and of this crate do not count.
pub(super) fn is_watched(world: &World, entity: Entity) -> bool {
    let Ok(entity) = world.get_entity(entity) else { return false };
    let archetype = entity.archetype();
    let has_late_child = entity.get::<Children>().is_some_and(|children| {
        children.iter().any(|&child| world.get::<DespawnPending>(child).is_none())
    });
    has_late_child
        || archetype.has_discard_observer()
        || archetype.has_remove_observer()
        || archetype.has_despawn_observer()
        || archetype.components().iter().any(|&id| has_hook_of_the_game(world, id))
}

fn has_hook_of_the_game(world: &World, id: ComponentId) -> bool {
    let is_relationship = || {
        let info = world.components().get_info(id);
        info.and_then(ComponentInfo::relationship_accessor).is_some()
    };
    let is_hooked = has_removal_hook(world, id) || {
        let mut hooks = hooks(world, id);
        hooks.try_on_despawn(no_hook).is_none()
    };
    is_hooked && Some(id) != world.component_id::<RollbackId>() && !is_relationship()
}

/// Descriptions of the observers and hooks that run when these entities are despawned for good.
pub(super) fn watchers(world: &World, entities: &[Entity]) -> Vec<String> {
    let mut all = BTreeSet::new();
    for entity in entities.iter().filter_map(|&entity| world.get_entity(entity).ok()) {
        for &id in entity.archetype().components() {
            let Some(info) = world.components().get_info(id) else { continue };
            for &event in &REMOVALS {
                let observers = world.observers().try_get_observers(event);
                let Some(observers) = observers.and_then(|it| it.component_observers().get(&id))
                else {
                    continue;
                };
                let of_entity = observers.entity_component_observers().get(&entity.id());
                let of_all = observers.global_observers().keys();
                for &observer in of_all.chain(of_entity.into_iter().flat_map(|it| it.keys())) {
                    if let Some(observer) = world.get::<Observer>(observer) {
                        let name = observer.system_name();
                        all.insert(format!("`{name}`, an observer of `{}`", info.name()));
                    }
                }
            }
            if has_hook_of_the_game(world, id) {
                all.insert(format!("a hook of `{}`", info.name()));
            }
        }
    }
    all.into_iter().collect()
}

/// Ends all relationships to an entity except those of its children. The final despawn would do so
/// too, but only when the frame in which the entity left is confirmed, which is too late.
fn cut_relations(world: &mut World, entity: Entity) {
    for target in relations_to(world, entity) {
        if let Ok(mut entity) = world.get_entity_mut(entity) {
            entity.remove_by_id(target);
        }
    }
}

/// The components by which other entities refer to an entity, except its children.
fn relations_to(world: &World, entity: Entity) -> Vec<ComponentId> {
    let Ok(present) = world.get_entity(entity) else { return Vec::new() };
    let children = world.component_id::<Children>();
    let all = present.archetype().components().iter().copied();
    all.filter(|&id| Some(id) != children && is_relationship_target(world, id)).collect()
}

fn is_relationship_target(world: &World, id: ComponentId) -> bool {
    let info = world.components().get_info(id);
    let accessor = info.and_then(ComponentInfo::relationship_accessor);
    matches!(accessor, Some(RelationshipAccessor::RelationshipTarget { .. }))
}

/// Cuts the relationships that were made to an entity after it left, which would otherwise last
/// until the entity is despawned for good.
pub(super) fn cut_late_relations(world: &mut World, entity: Entity) {
    cut_relations(world, entity);
    for child in late_children(world, entity) {
        world.entity_mut(child).remove::<ChildOf>();
    }
}

/// The children that roll back and have not left the simulation as their parent has.
fn late_children(world: &World, entity: Entity) -> Vec<Entity> {
    let children = world.get::<Children>(entity).into_iter();
    let children = children.flat_map(|children| children.iter().copied());
    let is_late = |&child: &Entity| {
        world.get::<Rollback>(child).is_some() && world.get::<DespawnPending>(child).is_none()
    };
    children.filter(is_late).collect()
}

/// Undoes [`disable_tree`] for `root` and those of its descendants that do not roll back
/// themselves.
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
            // Removed together, because each removal alone would move the entity to another table.
            entity.remove::<(DespawnPending, Disabled)>();
        }
    }
}

/// Despawns an entity, but not those of its descendants that roll back themselves, unless they left
/// the simulation before `confirmed`.
pub(crate) fn despawn_alone(world: &mut World, root: Entity, confirmed: u32) {
    let mut unvisited = Unvisited::new(root);
    while let Some(entity) = unvisited.next() {
        // Cuts the relationships by which Bevy would despawn other entities as well.
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
    // It may have been despawned with its parent.
    if let Ok(entity) = world.get_entity_mut(entity) {
        entity.despawn();
    }
}

/// Despawns every rollback entity, and starts counting ids from 0 again.
pub(super) fn despawn_all(world: &mut World) {
    let mut query = world.query_filtered::<Entity, (With<Rollback>, Allow<Disabled>)>();
    let all: Vec<Entity> = query.iter(world).collect();
    for entity in all {
        despawn_if_alive(world, entity);
    }
    world.insert_resource(RollbackIdCounter::default());
}
