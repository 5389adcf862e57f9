//! Several processes that form one service: real processes that are killed, and a real Redis that
//! is stopped.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use signaling::{
    lobby::{RoomEvent, RoomListing, RoomRequest, RoomState, ServiceState},
    protocol::{PeerEvent, PeerId, PeerKey, Refusal},
};

use crate::{
    redis_server::RedisServer,
    rig::{Peer, TestServer, assert_closed, within_deadline},
};

pub(crate) const GAME: &str = "game=asteroids&version=1";

/// A process of the service; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) server: TestServer,
}

impl Process {
    pub(crate) fn start(redis: &RedisServer) -> Self {
        Self::start_with(redis, &[])
    }

    /// Like [`start`](Self::start), with additional flags.
    pub(crate) fn start_with(redis: &RedisServer, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_signaling"))
            .args(["--host", "127.0.0.1", "--port", "0", "--redis", &redis.url()])
            .args(["--resume-secret", "the same one for all of them"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("one line");
        let address = line.trim().strip_prefix("listening on http://").expect("the promised line");
        let address: SocketAddr = address.parse().expect("an address");
        Self { child, server: TestServer::at(address) }
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// Its process id, to send signals to.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has exited.
    pub(crate) fn wait(&mut self) {
        self.child.wait().expect("it is ours");
    }

    /// Joins a room as a peer with this key.
    pub(crate) async fn join(&self, number: u128, path: &str) -> Peer {
        let separator = if path.contains('?') { '&' } else { '?' };
        self.server.join(&format!("{path}{separator}{}", PeerKey::new(number).to_query())).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn three(redis: &RedisServer) -> [Process; 3] {
    [Process::start(redis), Process::start(redis), Process::start(redis)]
}

pub(crate) fn is_here(room: &RoomState, peer: PeerId) -> bool {
    room.member(peer).is_some_and(|member| member.is_here)
}

#[tokio::test]
async fn peers_of_a_room_on_three_processes_meet() {
    let Some(redis) = RedisServer::start("peers_of_a_room_on_three_processes_meet") else { return };
    let [one, two, three] = three(&redis);
    let mut ann = one.join(1, &format!("/v1/create?{GAME}&public=1")).await;
    let code = ann.sees("its room", |_| true).await.name;
    let mut bob = two.join(2, &format!("/v1/rooms/{code}?existing=1")).await;
    assert_eq!(ann.next().await, PeerEvent::NewPeer(bob.id));
    // A stock client.
    let mut cid = three.server.join(&format!("/{code}")).await;
    assert_eq!(ann.next().await, PeerEvent::NewPeer(cid.id));
    assert_eq!(bob.next().await, PeerEvent::NewPeer(cid.id));
    ann.greet(&mut bob).await;
    bob.greet(&mut cid).await;
    cid.greet(&mut ann).await;

    let list = three.server.get("/v1/rooms?game=asteroids").await;
    let list: Vec<RoomListing> = serde_json::from_slice(&list.body).expect("a list");
    assert_eq!(
        list.iter().map(|room| (&*room.name, room.players)).collect::<Vec<_>>(),
        [(&*code, 3)]
    );
    ann.ask(&RoomRequest::Kick(cid.id)).await;
    crate::rig::assert_closed_at_last(&mut cid.socket, Refusal::Kicked).await;
    assert_eq!(bob.next().await, PeerEvent::PeerLeft(cid.id));

    let mut dan = one.join(4, &format!("/v1/quick?{GAME}&players=2")).await;
    let mut eve = two.join(5, &format!("/v1/quick?{GAME}&players=2")).await;
    assert_eq!(dan.next().await, PeerEvent::NewPeer(eve.id));
    eve.greet(&mut dan).await;
    // Peers of another room cannot be reached, neither here nor at another process.
    dan.signal(bob.id, "psst").await;
    dan.signal(eve.id, "hello").await;
    let hello = PeerEvent::Signal { sender: dan.id, data: "hello".into() };
    assert_eq!(eve.next().await, hello);
    ann.greet(&mut bob).await;
}

#[tokio::test]
async fn many_peers_at_once_on_three_processes_form_pairs() {
    const PEERS: usize = 30;
    let Some(redis) = RedisServer::start("many_peers_at_once_on_three_processes_form_pairs") else {
        return;
    };
    let processes = three(&redis);
    let all = (0..PEERS).map(|number| {
        let process = &processes[number % 3];
        let path = format!("/v1/quick?{GAME}&players=2");
        async move { process.join(number as u128 + 1, &path).await }
    });
    let mut peers = futures::future::join_all(all).await;
    let mut rooms = Vec::new();
    for peer in &mut peers {
        rooms.push(peer.sees("a pair", |room| room.members.len() == 2).await.name);
    }
    rooms.sort();
    let (pairs, _) = rooms.as_chunks::<2>();
    assert!(pairs.iter().all(|[one, other]| one == other), "{rooms:?}");
    rooms.dedup();
    assert_eq!(rooms.len(), PEERS / 2);
}

#[tokio::test]
async fn no_room_is_lost_with_a_killed_process() {
    let Some(redis) = RedisServer::start("no_room_is_lost_with_a_killed_process") else {
        return;
    };
    let [mut one, two, three] = three(&redis);
    let mut ann = one.join(1, &format!("/v1/create?{GAME}&capacity=3")).await;
    let room = ann.sees("its room", |_| true).await;
    let path = format!("/v1/rooms/{}", room.name);
    let mut bob = two.join(2, &path).await;
    let mut cid = three.join(3, &path).await;
    ann.ask(&RoomRequest::SetLocked(true)).await;
    bob.sees("a lock", |room| room.is_locked).await;
    cid.sees("a lock", |room| room.is_locked).await;
    // A peer whose room has no peer at another process.
    let mut dan = one.join(4, &format!("/v1/create?{GAME}&capacity=7")).await;
    let alone = dan.sees("its room", |_| true).await;
    let tokens = [ann.token().await, dan.token().await];
    let (ann_id, dan_id) = (ann.id, dan.id);

    one.kill();
    bob.sees("that Ann is away", |room| !is_here(room, ann_id)).await;
    bob.greet(&mut cid).await;
    let mut ann = two.join(1, &format!("{path}?token={}", tokens[0])).await;
    assert_eq!(ann.id, ann_id);
    let again = cid.sees("that Ann is back", |room| is_here(room, ann_id)).await;
    assert_eq!((again.owner, again.is_locked, again.members.len()), (Some(ann_id), true, 3));
    cid.greet(&mut ann).await;
    assert_eq!(bob.next().await, PeerEvent::NewPeer(ann.id));
    ann.greet(&mut bob).await;
    let mut dan = three.join(4, &format!("/v1/rooms/{}?token={}", alone.name, tokens[1])).await;
    let again = dan.sees("his room", |_| true).await;
    assert_eq!((dan.id, again.owner), (dan_id, Some(dan_id)));
    assert_eq!((again.name, again.capacity), (alone.name, 7));
}

#[tokio::test]
async fn a_peer_that_does_not_come_back_from_a_killed_process_has_left() {
    let test = "a_peer_that_does_not_come_back_from_a_killed_process_has_left";
    let Some(redis) = RedisServer::start(test) else { return };
    let [mut one, two, _three] = three(&redis);
    let ann = one.join(1, "/v1/rooms/room").await;
    let mut bob = two.join(2, "/v1/rooms/room").await;
    // Processes are not taken for dead at once, because another process may only just have started.
    one.kill();
    let left = tokio::time::timeout(std::time::Duration::from_secs(60), bob.next()).await;
    assert_eq!(left.expect("in a minute"), PeerEvent::PeerLeft(ann.id));
}

#[tokio::test]
async fn redis_may_stop_and_come_back_empty() {
    let Some(mut redis) = RedisServer::start("redis_may_stop_and_come_back_empty") else { return };
    let [one, two, _three] = three(&redis);
    let mut ann = one.join(1, &format!("/v1/create?{GAME}&capacity=4")).await;
    let room = ann.sees("its room", |_| true).await;
    let path = format!("/v1/rooms/{}", room.name);
    let mut bob = two.join(2, &path).await;
    let mut cid = one.join(3, &path).await;
    ann.ask(&RoomRequest::SetLocked(true)).await;
    for peer in [&mut ann, &mut bob, &mut cid] {
        peer.sees("three and a lock", |room| room.is_locked && room.members.len() == 3).await;
    }
    let told = |state: ServiceState| {
        move |event: &RoomEvent| (*event == RoomEvent::Service(state)).then_some(())
    };

    redis.stop();
    for peer in [&mut ann, &mut bob, &mut cid] {
        peer.hears("that the service is impaired", told(ServiceState::Impaired)).await;
    }
    let mut late = one.server.open(&path).await;
    assert_closed(&mut late, Refusal::StoreDown).await;
    assert_eq!(one.server.get("/ready").await.status, 503);
    // Peers at one process can still reach each other, and their requests are denied.
    ann.greet(&mut cid).await;
    ann.is_denied(&RoomRequest::SetLocked(false)).await;

    redis.start_again();
    for peer in [&mut ann, &mut bob, &mut cid] {
        peer.hears("that the service is restored", told(ServiceState::Restored)).await;
    }
    within_deadline("the room as it was", async {
        // Each process puts its own peers back.
        while {
            ann.ask(&RoomRequest::SetLocked(false)).await;
            let room = ann.sees("the room", |_| true).await;
            room.is_locked || room.members.len() != 3 || room.owner != Some(ann.id)
        } {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut dan = two.join(4, &format!("{path}?existing=1")).await;
    for peer in [&mut ann, &mut bob] {
        assert_eq!(peer.next().await, PeerEvent::NewPeer(dan.id));
    }
    dan.greet(&mut ann).await;
    bob.greet(&mut ann).await;
    ann.greet(&mut bob).await;
}
