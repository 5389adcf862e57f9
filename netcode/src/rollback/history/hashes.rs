//! What checks need from saved frames: their hashes, where two versions differ, and which values
//! cannot be checked.

use super::RollbackStore;
use crate::rollback::{
    difference::Difference,
    names::EntityNames,
    opaque::{Check, OpaqueValue},
};

/// The outcome of hashing a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hashed {
    /// The frame is no longer saved, or not yet.
    NotSaved,
    /// The hashes cover all hashed values completely.
    Wholly,
    /// Some values do not serialize completely, so the hashes lack a part of them.
    InPart,
}

impl RollbackStore {
    /// Writes one hash for each hashed type, of the world as it was before `frame`, in order of
    /// registration.
    pub(crate) fn hash(&self, frame: u32, parts: &mut Vec<u64>) -> Hashed {
        self.hash_slot(frame, self.slot(frame), parts)
    }

    /// Does the same for the second version of `frame`.
    pub(crate) fn hash_again(&self, frame: u32, parts: &mut Vec<u64>) -> Hashed {
        self.hash_slot(frame, self.second_slot(), parts)
    }

    fn hash_slot(&self, frame: u32, slot: usize, parts: &mut Vec<u64>) -> Hashed {
        parts.clear();
        if self.frames[slot].is_none_or(|saved| saved.frame != frame) {
            return Hashed::NotSaved;
        }
        let names = EntityNames::new(&self.rows, slot);
        let mut is_whole = true;
        for column in self.columns.iter().filter(|column| column.is_hashed()) {
            let hash = column.hash(slot, &names);
            is_whole &= hash.is_whole;
            parts.push(hash.sum);
        }
        if is_whole { Hashed::Wholly } else { Hashed::InPart }
    }

    /// For each type, the first value in `frame` that fails the check.
    pub(crate) fn opaque_values(
        &self,
        frame: u32,
        check: Check,
    ) -> impl Iterator<Item = OpaqueValue> {
        let slot = self.slot(frame);
        let names = EntityNames::new(&self.rows, slot);
        self.columns.iter().filter_map(move |column| column.opaque_value(slot, &names, check))
    }

    /// The first difference between the two versions of `frame`.
    pub(crate) fn difference(&self, frame: u32) -> Option<Difference> {
        self.difference_between([self.slot(frame), self.second_slot()])
    }

    pub(super) fn difference_between(&self, slots: [usize; 2]) -> Option<Difference> {
        let names = slots.map(|slot| EntityNames::new(&self.rows, slot));
        let column = self
            .columns
            .iter()
            .find(|column| column.hash(slots[0], &names[0]) != column.hash(slots[1], &names[1]))?;
        let difference = column.difference(slots, [&names[0], &names[1]]);
        Some(
            difference
                .unwrap_or_else(|| Difference::somewhere_in(column.name(), column.value_type())),
        )
    }

    /// The first value of `frame` that hashes differently after it was read back from its own
    /// bytes.
    pub(crate) fn difference_to_bytes(&self, frame: u32) -> Option<Difference> {
        let slot = self.slot(frame);
        let names = EntityNames::new(&self.rows, slot);
        self.columns.iter().find_map(|column| column.difference_to_bytes(slot, &names))
    }

    /// The first value of `frame` that holds an entity without declaring it.
    pub(crate) fn unsaid_entity(&self, frame: u32) -> Option<Difference> {
        let slot = self.slot(frame);
        let names = EntityNames::new(&self.rows, slot);
        self.columns.iter().find_map(|column| column.unsaid_entity(slot, &names))
    }

    /// The names of the hashed types, in the order of [`hash`](Self::hash).
    pub(crate) fn hashed_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.columns.iter().filter(|column| column.is_hashed()).map(|column| column.name())
    }
}
