//! Single bad things, one after the other, and what is to come of each.

use std::time::Duration;

use super::{
    events::Event,
    machine::Status,
    network::peer,
    trial::{BEGIN, Outcome, Trial},
};
use crate::membership::change::{Occupant, Value};

const SEEDS: u64 = 20;
/// The machines miss each other by then, and have agreed on what is to come of it.
const AGREED: Duration = Duration::from_millis(2500);
/// Shorter than a seat is kept.
const OUTAGE: Duration = Duration::from_millis(3500);

/// A match of `count` machines that has run for half a second.
fn begun(seed: u64, count: usize) -> Trial {
    let mut trial = Trial::new(seed, count);
    trial.run_until(BEGIN + Duration::from_millis(500));
    trial
}

fn run_for(trial: &mut Trial, time: Duration) {
    trial.run_until(trial.now + time);
}

/// The frames by which each machine gets further in this time.
fn frames_in(trial: &mut Trial, time: Duration) -> Vec<u32> {
    let exposed = |trial: &Trial| Vec::from_iter(trial.machines.iter().map(|it| it.game.exposed));
    let before = exposed(trial);
    run_for(trial, time);
    exposed(trial).into_iter().zip(before).map(|(after, before)| after - before).collect()
}

fn is_whole(value: &Value) -> bool {
    (0..value.seats.len()).all(|seat| value.seats[seat] == Occupant::Peer(peer(seat)))
}

/// The number of machines that hold a seat.
fn players(trial: &Trial) -> usize {
    let newest = trial.newest().expect("the match goes on without some of its machines");
    (0..newest.seats.len()).filter(|&seat| newest.seats[seat] == Occupant::Peer(peer(seat))).count()
}

fn settles(trial: &mut Trial) {
    let outcome = trial.settle();
    assert!(matches!(outcome, Outcome::GoesOn(_)), "{outcome:?}");
}

#[test]
fn halves_that_do_not_reach_each_other_wait_for_each_other() {
    for seed in 0..SEEDS {
        let mut trial = begun(seed, 4);
        trial.happen(Event::Split { part: 0b0101, time: OUTAGE });
        run_for(&mut trial, Duration::from_secs(1));
        let frames = frames_in(&mut trial, Duration::from_secs(2));
        assert_eq!(frames, [0; 4], "seed {seed}: one half went on");
        settles(&mut trial);
        assert!(trial.epochs.values().all(is_whole), "seed {seed}: a machine was put away");
    }
}

#[test]
fn two_machines_that_do_not_reach_each_other_wait_and_play_on() {
    for seed in 0..SEEDS {
        let mut trial = begun(seed, 2);
        trial.happen(Event::Split { part: 0b01, time: Duration::from_secs(2) });
        run_for(&mut trial, Duration::from_secs(1));
        assert_eq!(frames_in(&mut trial, Duration::from_millis(500)), [0; 2], "seed {seed}");
        settles(&mut trial);
    }
}

#[test]
fn the_larger_part_of_a_match_goes_on_and_the_smaller_one_returns() {
    for seed in 0..SEEDS {
        let mut trial = begun(seed, 5);
        trial.happen(Event::Split { part: 0b10010, time: OUTAGE });
        run_for(&mut trial, AGREED);
        let frames = frames_in(&mut trial, Duration::from_millis(500));
        let expected = [0, 2, 3].iter().all(|&it| frames[it] >= 10);
        assert!(expected && frames[1] == 0 && frames[4] == 0, "seed {seed}: {frames:?}");
        settles(&mut trial);
        assert_eq!(players(&trial), 5, "seed {seed}");
    }
}

/// Until machines relay inputs for each other, one of both has to be put away.
#[test]
fn a_match_goes_on_without_one_of_two_machines_that_do_not_reach_each_other() {
    for seed in 0..SEEDS {
        let mut trial = begun(seed, 3);
        trial.happen(Event::Part { one: 0, other: 1, time: OUTAGE });
        run_for(&mut trial, AGREED);
        let frames = frames_in(&mut trial, Duration::from_millis(500));
        let going_on = frames.iter().filter(|&&frames| frames >= 10).count();
        assert!(frames[2] >= 10 && going_on >= 2, "seed {seed}: {frames:?}");
        assert_eq!(players(&trial), 2, "seed {seed}");
        settles(&mut trial);
        assert_eq!(players(&trial), 3, "seed {seed}");
    }
}

#[test]
fn machines_may_be_lost_while_the_others_agree_on_the_loss_of_another() {
    for seed in 0..SEEDS {
        for after_ms in [0, 300, 500, 600, 700, 900] {
            let mut trial = begun(seed, 7);
            for machine in [0, 3, 5] {
                trial.happen(Event::Kill { machine, closes_after: None });
                run_for(&mut trial, Duration::from_millis(after_ms));
            }
            settles(&mut trial);
            assert_eq!(players(&trial), 4, "seed {seed}, {after_ms} ms");
        }
    }
}

#[test]
fn the_last_of_three_machines_plays_on_if_the_others_said_goodbye() {
    for seed in 0..SEEDS {
        let mut trial = begun(seed, 3);
        trial.happen(Event::Leave { machine: 1 });
        run_for(&mut trial, Duration::from_secs(1));
        trial.happen(Event::Leave { machine: 0 });
        run_for(&mut trial, Duration::from_secs(2));
        let ended = Vec::from_iter(trial.machines.iter().map(|it| it.status.clone()));
        assert_eq!(ended[..2], [Status::Left, Status::Left], "seed {seed}");
        assert_ne!(ended[2], Status::Starting, "seed {seed}");
        if trial.machines[2].is_playing() {
            assert!(trial.goes_on() && players(&trial) == 1, "seed {seed}");
        }
    }
}
