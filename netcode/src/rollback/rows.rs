//! Which rollback entities each saved frame had, table by table, in the order of their rows.
//!
//! All columns of a frame refer to these rows, so entities and ids are stored once, and frames
//! share them as long as a table keeps its rows.

use std::mem;

use bevy::{
    ecs::{query::QueryState, storage::TableId},
    prelude::{Entity, World},
};

use super::{
    blocks::{TableVersion, find, sort},
    copying::copy_list,
    identity::{InSimulation, Population, RollbackId},
    row_watch::{RowWatch, population},
};

/// From this number of rows on, [`RowWatch`] decides whether the rows have to be read; reading
/// fewer rows takes no longer than the watch does. With debug assertions, the watch is always used,
/// so that small tests cover it.
const MANY_ROWS: usize = if cfg!(debug_assertions) { 1 } else { 1_000 };

#[derive(Debug)]
struct Rows {
    rows: TableVersion,
    entities: Vec<Entity>,
    ids: Vec<RollbackId>,
    /// Whether each id is one more than the one before it, as it is while entities are in the order
    /// in which they were spawned. Then a comparison need not read the saved ids.
    are_in_sequence: bool,
    /// The [`Population`] at which these entities were seen to have these ids.
    population: Population,
    uses: usize,
}

impl Rows {
    fn new(rows: TableVersion, entities: Vec<Entity>, ids: Vec<RollbackId>) -> Self {
        let are_in_sequence = are_in_sequence(&ids);
        Self { rows, entities, ids, are_in_sequence, population: Population::default(), uses: 0 }
    }

    /// Replaces the rows by others, in the same buffers.
    fn fill(&mut self, rows: TableVersion, entities: &[Entity], ids: &[RollbackId]) {
        copy_list(entities, &mut self.entities);
        copy_list(ids, &mut self.ids);
        self.are_in_sequence = are_in_sequence(ids);
        self.rows = rows;
    }

    /// Returns whether a table of the present world has these rows. As long as no entity has been
    /// added or removed, equal ids are proof enough.
    fn match_table(&self, entities: &[Entity], ids: &[RollbackId], population: Population) -> bool {
        self.have_ids(ids) && (self.population == population || are_same(&self.entities, entities))
    }

    fn have_ids(&self, ids: &[RollbackId]) -> bool {
        if self.are_in_sequence {
            ids.len() == self.ids.len() && ids.first() == self.ids.first() && are_in_sequence(ids)
        } else {
            are_same(&self.ids, ids)
        }
    }
}

/// The tables of one saved frame.
#[derive(Debug, Default)]
struct Frame {
    /// Each table, and the index of its rows in the pool.
    tables: Vec<(TableId, usize)>,
    /// The first entity of each table, in order, and the index of the table in `tables`.
    by_first: Vec<(Entity, usize)>,
}

/// The rows of all saved frames.
#[derive(Default)]
pub(super) struct SavedRows {
    pool: RowPool,
    frames: Vec<Frame>,
    filling: Vec<(TableId, usize)>,
    /// A slot whose rows the world had when the watch began.
    in_world: Option<usize>,
    watch: RowWatch,
    is_exact: bool,
    query: Option<QueryState<(Entity, &'static RollbackId), InSimulation>>,
}

#[derive(Debug, Default)]
struct RowPool {
    all: Vec<Rows>,
    free: Vec<usize>,
    last_version: u64,
}

impl SavedRows {
    /// Makes room for `slots` frames, and forgets everything that is saved.
    pub(super) fn resize(&mut self, slots: usize) {
        self.frames.clear();
        self.frames.resize_with(slots, Frame::default);
        self.in_world = None;
        // Versions keep counting, so that no earlier one can be mistaken for a new one.
        self.pool = RowPool { last_version: self.pool.last_version, ..RowPool::default() };
    }

    /// Drops what is saved in one slot.
    pub(super) fn forget(&mut self, slot: usize) {
        let frame = &mut self.frames[slot];
        frame.by_first.clear();
        self.pool.release(&mut frame.tables);
        self.in_world = self.in_world.filter(|&known| known != slot);
    }

    /// Sets whether rows are always compared one by one: for a sync test, which must also find
    /// moves that no counter shows.
    pub(super) fn set_exact(&mut self, is_exact: bool) {
        self.is_exact = is_exact;
        self.in_world = None;
    }

    /// Reads what has happened in the world before Bevy forgets it. Call it in each update.
    pub(super) fn note_changes(&mut self, world: &World) {
        if self.in_world.is_some() && !self.watch.sees_nothing(world) {
            self.in_world = None;
        }
    }

    /// Saves the rows that the world has now. `base` is the slot that the world was last equal to.
    pub(super) fn save(&mut self, world: &mut World, slot: usize, base: Option<usize>) {
        if let Some(known) = self.still_in_world(world) {
            self.share(slot, known);
            self.in_world = Some(slot);
        } else {
            self.compare_and_save(world, slot, base);
            self.note_in_world(world, slot);
        }
    }

