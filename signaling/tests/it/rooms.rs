//! What peers can do in rooms, and how they find rooms.

use std::time::Duration;

use futures::SinkExt;
use serde_json::Value;
use signaling::{
    lobby::{Denial, Place, RoomListing, RoomPhase, RoomRequest, RoomState},
    protocol::{PeerEvent, PeerKey, Refusal},
    server::{Secret, ServerConfig},
};
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{
    Peer, TestServer, assert_closed, assert_closed_at_last, config, next_text, within_deadline,
};

const GAME: &str = "game=asteroids&version=1";

fn key(number: u128) -> String {
    PeerKey::new(number).to_query()
}

async fn server() -> TestServer {
    TestServer::start(config()).await
}

/// Creates a room with a new code; returns the peer in it, and the code.
async fn create(server: &TestServer, query: &str) -> (Peer, String) {
    let mut owner = server.join(&format!("/v1/create?{GAME}&{query}")).await;
    let room = owner.sees("its room", |_| true).await;
    assert_eq!(room.owner, Some(owner.id));
    (owner, room.name)
}

#[tokio::test]
async fn a_room_is_created_found_by_its_code_and_played_in() {
    let server = server().await;
    let (mut ann, code) = create(&server, "capacity=2&spectators=1&name=Ann").await;
    let mut bob = server.join(&format!("/v1/rooms/{code}?{GAME}&existing=1&name=Bob%20B")).await;
    let room = ann.sees("Bob", |room| room.members.len() == 2).await;
    let names: Vec<_> = room.members.iter().map(|member| &*member.name).collect();
    assert_eq!(names, ["Ann", "Bob B"]);
    let mut full = server.open(&format!("/v1/rooms/{code}?{GAME}")).await;
    assert_closed(&mut full, Refusal::RoomFull).await;
    let _cid = server.join(&format!("/v1/rooms/{code}?{GAME}&place=spectator")).await;

    assert_eq!(ann.is_denied(&RoomRequest::Start).await, Denial::NotReady);
    assert_eq!(bob.is_denied(&RoomRequest::Start).await, Denial::NotOwner);
    for peer in [&mut ann, &mut bob] {
        peer.ask(&RoomRequest::SetReady(true)).await;
    }
    ann.sees("two that are ready", RoomState::is_ready).await;
    ann.ask(&RoomRequest::Start).await;
    let room = bob.sees("the match", |room| room.phase == RoomPhase::Playing).await;
    assert_eq!(room.count(Place::Spectator), 1);
    ann.ask(&RoomRequest::Finish).await;
    let is_open = |room: &RoomState| room.phase == RoomPhase::Lobby && !room.is_ready();
    bob.sees("the lobby again", is_open).await;
}

#[tokio::test]
async fn the_owner_locks_and_kicks() {
    let server = server().await;
    let (mut ann, code) = create(&server, "").await;
    let path = format!("/v1/rooms/{code}?{GAME}&{}", key(2));
    let mut bob = server.join(&path).await;
    ann.ask(&RoomRequest::SetLocked(true)).await;
    ann.sees("a lock", |room| room.is_locked).await;
    let mut late = server.open(&format!("/v1/rooms/{code}?{GAME}")).await;
    assert_closed(&mut late, Refusal::Locked).await;
    assert_eq!(server.refusal(&format!("/{code}")).await.0, 403, "nor a stock client");
    ann.ask(&RoomRequest::SetLocked(false)).await;
    ann.ask(&RoomRequest::Kick(bob.id)).await;
    ann.sees("that Bob is gone", |room| room.members.len() == 1).await;
    assert_closed_at_last(&mut bob.socket, Refusal::Kicked).await;
    let mut again = server.open(&path).await;
    assert_closed(&mut again, Refusal::Kicked).await;
    server.await_count("refused_kicked", 2).await;
}

#[tokio::test]
async fn a_room_that_cannot_be_entered_gives_the_reason() {
    let server = server().await;
    let (_ann, code) = create(&server, "").await;
    for (path, refusal) in [
        ("/v1/rooms/nowhere?existing=1", Refusal::NoSuchRoom),
        (&format!("/v1/rooms/{code}?game=chess&existing=1"), Refusal::OtherGame),
        (&format!("/v1/rooms/{code}?{GAME}0"), Refusal::OtherGame),
        ("/v1/create?capacity=0", Refusal::BadRequest),
        ("/v1/elsewhere", Refusal::BadRequest),
        ("/v1/quick?players=65", Refusal::GroupSize),
    ] {
        assert_closed(&mut server.open(path).await, refusal).await;
    }
}

