//! Limits on how much and how often: on what one peer sends, and on what comes from one network
//! address.

use futures::{FutureExt, SinkExt};
use serde_json::json;
use signaling::{
    lobby::{RoomRequest, RoomState},
    protocol::{PeerEvent, Refusal},
    server::{Rate, ServerConfig},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{TestServer, assert_closed, config, within_deadline};

/// Asserts that both kinds of client are refused.
async fn assert_refused(
    server: &TestServer,
    headers: &[(&'static str, &str)],
    status: u16,
    refusal: Refusal,
) {
    let (found, words) = server.refusal_with("/room", headers).await;
    assert_eq!((found, words), (status, format!("{refusal}\n")));
    let socket = server.try_open_with("/v1/rooms/room", headers).await;
    assert_closed(&mut socket.expect("a WebSocket to say it"), refusal).await;
}

/// Waits until the server accepts a peer again.
async fn await_place(server: &TestServer) {
    within_deadline("a free place", async {
        while server.try_open("/room").await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn one_address_has_a_limit_on_peers() {
    let server = TestServer::start(ServerConfig { max_peers_per_address: 2, ..config() }).await;
    let first = server.join("/room").await;
    let _second = server.join("/other").await;
    assert_refused(&server, &[], 429, Refusal::AddressFull).await;
    server.await_count("refused_address_full", 2).await;
    drop(first);
    await_place(&server).await;
}

#[tokio::test]
async fn one_address_has_a_limit_on_joins() {
    let join_rate = Rate { per_second: 1, at_once: 3 };
    let server = TestServer::start(ServerConfig { join_rate, ..config() }).await;
    for _ in 0..3 {
        drop(server.join("/room").await);
    }
    assert_refused(&server, &[], 429, Refusal::TooOften).await;
    server.await_count("refused_too_often", 2).await;
    await_place(&server).await;
}

#[tokio::test]
async fn a_request_for_the_list_counts_as_a_join() {
    let join_rate = Rate { per_second: 1, at_once: 2 };
    let trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    let limited = ServerConfig { join_rate, trusted_proxies, ..config() };
    let server = TestServer::start(limited).await;
    let ask = async |address: &str| {
        let header = format!("X-Forwarded-For: {address}\r\n");
        server.request("GET", "/v1/rooms?game=a", &header).await
    };
    for address in ["192.0.2.1", "192.0.2.1", "192.0.2.2"] {
        assert_eq!(ask(address).await.status, 200, "{address}");
    }
    let refused = ask("192.0.2.1").await;
    assert_eq!((refused.status, refused.text()), (429, &*format!("{}\n", Refusal::TooOften)));
    server.await_count("refused_too_often", 1).await;
    assert_refused(&server, &[("x-forwarded-for", "192.0.2.1")], 429, Refusal::TooOften).await;
    assert_eq!(ask("192.0.2.2").await.status, 200);
}

#[tokio::test]
async fn pages_of_other_origins_get_no_list_of_rooms() {
    let allowed_origins = vec!["https://game.example".to_owned()];
    let server = TestServer::start(ServerConfig { allowed_origins, ..config() }).await;
    for (origin, status) in [("https://game.example", 200), ("https://evil.example", 403)] {
        let header = format!("Origin: {origin}\r\n");
        assert_eq!(server.request("GET", "/v1/rooms?game=a", &header).await.status, status);
    }
}

#[tokio::test]
async fn one_address_has_a_limit_on_connections() {
    let limited = ServerConfig { max_connections_per_address: 2, ..config() };
    let server = TestServer::start(limited.clone()).await;
    let mut peers = [server.join("/room").await, server.join("/room").await];
    let mut third = TcpStream::connect(server.address).await.expect("the system accepts it");
    let mut answer = Vec::new();
    let end = within_deadline("an end", third.read_to_end(&mut answer)).await;
    assert!(end.is_err() || answer.is_empty(), "{answer:?}");
    let [one, other] = &mut peers;
    assert_eq!(one.next().await, PeerEvent::NewPeer(other.id));
    one.greet(other).await;
    drop(peers);
    await_place(&server).await;
    server.await_count("refused_connection", 1).await;

    let trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    let server = TestServer::start(ServerConfig { trusted_proxies, ..limited }).await;
    let _peers = [server.join("/room").await, server.join("/room").await];
    let _third = server.join("/room").await;
}

#[tokio::test]
async fn only_a_trusted_proxy_can_name_the_address() {
    let forwarded = |address| [("x-forwarded-for", address)];
    let limited = ServerConfig { max_peers_per_address: 1, ..config() };
    let server = TestServer::start(limited.clone()).await;
    let _first = server.join("/room").await;
    assert_refused(&server, &forwarded("192.0.2.1"), 429, Refusal::AddressFull).await;

    let trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    let server = TestServer::start(ServerConfig { trusted_proxies, ..limited }).await;
    let mut sockets = Vec::new();
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        let socket = server.try_open_with("/room", &forwarded(address)).await;
        sockets.push(socket.expect("each has a place of its own"));
    }
    for address in ["192.0.2.1", "203.0.113.9, 192.0.2.2", "2001:db8::2"] {
        assert_refused(&server, &forwarded(address), 429, Refusal::AddressFull).await;
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let allowed_origins = vec!["https://game.example".to_owned()];
    let server = TestServer::start(ServerConfig { allowed_origins, ..config() }).await;
    for origin in
        ["https://evil.example", "http://game.example", "https://game.example.evil", "null"]
    {
        assert_refused(&server, &[("origin", origin)], 403, Refusal::Origin).await;
    }
    server.await_count("refused_origin", 8).await;
    let page = server.try_open_with("/room", &[("origin", "https://game.example")]).await;
    assert!(page.is_ok());
    server.assert_others_can_play().await;
}

#[tokio::test]
async fn a_peer_that_sends_too_fast_is_read_more_slowly_and_loses_nothing() {
    const MESSAGES: u64 = 30;
    let message_rate = Rate { per_second: 40, at_once: 10 };
    let max_message_bytes = 2048;
    let limited = ServerConfig { message_rate, max_message_bytes, ..config() };
    let server = TestServer::start(limited).await;
    let mut talker = server.join("/room").await;
    let mut listener = server.join("/room").await;
    assert_eq!(talker.next().await, PeerEvent::NewPeer(listener.id));
    let begun = Instant::now();
    for number in 0..MESSAGES {
        talker.signal(listener.id, number).await;
    }
    // In the meantime, the other direction and other rooms are as fast as ever.
    listener.greet(&mut talker).await;
    server.assert_others_can_play().await;
    for number in 0..MESSAGES {
        let expected = PeerEvent::Signal { sender: talker.id, data: number.into() };
        assert_eq!(listener.next().await, expected);
    }
    let took = begun.elapsed();
    // 20 messages at 40 a second.
    assert!(took.as_millis() >= 450, "{took:?}");
    assert!(server.health().await["counters"]["slowed"].as_u64() > Some(0));
}

#[tokio::test]
async fn frames_that_are_not_messages_count_as_well() {
    let message_rate = Rate { per_second: 2, at_once: 1 };
    for junk in [Message::binary(vec![0; 100]), Message::Ping(Vec::new().into())] {
        let server = TestServer::start(ServerConfig { message_rate, ..config() }).await;
        let mut talker = server.join("/room").await;
        for _ in 0..3 {
            talker.send(junk.clone()).await;
        }
        server.await_count("slowed", 2).await;
    }
    let server = TestServer::start(ServerConfig { message_rate, ..config() }).await;
    let mut talker = server.join("/room").await;
    // The head of a text, and parts of it without a letter; their mask is zero.
    let mut frames = vec![0x01, 0x80, 0, 0, 0, 0];
    for _ in 0..3 {
        frames.extend([0x00, 0x80, 0, 0, 0, 0]);
    }
    let stream = talker.socket.get_mut();
    within_deadline("writing", stream.write_all(&frames)).await.expect("the server is there");
    server.await_count("slowed", 3).await;
}

#[tokio::test]
async fn a_long_message_counts_as_several() {
    let message_rate = Rate { per_second: 20, at_once: 10 };
    let server = TestServer::start(ServerConfig { message_rate, ..config() }).await;
    let mut talker = server.join("/room").await;
    let begun = Instant::now();
    talker.send(Message::text(" ".repeat(18 * 1024))).await;
    let id = talker.id;
    talker.signal(id, 1).await;
    assert_eq!(talker.next().await, PeerEvent::Signal { sender: id, data: 1.into() });
    // 18 messages and one, of which 10 are allowed at once.
    assert!(begun.elapsed().as_millis() >= 400, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn too_many_requests_in_a_room_disconnect_nobody() {
    let room_request_rate = Rate { per_second: 1, at_once: 3 };
    let server = TestServer::start(ServerConfig { room_request_rate, ..config() }).await;
    let mut flooder = server.join("/v1/rooms/room").await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(server.join("/v1/rooms/room").await);
    }
    flooder.sees("all four", |room| room.members.len() == 4).await;
    for number in 0..1000 {
        let request = json!({ "Room": RoomRequest::SetReady(number % 2 == 0) });
        let message = Message::text(request.to_string());
        flooder.socket.feed(message).await.expect("the server is there");
    }
    // Most of the requests wait for the server to read them.
    let _ = flooder.socket.flush().now_or_never();
    server.await_count("requests_slowed", 1).await;
    let [one, other, third] = &mut others[..] else { panic!("three") };
    assert_eq!(one.next().await, PeerEvent::NewPeer(other.id));
    assert_eq!(one.next().await, PeerEvent::NewPeer(third.id));
    one.greet(third).await;
    assert_eq!(server.health().await["peers"], 4);
}

#[tokio::test]
async fn slightly_too_many_requests_in_a_room_are_not_lost() {
    let room_request_rate = Rate { per_second: 20, at_once: 2 };
    let server = TestServer::start(ServerConfig { room_request_rate, ..config() }).await;
    let mut clicker = server.join("/v1/rooms/room").await;
    let mut other = server.join("/v1/rooms/room").await;
    for is_ready in [true, false, true, false, true] {
        clicker.ask(&RoomRequest::SetReady(is_ready)).await;
    }
    let id = clicker.id;
    clicker.ask(&RoomRequest::Rename("Ann".into())).await;
    let is_last = |room: &RoomState| room.member(id).is_some_and(|member| member.name == "Ann");
    let room = other.sees("the last wish", is_last).await;
    assert!(room.member(id).is_some_and(|member| member.is_ready));
}
