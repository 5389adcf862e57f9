//! How a game registers the types that roll back.

use std::any::TypeId;

use bevy::{
    ecs::component::{Mutable, StorageType},
    prelude::{App, Component, Resource},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    columns::Column,
    dense::DenseColumn,
    departure::SimulatedComponents,
    hashing::{ComponentHashing, Hashing},
    history::{RollbackStore, strays::AllowedUnregistered},
    resources::ResourceColumn,
    sparse::SparseColumn,
    write_back::Restorable,
};
use crate::scoped::Scoped;

/// The names of the input type and of all hashed types, in order. They must be the same on both
/// peers, among other things.
#[derive(Resource, Clone, Debug, Default)]
pub(crate) struct Registrations(pub(crate) Vec<&'static str>);

/// Registers the types that roll back, with one call per type. The hashed types are part of the
/// protocol that peers compare when they meet.
///
/// The parent of a rollback entity ([`ChildOf`](bevy::prelude::ChildOf)) rolls back without being
/// registered. `Children` do not keep their order: in `Simulate`, query `ChildOf` and sort by
/// [`RollbackId`](crate::RollbackId) instead.
///
/// A value that holds an [`Entity`](bevy::prelude::Entity) must declare it, with `#[entities]` on
/// the field of a component, or with `#[component(map_entities = ...)]`, as for Bevy's scenes. The
/// checksum then identifies the entity by its [`RollbackId`](crate::RollbackId), which is the same
/// on all peers, and the reference stays valid when a rollback spawns the entity again. Without the
/// declaration, two peers seem to disagree even if they agree.
///
/// ```
/// # use bevy::prelude::*;
/// #[derive(Component, Clone, serde::Serialize, serde::Deserialize)]
/// struct Homing {
///     #[entities]
///     target: Entity,
/// }
///
/// // The derive of a component covers its `#[entities]`; a resource derives `MapEntities` as well.
/// #[derive(Resource, Clone, serde::Serialize, serde::Deserialize, bevy::ecs::entity::MapEntities)]
/// struct Leader(#[entities] Option<Entity>);
/// ```
///
/// Components roll back only on entities with [`Rollback`](crate::Rollback). Values must serialize
/// to the same bytes on all peers, so none may hold a `HashMap` or `HashSet` of the standard
/// library, even if nothing iterates over it: use a `BTreeMap`. The sync test in chaos mode finds
/// such values.
///
/// All peers must register their types in the same order, which they do when they run the same
/// code.
pub trait AppRollbackExt {
    /// Saves, restores and hashes `C` on every [`Rollback`](crate::Rollback) entity.
    ///
    /// Any component can be registered: stored in tables or in a sparse set, mutable or immutable,
    /// even a relationship of your own. Bevy's change detection must see every change, as it
    /// normally does: `bypass_change_detection` and interior mutability hide a change from the
    /// store, too.
    ///
    /// Hooks and observers also run while a load removes and inserts components, but the load
    /// restores whatever they change. The exception is a hook or observer that inserts the same
    /// immutable component again: its value stays. See
    /// [`despawn_rollback`](crate::RollbackCommandsExt::despawn_rollback) for when they run as an
    /// entity leaves.
    fn rollback_component<C>(&mut self) -> &mut Self
    where
        C: Component<Mutability: Restorable<C>> + Clone + Serialize + DeserializeOwned;

    /// Saves and restores `C` as [`rollback_component`](Self::rollback_component) does, but leaves
    /// it out of the checksum.
    ///
    /// It rolls back like any other type. But peers notice a difference in it only once the
    /// difference affects a hashed type, so use this for derived or cosmetic values, or for a type
    /// that means something on one machine only.
    ///
    /// ```
    /// # use bevy::prelude::*;
    /// # use netcode::prelude::*;
    /// /// How far the recoil has faded. Nothing is decided by it.
    /// #[derive(Component, Clone)]
    /// struct Recoil(f32);
    ///
    /// # let mut app = App::new();
    /// app.rollback_component_unhashed::<Recoil>();
    /// ```
    fn rollback_component_unhashed<C>(&mut self) -> &mut Self
    where
        C: Component<Mutability: Restorable<C>> + Clone;

    /// Saves and restores `C`, and hashes it as `S`, a serializable stand-in for `C`.
    ///
    /// For components of other crates that do not serialize, and for those whose bytes would not be
    /// the same on all peers. `C` as a whole is saved and restored; only what `S` leaves out is not
    /// part of the checksum. Before the conversion, the entities that `C` declares are replaced by
    /// their ids.
    ///
    /// ```
    /// # use bevy::prelude::*;
    /// # use netcode::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # use std::sync::Arc;
    /// # mod physics {
    /// #     use std::sync::Arc;
    /// #     #[derive(bevy::prelude::Component, Clone)]
    /// #     pub struct Spin { pub radians: f32, pub cached: Arc<[f32]> }
    /// # }
    /// /// Stands for `physics::Spin`, a component of another crate.
    /// #[derive(Serialize, Deserialize)]
    /// struct SpinBytes(f32);
    ///
    /// impl From<&physics::Spin> for SpinBytes {
    ///     fn from(spin: &physics::Spin) -> Self {
    ///         Self(spin.radians)
    ///     }
    /// }
    ///
    /// impl From<SpinBytes> for physics::Spin {
    ///     fn from(SpinBytes(radians): SpinBytes) -> Self {
    ///         Self { radians, cached: Arc::from([]) }
    ///     }
    /// }
    ///
    /// # let mut app = App::new();
    /// app.rollback_component_as::<physics::Spin, SpinBytes>();
    /// ```
    fn rollback_component_as<C, S>(&mut self) -> &mut Self
    where
        C: Component<Mutability: Restorable<C>> + Clone + From<S>,
        S: for<'a> From<&'a C> + Serialize + DeserializeOwned;

    /// Saves, restores and hashes the resource `R`, including whether it exists.
    ///
    /// Each match starts with the value that `R` had before the first match, or without `R` if it
    /// did not exist then.
    fn rollback_resource<R>(&mut self) -> &mut Self
    where
        R: Resource<Mutability = Mutable> + Clone + Serialize + DeserializeOwned;

    /// Saves and restores the resource `R`, but leaves it out of the checksum, as
    /// [`rollback_component_unhashed`](Self::rollback_component_unhashed) does with a component.
    ///
    /// ```
    /// # use bevy::prelude::*;
    /// # use netcode::prelude::*;
    /// /// The entities in each cell, derived from their positions, to find them faster.
    /// #[derive(Resource, Clone, Default)]
    /// struct Grid(Vec<Vec<Entity>>);
    ///
    /// # let mut app = App::new();
    /// app.init_resource::<Grid>().rollback_resource_unhashed::<Grid>();
    /// ```
    fn rollback_resource_unhashed<R>(&mut self) -> &mut Self
    where
        R: Resource<Mutability = Mutable> + Clone;

    /// Saves and restores the resource `R`, and hashes it as `S`, as
    /// [`rollback_component_as`](Self::rollback_component_as) does with a component.
    fn rollback_resource_as<R, S>(&mut self) -> &mut Self
    where
        R: Resource<Mutability = Mutable> + Clone + From<S>,
        S: for<'a> From<&'a R> + Serialize + DeserializeOwned;

    /// Lets systems of [`Simulate`](crate::Simulate) write the component or resource `T` although
    /// it does not roll back, without a warning from the audit: for values that no later frame
    /// depends on. If `T` is registered, this lets entities without [`Rollback`](crate::Rollback)
    /// have it too, for example an entity that draws another one.
    fn allow_unregistered<T: 'static>(&mut self) -> &mut Self;

    /// After a load, marks components of the registered type `C` as changed only if their values
    /// differ from those before the load.
    ///
    /// Without it, a component counts as changed if it was written after the saved frame, even if
    /// the load restores the same value. Use it for types that other systems query with `Changed`,
    /// for example to draw them; it costs a comparison for each component that was written.
    ///
    /// An immutable component that equals the saved one is not inserted again, unless the two have
    /// different checksums. So if `C` is immutable and not hashed, `==` must mean equal bits:
    /// otherwise a `-0.0` could stay where a `0.0` was saved. Any other component has the saved
    /// bits after a load, whatever `==` says. Has no effect on components that Bevy keeps in a
    /// sparse set.
    ///
    /// # Panics
    ///
    /// If `C` is not registered.
    fn compare_on_load<C>(&mut self) -> &mut Self
    where
        C: Component<Mutability: Restorable<C>> + Clone + PartialEq;

    /// Does for a registered resource what [`compare_on_load`](Self::compare_on_load) does for a
    /// component.
    ///
    /// # Panics
    ///
    /// If `R` is not registered.
    fn compare_resource_on_load<R>(&mut self) -> &mut Self
    where
        R: Resource<Mutability = Mutable> + Clone + PartialEq;
}

impl AppRollbackExt for App {
    fn rollback_component<C>(&mut self) -> &mut Self
    where
        C: Component<Mutability: Restorable<C>> + Clone + Serialize + DeserializeOwned,
    {
        register_name::<C>(self);
        register_component::<C>(self, Some(ComponentHashing::by_serializing()));
        self
    }

    fn rollback_component_unhashed<C>(&mut self) -> &mut Self
    where
        C: Component<Mutability: Restorable<C>> + Clone,
    {
        register_component::<C>(self, None);
        self
    }

    fn rollback_component_as<C, S>(&mut self) -> &mut Self
    where
        C: Component<Mutability: Restorable<C>> + Clone + From<S>,
        S: for<'a> From<&'a C> + Serialize + DeserializeOwned,
    {
        register_name::<C>(self);
        register_component::<C>(self, Some(ComponentHashing::by_way_of::<S>()));
        self
    }

    fn rollback_resource<R>(&mut self) -> &mut Self
    where
        R: Resource<Mutability = Mutable> + Clone + Serialize + DeserializeOwned,
    {
        register_name::<R>(self);
        register(self, Box::new(ResourceColumn::<R>::new(Some(Hashing::by_serializing()))));
        self
    }

    fn rollback_resource_unhashed<R>(&mut self) -> &mut Self
    where
        R: Resource<Mutability = Mutable> + Clone,
    {
        register(self, Box::new(ResourceColumn::<R>::new(None)));
        self
    }

    fn rollback_resource_as<R, S>(&mut self) -> &mut Self
    where
        R: Resource<Mutability = Mutable> + Clone + From<S>,
        S: for<'a> From<&'a R> + Serialize + DeserializeOwned,
    {
        register_name::<R>(self);
        register(self, Box::new(ResourceColumn::<R>::new(Some(Hashing::by_way_of::<S>()))));
        self
    }

    fn allow_unregistered<T: 'static>(&mut self) -> &mut Self {
        let mut allowed = self.world_mut().get_resource_or_init::<AllowedUnregistered>();
        allowed.0.push(TypeId::of::<T>());
        self
    }

    fn compare_on_load<C>(&mut self) -> &mut Self
    where
        C: Component<Mutability: Restorable<C>> + Clone + PartialEq,
    {
        match C::STORAGE_TYPE {
            StorageType::Table => {
                registered::<DenseColumn<C>, C>(self, DenseColumn::compare_on_load);
            }
            StorageType::SparseSet => registered::<SparseColumn<C>, C>(self, |_| {}),
        }
        self
    }

    fn compare_resource_on_load<R>(&mut self) -> &mut Self
    where
        R: Resource<Mutability = Mutable> + Clone + PartialEq,
    {
        registered::<ResourceColumn<R>, R>(self, ResourceColumn::compare_on_load);
        self
    }
}

fn register_name<T>(app: &mut App) {
    let mut names = app.world_mut().get_resource_or_init::<Registrations>();
    names.0.push(std::any::type_name::<T>());
}

fn register_component<C>(app: &mut App, hashing: Option<ComponentHashing<C>>)
where
    C: Component<Mutability: Restorable<C>> + Clone,
{
    SimulatedComponents::add::<C>(app.world_mut());
    register(
        app,
        match C::STORAGE_TYPE {
            StorageType::Table => Box::new(DenseColumn::<C>::new(hashing)) as Box<dyn Column>,
            StorageType::SparseSet => Box::new(SparseColumn::<C>::new(hashing)),
        },
    );
}

fn register(app: &mut App, column: Box<dyn Column>) {
    app.world_mut().get_resource_or_init::<Scoped<RollbackStore>>().add(column);
}

/// Changes the column of a type.
fn registered<T: Column, C>(app: &mut App, change: impl FnOnce(&mut T)) {
    let mut store = app.world_mut().get_resource_or_init::<Scoped<RollbackStore>>();
    let Some(column) = store.column_mut() else {
        let name = std::any::type_name::<C>();
        panic!("{name} does not roll back: register it before you set how a load compares it");
    };
    change(column);
}
