//! The ring of saved frames: all columns together, frame by frame.

pub(super) mod despawns;
pub(super) mod hashes;
pub(super) mod strays;

use std::any::{Any, TypeId};

use bevy::{
    ecs::{entity_disabling::Disabled, query::QueryState},
    prelude::{Allow, Entity, World},
};

use super::{
    blocks::Saving,
    clock::Moment,
    columns::{Column, Loading},
    departure,
    hierarchy::parent_column,
    identity::{DespawnPending, RollbackIdCounter},
    plan::Plan,
    rows::SavedRows,
};

/// Hooks and observers may change the world while a frame is loaded, and the load corrects that by
/// trying again. It makes one attempt per column and this number more. If the world still changes
/// then, hooks and observers answer every load with another change, and the load would never end.
const MAX_ATTEMPTS: usize = 4;
/// Slots that are not part of the ring: for a second version of a frame, and for the world before
/// despawns.
const EXTRA_SLOTS: usize = 2;

/// Saves and restores the registered world.
pub(crate) struct RollbackStore {
    columns: Vec<Box<dyn Column>>,
    rows: SavedRows,
    /// Which frame each slot holds. The second-last slot holds a second version of a frame, to
    /// compare it with the first; the last one holds the world as it was before entities were
    /// despawned for good.
    frames: Vec<Option<SavedFrame>>,
    plan: Plan,
    /// The slot that was saved or loaded last. The world differs from it only where something has a
    /// newer change tick.
    base: Option<usize>,
    saves: u64,
    is_exact: bool,
    departed: Option<QueryState<(Entity, &'static DespawnPending), Allow<Disabled>>>,
    gone: Vec<Entity>,
}

#[derive(Clone, Copy, Debug)]
struct SavedFrame {
    frame: u32,
    /// When the frame and the world were last equal.
    as_of: Moment,
    id_counter: u32,
}

impl Default for RollbackStore {
    fn default() -> Self {
        Self {
            columns: vec![Box::new(parent_column())],
            rows: SavedRows::default(),
            frames: Vec::new(),
            plan: Plan::default(),
            base: None,
            saves: 0,
            is_exact: false,
            departed: None,
            gone: Vec::new(),
        }
    }
}

impl RollbackStore {
    pub(super) fn add(&mut self, column: Box<dyn Column>) {
        self.columns.push(column);
    }

    /// The column of a type, if it is registered.
    pub(super) fn column_mut<T: Column>(&mut self) -> Option<&mut T> {
        self.columns.iter_mut().find_map(|column| {
            let column: &mut dyn Any = &mut **column;
            column.downcast_mut()
        })
    }

    /// The types that roll back.
    pub(crate) fn types(&self) -> impl Iterator<Item = TypeId> {
        self.columns.iter().map(|column| column.value_type())
    }

    /// Makes room for the last `depth` frames.
    pub(crate) fn set_depth(&mut self, depth: usize) {
        let slots = depth + EXTRA_SLOTS;
        self.frames = vec![None; slots];
        self.base = None;
        self.rows.resize(slots);
        for column in &mut self.columns {
            column.resize(slots);
        }
    }

    /// Sets whether saves copy everything, whatever the change ticks, so that a sync test sees
    /// changes that no tick shows.
    pub(crate) fn set_exact(&mut self, is_exact: bool) {
        self.is_exact = is_exact;
        self.rows.set_exact(is_exact);
    }

    fn slot(&self, frame: u32) -> usize {
        frame as usize % self.second_slot()
    }

    fn second_slot(&self) -> usize {
        self.frames.len() - EXTRA_SLOTS
    }

    fn slot_before_despawns(&self) -> usize {
        self.frames.len() - 1
    }

    /// Saves the world as it is before `frame` is simulated.
    pub(crate) fn save(&mut self, world: &mut World, frame: u32) {
        self.save_into(world, frame, self.slot(frame));
    }

    /// Saves the world as a second version of `frame`; the first one stays.
    pub(crate) fn save_again(&mut self, world: &mut World, frame: u32) {
        self.save_into(world, frame, self.second_slot());
    }

    fn save_into(&mut self, world: &mut World, frame: u32, slot: usize) {
        self.saves += 1;
        let now = Moment { tick: world.increment_change_tick(), save: self.saves };
        let base = self.base.and_then(|base| Some((base, self.frames[base]?.as_of)));
        let base = base.filter(|_| !self.is_exact);
        let saving = Saving { slot, now, base, is_exact: self.is_exact };
        self.rows.save(world, slot, self.base);
        for column in &mut self.columns {
            column.save(world, &self.rows, saving);
        }
        let id_counter = world.resource::<RollbackIdCounter>().0;
        self.frames[slot] = Some(SavedFrame { frame, as_of: now, id_counter });
        self.base = Some(slot);
    }

