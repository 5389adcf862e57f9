//! STUN and TURN servers: which clients receive them, and when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use signaling::{
    ice_servers::{IceServer, IceServers, Welcome},
    protocol::{PeerKey, Refusal},
    server::{BindError, Server, ServerConfig, TurnSecret},
};

use crate::rig::{TestServer, assert_closed, config, read_welcome};

fn with_servers() -> ServerConfig {
    ServerConfig {
        stun_servers: vec!["stun:127.0.0.1:3478".into()],
        turn_servers: vec!["turn:127.0.0.1:3478".into()],
        turn_secret: TurnSecret::new("north"),
        turn_credential_time: Duration::from_secs(600),
        ..config()
    }
}

#[tokio::test]
async fn our_peers_receive_ice_servers_before_their_id_and_stock_clients_receive_none() {
    let server = TestServer::start(with_servers()).await;
    // Joining asserts that the id comes first, or directly after the welcome.
    server.join("/room").await;
    server.join("/v1/rooms/room").await;
    let key = PeerKey::new(7);
    let mut socket = server.open(&format!("/v1/rooms/room?{}", key.to_query())).await;
    let Welcome::IceServers(IceServers { servers, expires_in_s }) = read_welcome(&mut socket).await;
    let [stun, turn] = &servers[..] else { panic!("{servers:?}") };
    assert_eq!(*stun, IceServer::stun("stun:127.0.0.1:3478"));
    assert_eq!((&turn.urls, expires_in_s), (&with_servers().turn_servers, Some(600)));
    let (username, _) = turn.credentials().expect("name and password");
    let (expiry, peer) = username.split_once(':').expect("two parts");
    assert_eq!(peer, key.peer().to_string());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set").as_secs();
    let expiry: u64 = expiry.parse().expect("seconds since 1970");
    assert!((now + 500..=now + 600).contains(&expiry), "{expiry} at {now}");
}

#[tokio::test]
async fn a_refused_peer_gets_no_password() {
    let server = TestServer::start(ServerConfig { max_peers_per_room: 1, ..with_servers() }).await;
    let _inside = server.join("/v1/rooms/room").await;
    let mut outside = server.open("/v1/rooms/room").await;
    assert_closed(&mut outside, Refusal::RoomFull).await;
}

#[tokio::test]
async fn without_servers_the_list_is_empty() {
    let server = TestServer::start(config()).await;
    let told = read_welcome(&mut server.open("/v1/rooms/room").await).await;
    assert_eq!(told, Welcome::IceServers(IceServers::default()));
}

#[tokio::test]
async fn turn_servers_without_a_secret_are_rejected_at_the_start() {
    let error = Server::bind(ServerConfig { turn_secret: None, ..with_servers() }).await;
    let error = error.expect_err("no peer could use them");
    assert!(matches!(error, BindError::BadLimit { .. }), "{error}");
    assert!(error.to_string().contains("turn-secret"), "{error}");
}
