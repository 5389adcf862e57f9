//! The scenarios with which `matchbox_signaling` 0.15 tests its own full mesh (its
//! `tests/full_mesh.rs`), run against our server and with matchbox's own types: connect, an id, a
//! new peer, a peer that leaves, a signal.
//!
//! The scenarios about its builder are not included: callbacks, and a server nested in another
//! router.

use std::str::FromStr;

use futures::{SinkExt, StreamExt};
use matchbox_protocol::{JsonPeerEvent, PeerId};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::rig::{TestServer, config, within_deadline};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(server: &TestServer) -> Client {
    let connecting = connect_async(format!("ws://{}/room_a", server.address));
    within_deadline("a handshake", connecting).await.expect("a handshake").0
}

async fn hear(client: &mut Client) -> JsonPeerEvent {
    let message = within_deadline("an event", client.next()).await;
    let message = message.expect("it is open").expect("it is sound");
    JsonPeerEvent::from_str(&message.to_string()).expect("an event of matchbox's")
}

async fn id_of(client: &mut Client) -> PeerId {
    match hear(client).await {
        JsonPeerEvent::IdAssigned(id) => id,
        other => panic!("an id comes first, not {other:?}"),
    }
}

/// Two clients that know each other.
async fn pair(server: &TestServer) -> [(Client, PeerId); 2] {
    let mut first = connect(server).await;
    let first_id = id_of(&mut first).await;
    let mut second = connect(server).await;
    let second_id = id_of(&mut second).await;
    assert_eq!(hear(&mut first).await, JsonPeerEvent::NewPeer(second_id));
    [(first, first_id), (second, second_id)]
}

#[tokio::test]
async fn a_client_gets_an_id_and_is_told_about_a_new_peer() {
    let server = TestServer::start(config()).await;
    let [(_, first), (_, second)] = pair(&server).await;
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_client_that_disconnects_has_left() {
    let server = TestServer::start(config()).await;
    let [(mut first, _), (mut second, second_id)] = pair(&server).await;
    // How it ends does not matter here.
    let _ = second.close(None).await;
    assert_eq!(hear(&mut first).await, JsonPeerEvent::PeerLeft(second_id));
}

#[tokio::test]
async fn a_signal_arrives() {
    let server = TestServer::start(config()).await;
    let [(mut first, first_id), (mut second, PeerId(receiver))] = pair(&server).await;
    let signal = format!(r#"{{"Signal": {{"receiver": "{receiver}", "data": "123" }}}}"#);
    first.send(Message::text(signal)).await.expect("the server reads");
    let data = serde_json::Value::String("123".to_owned());
    assert_eq!(hear(&mut second).await, JsonPeerEvent::Signal { data, sender: first_id });
}
