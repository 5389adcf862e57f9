//! Meeting, playing, leaving, and playing again.

use std::time::Duration;

use bevy::prelude::*;
use netcode::{prelude::*, testing::Stepper};

use crate::support::{
    Input, Script, add_game, assert_agreement, build, busy, config, places, state, stats,
    write_to_all,
};

#[test]
fn two_peers_play_and_agree() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(600);
    assert_agreement(&stepper, 15);
    assert_ne!(places(stepper.app(0)), [0, 0]);
    assert!(stats(stepper.app(0)).frames > 500);
}

#[test]
fn peers_whose_first_messages_are_lost_still_meet() {
    let mut stepper = Stepper::new(2, build(busy));
    for index in 0..2 {
        stepper.join(index, 1);
        stepper.update();
        stepper.set_deaf(index, true);
    }
    stepper.updates(10);
    for index in 0..2 {
        stepper.set_deaf(index, false);
    }
    stepper.start();
    stepper.updates(60);
    assert_agreement(&stepper, 1);
}

#[test]
fn four_peers_roll_back_on_a_bad_network_and_agree() {
    let mut stepper = Stepper::in_match(4, build(busy));
    stepper.set_conditions(LinkConditions {
        latency: Duration::from_millis(60),
        ..LinkConditions::WIFI
    });
    stepper.updates(900);
    assert_agreement(&stepper, 10);
    for app in stepper.apps() {
        let stats = stats(app);
        assert!(stats.rollbacks > 50, "{} rollbacks", stats.rollbacks);
        assert!(stats.max_rollback <= 8 && stats.resimulated_frames > stats.rollbacks);
    }
}

#[test]
fn one_machine_may_hold_two_seats() {
    let mut stepper = Stepper::new(2, build(busy));
    stepper.join(0, 2);
    stepper.join(1, 1);
    stepper.start();
    stepper.updates(200);
    assert_agreement(&stepper, 3);
    assert_eq!(places(stepper.app(1)).len(), 3);
    let roster = stepper.app(1).world().resource::<Roster>();
    let names: Vec<&str> = roster.seats().iter().map(|seat| seat.name.as_str()).collect();
    assert_eq!(names, ["peer 0", "peer 0 2", "peer 1"]);
}

#[test]
fn each_machine_plays_its_own_seats_whatever_their_order() {
    // What a player presses depends on the machine, and on nothing else.
    let scripts: [fn(Seat, u32) -> Input; 3] = [0, 1, 2].map(|machine| -> fn(Seat, u32) -> Input {
        match machine {
            0 => |_, frame| Input { push: 1, spawn: frame % 9 == 0, remove: false },
            1 => |_, frame| Input { push: 2, spawn: frame % 7 == 0, remove: true },
            _ => |_, _| Input { push: -3, ..Input::default() },
        }
    });
    for conditions in [LinkConditions::NONE, LinkConditions::WIFI] {
        let mut stepper = Stepper::new(3, |index, app| add_game(app, config(), scripts[index]));
        for (index, seats) in [(0, 2), (1, 1), (2, 1)] {
            stepper.join(index, seats);
        }
        stepper.reverse_seats();
        stepper.start();
        stepper.set_network(conditions, 5);
        stepper.updates(400);
        assert_agreement(&stepper, 10);
        let held = [&[Seat(2), Seat(3)][..], &[Seat(1)], &[Seat(0)]];
        for (app, held) in stepper.apps().iter().zip(held) {
            let roster = app.world().resource::<Roster>();
            assert!(roster.local_seats().eq(held.iter().copied()), "{roster:?}");
            let names: Vec<&str> = roster.seats().iter().map(|seat| seat.name.as_str()).collect();
            assert_eq!(names, ["peer 2", "peer 1", "peer 0", "peer 0 2"]);
        }
        write_to_all(&mut stepper, FinishMatch);
        stepper.updates(180);
        for app in stepper.apps() {
            let places = places(app);
            let frames = places[2];
            assert!(frames > 350, "{frames} frames");
            // The inputs of the first frames are the default ones, as long as they are delayed.
            let near = |place: i64, push: i64| (place - push * frames).abs() <= 20 * push.abs();
            assert!(near(places[0], -3) && near(places[1], 2), "{places:?}");
            assert_eq!(places[3], frames, "both seats of one machine");
        }
    }
}

#[test]
fn a_finished_match_is_followed_by_another_on_a_clean_world() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(120);
    write_to_all(&mut stepper, FinishMatch);
    stepper.updates(60);
    for app in stepper.apps() {
        assert_eq!(*state(app), SessionState::Gathering);
        assert_eq!(places(app).len(), 2, "the last world of the match stays");
    }
    stepper.app_mut(0).insert_resource(Script(|_, _| Input::default()));
    stepper.app_mut(1).insert_resource(Script(|_, _| Input::default()));
    let first_seed = *stepper.app(0).world().resource::<MatchSeed>();
    stepper.start();
    stepper.updates(120);
    assert_agreement(&stepper, 3);
    for app in stepper.apps() {
        assert_eq!(places(app), [0, 0], "nothing is left over");
        assert_eq!(app.world().resource::<crate::support::Tally>().made, 0);
    }
    assert_ne!(*stepper.app(0).world().resource::<MatchSeed>(), first_seed);
}

