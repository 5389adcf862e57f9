//! One registered component type: its values per saved frame, in table order.
//!
//! While the entities of a type are the ones that were saved, a load writes the values straight back in the
//! same order. Where the structure changed in between, a slower path goes by entity.

use bevy::{
    ecs::{component::Mutable, entity::EntityMapper, query::QueryState},
    prelude::{Component, Entity, World},
};
use serde::{Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::Xxh3;

use super::identity::{InSimulation, RollbackId};
use crate::codec;

/// What a registered type can do for the store, whatever the type.
pub(crate) trait Column: Send + Sync {
    /// The full path of the type, for reports.
    fn name(&self) -> &'static str;
    /// Whether the type is part of the checksum.
    fn is_hashed(&self) -> bool;
    /// Makes room for `slots` saved frames, and forgets all that is saved.
    fn resize(&mut self, slots: usize);
    /// Saves the present values into `slot`.
    fn save(&mut self, world: &mut World, slot: usize);
    /// Brings the values of `slot` back.
    fn load(&mut self, world: &mut World, slot: usize, remap: &EntityRemap);
    /// A hash of the values of `slot` that does not depend on table order or on this machine.
    fn hash(&self, slot: usize, ids: &EntityNames) -> u64;
    /// Returns the world to what it was before the first match, as far as this type goes.
    fn reset(&mut self, world: &mut World);
}

/// Entities that exist under another [`Entity`] than when they were saved.
#[derive(Debug, Default)]
pub(crate) struct EntityRemap {
    /// (saved, present), in order of `saved`.
    moved: Vec<(Entity, Entity)>,
}

impl EntityRemap {
    pub(super) fn new(mut moved: Vec<(Entity, Entity)>) -> Self {
        moved.sort_unstable();
        Self { moved }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.moved.is_empty()
    }

    pub(super) fn present(&self, saved: Entity) -> Entity {
        self.moved
            .binary_search_by_key(&saved, |&(saved, _)| saved)
            .map_or(saved, |index| self.moved[index].1)
    }
}

/// Gives components that hold entities a chance to follow them.
pub(super) struct Follow<'a>(pub(super) &'a EntityRemap);

impl EntityMapper for Follow<'_> {
    fn get_mapped(&mut self, source: Entity) -> Entity {
        self.0.present(source)
    }

    fn set_mapped(&mut self, _source: Entity, _target: Entity) {}
}

/// The [`RollbackId`] of each entity of one saved frame, to name entities the same on every machine.
#[derive(Debug, Default)]
pub(crate) struct EntityNames {
    /// In order of the entity.
    names: Vec<(Entity, RollbackId)>,
}

impl EntityNames {
    pub(super) fn refill(&mut self, entities: impl Iterator<Item = (RollbackId, Entity)>) {
        self.names.clear();
        self.names.extend(entities.map(|(id, entity)| (entity, id)));
        self.names.sort_unstable();
    }

    pub(super) fn id(&self, entity: Entity) -> Option<RollbackId> {
        let index = self.names.binary_search_by_key(&entity, |&(entity, _)| entity).ok()?;
        Some(self.names[index].1)
    }
}

/// Replaces entities inside a component by stand-ins that are the same on every machine.
pub(super) struct Rename<'a>(pub(super) &'a EntityNames);

impl EntityMapper for Rename<'_> {
    fn get_mapped(&mut self, source: Entity) -> Entity {
        self.0
            .id(source)
            .and_then(|id| Entity::from_raw_u32(id.get()))
            .unwrap_or(Entity::PLACEHOLDER)
    }

    fn set_mapped(&mut self, _source: Entity, _target: Entity) {}
}

/// Writes a value for the checksum; `hasher` sees the same bytes on every platform.
pub(super) type HashValue<T> = fn(&T, &mut Vec<u8>);

/// Serializes `value` in the wire format, which fixes byte order and the width of every integer.
pub(super) fn hash_by_serializing<T: Serialize>(value: &T, bytes: &mut Vec<u8>) {
    if codec::encode_into(value, bytes).is_err() {
        // A type whose Serialize fails half-way still hashes the same on all peers: what it wrote so far.
        bytes.push(0xff);
    }
}

#[derive(Debug)]
struct Saved<C> {
    entities: Vec<Entity>,
    ids: Vec<RollbackId>,
    values: Vec<C>,
}

impl<C> Default for Saved<C> {
    fn default() -> Self {
        Self { entities: Vec::new(), ids: Vec::new(), values: Vec::new() }
    }
}

