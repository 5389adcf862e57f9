//! Machines with unequal clocks and frame rates share the cost of the difference, and the input
//! delay follows the network.

use std::time::Duration;

use bevy::{prelude::*, time::TimeUpdateStrategy};
use netcode::{InputDelay, LinkConditions, SetInputDelay, prelude::*, testing::Stepper};

use crate::support::{Input, Mover, add_game, assert_agreement, build, busy, config, stats};

/// 1/60 s: the time between two updates of the stepper's apps.
const UPDATE: Duration = Duration::from_nanos(16_666_667);

fn set_clock(stepper: &mut Stepper, index: usize, update: Duration) {
    let strategy = TimeUpdateStrategy::ManualDuration(update);
    stepper.app_mut(index).insert_resource(strategy);
}

/// The updates in ten seconds: at 4 % (2 % on each side), pacing makes up for 300 ms in 7.5 s.
const SETTLING: u32 = 10 * 60;

/// The seeds of several networks, so that the result does not depend on luck with one of them.
const SEEDS: [u64; 4] = [100, 200, 300, 400];

/// Asserts that neither peer has more than 55 % of the rollbacks in one minute on each network,
/// once the peers have settled.
///
/// `begin` makes the peers unequal, and `update` updates their apps.
fn assert_fair(begin: impl Fn(&mut Stepper), update: impl Fn(&mut Stepper, u32)) {
    let mut costs = [[0, 0]; 2];
    for seed in SEEDS {
        let mut stepper = Stepper::in_match(2, build(busy));
        stepper.set_network(LinkConditions::WIFI, seed);
        begin(&mut stepper);
        (0..SETTLING).for_each(|number| update(&mut stepper, number));
        let before = costs_so_far(&stepper);
        (0..60 * 60).for_each(|number| update(&mut stepper, number));
        let after = costs_so_far(&stepper);
        for (index, peer) in costs.iter_mut().enumerate() {
            peer[0] += after[index][0] - before[index][0];
            peer[1] += after[index][1] - before[index][1];
        }
        let frames = [0, 1].map(|index| stats(stepper.app(index)).frames);
        assert!(frames[0].abs_diff(frames[1]) <= 4, "{frames:?}");
        assert_agreement(&stepper, 100);
    }
    for (what, index) in [("rollbacks", 0), ("resimulated frames", 1)] {
        let [a, b] = costs.map(|peer| peer[index]);
        assert!(a + b > 800, "{what}: {a} and {b} are too few to compare");
        let share = f64::from(a.max(b)) / f64::from(a + b);
        assert!(share <= 0.55, "{what}: {a} and {b}");
    }
}

/// The rollbacks and the resimulated frames of both peers.
fn costs_so_far(stepper: &Stepper) -> [[u32; 2]; 2] {
    [0, 1].map(|index| {
        let stats = stats(stepper.app(index));
        [stats.rollbacks, stats.resimulated_frames]
    })
}

#[test]
fn equal_machines_share_equally() {
    assert_fair(|_| {}, |stepper, _| stepper.update());
}

#[test]
fn a_clock_that_is_half_a_percent_fast_costs_both_the_same() {
    assert_fair(
        |stepper| set_clock(stepper, 0, UPDATE.mul_f64(1.005)),
        |stepper, _| stepper.update(),
    );
}

#[test]
fn a_screen_of_thirty_or_twenty_frames_a_second_costs_both_the_same() {
    for every in [2, 3] {
        assert_fair(
            |stepper| set_clock(stepper, 1, every * UPDATE),
            |stepper, number| {
                stepper.update_some(|index| index == 0 || number % every == every - 1);
            },
        );
    }
}

#[test]
fn a_start_that_is_a_third_of_a_second_late_costs_both_the_same() {
    assert_fair(
        |stepper| (0..18).for_each(|_| stepper.update_some(|index| index == 0)),
        |stepper, _| stepper.update(),
    );
}

#[test]
fn a_clock_that_jumps_changes_nothing() {
    assert_fair(
        |stepper| {
            stepper.updates(600);
            // By its clock, the machine was suspended for an hour.
            set_clock(stepper, 0, Duration::from_secs(3600));
            stepper.app_mut(0).update();
            set_clock(stepper, 0, UPDATE);
        },
        |stepper, _| stepper.update(),
    );
}

