//! Parents of rollback entities: saved, restored and hashed without being registered.

use bevy::prelude::{ChildOf, Entity, World};
use xxhash_rust::xxh3::Xxh3;

use super::{
    columns::{Column, EntityNames, EntityRemap},
    identity::InSimulation,
};

#[derive(Default)]
pub(super) struct ParentColumn {
    /// (child, parent) per saved frame, in table order.
    slots: Vec<Vec<(Entity, Entity)>>,
}

impl Column for ParentColumn {
    fn name(&self) -> &'static str {
        std::any::type_name::<ChildOf>()
    }

    fn is_hashed(&self) -> bool {
        true
    }

    fn resize(&mut self, slots: usize) {
        self.slots.clear();
        self.slots.resize_with(slots, Vec::new);
    }

    fn save(&mut self, world: &mut World, slot: usize) {
        let saved = &mut self.slots[slot];
        saved.clear();
        let mut query = world.query_filtered::<(Entity, &ChildOf), InSimulation>();
        saved.extend(query.iter(world).map(|(child, parent)| (child, parent.parent())));
    }

    fn load(&mut self, world: &mut World, slot: usize, remap: &EntityRemap) {
        let mut wanted: Vec<(Entity, Entity)> = self.slots[slot]
            .iter()
            .map(|&(child, parent)| (remap.present(child), remap.present(parent)))
            .collect();
        wanted.sort_unstable();
        let mut query = world.query_filtered::<(Entity, &ChildOf), InSimulation>();
        let mut present: Vec<(Entity, Entity)> =
            query.iter(world).map(|(child, parent)| (child, parent.parent())).collect();
        present.sort_unstable();
        if wanted == present {
            return;
        }
        for &(child, _) in &present {
            if wanted.binary_search_by_key(&child, |&(child, _)| child).is_err()
                && let Ok(mut child) = world.get_entity_mut(child)
            {
                child.remove::<ChildOf>();
            }
        }
        for (child, parent) in wanted {
            if present.binary_search(&(child, parent)).is_err()
                && world.get_entity(parent).is_ok()
                && let Ok(mut child) = world.get_entity_mut(child)
            {
                child.insert(ChildOf(parent));
            }
        }
    }

    fn hash(&self, slot: usize, ids: &EntityNames) -> u64 {
        // A parent that does not roll back is local to this machine, and so is who hangs on it.
        let mut pairs: Vec<_> = self.slots[slot]
            .iter()
            .filter_map(|&(child, parent)| Some((ids.id(child)?, ids.id(parent)?)))
            .collect();
        pairs.sort_unstable();
        let mut hasher = Xxh3::new();
        for (child, parent) in pairs {
            hasher.update(&child.get().to_le_bytes());
            hasher.update(&parent.get().to_le_bytes());
        }
        hasher.digest()
    }

    fn reset(&mut self, _world: &mut World) {
        let slots = self.slots.len();
        self.resize(slots);
    }
}
