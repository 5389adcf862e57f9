//! The column of a component that Bevy keeps in a sparse set. It works entity by entity, because
//! such components are few and are often added and removed.

use std::any::TypeId;

use bevy::{
    ecs::query::QueryState,
    prelude::{Component, DetectChanges, Entity, World},
};

use super::{
    blocks::Saving,
    columns::{Column, Loading},
    difference::{
        Difference, between_components, between_components_and_bytes, unsaid_entity_in_components,
    },
    hashing::{ComponentHashing, ValuesHash},
    identity::{InSimulation, RollbackId},
    names::{EntityNames, EntityRemap, RemapEntities},
    opaque::{Check, OpaqueValue},
    rows::SavedRows,
    write_back::{Inserted, Restorable, Write},
};

#[derive(Debug)]
struct SavedValues<C> {
    entities: Vec<Entity>,
    ids: Vec<RollbackId>,
    values: Vec<C>,
}

impl<C> SavedValues<C> {
    /// The values with their owners.
    fn owned(&self) -> Vec<(RollbackId, &C)> {
        self.ids.iter().copied().zip(&self.values).collect()
    }
}

impl<C> Default for SavedValues<C> {
    fn default() -> Self {
        Self { entities: Vec::new(), ids: Vec::new(), values: Vec::new() }
    }
}

pub(super) struct SparseColumn<C: Component> {
    slots: Vec<SavedValues<C>>,
    hashing: Option<ComponentHashing<C>>,
    writer: Box<dyn Write<C>>,
    read: Option<QueryState<(Entity, &'static RollbackId, &'static C), InSimulation>>,
    /// The entities that have the component in the frame that is loaded.
    wanted: Vec<Entity>,
    /// The entities that have the component in the world.
    present: Vec<Entity>,
    inserted: Inserted,
}

impl<C: Component + Clone> SparseColumn<C> {
    pub(super) fn new(hashing: Option<ComponentHashing<C>>) -> Self
    where
        C::Mutability: Restorable<C>,
    {
        Self {
            slots: Vec::new(),
            hashing,
            writer: C::Mutability::writer().0,
            read: None,
            wanted: Vec::new(),
            present: Vec::new(),
            inserted: Inserted::default(),
        }
    }
}

impl<C: Component + Clone> Column for SparseColumn<C> {
    fn name(&self) -> &'static str {
        std::any::type_name::<C>()
    }

    fn is_hashed(&self) -> bool {
        self.hashing.is_some()
    }

    fn resize(&mut self, slots: usize) {
        self.slots.clear();
        self.slots.resize_with(slots, SavedValues::default);
    }

    fn save(&mut self, world: &mut World, _rows: &SavedRows, saving: Saving) {
        let saved = &mut self.slots[saving.slot];
        saved.entities.clear();
        saved.ids.clear();
        let query = self.read.get_or_insert_with(|| QueryState::new(world));
        for (entity, &id, value) in query.iter(world) {
            if let Some(old) = saved.values.get_mut(saved.entities.len()) {
                old.clone_from(value);
            } else {
                saved.values.push(value.clone());
            }
            saved.entities.push(entity);
            saved.ids.push(id);
        }
        saved.values.truncate(saved.entities.len());
    }

    fn begin_load(&mut self) {
        self.inserted.clear();
    }

    fn load_by_inserting(&mut self, world: &mut World, loading: &Loading) -> bool {
        let mut has_changed = false;
        let saved = &self.slots[loading.slot];
        let query = self.read.get_or_insert_with(|| QueryState::new(world));
        self.present.clear();
        self.present.extend(query.iter(world).map(|(entity, ..)| entity));
        self.wanted.clear();
        let remap = &loading.plan.remap;
        for (&owner, value) in saved.entities.iter().zip(&saved.values) {
            let entity = remap.present(owner);
            self.wanted.push(entity);
            let now = world.change_tick();
            let Ok(mut there) = world.get_entity_mut(entity) else { continue };
            let is_due = there.get_ref::<C>().is_none_or(|present| {
                let changed = present.last_changed();
                let may_differ = entity != owner || loading.since.is_before(changed, loading.now);
                !self.writer.is_in_place() && may_differ && !self.inserted.has(entity, changed)
            });
            if is_due {
                let mut value = value.clone();
                C::map_entities(&mut value, &mut RemapEntities { remap, has_changed: false });
                self.inserted.push(entity, now);
                self.writer.put(&mut there, value);
                has_changed = true;
            }
        }
        self.wanted.sort_unstable();
        for &entity in &self.present {
            if self.wanted.binary_search(&entity).is_err()
                && let Ok(mut entity) = world.get_entity_mut(entity)
            {
                entity.remove::<C>();
                has_changed = true;
            }
        }
        has_changed
    }

    fn load(&mut self, world: &mut World, loading: &Loading) -> bool {
        if !self.writer.is_in_place() {
            return false;
        }
        // This includes values that were just inserted, because hooks and observers may have
        // written to them since.
        let saved = &self.slots[loading.slot];
        let remap = &loading.plan.remap;
        for (&owner, value) in saved.entities.iter().zip(&saved.values) {
            let entity = remap.present(owner);
            let Ok(mut there) = world.get_entity_mut(entity) else { continue };
            let may_differ = there.get_ref::<C>().is_some_and(|present| {
                entity != owner || loading.since.is_before(present.last_changed(), loading.now)
            });
            if may_differ {
                self.writer.put(&mut there, value.clone());
            }
        }
        false
    }

    fn remap_entities(&mut self, world: &mut World, remap: &EntityRemap) {
        let query = self.read.get_or_insert_with(|| QueryState::new(world));
        let moved: Vec<(Entity, C)> = query
            .iter(world)
            .filter_map(|(entity, _, value)| {
                let mut value = value.clone();
                let mut mapper = RemapEntities { remap, has_changed: false };
                C::map_entities(&mut value, &mut mapper);
                mapper.has_changed.then_some((entity, value))
            })
            .collect();
        for (entity, value) in moved {
            self.writer.put(&mut world.entity_mut(entity), value);
        }
    }

    fn hash(&self, slot: usize, names: &EntityNames) -> ValuesHash {
        let Some(hashing) = &self.hashing else { return ValuesHash::NONE };
        (hashing.rows)(&self.slots[slot].ids, &self.slots[slot].values, names)
    }

    fn difference(&self, slots: [usize; 2], names: [&EntityNames; 2]) -> Option<Difference> {
        let hashing = self.hashing.as_ref()?;
        let versions = slots.map(|slot| self.slots[slot].owned());
        between_components(hashing.values, versions, names)
    }

    fn difference_to_bytes(&self, slot: usize, names: &EntityNames) -> Option<Difference> {
        let hashing = self.hashing.as_ref()?;
        between_components_and_bytes(hashing.values, self.slots[slot].owned(), names)
    }

    fn opaque_value(&self, slot: usize, _names: &EntityNames, check: Check) -> Option<OpaqueValue> {
        let values = self.hashing.as_ref()?.values;
        let mut version = self.slots[slot].owned().into_iter();
        version.find_map(|(id, value)| OpaqueValue::find(values, Some(id), value, check))
    }

    fn unsaid_entity(&self, slot: usize, names: &EntityNames) -> Option<Difference> {
        let hashing = self.hashing.as_ref()?;
        unsaid_entity_in_components(hashing.values, self.slots[slot].owned(), names)
    }

    fn value_type(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn reset(&mut self, _world: &mut World) {
        let slots = self.slots.len();
        self.resize(slots);
    }
}
