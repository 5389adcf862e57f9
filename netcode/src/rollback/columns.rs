//! What the store asks of a registered type.

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
    fn restore_components(&mut self, _world: &mut World, _slot: usize, _plan: &Plan) -> bool {
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
    fn remap_entities(&mut self, world: &mut World, remap: &EntityRemap);
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
    pub(super) fn since_for(&self, moved: &MovedRow) -> Moment {
        if moved.is_another_entity { Moment::long_before(self.now) } else { self.since }
    }
}
