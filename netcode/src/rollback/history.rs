//! The ring of saved frames: all columns together, frame by frame.

use std::any::{Any, TypeId};

use bevy::{
    ecs::{
        archetype::Archetype, component::ComponentId, entity_disabling::Disabled,
        query::QueryState, resource::IsResource,
    },
    prelude::{Allow, Entity, World},
};

use super::{
    blocks::Saving,
    clock::Moment,
    columns::{Column, Loading},
    departure,
    difference::Difference,
    hierarchy::parent_column,
    identity::{DespawnPending, Rollback, RollbackIdCounter},
    names::EntityNames,
    opaque::{Check, OpaqueValue},
    plan::Plan,
    rows::SavedRows,
};
use crate::{audit::AllowedUnregistered, frame::SimFrame};

/// Hooks and observers may change the world while a frame is loaded, and what they change must be put right. Those that still do
/// so after this many attempts beyond one for each column answer every load with another change, and never come to an end.
const MAX_ATTEMPTS: usize = 4;
/// Slots that are not part of the ring.
const EXTRA_SLOTS: usize = 2;

/// What became of hashing a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hashed {
    /// The frame is not saved any more, or not yet.
    NotSaved,
    /// All that is registered is in the hashes.
    Wholly,
    /// Some values do not serialize to their end, so a part of them is missing.
    InPart,
}

/// Saves and restores the registered world.
pub(crate) struct RollbackStore {
    columns: Vec<Box<dyn Column>>,
    rows: SavedRows,
    /// Which frame each slot holds. The last slots are for a second version of a frame, to compare
    /// it with the first, and for the world as it was before something was despawned for good.
    frames: Vec<Option<SavedFrame>>,
    plan: Plan,
    /// The slot that was saved or loaded last: the world differs from it only where something has a newer change tick.
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

/// What hooks and observers tried to change in the registered world while entities were despawned
/// for good.
pub(crate) struct ChangeByDespawns {
    pub(crate) difference: Difference,
    pub(crate) watchers: Vec<String>,
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

    /// Whether saves copy everything, whatever change ticks say, so that a sync test sees what they do not show.
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
    /// If `frame` is not among the saved ones: ggrs only asks for frames inside the prediction window.
    pub(crate) fn load(&mut self, world: &mut World, frame: u32) {
        let slot = self.slot(frame);
        let saved = self.frames[slot]
            .filter(|saved| saved.frame == frame)
            .expect("a frame to load is inside the saved window");
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
            // Something now has other bits than later frames have, without a newer tick to show it.
            let later = self.frames.iter_mut().flatten();
            for frame in later.filter(|frame| frame.as_of.save > saved.as_of.save) {
                frame.as_of = saved.as_of;
            }
        }
        let as_of = Moment { tick: world.increment_change_tick(), save: self.saves };
        if self.plan.remap.is_empty() && is_settled {
            self.frames[slot] = Some(SavedFrame { as_of, ..saved });
        } else {
            // Values that follow an entity are not what was saved: they keep counting as changed since.
            for column in &mut self.columns {
                column.follow(world, &self.plan.remap);
            }
            world.increment_change_tick();
        }
        self.base = is_settled.then_some(slot);
    }

