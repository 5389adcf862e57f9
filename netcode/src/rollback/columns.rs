//! What the store asks of a registered type, and how entities inside values follow or are named.

use std::{
    any::{Any, TypeId},
    cell::OnceCell,
};

use bevy::{
    ecs::entity::EntityMapper,
    prelude::{Entity, World},
};
use serde::Serialize;

use super::{
    blocks::Saving,
    clock::Moment,
    difference::Difference,
    identity::RollbackId,
    opaque::{Check, OpaqueValue},
    plan::{Fix, Plan},
    rows::SavedRows,
};
use crate::checksum::ValueHasher;

/// One registered type: its values per saved frame.
pub(crate) trait Column: Any + Send + Sync {
    /// The full path of the type, for reports.
    fn name(&self) -> &'static str;
    /// Whether the type is part of the checksum.
    fn is_hashed(&self) -> bool;
    /// Whether the type is a resource.
    #[cfg(any(test, feature = "testing"))]
    fn is_resource(&self) -> bool {
        false
    }
    /// Makes room for `slots` saved frames, and forgets all that is saved.
    fn resize(&mut self, slots: usize);
    /// Lets go of what is saved in `slot`, so that its memory serves another one.
    fn forget(&mut self, _slot: usize) {}
    /// Saves the present values.
    fn save(&mut self, world: &mut World, rows: &SavedRows, saving: Saving);
    /// Gives entities that are not what they were the set of components that they had, as far as this type goes. True if any
    /// was changed.
    fn put_in_order(&mut self, _world: &mut World, _slot: usize, _plan: &Plan) -> bool {
        false
    }
    /// Says that a load begins.
    fn begin_load(&mut self) {}
    /// Brings back values that have to be inserted, which may run hooks and observers and move entities between tables. True
    /// if any was; called until none is.
    fn load_by_inserting(&mut self, _world: &mut World, _loading: &Loading) -> bool {
        false
    }
    /// Brings the other values back, in place. True if any was written without counting as changed.
    fn load(&mut self, _world: &mut World, _loading: &Loading) -> bool {
        false
    }
    /// Lets entities inside values follow to where they are now.
    fn follow(&mut self, world: &mut World, remap: &EntityRemap);
    /// The first value in which two saved versions of one frame differ; for types that are hashed.
    fn difference(&self, slots: [usize; 2], names: [&EntityNames; 2]) -> Option<Difference>;
    /// The first value that hashes differently once it was read from its own bytes; for types that are hashed.
    fn difference_to_bytes(&self, slot: usize, names: &EntityNames) -> Option<Difference>;
    /// The first value of which the hash lacks a part, or which cannot be read back: `check` says
    /// which. For types that are hashed.
    fn opaque_value(&self, slot: usize, names: &EntityNames, check: Check) -> Option<OpaqueValue>;
    /// The first value that holds an entity and does not say so; for types that are hashed.
    fn unsaid_entity(&self, slot: usize, names: &EntityNames) -> Option<Difference>;
    /// The registered type.
    fn value_type(&self) -> TypeId;
    /// A hash of the values of `slot` that does not depend on table order or on this machine.
    fn hash(&self, slot: usize, names: &EntityNames) -> ValuesHash;
    /// Returns the world to what it was before the first match, as far as this type goes.
    fn reset(&mut self, world: &mut World);
}

/// A hash of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValuesHash {
    pub(super) sum: u64,
    /// Whether it is of all that the values hold: what does not serialize to its end is in no hash.
    pub(super) is_whole: bool,
}

impl ValuesHash {
    pub(super) const NONE: Self = Self { sum: 0, is_whole: true };

    /// The hash of these values and others. It does not depend on their order.
    #[inline]
    pub(super) fn with(self, other: Self) -> Self {
        let sum = self.sum.wrapping_add(other.sum);
        Self { sum, is_whole: self.is_whole && other.is_whole }
    }
}

/// Which frame is loaded, and how.
pub(crate) struct Loading<'a> {
    pub(super) slot: usize,
    pub(super) plan: &'a Plan,
    /// When the frame and the world were last equal: what has not changed since needs no writing.
    pub(super) since: Moment,
    pub(super) now: Moment,
}

impl Loading<'_> {
    /// The same for a row that gets its value from elsewhere.
    pub(super) fn since_for(&self, fix: &Fix) -> Moment {
        if fix.is_anothers { Moment::long_before(self.now) } else { self.since }
    }
}

/// Entities that exist under another [`Entity`] than when they were saved.
#[derive(Debug, Default)]
pub(crate) struct EntityRemap {
    /// (saved, present), in order of `saved`.
    moved: Vec<(Entity, Entity)>,
}

impl EntityRemap {
    pub(super) fn clear(&mut self) {
        self.moved.clear();
    }

    /// Adds one; [`sort`](Self::sort) must follow before the next question.
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

/// Lets entities inside a value follow, and notes whether any did.
pub(super) struct Follow<'a> {
    pub(super) remap: &'a EntityRemap,
    pub(super) has_moved: bool,
}

impl EntityMapper for Follow<'_> {
    fn get_mapped(&mut self, source: Entity) -> Entity {
        let present = self.remap.present(source);
        self.has_moved |= present != source;
        present
    }

    fn set_mapped(&mut self, _source: Entity, _target: Entity) {}
}

/// The entities of one saved frame, by table, and their [`RollbackId`]s: names that are the same on every machine.
pub(crate) struct EntityNames<'a> {
    pub(super) rows: &'a SavedRows,
    slot: usize,
    /// Made when the first value asks for a name: few types hold entities.
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

/// Replaces entities inside a value by stand-ins that are the same on every machine.
pub(super) struct Rename<'a>(pub(super) &'a EntityNames<'a>);

impl EntityMapper for Rename<'_> {
    fn get_mapped(&mut self, source: Entity) -> Entity {
        self.0
            .id(source)
            .and_then(|id| Entity::from_raw_u32(id.get()))
            .unwrap_or(Entity::PLACEHOLDER)
    }

    fn set_mapped(&mut self, _source: Entity, _target: Entity) {}
}

/// Takes out of a value every entity that it says it holds.
pub(super) struct Hide;

impl EntityMapper for Hide {
    fn get_mapped(&mut self, _source: Entity) -> Entity {
        Entity::PLACEHOLDER
    }

    fn set_mapped(&mut self, _source: Entity, _target: Entity) {}
}

/// Feeds a value to the checksum; the hasher sees the same on every platform. False if it saw a
/// part of the value only.
pub(super) fn hash_value<T: Serialize>(value: &T, hasher: &mut ValueHasher) -> bool {
    let is_whole = hasher.write_value(value).is_ok();
    if !is_whole {
        // A type whose Serialize fails half-way still hashes the same on all peers: what it wrote so far.
        hasher.write(&[0xff]);
    }
    is_whole
}
