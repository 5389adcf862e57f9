//! Entities inside values: remapped to the entities that have taken their place, and renamed to ids
//! that are the same on every machine.

use std::cell::OnceCell;

use bevy::{ecs::entity::EntityMapper, prelude::Entity};

use super::{identity::RollbackId, rows::SavedRows};

/// Entities that now exist under a different [`Entity`] than when they were saved.
#[derive(Debug, Default)]
pub(crate) struct EntityRemap {
    /// (saved, present), in order of `saved`.
    moved: Vec<(Entity, Entity)>,
}

impl EntityRemap {
    pub(super) fn clear(&mut self) {
        self.moved.clear();
    }

    /// Adds a pair. Call [`sort`](Self::sort) before the next lookup.
    pub(super) fn push(&mut self, saved: Entity, present: Entity) {
        self.moved.push((saved, present));
    }

    pub(super) fn sort(&mut self) {
        self.moved.sort_unstable();
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

/// Replaces entities inside a value by those that have taken their place, and notes whether there
/// were any.
pub(super) struct RemapEntities<'a> {
    pub(super) remap: &'a EntityRemap,
    pub(super) has_changed: bool,
}

impl EntityMapper for RemapEntities<'_> {
    fn get_mapped(&mut self, source: Entity) -> Entity {
        let present = self.remap.present(source);
        self.has_changed |= present != source;
        present
    }

    fn set_mapped(&mut self, _source: Entity, _target: Entity) {}
}

/// The entities of one saved frame and their [`RollbackId`]s: names that are the same on every
/// machine.
pub(crate) struct EntityNames<'a> {
    pub(super) rows: &'a SavedRows,
    slot: usize,
    /// Built when the first value asks for a name, as few types hold entities.
    sorted: OnceCell<Vec<(Entity, RollbackId)>>,
}

impl<'a> EntityNames<'a> {
    pub(super) fn new(rows: &'a SavedRows, slot: usize) -> Self {
        Self { rows, slot, sorted: OnceCell::new() }
    }

    pub(super) fn id(&self, entity: Entity) -> Option<RollbackId> {
        let sorted = self.sorted.get_or_init(|| {
            let tables = self.rows.tables(self.slot);
            let mut all: Vec<_> = tables
                .flat_map(|(_, entities, ids)| entities.iter().copied().zip(ids.iter().copied()))
                .collect();
            all.sort_unstable();
            all
        });
        let index = sorted.binary_search_by_key(&entity, |&(entity, _)| entity).ok()?;
        Some(sorted[index].1)
    }
}

/// Replaces each entity inside a value by one whose index is its [`RollbackId`], so that the value
/// is the same on every machine.
pub(super) struct RenameEntities<'a>(pub(super) &'a EntityNames<'a>);

impl EntityMapper for RenameEntities<'_> {
    fn get_mapped(&mut self, source: Entity) -> Entity {
        self.0
            .id(source)
            .and_then(|id| Entity::from_raw_u32(id.get()))
            .unwrap_or(Entity::PLACEHOLDER)
    }

    fn set_mapped(&mut self, _source: Entity, _target: Entity) {}
}

/// Hides every entity that a value declares, so that a search finds only undeclared ones.
pub(super) struct HideEntities;

impl EntityMapper for HideEntities {
    fn get_mapped(&mut self, _source: Entity) -> Entity {
        Entity::PLACEHOLDER
    }

    fn set_mapped(&mut self, _source: Entity, _target: Entity) {}
}