    /// Gives the world the entities and components of a saved frame, and the values that have to be inserted. False if that
    /// changed anything: then rows have moved, hooks and observers may have done more, and it takes another look.
    fn restore_structure(&mut self, world: &mut World, slot: usize, saved: SavedFrame) -> bool {
        self.plan.restore_entities(world, &mut self.rows, slot, saved.frame);
        let mut has_changed = false;
        if !self.plan.misplaced.is_empty() {
            for column in &mut self.columns {
                has_changed |= column.put_in_order(world, slot, &self.plan);
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

    /// One hash per hashed type of the world as it was before `frame`, in order of registration.
    pub(crate) fn hash(&self, frame: u32, parts: &mut Vec<u64>) -> Hashed {
        self.hash_slot(frame, self.slot(frame), parts)
    }

    /// The same for the second version of `frame`.
    pub(crate) fn hash_again(&self, frame: u32, parts: &mut Vec<u64>) -> Hashed {
        self.hash_slot(frame, self.second_slot(), parts)
    }

    fn hash_slot(&self, frame: u32, slot: usize, parts: &mut Vec<u64>) -> Hashed {
        parts.clear();
        if self.frames[slot].is_none_or(|saved| saved.frame != frame) {
            return Hashed::NotSaved;
        }
        let names = EntityNames::new(&self.rows, slot);
        let mut is_whole = true;
        for column in self.columns.iter().filter(|column| column.is_hashed()) {
            let hash = column.hash(slot, &names);
            is_whole &= hash.is_whole;
            parts.push(hash.sum);
        }
        if is_whole { Hashed::Wholly } else { Hashed::InPart }
    }

    /// One value of each type that has some in `frame` which do not pass a check.
    pub(crate) fn opaque_values(
        &self,
        frame: u32,
        check: Check,
    ) -> impl Iterator<Item = OpaqueValue> {
        let slot = self.slot(frame);
        let names = EntityNames::new(&self.rows, slot);
        self.columns.iter().filter_map(move |column| column.opaque_value(slot, &names, check))
    }

    /// Where the second version of `frame` differs from the first.
    pub(crate) fn difference(&self, frame: u32) -> Option<Difference> {
        self.difference_between([self.slot(frame), self.second_slot()])
    }

    fn difference_between(&self, slots: [usize; 2]) -> Option<Difference> {
        let names = slots.map(|slot| EntityNames::new(&self.rows, slot));
        let column = self
            .columns
            .iter()
            .find(|column| column.hash(slots[0], &names[0]) != column.hash(slots[1], &names[1]))?;
        let difference = column.difference(slots, [&names[0], &names[1]]);
        Some(
            difference
                .unwrap_or_else(|| Difference::somewhere_in(column.name(), column.value_type())),
        )
    }

    /// The first value of `frame` that hashes differently once it was read from its own bytes.
    pub(crate) fn difference_to_bytes(&self, frame: u32) -> Option<Difference> {
        let slot = self.slot(frame);
        let names = EntityNames::new(&self.rows, slot);
        self.columns.iter().find_map(|column| column.difference_to_bytes(slot, &names))
    }

    /// The first value of `frame` that holds an entity and does not say so.
    pub(crate) fn unsaid_entity(&self, frame: u32) -> Option<Difference> {
        let slot = self.slot(frame);
        let names = EntityNames::new(&self.rows, slot);
        self.columns.iter().find_map(|column| column.unsaid_entity(slot, &names))
    }

    /// How many entities have a registered component and do not roll back, by the name of the component.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn outsiders(&self, world: &World) -> Vec<(&'static str, u32)> {
        let count = |component| {
            let outside = archetypes_of(world, component).filter(|(_, rolls_back)| !rolls_back);
            outside.map(|(archetype, _)| archetype.len()).sum()
        };
        self.rolling_components(world).map(|(name, component)| (name, count(component))).collect()
    }

    /// The registered components that are on entities, but on none that rolls back.
    pub(crate) fn strays(&self, world: &World) -> Vec<&'static str> {
        let all = self.rolling_components(world);
        all.filter(|&(_, component)| is_stray(world, component)).map(|(name, _)| name).collect()
    }

    /// The types that should be on entities that roll back only. Not Bevy's own, which many have that are only there to be seen,
    /// and not what the game allows.
    fn rolling_components(&self, world: &World) -> impl Iterator<Item = (&'static str, TypeId)> {
        let allowed = world.get_resource::<AllowedUnregistered>();
        let all = self.columns.iter().map(|column| (column.name(), column.value_type()));
        all.filter(move |(name, id)| {
            !name.starts_with("bevy_") && !allowed.is_some_and(|allowed| allowed.0.contains(id))
        })
    }

    /// Whether nothing could come out differently: the match has spawned no entity that rolls back, and no resource does.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn is_idle(&self, world: &World) -> bool {
        world.resource::<RollbackIdCounter>().0 == 0
            && !self.columns.iter().any(|column| column.is_resource() && column.is_hashed())
    }

