//! How a load restores the entities of a saved frame in the present world, and from where in that
//! frame each row gets its values.
//!
//! If nothing was spawned, despawned or moved between tables, this only compares lists. Beyond
//! that, only the rows that differ cost anything.

use std::ops::Range;

use bevy::{
    ecs::{entity_disabling::Disabled, query::QueryState, storage::TableId},
    prelude::{Allow, Entity, With, World},
};

use super::{
    departure::{despawn_alone, enable_tree},
    identity::{DespawnPending, InSimulation, Rollback, RollbackId},
    names::EntityRemap,
    row_watch::population,
    rows::{SavedRows, are_same, table_of},
};

/// The table and row of an entity in a saved frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowLocation {
    pub(super) table: TableId,
    pub(super) row: usize,
}

/// An entity whose set of components may differ from the saved one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Misplaced {
    pub(super) entity: Entity,
    pub(super) saved: RowLocation,
}

/// A row of the present world that does not get its value from the same row of the same table.
#[derive(Clone, Copy, Debug)]
pub(super) struct MovedRow {
    pub(super) row: usize,
    pub(super) from: Option<RowLocation>,
    /// Whether the value belonged to another entity, so that the change ticks of this one do not
    /// apply.
    pub(super) is_another_entity: bool,
}

/// A table of the present world.
#[derive(Clone, Debug)]
pub(super) struct PresentTable {
    pub(super) table: TableId,
    moved_rows: Range<usize>,
}

#[derive(Clone, Copy, Debug)]
struct SavedEntity {
    id: RollbackId,
    /// The entity that has the id. Before [`Plan::finish`], the entity that had it at the time of
    /// the save.
    entity: Entity,
    is_another_entity: bool,
    location: RowLocation,
}

impl SavedEntity {
    fn new(id: RollbackId, entity: Entity, table: TableId, row: usize) -> Self {
        Self { id, entity, is_another_entity: false, location: RowLocation { table, row } }
    }
}

#[derive(Clone, Copy, Debug)]
struct PresentEntity {
    id: RollbackId,
    entity: Entity,
    /// Whether the entity has left the simulation, in the frame that is loaded or later.
    has_left: bool,
    /// The index of its table in the list of tables, and its row.
    table: usize,
    row: usize,
}

/// How a saved frame is restored in the world. It is kept between loads for its buffers.
#[derive(Default)]
pub(super) struct Plan {
    /// Entities that now exist under a different [`Entity`] than when they were saved.
    pub(super) remap: EntityRemap,
    /// Entities whose set of components must be restored before values are written.
    pub(super) misplaced: Vec<Misplaced>,
    tables: Vec<PresentTable>,
    by_first: Vec<(Entity, usize)>,
    moved_rows: Vec<MovedRow>,
    /// Rows of the saved frame that the world does not have in the same place.
    saved: Vec<SavedEntity>,
    /// Rows of the world that the saved frame does not have in the same place, and entities that
    /// have left.
    present: Vec<PresentEntity>,
    seen: Vec<u32>,
    query: Option<QueryState<(Entity, &'static RollbackId), InSimulation>>,
    departed: Option<Departed>,
}

/// The number of rows that are skipped together if none of them differs. It is small, because one
/// despawned row makes its whole piece differ.
const PIECE_ROWS: usize = 16;

fn piece<T>(list: &[T], start: usize) -> &[T] {
    list.get(start..list.len().min(start + PIECE_ROWS)).unwrap_or_default()
}

type Departed = QueryState<
    (Entity, &'static RollbackId, &'static DespawnPending),
    (With<Rollback>, Allow<Disabled>),
>;

impl Plan {
    /// Makes the entities of a saved frame exist again, and lists those whose set of components may
    /// have to be restored.
    pub(super) fn restore_entities(
        &mut self,
        world: &mut World,
        rows: &mut SavedRows,
        slot: usize,
        frame: u32,
    ) {
        self.remap.clear();
        self.misplaced.clear();
        self.compare(world, rows, slot);
        self.add_departed(world, frame);
        if self.saved.is_empty() && self.present.is_empty() {
            return;
        }
        if self.revive_and_remove(world) {
            self.compare(world, rows, slot);
        }
        for saved in &self.saved {
            let entity = self.remap.present(saved.entity);
            if entity != saved.entity
                || world
                    .get_entity(entity)
                    .is_ok_and(|it| it.location().table_id != saved.location.table)
            {
                self.misplaced.push(Misplaced { entity, saved: saved.location });
            }
        }
    }

    /// Finds out from where each present row gets its value. No row may move between
    /// [`restore_entities`](Self::restore_entities) and this. Returns false if an entity is missing
    /// or superfluous.
    pub(super) fn finish(&mut self) -> bool {
        for saved in &mut self.saved {
            let present = self.remap.present(saved.entity);
            saved.is_another_entity = present != saved.entity;
            saved.entity = present;
        }
        self.saved.sort_unstable_by_key(|saved| saved.entity);
        // Entities that have left are in no table that is loaded.
        self.present.retain(|present| !present.has_left);
        self.present.sort_unstable_by_key(|present| (present.table, present.row));
        let mut is_complete = self.saved.len() == self.present.len();
        for present in &self.present {
            let saved = self.saved.binary_search_by_key(&present.entity, |saved| saved.entity);
            let saved = saved.ok().map(|index| self.saved[index]);
            is_complete &= saved.is_some();
            let moved_rows = &mut self.tables[present.table].moved_rows;
            if moved_rows.start == moved_rows.end {
                *moved_rows = self.moved_rows.len()..self.moved_rows.len();
            }
            self.moved_rows.push(MovedRow {
                row: present.row,
                from: saved.map(|saved| saved.location),
                is_another_entity: saved.is_some_and(|saved| saved.is_another_entity),
            });
            moved_rows.end = self.moved_rows.len();
        }
        is_complete
    }

