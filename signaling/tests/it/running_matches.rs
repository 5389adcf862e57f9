//! Rooms during a match: their owners, and what an owner can do to the players.

use signaling::{
    lobby::{Denial, Place, RoomPhase, RoomRequest},
    protocol::Refusal,
};

use crate::rig::{Peer, TestServer, assert_closed_at_last, config};

/// Ann owns the room and watches; Bob plays.
async fn watched_match(server: &TestServer) -> (Peer, Peer) {
    let mut ann = server.join("/v1/rooms/room?spectators=1").await;
    let mut bob = server.join("/v1/rooms/room").await;
    ann.ask(&RoomRequest::SetPlace(Place::Spectator)).await;
    bob.ask(&RoomRequest::SetReady(true)).await;
    ann.sees("that Bob is ready", |room| room.members.len() == 2 && room.is_ready()).await;
    ann.ask(&RoomRequest::Start).await;
    ann.sees("a match", |room| room.phase == RoomPhase::Playing).await;
    (ann, bob)
}

#[tokio::test]
async fn an_owner_that_only_watches_removes_nobody_from_a_match() {
    let server = TestServer::start(config()).await;
    let (mut ann, bob) = watched_match(&server).await;
    let mut cid = server.join("/v1/rooms/room").await;
    let id = cid.id;
    ann.sees("Cid", |room| room.member(id).is_some()).await;
    assert_eq!(ann.is_denied(&RoomRequest::Kick(bob.id)).await, Denial::Playing);
    ann.ask(&RoomRequest::Kick(cid.id)).await;
    ann.sees("that Cid, who plays no match, is gone", |room| room.member(id).is_none()).await;
    assert_closed_at_last(&mut cid.socket, Refusal::Kicked).await;
    ann.ask(&RoomRequest::Finish).await;
    ann.sees("the lobby", |room| room.phase == RoomPhase::Lobby).await;
    ann.ask(&RoomRequest::Kick(bob.id)).await;
    ann.sees("that Bob is gone", |room| room.members.len() == 1).await;
}

#[tokio::test]
async fn a_room_is_inherited_by_the_players_of_its_match() {
    let server = TestServer::start(config()).await;
    let mut ann = server.join("/v1/rooms/room?spectators=1").await;
    // Eve comes before Bob in the list, because she joined before him, but she has no place in the
    // match.
    let mut eve = server.join("/v1/rooms/room?place=spectator").await;
    let mut bob = server.join("/v1/rooms/room").await;
    for peer in [&mut ann, &mut bob] {
        peer.ask(&RoomRequest::SetReady(true)).await;
    }
    ann.sees("that all are ready", |room| room.members.len() == 3 && room.is_ready()).await;
    ann.ask(&RoomRequest::Start).await;
    eve.sees("a match", |room| room.phase == RoomPhase::Playing).await;
    eve.ask(&RoomRequest::SetPlace(Place::Player)).await;
    eve.sees("that Eve has a place in the next one", |room| room.count(Place::Player) == 3).await;
    ann.socket.close(None).await.expect("it is open");
    let room = bob.sees("that Ann is gone", |room| room.members.len() == 2).await;
    assert_eq!(room.owner, Some(bob.id));
    assert_eq!(eve.is_denied(&RoomRequest::Kick(bob.id)).await, Denial::NotOwner);
    // No player of the match is left.
    bob.socket.close(None).await.expect("it is open");
    let room = eve.sees("that Bob is gone", |room| room.members.len() == 1).await;
    assert_eq!((room.owner, room.phase), (Some(eve.id), RoomPhase::Lobby));
}