    /// The types that roll back.
    pub(crate) fn types(&self) -> impl Iterator<Item = TypeId> {
        self.columns.iter().map(|column| column.value_type())
    }

    /// The names of the hashed types, in the order of [`hash`](Self::hash).
    pub(crate) fn hashed_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.columns.iter().filter(|column| column.is_hashed()).map(|column| column.name())
    }

    /// Ends relationships to entities that had left before the relationship was made. Call it after
    /// each simulated frame.
    pub(crate) fn end_frame(&mut self, world: &mut World) {
        let query = self.departed.get_or_insert_with(|| QueryState::new(world));
        self.gone.extend(query.iter(world).map(|(entity, _)| entity));
        for entity in self.gone.drain(..) {
            departure::cut_late_relations(world, entity);
        }
    }

    /// Despawns the entities that left before `confirmed`, now that no rollback brings them back.
    /// Call it in each update.
    ///
    /// Nothing registered changes, whatever hooks and observers do. With exact saves, returns what
    /// they tried to change.
    pub(crate) fn confirm(
        &mut self,
        world: &mut World,
        confirmed: u32,
    ) -> Option<ChangeByDespawns> {
        self.rows.watch(world);
        let query = self.departed.get_or_insert_with(|| QueryState::new(world));
        let mut latest = 0;
        for (entity, pending) in query.iter(world) {
            latest = latest.max(pending.frame);
            if pending.frame < confirmed {
                self.gone.push(entity);
            }
        }
        if self.frames.is_empty() || !self.gone.iter().any(|&it| departure::is_watched(world, it)) {
            self.despawn_gone(world, confirmed);
            return None;
        }
        // Entities that leave during the despawns do so in this frame.
        let now = world.resource::<SimFrame>().0.max(latest + 1);
        self.despawn_watched(world, confirmed, now)
    }

    fn despawn_gone(&mut self, world: &mut World, confirmed: u32) {
        for entity in self.gone.drain(..) {
            departure::despawn_alone(world, entity, confirmed);
        }
    }

    /// Despawns entities that are watched, and undoes what hooks and observers change in the
    /// registered world.
    fn despawn_watched(
        &mut self,
        world: &mut World,
        confirmed: u32,
        now: u32,
    ) -> Option<ChangeByDespawns> {
        let (before, after) = (self.slot_before_despawns(), self.second_slot());
        let watchers =
            if self.is_exact { departure::watchers(world, &self.gone) } else { Vec::new() };
        self.save_into(world, now, before);
        self.despawn_gone(world, confirmed);
        let mut change = None;
        if self.is_exact {
            self.save_into(world, now, after);
            let difference = self.difference_between([before, after]);
            change = difference.map(|difference| ChangeByDespawns { difference, watchers });
        }
        if let Some(saved) = self.frames[before] {
            self.load_slot(world, before, saved);
        }
        change
    }

    /// Forgets the saved frames before `frame`: nobody asks for them again. Their buffers are the first to be filled again,
    /// while they are in the caches.
    pub(crate) fn forget_before(&mut self, frame: u32) {
        for (slot, saved) in self.frames.iter_mut().enumerate() {
            // The next frame may share what the base holds.
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

    /// Returns the world to what it was before the first match.
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

/// Whether a component is on entities, but on none that rolls back.
fn is_stray(world: &World, component: TypeId) -> bool {
    let mut all = archetypes_of(world, component).peekable();
    all.peek().is_some() && !all.any(|(_, rolls_back)| rolls_back)
}

/// The archetypes with a component that hold any entities but resources, and whether those roll back.
fn archetypes_of(world: &World, component: TypeId) -> impl Iterator<Item = (&Archetype, bool)> {
    let components = world.components();
    let component = components.get_id(component);
    let resource = components.component_id::<IsResource>();
    let rollback = components.component_id::<Rollback>();
    let all = world.archetypes().iter().filter(|archetype| !archetype.is_empty());
    all.filter_map(move |archetype| {
        let has = |id: Option<ComponentId>| id.is_some_and(|id| archetype.contains(id));
        (has(component) && !has(resource)).then(|| (archetype, has(rollback)))
    })
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