    /// Notes that the world has the rows of a slot.
    pub(super) fn note_in_world(&mut self, world: &World, slot: usize) {
        let tables = self.frames[slot].tables.iter();
        let count: usize = tables.map(|&(_, index)| self.pool.all[index].ids.len()).sum();
        self.in_world = None;
        if count >= MANY_ROWS && !self.is_exact {
            self.watch.begin(world);
            self.in_world = Some(slot);
        }
    }

    /// Returns whether the world is known to have the rows of a slot, without reading them.
    pub(super) fn are_in_world(&mut self, world: &World, slot: usize) -> bool {
        let Some(known) = self.still_in_world(world) else { return false };
        let are_same = self.frames[known].tables == self.frames[slot].tables;
        if are_same {
            self.in_world = Some(slot);
        }
        are_same
    }

    /// Saves rows that another slot holds.
    fn share(&mut self, slot: usize, other: usize) {
        if slot == other {
            return;
        }
        let [frame, other] =
            self.frames.get_disjoint_mut([slot, other]).expect("slots are in the ring");
        self.pool.release(&mut frame.tables);
        for &(table, index) in &other.tables {
            self.pool.all[index].uses += 1;
            frame.tables.push((table, index));
        }
        frame.by_first.clone_from(&other.by_first);
    }

    /// A slot whose rows the world has, if that is known without reading them.
    fn still_in_world(&mut self, world: &World) -> Option<usize> {
        self.note_changes(world);
        let slot = self.in_world?;
        let tables = &self.frames[slot].tables;
        let query = self.query.as_mut()?;
        let mut count = 0;
        for (entities, ids) in query.contiguous_iter(world).expect("ids are kept in tables") {
            let index = find(tables, count, table_of(world, entities[0]))?;
            if self.pool.all[index].ids.len() != ids.len() {
                return None;
            }
            count += 1;
        }
        (count == tables.len()).then_some(slot)
    }

    /// Compares the rows of each table, and saves those that differ.
    fn compare_and_save(&mut self, world: &mut World, slot: usize, base: Option<usize>) {
        let population = population(world);
        let query = self.query.get_or_insert_with(|| QueryState::new(world));
        for (entities, ids) in query.contiguous_iter(world).expect("ids are kept in tables") {
            let table = table_of(world, entities[0]);
            let place = self.filling.len();
            let known = base
                .and_then(|base| find(&self.frames[base].tables, place, table))
                .filter(|&index| self.pool.all[index].match_table(entities, ids, population));
            let index = known.unwrap_or_else(|| self.pool.fill(table, entities, ids));
            let rows = &mut self.pool.all[index];
            rows.uses += 1;
            rows.population = population;
            self.filling.push((table, index));
        }
        sort(&mut self.filling);
        let frame = &mut self.frames[slot];
        mem::swap(&mut frame.tables, &mut self.filling);
        self.pool.release(&mut self.filling);
        frame.by_first.clear();
        for (place, &(_, index)) in frame.tables.iter().enumerate() {
            frame.by_first.push((self.pool.all[index].entities[0], place));
        }
        frame.by_first.sort_unstable();
    }

    /// The version of the table that begins with `first`, in a frame that is being saved.
    pub(super) fn version(&self, slot: usize, first: Entity) -> Option<TableVersion> {
        let frame = &self.frames[slot];
        let place = frame.by_first.binary_search_by_key(&first, |&(entity, _)| entity).ok()?;
        let (_, index) = frame.tables[frame.by_first[place].1];
        Some(self.pool.all[index].rows)
    }

    /// The tables of a saved frame, with the entities and ids of each.
    pub(super) fn tables(
        &self,
        slot: usize,
    ) -> impl Iterator<Item = (TableId, &[Entity], &[RollbackId])> {
        self.frames[slot].tables.iter().map(|&(table, index)| {
            let rows = &self.pool.all[index];
            (table, &*rows.entities, &*rows.ids)
        })
    }

    /// Returns whether a table of the present world has the rows that it had in a saved frame.
    pub(super) fn are_same(
        &self,
        slot: usize,
        table: TableId,
        (entities, ids): (&[Entity], &[RollbackId]),
        population: Population,
    ) -> bool {
        find(&self.frames[slot].tables, 0, table)
            .is_some_and(|index| self.pool.all[index].match_table(entities, ids, population))
    }

    /// The entities and ids of one table of a saved frame; empty if the table had none.
    pub(super) fn table(&self, slot: usize, table: TableId) -> (&[Entity], &[RollbackId]) {
        find(&self.frames[slot].tables, 0, table).map_or((&[], &[]), |index| {
            let rows = &self.pool.all[index];
            (&rows.entities, &rows.ids)
        })
    }
}

impl RowPool {
    fn fill(&mut self, table: TableId, entities: &[Entity], ids: &[RollbackId]) -> usize {
        self.last_version += 1;
        let rows = TableVersion { table, version: self.last_version };
        let free = self.free.iter().rposition(|&index| self.all[index].rows.table == table);
        if let Some(place) = free {
            let index = self.free.swap_remove(place);
            self.all[index].fill(rows, entities, ids);
            return index;
        }
        self.all.push(Rows::new(rows, entities.to_vec(), ids.to_vec()));
        self.all.len() - 1
    }

