//! The column of a component that Bevy keeps in tables. It saves and restores whole slices.

use std::any::TypeId;

use bevy::{
    ecs::query::QueryState,
    prelude::{Component, Entity, Ref, World},
};

use super::{
    blocks::{Blocks, Saving},
    columns::{Column, Loading},
    difference::{
        Difference, between_components, between_components_and_bytes, unsaid_entity_in_components,
    },
    hashing::{ComponentHashing, ValuesHash},
    identity::{InSimulation, RollbackId},
    names::{EntityNames, EntityRemap, RemapEntities},
    opaque::{Check, OpaqueValue},
    plan::Plan,
    rows::SavedRows,
    write_back::{Comparison, Restorable, Write},
};

pub(super) struct DenseColumn<C: Component> {
    blocks: Blocks<C>,
    hashing: Option<ComponentHashing<C>>,
    comparison: Comparison<C>,
    writer: Box<dyn Write<C>>,
    read: Option<QueryState<(Entity, Ref<'static, C>), InSimulation>>,
}

impl<C: Component + Clone> DenseColumn<C> {
    /// Creates a column. Without `hashing`, its values are not hashed.
    pub(super) fn new(hashing: Option<ComponentHashing<C>>) -> Self
    where
        C::Mutability: Restorable<C>,
    {
        Self {
            blocks: Blocks::default(),
            hashing,
            comparison: Comparison::default(),
            writer: C::Mutability::writer().0,
            read: None,
        }
    }

    /// Makes a load mark values as changed only where they differ from those before it.
    pub(super) fn compare_on_load(&mut self)
    where
        C: PartialEq,
    {
        let hash = self.hashing.as_ref().map(|hashing| hashing.values.hash);
        self.comparison = Comparison::by_value(hash);
    }
}

impl<C: Component + Clone> DenseColumn<C> {
    /// All values of a saved frame, with their owners.
    fn version(&self, slot: usize, names: &EntityNames) -> Vec<(RollbackId, &C)> {
        let tables = self.blocks.tables(slot);
        let pairs = tables.flat_map(|(table, values)| {
            let (_, ids) = names.rows.table(slot, table);
            ids.iter().copied().zip(values)
        });
        pairs.collect()
    }
}

impl<C: Component + Clone> Column for DenseColumn<C> {
    fn name(&self) -> &'static str {
        std::any::type_name::<C>()
    }

    fn is_hashed(&self) -> bool {
        self.hashing.is_some()
    }

    fn resize(&mut self, slots: usize) {
        self.blocks.resize(slots);
    }

    fn forget(&mut self, slot: usize) {
        self.blocks.forget(slot);
    }

    fn save(&mut self, world: &mut World, rows: &SavedRows, saving: Saving) {
        self.blocks.begin(saving);
        let query = self.read.get_or_insert_with(|| QueryState::new(world));
        let tables = query.contiguous_iter(world).expect("only table components come here");
        for (entities, column) in tables {
            // A table without a version has entities without ids. A game can cause that only on
            // purpose.
            let Some(version) = rows.version(saving.slot, entities[0]) else { continue };
            self.blocks.capture(version, &column, column.changed_ticks_slice(), saving);
        }
        self.blocks.end(saving);
    }

    fn restore_components(&mut self, world: &mut World, slot: usize, plan: &Plan) -> bool {
        let mut has_changed = false;
        for misplaced in &plan.misplaced {
            let Ok(mut entity) = world.get_entity_mut(misplaced.entity) else { continue };
            let values = self.blocks.values(slot, misplaced.saved.table);
            match (values, entity.contains::<C>()) {
                (Some(values), false) => {
                    let mut value = values[misplaced.saved.row].clone();
                    let mut mapper = RemapEntities { remap: &plan.remap, has_changed: false };
                    C::map_entities(&mut value, &mut mapper);
                    self.writer.put(&mut entity, value);
                    has_changed = true;
                }
                (None, true) => {
                    entity.remove::<C>();
                    has_changed = true;
                }
                _ => {}
            }
        }
        has_changed
    }

    fn begin_load(&mut self) {
        self.writer.begin_load();
    }

    fn load_by_inserting(&mut self, world: &mut World, loading: &Loading) -> bool {
        self.writer.load_by_inserting(world, &self.blocks, &self.comparison, loading)
    }

    fn load(&mut self, world: &mut World, loading: &Loading) -> bool {
        let is_any_unmarked = self.writer.load(world, &self.blocks, &self.comparison, loading);
        if is_any_unmarked {
            self.blocks.distrust_blocks_after(loading.since);
        }
        is_any_unmarked
    }

    fn remap_entities(&mut self, world: &mut World, remap: &EntityRemap) {
        self.writer.remap_entities(world, remap);
    }

    fn hash(&self, slot: usize, names: &EntityNames) -> ValuesHash {
        let Some(hashing) = &self.hashing else { return ValuesHash::NONE };
        self.blocks.tables(slot).fold(ValuesHash::NONE, |all, (table, values)| {
            let (_, ids) = names.rows.table(slot, table);
            all.with((hashing.rows)(ids, values, names))
        })
    }

    fn difference(&self, slots: [usize; 2], names: [&EntityNames; 2]) -> Option<Difference> {
        let hashing = self.hashing.as_ref()?;
        let version = |version: usize| self.version(slots[version], names[version]);
        between_components(hashing.values, [version(0), version(1)], names)
    }

    fn difference_to_bytes(&self, slot: usize, names: &EntityNames) -> Option<Difference> {
        let hashing = self.hashing.as_ref()?;
        between_components_and_bytes(hashing.values, self.version(slot, names), names)
    }

    fn opaque_value(&self, slot: usize, names: &EntityNames, check: Check) -> Option<OpaqueValue> {
        let values = self.hashing.as_ref()?.values;
        let mut version = self.version(slot, names).into_iter();
        version.find_map(|(id, value)| OpaqueValue::find(values, Some(id), value, check))
    }

    fn unsaid_entity(&self, slot: usize, names: &EntityNames) -> Option<Difference> {
        let hashing = self.hashing.as_ref()?;
        unsaid_entity_in_components(hashing.values, self.version(slot, names), names)
    }

    fn value_type(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn reset(&mut self, _world: &mut World) {
        // The entities are despawned, and their components go with them.
        self.blocks.clear();
    }
}
