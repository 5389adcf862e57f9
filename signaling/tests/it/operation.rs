//! What an operator sees, and how a server drains before other servers take over.

use std::time::{Duration, Instant};

use futures::StreamExt;
use signaling::{
    protocol::{PeerEvent, Refusal},
    server::ServerConfig,
};
use tokio::net::TcpStream;

use crate::rig::{TestServer, assert_closed, config, within_deadline};

#[tokio::test]
async fn metrics_are_in_the_format_of_prometheus() {
    let server = TestServer::start(config()).await;
    let _peer = server.join("/room").await;
    assert_eq!(server.refusal("/room?next=0").await.0, 400);
    let response = server.get("/metrics").await;
    assert_eq!(response.status, 200);
    assert!(response.header("content-type").starts_with("application/openmetrics-text"));
    let lines: Vec<&str> = response.text().lines().collect();
    for line in [
        "signaling_rooms 1",
        "signaling_peers 1",
        "signaling_joined_total 1",
        r#"signaling_refused_total{reason="group_size"} 1"#,
    ] {
        assert!(lines.contains(&line), "no `{line}` in {lines:#?}");
    }
    assert_eq!(lines.last(), Some(&"# EOF"));
}

#[tokio::test]
async fn a_draining_server_serves_its_peers_and_accepts_no_others() {
    let drain_time = Duration::from_secs(60);
    let server = TestServer::start(ServerConfig { drain_time, ..config() }).await;
    assert_eq!(server.get("/ready").await.status, 200);
    let mut one = server.join("/room").await;
    let mut other = server.join("/room").await;
    assert_eq!(one.next().await, PeerEvent::NewPeer(other.id));

    let (address, running) = (server.address, server.stop());
    let server = TestServer::at(address);
    within_deadline("a server that is not ready", async {
        while server.get("/ready").await.status != 503 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(server.refusal("/room").await, (503, format!("{}\n", Refusal::ServerStopping)));
    let mut late = server.open("/v1/rooms/room").await;
    assert_closed(&mut late, Refusal::ServerStopping).await;
    one.greet(&mut other).await;
    other.greet(&mut one).await;

    drop((one, other));
    within_deadline("the end, with nobody left", running).await.expect("a clean end");
}

#[tokio::test]
async fn a_stopping_server_ends_with_its_last_peer() {
    let server = TestServer::start(config()).await;
    let mut peer = server.join("/room").await;
    let address = server.address;
    let begun = Instant::now();
    let running = server.stop();
    assert_closed(&mut peer.socket, Refusal::ServerStopping).await;
    assert!(within_deadline("the end", peer.socket.next()).await.is_none());
    within_deadline("the end", running).await.expect("a clean end");
    // Far less than the time that connections have to end.
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn peers_that_remain_after_the_drain_are_disconnected() {
    let drain_time = Duration::from_millis(300);
    let server = TestServer::start(ServerConfig { drain_time, ..config() }).await;
    let mut peer = server.join("/room").await;
    let running = server.stop();
    assert_closed(&mut peer.socket, Refusal::ServerStopping).await;
    within_deadline("the end", running).await.expect("a clean end");
}
