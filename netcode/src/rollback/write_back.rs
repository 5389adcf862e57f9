//! How values are restored in the world: written in place if the component is mutable, inserted if
//! it is not.

use bevy::{
    ecs::{
        change_detection::{ContiguousMut, Tick},
        component::{Immutable, Mutable},
        entity::EntityHashMap,
        query::QueryState,
    },
    prelude::{Component, Entity, EntityWorldMut, Ref, World},
};

use super::{
    blocks::Blocks,
    clock::Moment,
    columns::Loading,
    copying::copy_rows,
    identity::InSimulation,
    names::{EntityRemap, RemapEntities},
    plan::PresentTable,
};
use crate::checksum::ValueHasher;

/// Bevy's two kinds of component, mutable and immutable. Both can be registered.
pub trait Restorable<C>: sealed::Sealed {
    #[doc(hidden)]
    fn writer() -> Writer<C>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for bevy::ecs::component::Mutable {}
    impl Sealed for bevy::ecs::component::Immutable {}
}

/// Writes components of one type.
#[doc(hidden)]
pub struct Writer<C>(pub(super) Box<dyn Write<C>>);

impl<C: Component<Mutability = Self> + Clone> Restorable<C> for Mutable {
    fn writer() -> Writer<C> {
        Writer(Box::new(InPlace { query: None }))
    }
}

impl<C: Component<Mutability = Self> + Clone> Restorable<C> for Immutable {
    fn writer() -> Writer<C> {
        Writer(Box::new(ByInserting {
            query: None,
            due: Vec::new(),
            inserted: Inserted::default(),
        }))
    }
}

/// How values of one type are compared during a load. Without `PartialEq`, no two values count as
/// equal.
pub(super) struct Comparison<C> {
    restore: RestoreRows<C>,
    are_equal: fn(&C, &C) -> bool,
    /// Feeds a value to the checksum; `None` for a type that is not hashed.
    hash: Option<fn(&C, &mut ValueHasher) -> bool>,
}

/// Restores rows from saved rows in the same places: (saved, present, change ticks, since, now).
/// Returns true if any row was written without being marked as changed.
type RestoreRows<C> = fn(&[C], &mut [C], &mut [Tick], Moment, Moment) -> bool;

impl<C: Clone> Default for Comparison<C> {
    fn default() -> Self {
        Self { restore: restore_rows, are_equal: |_, _| false, hash: None }
    }
}

impl<C: Clone + PartialEq> Comparison<C> {
    pub(super) fn by_value(hash: Option<fn(&C, &mut ValueHasher) -> bool>) -> Self {
        Self { restore: restore_and_compare_rows, are_equal: |one, other| one == other, hash }
    }
}

impl<C> Comparison<C> {
    /// Returns whether one value can stand for another. Even equal values cannot if their checksums
    /// differ, as those of 0.0 and -0.0 do, with which the simulation computes different results.
    fn are_same(&self, one: &C, other: &C) -> bool {
        (self.are_equal)(one, other)
            && self.hash.is_none_or(|hash| {
                let [one, other] = [one, other].map(|value| {
                    let mut hasher = ValueHasher::new(0);
                    hash(value, &mut hasher);
                    hasher.finish()
                });
                one == other
            })
    }
}

/// Restores rows, and marks as changed those that have changed since the save.
fn restore_rows<C: Clone>(
    saved: &[C],
    present: &mut [C],
    changed: &mut [Tick],
    since: Moment,
    now: Moment,
) -> bool {
    if std::mem::needs_drop::<C>() || saved.len() < MIN_ROWS_IN_PIECES {
        for ((saved, present), changed) in saved.iter().zip(present).zip(changed) {
            if since.is_before(*changed, now) {
                present.clone_from(saved);
                *changed = now.tick;
            }
        }
        return false;
    }
    let pieces = present
        .chunks_mut(PIECE_ROWS)
        .zip(saved.chunks(PIECE_ROWS))
        .zip(changed.chunks_mut(PIECE_ROWS));
    for ((present, saved), changed) in pieces {
        // Usually, one system has written all rows, or none was written.
        let is_one_tick = is_repeated(changed);
        let ticks = if is_one_tick { &changed[..1] } else { &*changed };
        if !since.is_before_any(ticks, now) {
            continue;
        }
        copy_rows(saved, present);
        if is_one_tick {
            changed.fill(now.tick);
        } else {
            for changed in changed {
                *changed = if since.is_before(*changed, now) { now.tick } else { *changed };
            }
        }
    }
    false
}

