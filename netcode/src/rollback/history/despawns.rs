//! The entities that have left the simulation: relationships to them are cut in each frame, and
//! they are despawned once no rollback can bring them back.

use bevy::{ecs::query::QueryState, prelude::World};

use super::RollbackStore;
use crate::{
    frame::SimFrame,
    rollback::{departure, difference::Difference},
};

/// What hooks and observers tried to change in the registered world while entities were despawned
/// for good.
pub(crate) struct ChangeByDespawns {
    pub(crate) difference: Difference,
    pub(crate) watchers: Vec<String>,
}

impl RollbackStore {
    /// Cuts relationships that were made to an entity after it had left. Call it after each
    /// simulated frame.
    pub(crate) fn end_frame(&mut self, world: &mut World) {
        let query = self.departed.get_or_insert_with(|| QueryState::new(world));
        self.gone.extend(query.iter(world).map(|(entity, _)| entity));
        for entity in self.gone.drain(..) {
            departure::cut_late_relations(world, entity);
        }
    }

    /// Despawns the entities that left before `confirmed`, because no rollback can bring them back
    /// any more. Call it in each update.
    ///
    /// Nothing registered changes, whatever hooks and observers do. With exact saves, this returns
    /// what they tried to change.
    pub(crate) fn confirm(
        &mut self,
        world: &mut World,
        confirmed: u32,
    ) -> Option<ChangeByDespawns> {
        self.rows.note_changes(world);
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
        // Entities that leave during the despawns count as leaving in this frame.
        let now = world.resource::<SimFrame>().0.max(latest + 1);
        self.despawn_watched(world, confirmed, now)
    }

    pub(super) fn despawn_gone(&mut self, world: &mut World, confirmed: u32) {
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
}
