//! Peers that the owner removes from the room: a peer in the lobby leaves at once, a peer in a
//! match only if the owner plays in it.

use bevy::app::App;
use netcode::{
    NetcodeConfig, Place, Room, RoomMember, RoomState, TransportError, prelude::*, testing::Stepper,
};
use signaling::lobby::RoomEvent;

use crate::support::{add_game, build, busy, config, state, stats};

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

/// Three machines in a match, in a room that the first one owns. None of them does what the server
/// says of removals, as a player might who does not want to be removed.
fn three_in_match(config: &NetcodeConfig) -> Stepper {
    let mut stepper = Stepper::in_match(3, |_, app| add_game(app, config.clone(), busy));
    let room = owned_by(&stepper, 0);
    (0..3).for_each(|index| stepper.tell_of_room(index, &room));
    stepper.updates(120);
    stepper
}

fn kick(stepper: &mut Stepper, by: usize, whom: usize) {
    let whom = stepper.id(whom).expect("it entered");
    stepper.app_mut(by).world_mut().write_message(AskRoom(RoomRequest::Kick(whom)));
    stepper.updates(120);
}

fn seat_states(app: &App) -> Vec<SeatState> {
    app.world().resource::<Roster>().seats().iter().map(|seat| seat.state).collect()
}

#[test]
fn a_player_that_the_owner_removes_loses_its_seat_even_if_it_stays() {
    let mut stepper = three_in_match(&config());
    kick(&mut stepper, 0, 2);
    for index in 0..2 {
        let app = stepper.app(index);
        assert_eq!(seat_states(app), [SeatState::Peer, SeatState::Peer, SeatState::Empty]);
        assert!(state(app).is_running() && stats(app).desyncs == 0);
    }
    assert_eq!(*state(stepper.app(2)), SessionState::Ended(EndReason::PutAway));
    assert!(stepper.take_asked(0).iter().any(|asked| matches!(asked, RoomRequest::Kick(_))));
}

#[test]
fn only_the_owner_removes_anybody_and_only_where_the_game_allows_it() {
    let mut stepper = three_in_match(&config());
    kick(&mut stepper, 1, 2);
    let forbidden = NetcodeConfig { owner_may_kick: false, ..config() };
    let mut strict = three_in_match(&forbidden);
    kick(&mut strict, 0, 2);
    assert!(strict.take_asked(0).iter().all(|asked| !matches!(asked, RoomRequest::Kick(_))));
    for app in stepper.apps().iter().chain(strict.apps()) {
        assert_eq!(seat_states(app), [SeatState::Peer; 3]);
        assert!(state(app).is_running());
    }
}

#[test]
fn a_member_that_only_claims_to_own_the_room_removes_nobody() {
    let mut stepper = three_in_match(&config());
    let victim = stepper.id(2).expect("it entered").0.as_u128().to_be_bytes();
    let mut message = vec![10, 9, 1, 16];
    message.extend(victim);
    for to in [0, 2] {
        stepper.inject_control(1, to, &message);
    }
    stepper.updates(120);
    assert!(stepper.apps().iter().all(|app| seat_states(app) == [SeatState::Peer; 3]));
    assert_eq!(stats(stepper.app(0)).dropped.stranger, 1);
}
