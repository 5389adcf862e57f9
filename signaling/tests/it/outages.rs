//! Faults between several processes and Redis that do not last: processes that are stopped, halted
//! and cut off.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::Command,
    time::Duration,
};

use signaling::{
    lobby::{RoomEvent, RoomRequest, RoomState, ServiceState},
    protocol::{PeerEvent, Refusal},
};
use tokio::time::timeout;

use crate::{
    many::{GAME, Process, is_here},
    redis_server::{RedisServer, free_address},
    rig::{Peer, assert_closed, assert_closed_at_last, within_deadline},
};

/// Processes are not taken for dead at once, because another process may only just have started.
const UNTIL_DEAD: Duration = Duration::from_secs(60);

fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(sent.expect("kill is there").success(), "{signal}");
}

async fn hears_of(peer: &mut Peer, state: ServiceState) {
    let told = |event: &RoomEvent| (*event == RoomEvent::Service(state)).then_some(());
    peer.hears(&format!("{state:?}"), told).await;
}

#[tokio::test]
async fn two_open_rooms_of_a_group_are_both_put_back() {
    let test = "two_open_rooms_of_a_group_are_both_put_back";
    let Some(mut redis) = RedisServer::start(test) else { return };
    let [one, two] = [Process::start(&redis), Process::start(&redis)];
    let pair = format!("/v1/quick?{GAME}&players=2");
    let mut ann = one.join(1, &pair).await;
    let mut bob = one.join(2, &pair).await;
    let mut cid = two.join(3, &pair).await;
    assert_eq!(ann.next().await, PeerEvent::NewPeer(bob.id));
    bob.socket.close(None).await.expect("it is open");
    assert_eq!(ann.next().await, PeerEvent::PeerLeft(bob.id));
    let room = ann.sees("nobody else", |room| room.members.len() == 1).await;
    let other = cid.sees("its room", |_| true).await;
    assert_ne!(room.name, other.name);
    redis.stop();
    for peer in [&mut ann, &mut cid] {
        hears_of(peer, ServiceState::Impaired).await;
    }
    redis.start_again();
    for peer in [&mut ann, &mut cid] {
        hears_of(peer, ServiceState::Restored).await;
        peer.ask(&RoomRequest::Rename("as before".to_owned())).await;
        let id = peer.id;
        let is_named = |name: &str| name == "as before";
        peer.sees("a name", |room| room.member(id).is_some_and(|own| is_named(&own.name))).await;
    }
}

#[tokio::test]
async fn a_peer_that_does_not_come_back_from_a_stopped_process_has_left() {
    let test = "a_peer_that_does_not_come_back_from_a_stopped_process_has_left";
    let Some(redis) = RedisServer::start(test) else { return };
    let start = || Process::start_with(&redis, &["--grace-time", "1"]);
    let [mut one, two] = [start(), start()];
    let ann = one.join(1, "/v1/rooms/room").await;
    let mut bob = two.join(2, "/v1/rooms/room").await;
    send("-TERM", one.pid());
    one.wait();
    let left = timeout(UNTIL_DEAD, bob.next()).await;
    assert_eq!(left.expect("in a minute"), PeerEvent::PeerLeft(ann.id));
}

#[tokio::test]
async fn a_peer_that_was_absent_when_its_process_died_has_left() {
    let test = "a_peer_that_was_absent_when_its_process_died_has_left";
    let Some(redis) = RedisServer::start(test) else { return };
    let start = || Process::start_with(&redis, &["--grace-time", "3"]);
    let [mut one, two] = [start(), start()];
    let ann = one.join(1, "/v1/rooms/room").await;
    let mut bob = two.join(2, "/v1/rooms/room").await;
    let ann_id = ann.id;
    drop(ann);
    bob.sees("that Ann is away", |room| !is_here(room, ann_id)).await;
    one.kill();
    let left = timeout(UNTIL_DEAD, bob.next()).await;
    assert_eq!(left.expect("in a minute"), PeerEvent::PeerLeft(ann_id));
}

#[tokio::test]
async fn a_peer_returns_if_its_process_was_wrongly_taken_for_dead() {
    let test = "a_peer_returns_if_its_process_was_wrongly_taken_for_dead";
    let Some(redis) = RedisServer::start(test) else { return };
    let start = || Process::start_with(&redis, &["--grace-time", "1"]);
    let [one, two] = [start(), start()];
    let mut ann = one.join(1, "/v1/rooms/room").await;
    let mut bob = two.join(2, "/v1/rooms/room").await;
    assert_eq!(ann.next().await, PeerEvent::NewPeer(bob.id));
    send("-STOP", one.pid());
    let left = timeout(UNTIL_DEAD, bob.next()).await;
    send("-CONT", one.pid());
    assert_eq!(left.expect("in a minute"), PeerEvent::PeerLeft(ann.id));
    assert_eq!(bob.next().await, PeerEvent::NewPeer(ann.id));
    let room = bob.sees("Ann", |room| is_here(room, ann.id)).await;
    assert_eq!(room.members.len(), 2);
    ann.greet(&mut bob).await;
    bob.greet(&mut ann).await;
    // The process was only halted: Redis ran all the time, so nobody is told that it was gone.
    let impaired = RoomEvent::Service(ServiceState::Impaired);
    assert!(!ann.heard.contains(&impaired), "{:?}", ann.heard);
}