/// The number of rows that are handled together, so that their ticks stay in the nearest cache
/// until they are written.
const PIECE_ROWS: usize = 256;

/// Fewer rows than this are restored one by one. Usually it is a single row that has moved, for
/// which the code for pieces would take 230 instructions. The best limit was not measured.
const MIN_ROWS_IN_PIECES: usize = 16;

/// Returns whether all ticks are the same; true if there are none. The loop has no branch inside,
/// so that the compiler can vectorise it.
fn is_repeated(ticks: &[Tick]) -> bool {
    let first = ticks.first().map_or(0, |tick| tick.get());
    ticks.iter().fold(0, |difference, tick| difference | (tick.get() ^ first)) == 0
}

/// Restores rows, and marks as changed those that differ.
fn restore_and_compare_rows<C: Clone + PartialEq>(
    saved: &[C],
    present: &mut [C],
    changed: &mut [Tick],
    since: Moment,
    now: Moment,
) -> bool {
    let mut is_any_unmarked = false;
    for ((saved, present), changed) in saved.iter().zip(present).zip(changed) {
        if since.is_before(*changed, now) {
            if present == saved {
                is_any_unmarked = true;
            } else {
                *changed = now.tick;
            }
            // Equal values are written, too: 0.0 equals -0.0, but gives different results.
            present.clone_from(saved);
        }
    }
    is_any_unmarked
}

pub(super) trait Write<C>: Send + Sync {
    /// Writes the values of a saved frame in place, to all rows that may have changed since.
    /// Returns true if any row was written without being marked as changed.
    fn load(
        &mut self,
        _world: &mut World,
        _blocks: &Blocks<C>,
        _by: &Comparison<C>,
        _how: &Loading,
    ) -> bool {
        false
    }
    /// Whether existing values are written in place rather than inserted.
    fn is_in_place(&self) -> bool {
        false
    }
    /// Prepares for a load.
    fn begin_load(&mut self) {}
    /// Inserts the values of a saved frame wherever they may have changed since. Returns true if
    /// there were any.
    fn load_by_inserting(
        &mut self,
        _world: &mut World,
        _blocks: &Blocks<C>,
        _by: &Comparison<C>,
        _how: &Loading,
    ) -> bool {
        false
    }
    /// Replaces entities inside the present values by those that have taken their place.
    fn remap_entities(&mut self, world: &mut World, remap: &EntityRemap);
    /// Gives one entity the value, whether or not it has one already.
    fn put(&self, entity: &mut EntityWorldMut, value: C);
}

struct InPlace<C: Component<Mutability = Mutable>> {
    query: Option<QueryState<(Entity, &'static mut C), InSimulation>>,
}

impl<C: Component<Mutability = Mutable> + Clone> Write<C> for InPlace<C> {
    fn load(
        &mut self,
        world: &mut World,
        blocks: &Blocks<C>,
        by: &Comparison<C>,
        how: &Loading,
    ) -> bool {
        let mut is_any_unmarked = false;
        let query = self.query.get_or_insert_with(|| QueryState::new(world));
        let tables = query.contiguous_iter_mut(world).expect("only table components come here");
        for (entities, column) in tables {
            let Some(table) = how.plan.table(entities[0]) else { continue };
            let (present, mut ticks) = ContiguousMut::bypass_change_detection_split(column);
            is_any_unmarked |= load_table(blocks, by, how, table, present, ticks.changed_mut());
        }
        is_any_unmarked
    }

    fn is_in_place(&self) -> bool {
        true
    }

