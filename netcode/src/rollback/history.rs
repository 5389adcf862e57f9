//! The ring of saved frames: all columns together, frame by frame.

use bevy::prelude::{Resource, World};

use super::{
    columns::{Column, EntityNames, EntityRemap},
    hierarchy::ParentColumn,
    identity::{self, IdentityColumn},
};

/// Saves and restores the registered world.
#[derive(Resource)]
pub(crate) struct RollbackStore {
    columns: Vec<Box<dyn Column>>,
    identities: Vec<IdentityColumn>,
    /// Which frame each slot holds.
    frames: Vec<Option<u32>>,
    names: EntityNames,
}

impl Default for RollbackStore {
    fn default() -> Self {
        Self {
            columns: vec![Box::new(ParentColumn::default())],
            identities: Vec::new(),
            frames: Vec::new(),
            names: EntityNames::default(),
        }
    }
}

impl RollbackStore {
    pub(super) fn add(&mut self, column: Box<dyn Column>) {
        self.columns.push(column);
    }

    /// Makes room for the last `depth` frames.
    pub(crate) fn set_depth(&mut self, depth: usize) {
        self.frames = vec![None; depth];
        self.identities.clear();
        self.identities.resize_with(depth, IdentityColumn::default);
        for column in &mut self.columns {
            column.resize(depth);
        }
    }

    fn slot(&self, frame: u32) -> usize {
        frame as usize % self.frames.len()
    }

    /// Saves the world as it is before `frame` is simulated.
    pub(crate) fn save(&mut self, world: &mut World, frame: u32) {
        let slot = self.slot(frame);
        self.frames[slot] = Some(frame);
        self.identities[slot].save(world);
        for column in &mut self.columns {
            column.save(world, slot);
        }
    }

    /// Brings back the world as it was before `frame` was simulated.
    ///
    /// # Panics
    ///
    /// If `frame` is not among the saved ones: ggrs only asks for frames inside the prediction window.
    pub(crate) fn load(&mut self, world: &mut World, frame: u32) {
        let slot = self.slot(frame);
        assert_eq!(self.frames[slot], Some(frame), "a frame to load is inside the saved window");
        let mut moved = Vec::new();
        self.identities[slot].load(world, frame, &mut moved);
        let remap = EntityRemap::new(moved);
        for column in &mut self.columns {
            column.load(world, slot, &remap);
        }
    }

    /// One hash per hashed type of the world as it was before `frame`, in order of registration.
    ///
    /// Returns false where the frame is no longer, or not yet, saved.
    pub(crate) fn hash(&mut self, frame: u32, parts: &mut Vec<u64>) -> bool {
        parts.clear();
        let slot = self.slot(frame);
        if self.frames[slot] != Some(frame) {
            return false;
        }
        self.names.refill(self.identities[slot].iter());
        let hashed = self.columns.iter().filter(|column| column.is_hashed());
        parts.extend(hashed.map(|column| column.hash(slot, &self.names)));
        true
    }

    /// The names of the hashed types, in the order of [`hash`](Self::hash).
    pub(crate) fn hashed_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.columns.iter().filter(|column| column.is_hashed()).map(|column| column.name())
    }

    /// Lets go of what left the simulation before `frame`, now that no rollback reaches it.
    pub(crate) fn confirm(world: &mut World, frame: u32) {
        identity::despawn_confirmed(world, frame);
    }

    /// Returns the world to what it was before the first match.
    pub(crate) fn reset(&mut self, world: &mut World) {
        identity::despawn_all(world);
        for column in &mut self.columns {
            column.reset(world);
        }
        self.frames.fill(None);
    }
}
