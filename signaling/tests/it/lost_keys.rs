//! A Redis that runs but has lost or changed its content: rooms and indexes of rooms that are gone
//! or overwritten, and a missing password.

use std::time::Duration;

use signaling::{
    lobby::{RoomRequest, RoomState},
    protocol::PeerEvent,
    server::{BindError, Secret, Server, ServerConfig},
};
use tokio::time::{sleep, timeout};

use crate::{
    many::{GAME, Process},
    redis_server::RedisServer,
    rig::config,
};

/// Rooms are checked automatically every 15 seconds.
const UNTIL_KEPT: Duration = Duration::from_secs(60);
/// Shorter than the time until rooms are checked automatically, and long enough for a machine under
/// load.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_room_removed_from_redis_keeps_working() {
    let test = "a_room_removed_from_redis_keeps_working";
    let Some(redis) = RedisServer::start(test) else { return };
    let [one, two] = [Process::start(&redis), Process::start(&redis)];
    let mut ann = one.join(1, "/v1/rooms/room").await;
    let mut bob = two.join(2, "/v1/rooms/room").await;
    assert_eq!(ann.next().await, PeerEvent::NewPeer(bob.id));
    for (number, spoil) in [
        "DEL signaling:room:room",
        "SET signaling:room:room junk",
        r#"SET signaling:room:room '{"members":[]}'"#,
    ]
    .iter()
    .enumerate()
    {
        redis.tell(spoil);
        let name = format!("Ann {number}");
        ann.ask(&RoomRequest::Rename(name.clone())).await;
        let id = ann.id;
        let is_named = |room: &RoomState| room.member(id).is_some_and(|ann| ann.name == name);
        let seen = timeout(SOON, bob.sees("the name", is_named)).await;
        assert_eq!(seen.expect(spoil).members.len(), 2);
    }
    ann.greet(&mut bob).await;
}

#[tokio::test]
async fn junk_under_the_key_of_a_room_keeps_nobody_out() {
    let test = "junk_under_the_key_of_a_room_keeps_nobody_out";
    let Some(redis) = RedisServer::start(test) else { return };
    let one = Process::start(&redis);
    for (name, spoil) in [
        ("a", "SET signaling:room:a junk"),
        ("b", "SET signaling:room:b \"\\xff\\xfe\""),
        ("c", "RPUSH signaling:room:c 1 2"),
        ("d", "SET signaling:room:d {}"),
        // Rooms of another version expire.
        ("e", r#"SET signaling:room:e '{"members":[]}'"#),
    ] {
        redis.tell(spoil);
        let mut peer = one.join(1, &format!("/v1/rooms/{name}")).await;
        assert_eq!(peer.sees("its room", |_| true).await.name, name);
    }
}

/// The rooms in an index.
fn rooms_of(redis: &RedisServer, index: &str) -> String {
    redis.tell(&format!("SMEMBERS {index}"))
}

#[tokio::test]
async fn overwritten_indexes_neither_keep_anybody_out_nor_leave_anybody_alone() {
    let test = "overwritten_indexes_neither_keep_anybody_out_nor_leave_anybody_alone";
    let Some(redis) = RedisServer::start(test) else { return };
    let one = Process::start(&redis);
    let quick = format!("/v1/quick?{GAME}&players=2");
    let open = "signaling:open:quick/asteroids/1/2//";
    let mut ann = one.join(1, &quick).await;
    let waiting = ann.sees("its room", |_| true).await.name;
    let mut owner = one.join(2, &format!("/v1/rooms/den?{GAME}&public=1")).await;
    for (index, room) in [(open, &*waiting), ("signaling:game:asteroids", "den")] {
        assert!(rooms_of(&redis, index).contains(room), "{index}");
        redis.tell(&format!("SET {index} junk"));
    }
    // Each of these uses an index: to change a room, to look for one, and to list all.
    owner.ask(&RoomRequest::SetLocked(true)).await;
    owner.sees("a lock", |room| room.is_locked).await;
    let listed = one.server.get("/v1/rooms?game=asteroids").await;
    assert!(listed.status == 200 && listed.text().contains("den"), "{}", listed.text());
    let mut stranger = one.join(3, &quick).await;
    let other = stranger.sees("its room", |_| true).await.name;
    assert_ne!(other, waiting, "nobody can find the first one for now");
    stranger.socket.close(None).await.expect("it is open");

    timeout(UNTIL_KEPT, async {
        while !rooms_of(&redis, open).contains(&*waiting)
            || rooms_of(&redis, open).contains(&*other)
        {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the room is put back");
    let bob = one.join(4, &quick).await;
    assert_eq!(ann.next().await, PeerEvent::NewPeer(bob.id));
}

#[tokio::test]
async fn a_server_without_the_password_of_redis_does_not_start() {
    let test = "a_server_without_the_password_of_redis_does_not_start";
    let Some(redis) = RedisServer::start(test) else { return };
    redis.tell("CONFIG SET requirepass secret");
    let start = async |url: String| {
        Server::bind(ServerConfig { redis: Some(Secret(url)), ..config() }).await
    };
    let refused = start(redis.url()).await;
    assert!(matches!(refused, Err(BindError::Redis { .. })), "{refused:?}");
    let with_password = redis.url().replace("redis://", "redis://:secret@");
    assert!(start(with_password).await.is_ok());
}
