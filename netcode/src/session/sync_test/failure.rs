//! What a sync test found, in words that lead to the mistake.

use std::fmt;

use bevy::prelude::Message;

use crate::{
    audit::{AuditFinding, AuditReport, UnregisteredRead},
    membership::SeatChanged,
    packed_input::UnfitInput,
    rollback::{ChangeByDespawns, Difference, OpaqueValue, RollbackId},
};

/// A sync test failed, which ended the match: see [`EndReason::SyncTestFailed`](crate::EndReason).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct SyncTestFailed(pub SyncTestFailure);

/// Why a sync test failed. Its text says what to do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SyncTestFailure {
    /// The simulation changes what does not roll back; it was not even run.
    Unregistered(Vec<AuditFinding>),
    /// The game gave an input that could not be sent in a match.
    UnfitInput(UnfitInput),
    /// A registered value is not wholly in the checksum, or its bytes do not say what it is.
    Opaque(OpaqueValue),
    /// A frame came out differently.
    Diverged(Box<Divergence>),
    /// A hook or an observer of a component that is not registered changed what rolls back, when an
    /// entity that had left was despawned for good. A match would have undone that.
    ChangedAtConfirmation(Box<ConfirmationChange>),
    /// Nothing came out differently, but the match spawned entities with these registered
    /// components, by full path, that do not roll back.
    NotRollingBack(Vec<&'static str>),
    /// Nothing came out differently, as there was nothing that could: no entity and no resource
    /// rolls back.
    Idle,
}

impl From<UnfitInput> for SyncTestFailure {
    fn from(unfit: UnfitInput) -> Self {
        Self::UnfitInput(unfit)
    }
}

impl fmt::Display for SyncTestFailure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Unregistered(findings) => {
                f.write_str(
                    "the sync test was not run: the simulation uses state that does not roll back, \
                     or that it uses in no fixed order:",
                )?;
                findings.iter().try_for_each(|finding| write!(f, "\n  * {finding}"))
            }
            Self::UnfitInput(unfit) => unfit.fmt(f),
            Self::Opaque(value) => value.fmt(f),
            Self::Diverged(divergence) => divergence.fmt(f),
            Self::ChangedAtConfirmation(change) => change.fmt(f),
            Self::NotRollingBack(names) => write!(
                f,
                "the sync test did not see all of the game: the match spawned entities with `{}` \
                 that do not roll back. Spawn them with `Rollback`, or call `.allow_unregistered` \
                 with the type if they are only there to be seen",
                names.join("`, `")
            ),
            Self::Idle => f.write_str(
                "the sync test had nothing to compare: no entity with `Rollback` was spawned, and \
                 no resource is registered. Are the systems of the game in `SetupMatch` and \
                 `Simulate`, and is it added to this app?",
            ),
        }
    }
}

/// A registered value that changed when an entity which had left the simulation was despawned for
/// good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfirmationChange {
    /// The full path of the registered type.
    pub type_name: &'static str,
    /// The entity whose component changed; none if it is a resource.
    pub entity: Option<RollbackId>,
    /// The path of the field, as in `velocity.x`; empty if the value changed as a whole.
    pub field: String,
    /// The field before and after, as text; `none` where there was no component.
    pub values: [String; 2],
    /// The observers and hooks that ran, in words.
    pub watchers: Vec<String>,
}

impl ConfirmationChange {
    pub(super) fn new(change: ChangeByDespawns) -> Self {
        let ChangeByDespawns { difference, watchers } = change;
        let Difference { type_name, entity, field, values, .. } = difference;
        Self { type_name, entity, field, values, watchers }
    }
}

impl fmt::Display for ConfirmationChange {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [before, after] = &self.values;
        write_place(f, self.type_name, self.entity, &self.field)?;
        write!(
            f,
            "{} was {before}, and became {after} when an entity that had left by \
             `despawn_rollback` was despawned for good. That happens when its frame is confirmed: \
             outside `Simulate`, and at another frame on each machine. What ran then: {}. Register \
             the component that is watched, so that this happens in the frame of \
             `despawn_rollback`, or change nothing there that rolls back.",
            comma_after(&self.field),
            self.watchers.join(", ")
        )
    }
}