    fn remap_entities(&mut self, world: &mut World, remap: &EntityRemap) {
        let now = world.change_tick();
        let query = self.query.get_or_insert_with(|| QueryState::new(world));
        let tables = query.contiguous_iter_mut(world).expect("only table components come here");
        for (_, column) in tables {
            let (values, mut ticks) = ContiguousMut::bypass_change_detection_split(column);
            for (value, changed) in values.iter_mut().zip(ticks.changed_mut()) {
                let mut mapper = RemapEntities { remap, has_changed: false };
                C::map_entities(value, &mut mapper);
                if mapper.has_changed {
                    *changed = now;
                }
            }
        }
    }

    fn put(&self, entity: &mut EntityWorldMut, value: C) {
        if let Some(mut present) = entity.get_mut::<C>() {
            *present = value;
        } else {
            entity.insert(value);
        }
    }
}

/// Writes one table: runs of rows that have not moved, and then the rows that have.
fn load_table<C: Clone>(
    blocks: &Blocks<C>,
    by: &Comparison<C>,
    how: &Loading,
    table: &PresentTable,
    present: &mut [C],
    changed: &mut [Tick],
) -> bool {
    let mut is_any_unmarked = false;
    let saved = blocks.values(how.slot, table.table).unwrap_or_default();
    let moved = how.plan.moved_rows(table).iter().map(|moved| moved.row);
    let mut start = 0;
    for end in moved.chain([present.len()]) {
        if start < end && end <= saved.len() {
            let (present, changed) = (&mut present[start..end], &mut changed[start..end]);
            let saved = &saved[start..end];
            is_any_unmarked |= (by.restore)(saved, present, changed, how.since, how.now);
        }
        start = end + 1;
    }
    for moved in how.plan.moved_rows(table) {
        let Some(from) = moved.from else { continue };
        if let Some(values) = blocks.values(how.slot, from.table) {
            let (row, from) = (moved.row..=moved.row, from.row..=from.row);
            let (present, changed) = (&mut present[row.clone()], &mut changed[row]);
            let since = how.since_for(moved);
            is_any_unmarked |= (by.restore)(&values[from], present, changed, since, how.now);
        }
    }
    is_any_unmarked
}

/// The values that a load has inserted, and when. They are not inserted again, although their ticks
/// are newer than the save.
#[derive(Debug, Default)]
pub(super) struct Inserted(EntityHashMap<Tick>);

impl Inserted {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// `at` is the world's tick just before the insertion, because hooks and observers of the
    /// insertion may advance the tick.
    pub(super) fn push(&mut self, entity: Entity, at: Tick) {
        self.0.insert(entity, at);
    }

    /// Returns whether the value with the change tick `changed` is the one that was inserted.
    pub(super) fn has(&self, entity: Entity, changed: Tick) -> bool {
        self.0.get(&entity) == Some(&changed)
    }
}

struct ByInserting<C: Component> {
    query: Option<QueryState<(Entity, Ref<'static, C>), InSimulation>>,
    due: Vec<(Entity, C)>,
    inserted: Inserted,
}

impl<C: Component<Mutability = Immutable> + Clone> Write<C> for ByInserting<C> {
    fn begin_load(&mut self) {
        self.inserted.clear();
    }

    fn load_by_inserting(
        &mut self,
        world: &mut World,
        blocks: &Blocks<C>,
        by: &Comparison<C>,
        how: &Loading,
    ) -> bool {
        let query = self.query.get_or_insert_with(|| QueryState::new(world));
        let tables = query.contiguous_iter(world).expect("only table components come here");
        for (entities, column) in tables {
            let Some(table) = how.plan.table(entities[0]) else { continue };
            let saved = blocks.values(how.slot, table.table).unwrap_or_default();
            let mut moved_rows = how.plan.moved_rows(table).iter().peekable();
            for (row, (present, &changed)) in
                column.iter().zip(column.changed_ticks_slice()).enumerate()
            {
                let moved = moved_rows.next_if(|moved| moved.row == row);
                let since = moved.map_or(how.since, |moved| how.since_for(moved));
                if !since.is_before(changed, how.now) || self.inserted.has(entities[row], changed) {
                    continue;
                }
                let value = match moved {
                    Some(moved) => moved
                        .from
                        .and_then(|from| blocks.values(how.slot, from.table)?.get(from.row)),
                    None => saved.get(row),
                };
                if let Some(value) = value.filter(|value| !by.are_same(value, present)) {
                    self.due.push((entities[row], value.clone()));
                }
            }
        }
        self.insert_due(world, &how.plan.remap)
    }

