//! The individual measurements. Each prepares both libraries in the same way, and times them in
//! turns.

use std::cell::RefCell;

use bevy::time::TimeUpdateStrategy;

use super::{
    Effort, Pair,
    contestant::{Library, Play, Rig, WINDOW, add_flight},
    floor::{Bytes, Columns},
    world::Kind,
};
use crate::stopwatch::{Times, Turns, alternate, seconds};

/// Entities that come and go between a save and its load.
const CHURN: usize = 100;
/// The size of world for the figures at the top level.
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
    /// Only copying the columns of the three components: into the buffers whose turn it is, as a
    /// save does.
    pub(crate) memcpy: f64,
    /// Copying them back from the buffers that were written last, as a load does.
    pub(crate) memcpy_back: f64,
    /// Both with the same number of bytes in one piece, in a cache that nothing else uses.
    pub(crate) cached_memcpy: f64,
    pub(crate) cached_memcpy_back: f64,
}

/// Times of a save and of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SaveAndLoad {
    pub(crate) save: Pair,
    pub(crate) load: Pair,
}

pub(crate) fn measure_size(entities: usize, effort: Effort) -> Size {
    let effort = effort.for_size(entities);
    let rigs = || both(|library| Rig::new(library, Kind::Copy, entities, Play::ByHand));
    let (save, [memcpy, cached_memcpy]) = save_beside_floor(rigs, entities, effort);
    let (load, [memcpy_back, cached_memcpy_back]) = load_beside_floor(rigs, entities, effort);
    let churn = CHURN.min(entities / 2);
    Size {
        entities,
        save,
        load,
        load_churn: effort.measure(|| load_after_churn(rigs(), effort.turns, churn)),
        sync_test: effort.measure(|| sync_test(entities, effort.updates, false)),
        sync_test_checksum: effort.measure(|| sync_test(entities, effort.updates, true)),
        memcpy,
        memcpy_back,
        cached_memcpy,
        cached_memcpy_back,
    }
}

/// Measures entities with a name and a list, of which 1 % change in each frame.
pub(crate) fn measure_owning(effort: Effort) -> SaveAndLoad {
    let rigs = || both(|library| Rig::new(library, Kind::Owning, REFERENCE, Play::ByHand));
    SaveAndLoad { save: save(rigs, effort, 100), load: load(rigs, effort, 100) }
}

/// Measures entities with the three `Copy` components, of which 1 % change in each frame.
pub(crate) fn measure_idle(effort: Effort) -> SaveAndLoad {
    let rigs = || both(|library| Rig::new(library, Kind::Copy, REFERENCE, Play::ByHand));
    SaveAndLoad { save: save(rigs, effort, 100), load: load(rigs, effort, 100) }
}

/// Measures a step in which the game does nothing: the time of an update with one step, minus the
/// time of an update with none. All four kinds of update take turns, so that a machine that slows
/// down does so for all of them.
pub(crate) fn measure_step() -> Pair {
    const ENTITIES: usize = 100;
    let step = std::time::Duration::from_nanos(16_666_667);
    let rigs = both(|library| RefCell::new(Rig::new(library, Kind::Copy, ENTITIES, Play::Alone)));
    let [ours, theirs] = &rigs;
    let time = |rig: &RefCell<Rig>, elapsed| {
        let mut rig = rig.borrow_mut();
        rig.app.insert_resource(TimeUpdateStrategy::ManualDuration(elapsed));
        seconds(|| rig.app.update())
    };
    let idle = std::time::Duration::ZERO;
    let times = alternate(
        Turns { count: 14, runs: 500, warm_up: 150 },
        &mut [
            &mut || time(ours, step),
            &mut || time(theirs, step),
            &mut || time(ours, idle),
            &mut || time(theirs, idle),
        ],
    );
    Pair { ours: times.median(0) - times.median(2), theirs: times.median(1) - times.median(3) }
}

