//! Finds the state that the systems of [`Simulate`] and [`PlayBots`] use although it does not roll
//! back.
//!
//! Bevy knows what each system can read and write. At start-up, the audit names the state that a
//! system can write although it is not registered, the system, and the remedy. Names are known, and
//! Bevy's messages recognised, only with Bevy's feature `debug`, which the default feature `names`
//! turns on. `Local`s, commands, exclusive systems and state outside the world stay unseen here;
//! the sync test finds those when they make a difference.

use std::{
    any::{TypeId, type_name},
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use bevy::{
    ecs::{
        component::ComponentId,
        entity_disabling::Disabled,
        query::FilteredAccessSet,
        resource::IsResource,
        schedule::{Schedule, ScheduleGraph, SystemKey},
        system::System as _,
    },
    prelude::{Commands, Fixed, Real, Resource, Time, Virtual, World},
};

use crate::{
    config::NetcodeConfig,
    frame::{MatchSeed, SimFrame},
    input::PlayerInputs,
    membership::Roster,
    rollback::{AllowedUnregistered, Rollback, RollbackId, RollbackStore},
    schedules::{PlayBots, Simulate},
    scoped::Scoped,
    spawn_order::unordered_commands,
};

/// A type that a system of `Simulate` uses although it does not roll back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditFinding {
    /// The full path of the type, which Bevy knows only with its feature `debug`.
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
    /// A component that is written, but not registered.
    Component,
    /// A resource that is written, but not registered.
    Resource,
    /// A message: a reader's record of which messages it has read does not roll back.
    Message,
    /// A clock of the machine, which differs between peers, and between two simulations of the same
    /// frame.
    Clock,
    /// Systems with `Commands` that run in no fixed order: the first one and each of the others.
    Unordered,
}

/// A type that systems of `Simulate` read although it does not roll back. That is sound if it never
/// changes during a match.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnregisteredRead {
    /// The full path of the type.
    pub type_name: String,
    /// The systems, by name.
    pub systems: Vec<String>,
}

impl fmt::Display for UnregisteredRead {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "`{}`, read by {}", self.type_name, self.systems.join(", "))
    }
}

impl fmt::Display for AuditFinding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (name, systems) = (&self.type_name, self.systems.join(", "));
        match self.problem {
            AuditProblem::Component if name == type_name::<RollbackId>() => write!(
                f,
                "component `{name}` is written by {systems}: an id belongs to its entity forever, \
                 so query `&RollbackId`"
            ),
            AuditProblem::Component => write!(
                f,
                "component `{name}` is written by {systems}, but does not roll back: {advice}, or \
                 `.allow_unregistered::<{short}>()` if no later frame depends on it",
                advice = Register { name, method: "rollback_component" },
                short = short(name)
            ),
            AuditProblem::Resource => write!(
                f,
                "resource `{name}` is written by {systems}, but does not roll back: {advice}, or \
                 `.allow_unregistered::<{short}>()` if no later frame depends on it",
                advice = Register { name, method: "rollback_resource" },
                short = short(name)
            ),
            AuditProblem::Message => write!(
                f,
                "`{name}` is used by {systems}, but what a reader has read does not roll back: use \
                 a registered resource, or `Effects` for sounds and the like, or \
                 `.allow_unregistered::<{short}>()`",
                short = short(name)
            ),
            AuditProblem::Clock => write!(
                f,
                "`{name}` is read by {systems}, but it is not the same on two machines: inside \
                 `Simulate`, `Time` counts frames; or `.allow_unregistered::<{short}>()`",
                short = short(name)
            ),
            AuditProblem::Unordered => {
                let (first, others) = self.systems.split_first().unwrap_or((&systems, &[]));
                write!(
                    f,
                    "{first} and {others} use `Commands` in no fixed order, and entities get their \
                     `RollbackId` in the order in which they are spawned: order the systems with \
                     `.chain()`, `.before` or `.after`, or call `.ambiguous_with_all()` on a \
                     system whose commands may run at any time",
                    others = others.join(", ")
                )
            }
        }
    }
}

/// How to register a type, in code that compiles.
struct Register<'a> {
    name: &'a str,
    method: &'static str,
}

impl fmt::Display for Register<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { name, method } = self;
        let short = short(name);
        if name.starts_with("bevy_state::") {
            f.write_str(
                "a state changes outside of `Simulate`, so keep the phase of the match in a \
                 registered component or resource of yours, and set the state from it in `Update`",
            )
        } else if name.starts_with("bevy_") {
            write!(
                f,
                "if Bevy's feature `serialize` gives it `Serialize`, call \
                 `.{method}::<{short}>()`; otherwise keep what the simulation needs from it in a \
                 registered type of yours"
            )
        } else {
            write!(f, "call `.{method}::<{short}>()`")
        }
    }
}