/// Writes which value of which entity the text is about.
fn write_place(
    f: &mut fmt::Formatter,
    type_name: &str,
    entity: Option<RollbackId>,
    field: &str,
) -> fmt::Result {
    write!(f, "`{type_name}`")?;
    if let Some(id) = entity {
        write!(f, " of the entity with `RollbackId` {}", id.get())?;
    }
    if field.is_empty() { Ok(()) } else { write!(f, ", field `{field}`") }
}

/// The comma that closes the name of a field, if [`write_place`] wrote one.
fn comma_after(field: &str) -> &'static str {
    if field.is_empty() { "" } else { "," }
}

/// A frame that came out differently when it was simulated again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Divergence {
    /// The frame before which the worlds differ: the mistake happened in the frame before it. If
    /// nothing was simulated again, the frame in which the value was looked at.
    pub frame: u32,
    /// The full path of the registered type that differs.
    pub type_name: &'static str,
    /// The entity that differs; none if it is a resource.
    pub entity: Option<RollbackId>,
    /// The path of the field, as in `velocity.x`; empty if the value differs as a whole.
    pub field: String,
    /// The field as it was at first, and as it was when simulated again, as text; `none` where the
    /// component was missing. For [`DivergenceCause::UnsaidEntity`] the number in the field, and
    /// the entity whose number it is.
    pub values: [String; 2],
    /// Whether the entity, the component or the resource is missing in one of the two: then it was
    /// spawned or despawned, inserted or removed.
    pub is_missing: bool,
    /// Whether both hold the same and iterate over it in different orders, as two hash maps do.
    pub is_reordered: bool,
    /// The systems in [`Simulate`](crate::Simulate) that can write the type, by name.
    pub writers: Vec<String>,
    /// The systems in [`Simulate`](crate::Simulate) that can spawn, despawn, insert and remove, by
    /// name.
    pub commanders: Vec<String>,
    /// What [`Simulate`](crate::Simulate) reads although it does not roll back.
    pub unregistered_reads: Vec<UnregisteredRead>,
    /// The seats that changed hands in the frame in which the mistake happened.
    pub seat_changes: Vec<SeatChanged>,
    /// What it took for the difference to show.
    pub cause: DivergenceCause,
}

/// What it took for a difference to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DivergenceCause {
    /// Nothing: the same frame with the same inputs is enough.
    NotRepeatable,
    /// Entities in another order in their tables.
    Order,
    /// Entities that were spawned again under the same [`RollbackId`].
    Entities,
    /// Reading the value from its own bytes. Nothing was simulated again for that.
    Bytes,
    /// An entity that the value holds without saying so. Nothing was simulated again for that.
    UnsaidEntity,
}

impl DivergenceCause {
    fn advice(self) -> &'static str {
        match self {
            Self::NotRepeatable => {
                "The same inputs were simulated twice from the same registered world. So something \
                 else had a part in it: a component or resource that is not registered, an entity \
                 that was spawned without `Rollback`, a system outside `Simulate` (in `Update` or \
                 `FixedUpdate`, say) that changes what is registered, a `Local`, a message of an \
                 earlier frame, a clock, an unseeded random number, the order of a hash map, \
                 `Changed` and `Added`, or the order of a query: in a loop that spawns, despawns \
                 or emits, take `Ordered`."
            }
            Self::Order => {
                "It takes another order of the entities to see it, and that order is not part of \
                 the simulation. So a system depends on the order of a query: take `Ordered`, or \
                 sort by `RollbackId`. That goes for a loop that only spawns, despawns or emits, \
                 too, and for a hash map that is filled from a query."
            }
            Self::Entities => {
                "It showed when entities had been spawned again under the same `RollbackId`. So \
                 the simulation needs a component or child that is not registered, keeps an \
                 `Entity` in a value without `#[entities]` on its field, or sorts by `Entity`; or \
                 what is not registered has changed meanwhile (a `Local`, a static, a clock or a \
                 random number that acts only now and then)."
            }
            Self::UnsaidEntity => {
                "So the entity's number, which differs on every machine, is part of the \
                 checksum, and the value does not follow an entity that a rollback spawns again. \
                 Put `#[entities]` on the field of a component; a resource derives `MapEntities` \
                 too."
            }
            Self::Bytes => {
                "So two peers that hold the same value would not agree on its checksum. A \
                 `HashMap` or `HashSet` causes that, as its order differs on every machine: use a \
                 `BTreeMap`. Or `Serialize` and `Deserialize` do not match."
            }
        }
    }
}

