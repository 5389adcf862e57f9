//! Which state do the systems of [`Simulate`] touch that does not roll back?
//!
//! Bevy knows what each system can read and write. Whatever one of them can write, and nobody registered, is named at
//! start-up, with the system and with what to do. Names, and messages, are known only with Bevy's feature `debug`, which this crate's
//! default feature `names` turns on. What it cannot see: `Local`s, commands, exclusive systems, and state outside the world. The
//! sync test finds those when they make a difference.

use std::{
    any::{TypeId, type_name},
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use bevy::{
    ecs::{
        component::ComponentId, query::FilteredAccessSet, resource::IsResource, schedule::Schedule,
        system::System as _,
    },
    prelude::{Fixed, Real, Resource, Time, Virtual, World},
};

use crate::{
    lent::Lent,
    plugin::Simulate,
    rollback::{Rollback, RollbackId, RollbackStore},
};

/// A type that a system of `Simulate` uses although it does not roll back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditFinding {
    /// The full path of the type, where Bevy knows it: that takes Bevy's feature `debug`.
    pub type_name: String,
    /// What is wrong with it.
    pub problem: AuditProblem,
    /// The systems, by name.
    pub systems: Vec<String>,
}

/// What is wrong with the use of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditProblem {
    /// A component that is written, and not registered.
    Component,
    /// A resource that is written, and not registered.
    Resource,
    /// A message: which ones a reader has seen does not roll back.
    Message,
    /// A clock that runs by the machine: not the same on two peers, nor in two simulations of one frame.
    Clock,
}

impl fmt::Display for AuditFinding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (name, systems) = (&self.type_name, self.systems.join(", "));
        match self.problem {
            AuditProblem::Component if name == type_name::<RollbackId>() => write!(
                f,
                "component `{name}` is written by {systems}: an id belongs to its entity for ever, so query `&RollbackId`"
            ),
            AuditProblem::Component => write!(
                f,
                "component `{name}` is written by {systems}, but does not roll back: call `.rollback_component::<{short}>()`, or \
                 `.allow_unregistered::<{short}>()` if no later frame depends on it",
                short = short(name)
            ),
            AuditProblem::Resource => write!(
                f,
                "resource `{name}` is written by {systems}, but does not roll back: call `.rollback_resource::<{short}>()`, or \
                 `.allow_unregistered::<{short}>()` if no later frame depends on it",
                short = short(name)
            ),
            AuditProblem::Message => write!(
                f,
                "`{name}` is used by {systems}, but what a reader has read does not roll back: use a registered resource, or \
                 `Effects` for what happens outside, or `.allow_unregistered::<{short}>()`",
                short = short(name)
            ),
            AuditProblem::Clock => write!(
                f,
                "`{name}` is read by {systems}, but it is not the same on two machines: inside `Simulate`, `Time` counts frames; \
                 or `.allow_unregistered::<{short}>()`",
                short = short(name)
            ),
        }
    }
}

/// The name without the paths of its modules, nor those of its parameters.
fn short(name: &str) -> String {
    let mut short = String::new();
    for piece in
        name.split_inclusive(|letter: char| !letter.is_alphanumeric() && !"_:".contains(letter))
    {
        short.push_str(piece.rsplit("::").next().unwrap_or(piece));
    }
    short
}

/// How Bevy begins what it says instead of a name.
const NAMELESS: &str = "<Enable the debug feature";

/// Types that may be written in `Simulate` without being registered.
#[derive(Resource, Clone, Debug, Default)]
pub(crate) struct AllowedUnregistered(pub(crate) Vec<TypeId>);

/// What was found when the app's plugins were done: a resource.
///
/// It cannot see what exclusive systems, commands and observers write, nor `Local`s and state outside the world. A sync test finds those
/// when they make a difference.
#[derive(Resource, Clone, Debug, Default)]
pub struct AuditReport {
    findings: Vec<AuditFinding>,
    /// Which systems can write a type.
    writers: Vec<(TypeId, String)>,
}

impl AuditReport {
    /// What should be put right; empty for a sound game.
    #[must_use]
    pub fn findings(&self) -> &[AuditFinding] {
        &self.findings
    }

    /// The systems of `Simulate` that can write `type_id`, by name.
    #[must_use]
    pub fn writers(&self, type_id: TypeId) -> Vec<String> {
        let all = self.writers.iter().filter(|(written, _)| *written == type_id);
        all.map(|(_, system)| system.clone()).collect()
    }
}

/// Looks through `Simulate`, and says in one warning what it found.
pub(crate) fn audit(world: &mut World) {
    let looked = world.try_schedule_scope(Simulate, look_through);
    let Ok(report) = looked else { return };
    if report.findings.iter().any(|finding| finding.type_name.starts_with(NAMELESS)) {
        tracing::warn!(
            "the simulation writes {} types that do not roll back: turn on netcode's feature `names` to learn which",
            report.findings.len()
        );
    } else if !report.findings.is_empty() {
        let lines: Vec<String> =
            report.findings.iter().map(|finding| format!("\n  * {finding}")).collect();
        tracing::warn!("the simulation uses what does not roll back:{}", lines.concat());
    }
    world.insert_resource(report);
}

