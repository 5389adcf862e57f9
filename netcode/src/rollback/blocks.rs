//! The saved values of one component type: one block of values per table and frame, in buffers that
//! are reused.
//!
//! If the rows and values of a table have not changed since the last save, the new save shares the
//! block of the last one. When a block is filled again, values that own memory are copied only if
//! they have changed since the block was last in use.

use std::mem;

use bevy::ecs::{change_detection::Tick, storage::TableId};

use super::{clock::Moment, copying::copy_list};

/// The rows of one table in one frame. Two frames with the same version of a table list the same
/// entities in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableVersion {
    pub(super) table: TableId,
    pub(super) version: u64,
}

/// Which slot a save fills, and what is known about the world since the last save or load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saving {
    pub(super) slot: usize,
    pub(super) now: Moment,
    /// The slot that the world was last equal to, and when.
    pub(super) base: Option<(usize, Moment)>,
    /// Whether to copy everything, whatever the change ticks: for a sync test, which must find
    /// changes that no tick shows.
    pub(super) is_exact: bool,
}

#[derive(Debug)]
struct Block<C> {
    rows: TableVersion,
    values: Vec<C>,
    /// When the values and the world were last equal.
    as_of: Moment,
    /// Whether a value whose tick is not newer than `as_of` is certain to be the same in the world.
    is_trusted: bool,
    uses: usize,
}

/// The blocks of one component type.
#[derive(Debug)]
pub(super) struct Blocks<C> {
    pool: Vec<Block<C>>,
    /// Blocks that no frame uses, by index.
    free: Vec<usize>,
    /// For each slot, the tables that hold the component, and the block of each.
    frames: Vec<Vec<(TableId, usize)>>,
    /// The tables and blocks of the frame that is being saved.
    filling: Vec<(TableId, usize)>,
}

impl<C> Default for Blocks<C> {
    fn default() -> Self {
        Self { pool: Vec::new(), free: Vec::new(), frames: Vec::new(), filling: Vec::new() }
    }
}

impl<C: Clone> Blocks<C> {
    /// Makes room for `slots` frames, and forgets everything that is saved.
    pub(super) fn resize(&mut self, slots: usize) {
        *self = Self::default();
        self.frames.resize_with(slots, Vec::new);
    }

    /// Forgets everything that is saved.
    pub(super) fn clear(&mut self) {
        self.resize(self.frames.len());
    }

    /// Drops what is saved in one slot, which then uses no block.
    pub(super) fn forget(&mut self, slot: usize) {
        let mut old = mem::take(&mut self.frames[slot]);
        self.release(&mut old);
        self.frames[slot] = old;
    }

    /// Begins to save a frame.
    pub(super) fn begin(&mut self, saving: Saving) {
        // The blocks of the slot become free, unless the new frame may still share them.
        if saving.base.is_none_or(|(base, _)| base != saving.slot) {
            self.forget(saving.slot);
        }
    }

    /// Saves one table.
    pub(super) fn capture(
        &mut self,
        rows: TableVersion,
        values: &[C],
        changed: &[Tick],
        saving: Saving,
    ) {
        let place = self.filling.len();
        let known = saving
            .base
            .filter(|(_, as_of)| !as_of.is_before_any(changed, saving.now))
            .and_then(|(base, _)| find(&self.frames[base], place, rows.table))
            .filter(|&block| self.pool[block].rows == rows);
        let index = known.unwrap_or_else(|| self.fill(rows, values, changed, saving));
        let block = &mut self.pool[index];
        block.uses += 1;
        block.as_of = saving.now;
        self.filling.push((rows.table, index));
    }

    /// Ends the save of a frame.
    pub(super) fn end(&mut self, saving: Saving) {
        sort(&mut self.filling);
        mem::swap(&mut self.filling, &mut self.frames[saving.slot]);
        let mut old = mem::take(&mut self.filling);
        self.release(&mut old);
        self.filling = old;
    }