/// The name of a type as written in code, without module paths, even in its parameters.
fn short(name: &str) -> String {
    let mut short = String::new();
    for piece in
        name.split_inclusive(|letter: char| !letter.is_alphanumeric() && !"_:".contains(letter))
    {
        short.push_str(piece.rsplit("::").next().unwrap_or(piece));
    }
    short
}

/// The beginning of the text that Bevy gives instead of a name.
const NAMELESS: &str = "<Enable the debug feature";

/// Resource: the result of the audit, which runs when the app's plugins are cleaned up.
///
/// The audit cannot see what exclusive systems, commands and observers write, nor `Local`s, nor
/// state outside the world. A sync test finds those when they make a difference.
#[derive(Resource, Clone, Debug, Default)]
pub struct AuditReport {
    findings: Vec<AuditFinding>,
    /// The types that systems can write, each with the name of one such system.
    writers: Vec<(TypeId, String)>,
    commanders: Vec<String>,
    reads: Vec<UnregisteredRead>,
}

impl AuditReport {
    /// Returns what should be fixed; empty for a sound game.
    #[must_use]
    pub fn findings(&self) -> &[AuditFinding] {
        &self.findings
    }

    /// Returns the names of the systems of `Simulate` that can write `type_id`.
    #[must_use]
    pub fn writers(&self, type_id: TypeId) -> Vec<String> {
        let all = self.writers.iter().filter(|(written, _)| *written == type_id);
        all.map(|(_, system)| system.clone()).collect()
    }

    /// Returns the names of the systems of `Simulate` that can spawn, despawn, insert and remove:
    /// those with `Commands`, and exclusive ones.
    #[must_use]
    pub fn commanders(&self) -> &[String] {
        &self.commanders
    }

    /// Returns the types that `Simulate` reads although they are not registered. They are not
    /// findings, because such a type does harm only if it changes during a match.
    #[must_use]
    pub fn unregistered_reads(&self) -> &[UnregisteredRead] {
        &self.reads
    }

    /// Adds what another schedule of the simulation does.
    fn extend(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.writers.extend(other.writers);
        self.commanders.extend(other.commanders);
        self.reads.extend(other.reads);
    }
}

/// Examines the simulation, and logs all findings in one warning.
pub(crate) fn audit(world: &mut World) {
    let looked = world.try_schedule_scope(Simulate, look_through);
    let Ok(mut report) = looked else { return };
    if let Ok(bots) = world.try_schedule_scope(PlayBots, look_through) {
        report.extend(bots);
    }
    if report.findings.iter().any(|finding| finding.type_name.starts_with(NAMELESS)) {
        tracing::warn!(
            "the simulation writes {} types that do not roll back: turn on netcode's feature \
             `names` to learn which",
            report.findings.len()
        );
    } else if !report.findings.is_empty() {
        let lines: Vec<String> =
            report.findings.iter().map(|finding| format!("\n  * {finding}")).collect();
        tracing::warn!(
            "the simulation uses state that does not roll back, or runs commands in no fixed \
             order:{}",
            lines.concat()
        );
    }
    world.insert_resource(report);
}

fn look_through(world: &mut World, schedule: &mut Schedule) -> AuditReport {
    let systems = &mut schedule.graph_mut().systems;
    let rollback = world.register_component::<Rollback>();
    let keys: Vec<_> = systems.iter().map(|(key, ..)| key).collect();
    let (mut used, mut asked, mut commanders) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        let Some(system) = systems.get_mut(key) else { continue };
        let mut access = system.initialize(world);
        let name = system.name().to_string();
        let is_commander = system.has_deferred() || system.is_exclusive();
        for condition in systems.get_conditions_mut(key).into_iter().flatten() {
            access.extend(condition.condition.initialize(world));
        }
        if is_commander {
            commanders.push(name.clone());
        }
        asked.extend(asked_for(&access).into_iter().map(|id| (name.clone(), id)));
        used.extend(accessed(&access, rollback).into_iter().map(|it| (name.clone(), it)));
    }
    // If every system uses a type only on entities `Without<Rollback>`, the type is not part of the
    // simulation.
    let inside: BTreeSet<ComponentId> =
        used.iter().filter(|(_, (_, usage))| usage.is_inside).map(|(_, (id, _))| *id).collect();
    let mut found: BTreeMap<(ComponentId, u8), AuditFinding> = BTreeMap::new();
    let (mut writers, mut reads) = (Vec::new(), Reads::default());
    for (name, (id, usage)) in used {
        let Some(seen) = Seen::new(world, id).filter(|_| inside.contains(&id)) else { continue };
        if usage.is_written {
            writers.push((seen.type_id, name.clone()));
        }
        let Some(problem) = seen.problem(usage.is_written) else {
            reads.note(id, seen, name);
            continue;
        };
        let finding = found.entry((id, problem as u8)).or_insert_with(|| AuditFinding {
            type_name: seen.name,
            problem,
            systems: Vec::new(),
        });
        finding.systems.push(name);
    }
    for (name, id) in asked {
        if let Some(seen) = Seen::new(world, id) {
            reads.note(id, seen, name);
        }
    }
    let unordered = unordered(schedule.graph());
    let findings = found.into_values().chain(unordered).collect();
    AuditReport { findings, writers, commanders, reads: reads.0.into_values().collect() }
}

