//! Peers that are in the room and take no part in matches, and peers that change their names.

use bevy::app::App;
use netcode::{Rename, SetSpectating, StartBlocker, prelude::*, testing::Stepper};

use crate::support::{assert_agreement, build, busy, state, stats};

fn lobby(app: &App) -> &Lobby {
    app.world().resource::<Lobby>()
}

fn ask(stepper: &mut Stepper, index: usize, request: impl bevy::prelude::Message) {
    stepper.app_mut(index).world_mut().write_message(request);
}

/// Three peers in a room, of which the one with this index sits out; the others play.
fn with_spectator(spectator: usize) -> Stepper {
    let mut stepper = Stepper::new(3, build(busy));
    (0..3).for_each(|index| stepper.join(index, 1));
    stepper.run_until("everybody sees everybody", |apps| {
        apps.iter().all(|app| lobby(app).seats() == 3)
    });
    ask(&mut stepper, spectator, SetSpectating(true));
    stepper.run_until("everybody knows", |apps| apps.iter().all(|app| lobby(app).seats() == 2));
    for index in (0..3).filter(|&index| index != spectator) {
        ask(&mut stepper, index, SetReady(true));
    }
    stepper.run_until("the others play", |apps| {
        let playing = apps.iter().filter(|app| state(app).is_running());
        playing.count() == 2
    });
    stepper
}

#[test]
fn the_others_play_without_who_spectates_whoever_that_is() {
    for spectator in 0..3 {
        let mut stepper = with_spectator(spectator);
        stepper.updates(120);
        let players = [0, 1, 2].into_iter().filter(|&index| index != spectator);
        for index in players {
            let app = stepper.app(index);
            assert!(stats(app).confirmed_frames > 60);
            assert_eq!(app.world().resource::<Roster>().seats().len(), 2);
        }
        let app = stepper.app(spectator);
        assert_eq!(*state(app), SessionState::Gathering);
        assert_eq!(lobby(app).blocker(), Some(StartBlocker::Spectating));
        assert!(lobby(app).peers.iter().all(|peer| peer.in_match && !peer.spectates));
        assert_eq!(stats(app).dropped, Default::default());
    }
}

#[test]
fn a_spectator_that_goes_takes_nobody_with_it() {
    let mut stepper = with_spectator(1);
    stepper.updates(60);
    ask(&mut stepper, 1, LeaveRoom);
    stepper.updates(60);
    assert_eq!(lobby(stepper.app(0)).peers.len(), 1);
    assert!([0, 2].into_iter().all(|index| state(stepper.app(index)).is_running()));

    let mut stepper = with_spectator(1);
    stepper.crash(1);
    stepper.updates(60 * 30);
    assert!([0, 2].into_iter().all(|index| state(stepper.app(index)).is_running()));
}

#[test]
fn who_spectated_plays_the_next_match_once_it_is_ready() {
    let mut stepper = with_spectator(0);
    stepper.updates(60);
    ask(&mut stepper, 0, SetSpectating(false));
    stepper.updates(10);
    let waits = lobby(stepper.app(0)).blocker();
    assert!(matches!(waits, Some(StartBlocker::OthersInMatch { .. })), "{waits:?}");
    for index in [1, 2] {
        ask(&mut stepper, index, FinishMatch);
        ask(&mut stepper, index, SetReady(true));
    }
    stepper.updates(60);
    assert_eq!(lobby(stepper.app(0)).blocker(), Some(StartBlocker::NotReady));
    stepper.start();
    stepper.updates(120);
    assert_agreement(&stepper, 3);
    assert_eq!(stepper.app(0).world().resource::<Roster>().seats().len(), 3);
}

#[test]
fn whoever_sits_out_has_to_get_ready_anew() {
    let mut stepper = Stepper::new(2, build(busy));
    (0..2).for_each(|index| stepper.join(index, 1));
    ask(&mut stepper, 0, SetReady(true));
    stepper.updates(10);
    assert!(lobby(stepper.app(0)).ready);
    ask(&mut stepper, 0, SetSpectating(true));
    ask(&mut stepper, 1, SetReady(true));
    stepper.updates(10);
    ask(&mut stepper, 0, SetSpectating(false));
    stepper.updates(60);
    assert!(!lobby(stepper.app(0)).ready);
    assert_eq!(*state(stepper.app(1)), SessionState::Gathering);
}

#[test]
fn a_new_name_is_seen_by_the_others_and_stands_in_the_next_match() {
    let names = |app: &App| -> Vec<String> {
        app.world().resource::<Roster>().seats().iter().map(|seat| seat.name.clone()).collect()
    };
    let mut stepper = Stepper::in_match(2, build(busy));
    ask(&mut stepper, 0, Rename("  Ada\u{7} ".into()));
    stepper.updates(10);
    assert_eq!(lobby(stepper.app(0)).name, "Ada");
    assert_eq!(lobby(stepper.app(1)).peers[0].name, "Ada");
    assert!(names(stepper.app(1)).contains(&"peer 0".to_owned()), "this match has the old one");
    for index in 0..2 {
        ask(&mut stepper, index, FinishMatch);
    }
    // In the moment in which the match is agreed on: one knows of it later than the other.
    ask(&mut stepper, 1, Rename("Bo".into()));
    stepper.start();
    for index in 0..2 {
        let mut names = names(stepper.app(index));
        names.sort();
        assert_eq!(names, ["Ada", "Bo"]);
    }
    stepper.updates(120);
    assert_agreement(&stepper, 3);
}