    /// Makes the next fill of each block that was filled after `since` copy all values, and not
    /// only those with newer ticks: values were written without a new tick.
    pub(super) fn distrust_blocks_after(&mut self, since: Moment) {
        for block in &mut self.pool {
            block.is_trusted &= block.as_of.save <= since.save;
        }
    }

    /// The values of a table in a saved frame; `None` if the table did not hold the component.
    pub(super) fn values(&self, slot: usize, table: TableId) -> Option<&[C]> {
        let index = find(&self.frames[slot], 0, table)?;
        Some(&self.pool[index].values)
    }

    /// All tables of a saved frame.
    pub(super) fn tables(&self, slot: usize) -> impl Iterator<Item = (TableId, &[C])> {
        self.frames[slot].iter().map(|&(table, index)| (table, &*self.pool[index].values))
    }

    fn release(&mut self, frame: &mut Vec<(TableId, usize)>) {
        for (_, index) in frame.drain(..) {
            let block = &mut self.pool[index];
            block.uses -= 1;
            if block.uses == 0 {
                self.free.push(index);
            }
        }
    }

    fn fill(
        &mut self,
        rows: TableVersion,
        values: &[C],
        changed: &[Tick],
        saving: Saving,
    ) -> usize {
        let now = saving.now;
        let Some(index) = self.take_free(rows) else {
            self.pool.push(Block {
                rows,
                values: values.to_vec(),
                as_of: now,
                is_trusted: true,
                uses: 0,
            });
            return self.pool.len() - 1;
        };
        let block = &mut self.pool[index];
        let is_base = block.rows == rows && block.is_trusted && block.as_of.is_comparable(now);
        if !mem::needs_drop::<C>() || !is_base || saving.is_exact {
            copy_list(values, &mut block.values);
        } else {
            let old = block.values.iter_mut().zip(values).zip(changed);
            for ((old, value), _) in old.filter(|&(_, &tick)| block.as_of.is_before(tick, now)) {
                old.clone_from(value);
            }
        }
        block.rows = rows;
        block.is_trusted = true;
        index
    }

    /// Takes a free block of this table, if possible one that has the same rows.
    fn take_free(&mut self, rows: TableVersion) -> Option<usize> {
        let free = self.free.iter();
        let place =
            free.clone().rposition(|&index| self.pool[index].rows == rows).or_else(|| {
                free.clone().rposition(|&index| self.pool[index].rows.table == rows.table)
            })?;
        Some(self.free.swap_remove(place))
    }
}

/// The block or rows that a frame has for `table`. A table usually has the same place in every
/// frame, so `place` is tried first.
pub(super) fn find(frame: &[(TableId, usize)], place: usize, table: TableId) -> Option<usize> {
    let here = frame.get(place).filter(|(other, _)| *other == table);
    let found = here.or_else(|| {
        let place = frame.binary_search_by_key(&table.as_u32(), |(other, _)| other.as_u32());
        frame.get(place.ok()?)
    });
    found.map(|&(_, index)| index)
}

