//! Peers find each other, in exactly matchbox's protocol.

use std::time::Duration;

use serde_json::json;
use signaling::{
    protocol::{PeerEvent, PeerKey, Refusal},
    server::ServerConfig,
};
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{TestServer, assert_closed, config, within_deadline};

#[tokio::test]
async fn peers_of_a_room_meet_signal_and_leave() {
    let server = TestServer::start(config()).await;
    let mut first = server.join("/room").await;
    let mut second = server.join("/room").await;
    // The peer that is already there makes the offer, and the newcomer waits, so the first thing
    // that the newcomer receives is the offer.
    assert_eq!(first.next().await, PeerEvent::NewPeer(second.id));
    first.greet(&mut second).await;
    second.greet(&mut first).await;
    let mut third = server.join("/room").await;
    assert_eq!(first.next().await, PeerEvent::NewPeer(third.id));
    assert_eq!(second.next().await, PeerEvent::NewPeer(third.id));
    third.greet(&mut first).await;
    drop(second);
    within_deadline("PeerLeft", async {
        let left = first.next().await;
        assert_eq!(left, third.next().await);
        assert!(matches!(left, PeerEvent::PeerLeft(_)), "{left:?}");
    })
    .await;
}

#[tokio::test]
async fn the_json_is_that_of_matchbox() {
    let server = TestServer::start(config()).await;
    let mut first = server.join("/room").await;
    let mut second = server.join("/room").await;
    let (first_id, second_id) = (first.id, second.id);
    assert_eq!(first.next_text().await, format!(r#"{{"NewPeer":"{second_id}"}}"#));
    let offer = format!(r#"{{"Signal":{{"receiver":"{second_id}","data":{{"Offer":"v=0 …"}}}}}}"#);
    first.send(Message::text(offer)).await;
    assert_eq!(
        second.next_text().await,
        format!(r#"{{"Signal":{{"sender":"{first_id}","data":{{"Offer":"v=0 …"}}}}}}"#)
    );
    first.send(Message::text(r#""KeepAlive""#)).await;
    within_deadline("closing", first.socket.close(None)).await.expect("the server is there");
    assert_eq!(second.next_text().await, format!(r#"{{"PeerLeft":"{first_id}"}}"#));
    assert_eq!(server.health().await["counters"]["dropped_unreadable"], 0);
}

#[tokio::test]
async fn groups_fill_in_order_of_arrival() {
    let server = TestServer::start(config()).await;
    let mut first = server.join("/room?next=2").await;
    let mut second = server.join("/v1/rooms/room?next=2").await;
    let mut third = server.join("/room?next=2").await;
    let mut fourth = server.join("/v1/rooms/room?next=2").await;
    assert_eq!(first.next().await, PeerEvent::NewPeer(second.id));
    assert_eq!(third.next().await, PeerEvent::NewPeer(fourth.id));
    // Messages about the other pair would arrive before these.
    first.greet(&mut second).await;
    second.greet(&mut first).await;
    third.greet(&mut fourth).await;
    fourth.greet(&mut third).await;
}

#[tokio::test]
async fn rooms_are_separate_and_end_with_their_last_peer() {
    let server = TestServer::start(config()).await;
    let mut peers = Vec::new();
    for path in ["/a", "/b", "/a?next=2", "/a?next=3"] {
        peers.push(server.join(path).await);
    }
    let mut last = server.join("/v1/rooms/a").await;
    for peer in &mut peers[..1] {
        assert_eq!(peer.next().await, PeerEvent::NewPeer(last.id));
        peer.greet(&mut last).await;
    }
    for peer in &mut peers[1..] {
        let id = peer.id;
        peer.signal(id, json!(null)).await;
        let echo = PeerEvent::Signal { sender: id, data: json!(null) };
        assert_eq!(peer.next().await, echo, "nothing came before its own echo");
    }
    let health = server.health().await;
    assert_eq!((&health["rooms"], &health["peers"]), (&json!(4), &json!(5)));
    drop((peers, last));
    within_deadline("empty rooms are removed", async {
        while server.health().await["rooms"] != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_answers_pings_stays_and_a_silent_one_is_disconnected() {
    let server =
        TestServer::start(ServerConfig { idle_timeout: Duration::from_secs(2), ..config() }).await;
    let mut awake = server.join("/room").await;
    // Its socket is not read, so the library answers no ping.
    let mut asleep = server.join("/room").await;
    assert_eq!(awake.next().await, PeerEvent::NewPeer(asleep.id));
    assert_eq!(awake.next().await, PeerEvent::PeerLeft(asleep.id));
    assert_closed(&mut asleep.socket, Refusal::Silent).await;
    server.await_count("refused_silent", 1).await;
    assert_eq!(server.health().await["peers"], 1, "the awake one is still there");
}

#[tokio::test]
async fn a_peer_with_a_key_has_the_same_id_again() {
    let path = format!("/v1/rooms/room?{}", PeerKey::new(7).to_query());
    let server = TestServer::start(config()).await;
    let mut other = server.join("/v1/rooms/room").await;
    let first = server.join(&path).await;
    assert_eq!(first.id, PeerKey::new(7).peer());
    assert_eq!(other.next().await, PeerEvent::NewPeer(first.id));
    // Its network broke, and nobody has noticed yet. The other peers are told that it is here, but
    // not that it left.
    let mut again = server.join(&path).await;
    assert_eq!(again.id, first.id);
    assert_eq!(other.next().await, PeerEvent::NewPeer(again.id));
    drop(first);
    other.greet(&mut again).await;
    again.greet(&mut other).await;
    // Another server, which knows nothing about the peer, gives it the same id.
    let another = TestServer::start(config()).await;
    assert_eq!(another.join(&path).await.id, again.id);
    // An invalid key counts as none, and stock clients have none.
    for path in ["/v1/rooms/room?key=7", "/v1/rooms/room?key=", &path["/v1/rooms".len()..]] {
        assert_ne!(another.join(path).await.id, again.id, "{path}");
    }
}