#[test]
fn the_delay_follows_the_network_and_all_agree() {
    let mut stepper = Stepper::in_match(2, build(busy));
    let delay = |stepper: &Stepper| stats(stepper.app(0)).input_delay;
    stepper.updates(900);
    assert_eq!(delay(&stepper), 1);
    let far = LinkConditions { latency: Duration::from_millis(90), ..LinkConditions::NONE };
    stepper.set_conditions(far);
    stepper.updates(240);
    let grown = delay(&stepper);
    assert!((4..=6).contains(&grown), "{grown} frames over 180 ms");
    stepper.set_conditions(LinkConditions::NONE);
    stepper.updates(60 * 30);
    assert_eq!(delay(&stepper), 1);
    assert_agreement(&stepper, 80);
}

/// Taps once every twelve frames, so that the test sees a tap that is lost or used twice.
fn taps(_: Seat, frame: u32) -> Input {
    Input { push: i8::from(frame % 12 == 5), ..Input::default() }
}

#[test]
fn no_tap_is_lost_or_used_twice_when_delays_change_seat_by_seat() {
    let mut stepper = Stepper::new(2, build(taps));
    stepper.join(0, 2);
    stepper.join(1, 1);
    stepper.start();
    stepper.set_conditions(LinkConditions::WIFI);
    let seats: Vec<Seat> = stepper.app(0).world().resource::<LocalInputs<Input>>().seats().to_vec();
    for round in 0..40u32 {
        let seat = seats[round as usize % 2];
        let delay = InputDelay::Fixed([0, 6, 2, 5, 1][round as usize % 5]);
        stepper.app_mut(0).world_mut().write_message(SetInputDelay { seat, delay });
        stepper.updates(60 + round % 13);
    }
    stepper.set_conditions(LinkConditions::NONE);
    stepper.updates(30);
    for app in stepper.apps() {
        let read = (stats(app).frames - 1 + 6) / 12;
        for mover in app.world().iter_entities().filter_map(|entity| entity.get::<Mover>()) {
            let taps = mover.place as u32;
            assert!(taps <= read && taps + 1 >= read, "{taps} of {read} taps: {mover:?}");
        }
    }
    assert_agreement(&stepper, 80);
}

#[test]
fn all_peers_agree_if_delays_differ_from_the_first_frame_on() {
    let mut stepper = Stepper::new(2, build(busy));
    stepper.join(0, 2);
    stepper.join(1, 1);
    stepper.update();
    stepper.app_mut(0).world_mut().write_message(SetReady(true));
    stepper.app_mut(1).world_mut().write_message(SetReady(true));
    stepper.run_until("the match begins", |apps| {
        apps.iter().any(|app| {
            let state = app.world().resource::<SessionState>();
            matches!(state, SessionState::Starting | SessionState::Running)
        })
    });
    let seats = [Seat(0), Seat(1), Seat(2)];
    for app in [0, 1] {
        for (seat, delay) in seats.into_iter().zip([6, 1, 3]) {
            let delay = InputDelay::Fixed(delay);
            stepper.app_mut(app).world_mut().write_message(SetInputDelay { seat, delay });
        }
    }
    stepper.updates(600);
    assert_agreement(&stepper, 15);
}

#[test]
fn a_fixed_delay_never_changes() {
    let fixed = NetcodeConfig { input_delay: InputDelay::Fixed(3), ..config() };
    let mut stepper = Stepper::in_match(2, |_, app| add_game(app, fixed.clone(), busy));
    stepper.set_conditions(LinkConditions::AWFUL);
    stepper.updates(600);
    assert_eq!(stats(stepper.app(0)).input_delay, 3);
}

#[test]
fn the_delay_begins_with_what_the_link_needs() {
    let adaptive = InputDelay::Adaptive { min: 1, max: 6 };
    let mut stepper = Stepper::new(2, |_, app| {
        add_game(app, NetcodeConfig { input_delay: adaptive, ..config() }, busy);
    });
    let latency = Duration::from_millis(90);
    stepper.set_conditions(LinkConditions { latency, ..LinkConditions::NONE });
    (0..2).for_each(|index| stepper.join(index, 1));
    // The link is measured in the lobby.
    stepper.updates(120);
    stepper.start();
    stepper.run_until("the match runs", |apps| apps.iter().all(|app| stats(app).frames > 0));
    for app in stepper.apps() {
        // 90 ms are 5.4 frames, of which peers may predict two.
        assert_eq!((stats(app).frames < 10, stats(app).input_delay), (true, 4));
    }
}
