//! Peers that are in the room but take no part in matches, and peers that change their names.

use bevy::app::App;
use netcode::{
    Denial, DroppedPackets, Place, Rename, RoomDenied, RoomMember, RoomRequest, RoomState,
    SetSpectating, StartBlocker, prelude::*, testing::Stepper,
};
use signaling::lobby::RoomEvent;

use crate::support::{assert_agreement, build, busy, state, stats};

fn lobby(app: &App) -> &Lobby {
    app.world().resource::<Lobby>()
}

fn ask(stepper: &mut Stepper, index: usize, request: impl bevy::prelude::Message) {
    stepper.app_mut(index).world_mut().write_message(request);
}

/// Three peers in a room: the one with the index `spectator` spectates, the other two play.
fn with_spectator(spectator: usize) -> Stepper {
    let mut stepper = Stepper::new(3, build(busy));
    (0..3).for_each(|index| stepper.join(index, 1));
    stepper.run_until("everybody sees everybody", |apps| {
        apps.iter().all(|app| lobby(app).seats() == 3)
    });
    ask(&mut stepper, spectator, SetSpectating(true));
    stepper.run_until("every peer knows of the spectator", |apps| {
        apps.iter().all(|app| lobby(app).seats() == 2)
    });
    for index in (0..3).filter(|&index| index != spectator) {
        ask(&mut stepper, index, SetReady(true));
    }
    stepper.run_until("the other peers play", |apps| {
        let playing = apps.iter().filter(|app| state(app).is_running());
        playing.count() == 2
    });
    stepper
}

#[test]
fn peers_play_without_the_one_that_spectates() {
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
        assert!(lobby(app).peers.iter().all(|peer| peer.is_in_match && !peer.is_spectator));
        assert_eq!(stats(app).dropped, DroppedPackets::default());
    }
}

