//! Hidden pages: they play on, and the other peers see that they are hidden.

use std::time::Duration;

use bevy::{app::App, time::TimeUpdateStrategy};
use netcode::{prelude::*, testing::Stepper};

use crate::support::{assert_agreement, build, busy, state, stats};

/// Time between two updates of a hidden page: two updates of the other peers.
const HIDDEN_UPDATE: Duration = Duration::from_nanos(33_333_334);

/// The names of the other peers that this app sees as hidden.
fn hidden_peers(app: &App) -> Vec<String> {
    let lobby = app.world().resource::<Lobby>();
    lobby.peers.iter().filter(|peer| peer.is_hidden).map(|peer| peer.name.clone()).collect()
}

#[test]
fn the_other_peers_see_that_a_page_is_hidden_and_it_holds_nobody_up() {
    let mut stepper = Stepper::in_match(3, build(busy));
    stepper.updates(60);
    let stalls = |stepper: &Stepper| [0, 2].map(|index| stats(stepper.app(index)).stalls);
    let before = (stats(stepper.app(0)).confirmed_frames, stalls(&stepper));
    stepper.set_hidden(1, true);
    stepper.app_mut(1).insert_resource(TimeUpdateStrategy::ManualDuration(HIDDEN_UPDATE));
    for _ in 0..600 {
        stepper.app_mut(0).update();
        stepper.app_mut(2).update();
        stepper.update();
    }
    for index in [0, 2] {
        assert_eq!(hidden_peers(stepper.app(index)), ["peer 1"]);
    }
    assert_eq!(hidden_peers(stepper.app(1)), [""; 0]);
    assert!(stepper.app(1).world().resource::<Lobby>().is_hidden);
    let confirmed = stats(stepper.app(0)).confirmed_frames - before.0;
    assert!((1180..=1220).contains(&confirmed), "{confirmed} frames in 20 s");
    assert_eq!(stalls(&stepper), before.1);
    stepper.set_hidden(1, false);
    stepper.updates(2);
    assert_eq!(hidden_peers(stepper.app(0)), [""; 0]);
    assert_agreement(&stepper, 30);
}

#[test]
fn a_page_stays_hidden_across_matches_and_rooms() {
    let is_hidden = |stepper: &Stepper| stepper.app(1).world().resource::<Lobby>().is_hidden;
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    stepper.set_hidden(1, true);
    stepper.app_mut(0).world_mut().write_message(LeaveRoom);
    stepper.updates(5);
    assert!(matches!(state(stepper.app(1)), SessionState::Ended(_)));
    assert!(is_hidden(&stepper), "nobody sees the page that shows the end");
    stepper.join(0, 1);
    stepper.join(1, 1);
    stepper.updates(5);
    assert_eq!(hidden_peers(stepper.app(0)), ["peer 1"]);
    stepper.app_mut(1).world_mut().write_message(LeaveRoom);
    stepper.updates(5);
    stepper.set_hidden(1, false);
    stepper.updates(1);
    assert!(!is_hidden(&stepper), "somebody sees the menu");
    stepper.join(1, 1);
    stepper.updates(5);
    assert_eq!(hidden_peers(stepper.app(0)), [""; 0]);
}
