//! Peers that the owner removes from the room: a peer in the lobby leaves at once, a peer in a
//! match only if the owner plays in it.

use bevy::app::App;
use netcode::{Place, Room, RoomMember, RoomState, TransportError, prelude::*, testing::Stepper};
use signaling::lobby::RoomEvent;

use crate::support::{build, busy, state, stats};

/// The room in which the first two peers play a match, owned by the peer with the index `owner`.
fn owned_by(stepper: &Stepper, owner: usize) -> RoomEvent {
    let member = |index| RoomMember {
        id: stepper.id(index).expect("it entered"),
        name: format!("peer {index}"),
        place: if index == 2 { Place::Spectator } else { Place::Player },
        is_ready: false,
        is_here: true,
    };
    RoomEvent::Room(RoomState {
        name: "den".into(),
        capacity: 2,
        spectators: 1,
        owner: stepper.id(owner),
        members: (0..3).map(member).collect(),
        ..RoomState::default()
    })
}

/// Two peers in a match, and a third one that spectates. The server has sent them the room, which
/// the peer with the index `owner` owns.
fn in_match(owner: usize) -> Stepper {
    let mut stepper = Stepper::new(3, build(busy));
    (0..3).for_each(|index| stepper.join(index, 1));
    let seats = |app: &App| app.world().resource::<Lobby>().seats();
    stepper
        .run_until("all three peers see each other", |apps| apps.iter().all(|app| seats(app) == 3));
    let room = owned_by(&stepper, owner);
    (0..3).for_each(|index| stepper.tell_of_room(index, &room));
    stepper.run_until("two play", |apps| apps.iter().all(|app| seats(app) == 2));
    for index in 0..2 {
        stepper.app_mut(index).world_mut().write_message(SetReady(true));
    }
    stepper.run_until("the match runs", |apps| apps[..2].iter().all(|app| state(app).is_running()));
    stepper.updates(60);
    stepper
}

fn removed() -> SessionState {
    SessionState::Ended(TransportError::Kicked.into())
}

#[test]
fn an_owner_that_does_not_play_in_a_match_ends_it_for_nobody() {
    let mut stepper = in_match(2);
    let before = stats(stepper.app(0)).confirmed_frames;
    stepper.remove_from_room(1);
    stepper.updates(300);
    for index in 0..2 {
        assert!(state(stepper.app(index)).is_running(), "{index}");
        assert!(stats(stepper.app(index)).confirmed_frames > before + 200, "{index}");
    }
    let room = stepper.app(1).world().resource::<Room>();
    assert!(room.is_removed && room.state.is_some());
    // It leaves once the match is over and the other player has its last inputs.
    for index in 0..2 {
        stepper.app_mut(index).world_mut().write_message(FinishMatch);
    }
    stepper.run_until("the removed peer is out", |apps| *state(&apps[1]) == removed());
    assert_eq!(*state(stepper.app(0)), SessionState::Gathering);
    assert_eq!(*stepper.app(1).world().resource::<Room>(), Room::default());
}

#[test]
fn an_owner_that_plays_removes_a_player_from_its_match() {
    let mut stepper = in_match(0);
    stepper.remove_from_room(1);
    stepper.updates(10);
    assert_eq!(*state(stepper.app(1)), removed());
    let reason = EndReason::PeerLeft { name: "peer 1".into() };
    assert_eq!(*state(stepper.app(0)), SessionState::Ended(reason));
}

#[test]
fn a_peer_that_waits_in_the_lobby_is_removed_at_once() {
    let mut stepper = in_match(2);
    stepper.remove_from_room(2);
    stepper.updates(10);
    assert_eq!(*state(stepper.app(2)), removed());
    assert!((0..2).all(|index| state(stepper.app(index)).is_running()));
}