    /// Brings back the world as it was before `frame` was simulated.
    ///
    /// # Panics
    ///
    /// If `frame` is not saved. It always is, as ggrs only asks for frames inside the prediction
    /// window.
    pub(crate) fn load(&mut self, world: &mut World, frame: u32) {
        let slot = self.slot(frame);
        let saved = self.frames[slot]
            .filter(|saved| saved.frame == frame)
            .expect("ggrs loads only frames inside the saved window");
        self.load_slot(world, slot, saved);
    }

    fn load_slot(&mut self, world: &mut World, slot: usize, saved: SavedFrame) {
        self.columns.iter_mut().for_each(|column| column.begin_load());
        let attempts = MAX_ATTEMPTS + self.columns.len();
        let is_settled = (0..attempts).any(|_| self.restore_structure(world, slot, saved));
        if !is_settled {
            self.plan.settle(world, &mut self.rows, slot);
        }
        let mut is_any_unmarked = false;
        for column in &mut self.columns {
            let loading = loading(world, &self.plan, slot, saved, self.saves);
            is_any_unmarked |= column.load(world, &loading);
        }
        world.resource_mut::<RollbackIdCounter>().0 = saved.id_counter;
        if is_any_unmarked {
            // Some values now have different bits than in later frames, and no newer tick shows it.
            let later = self.frames.iter_mut().flatten();
            for frame in later.filter(|frame| frame.as_of.save > saved.as_of.save) {
                frame.as_of = saved.as_of;
            }
        }
        let as_of = Moment { tick: world.increment_change_tick(), save: self.saves };
        if self.plan.remap.is_empty() && is_settled {
            self.frames[slot] = Some(SavedFrame { as_of, ..saved });
        } else {
            // Values with remapped entities differ from what was saved, so they still count as
            // changed since the save.
            for column in &mut self.columns {
                column.remap_entities(world, &self.plan.remap);
            }
            world.increment_change_tick();
        }
        self.base = is_settled.then_some(slot);
    }

    /// Restores the entities and components of a saved frame, and the values that have to be
    /// inserted. Returns false if that changed anything: then rows have moved, hooks and observers
    /// may have changed more, and the caller must try again.
    fn restore_structure(&mut self, world: &mut World, slot: usize, saved: SavedFrame) -> bool {
        self.plan.restore_entities(world, &mut self.rows, slot, saved.frame);
        let mut has_changed = false;
        if !self.plan.misplaced.is_empty() {
            for column in &mut self.columns {
                has_changed |= column.restore_components(world, slot, &self.plan);
            }
        }
        if has_changed || !self.plan.finish() {
            return false;
        }
        let Self { columns, plan, saves, .. } = self;
        !columns.iter_mut().any(|column| {
            column.load_by_inserting(world, &loading(world, plan, slot, saved, *saves))
        })
    }

    /// Drops the saved frames before `frame`, which will not be loaded again. Their buffers are the
    /// next to be filled, while they are still in the caches.
    pub(crate) fn forget_before(&mut self, frame: u32) {
        for (slot, saved) in self.frames.iter_mut().enumerate() {
            // The next frame may share the buffers of the base.
            if self.base == Some(slot) || saved.is_none_or(|saved| saved.frame >= frame) {
                continue;
            }
            *saved = None;
            self.rows.forget(slot);
            for column in &mut self.columns {
                column.forget(slot);
            }
        }
    }

    /// Resets the registered world to what it was before the first match.
    pub(crate) fn reset(&mut self, world: &mut World) {
        departure::despawn_all(world);
        let query = self.departed.get_or_insert_with(|| QueryState::new(world));
        self.gone.extend(query.iter(world).map(|(entity, _)| entity));
        self.despawn_gone(world, u32::MAX);
        for column in &mut self.columns {
            column.reset(world);
        }
        self.rows.resize(self.frames.len());
        self.frames.fill(None);
        self.base = None;
    }
}

fn loading<'a>(
    world: &World,
    plan: &'a Plan,
    slot: usize,
    saved: SavedFrame,
    save: u64,
) -> Loading<'a> {
    Loading { slot, plan, since: saved.as_of, now: Moment { tick: world.read_change_tick(), save } }
}
