//! Parents of rollback entities: saved, restored and hashed without being registered.

use bevy::prelude::{ChildOf, Entity};

use super::{
    dense::DenseColumn,
    hashing::{ComponentHashing, Hashing, ValuesHash},
    identity::RollbackId,
    names::EntityNames,
};
use crate::checksum::ValueHasher;

/// The column of [`ChildOf`].
pub(super) fn parent_column() -> DenseColumn<ChildOf> {
    let values = Hashing {
        hash: |parent: &ChildOf, hasher| {
            hasher.write(&parent.0.to_bits().to_le_bytes());
            true
        },
        // By the time a value is shown, its entity has been replaced by one whose index is the id.
        show: |parent: &ChildOf| {
            Some(if parent.0 == Entity::PLACEHOLDER {
                "an entity that does not roll back".into()
            } else {
                format!("entity {}", parent.0.index()).into()
            })
        },
        show_in_order: |_| None,
        serialize_fault: |_| None,
        read_back: |_| None,
        reads_back: |_| true,
        find_u64: |_, _| None,
    };
    let mut column = DenseColumn::new(Some(ComponentHashing { values, rows: hash_parents }));
    column.compare_on_load();
    column
}

fn hash_parents(ids: &[RollbackId], parents: &[ChildOf], names: &EntityNames) -> ValuesHash {
    // A parent that does not roll back exists on this machine only, so the relationship with it is
    // not hashed.
    let known = ids.iter().zip(parents).filter_map(|(&id, parent)| Some((id, names.id(parent.0)?)));
    known.fold(ValuesHash::NONE, |all, (child, parent)| {
        let mut hasher = ValueHasher::new(u64::from(child.get()));
        hasher.write(&parent.get().to_le_bytes());
        all.with(ValuesHash { sum: hasher.finish(), is_whole: true })
    })
}
