//! What saving and loading allocate: nothing, once all buffers exist. ggrs and the checksums of a
//! real match are not included.

use bevy::ecs::system::SystemState;

use super::*;

/// The number of blocks that `task` allocates.
fn count(task: impl FnOnce()) -> u64 {
    allocation_counter::measure(task).count_total
}

fn crowd(world: &mut World, count: u32) {
    for index in 0..count {
        world.spawn((Rollback, Position(0.0, 0.0), Age(index)));
    }
}

#[test]
fn a_steady_frame_allocates_nothing() {
    let mut app = app(|_| {});
    let world = app.world_mut();
    crowd(world, 1000);
    let mut query = world.query::<(&mut Position, &mut Age)>();
    let mut frame = 0;
    let mut step = |world: &mut World, is_rolled_back: bool| {
        world.resource_mut::<SimFrame>().0 = frame;
        snapshots::save(world, frame);
        world.run_schedule(Simulate);
        for (mut position, mut age) in query.iter_mut(world) {
            position.0 += 1.0;
            age.0 += 1;
        }
        if is_rolled_back {
            snapshots::load(world, frame);
        }
        snapshots::confirm(world, frame.saturating_sub(8));
        // As an app does after each update.
        world.clear_trackers();
        frame += 1;
    };
    for is_rolled_back in [false, true, false, true] {
        (0..3 * DEPTH).for_each(|_| step(world, is_rolled_back));
    }
    assert_eq!(count(|| (0..500).for_each(|_| step(world, false))), 0);
    assert_eq!(count(|| (0..500).for_each(|_| step(world, true))), 0, "with rollbacks");
}

#[test]
fn ordered_entities_that_stand_in_order_cost_no_allocation() {
    let mut app = app(|_| {});
    let world = app.world_mut();
    crowd(world, 1000);
    let mut state = SystemState::<Ordered<&mut Age>>::new(world);
    let mut add = |world: &mut World| {
        let mut ordered = state.get_mut(world).unwrap();
        ordered.iter_mut().for_each(|mut age| age.0 += 1);
        ordered.iter().map(|age| u64::from(age.0)).sum::<u64>()
    };
    assert_eq!(add(world), 500_500);
    assert_eq!(count(|| assert_eq!(add(world), 501_500)), 0);
}

#[test]
fn memory_does_not_grow_with_the_match() {
    let mut app = app(|_| {});
    let world = app.world_mut();
    crowd(world, 50);
    let play = |world: &mut World, from: u32, to: u32| {
        for frame in from..to {
            world.insert_resource(SimFrame(frame));
            snapshots::save(world, frame);
            let next = 50 + 2 * frame;
            world.spawn((Rollback, Age(next), Name("short-lived".into())));
            world.spawn((Rollback, Age(next + 1), Burning(1)));
            if frame >= 20 {
                for id in [2 * (frame - 20), 2 * (frame - 20) + 1] {
                    let entity = by_id(world, 50 + id);
                    despawn_rollback(world, entity);
                }
            }
            if frame % 5 == 4 {
                snapshots::load(world, frame - 3);
                for frame in frame - 3..=frame {
                    // Nothing moves this time; the counter of ids continues as it did.
                    snapshots::save(world, frame);
                    world.spawn((Rollback, Age(50 + 2 * frame), Name("again".into())));
                    world.spawn((Rollback, Age(51 + 2 * frame), Burning(2)));
                    if frame >= 20 {
                        for id in [2 * (frame - 20), 2 * (frame - 20) + 1] {
                            let entity = by_id(world, 50 + id);
                            world.insert_resource(SimFrame(frame));
                            despawn_rollback(world, entity);
                        }
                    }
                }
            }
            snapshots::confirm(world, frame.saturating_sub(8));
            // As an app does after each update.
            world.clear_trackers();
        }
    };
    play(world, 0, 500);
    let kept = |from, to, world: &mut World| {
        allocation_counter::measure(|| play(world, from, to)).bytes_current
    };
    let early = kept(500, 1000, world);
    let late = kept(1000, 3000, world);
    assert!(late <= early.max(0) + 4096, "{early} bytes in 500 frames, {late} in 2000 more");
}
