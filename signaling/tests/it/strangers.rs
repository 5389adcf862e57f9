//! Strangers that the server brings together: none of them has power over another, and none keeps
//! others from meeting.

use signaling::{
    lobby::{Denial, Place, RoomPhase, RoomRequest, RoomState},
    protocol::{PeerEvent, PeerKey, Refusal},
};

use crate::rig::{Peer, TestServer, assert_closed, config};

const QUICK: &str = "/v1/quick?game=asteroids&version=1&players=2";

async fn server() -> TestServer {
    TestServer::start(config()).await
}

#[tokio::test]
async fn nobody_owns_a_room_of_strangers() {
    let server = server().await;
    for path in [QUICK, "/v1/rooms/duel?next=2&game=asteroids"] {
        let mut ann = server.join(path).await;
        let mut bob = server.join(path).await;
        let room = ann.sees("both", |room| room.members.len() == 2).await;
        assert_eq!(room.owner, None, "{path}");
        for request in
            [RoomRequest::Kick(bob.id), RoomRequest::SetLocked(true), RoomRequest::SetPublic(true)]
        {
            assert_eq!(ann.is_denied(&request).await, Denial::NotOwner, "{request:?}");
        }
        ann.greet(&mut bob).await;
    }
}

#[tokio::test]
async fn any_player_among_strangers_can_start_and_finish_their_match() {
    let server = server().await;
    let mut peers = [server.join(QUICK).await, server.join(QUICK).await];
    let [ann, bob] = &mut peers;
    for peer in [&mut *ann, &mut *bob] {
        peer.ask(&RoomRequest::SetReady(true)).await;
    }
    ann.sees("two that are ready", |room| room.members.len() == 2 && room.is_ready()).await;
    bob.ask(&RoomRequest::Start).await;
    ann.sees("a match", |room| room.phase == RoomPhase::Playing).await;
    assert_eq!(ann.is_denied(&RoomRequest::Start).await, Denial::Playing);
    ann.ask(&RoomRequest::Finish).await;
    let is_over = |room: &RoomState| room.phase == RoomPhase::Lobby && !room.is_ready();
    bob.sees("the lobby", is_over).await;
    assert_eq!(bob.is_denied(&RoomRequest::Finish).await, Denial::NotPlaying);
}

#[tokio::test]
async fn a_spectator_neither_takes_the_place_of_a_player_nor_delays_anybody() {
    let server = server().await;
    let looks_on = format!("{QUICK}&spectators=1&place=spectator");
    let mut sue = server.join(&looks_on).await;
    let room = sue.sees("its room", |_| true).await;
    assert_eq!((room.owner, room.count(Place::Spectator)), (None, 1));
    let mut ann = server.join(QUICK).await;
    let mut bob = server.join(QUICK).await;
    let with = |peer: &Peer| {
        let id = peer.id;
        move |room: &RoomState| room.member(id).is_some()
    };
    let room = ann.sees("Bob", with(&bob)).await;
    assert_eq!((room.count(Place::Player), room.owner), (2, None));
    ann.greet(&mut bob).await;
    // If the only place for a spectator is taken, another room is opened.
    let mut late = server.join(&looks_on).await;
    let other = late.sees("another room", |_| true).await;
    assert_ne!(other.name, room.name);
    let mut later = server.join(&looks_on).await;
    assert_ne!(later.sees("a third room", |_| true).await.name, other.name);
    assert_closed(&mut server.open(&format!("{QUICK}&place=spectator")).await, Refusal::RoomFull)
        .await;
}

#[tokio::test]
async fn another_game_keeps_nobody_out_of_a_group() {
    let server = server().await;
    let group = |query: &str| format!("/v1/rooms/duel?next=2{query}");
    let mut others = Vec::new();
    for number in 0..40 {
        others.push(server.join(&group(&format!("&game=other{number}"))).await);
    }
    let _older = server.join(&group("&game=asteroids&version=0")).await;
    let mut ann = server.join(&group("&game=asteroids&version=1")).await;
    let mut bob = server.join(&group("&game=asteroids&version=1")).await;
    assert_eq!(ann.next().await, PeerEvent::NewPeer(bob.id));
    ann.greet(&mut bob).await;
}

#[tokio::test]
async fn a_name_that_another_game_uses_is_still_free() {
    let server = server().await;
    let path = |game: &str, number: u128| {
        format!("/v1/rooms/lobby?game={game}&{}", PeerKey::new(number).to_query())
    };
    let mut squatter = server.join(&path("other", 1)).await;
    squatter.ask(&RoomRequest::SetLocked(true)).await;
    squatter.sees("a lock", |room| room.is_locked).await;
    let mut ann = server.join(&path("asteroids", 2)).await;
    let token = ann.token().await;
    let mut bob = server.join(&path("asteroids", 3)).await;
    let room = ann.sees("both", |room| room.members.len() == 2).await;
    assert_eq!((&*room.name, &*room.game, room.owner), ("lobby", "asteroids", Some(ann.id)));
    ann.greet(&mut bob).await;
    drop(ann);
    let mut ann = server.join(&format!("{}&token={token}", path("asteroids", 2))).await;
    assert_eq!(bob.next().await, PeerEvent::NewPeer(ann.id));
    ann.greet(&mut bob).await;
    // A peer that asks for an existing room is told that the room of this name is for another game.
    let mut misled = server.open("/v1/rooms/lobby?game=chess&existing=1").await;
    assert_closed(&mut misled, Refusal::OtherGame).await;
}
