//! The reason why a match does not start, which the lobby gives only while there is one.

use bevy::prelude::*;
use netcode::{Lobby, StartBlocker, prelude::*, testing::Stepper};

use crate::support::{build, busy, state};

fn blocker(stepper: &Stepper, index: usize) -> Option<StartBlocker> {
    stepper.app(index).world().resource::<Lobby>().blocker()
}

#[test]
fn a_player_in_a_match_waits_for_nobody() {
    let mut stepper = Stepper::in_match(3, build(busy));
    for _ in 0..120 {
        stepper.update();
        for index in 0..3 {
            assert_eq!(blocker(&stepper, index), None, "peer {index}");
        }
    }
    stepper.app_mut(0).world_mut().write_message(FinishMatch);
    stepper.run_until("peer 0 is in the lobby", |apps| *state(&apps[0]) == SessionState::Gathering);
    stepper.update();
    let names = vec!["peer 1".into(), "peer 2".into()];
    assert_eq!(blocker(&stepper, 0), Some(StartBlocker::OthersInMatch { names }));
}

#[test]
fn a_peer_outside_of_a_room_waits_for_nobody() {
    let mut stepper = Stepper::new(1, build(busy));
    stepper.update();
    assert_eq!(blocker(&stepper, 0), None, "offline");
    let seats = vec!["left".into(), "right".into()];
    let start = StartLocal { seats, seed: 1, sync_test: None };
    stepper.app_mut(0).world_mut().write_message(start);
    stepper.updates(60);
    let state = stepper.app(0).world().resource::<SessionState>();
    assert!(state.is_running(), "{state:?}");
    assert_eq!(blocker(&stepper, 0), None, "in a local match");
    stepper.app_mut(0).world_mut().write_message(LeaveRoom);
    stepper.update();
    stepper.join(0, 1);
    stepper.updates(2);
    assert_eq!(blocker(&stepper, 0), Some(StartBlocker::TooFew { missing: 1 }), "in a room");
}
