//! How the signaller handles the server's messages.

use signaling::{
    lobby::{Place, RoomMember},
    protocol::Refusal,
};

use super::{super::sdp::Candidates, *};

#[test]
fn a_peer_with_a_token_comes_back_by_it() {
    let mut signaller = RoomSignaller::without_server(Candidates::All);
    signaller.url = "ws://host/v1/quick?players=2&key=1".into();
    assert_eq!(signaller.way_back(), None, "it would meet another stranger");
    assert_eq!(signaller.read(r#"{"Resume":"a.b"}"#), None);
    assert_eq!(signaller.way_back(), Some(format!("{}&token=a.b", signaller.url)));
    let too_long = format!(r#"{{"Resume":"{}"}}"#, "x".repeat(MAX_TOKEN_BYTES + 1));
    for nonsense in [too_long.as_str(), r#"{"Resume":1}"#, "nonsense"] {
        assert_eq!(signaller.read(nonsense), None);
    }
    assert_eq!(signaller.mailbox.take_bad_signals(), 3);
    assert_eq!(signaller.read(r#"{"Service":"Impaired"}"#), None);
    assert_eq!(signaller.mailbox.take_bad_signals(), 0);
    assert_eq!(signaller.mailbox.take_room().count(), 1, "it is news of the room");
    assert!(signaller.way_back().is_some(), "the good one is kept");
}

#[test]
fn a_peer_that_leaves_while_the_server_is_away_does_not_come_back() {
    let mut signaller = RoomSignaller::without_server(Candidates::All);
    (signaller.url, signaller.is_lasting) = ("ws://127.0.0.1:1/room?key=1".into(), true);
    let mailbox = signaller.mailbox.clone();
    let mut running = Box::pin(signaller.run(futures::channel::mpsc::unbounded().1));
    assert!(running.as_mut().now_or_never().is_none(), "it tries to come back");
    mailbox.leave();
    assert_eq!(running.as_mut().now_or_never(), Some(()));
    assert!(mailbox.has_left());
}

#[test]
fn each_absence_of_a_peer_from_the_server_is_reported_once() {
    let mut signaller = RoomSignaller::without_server(Candidates::All);
    let bob = signaling::protocol::PeerId::from_u128(2);
    let mut see = |is_here: bool| {
        let member = RoomMember {
            id: bob,
            name: String::new(),
            place: Place::Player,
            is_ready: false,
            is_here,
        };
        let room = RoomState { members: vec![member], ..RoomState::default() };
        let text = serde_json::to_string(&RoomEvent::Room(room)).unwrap();
        assert_eq!(signaller.read(&text), None);
        signaller.mailbox.take_steps().0
    };
    let missed = [(PeerId(bob.0), PeerStep::Missed)];
    assert_eq!(see(true), []);
    assert_eq!(see(false), missed);
    assert_eq!(see(false), [], "that is known");
    assert_eq!(see(true), []);
    assert_eq!(see(false), missed, "once more");
}

#[test]
fn a_peer_missed_again_before_we_saw_it_there_is_reported_again() {
    let mut signaller = RoomSignaller::without_server(Candidates::All);
    let bob = PeerId(uuid::Uuid::from_u128(2));
    signaller.mailbox.note_connected(std::iter::once(bob));
    let away = r#"{"Room":{"name":"DAM3R","game":"","version":"","is_public":true,
        "is_locked":false,"phase":"Playing",
        "capacity":4,"spectators":0,"owner":null,
        "members":[{"id":"00000000-0000-0000-0000-000000000002","name":"",
        "place":"Player","is_ready":false,"is_here":false}]}}"#;
    let new_peer = serde_json::to_string(&PeerEvent::NewPeer(bob)).expect("an event is JSON");
    for text in [away, &new_peer, away] {
        assert_eq!(signaller.read(text), None);
    }
    assert_eq!(signaller.mailbox.take_steps().0, [(bob, PeerStep::Missed)]);
    assert_eq!(signaller.read(&new_peer), None);
    assert_eq!(signaller.mailbox.take_steps().0, [(bob, PeerStep::Returned)]);
    assert_eq!(signaller.read(away), None);
    assert_eq!(signaller.mailbox.take_steps().0, [(bob, PeerStep::Missed)]);
}

#[test]
fn the_opener_of_a_room_comes_back_to_it_but_a_kicked_peer_does_not() {
    let mut signaller = RoomSignaller::without_server(Candidates::All);
    signaller.url = "ws://host/v1/create?public=1&key=1".into();
    assert_eq!(signaller.way_back(), None, "it would open another room");
    let room = r#"{"Room":{"name":"DAM3R","game":"","version":"","is_public":true,
        "is_locked":false,"phase":"Lobby",
        "capacity":4,"spectators":0,"owner":null,"members":[]}}"#;
    assert_eq!(signaller.read(room), None);
    let way_back = "ws://host/v1/rooms/DAM3R?public=1&key=1";
    assert_eq!(signaller.way_back().as_deref(), Some(way_back));
    assert_eq!(signaller.mailbox.take_room().count(), 1);
    assert_eq!(signaller.mailbox.take_bad_signals(), 0);

    assert_eq!(signaller.read(r#"{"Resume":"a.b"}"#), None);
    signaller.be_kicked();
    assert_eq!(signaller.way_back(), None);
    assert_eq!(signaller.mailbox.take_failure(), Some(TransportError::Kicked));
    assert_eq!(TransportError::Kicked.to_string(), Refusal::Kicked.sentence());
}

#[test]
fn the_steps_of_a_peer_are_reported_in_order_and_once() {
    let mut signaller = RoomSignaller::without_server(Candidates::All);
    let peer = PeerId(uuid::Uuid::from_u128(7));
    let mailbox = signaller.mailbox.clone();
    mailbox.note_connected(std::iter::once(peer));
    let event = |event: PeerEvent| serde_json::to_string(&event).expect("an event is JSON");
    let (left, new) = (event(PeerEvent::PeerLeft(peer)), event(PeerEvent::NewPeer(peer)));
    for text in [&left, &new, &new, &left, &new] {
        assert_eq!(signaller.read(text), None, "matchbox does not see it");
    }
    let [gone, back] = [(peer, PeerStep::Left), (peer, PeerStep::Returned)];
    assert_eq!(mailbox.take_steps().0, [gone, back]);
    assert_eq!(mailbox.take_steps().0, []);
}