    fn remap_entities(&mut self, world: &mut World, remap: &EntityRemap) {
        let query = self.query.get_or_insert_with(|| QueryState::new(world));
        for (entity, value) in query.iter(world) {
            let mut value = C::clone(&value);
            let mut mapper = RemapEntities { remap, has_changed: false };
            C::map_entities(&mut value, &mut mapper);
            if mapper.has_changed {
                self.due.push((entity, value));
            }
        }
        self.insert_due(world, remap);
    }

    fn put(&self, entity: &mut EntityWorldMut, value: C) {
        entity.insert(value);
    }
}

impl<C: Component<Mutability = Immutable>> ByInserting<C> {
    /// Inserts the values that are due. Returns true if there were any.
    fn insert_due(&mut self, world: &mut World, remap: &EntityRemap) -> bool {
        let is_any = !self.due.is_empty();
        for (entity, mut value) in self.due.drain(..) {
            C::map_entities(&mut value, &mut RemapEntities { remap, has_changed: false });
            self.inserted.push(entity, world.change_tick());
            if let Ok(mut entity) = world.get_entity_mut(entity) {
                entity.insert(value);
            }
        }
        is_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_since_is_restored_and_marked() {
        const ROWS: usize = 3 * PIECE_ROWS + 10;
        let since = Moment { tick: Tick::new(100), save: 1 };
        let now = Moment { tick: Tick::new(200), save: 2 };
        let saved: Vec<usize> = (0..ROWS).collect();
        // A piece that changed as a whole, one that did not change, one in which single rows
        // changed, and a rest whose last row changed.
        let tick_of = |row: usize| match row / PIECE_ROWS {
            0 => 150,
            1 => 90,
            2 if row.is_multiple_of(7) => 101,
            3 if row == ROWS - 1 => 200,
            _ => 100,
        };
        // All rows, and a few.
        for range in [0..ROWS, 2 * PIECE_ROWS..2 * PIECE_ROWS + MIN_ROWS_IN_PIECES - 1] {
            let mut present: Vec<usize> = saved.iter().map(|value| value + 1000).collect();
            let mut changed: Vec<Tick> = (0..ROWS).map(|row| Tick::new(tick_of(row))).collect();
            let (present, changed) = (&mut present[range.clone()], &mut changed[range.clone()]);
            assert!(!restore_rows(&saved[range.clone()], present, changed, since, now));
            for (place, row) in range.enumerate() {
                let has_changed = tick_of(row) > 100;
                let (value, tick) =
                    if has_changed { (row, 200) } else { (row + 1000, tick_of(row)) };
                // Among many rows, a piece in which anything changed is restored as a whole; in a
                // real world, rows that have not changed are equal.
                let is_whole = changed.len() >= MIN_ROWS_IN_PIECES && row / PIECE_ROWS != 1;
                assert!(
                    present[place] == value || (is_whole && present[place] == row),
                    "row {row}"
                );
                assert_eq!(changed[place], Tick::new(tick), "row {row}");
            }
        }
    }

    #[test]
    fn a_single_tick_that_differs_is_seen_anywhere() {
        for place in [0, 1, 100, PIECE_ROWS - 1] {
            let mut ticks = vec![Tick::new(7); PIECE_ROWS];
            assert!(is_repeated(&ticks));
            ticks[place] = Tick::new(u32::MAX);
            assert!(!is_repeated(&ticks), "{place}");
        }
    }
}