#[test]
fn a_spectator_that_leaves_ends_no_match() {
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
fn a_former_spectator_plays_the_next_match_once_it_is_ready() {
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
fn a_peer_that_spectated_has_to_get_ready_again() {
    let mut stepper = Stepper::new(2, build(busy));
    (0..2).for_each(|index| stepper.join(index, 1));
    ask(&mut stepper, 0, SetReady(true));
    stepper.updates(10);
    assert!(lobby(stepper.app(0)).is_ready);
    ask(&mut stepper, 0, SetSpectating(true));
    ask(&mut stepper, 1, SetReady(true));
    stepper.updates(10);
    ask(&mut stepper, 0, SetSpectating(false));
    stepper.updates(60);
    assert!(!lobby(stepper.app(0)).is_ready);
    assert_eq!(*state(stepper.app(1)), SessionState::Gathering);
}

#[test]
fn a_new_name_reaches_the_other_peers_and_the_next_match() {
    let names = |app: &App| -> Vec<String> {
        app.world().resource::<Roster>().seats().iter().map(|seat| seat.name.clone()).collect()
    };
    let mut stepper = Stepper::in_match(2, build(busy));
    ask(&mut stepper, 0, Rename("  Ada\u{7} ".into()));
    stepper.updates(10);
    assert_eq!(lobby(stepper.app(0)).name, "Ada");
    assert_eq!(lobby(stepper.app(1)).peers[0].name, "Ada");
    assert!(names(stepper.app(1)).contains(&"peer 0".to_owned()), "this match has the old name");
    for index in 0..2 {
        ask(&mut stepper, index, FinishMatch);
    }
    // While the peers agree on the match: one of them knows of the name later than the other.
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

/// The room as a server describes it: these peers, in these places, under the names with which they
/// joined.
fn room(stepper: &Stepper, members: &[(usize, Place)]) -> RoomEvent {
    let member = |&(index, place): &(usize, Place)| RoomMember {
        id: stepper.id(index).expect("it entered"),
        name: format!("peer {index}"),
        place,
        is_ready: false,
        is_here: true,
    };
    let owner = stepper.id(0);
    RoomEvent::Room(RoomState {
        name: "den".into(),
        capacity: 4,
        spectators: 4,
        owner,
        members: members.iter().map(member).collect(),
        ..RoomState::default()
    })
}

/// A room of this number of peers that see each other.
fn gathered(peers: usize) -> Stepper {
    let mut stepper = Stepper::new(peers, build(busy));
    (0..peers).for_each(|index| stepper.join(index, 1));
    stepper.run_until("everybody sees everybody", |apps| {
        apps.iter().all(|app| lobby(app).seats() as usize == peers)
    });
    stepper
}

#[test]
fn the_server_has_the_last_word_on_places() {
    use Place::{Player, Spectator};
    let mut stepper = gathered(3);
    let seated = room(&stepper, &[(0, Player), (1, Player), (2, Spectator)]);
    (0..2).for_each(|index| stepper.tell_of_room(index, &seated));
    stepper.updates(5);
    assert!(lobby(stepper.app(0)).peers[1].is_spectator, "the server decides, not the peer itself");
    assert!(!lobby(stepper.app(2)).is_spectator, "it has not heard from the server yet");
    stepper.tell_of_room(2, &seated);
    stepper.updates(5);
    assert!(lobby(stepper.app(2)).is_spectator);

    stepper.take_asked(2);
    ask(&mut stepper, 2, SetSpectating(false));
    stepper.updates(5);
    assert_eq!(stepper.take_asked(2), [RoomRequest::SetPlace(Player)]);
    assert!(lobby(stepper.app(2)).is_spectator, "until the server says so");
    stepper.tell_of_room(2, &RoomEvent::Denied(Denial::NoPlace));
    stepper.update();
    assert!(lobby(stepper.app(2)).is_spectator);
    assert_eq!(
        stepper.app(2).world().resource::<bevy::prelude::Messages<RoomDenied>>().len(),
        1,
        "the game receives the refusal"
    );
    let all = room(&stepper, &[(0, Player), (1, Player), (2, Player)]);
    (0..3).for_each(|index| stepper.tell_of_room(index, &all));
    stepper.updates(5);
    assert_eq!(lobby(stepper.app(0)).seats(), 3);
}

#[test]
fn a_wish_to_spectate_waits_until_the_server_has_sent_the_room() {
    let mut stepper = gathered(2);
    ask(&mut stepper, 1, SetSpectating(true));
    stepper.updates(5);
    assert_eq!(stepper.take_asked(1), []);
    let room = room(&stepper, &[(0, Place::Player), (1, Place::Player)]);
    stepper.tell_of_room(1, &room);
    stepper.updates(5);
    assert_eq!(stepper.take_asked(1), [RoomRequest::SetPlace(Place::Spectator)]);
    stepper.tell_of_room(1, &RoomEvent::Denied(Denial::NoPlace));
    stepper.updates(5);
    assert!(!lobby(stepper.app(1)).is_spectator, "it keeps its place");
}

#[test]
fn a_removed_peer_that_stays_connected_keeps_nobody_from_playing() {
    let mut stepper = gathered(3);
    let room = room(&stepper, &[(0, Place::Player), (1, Place::Player)]);
    (0..2).for_each(|index| stepper.tell_of_room(index, &room));
    stepper.updates(5);
    assert_eq!(lobby(stepper.app(0)).peers.len(), 1);
    (0..2).for_each(|index| ask(&mut stepper, index, SetReady(true)));
    stepper.run_until("the two play", |apps| apps[..2].iter().all(|app| state(app).is_running()));
    // Once the server is away, what it said of the peers no longer counts.
    stepper.stop_signaling();
    stepper.updates(5);
    assert_eq!(lobby(stepper.app(0)).peers.len(), 2);
}

#[test]
fn a_new_name_is_sent_to_the_server_until_the_server_has_it() {
    let mut stepper = gathered(2);
    ask(&mut stepper, 1, Rename("Bo".into()));
    stepper.updates(5);
    assert_eq!(stepper.take_asked(1), [], "the server has sent no room yet");
    let old = room(&stepper, &[(0, Place::Player), (1, Place::Player)]);
    stepper.tell_of_room(1, &old);
    stepper.updates(60);
    let rename = [RoomRequest::Rename("Bo".into())];
    assert_eq!(stepper.take_asked(1), rename);
    stepper.updates(120);
    assert_eq!(stepper.take_asked(1), rename, "it asks again, because the name has not changed");
    let RoomEvent::Room(mut new) = old else { panic!("it is a room") };
    new.members[1].name = "Bo".into();
    stepper.tell_of_room(1, &RoomEvent::Room(new));
    stepper.updates(300);
    assert_eq!(stepper.take_asked(1), []);
}
