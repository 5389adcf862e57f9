//! Values that cannot be checked: a part of them is in no checksum, or their bytes do not determine
//! them.

use std::{any::type_name, fmt};

use super::{hashing::Hashing, identity::RollbackId};
use crate::codec::SerializeFault;

/// What a check requires of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// They serialize completely.
    Serializes,
    /// They can be read back from their own bytes.
    ReadsBack,
}

/// Why a registered value cannot be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpaqueProblem {
    /// It does not serialize completely, so the rest of it is in no checksum.
    Unserializable(SerializeFault),
    /// It cannot be read back from its own bytes, so two different values may have the same
    /// checksum.
    Unreadable,
}

/// A registered value that cannot be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpaqueValue {
    /// The full path of the registered type.
    pub type_name: &'static str,
    /// The entity that has the value; `None` if it is a resource.
    pub entity: Option<RollbackId>,
    /// What is wrong with the value.
    pub problem: OpaqueProblem,
}

impl OpaqueValue {
    pub(super) fn find<T>(
        hashing: Hashing<T>,
        entity: Option<RollbackId>,
        value: &T,
        check: Check,
    ) -> Option<Self> {
        let problem = match check {
            Check::Serializes => OpaqueProblem::Unserializable((hashing.serialize_fault)(value)?),
            Check::ReadsBack if (hashing.reads_back)(value) => return None,
            Check::ReadsBack => OpaqueProblem::Unreadable,
        };
        Some(Self { type_name: type_name::<T>(), entity, problem })
    }
}

impl fmt::Display for OpaqueValue {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a value of `{}`", self.type_name)?;
        if let Some(id) = self.entity {
            write!(f, ", of the entity with `RollbackId` {},", id.get())?;
        }
        match &self.problem {
            OpaqueProblem::Unserializable(fault) => write!(
                f,
                " does not serialize completely, so peers do not notice if the rest differs: \
                 {fault}"
            ),
            OpaqueProblem::Unreadable => f.write_str(
                " cannot be read back from its own bytes, so two different values may have the \
                 same checksum: `skip_serializing_if`, `untagged`, `tag` and `flatten` do not work \
                 in a format without field names. Derive `Serialize` and `Deserialize` without \
                 them",
            ),
        }
    }
}
