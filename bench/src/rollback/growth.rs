//! A match in which 100 entities a second come and go for ten minutes: its cost after that, beside
//! the cost of a match that has just begun.

use bevy::prelude::*;
use netcode::prelude::*;

use super::{
    Effort,
    contestant::{Library, Play, Rig, add_flight},
    world::{Age, Kind, Position, Velocity},
};
use crate::stopwatch::{Times, Turns, alternate, seconds};

/// Entities that are there all the time.
const ENTITIES: usize = 1_000;
/// Entities that are spawned in each second, and the frames that each of them lives.
const SPAWNS_PER_SECOND: u32 = 100;
const LIFETIME_FRAMES: u32 = 60;
const FRAMES_PER_SECOND: u32 = 60;
const MINUTES: usize = 10;

/// How a match after ten minutes compares with one in its first minute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) ours: Grown,
    pub(crate) theirs: Grown,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Grown {
    /// Median time of an update, in seconds, in the first minute of a match, and after ten minutes
    /// of another.
    pub(crate) first: f64,
    pub(crate) last: f64,
    /// Resident memory of the process at the end of the first minute and of the last, in bytes;
    /// `None` where the system does not report it.
    pub(crate) memory: Option<(f64, f64)>,
}

impl Grown {
    pub(crate) fn time(self) -> f64 {
        self.last / self.first
    }

    pub(crate) fn memory(self) -> Option<f64> {
        self.memory.map(|(first, last)| last / first)
    }
}

/// The number of our matches in which time is measured: the place in memory where a match happens
/// to lie affects the time more than the growth that is to be found. A single match of theirs has
/// to suffice, because it takes as long as everything else.
const MATCHES_OF_OURS: usize = 5;

/// Measures both libraries.
pub(crate) fn measure(effort: &Effort) -> Growth {
    Growth {
        ours: play(Library::Ours, effort, MATCHES_OF_OURS),
        theirs: play(Library::BevyGgrs, effort, 1),
    }
}

/// Plays `matches` matches, one after the other. The memory is that of the first match, which is
/// alone in the process.
fn play(library: Library, effort: &Effort, matches: usize) -> Grown {
    let (mut times, memory) = play_one(library, effort);
    for _ in 1..matches {
        times.add(play_one(library, effort).0);
    }
    Grown { first: times.median(0), last: times.median(1), memory }
}

/// Plays ten minutes for the memory, and then one more minute for the time, in turns with a new
/// match, because a machine may be faster or slower ten minutes later.
fn play_one(library: Library, effort: &Effort) -> (Times, Option<(f64, f64)>) {
    let mut old = begin(library);
    let mut memory = Vec::new();
    for _ in 0..MINUTES {
        (0..effort.minute).for_each(|_| old.app.update());
        memory.push(resident_bytes());
    }
    let mut new = begin(library);
    let runs = FRAMES_PER_SECOND as usize;
    let turns = Turns { count: effort.minute / runs, runs, warm_up: runs / 3 };
    let times = alternate(
        turns,
        &mut [&mut || seconds(|| new.app.update()), &mut || seconds(|| old.app.update())],
    );
    old.assert_sound();
    new.assert_sound();
    (times, memory[0].zip(memory[MINUTES - 1]))
}

/// A match in which every frame is rolled back.
fn begin(library: Library) -> Rig {
    Rig::with_game(library, Kind::Copy, ENTITIES, Play::SyncTest, true, |app| {
        add_flight(library, app);
        match library {
            Library::Ours => {
                app.add_systems(Simulate, come_and_go_ours.after(super::world::fly));
            }
            Library::BevyGgrs => {
                app.add_systems(
                    bevy_ggrs::GgrsSchedule,
                    come_and_go_theirs.after(super::world::fly),
                );
            }
        }
    })
}

/// The number of entities to spawn in this frame, so that there are 100 in each second.
fn due(frame: u32) -> u32 {
    let until = |frame: u32| frame % FRAMES_PER_SECOND * SPAWNS_PER_SECOND / FRAMES_PER_SECOND;
    let next = if frame % FRAMES_PER_SECOND == FRAMES_PER_SECOND - 1 {
        SPAWNS_PER_SECOND
    } else {
        until(frame + 1)
    };
    next - until(frame)
}

/// Entities that come and go are recognised by an age that no other entity reaches.
const NEWBORN: u32 = 1_000_000_000;

fn newcomer(frame: u32) -> impl Bundle {
    (Position(frame as f32, 0.0), Velocity(0.0, 1.0), Age(NEWBORN))
}

fn come_and_go_ours(
    mut commands: Commands,
    frame: Res<SimFrame>,
    things: Query<(Entity, &Age), With<Rollback>>,
) {
    for (entity, age) in &things {
        if age.0 >= NEWBORN + LIFETIME_FRAMES {
            RollbackCommandsExt::despawn_rollback(&mut commands.entity(entity));
        }
    }
    for _ in 0..due(frame.0) {
        commands.spawn((Rollback, newcomer(frame.0)));
    }
}

fn come_and_go_theirs(
    mut commands: Commands,
    frame: Res<bevy_ggrs::RollbackFrameCount>,
    things: Query<(Entity, &Age), With<bevy_ggrs::Rollback>>,
) {
    use bevy_ggrs::prelude::RollbackDespawnCommandExtension as Theirs;
    for (entity, age) in &things {
        if age.0 >= NEWBORN + LIFETIME_FRAMES {
            Theirs::despawn_rollback(&mut commands.entity(entity));
        }
    }
    let frame = u32::try_from(frame.0).unwrap_or_default();
    for _ in 0..due(frame) {
        commands.spawn((bevy_ggrs::Rollback, newcomer(frame)));
    }
}

/// The resident memory of this process, which Linux counts in pages of 4 KiB.
fn resident_bytes() -> Option<f64> {
    const PAGE_BYTES: f64 = 4096.0;
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}