pub(super) struct ComponentColumn<C: Component<Mutability = Mutable>> {
    slots: Vec<Saved<C>>,
    hash_value: Option<HashValue<C>>,
    read: Option<QueryState<(Entity, &'static RollbackId, &'static C), InSimulation>>,
    write: Option<QueryState<(Entity, &'static mut C), InSimulation>>,
}

impl<C: Component<Mutability = Mutable> + Clone> ComponentColumn<C> {
    /// A column that is saved and restored, but neither hashed nor sent.
    pub(super) fn local() -> Self {
        Self { slots: Vec::new(), hash_value: None, read: None, write: None }
    }

    /// A column that is saved, restored and part of the checksum.
    pub(super) fn hashed() -> Self
    where
        C: Serialize + DeserializeOwned,
    {
        Self { hash_value: Some(hash_by_serializing::<C>), ..Self::local() }
    }

    /// Writes values back in order; false as soon as the order is another one.
    fn load_in_order(&mut self, world: &mut World, slot: usize) -> bool {
        let saved = &self.slots[slot];
        let query = self.write.get_or_insert_with(|| QueryState::new(world));
        let mut index = 0;
        for (entity, mut value) in query.iter_mut(world) {
            if saved.entities.get(index) != Some(&entity) {
                return false;
            }
            // Reuses the allocations of the value that it replaces.
            C::clone_from(&mut value, &saved.values[index]);
            index += 1;
        }
        index == saved.entities.len()
    }

    fn load_by_entity(&mut self, world: &mut World, slot: usize, remap: &EntityRemap) {
        let saved = &self.slots[slot];
        let mut wanted: Vec<Entity> =
            saved.entities.iter().map(|&entity| remap.present(entity)).collect();
        let query = self.write.get_or_insert_with(|| QueryState::new(world));
        let present: Vec<Entity> = query.iter(world).map(|(entity, _)| entity).collect();

        for (&entity, value) in wanted.iter().zip(&saved.values) {
            let mut value = value.clone();
            C::map_entities(&mut value, &mut Follow(remap));
            let Ok(mut entity) = world.get_entity_mut(entity) else { continue };
            if let Some(mut present) = entity.get_mut::<C>() {
                *present = value;
            } else {
                entity.insert(value);
            }
        }
        wanted.sort_unstable();
        for entity in present {
            if wanted.binary_search(&entity).is_err()
                && let Ok(mut entity) = world.get_entity_mut(entity)
            {
                entity.remove::<C>();
            }
        }
    }
}

impl<C: Component<Mutability = Mutable> + Clone> Column for ComponentColumn<C> {
    fn name(&self) -> &'static str {
        std::any::type_name::<C>()
    }

    fn is_hashed(&self) -> bool {
        self.hash_value.is_some()
    }

    fn resize(&mut self, slots: usize) {
        self.slots.clear();
        self.slots.resize_with(slots, Saved::default);
    }

    fn save(&mut self, world: &mut World, slot: usize) {
        let saved = &mut self.slots[slot];
        saved.entities.clear();
        saved.ids.clear();
        let mut reused = 0;
        let query = self.read.get_or_insert_with(|| QueryState::new(world));
        for (entity, &id, value) in query.iter(world) {
            saved.entities.push(entity);
            saved.ids.push(id);
            if let Some(old) = saved.values.get_mut(reused) {
                old.clone_from(value);
            } else {
                saved.values.push(value.clone());
            }
            reused += 1;
        }
        saved.values.truncate(reused);
    }

    fn load(&mut self, world: &mut World, slot: usize, remap: &EntityRemap) {
        // Where an entity moved, references inside the values must follow, so the short way is not open.
        if !remap.is_empty() || !self.load_in_order(world, slot) {
            self.load_by_entity(world, slot, remap);
        }
    }

    fn hash(&self, slot: usize, ids: &EntityNames) -> u64 {
        let Some(hash_value) = self.hash_value else { return 0 };
        let saved = &self.slots[slot];
        let mut order: Vec<usize> = (0..saved.ids.len()).collect();
        order.sort_unstable_by_key(|&index| saved.ids[index]);
        let mut hasher = Xxh3::new();
        let mut bytes = Vec::new();
        for index in order {
            let mut value = saved.values[index].clone();
            C::map_entities(&mut value, &mut Rename(ids));
            bytes.clear();
            bytes.extend_from_slice(&saved.ids[index].get().to_le_bytes());
            hash_value(&value, &mut bytes);
            hasher.update(&bytes);
        }
        hasher.digest()
    }

    fn reset(&mut self, _world: &mut World) {
        // The entities go, and their components with them.
        let slots = self.slots.len();
        self.resize(slots);
    }
}
