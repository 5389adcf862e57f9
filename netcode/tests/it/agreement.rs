//! Peers that say that they want to play, but keep the match from starting: they are named, and the
//! other peers play without them.

use netcode::{Lobby, StartBlocker, prelude::*, testing::Stepper};

use crate::support::{assert_agreement, build, busy, state};

/// A room of three peers that see each other.
fn gathered() -> Stepper {
    let mut stepper = Stepper::new(3, build(busy));
    (0..3).for_each(|index| stepper.join(index, 1));
    stepper.record();
    stepper.run_until("everybody sees everybody", |apps| {
        apps.iter().all(|app| app.world().resource::<Lobby>().seats() == 3)
    });
    stepper.updates(10);
    stepper
}

/// The last status that one peer sent, after `change`.
fn status(stepper: &mut Stepper, from: usize, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let is_status = |bytes: &[u8]| bytes.get(1) == Some(&1);
    let sent = stepper.record().into_iter().rev();
    let mut sent = sent.filter(|sent| sent.from == from && sent.is_control);
    let mut status = sent.find(|sent| is_status(&sent.bytes)).expect("it sent its status").bytes;
    change(&mut status);
    status
}

/// Plays one second in which the peer `silent` only shows that it is connected, while the other
/// peers are updated.
fn second_without(stepper: &mut Stepper, silent: usize) {
    for _ in 0..60 {
        for to in (0..3).filter(|&to| to != silent) {
            stepper.inject_datagram(silent, to, &[0, 0, 0, 0, 0, 0, 0, 0, 0xfb, 0xff, 0xff, 0]);
        }
        stepper.update_some(|index| index != silent);
    }
}

fn get_ready(stepper: &mut Stepper, index: usize) {
    stepper.app_mut(index).world_mut().write_message(SetReady(true));
}

fn blocker(stepper: &Stepper, index: usize) -> Option<StartBlocker> {
    stepper.app(index).world().resource::<Lobby>().blocker()
}

#[test]
fn any_ready_player_that_never_answers_is_named_and_counted_out() {
    for silent in 0..3 {
        let mut stepper = gathered();
        let others: Vec<usize> = (0..3).filter(|&index| index != silent).collect();
        let ready = status(&mut stepper, silent, |status| status[2] = 1);
        for &to in &others {
            stepper.inject_control(silent, to, &ready);
            get_ready(&mut stepper, to);
        }
        (0..5).for_each(|_| second_without(&mut stepper, silent));
        let names = vec![format!("peer {silent}")];
        for &index in &others {
            let expected = StartBlocker::NoAnswer { names: names.clone() };
            assert_eq!(blocker(&stepper, index), Some(expected));
        }
        (0..7).for_each(|_| second_without(&mut stepper, silent));
        for &index in &others {
            let app = stepper.app(index);
            assert!(state(app).is_running(), "{:?}", state(app));
            assert_eq!(app.world().resource::<Roster>().seats().len(), 2);
        }
    }
}

/// A room of three peers that all say that they are ready. The last one gives `listener` a
/// different name than the other peer.
fn gathered_with_another_name_for(listener: usize) -> Stepper {
    let mut stepper = gathered();
    get_ready(&mut stepper, 2);
    stepper.updates(5);
    let renamed = status(&mut stepper, 2, |status| {
        let last = status.len() - 1;
        status[last] = b'9';
    });
    stepper.inject_control(2, listener, &renamed);
    stepper.update();
    (0..2).for_each(|index| get_ready(&mut stepper, index));
    stepper
}

fn names(stepper: &Stepper, index: usize) -> Vec<String> {
    let roster = stepper.app(index).world().resource::<Roster>();
    roster.seats().iter().map(|seat| seat.name.clone()).collect()
}

#[test]
fn a_player_that_goes_by_different_names_keeps_nobody_else_from_playing() {
    // The leader knows the player by another name than the player itself.
    let mut stepper = gathered_with_another_name_for(0);
    stepper.updates(60 * 12);
    assert!([0, 1].iter().all(|&index| state(stepper.app(index)).is_running()));
    assert_eq!([0, 1].map(|index| names(&stepper, index).len()), [2, 2]);
}

#[test]
fn a_name_that_only_one_peer_has_heard_keeps_nobody_from_playing() {
    // The listener is not the leader.
    let mut stepper = gathered_with_another_name_for(1);
    stepper.updates(60);
    assert!(stepper.apps().iter().all(|app| state(app).is_running()));
    for index in 0..3 {
        assert_eq!(names(&stepper, index), ["peer 0", "peer 1", "peer 2"]);
    }
    stepper.updates(120);
    assert_agreement(&stepper, 3);
}
