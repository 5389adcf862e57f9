//! What the store needs from each registered type.

use std::any::{Any, TypeId};

use bevy::prelude::World;

use super::{
    blocks::Saving,
    clock::Moment,
    difference::Difference,
    hashing::ValuesHash,
    names::{EntityNames, EntityRemap},
    opaque::{Check, OpaqueValue},
    plan::{MovedRow, Plan},
    rows::SavedRows,
};

/// One registered type, with its values in each saved frame.
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
    /// Makes room for `slots` saved frames, and forgets everything that is saved.
    fn resize(&mut self, slots: usize);
    /// Drops what is saved in `slot`, so that another slot can use the memory.
    fn forget(&mut self, _slot: usize) {}
    /// Saves the present values into the slot.
    fn save(&mut self, world: &mut World, rows: &SavedRows, saving: Saving);
    /// Gives this component back to misplaced entities that had it, and removes it from those that
    /// did not. Returns true if that changed any entity.
    fn restore_components(&mut self, _world: &mut World, _slot: usize, _plan: &Plan) -> bool {
        false
    }
    /// Prepares for a load.
    fn begin_load(&mut self) {}
    /// Restores the values that have to be inserted, which may run hooks and observers and move
    /// entities between tables. Returns true if there were any. The store calls it until there are
    /// none.
    fn load_by_inserting(&mut self, _world: &mut World, _loading: &Loading) -> bool {
        false
    }
    /// Restores the other values, in place. Returns true if any was written without being marked as
    /// changed.
    fn load(&mut self, _world: &mut World, _loading: &Loading) -> bool {
        false
    }
    /// Replaces entities inside the present values by those that have taken their place.
    fn remap_entities(&mut self, world: &mut World, remap: &EntityRemap);
    /// The first value in which two saved versions of one frame differ; for hashed types only.
    fn difference(&self, slots: [usize; 2], names: [&EntityNames; 2]) -> Option<Difference>;
    /// The first value that hashes differently after it was read back from its own bytes; for
    /// hashed types only.
    fn difference_to_bytes(&self, slot: usize, names: &EntityNames) -> Option<Difference>;
    /// The first value that fails `check`: it is hashed only in part, or cannot be read back. For
    /// hashed types only.
    fn opaque_value(&self, slot: usize, names: &EntityNames, check: Check) -> Option<OpaqueValue>;
    /// The first value that holds an entity without declaring it; for hashed types only.
    fn unsaid_entity(&self, slot: usize, names: &EntityNames) -> Option<Difference>;
    /// The id of the registered type.
    fn value_type(&self) -> TypeId;
    /// A hash of the values in `slot` that depends neither on the order of rows nor on this
    /// machine.
    fn hash(&self, slot: usize, names: &EntityNames) -> ValuesHash;
    /// Resets what the world holds of this type to what it was before the first match.
    fn reset(&mut self, world: &mut World);
}

/// Which frame a load restores, and how.
pub(crate) struct Loading<'a> {
    pub(super) slot: usize,
    pub(super) plan: &'a Plan,
    /// When the frame and the world were last equal. What has not changed since then need not be
    /// written.
    pub(super) since: Moment,
    pub(super) now: Moment,
}

impl Loading<'_> {
    /// The moment since which changes count for a row that gets its value from another row.
    pub(super) fn since_for(&self, moved: &MovedRow) -> Moment {
        if moved.is_another_entity { Moment::long_before(self.now) } else { self.since }
    }
}