#[test]
fn peers_draw_level_again_after_one_was_frozen() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.set_conditions(LinkConditions::TRANSATLANTIC);
    stepper.updates(300);
    // The second machine is frozen for 100 ms.
    for _ in 0..6 {
        stepper.app_mut(0).update();
    }
    stepper.updates(300);
    let (a, b) = (stats(stepper.app(0)), stats(stepper.app(1)));
    assert!(a.frames.abs_diff(b.frames) <= 2, "{} and {} frames", a.frames, b.frames);
    assert_agreement(&stepper, 5);
}

#[test]
fn a_local_match_needs_no_network() {
    let mut stepper = Stepper::new(1, build(busy));
    let seats = vec!["one".into(), "two".into()];
    stepper.app_mut(0).world_mut().write_message(StartLocal { seats, seed: 5, sync_test: None });
    stepper.updates(300);
    assert!(state(stepper.app(0)).is_running());
    assert_eq!(stats(stepper.app(0)).rollbacks, 0);
    assert!(stats(stepper.app(0)).frames > 290);
    stepper.app_mut(0).world_mut().write_message(FinishMatch);
    stepper.updates(2);
    assert_eq!(*state(stepper.app(0)), SessionState::Offline);
}

#[test]
fn a_sync_test_of_a_sound_game_finds_nothing() {
    let mut stepper = Stepper::new(1, build(busy));
    let seats = vec!["one".into(), "two".into(), "three".into()];
    stepper.app_mut(0).world_mut().write_message(StartLocal {
        seats,
        seed: 5,
        sync_test: Some(SyncTest::at_depth(7)),
    });
    stepper.updates(600);
    assert!(state(stepper.app(0)).is_running());
    assert_eq!(stats(stepper.app(0)).desyncs, 0);
    assert!(stats(stepper.app(0)).rollbacks > 500);
}

#[test]
fn a_rematch_begins_at_once_even_over_a_network() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.set_conditions(LinkConditions::LAN);
    for _ in 0..3 {
        stepper.updates(120);
        write_to_all(&mut stepper, FinishMatch);
        stepper.updates(45);
        write_to_all(&mut stepper, SetReady(true));
        // ggrs would repeat a lost handshake message only after 200 ms of real time, which is
        // thousands of updates here.
        stepper.updates(60);
        assert!(stepper.apps().iter().all(|app| state(app).is_running()));
    }
}

#[test]
fn peers_that_compute_different_worlds_both_learn_which_type_differs() {
    #[derive(Resource, Default)]
    struct Reports(Vec<DesyncDetected>);
    let mut stepper = Stepper::in_match(2, |index, app| {
        add_game(app, config(), busy);
        app.init_resource::<Reports>().add_systems(
            Update,
            |mut desyncs: MessageReader<DesyncDetected>, mut reports: ResMut<Reports>| {
                reports.0.extend(desyncs.read().cloned());
            },
        );
        if index == 1 {
            let nudge = |frame: Res<SimFrame>, mut movers: Query<&mut crate::support::Mover>| {
                if frame.0 == 100 {
                    movers.iter_mut().for_each(|mut mover| mover.place += 1);
                }
            };
            app.add_systems(Simulate, nudge.after(crate::support::grow_old));
        }
    });
    stepper.updates(200);
    let ids: Vec<_> =
        stepper.apps().iter().map(|app| app.world().resource::<Lobby>().local_id).collect();
    for (index, app) in stepper.apps().iter().enumerate() {
        let first = app.world().resource::<Reports>().0.first().expect("the desync is reported");
        assert_eq!(first.0.frame, 120, "the first compared frame after the cause");
        assert_eq!(Some(first.0.peer), ids[1 - index]);
        assert!(first.0.types.iter().any(|name| name.ends_with("::Mover")), "{first:?}");
        assert!(!first.0.types.iter().any(|name| name.ends_with("::Tally")), "{first:?}");
        assert!(stats(app).desyncs > 0);
    }
}

#[test]
fn a_room_can_be_entered_again_after_the_server_was_lost() {
    let mut stepper = Stepper::new(2, build(busy));
    stepper.join(0, 1);
    stepper.updates(5);
    stepper.stop_signaling();
    stepper.updates(5);
    assert_eq!(*state(stepper.app(0)), SessionState::Ended(EndReason::SignalingLost));
    // The old transport must be gone by now, or the room would hold this peer twice.
    stepper.updates(60);
    stepper.join(0, 1);
    stepper.updates(5);
    assert_eq!(*state(stepper.app(0)), SessionState::Gathering);
    stepper.join(1, 1);
    stepper.start();
    // No peer needs the server in a match.
    stepper.stop_signaling();
    stepper.updates(60);
    assert!(state(stepper.app(0)).is_running());
    assert!(stepper.app(0).world().resource::<Lobby>().is_signaling_lost);
}