    /// Makes a plan from the rows as they are, in case hooks and observers never let the world
    /// settle.
    pub(super) fn settle(&mut self, world: &mut World, rows: &mut SavedRows, slot: usize) {
        self.compare(world, rows, slot);
        self.finish();
    }

    /// The table of the present world that begins with `first`.
    pub(super) fn table(&self, first: Entity) -> Option<&PresentTable> {
        let place = self.by_first.binary_search_by_key(&first, |&(entity, _)| entity).ok()?;
        Some(&self.tables[self.by_first[place].1])
    }

    /// The rows of a present table that get their values from elsewhere, in order.
    pub(super) fn moved_rows(&self, table: &PresentTable) -> &[MovedRow] {
        &self.moved_rows[table.moved_rows.clone()]
    }

    /// Lists the present tables, and the rows on each side that the other side does not have in the
    /// same place.
    fn compare(&mut self, world: &mut World, rows: &mut SavedRows, slot: usize) {
        self.tables.clear();
        self.by_first.clear();
        self.moved_rows.clear();
        self.saved.clear();
        self.present.clear();
        self.seen.clear();
        let are_in_world = rows.are_in_world(world, slot);
        let population = population(world);
        let query = self.query.get_or_insert_with(|| QueryState::new(world));
        for (entities, ids) in query.contiguous_iter(world).expect("ids are kept in tables") {
            let table = table_of(world, entities[0]);
            let index = self.tables.len();
            self.tables.push(PresentTable { table, moved_rows: 0..0 });
            self.by_first.push((entities[0], index));
            self.seen.push(table.as_u32());
            if are_in_world || rows.are_same(slot, table, (entities, ids), population) {
                continue;
            }
            let (saved, saved_ids) = rows.table(slot, table);
            let count = saved.len().max(entities.len());
            for start in (0..count).step_by(PIECE_ROWS) {
                if are_same(piece(saved, start), piece(entities, start))
                    && are_same(piece(saved_ids, start), piece(ids, start))
                {
                    continue;
                }
                for row in start..count.min(start + PIECE_ROWS) {
                    let one = saved.get(row).zip(saved_ids.get(row));
                    let other = entities.get(row).zip(ids.get(row));
                    if one == other {
                        continue;
                    }
                    if let Some((&entity, &id)) = one {
                        self.saved.push(SavedEntity::new(id, entity, table, row));
                    }
                    if let Some((&entity, &id)) = other {
                        let present =
                            PresentEntity { id, entity, has_left: false, table: index, row };
                        self.present.push(present);
                    }
                }
            }
        }
        self.by_first.sort_unstable();
        self.seen.sort_unstable();
        for (table, entities, ids) in rows.tables(slot) {
            if self.seen.binary_search(&table.as_u32()).is_err() {
                let all = entities.iter().zip(ids).enumerate();
                self.saved.extend(
                    all.map(|(row, (&entity, &id))| SavedEntity::new(id, entity, table, row)),
                );
            }
        }
        if !are_in_world && self.saved.is_empty() && self.present.is_empty() {
            rows.note_in_world(world, slot);
        }
    }

    /// Adds the entities that have left the simulation in `frame` or later. Those that left earlier
    /// stay as they are, for a rollback further back.
    fn add_departed(&mut self, world: &mut World, frame: u32) {
        let query = self.departed.get_or_insert_with(|| QueryState::new(world));
        let near = query.iter(world).filter(|(.., pending)| pending.frame >= frame);
        self.present.extend(near.map(|(entity, &id, _)| PresentEntity {
            id,
            entity,
            has_left: true,
            table: 0,
            row: 0,
        }));
    }

    /// Spawns or enables the entities that are missing, and despawns those that the frame did not
    /// have. Returns true if there were any.
    fn revive_and_remove(&mut self, world: &mut World) -> bool {
        let mut has_changed = false;
        self.saved.sort_unstable_by_key(|saved| saved.id);
        self.present.sort_unstable_by_key(|present| present.id);
        let mut present = self.present.iter().peekable();
        for saved in &self.saved {
            while let Some(stranger) = present.next_if(|other| other.id < saved.id) {
                despawn_alone(world, stranger.entity, 0);
                has_changed = true;
            }
            if let Some(same) = present.next_if(|other| other.id == saved.id) {
                if same.has_left {
                    enable_tree(world, same.entity);
                    has_changed = true;
                }
                if same.entity != saved.entity {
                    self.remap.push(saved.entity, same.entity);
                }
            } else if world.get::<RollbackId>(saved.entity) == Some(&saved.id) {
                // It has only lost `Rollback`, or a disabling component of the game hides it.
                if world.get::<Rollback>(saved.entity).is_none() {
                    world.entity_mut(saved.entity).insert(Rollback);
                    has_changed = true;
                }
            } else {
                let entity = world.spawn((Rollback, saved.id)).id();
                has_changed = true;
                self.remap.push(saved.entity, entity);
            }
        }
        for stranger in present {
            despawn_alone(world, stranger.entity, 0);
            has_changed = true;
        }
        self.remap.sort();
        has_changed
    }
}
