//! How a game says what rolls back.

use bevy::{
    ecs::component::Mutable,
    prelude::{App, Component, Resource},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{columns::ComponentColumn, history::RollbackStore, resources::ResourceColumn};

/// The names of the input type and of everything registered, in order: part of what two peers must have in common.
#[derive(Resource, Clone, Debug, Default)]
pub(crate) struct Registrations(pub(crate) Vec<&'static str>);

/// Registers what rolls back. One call per type; the types that are hashed become part of the protocol that peers compare.
///
/// Parents ([`ChildOf`](bevy::prelude::ChildOf)) of rollback entities roll back by themselves. `Children` do not keep their order, and
/// list entities that are about to go: in `Simulate`, query `ChildOf` and sort by [`RollbackId`](crate::RollbackId) instead.
///
/// A value that holds an [`Entity`](bevy::prelude::Entity) must say so: `#[entities]` on the field of a component, or
/// `#[component(map_entities = ...)]`, as for Bevy's scenes. The checksum then names the entity by its
/// [`RollbackId`](crate::RollbackId), which all peers have in common, and the reference follows an entity that a rollback spawns anew. Without it two peers
/// that agree look as if they did not.
///
/// ```
/// # use bevy::prelude::*;
/// #[derive(Component, Clone, serde::Serialize, serde::Deserialize)]
/// struct Homing {
///     #[entities]
///     target: Entity,
/// }
/// ```
///
/// Order matters: all peers register in the same order, which they do when they run the same code.
pub trait AppRollbackExt {
    /// Saves, restores and hashes `C` on every [`Rollback`](crate::Rollback) entity.
    fn rollback_component<C>(&mut self) -> &mut Self
    where
        C: Component<Mutability = Mutable> + Clone + Serialize + DeserializeOwned;

    /// Saves and restores `C`, but leaves it out of the checksum: for what is derived or cosmetic.
    fn rollback_component_local<C>(&mut self) -> &mut Self
    where
        C: Component<Mutability = Mutable> + Clone;

    /// Saves, restores and hashes the resource `R`, whether it is present or not.
    ///
    /// Each match starts with the value (or absence) that `R` had before the first match.
    fn rollback_resource<R>(&mut self) -> &mut Self
    where
        R: Resource + Clone + Serialize + DeserializeOwned;
}

impl AppRollbackExt for App {
    fn rollback_component<C>(&mut self) -> &mut Self
    where
        C: Component<Mutability = Mutable> + Clone + Serialize + DeserializeOwned,
    {
        let world = self.world_mut();
        let name = std::any::type_name::<C>();
        world.get_resource_or_init::<Registrations>().0.push(name);
        let column = Box::new(ComponentColumn::<C>::hashed());
        world.get_resource_or_init::<RollbackStore>().add(column);
        self
    }

    fn rollback_component_local<C>(&mut self) -> &mut Self
    where
        C: Component<Mutability = Mutable> + Clone,
    {
        let column = Box::new(ComponentColumn::<C>::local());
        self.world_mut().get_resource_or_init::<RollbackStore>().add(column);
        self
    }

    fn rollback_resource<R>(&mut self) -> &mut Self
    where
        R: Resource + Clone + Serialize + DeserializeOwned,
    {
        let world = self.world_mut();
        let name = std::any::type_name::<R>();
        world.get_resource_or_init::<Registrations>().0.push(name);
        let column = Box::new(ResourceColumn::<R>::default());
        world.get_resource_or_init::<RollbackStore>().add(column);
        self
    }
}