/// Sorts the entries of a frame by table, for [`find`].
pub(super) fn sort(frame: &mut [(TableId, usize)]) {
    frame.sort_unstable_by_key(|(table, _)| table.as_u32());
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: usize = 4;

    /// A table whose values carry change ticks, and the blocks that save it.
    struct Rig<C> {
        blocks: Blocks<C>,
        values: Vec<C>,
        changed: Vec<Tick>,
        rows: TableVersion,
        now: Moment,
        base: Option<(usize, Moment)>,
    }

    impl<C: Clone + PartialEq + std::fmt::Debug> Rig<C> {
        fn new(values: Vec<C>) -> Self {
            let mut blocks = Blocks::default();
            blocks.resize(SLOTS);
            let rows = TableVersion { table: TableId::from_u32(3), version: 1 };
            let changed = vec![Tick::new(1); values.len()];
            let now = Moment { tick: Tick::new(10), save: 0 };
            Self { blocks, values, changed, rows, now, base: None }
        }

        fn set(&mut self, row: usize, value: C) {
            self.values[row] = value;
            self.changed[row] = Tick::new(self.now.tick.get());
        }

        fn save(&mut self, slot: usize) {
            self.now.save += 1;
            let saving = Saving { slot, now: self.now, base: self.base, is_exact: false };
            self.blocks.begin(saving);
            self.blocks.capture(self.rows, &self.values, &self.changed, saving);
            self.blocks.end(saving);
            assert_eq!(self.saved(slot), self.values);
            self.base = Some((slot, self.now));
            self.now.tick.set(self.now.tick.get() + 1);
        }

        fn saved(&self, slot: usize) -> Vec<C> {
            self.blocks.values(slot, self.rows.table).expect("the table is saved").to_vec()
        }
    }

    #[test]
    fn an_unchanged_table_is_shared_and_a_changed_one_is_not() {
        let mut rig = Rig::new(vec![1, 2, 3]);
        rig.save(0);
        rig.save(1);
        assert_eq!(rig.blocks.pool.len(), 1);
        rig.set(1, 9);
        rig.save(2);
        assert_eq!(rig.blocks.pool.len(), 2);
        assert_eq!((rig.saved(1), rig.saved(2)), (vec![1, 2, 3], vec![1, 9, 3]));
    }

    #[test]
    fn other_rows_are_never_shared() {
        let mut rig = Rig::new(vec![1, 2]);
        rig.save(0);
        // Different entities with equal ticks, as after a move between tables.
        rig.values = vec![2, 1];
        rig.rows.version = 2;
        rig.save(1);
        assert_eq!(rig.saved(0), [1, 2]);
    }

    #[test]
    fn a_slot_may_be_saved_again_at_once() {
        let mut rig = Rig::new(vec![1, 2]);
        rig.save(0);
        rig.save(0);
        rig.set(0, 7);
        rig.save(0);
        assert_eq!(rig.saved(0), [7, 2]);
    }

    #[test]
    fn buffers_are_reused_forever() {
        let mut rig = Rig::new(vec![0; 100]);
        for frame in 0..200 {
            rig.set(frame % 100, frame);
            rig.save(frame % SLOTS);
        }
        assert!(rig.blocks.pool.len() <= SLOTS + 1, "{}", rig.blocks.pool.len());
    }

    #[test]
    fn forgotten_blocks_serve_the_next_frames() {
        let mut rig = Rig::new(vec![0; 100]);
        for frame in 0..3 * SLOTS {
            rig.set(frame, frame);
            rig.save(frame % SLOTS);
            if frame > 0 {
                rig.blocks.forget((frame - 1) % SLOTS);
            }
        }
        assert_eq!(rig.blocks.pool.len(), 2, "the present frame and the one before it");
        assert_eq!(rig.saved((3 * SLOTS - 1) % SLOTS), rig.values);
    }

    #[test]
    fn values_that_own_memory_are_copied_only_where_they_changed() {
        use std::sync::atomic::{AtomicUsize, Ordering};

        static COPIES: AtomicUsize = AtomicUsize::new(0);

        #[derive(Debug, PartialEq)]
        struct Owner(Box<usize>);
        impl Clone for Owner {
            fn clone(&self) -> Self {
                COPIES.fetch_add(1, Ordering::Relaxed);
                Self(self.0.clone())
            }
        }

        let mut rig = Rig::new((0..100).map(|index| Owner(Box::new(index))).collect());
        for frame in 0..3 * SLOTS {
            rig.set(frame, Owner(Box::new(1000 + frame)));
            rig.save(frame % SLOTS);
        }
        let before = COPIES.load(Ordering::Relaxed);
        rig.set(50, Owner(Box::new(7)));
        rig.now.save += 1;
        let saving = Saving { slot: 0, now: rig.now, base: rig.base, is_exact: false };
        rig.blocks.begin(saving);
        rig.blocks.capture(rig.rows, &rig.values, &rig.changed, saving);
        rig.blocks.end(saving);
        let copies = COPIES.load(Ordering::Relaxed) - before;
        assert!((1..=SLOTS).contains(&copies), "{copies} copies for one change a frame");
        assert_eq!(rig.saved(0), rig.values);
    }
}
