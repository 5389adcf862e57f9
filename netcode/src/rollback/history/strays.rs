//! Registered components on entities that do not roll back, and whether anything rolls back at all.

use std::{any::TypeId, fmt};

use bevy::{
    ecs::{archetype::Archetype, component::ComponentId, resource::IsResource},
    prelude::{Resource, World},
};

use super::RollbackStore;
use crate::rollback::identity::Rollback;
#[cfg(any(test, feature = "testing"))]
use crate::rollback::identity::RollbackIdCounter;

/// Types that may be written in `Simulate` without being registered.
#[derive(Resource, Clone, Debug, Default)]
pub(crate) struct AllowedUnregistered(pub(crate) Vec<TypeId>);

/// The warning about registered components, by full path, that only entities without `Rollback`
/// have.
pub(crate) struct Strays<'a>(pub(crate) &'a [&'static str]);

impl fmt::Display for Strays<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "`{}` is registered, but only on entities without `Rollback`, so it does not roll \
             back: spawn them with `Rollback`",
            self.0.join("`, `")
        )
    }
}

/// The warning about entities with `Rollback` that exist before a match begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EarlyEntities {
    count: usize,
    /// The registered components, by full path, that they have.
    components: Vec<&'static str>,
}

impl fmt::Display for EarlyEntities {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { count, components } = self;
        write!(f, "entities with `Rollback` were spawned before the match ({count}")?;
        if !components.is_empty() {
            write!(f, ", with `{}`", components.join("`, `"))?;
        }
        f.write_str(
            "), and are despawned now, because every machine builds the world of a match from \
             nothing: spawn them in the schedule `SetupMatch`",
        )
    }
}

impl RollbackStore {
    /// The entities that roll back, to be called where no match has been; `None` if there are none.
    pub(crate) fn early_entities(&self, world: &World) -> Option<EarlyEntities> {
        let rollback = world.components().get_id(TypeId::of::<Rollback>())?;
        let archetypes = world.archetypes().iter();
        let rolling = archetypes.filter(|archetype| archetype.contains(rollback));
        let count = rolling.map(|archetype| archetype.len() as usize).sum();
        let has_early = |&(_, component): &(&str, TypeId)| {
            archetypes_of(world, component).any(|(_, rolls_back)| rolls_back)
        };
        let components = self.rolling_components(world).filter(has_early);
        let components = components.map(|(name, _)| name).collect();
        (count > 0).then_some(EarlyEntities { count, components })
    }

    /// The number of entities that have a registered component but do not roll back, by the name of
    /// the component.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn outsiders(&self, world: &World) -> Vec<(&'static str, u32)> {
        let count = |component| {
            let outside = archetypes_of(world, component).filter(|(_, rolls_back)| !rolls_back);
            outside.map(|(archetype, _)| archetype.len()).sum()
        };
        self.rolling_components(world).map(|(name, component)| (name, count(component))).collect()
    }

    /// The registered components that occur on entities, but not on any that rolls back.
    pub(crate) fn strays(&self, world: &World) -> Vec<&'static str> {
        let all = self.rolling_components(world);
        all.filter(|&(_, component)| is_stray(world, component)).map(|(name, _)| name).collect()
    }

    /// The types that should occur only on entities that roll back. Bevy's own types are left out,
    /// because many entities have them only to be drawn, and so are the types that the game allows.
    fn rolling_components(&self, world: &World) -> impl Iterator<Item = (&'static str, TypeId)> {
        let allowed = world.get_resource::<AllowedUnregistered>();
        let all = self.columns.iter().map(|column| (column.name(), column.value_type()));
        all.filter(move |(name, id)| {
            !name.starts_with("bevy_") && !allowed.is_some_and(|allowed| allowed.0.contains(id))
        })
    }

    /// Returns whether a sync test has nothing to compare: the match has spawned no entity that
    /// rolls back, and no resource is hashed.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn is_idle(&self, world: &World) -> bool {
        world.resource::<RollbackIdCounter>().0 == 0
            && !self.columns.iter().any(|column| column.is_resource() && column.is_hashed())
    }
}

/// Returns whether a component occurs on entities, but not on any that rolls back.
fn is_stray(world: &World, component: TypeId) -> bool {
    let mut all = archetypes_of(world, component).peekable();
    all.peek().is_some() && !all.any(|(_, rolls_back)| rolls_back)
}

/// The archetypes that have the component and at least one entity, except those of resources, each
/// with whether its entities roll back.
fn archetypes_of(world: &World, component: TypeId) -> impl Iterator<Item = (&Archetype, bool)> {
    let components = world.components();
    let component = components.get_id(component);
    let resource = components.component_id::<IsResource>();
    let rollback = components.component_id::<Rollback>();
    let all = world.archetypes().iter().filter(|archetype| !archetype.is_empty());
    all.filter_map(move |archetype| {
        let has = |id: Option<ComponentId>| id.is_some_and(|id| archetype.contains(id));
        (has(component) && !has(resource)).then(|| (archetype, has(rollback)))
    })
}
