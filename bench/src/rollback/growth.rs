//! A match of ten minutes in which 100 entities a second come and go: what its last minute costs beside its first.

use std::time::Instant;

use bevy::prelude::*;
use netcode::prelude::*;

use super::{
    Effort,
    contestant::{Library, Play, Rig, add_flight},
    world::{Age, Kind, Position, Velocity},
};
use crate::stopwatch::median;

/// Entities that are there all the time.
const ENTITIES: usize = 1_000;
/// Entities spawned in each second, and frames that each of them lives.
const SPAWNS_PER_SECOND: u32 = 100;
const LIFETIME_FRAMES: u32 = 60;
const FRAMES_PER_SECOND: u32 = 60;
const MINUTES: usize = 10;

/// The last minute divided by the first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) ours: Grown,
    pub(crate) theirs: Grown,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Grown {
    /// Median time of an update, in seconds, in the first minute and in the last.
    pub(crate) first: f64,
    pub(crate) last: f64,
    /// Resident memory of the process at the end of the first minute and of the last, in bytes; none where the system
    /// does not say.
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

/// Plays the match with each library, each alone in the process for as long as it plays.
pub(crate) fn measure(effort: &Effort) -> Growth {
    Growth { ours: play(Library::Ours, effort), theirs: play(Library::BevyGgrs, effort) }
}

fn play(library: Library, effort: &Effort) -> Grown {
    let mut rig = Rig::with_game(library, Kind::Copy, ENTITIES, Play::SyncTest, true, |app| {
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
    });
    let mut minutes = Vec::new();
    for _ in 0..MINUTES {
        let mut times = Vec::with_capacity(effort.minute);
        for _ in 0..effort.minute {
            let start = Instant::now();
            rig.app.update();
            times.push(start.elapsed().as_secs_f64());
        }
        minutes.push((median(times), resident_bytes()));
    }
    rig.assert_sound();
    let ((first, first_memory), (last, last_memory)) = (minutes[0], minutes[MINUTES - 1]);
    Grown { first, last, memory: first_memory.zip(last_memory) }
}

/// How many are due in this frame, so that it is 100 in each second.
fn due(frame: u32) -> u32 {
    let until = |frame: u32| frame % FRAMES_PER_SECOND * SPAWNS_PER_SECOND / FRAMES_PER_SECOND;
    let next = if frame % FRAMES_PER_SECOND == FRAMES_PER_SECOND - 1 {
        SPAWNS_PER_SECOND
    } else {
        until(frame + 1)
    };
    next - until(frame)
}

/// Those that come and go are known by an age that nobody else reaches.
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

/// Linux says in pages of 4 KiB how much of a process is in memory.
fn resident_bytes() -> Option<f64> {
    const PAGE_BYTES: f64 = 4096.0;
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}