#[test]
fn a_local_match_after_an_online_one_ignores_the_old_opponent() {
    #[derive(Resource, Default)]
    struct States(Vec<SessionState>);
    let mut stepper = Stepper::in_match(2, |_, app| {
        add_game(app, config(), busy);
        app.init_resource::<States>().add_systems(
            Update,
            |mut changes: MessageReader<SessionChanged>, mut states: ResMut<States>| {
                states.0.extend(changes.read().map(|change| change.to.clone()));
            },
        );
    });
    let seats = vec!["one".into()];
    let local = StartLocal { seats, seed: 5, sync_test: None };
    let mut states_after = |request: &dyn Fn(&mut World)| {
        let world = stepper.app_mut(0).world_mut();
        world.resource_mut::<States>().0.clear();
        request(world);
        stepper.updates(3);
        stepper.app(0).world().resource::<States>().0.clone()
    };
    let starts = [SessionState::Starting, SessionState::Running];
    let start = |world: &mut World| {
        world.write_message(local.clone());
    };
    assert_eq!(states_after(&start), starts);
    let leave = |world: &mut World| {
        world.write_message(LeaveRoom);
    };
    assert_eq!(states_after(&leave), [SessionState::Offline]);
    assert_eq!(states_after(&start), starts);
    assert_eq!(states_after(&leave), [SessionState::Offline]);
    assert_eq!(*stepper.app(0).world().resource::<Roster>(), Roster::default());
}

#[test]
fn inputs_are_read_once_per_frame_even_while_the_simulation_waits() {
    #[derive(Resource, Default)]
    struct Reads(Vec<u32>);
    let mut stepper = Stepper::in_match(2, |_, app| {
        add_game(app, config(), busy);
        app.init_resource::<Reads>().add_systems(
            ReadInputs,
            |frame: Res<SimFrame>, mut reads: ResMut<Reads>| {
                reads.0.push(frame.0);
            },
        );
    });
    stepper.updates(30);
    for _ in 0..40 {
        stepper.app_mut(0).update();
    }
    assert!(stats(stepper.app(0)).stalls > 10, "the other peer was frozen");
    let reads = &stepper.app(0).world().resource::<Reads>().0;
    assert!(reads.is_sorted_by(|one, next| next == &(one + 1)), "{reads:?}");
}

#[test]
fn systems_that_read_inputs_see_the_machines_clock_in_every_step() {
    #[derive(Resource, Default)]
    struct Differences(Vec<Duration>);
    let mut stepper = Stepper::new(1, |_, app| {
        add_game(app, config(), busy);
        // A slow screen: two steps are due in each update.
        let update = Duration::from_nanos(33_333_334);
        app.insert_resource(bevy::time::TimeUpdateStrategy::ManualDuration(update))
            .init_resource::<Differences>()
            .add_systems(
                ReadInputs,
                |now: Res<Time>, machine: Res<Time<Virtual>>, mut all: ResMut<Differences>| {
                    all.0.push(now.elapsed().abs_diff(machine.elapsed()));
                },
            );
    });
    let local = StartLocal { seats: vec!["one".into()], seed: 5, sync_test: None };
    stepper.app_mut(0).world_mut().write_message(local);
    stepper.updates(20);
    let differences = &stepper.app(0).world().resource::<Differences>().0;
    assert!(differences.len() >= 38, "{} steps", differences.len());
    assert!(differences.iter().all(Duration::is_zero), "{differences:?}");
}

#[test]
fn a_room_is_deserted_when_all_have_left_but_not_while_one_is_only_silent() {
    let is_deserted = |app: &App| app.world().resource::<Lobby>().is_deserted;
    let mut stepper = Stepper::new(2, build(busy));
    stepper.join(0, 1);
    stepper.updates(60);
    assert!(!is_deserted(stepper.app(0)), "nobody was here yet");
    stepper.join(1, 1);
    stepper.updates(5);
    for _ in 0..10 * 60 {
        stepper.app_mut(0).update();
    }
    let lobby = stepper.app(0).world().resource::<Lobby>();
    assert!(lobby.peers.is_empty() && !lobby.is_deserted, "its page may be hidden");
    for _ in 0..6 * 60 {
        stepper.app_mut(0).update();
    }
    assert!(is_deserted(stepper.app(0)), "the silent peer does not come back");
    stepper.updates(10);
    assert!(!is_deserted(stepper.app(0)), "it is back");
    stepper.app_mut(1).world_mut().write_message(LeaveRoom);
    stepper.updates(60);
    assert!(is_deserted(stepper.app(0)));
}
