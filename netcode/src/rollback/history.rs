//! The ring of saved frames: all columns together, frame by frame.

use std::any::{Any, TypeId};

use bevy::{
    ecs::{entity_disabling::Disabled, query::QueryState},
    prelude::{Allow, Entity, Resource, World},
};

use super::{
    blocks::Saving,
    clock::Moment,
    columns::{Column, EntityNames, Loading},
    difference::Difference,
    hierarchy::parent_column,
    identity::{self, DespawnPending, RollbackIdCounter},
    plan::Plan,
    rows::SavedRows,
};

/// Observers of a game may change the world while a frame is loaded, and what they change must be put right. Those that still
/// do so after this many attempts answer each load with another change; they would never come to an end.
const MAX_ATTEMPTS: usize = 4;

/// Saves and restores the registered world.
#[derive(Resource)]
pub(crate) struct RollbackStore {
    columns: Vec<Box<dyn Column>>,
    rows: SavedRows,
    /// Which frame each slot holds. The last slot is for a second version of a frame, to compare it with the first.
    frames: Vec<Option<SavedFrame>>,
    plan: Plan,
    /// The slot that was saved or loaded last: the world differs from it only where something has a newer change tick.
    base: Option<usize>,
    saves: u64,
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

    /// Makes room for the last `depth` frames.
    pub(crate) fn set_depth(&mut self, depth: usize) {
        let slots = depth + 1;
        self.frames = vec![None; slots];
        self.base = None;
        self.rows.resize(slots);
        for column in &mut self.columns {
            column.resize(slots);
        }
    }

    fn slot(&self, frame: u32) -> usize {
        frame as usize % self.second_slot()
    }

    fn second_slot(&self) -> usize {
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
        let saving = Saving { slot, now, base };
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
    /// If `frame` is not among the saved ones: ggrs only asks for frames inside the prediction window.
    pub(crate) fn load(&mut self, world: &mut World, frame: u32) {
        let slot = self.slot(frame);
        let saved = self.frames[slot]
            .filter(|saved| saved.frame == frame)
            .expect("a frame to load is inside the saved window");
        for _ in 0..MAX_ATTEMPTS {
            let before = world.change_tick();
            self.load_once(world, slot, saved);
            if world.change_tick() == before {
                break;
            }
        }
        world.resource_mut::<RollbackIdCounter>().0 = saved.id_counter;
        let as_of = Moment { tick: world.increment_change_tick(), save: self.saves };
        if self.plan.remap.is_empty() {
            self.frames[slot] = Some(SavedFrame { as_of, ..saved });
        } else {
            // Values that follow an entity are not what was saved: they keep counting as changed since.
            for column in &mut self.columns {
                column.follow(world, &self.plan.remap);
            }
            world.increment_change_tick();
        }
        self.base = Some(slot);
    }

    fn load_once(&mut self, world: &mut World, slot: usize, saved: SavedFrame) {
        if self.plan.restore_entities(world, &self.rows, slot, saved.frame) {
            for column in &mut self.columns {
                column.put_in_order(world, slot, &self.plan);
            }
            self.plan.finish(world, &self.rows, slot);
        }
        for column in &mut self.columns {
            let now = Moment { tick: world.change_tick(), save: self.saves };
            column.load(world, &Loading { slot, plan: &self.plan, since: saved.as_of, now });
        }
    }

    /// One hash per hashed type of the world as it was before `frame`, in order of registration.
    ///
    /// Returns false where the frame is no longer, or not yet, saved.
    pub(crate) fn hash(&self, frame: u32, parts: &mut Vec<u64>) -> bool {
        self.hash_slot(frame, self.slot(frame), parts)
    }

    /// The same for the second version of `frame`.
    pub(crate) fn hash_again(&self, frame: u32, parts: &mut Vec<u64>) -> bool {
        self.hash_slot(frame, self.second_slot(), parts)
    }

    fn hash_slot(&self, frame: u32, slot: usize, parts: &mut Vec<u64>) -> bool {
        parts.clear();
        if self.frames[slot].is_none_or(|saved| saved.frame != frame) {
            return false;
        }
        let names = EntityNames::new(&self.rows, slot);
        let hashed = self.columns.iter().filter(|column| column.is_hashed());
        parts.extend(hashed.map(|column| column.hash(slot, &names)));
        true
    }

    /// Where the second version of `frame` differs from the first.
    pub(crate) fn difference(&self, frame: u32) -> Option<Difference> {
        let slots = [self.slot(frame), self.second_slot()];
        let names = slots.map(|slot| EntityNames::new(&self.rows, slot));
        self.columns.iter().find_map(|column| column.difference(slots, [&names[0], &names[1]]))
    }

    /// The types that roll back.
    pub(crate) fn types(&self) -> impl Iterator<Item = TypeId> {
        self.columns.iter().map(|column| column.value_type())
    }

    /// The names of the hashed types, in the order of [`hash`](Self::hash).
    pub(crate) fn hashed_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.columns.iter().filter(|column| column.is_hashed()).map(|column| column.name())
    }

    /// Lets go of what left the simulation before `confirmed`, now that no rollback reaches it.
    pub(crate) fn confirm(&mut self, world: &mut World, confirmed: u32) {
        let query = self.departed.get_or_insert_with(|| QueryState::new(world));
        let gone = query.iter(world).filter(|(_, pending)| pending.frame < confirmed);
        self.gone.extend(gone.map(|(entity, _)| entity));
        for entity in self.gone.drain(..) {
            identity::despawn_alone(world, entity, confirmed);
        }
    }

    /// Returns the world to what it was before the first match.
    pub(crate) fn reset(&mut self, world: &mut World) {
        identity::despawn_all(world);
        self.confirm(world, u32::MAX);
        for column in &mut self.columns {
            column.reset(world);
        }
        self.rows.resize(self.frames.len());
        self.frames.fill(None);
        self.base = None;
    }
}
