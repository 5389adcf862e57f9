//! A Redis that is there, and does not hold what it was given: rooms that are gone or overwritten,
//! and a password that is missing.

use std::time::Duration;

use signaling::{
    lobby::{RoomRequest, RoomState},
    protocol::PeerEvent,
    server::{BindError, Secret, Server, ServerConfig},
};
use tokio::time::timeout;

use crate::{many::Process, redis_server::RedisServer, rig::config};

/// Less than rooms wait until they are looked at by themselves, and long enough for a machine under
/// load.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_room_that_is_taken_out_of_redis_answers_all_the_same() {
    let test = "a_room_that_is_taken_out_of_redis_answers_all_the_same";
    let Some(redis) = RedisServer::start(test) else { return };
    let [one, two] = [Process::start(&redis), Process::start(&redis)];
    let mut ann = one.join(1, "/v1/rooms/room").await;
    let mut bob = two.join(2, "/v1/rooms/room").await;
    assert_eq!(ann.next().await, PeerEvent::NewPeer(bob.id));
    for (number, spoil) in
        ["DEL signaling:room:room", "SET signaling:room:room junk"].iter().enumerate()
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
async fn junk_in_the_place_of_a_room_keeps_nobody_out() {
    let test = "junk_in_the_place_of_a_room_keeps_nobody_out";
    let Some(redis) = RedisServer::start(test) else { return };
    let one = Process::start(&redis);
    for (name, spoil) in [
        ("a", "SET signaling:room:a junk"),
        ("b", "SET signaling:room:b \"\\xff\\xfe\""),
        ("c", "RPUSH signaling:room:c 1 2"),
        ("d", "SET signaling:room:d {}"),
    ] {
        redis.tell(spoil);
        let mut peer = one.join(1, &format!("/v1/rooms/{name}")).await;
        assert_eq!(peer.sees("its room", |_| true).await.name, name);
    }
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