fn look_through(world: &mut World, schedule: &mut Schedule) -> AuditReport {
    let systems = &mut schedule.graph_mut().systems;
    let rollback = world.register_component::<Rollback>();
    let keys: Vec<_> = systems.iter().map(|(key, ..)| key).collect();
    let mut used = Vec::new();
    for key in keys {
        let Some(system) = systems.get_mut(key) else { continue };
        let mut access = system.initialize(world);
        let name = system.name().to_string();
        for condition in systems.get_conditions_mut(key).into_iter().flatten() {
            access.extend(condition.condition.initialize(world));
        }
        used.extend(accessed(&access, rollback).into_iter().map(|it| (name.clone(), it)));
    }
    // What is used on entities `Without<Rollback>` only, by all systems, is not part of the simulation.
    let inside: BTreeSet<ComponentId> =
        used.iter().filter(|(_, (_, usage))| usage.is_inside).map(|(_, (id, _))| *id).collect();
    let mut found: BTreeMap<(ComponentId, u8), AuditFinding> = BTreeMap::new();
    let mut writers = Vec::new();
    for (name, (id, usage)) in used {
        let Some(seen) = Seen::new(world, id).filter(|_| inside.contains(&id)) else { continue };
        if usage.is_written {
            writers.push((seen.type_id, name.clone()));
        }
        let Some(problem) = seen.problem(usage.is_written) else { continue };
        let finding = found.entry((id, problem as u8)).or_insert_with(|| AuditFinding {
            type_name: seen.name,
            problem,
            systems: Vec::new(),
        });
        finding.systems.push(name);
    }
    AuditReport { findings: found.into_values().collect(), writers }
}

/// What a system can access by type, and how. A system that can write everything, an exclusive one, says nothing.
fn accessed(access: &FilteredAccessSet, rollback: ComponentId) -> BTreeMap<ComponentId, Use> {
    let mut all: BTreeMap<ComponentId, Use> = BTreeMap::new();
    for part in access.filtered_accesses() {
        let Ok(used) = part.access().try_reads_and_writes() else { return BTreeMap::new() };
        let is_outside =
            part.filter_sets().len() == 1 && part.without_filters().any(|id| id == rollback);
        for id in used.iter() {
            let usage = all.entry(id).or_default();
            usage.is_written |= part.access().has_write(id);
            usage.is_inside |= !is_outside;
        }
    }
    all
}

/// How a system uses a type.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    is_written: bool,
    /// Whether it does so not only on entities `Without<Rollback>`.
    is_inside: bool,
}

/// A type that a system can access.
struct Seen {
    name: String,
    type_id: TypeId,
    is_registered: bool,
    is_resource: bool,
}

impl Seen {
    fn new(world: &World, id: ComponentId) -> Option<Self> {
        let info = world.components().get_info(id)?;
        let type_id = info.type_id()?;
        let is_allowed = world
            .get_resource::<AllowedUnregistered>()
            .is_some_and(|allowed| allowed.0.contains(&type_id));
        let is_registered =
            is_allowed || world.resource::<Lent<RollbackStore>>().types().any(|it| it == type_id);
        // Also one that is not there yet: every resource requires the component that marks them.
        let marker = world.components().valid_component_id::<IsResource>();
        let is_resource = info.required_components().iter_ids().any(|id| Some(id) == marker);
        Some(Self { name: info.name().to_string(), type_id, is_registered, is_resource })
    }

    fn problem(&self, is_written: bool) -> Option<AuditProblem> {
        let clocks = [
            TypeId::of::<Time<Real>>(),
            TypeId::of::<Time<Virtual>>(),
            TypeId::of::<Time<Fixed>>(),
        ];
        match () {
            () if self.is_registered => None,
            () if self.name.starts_with("bevy_ecs::message::messages::Messages<") => {
                Some(AuditProblem::Message)
            }
            () if clocks.contains(&self.type_id) => Some(AuditProblem::Clock),
            () if is_written && self.is_resource => Some(AuditProblem::Resource),
            () if is_written => Some(AuditProblem::Component),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_register_ids() {
        let mut finding = AuditFinding {
            type_name: type_name::<RollbackId>().into(),
            problem: AuditProblem::Component,
            systems: vec!["game::swap".into()],
        };
        assert!(finding.to_string().ends_with("so query `&RollbackId`"), "{finding}");
        finding.type_name = "game::RollbackId".into();
        assert!(finding.to_string().contains("rollback_component"), "{finding}");
    }

    #[test]
    fn short_names_are_what_one_would_write() {
        assert_eq!(short("game::ships::Ship"), "Ship");
        assert_eq!(short("bevy_ecs::message::messages::Messages<game::Hit>"), "Messages<Hit>");
        assert_eq!(short("u32"), "u32");
        assert_eq!(short("a::Map<b::K, c::V<d::E>>"), "Map<K, V<E>>");
    }
}