/// Systems whose commands run in no fixed order.
fn unordered(graph: &ScheduleGraph) -> impl Iterator<Item = AuditFinding> {
    let name = |&key: &SystemKey| graph.systems.get(key).map(|system| system.name().to_string());
    unordered_commands(graph).into_iter().map(move |(first, others)| AuditFinding {
        type_name: type_name::<Commands>().into(),
        problem: AuditProblem::Unordered,
        systems: [first].iter().chain(&others).filter_map(name).collect(),
    })
}

/// What is read and does not roll back.
#[derive(Default)]
struct Reads(BTreeMap<ComponentId, UnregisteredRead>);

impl Reads {
    fn note(&mut self, id: ComponentId, seen: Seen, system: String) {
        if seen.is_registered || seen.is_given() || seen.name.starts_with(NAMELESS) {
            return;
        }
        let read = self
            .0
            .entry(id)
            .or_insert_with(|| UnregisteredRead { type_name: seen.name, systems: Vec::new() });
        if !read.systems.contains(&system) {
            read.systems.push(system);
        }
    }
}

/// The components that a system tests for, without reading their values: `With`, `Has` and the
/// like.
fn asked_for(access: &FilteredAccessSet) -> BTreeSet<ComponentId> {
    let parts = access.filtered_accesses().iter();
    parts.flat_map(|part| part.access().archetypal().iter().chain(part.with_filters())).collect()
}

/// The types that a system can access, and how. Nothing is known about an exclusive system, which
/// can write everything.
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
    /// Whether it uses the type on entities other than those `Without<Rollback>`.
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
            is_allowed || world.resource::<Scoped<RollbackStore>>().types().any(|it| it == type_id);
        // This also recognises a resource that does not exist yet: every resource type requires the
        // component that marks resources.
        let marker = world.components().valid_component_id::<IsResource>();
        let is_resource = info.required_components().iter_ids().any(|id| Some(id) == marker);
        Some(Self { name: info.name().to_string(), type_id, is_registered, is_resource })
    }

    /// Returns whether the plugin provides this type to the simulation, with the same value on all
    /// peers.
    fn is_given(&self) -> bool {
        let given = [
            TypeId::of::<Disabled>(),
            TypeId::of::<IsResource>(),
            TypeId::of::<MatchSeed>(),
            TypeId::of::<NetcodeConfig>(),
            TypeId::of::<Rollback>(),
            TypeId::of::<RollbackId>(),
            TypeId::of::<Roster>(),
            TypeId::of::<SimFrame>(),
            TypeId::of::<Time>(),
        ];
        let inputs = type_name::<PlayerInputs<()>>().trim_end_matches("<()>");
        given.contains(&self.type_id) || self.name.starts_with(inputs)
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
    fn the_advice_is_never_to_register_ids() {
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
    fn the_advice_is_never_to_register_a_state() {
        let finding = AuditFinding {
            type_name: "bevy_state::state::resources::NextState<game::Phase>".into(),
            problem: AuditProblem::Resource,
            systems: vec!["game::finish".into()],
        };
        let text = finding.to_string();
        assert!(text.contains("outside of `Simulate`") && text.contains("game::finish"), "{text}");
        assert!(text.contains("`.allow_unregistered::<NextState<Phase>>()`"), "{text}");
        assert!(!text.contains("rollback_resource"), "{text}");
    }

    #[test]
    fn short_names_are_as_written_in_code() {
        assert_eq!(short("game::ships::Ship"), "Ship");
        assert_eq!(short("bevy_ecs::message::messages::Messages<game::Hit>"), "Messages<Hit>");
        assert_eq!(short("u32"), "u32");
        assert_eq!(short("a::Map<b::K, c::V<d::E>>"), "Map<K, V<E>>");
    }
}
