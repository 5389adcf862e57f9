//! The single measurements. Each prepares both libraries alike, and times them in turns.

use bevy::{prelude::*, time::TimeUpdateStrategy};

use super::{
    Effort, Pair,
    contestant::{Library, Play, Rig, WINDOW, add_flight},
    world::{COPY_BYTES, Kind},
};
use crate::stopwatch::{Turns, alternate, seconds};

/// Entities that come and go between a save and its load.
const CHURN: usize = 100;
/// The size that the figures at the top level are of.
pub(crate) const REFERENCE: usize = 10_000;

/// Times of one size of world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) entities: usize,
    pub(crate) save: Pair,
    pub(crate) load: Pair,
    pub(crate) load_churn: Pair,
    pub(crate) sync_test: Pair,
    pub(crate) sync_test_checksum: Pair,
    /// Copying the bytes of the three components, and nothing else.
    pub(crate) memcpy: f64,
}

/// Times of a save and of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SaveAndLoad {
    pub(crate) save: Pair,
    pub(crate) load: Pair,
}

pub(crate) fn measure_size(entities: usize, effort: &Effort) -> Size {
    let turns = effort.turns_for(entities);
    let rigs = || both(|library| Rig::new(library, Kind::Copy, entities, Play::ByHand));
    let SaveAndLoad { save, load } = save_and_load(rigs(), turns, 1);
    Size {
        entities,
        save,
        load,
        load_churn: load_after_churn(rigs(), turns, CHURN.min(entities / 2)),
        sync_test: sync_test(entities, turns, false),
        sync_test_checksum: sync_test(entities, turns, true),
        memcpy: memcpy(entities, turns),
    }
}

/// A name and a list on each entity, of which 1 % change in each frame.
pub(crate) fn measure_owning(effort: &Effort) -> SaveAndLoad {
    let rigs = both(|library| Rig::new(library, Kind::Owning, REFERENCE, Play::ByHand));
    save_and_load(rigs, effort.turns, 100)
}

/// The three `Copy` components, of which 1 % change in each frame.
pub(crate) fn measure_idle(effort: &Effort) -> SaveAndLoad {
    let rigs = both(|library| Rig::new(library, Kind::Copy, REFERENCE, Play::ByHand));
    save_and_load(rigs, effort.turns, 100)
}

/// What one step costs in which the game does nothing: an update that takes one less an update that takes none.
pub(crate) fn measure_step(effort: &Effort) -> Pair {
    const ENTITIES: usize = 100;
    let step = std::time::Duration::from_nanos(16_666_667);
    let [mut ours, mut theirs] =
        both(|library| Rig::new(library, Kind::Copy, ENTITIES, Play::Alone));
    let time = |rig: &mut Rig, elapsed| {
        rig.app.insert_resource(TimeUpdateStrategy::ManualDuration(elapsed));
        seconds(|| rig.app.update())
    };
    let medians = alternate(
        Turns { count: effort.turns.count, runs: 1_000 },
        &mut [&mut || time(&mut ours, step), &mut || time(&mut theirs, step)],
    );
    let idle = alternate(
        Turns { count: effort.turns.count, runs: 1_000 },
        &mut [&mut || time(&mut ours, std::time::Duration::ZERO), &mut || {
            time(&mut theirs, std::time::Duration::ZERO)
        }],
    );
    Pair { ours: medians.0[0] - idle.0[0], theirs: medians.0[1] - idle.0[1] }
}

fn both(make: impl Fn(Library) -> Rig) -> [Rig; 2] {
    [make(Library::Ours), make(Library::BevyGgrs)]
}

/// Each run changes every `step`-th entity before the save and before the load.
fn save_and_load([mut ours, mut theirs]: [Rig; 2], turns: Turns, step: usize) -> SaveAndLoad {
    let save = |rig: &mut Rig| {
        rig.change(step);
        seconds(|| rig.save())
    };
    let load = |rig: &mut Rig| {
        rig.change(step);
        rig.save();
        rig.change(step);
        seconds(|| rig.load())
    };
    let saves = alternate(turns, &mut [&mut || save(&mut ours), &mut || save(&mut theirs)]);
    let loads = alternate(turns, &mut [&mut || load(&mut ours), &mut || load(&mut theirs)]);
    SaveAndLoad { save: Pair::from(&saves), load: Pair::from(&loads) }
}

fn load_after_churn([mut ours, mut theirs]: [Rig; 2], turns: Turns, count: usize) -> Pair {
    let load = |rig: &mut Rig| {
        let before = rig.count();
        rig.change(1);
        rig.save();
        rig.churn(count);
        rig.change(1);
        let time = seconds(|| rig.load());
        assert_eq!(rig.count(), before, "the load brings back who was there");
        time
    };
    let medians = alternate(turns, &mut [&mut || load(&mut ours), &mut || load(&mut theirs)]);
    Pair::from(&medians)
}

fn sync_test(entities: usize, turns: Turns, is_hashed: bool) -> Pair {
    let [mut ours, mut theirs] = both(|library| {
        Rig::with_game(library, Kind::Copy, entities, Play::SyncTest, is_hashed, |app| {
            add_flight(library, app);
        })
    });
    // Until the window is full, updates roll back less far.
    for _ in 0..3 * WINDOW {
        ours.app.update();
        theirs.app.update();
    }
    let medians = alternate(
        turns,
        &mut [&mut || seconds(|| ours.app.update()), &mut || seconds(|| theirs.app.update())],
    );
    ours.assert_sound();
    theirs.assert_sound();
    Pair::from(&medians)
}

/// Copies as many bytes as the components have, into as many buffers in turn as a window has frames.
fn memcpy(entities: usize, turns: Turns) -> f64 {
    let mut source = vec![1u8; entities * COPY_BYTES];
    let mut ring = vec![vec![0u8; entities * COPY_BYTES]; usize::from(WINDOW) + 2];
    let mut turn = 0;
    let medians = alternate(
        turns,
        &mut [&mut || {
            turn += 1;
            // As in a game, the source has been written a moment ago.
            source.fill(turn as u8);
            let place = turn % ring.len();
            let target = &mut ring[place];
            seconds(|| {
                target.copy_from_slice(&source);
                std::hint::black_box(target);
            })
        }],
    );
    medians.0[0]
}
