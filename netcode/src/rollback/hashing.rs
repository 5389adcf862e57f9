//! How values are fed to the checksum, and shown to a developer who looks for a difference.

use bevy::prelude::Component;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    identity::RollbackId,
    names::{EntityNames, RenameEntities},
};
use crate::{
    checksum::ValueHasher,
    codec::{self, SerializeFault},
};

/// A hash of several values: the sum of their hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValuesHash {
    pub(super) sum: u64,
    /// Whether it covers the values completely. What does not serialize is in no hash.
    pub(super) is_whole: bool,
}

impl ValuesHash {
    pub(super) const NONE: Self = Self { sum: 0, is_whole: true };

    /// The hash of these values and others together, in any order.
    #[inline]
    pub(super) fn with(self, other: Self) -> Self {
        let sum = self.sum.wrapping_add(other.sum);
        Self { sum, is_whole: self.is_whole && other.is_whole }
    }
}

/// How values of one type are fed to the checksum, and shown to a developer.
pub(super) struct Hashing<T> {
    /// Feeds a value to the checksum. Returns false if a part of the value is missing from it.
    pub(super) hash: fn(&T, &mut ValueHasher) -> bool,
    pub(super) show: fn(&T) -> Option<Value>,
    /// Shows a value as JSON in the order in which it iterates, which `show` does not keep.
    pub(super) show_in_order: fn(&T) -> Option<String>,
    /// Returns the reason why a value does not serialize completely; `None` if it does.
    pub(super) serialize_fault: fn(&T) -> Option<SerializeFault>,
    /// Returns a copy of a value that was read back from its bytes; `None` if the bytes do not
    /// determine the value.
    pub(super) read_back: fn(&T) -> Option<T>,
    /// Returns whether a value can be read back from its own bytes; true for a type that need not
    /// be.
    pub(super) reads_back: fn(&T) -> bool,
    /// Returns the first 64-bit number in a value for which the function returns true.
    pub(super) find_u64: fn(&T, &dyn Fn(u64) -> bool) -> Option<u64>,
}

impl<T> Clone for Hashing<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Hashing<T> {}

impl<T: Serialize + DeserializeOwned> Hashing<T> {
    /// Hashes what `Serialize` writes.
    pub(super) fn by_serializing() -> Self {
        Self {
            hash: hash_value,
            show: |value| serde_json::to_value(value).ok(),
            show_in_order: |value| serde_json::to_string(value).ok(),
            serialize_fault: codec::serialize_fault,
            read_back: codec::read_back,
            reads_back: |value| codec::read_back(value).is_some(),
            find_u64: codec::find_u64,
        }
    }
}

impl<T> Hashing<T> {
    /// Hashes what `Serialize` writes for `S`, the serializable stand-in for `T`.
    pub(super) fn by_way_of<S>() -> Self
    where
        S: for<'a> From<&'a T> + Serialize + DeserializeOwned,
        T: From<S>,
    {
        Self {
            hash: |value, hasher| hash_value(&S::from(value), hasher),
            show: |value| serde_json::to_value(S::from(value)).ok(),
            show_in_order: |value| serde_json::to_string(&S::from(value)).ok(),
            serialize_fault: |value| codec::serialize_fault(&S::from(value)),
            read_back: |value| codec::read_back(&S::from(value)).map(T::from),
            reads_back: |value| codec::read_back(&S::from(value)).is_some(),
            find_u64: |value, is_wanted| codec::find_u64(&S::from(value), is_wanted),
        }
    }
}

/// Hashes the values of one table, given as (ids, values, names of entities).
type HashRows<C> = fn(&[RollbackId], &[C], &EntityNames) -> ValuesHash;

/// How the values of a component type are hashed, one by one and table by table.
pub(super) struct ComponentHashing<C> {
    pub(super) values: Hashing<C>,
    pub(super) rows: HashRows<C>,
}

impl<C: Component + Clone + Serialize + DeserializeOwned> ComponentHashing<C> {
    /// Hashes what `Serialize` writes.
    pub(super) fn by_serializing() -> Self {
        Self {
            values: Hashing::by_serializing(),
            rows: |ids, values, names| hash_rows(ids, values, names, hash_value),
        }
    }
}

impl<C: Component + Clone> ComponentHashing<C> {
    /// Hashes what `Serialize` writes for `S`, the serializable stand-in for `C`.
    pub(super) fn by_way_of<S>() -> Self
    where
        S: for<'a> From<&'a C> + Serialize + DeserializeOwned,
        C: From<S>,
    {
        Self {
            values: Hashing::by_way_of::<S>(),
            rows: |ids, values, names| {
                hash_rows(ids, values, names, |value, hasher| hash_value(&S::from(value), hasher))
            },
        }
    }
}

/// Hashes values with a function that feeds one value to a hasher. The sum does not depend on the
/// order of rows. Equal values do not cancel each other out, because each is mixed with its id
/// first.
fn hash_rows<C: Component + Clone>(
    ids: &[RollbackId],
    values: &[C],
    names: &EntityNames,
    hash_value: impl Fn(&C, &mut ValueHasher) -> bool,
) -> ValuesHash {
    let Some(first) = values.first() else { return ValuesHash::NONE };
    let mut renamed = first.clone();
    ids.iter().zip(values).fold(ValuesHash::NONE, |all, (id, value)| {
        renamed.clone_from(value);
        C::map_entities(&mut renamed, &mut RenameEntities(names));
        let mut hasher = ValueHasher::new(u64::from(id.get()));
        let is_whole = hash_value(&renamed, &mut hasher);
        all.with(ValuesHash { sum: hasher.finish(), is_whole })
    })
}

/// Feeds a value to the checksum; the hasher gets the same bytes on every platform. Returns false
/// if it got only a part of the value.
pub(super) fn hash_value<T: Serialize>(value: &T, hasher: &mut ValueHasher) -> bool {
    let is_whole = hasher.write_value(value).is_ok();
    if !is_whole {
        // If `Serialize` fails half-way, all peers still hash the same bytes: those written so far.
        hasher.write(&[0xff]);
    }
    is_whole
}
