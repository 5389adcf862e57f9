//! One registered resource type: present or absent, and its value, per saved frame.

use bevy::prelude::{Resource, World};
use serde::{Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::xxh3_64;

use super::columns::{Column, EntityNames, EntityRemap, Follow, Rename, hash_by_serializing};

pub(super) struct ResourceColumn<R> {
    slots: Vec<Option<R>>,
    /// What the resource was before the first match: each match starts with it, and leaves it behind.
    initial: Option<Option<R>>,
}

impl<R> Default for ResourceColumn<R> {
    fn default() -> Self {
        Self { slots: Vec::new(), initial: None }
    }
}

fn restore<R: Resource + Clone>(world: &mut World, value: Option<&R>) {
    match value {
        Some(value) => world.insert_resource(value.clone()),
        None => drop(world.remove_resource::<R>()),
    }
}

impl<R: Resource + Clone + Serialize + DeserializeOwned> Column for ResourceColumn<R> {
    fn name(&self) -> &'static str {
        std::any::type_name::<R>()
    }

    fn is_hashed(&self) -> bool {
        true
    }

    fn resize(&mut self, slots: usize) {
        self.slots.clear();
        self.slots.resize_with(slots, || None);
    }

    fn save(&mut self, world: &mut World, slot: usize) {
        match (&mut self.slots[slot], world.get_resource::<R>()) {
            (Some(old), Some(value)) => old.clone_from(value),
            (old, value) => *old = value.cloned(),
        }
    }

    fn load(&mut self, world: &mut World, slot: usize, remap: &EntityRemap) {
        restore(world, self.slots[slot].as_ref());
        if !remap.is_empty()
            && let Some(mut present) = world.remove_resource::<R>()
        {
            R::map_entities(&mut present, &mut Follow(remap));
            world.insert_resource(present);
        }
    }

    fn hash(&self, slot: usize, ids: &EntityNames) -> u64 {
        let mut bytes = Vec::new();
        match &self.slots[slot] {
            None => bytes.push(0),
            Some(value) => {
                bytes.push(1);
                let mut value = value.clone();
                R::map_entities(&mut value, &mut Rename(ids));
                hash_by_serializing(&value, &mut bytes);
            }
        }
        xxh3_64(&bytes)
    }

    fn reset(&mut self, world: &mut World) {
        let slots = self.slots.len();
        self.resize(slots);
        match &self.initial {
            None => self.initial = Some(world.get_resource::<R>().cloned()),
            Some(initial) => restore(world, initial.as_ref()),
        }
    }
}