    fn release(&mut self, frame: &mut Vec<(TableId, usize)>) {
        for (_, index) in frame.drain(..) {
            let rows = &mut self.all[index];
            rows.uses -= 1;
            if rows.uses == 0 {
                self.free.push(index);
            }
        }
    }
}

/// The table that holds a living entity.
pub(super) fn table_of(world: &World, entity: Entity) -> TableId {
    world.entity(entity).location().table_id
}

/// Returns whether each id is one more than the one before it.
fn are_in_sequence(ids: &[RollbackId]) -> bool {
    let Some(mut next) = ids.first().map(|id| id.get()) else { return true };
    // The pieces have a size that the compiler knows and no branch inside, so that it can vectorise
    // the loop.
    let (pieces, rest) = ids.as_chunks::<64>();
    pieces.iter().all(|piece| {
        let all = piece.iter().zip(0..);
        let difference =
            all.fold(0, |any, (id, place)| any | (id.get() ^ next.wrapping_add(place)));
        next = next.wrapping_add(64);
        difference == 0
    }) && rest.iter().zip(0..).all(|(id, place)| id.get() == next.wrapping_add(place))
}

/// Returns whether two lists are equal. They are compared in pieces without a branch inside, so
/// that the compiler can vectorise the loop.
pub(super) fn are_same<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    let differ = |(one, other): (&[T], &[T])| {
        one.iter().zip(other).fold(false, |any, (one, other)| any | (one != other))
    };
    one.len() == other.len() && !one.chunks(64).zip(other.chunks(64)).any(differ)
}

#[cfg(test)]
mod tests {
    use bevy::prelude::Name;

    use super::{
        super::identity::{DespawnPending, Rollback},
        *,
    };

    #[test]
    fn ids_are_in_sequence_if_none_is_missing_or_out_of_place() {
        let ids: Vec<RollbackId> = (7..207).map(RollbackId::from_number).collect();
        assert!(are_in_sequence(&ids) && are_in_sequence(&[]));
        for (index, id) in [(1, 7), (63, 500), (64, 0), (65, 71), (199, 200)] {
            let mut other = ids.clone();
            other[index] = RollbackId::from_number(id);
            assert!(!are_in_sequence(&other), "{index}");
        }
        // An entity that has no id yet has the highest number.
        let last = [u32::MAX, u32::MAX].map(RollbackId::from_number);
        assert!(!are_in_sequence(&last));
    }

    #[test]
    fn rows_with_ids_in_sequence_are_told_from_all_others() {
        let entities: Vec<Entity> = (0..100).filter_map(Entity::from_raw_u32).collect();
        let ids: Vec<RollbackId> = (7..107).map(RollbackId::from_number).collect();
        let (version, now) =
            (TableVersion { table: TableId::from_u32(1), version: 1 }, Population::default());
        let rows = Rows::new(version, entities.clone(), ids.clone());
        assert!(rows.are_in_sequence && rows.match_table(&entities, &ids, now));
        let mut swapped = ids.clone();
        swapped.swap(3, 70);
        let later: Vec<RollbackId> = (8..108).map(RollbackId::from_number).collect();
        for other in [&swapped, &later, &ids[..99].to_vec()] {
            assert!(!rows.match_table(&entities, other, now), "{other:?}");
        }
        let mut others = Rows::new(version, entities.clone(), swapped.clone());
        assert!(!others.are_in_sequence);
        assert!(
            others.match_table(&entities, &swapped, now)
                && !others.match_table(&entities, &ids, now)
        );
        others.fill(version, &entities, &ids);
        assert!(
            others.match_table(&entities, &ids, now)
                && !others.match_table(&entities, &swapped, now)
        );
    }

    #[test]
    fn a_table_that_all_entities_have_left_is_not_saved_again() {
        let mut world = World::new();
        world.init_resource::<Population>();
        world.spawn(Rollback);
        let other = world.spawn((Rollback, Name::new("in another table"))).id();
        let mut rows = SavedRows::default();
        rows.resize(3);
        rows.save(&mut world, 0, None);
        // No entity loses a component, and the first table keeps its length.
        world.entity_mut(other).insert(DespawnPending::default());
        rows.save(&mut world, 1, Some(0));
        assert_eq!((rows.tables(0).count(), rows.tables(1).count()), (2, 1));
    }

    #[test]
    fn lists_are_the_same_if_all_their_entities_are() {
        let entities: Vec<Entity> = (0..200).filter_map(Entity::from_raw_u32).collect();
        assert!(are_same(&entities, &entities.clone()) && are_same::<Entity>(&[], &[]));
        assert!(!are_same(&entities, &entities[..199]));
        for index in [0, 63, 64, 199] {
            let mut other = entities.clone();
            other[index] = Entity::PLACEHOLDER;
            assert!(!are_same(&entities, &other), "{index}");
        }
    }
}
