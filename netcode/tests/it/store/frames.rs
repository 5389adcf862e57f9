//! Which saved frames can be loaded, in which order, and which are forgotten.

use super::*;

#[test]
fn a_later_frame_can_be_loaded_after_an_earlier_one() {
    let mut app = app(|app| {
        app.compare_on_load::<Position>();
    });
    let world = app.world_mut();
    let entity = world.spawn((Rollback, Position(0.0, 1.0))).id();
    snapshots::save(world, 0);
    *world.get_mut::<Position>(entity).unwrap() = Position(-0.0, 1.0);
    snapshots::save(world, 1);
    snapshots::load(world, 0);
    assert!(world.get::<Position>(entity).unwrap().0.is_sign_positive());
    snapshots::load(world, 1);
    assert!(world.get::<Position>(entity).unwrap().0.is_sign_negative());
}

#[test]
fn every_frame_of_the_window_can_be_loaded_in_any_order() {
    let mut app = app(|_| {});
    let world = app.world_mut();
    populate(world);
    let mut pictures = Vec::new();
    for frame in 0..DEPTH as u32 {
        world.insert_resource(SimFrame(frame));
        snapshots::save(world, frame);
        pictures.push(picture(world));
        let entity = by_id(world, frame % 8);
        match frame % 3 {
            0 => despawn_rollback(world, entity),
            1 => {
                world.spawn((Rollback, Name(format!("born in {frame}")), Burning(frame)));
            }
            _ => {
                let mut query = world.query::<&mut Age>();
                query.iter_mut(world).for_each(|mut age| age.0 += frame);
            }
        }
    }
    // After a rollback the later frames are simulated again, so each load goes further back than
    // the one before.
    for frame in (0..DEPTH as u32).rev() {
        snapshots::load(world, frame);
        assert_eq!(picture(world), pictures[frame as usize], "frame {frame}");
    }
}

#[test]
fn confirmed_frames_are_forgotten_and_later_ones_are_not() {
    let mut app = app(|_| {});
    let world = app.world_mut();
    let all = populate(world);
    for frame in 0..6 {
        world.get_mut::<Age>(all[0]).unwrap().0 = 100 + frame;
        snapshots::save(world, frame);
    }
    snapshots::confirm(world, 3);
    for frame in 0..6 {
        assert_eq!(snapshots::checksums(world, frame).is_empty(), frame < 3, "frame {frame}");
    }
    // The next frames take only the slots of the dropped ones.
    for frame in 6..9 {
        snapshots::save(world, frame);
    }
    snapshots::load(world, 3);
    assert_eq!(world.get::<Age>(all[0]), Some(&Age(103)));
    // If all frames are confirmed, only the last one stays, so that the next one can share it.
    snapshots::confirm(world, 9);
    assert!(
        !snapshots::checksums(world, 3).is_empty() && snapshots::checksums(world, 8).is_empty()
    );
}
