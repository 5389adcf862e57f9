//! Which peers an owner keeps out of its room, and for how long, and which returning peer becomes
//! the owner again.

use std::time::Duration;

use signaling::{
    lobby::{Denial, RoomRequest, RoomState},
    protocol::{PeerId, PeerKey, Refusal},
    server::{Secret, ServerConfig},
};
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{Peer, TestServer, assert_closed, assert_closed_at_last, config, within_deadline};

/// The number of bans that a room remembers.
const MAX_BANNED: u128 = 64;

fn path(number: u128) -> String {
    format!("/v1/rooms/room?{}", PeerKey::new(number).to_query())
}

async fn server() -> TestServer {
    let grace_time = Duration::from_secs(1);
    let resume_secret = Some(Secret("a secret that survives".into()));
    TestServer::start(ServerConfig { grace_time, resume_secret, ..config() }).await
}

/// Joins the room, and returns once `observer` sees the newcomer. Otherwise, a state of the room
/// without the newcomer could be from before it joined.
async fn join_seen_by(observer: &mut Peer, server: &TestServer, path: &str) -> Peer {
    let newcomer = server.join(path).await;
    observer.sees("a newcomer", |room| room.member(newcomer.id).is_some()).await;
    newcomer
}

async fn leave(peer: &mut Peer) {
    peer.socket.close(None).await.expect("it is open");
}

/// Waits until `observer` no longer sees a peer that it has seen. Returns the room without that
/// peer.
async fn is_gone(observer: &mut Peer, peer: PeerId) -> RoomState {
    observer.sees("that it is gone", |room| room.member(peer).is_none()).await
}

async fn lock(owner: &mut Peer) {
    owner.ask(&RoomRequest::SetLocked(true)).await;
    owner.sees("a lock", |room| room.is_locked).await;
}

#[tokio::test]
async fn a_token_from_before_the_lock_does_not_open_it() {
    let server = server().await;
    let mut ann = server.join(&path(1)).await;
    let mut spare = join_seen_by(&mut ann, &server, &path(2)).await;
    let token = spare.token().await;
    leave(&mut spare).await;
    is_gone(&mut ann, spare.id).await;
    let mut evil = server.join(&path(3)).await;
    ann.ask(&RoomRequest::Kick(evil.id)).await;
    assert_closed_at_last(&mut evil.socket, Refusal::Kicked).await;
    lock(&mut ann).await;
    let mut again = server.open(&format!("{}&token={token}", path(2))).await;
    assert_closed(&mut again, Refusal::Locked).await;
}

#[tokio::test]
async fn a_peer_that_left_a_locked_room_cannot_return() {
    let server = server().await;
    let mut ann = server.join(&path(1)).await;
    let mut bob = server.join(&path(2)).await;
    let token = bob.token().await;
    lock(&mut ann).await;
    leave(&mut bob).await;
    is_gone(&mut ann, bob.id).await;
    let mut again = server.open(&format!("{}&token={token}", path(2))).await;
    assert_closed(&mut again, Refusal::Locked).await;
}

#[tokio::test]
async fn a_lost_peer_returns_to_a_locked_room_at_any_time() {
    let server = server().await;
    let mut ann = server.join(&path(1)).await;
    let bob = server.join(&path(2)).await;
    lock(&mut ann).await;
    let id = bob.id;
    drop(bob);
    is_gone(&mut ann, id).await;
    let mut bob = server.join(&path(2)).await;
    ann.sees("Bob", |room| room.member(id).is_some()).await;
    // It may return once for each time that it was lost.
    leave(&mut bob).await;
    is_gone(&mut ann, id).await;
    assert_closed(&mut server.open(&path(2)).await, Refusal::Locked).await;
    ann.ask(&RoomRequest::SetLocked(false)).await;
    ann.sees("no lock", |room| !room.is_locked).await;
    let _bob = server.join(&path(2)).await;
}

#[tokio::test]
async fn the_latest_owner_owns_a_rebuilt_room_whatever_the_order_of_return() {
    for is_old_one_first in [true, false] {
        let server = server().await;
        let mut ann = server.join(&path(1)).await;
        let mut bob = server.join(&path(2)).await;
        let old = ann.token().await;
        let first = bob.token().await;
        leave(&mut ann).await;
        let id = bob.id;
        bob.sees("that Bob owns it", |room| room.owner == Some(id)).await;
        bob.send(Message::text("\"KeepAlive\"")).await;
        let new = bob.token().await;
        assert_ne!(first, new);
        leave(&mut bob).await;
        within_deadline("an empty server", async {
            while server.health().await["rooms"] != 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let mut tokens = [(1, old), (2, new)];
        if !is_old_one_first {
            tokens.reverse();
        }
        let mut peers = Vec::new();
        for (number, token) in tokens {
            peers.push(server.join(&format!("{}&token={token}", path(number))).await);
        }
        let bob = PeerKey::new(2).peer();
        for peer in &mut peers {
            let room = peer.sees("both", |room| room.members.len() == 2).await;
            assert_eq!(room.owner, Some(bob), "{is_old_one_first}");
        }
    }
}

#[tokio::test]
async fn a_token_of_an_ended_room_proves_nothing_in_its_successor() {
    let server = server().await;
    let mut ann = server.join(&path(1)).await;
    let token = ann.token().await;
    leave(&mut ann).await;
    within_deadline("an empty server", async {
        while server.health().await["rooms"] != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut bob = server.join(&path(2)).await;
    let again = format!("{}&token={token}", path(1));
    let mut ann = server.join(&again).await;
    let room = bob.sees("Ann", |room| room.members.len() == 2).await;
    assert_eq!(room.owner, Some(bob.id), "it is another room of the same name");
    leave(&mut ann).await;
    is_gone(&mut bob, ann.id).await;
    lock(&mut bob).await;
    assert_closed(&mut server.open(&again).await, Refusal::Locked).await;
}

#[tokio::test]
async fn no_removed_peer_comes_back_however_many_were_removed() {
    let server = server().await;
    let mut ann = server.join(&path(1)).await;
    let mut resident = server.join(&path(2)).await;
    for number in 0..MAX_BANNED {
        let peer = join_seen_by(&mut ann, &server, &path(100 + number)).await;
        ann.ask(&RoomRequest::Kick(peer.id)).await;
        // The last ban fills the room's memory for bans, so from then on nobody new can enter.
        let (id, is_last) = (peer.id, number + 1 == MAX_BANNED);
        let is_removed = |room: &RoomState| {
            room.members.len() == 2 && room.member(id).is_none() && room.is_locked == is_last
        };
        let room = ann.sees("one removed", is_removed).await;
        assert_eq!(room.owner, Some(ann.id));
    }
    assert_eq!(ann.is_denied(&RoomRequest::SetLocked(false)).await, Denial::StaysLocked);
    assert_closed(&mut server.open(&path(99)).await, Refusal::Locked).await;
    ann.ask(&RoomRequest::Kick(resident.id)).await;
    is_gone(&mut ann, resident.id).await;
    assert_closed_at_last(&mut resident.socket, Refusal::Kicked).await;
    for number in [2, 100, 100 + MAX_BANNED - 1] {
        assert_closed(&mut server.open(&path(number)).await, Refusal::Kicked).await;
    }
}
