//! Finds systems of a schedule that use `Commands` in no fixed order.
//!
//! Bevy itself finds unordered systems that write the same data. But it does not know what commands
//! will do, and two systems that spawn entities assign [`RollbackId`](crate::RollbackId)s in the
//! order in which they happen to run.

use bevy::ecs::{
    schedule::{NodeId, ScheduleGraph, SystemKey, SystemSetKey, graph::DagGroups},
    system::System as _,
};

/// Lists each system with `Commands`, and the systems with `Commands` that have no fixed order with
/// it. A system that is `ambiguous_with_all` declares that the order does not matter. All systems
/// of the graph must be initialized.
pub(crate) fn unordered_commands(graph: &ScheduleGraph) -> Vec<(SystemKey, Vec<SystemKey>)> {
    let mut found: Vec<(SystemKey, Vec<SystemKey>)> = Vec::new();
    // A schedule with a cycle has no order at all; Bevy reports that when it builds the schedule.
    for (one, other) in disconnected(graph).unwrap_or_default() {
        if !uses_commands(graph, one) || !uses_commands(graph, other) {
            continue;
        }
        match found.iter_mut().find(|(system, _)| *system == one) {
            Some((_, others)) => others.push(other),
            None => found.push((one, vec![other])),
        }
    }
    found
}

/// All pairs of systems that have no order between them, found as Bevy finds them.
fn disconnected(graph: &ScheduleGraph) -> Option<Vec<(SystemKey, SystemKey)>> {
    let mut hierarchy = graph.hierarchy().clone();
    let sets: DagGroups<SystemSetKey, SystemKey> =
        hierarchy.group_by_key(graph.system_sets.len()).ok()?;
    let mut systems = sets.flatten(graph.dependency().clone(), |_, _, _, _| {});
    Some(systems.analyze().ok()?.disconnected().to_vec())
}

fn uses_commands(graph: &ScheduleGraph, system: SystemKey) -> bool {
    let is_accepted = graph.ambiguous_with_all.contains(&NodeId::System(system));
    let system = graph.systems.get(system);
    // Bevy itself reports exclusive systems without an order as ambiguous.
    !is_accepted && system.is_some_and(|system| system.has_deferred() && !system.is_exclusive())
}