impl Divergence {
    pub(super) fn new(
        frame: u32,
        difference: Difference,
        cause: DivergenceCause,
        report: Option<&AuditReport>,
    ) -> Self {
        let Difference { type_name, type_id, entity, field, values, is_missing, is_reordered } =
            difference;
        Self {
            frame,
            type_name,
            entity,
            field,
            values,
            is_missing,
            is_reordered,
            writers: report.map(|it| it.writers(type_id)).unwrap_or_default(),
            commanders: report.map(|it| it.commanders().to_vec()).unwrap_or_default(),
            unregistered_reads: report
                .map(|it| it.unregistered_reads().to_vec())
                .unwrap_or_default(),
            seat_changes: Vec::new(),
            cause,
        }
    }

    /// Writes which systems can have made the difference.
    fn write_systems(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if !self.is_missing && !self.writers.is_empty() {
            write!(f, " Systems of `Simulate` that can write it: {}.", self.writers.join(", "))?;
        }
        // In another order entities get other ids, and then every value of theirs differs.
        let may_be_commands =
            self.is_missing || self.writers.is_empty() || self.cause == DivergenceCause::Order;
        match &*self.commanders {
            [] if self.is_missing || self.writers.is_empty() => f.write_str(
                " No system of `Simulate` is known to do that; an observer or a hook may, or a \
                     system of another schedule.",
            ),
            [_, ..] if may_be_commands => write!(
                f,
                " Systems that can spawn, despawn, insert and remove: {}.",
                self.commanders.join(", ")
            ),
            _ => Ok(()),
        }
    }

    /// Writes what comes from outside of the simulation.
    fn write_reads(&self, f: &mut fmt::Formatter) -> fmt::Result {
        /// Nobody reads through a longer list.
        const MAX_LISTED: usize = 8;
        let is_from_outside =
            matches!(self.cause, DivergenceCause::NotRepeatable | DivergenceCause::Entities);
        if !is_from_outside || self.unregistered_reads.is_empty() {
            return Ok(());
        }
        let reads = self.unregistered_reads.iter().take(MAX_LISTED).map(ToString::to_string);
        let reads: Vec<String> = reads.collect();
        write!(
            f,
            " The simulation also reads what does not roll back, and must not change during a \
             match: {}",
            reads.join("; ")
        )?;
        match self.unregistered_reads.len().saturating_sub(MAX_LISTED) {
            0 => f.write_str("."),
            more => write!(f, "; and {more} more types."),
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let is_simulated =
            !matches!(self.cause, DivergenceCause::Bytes | DivergenceCause::UnsaidEntity);
        if is_simulated {
            write!(f, "frame {} came out differently when simulated again: ", self.frame)?;
        }
        write_place(f, self.type_name, self.entity, &self.field)?;
        let [first, again] = &self.values;
        let frame = self.frame;
        match self.cause {
            DivergenceCause::Bytes => write!(
                f,
                ", in frame {frame}, has another checksum once it is read from its own bytes: it \
                 was {first}, and then {again}."
            )?,
            DivergenceCause::UnsaidEntity => write!(
                f,
                ", in frame {frame}, holds an entity and does not say so: {first} is {again}."
            )?,
            _ => {
                write!(f, "{} was {first}, and is now {again}.", comma_after(&self.field))?;
                for SeatChanged { seat, before, now } in &self.seat_changes {
                    let number = seat.0;
                    write!(
                        f,
                        " In the frame before, seat {number} turned from {before:?} to {now:?}."
                    )?;
                }
                self.write_systems(f)?;
            }
        }
        if self.is_reordered {
            f.write_str(
                " Both hold the same, but the order of iteration differs: use a `BTreeMap` or \
                 `BTreeSet` in place of a `HashMap` or `HashSet`, and fill a list in a fixed \
                 order.",
            )?;
        }
        write!(f, " {}", self.cause.advice())?;
        self.write_reads(f)
    }
}