#[tokio::test]
async fn a_silent_redis_is_noticed_and_connected_to_again() {
    let test = "a_silent_redis_is_noticed_and_connected_to_again";
    let Some(redis) = RedisServer::start(test) else { return };
    let [one, two] = [Process::start(&redis), Process::start(&redis)];
    let mut ann = one.join(1, "/v1/rooms/room").await;
    let mut bob = two.join(2, "/v1/rooms/room").await;
    assert_eq!(ann.next().await, PeerEvent::NewPeer(bob.id));
    send("-STOP", redis.pid());
    for peer in [&mut ann, &mut bob] {
        hears_of(peer, ServiceState::Impaired).await;
    }
    assert_eq!(one.server.get("/ready").await.status, 503);
    let mut late = one.server.open("/v1/rooms/room").await;
    assert_closed(&mut late, Refusal::StoreDown).await;
    send("-CONT", redis.pid());
    for peer in [&mut ann, &mut bob] {
        hears_of(peer, ServiceState::Restored).await;
    }
    let mut cid = two.join(3, "/v1/rooms/room?existing=1").await;
    for peer in [&mut ann, &mut bob] {
        assert_eq!(peer.next().await, PeerEvent::NewPeer(cid.id));
    }
    cid.greet(&mut ann).await;
    ann.greet(&mut bob).await;
}

#[tokio::test]
async fn a_change_lost_with_its_connection_does_not_end_the_next_connection() {
    let test = "a_change_lost_with_its_connection_does_not_end_the_next_connection";
    let Some(redis) = RedisServer::start(test) else { return };
    let one = Process::start(&redis);
    let mut ann = one.join(1, "/v1/rooms/room").await;
    let mut bob = one.join(2, "/v1/rooms/room").await;
    assert_eq!(ann.next().await, PeerEvent::NewPeer(bob.id));
    // The change is made as soon as nobody listens any longer.
    redis.tell("CLIENT PAUSE 20000 WRITE");
    ann.ask(&RoomRequest::Rename("Ann".to_owned())).await;
    within_deadline("a change that waits", async {
        while redis.tell("INFO clients").contains("blocked_clients:0") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    redis.tell("CLIENT KILL TYPE pubsub");
    hears_of(&mut bob, ServiceState::Impaired).await;
    redis.tell("CLIENT UNPAUSE");
    hears_of(&mut bob, ServiceState::Restored).await;
    let is_named =
        |room: &RoomState| room.member(ann.id).is_some_and(|member| member.name == "Ann");
    bob.sees("the name", is_named).await;
    // Somewhat longer than a process waits for its own change.
    let again = timeout(Duration::from_secs(4), hears_of(&mut bob, ServiceState::Impaired)).await;
    assert!(again.is_err(), "the next connection was given up, too");
}

#[tokio::test]
async fn a_peer_that_enters_again_by_another_process_is_there_once() {
    let test = "a_peer_that_enters_again_by_another_process_is_there_once";
    let Some(redis) = RedisServer::start(test) else { return };
    let [one, two] = [Process::start(&redis), Process::start(&redis)];
    let mut before = one.join(1, "/v1/rooms/room").await;
    let mut bob = one.join(2, "/v1/rooms/room").await;
    let mut ann = two.join(1, "/v1/rooms/room").await;
    assert_eq!(ann.id, before.id);
    assert_eq!(bob.next().await, PeerEvent::NewPeer(ann.id));
    bob.greet(&mut ann).await;
    assert_closed_at_last(&mut before.socket, Refusal::Replaced).await;
    within_deadline("one peer less", async {
        while one.server.health().await["peers"] != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    bob.greet(&mut ann).await;
    ann.greet(&mut bob).await;
    bob.ask(&RoomRequest::SetReady(true)).await;
    let room = ann.sees("that Bob is ready", |room| {
        room.member(bob.id).is_some_and(|member| member.is_ready)
    });
    assert_eq!(room.await.members.len(), 2);
}

#[test]
fn redis_starts_at_another_port_if_the_first_ones_are_taken() {
    let test = "redis_starts_at_another_port_if_the_first_ones_are_taken";
    let Some(other) = RedisServer::start(test) else { return };
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let taken = [other.address, silent.local_addr().expect("it listens")];
    let mut addresses = taken.into_iter();
    let redis = RedisServer::start_at(test, || addresses.next().unwrap_or_else(free_address));
    let redis = redis.expect("Redis is installed");
    assert!(!taken.contains(&redis.address), "{} was taken", redis.address);
    redis.tell("SET whose ours");
    assert!(redis.tell("GET whose").contains("ours"));
    assert!(!other.tell("GET whose").contains("ours"));
}