#[tokio::test]
async fn the_list_contains_the_public_rooms_of_the_game() {
    let server = server().await;
    let (mut ann, code) = create(&server, "public=1&capacity=4&name=Ann").await;
    let (_hidden, _) = create(&server, "").await;
    let next_json = async |socket: &mut _| -> Value {
        serde_json::from_str(&next_text(socket).await).expect("JSON")
    };
    let listed = async || -> Vec<RoomListing> {
        let response = server.get("/v1/rooms?game=asteroids").await;
        assert_eq!(response.status, 200);
        serde_json::from_slice(&response.body).expect("a list")
    };
    let rooms = listed().await;
    let [room] = &rooms[..] else { panic!("one is public") };
    assert_eq!((&room.name, room.owner.as_str()), (&code, "Ann"));
    assert_eq!((room.players, room.capacity, room.is_locked), (1, 4, false));
    assert_eq!(server.get("/v1/rooms?game=chess").await.text(), "[]");
    assert_eq!(server.get("/v1/rooms?game=a%20b").await.status, 400);

    let mut spectator = server.open("/v1/list?game=asteroids").await;
    let first = next_json(&mut spectator).await;
    assert_eq!(first["Rooms"][0]["name"], Value::from(code));
    ann.ask(&RoomRequest::SetPublic(false)).await;
    ann.sees("that it is hidden", |room| !room.is_public).await;
    // A list may be a second old.
    within_deadline("an empty list", async {
        while !listed().await.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    spectator.send(Message::text("again")).await.expect("the server reads");
    assert_eq!(next_json(&mut spectator).await["Rooms"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn strangers_with_equal_wishes_are_brought_together() {
    let server = server().await;
    let quick = async |query: &str| server.join(&format!("/v1/quick?{GAME}&{query}")).await;
    let mut ann = quick("players=2").await;
    let mut other = quick("players=2&region=eu").await;
    let mut bob = quick("players=2").await;
    assert_eq!(ann.next().await, PeerEvent::NewPeer(bob.id));
    ann.greet(&mut bob).await;
    let mut far = quick("players=2&region=eu").await;
    assert_eq!(other.next().await, PeerEvent::NewPeer(far.id));
    other.greet(&mut far).await;
    // A peer that leaves before the match makes room for the next one.
    drop(bob);
    assert!(matches!(ann.next().await, PeerEvent::PeerLeft(_)));
    let mut late = quick("players=2").await;
    assert_eq!(ann.next().await, PeerEvent::NewPeer(late.id));
    ann.greet(&mut late).await;
}

#[tokio::test]
async fn a_broken_connection_is_not_a_departure_until_the_grace_time_is_over() {
    let grace_time = Duration::from_secs(2);
    let server = TestServer::start(ServerConfig { grace_time, ..config() }).await;
    let mut ann = server.join(&format!("/v1/rooms/room?{}", key(1))).await;
    let path = format!("/v1/rooms/room?{}", key(2));
    let mut bob = server.join(&path).await;
    let token = bob.token().await;
    let id = bob.id;
    ann.ask(&RoomRequest::SetLocked(true)).await;
    ann.sees("two and a lock", |room| room.is_locked && room.members.len() == 2).await;
    drop(bob);
    let is_away = |room: &RoomState| room.member(id).is_some_and(|member| !member.is_here);
    ann.sees("that Bob is away", is_away).await;
    let mut bob = server.join(&format!("{path}&token={token}")).await;
    assert_eq!(bob.id, id);
    ann.sees("that Bob is back", |room| !is_away(room)).await;
    assert_eq!(ann.next().await, PeerEvent::NewPeer(id));
    bob.greet(&mut ann).await;
    drop(bob);
    ann.sees("that Bob is away again", is_away).await;
    assert_eq!(ann.next().await, PeerEvent::PeerLeft(id), "and in time that he left");
}

#[tokio::test]
async fn an_old_token_does_not_take_back_ownership() {
    let resume_secret = Some(Secret("a secret that survives".into()));
    let config = || ServerConfig { resume_secret: resume_secret.clone(), ..config() };
    let server = TestServer::start(config()).await;
    let path = |number: u128| format!("/v1/rooms/room?{}", key(number));
    let mut ann = server.join(&path(1)).await;
    let mut bob = server.join(&path(2)).await;
    let mut cid = server.join(&path(3)).await;
    let old = ann.token().await;
    let tokens = [bob.token().await, cid.token().await];
    ann.socket.close(None).await.expect("it is open");
    let id = bob.id;
    bob.sees("that he owns it", |room| room.owner == Some(id)).await;
    bob.send(Message::text("\"KeepAlive\"")).await;
    let new = bob.token().await;
    assert_ne!(new, tokens[0]);
    within_deadline("the end", server.stop()).await.expect("a clean end");

    let server = TestServer::start(config()).await;
    let mut cid = server.join(&format!("{}&token={}", path(3), tokens[1])).await;
    let mut bob = server.join(&format!("{}&token={new}", path(2))).await;
    cid.sees("that Bob owns it", |room| room.owner == Some(bob.id)).await;
    let ann = server.join(&format!("{}&token={old}", path(1))).await;
    let room = bob.sees("Ann", |room| room.member(ann.id).is_some()).await;
    assert_eq!(room.owner, Some(bob.id), "he has it from her");
}

#[tokio::test]
async fn after_a_restart_rooms_are_rebuilt_from_the_tokens_of_their_peers() {
    let resume_secret = Some(Secret("a secret that survives".into()));
    let config = || ServerConfig { resume_secret: resume_secret.clone(), ..config() };
    let server = TestServer::start(config()).await;
    let mut ann = server.join(&format!("/v1/create?{GAME}&capacity=2&{}", key(1))).await;
    let room = ann.sees("its room", |_| true).await;
    let mut bob = server.join(&format!("/v1/rooms/{}?{}", room.name, key(2))).await;
    let tokens = [ann.token().await, bob.token().await];
    within_deadline("the end", server.stop()).await.expect("a clean end");

    let server = TestServer::start(config()).await;
    // It does not matter what else the address contains.
    let back = async |number: u128| {
        let token = &tokens[number as usize - 1];
        server.join(&format!("/v1/rooms/elsewhere?{}&token={token}", key(number))).await
    };
    let mut bob = back(2).await;
    let mut ann = back(1).await;
    let again = bob.sees("both", |room| room.members.len() == 2).await;
    assert_eq!((&again.name, &again.game, again.capacity), (&room.name, &room.game, 2));
    assert_eq!(again.owner, Some(ann.id), "she was the owner");
    assert_eq!(bob.next().await, PeerEvent::NewPeer(ann.id));
    ann.greet(&mut bob).await;
    // Another peer's token does not count.
    let path = format!("/v1/rooms/elsewhere?{}&token={}", key(3), tokens[0]);
    let mut thief = server.join(&path).await;
    assert_eq!(thief.sees("a room", |_| true).await.name, "elsewhere");
}
