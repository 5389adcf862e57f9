//! The column of one resource type: whether the resource is present, and its value, in each saved
//! frame.

use std::any::TypeId;

use bevy::{
    ecs::component::Mutable,
    prelude::{DetectChanges, DetectChangesMut, Resource, World},
};

use super::{
    blocks::Saving,
    clock::Moment,
    columns::{Column, Loading},
    difference::{
        Difference, between_resource_and_bytes, between_resources, unsaid_entity_in_resource,
    },
    hashing::{Hashing, ValuesHash},
    names::{EntityNames, EntityRemap, RemapEntities, RenameEntities},
    opaque::{Check, OpaqueValue},
    rows::SavedRows,
};
use crate::checksum::ValueHasher;

pub(super) struct ResourceColumn<R> {
    slots: Vec<Slot<R>>,
    /// `None` for a type that is left out of the checksum.
    hashing: Option<Hashing<R>>,
    /// The resource as it was before the first match, once that is known. It is restored before
    /// each match, and when the room is left.
    initial: Option<Option<R>>,
    are_equal: fn(&R, &R) -> bool,
}

struct Slot<R> {
    value: Option<R>,
    as_of: Option<Moment>,
}

impl<R> ResourceColumn<R> {
    /// Creates a column. Without `hashing`, its values are not hashed.
    pub(super) fn new(hashing: Option<Hashing<R>>) -> Self {
        Self { slots: Vec::new(), hashing, initial: None, are_equal: |_, _| false }
    }

    fn distrust_slots_after(&mut self, since: Moment) {
        for slot in &mut self.slots {
            slot.as_of = slot.as_of.filter(|as_of| as_of.save <= since.save);
        }
    }
}

impl<R: PartialEq> ResourceColumn<R> {
    /// Makes a load mark the resource as changed only if it differs from what it was before.
    pub(super) fn compare_on_load(&mut self) {
        self.are_equal = |one, other| one == other;
    }
}

fn restore<R: Resource + Clone>(world: &mut World, value: Option<&R>) {
    match value {
        Some(value) => world.insert_resource(value.clone()),
        None => drop(world.remove_resource::<R>()),
    }
}

impl<R: Resource<Mutability = Mutable> + Clone> Column for ResourceColumn<R> {
    fn name(&self) -> &'static str {
        std::any::type_name::<R>()
    }

    fn is_hashed(&self) -> bool {
        self.hashing.is_some()
    }

    #[cfg(any(test, feature = "testing"))]
    fn is_resource(&self) -> bool {
        true
    }

    fn resize(&mut self, slots: usize) {
        self.slots.clear();
        self.slots.resize_with(slots, || Slot { value: None, as_of: None });
    }

    fn save(&mut self, world: &mut World, _rows: &SavedRows, saving: Saving) {
        let slot = &mut self.slots[saving.slot];
        let as_of = slot.as_of.replace(saving.now);
        let as_of = as_of.filter(|as_of| as_of.is_comparable(saving.now) && !saving.is_exact);
        match (&mut slot.value, world.get_resource_ref::<R>()) {
            (Some(old), Some(value)) => {
                // The slot still holds the value of a few frames ago, which usually equals the
                // present one.
                if as_of.is_none_or(|as_of| as_of.is_before(value.last_changed(), saving.now)) {
                    old.clone_from(&value);
                }
            }
            (old, value) => *old = value.map(|value| R::clone(&value)),
        }
    }

    fn load_by_inserting(&mut self, world: &mut World, loading: &Loading) -> bool {
        let saved = self.slots[loading.slot].value.as_ref();
        let is_due = saved.is_some() != world.contains_resource::<R>();
        if is_due {
            restore(world, saved);
        }
        is_due
    }

    fn load(&mut self, world: &mut World, loading: &Loading) -> bool {
        let saved = self.slots[loading.slot].value.as_ref();
        let (Some(value), Some(mut present)) = (saved, world.get_resource_mut::<R>()) else {
            return false;
        };
        if loading.since.is_before(present.last_changed(), loading.now) {
            let is_equal = (self.are_equal)(&present, value);
            present.bypass_change_detection().clone_from(value);
            if is_equal {
                // 0.0 equals -0.0, so slots saved since then may hold different bits than the
                // resource has now, although no tick shows it.
                self.distrust_slots_after(loading.since);
                return true;
            }
            present.set_changed();
        }
        false
    }

    fn remap_entities(&mut self, world: &mut World, remap: &EntityRemap) {
        if let Some(mut present) = world.get_resource_mut::<R>() {
            let mut mapper = RemapEntities { remap, has_changed: false };
            R::map_entities(present.bypass_change_detection(), &mut mapper);
            if mapper.has_changed {
                present.set_changed();
            }
        }
    }

    fn difference(&self, slots: [usize; 2], names: [&EntityNames; 2]) -> Option<Difference> {
        let versions = slots.map(|slot| self.slots[slot].value.as_ref());
        between_resources(self.hashing?, versions, names)
    }

    fn difference_to_bytes(&self, slot: usize, names: &EntityNames) -> Option<Difference> {
        let value = self.slots[slot].value.as_ref()?;
        between_resource_and_bytes(self.hashing?, value, names)
    }

    fn opaque_value(&self, slot: usize, _names: &EntityNames, check: Check) -> Option<OpaqueValue> {
        let value = self.slots[slot].value.as_ref()?;
        OpaqueValue::find(self.hashing?, None, value, check)
    }

    fn unsaid_entity(&self, slot: usize, names: &EntityNames) -> Option<Difference> {
        let value = self.slots[slot].value.as_ref()?;
        unsaid_entity_in_resource(self.hashing?, value, names)
    }

    fn value_type(&self) -> TypeId {
        TypeId::of::<R>()
    }

    fn hash(&self, slot: usize, names: &EntityNames) -> ValuesHash {
        let Some(hashing) = self.hashing else { return ValuesHash::NONE };
        let value = &self.slots[slot].value;
        let mut hasher = ValueHasher::new(u64::from(value.is_some()));
        let is_whole = value.clone().is_none_or(|mut value| {
            R::map_entities(&mut value, &mut RenameEntities(names));
            (hashing.hash)(&value, &mut hasher)
        });
        ValuesHash { sum: hasher.finish(), is_whole }
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