fn both<R>(make: impl Fn(Library) -> R) -> [R; 2] {
    [make(Library::Ours), make(Library::BevyGgrs)]
}

/// Changes every `step`-th entity, and times a save.
fn time_save(rig: &mut Rig, step: usize) -> f64 {
    rig.change(step);
    seconds(|| rig.save())
}

fn save(rigs: impl Fn() -> [Rig; 2], effort: Effort, step: usize) -> Pair {
    effort.measure(|| {
        let [mut ours, mut theirs] = rigs();
        let ours = &mut || time_save(&mut ours, step);
        alternate(effort.turns, &mut [ours, &mut || time_save(&mut theirs, step)])
    })
}

/// Times saves in which everything has changed, and beside them copies of the same bytes.
fn save_beside_floor(
    rigs: impl Fn() -> [Rig; 2],
    entities: usize,
    effort: Effort,
) -> (Pair, [f64; 2]) {
    let times = effort.in_worlds(|| {
        let [mut ours, mut theirs] = rigs();
        let (mut columns, mut bytes) = (Columns::new(entities), Bytes::new(entities));
        let columns = &mut || {
            columns.change();
            seconds(|| columns.save())
        };
        let bytes = &mut || {
            bytes.change();
            seconds(|| bytes.save())
        };
        let (ours, theirs) = (&mut || time_save(&mut ours, 1), &mut || time_save(&mut theirs, 1));
        alternate(effort.turns, &mut [ours, theirs, columns, bytes])
    });
    (Pair::from(&times), [times.median(2), times.median(3)])
}

/// Changes every `step`-th entity before the save and before the load, and times the load.
fn time_load(rig: &mut Rig, step: usize) -> f64 {
    rig.change(step);
    rig.save();
    rig.change(step);
    seconds(|| rig.load())
}

fn load(rigs: impl Fn() -> [Rig; 2], effort: Effort, step: usize) -> Pair {
    effort.measure(|| {
        let [mut ours, mut theirs] = rigs();
        let ours = &mut || time_load(&mut ours, step);
        alternate(effort.turns, &mut [ours, &mut || time_load(&mut theirs, step)])
    })
}

/// Times loads in which everything has changed, and beside them copies of the same bytes back.
fn load_beside_floor(
    rigs: impl Fn() -> [Rig; 2],
    entities: usize,
    effort: Effort,
) -> (Pair, [f64; 2]) {
    let times = effort.in_worlds(|| {
        let [mut ours, mut theirs] = rigs();
        let (mut columns, mut bytes) = (Columns::new(entities), Bytes::new(entities));
        let columns = &mut || {
            columns.change();
            columns.save();
            columns.change();
            seconds(|| columns.load(1))
        };
        let bytes = &mut || {
            bytes.change();
            bytes.save();
            bytes.spoil();
            seconds(|| bytes.load())
        };
        let (ours, theirs) = (&mut || time_load(&mut ours, 1), &mut || time_load(&mut theirs, 1));
        alternate(effort.turns, &mut [ours, theirs, columns, bytes])
    });
    (Pair::from(&times), [times.median(2), times.median(3)])
}

fn load_after_churn([mut ours, mut theirs]: [Rig; 2], turns: Turns, count: usize) -> Times {
    let load = |rig: &mut Rig| {
        let before = rig.count();
        rig.change(1);
        rig.save();
        rig.churn(count);
        rig.change(1);
        let time = seconds(|| rig.load());
        assert_eq!(rig.count(), before, "the load brings back the entities that were there");
        time
    };
    alternate(turns, &mut [&mut || load(&mut ours), &mut || load(&mut theirs)])
}

fn sync_test(entities: usize, turns: Turns, is_hashed: bool) -> Times {
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
    let times = alternate(
        turns,
        &mut [&mut || seconds(|| ours.app.update()), &mut || seconds(|| theirs.app.update())],
    );
    ours.assert_sound();
    theirs.assert_sound();
    times
}
