//! Which systems of a schedule use `Commands` in an order that nothing fixes?
//!
//! Bevy finds systems without an order that write the same. What commands do later it does not
//! know, and two systems that spawn hand out [`RollbackId`](crate::RollbackId)s in the order in
//! which they happen to run.

use bevy::ecs::{
    schedule::{NodeId, ScheduleGraph, SystemKey, SystemSetKey, graph::DagGroups},
    system::System as _,
};

/// Each system with `Commands`, with those of which it is not fixed whether they run before or
/// after it. A system that is `ambiguous_with_all` says that it does not matter. All systems of the
/// graph must be initialized.
pub(crate) fn unordered_commands(graph: &ScheduleGraph) -> Vec<(SystemKey, Vec<SystemKey>)> {
    let mut found: Vec<(SystemKey, Vec<SystemKey>)> = Vec::new();
    // A schedule with a cycle has no order at all, and Bevy says so when it builds it.
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

/// All pairs of systems without an order, found as Bevy finds them.
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
    // An exclusive system without an order is ambiguous for Bevy, too.
    !is_accepted && system.is_some_and(|system| system.has_deferred() && !system.is_exclusive())
}
