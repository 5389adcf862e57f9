//! Members that send more than another member can read: they lose signals, and the slow member
//! loses nothing.

use futures::SinkExt;
use serde_json::Value;
use signaling::{
    lobby::{RoomRequest, RoomState},
    protocol::{PeerEvent, PeerKey},
};
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{Peer, TestServer, config, within_deadline};

fn key(number: u128) -> String {
    PeerKey::new(number).to_query()
}

/// Sends long signals to the room's owner until the server has dropped one.
async fn flood(server: &TestServer, flooders: &mut [Peer], owner: &Peer) {
    let long = "x".repeat(config().max_message_bytes - 200);
    let signal = format!(r#"{{"Signal":{{"receiver":"{}","data":"{long}"}}}}"#, owner.id);
    within_deadline("a dropped signal", async {
        while server.health().await["counters"]["dropped_slow_receiver"].as_u64() < Some(1) {
            for flooder in &mut *flooders {
                let sending = flooder.socket.send(Message::text(signal.clone()));
                sending.await.expect("the server is there");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_flooded_owner_keeps_its_room_and_still_hears_other_peers() {
    let server = TestServer::start(config()).await;
    let mut owner = server.join(&format!("/v1/rooms/room?name=Ann&{}", key(1))).await;
    let mut honest = server.join(&format!("/v1/rooms/room?name=Bob&{}", key(2))).await;
    let mut flooders = Vec::new();
    for number in 3..6 {
        flooders.push(server.join(&format!("/v1/rooms/room?{}", key(number))).await);
    }
    flood(&server, &mut flooders, &owner).await;
    // The queue is full, but contains nothing from this peer yet.
    honest.signal(owner.id, "hello").await;
    let hello = PeerEvent::Signal { sender: honest.id, data: Value::from("hello") };
    within_deadline("the signal of a peer that floods nobody", async {
        while owner.next().await != hello {}
    })
    .await;
    honest.ask(&RoomRequest::SetReady(true)).await;
    let id = honest.id;
    let is_ready = |room: &RoomState| room.member(id).is_some_and(|member| member.is_ready);
    let room = owner.sees("that Bob is ready", is_ready).await;
    assert_eq!((room.owner, room.members.len()), (Some(owner.id), 5));
    assert_eq!(server.health().await["counters"]["refused_too_slow"], 0);
}
