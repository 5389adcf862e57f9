//! Detects whether rows may have been added, removed or moved, without reading them.

use bevy::{
    ecs::{component::ComponentId, lifecycle::RemovedComponentEntity},
    prelude::{Messages, World},
};

use super::identity::{Population, RollbackId};

/// The most messages that are read; if there are more, rows are compared instead. An ordinary
/// update removes only a few components. The limit was not tuned.
const MAX_UNREAD_MESSAGES: usize = 64;

/// Watches for the events without which rows cannot change.
///
/// If it sees none, and each table of the simulation is as long as before, then each table has the
/// same rows as before:
///
/// * No entity came in. To do so, it would have to get an id or [`Rollback`](super::Rollback),
///   which hooks count, or lose a component that kept it out, and Bevy keeps a message of each
///   removal.
/// * So no entity left either, or the tables would have fewer rows in total.
/// * No entity moved to another table. An entity that loses no component can only move to a table
///   with more components, and then the entities would have more components in total. But the
///   lengths of the tables determine that total, and they are the same as before.
/// * Rows of one table change places only when one of them leaves the table.
///
/// Messages about entities without an id do not matter: such entities are not in these tables, and
/// hooks count the loss of an id.
#[derive(Debug, Default)]
pub(super) struct RowWatch {
    population: Population,
    /// For each component, the number of messages about its removal that have been read.
    removals: Vec<(ComponentId, usize)>,
}

impl RowWatch {
    /// Starts watching from the present state of the world.
    pub(super) fn begin(&mut self, world: &World) {
        self.population = population(world);
        let removed = world.removed_components().iter();
        self.removals.clear();
        self.removals.extend(removed.map(|(&id, removed)| (id, count(removed))));
    }

    /// Returns whether nothing has happened since the watch began, or since this last returned
    /// true. Once it has returned false, the watch must begin again.
    pub(super) fn sees_nothing(&mut self, world: &World) -> bool {
        if self.population != population(world) {
            return false;
        }
        let mut unread = 0;
        for (index, (&id, removed)) in world.removed_components().iter().enumerate() {
            if index == self.removals.len() {
                self.removals.push((id, 0));
            }
            let (known, seen) = &mut self.removals[index];
            let end = count(removed);
            unread += end - *seen;
            if *known != id || unread > MAX_UNREAD_MESSAGES {
                return false;
            }
            for message in *seen..end {
                let entity = removed.get_message(message).map(|(entity, _)| entity.clone().into());
                // A message that Bevy has dropped may have been about any entity.
                if entity.is_none_or(|entity| world.get::<RollbackId>(entity).is_some()) {
                    return false;
                }
            }
            *seen = end;
        }
        true
    }
}

/// The number of messages that were ever written, including those that Bevy has dropped.
fn count(removed: &Messages<RemovedComponentEntity>) -> usize {
    removed.oldest_message_count() + removed.len()
}

/// The [`Population`] of the world.
pub(super) fn population(world: &World) -> Population {
    *world.resource()
}

#[cfg(test)]
mod tests {
    use bevy::prelude::*;

    use super::*;
    use crate::rollback::Rollback;

    #[derive(Component)]
    struct Mark;

    fn world() -> World {
        let mut world = World::new();
        world.init_resource::<Population>();
        world
    }

    /// Returns whether a watch sees nothing of a change, in a world with one entity that rolls back
    /// and one that does not.
    fn sees_nothing_of(change: &impl Fn(&mut World, Entity, Entity)) -> bool {
        let mut world = world();
        let inside = world.spawn((Rollback, Mark)).id();
        let outside = world.spawn(Mark).id();
        let mut watch = RowWatch::default();
        watch.begin(&world);
        assert!(watch.sees_nothing(&world));
        change(&mut world, inside, outside);
        watch.sees_nothing(&world)
    }

    #[test]
    fn changes_that_may_move_rows_are_seen_and_others_are_not() {
        type Change = fn(&mut World, Entity, Entity);
        let changes: [(&str, bool, Change); 8] = [
            ("a removal", false, |world, inside, _| drop(world.entity_mut(inside).take::<Mark>())),
            ("a despawn", false, |world, inside, _| world.entity_mut(inside).despawn()),
            ("an entry", false, |world, _, outside| {
                world.entity_mut(outside).insert(Rollback);
            }),
            ("a spawn", false, |world, _, _| {
                world.spawn(Rollback);
            }),
            ("a removal outside", true, |world, _, outside| {
                drop(world.entity_mut(outside).take::<Mark>());
            }),
            ("a despawn outside", true, |world, _, outside| world.entity_mut(outside).despawn()),
            // As Bevy does with a resource of its own in each update.
            ("a scope", true, |world, _, _| world.resource_scope(|_, _: Mut<Population>| ())),
            ("an update", true, |world, _, _| world.clear_trackers()),
        ];
        for (name, expected, change) in changes {
            assert_eq!(sees_nothing_of(&change), expected, "{name}");
        }
    }

    #[test]
    fn an_entity_that_gets_its_marker_back_is_seen() {
        let mut world = world();
        let entity = world.spawn(Rollback).id();
        world.entity_mut(entity).remove::<Rollback>();
        let mut watch = RowWatch::default();
        watch.begin(&world);
        world.entity_mut(entity).insert(Rollback);
        assert!(!watch.sees_nothing(&world));
    }

    #[test]
    fn messages_that_are_gone_or_too_many_count_as_changes() {
        for (count, updates, expected) in
            [(3, 1, true), (3, 2, false), (MAX_UNREAD_MESSAGES + 1, 0, false)]
        {
            let despawn_many = |world: &mut World, _: Entity, _: Entity| {
                for _ in 0..count {
                    let entity = world.spawn(Mark).id();
                    world.despawn(entity);
                }
                (0..updates).for_each(|_| world.clear_trackers());
            };
            assert_eq!(sees_nothing_of(&despawn_many), expected, "{count}, {updates}");
        }
    }
}
