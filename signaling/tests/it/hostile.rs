//! Nonsense and excess: each limit is exceeded once, the client is refused with a reason or
//! counted, and other peers never notice.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use signaling::{
    protocol::{MAX_ROOM_NAME_BYTES, PeerEvent, PeerId, Refusal},
    server::{BindError, Rate, Secret, Server, ServerConfig},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    select,
};
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{Peer, TestServer, assert_closed, config, within_deadline};

/// Asserts the refusal: by status and sentence for stock clients, by close frame for clients of
/// `/v1/`.
async fn assert_refused(server: &TestServer, room: &str, status: u16, refusal: Refusal) {
    let words = format!("{refusal}\n");
    assert_eq!(server.refusal(&format!("/{room}")).await, (status, words), "{room}");
    let mut socket = server.open(&format!("/v1/rooms/{room}")).await;
    assert_closed(&mut socket, refusal).await;
}

#[tokio::test]
async fn bad_addresses_are_refused_in_words() {
    let server = TestServer::start(config()).await;
    let groups = ["next=0", "next=junk", "next=", "next=-1", "next=65", "next=99999999999"];
    for query in groups {
        assert_refused(&server, &format!("room?{query}"), 400, Refusal::GroupSize).await;
    }
    let too_long = "x".repeat(MAX_ROOM_NAME_BYTES + 1);
    for name in ["", ".", "..", "a/b", "%00", "%F0%9F%A6%80", "..%2f..", "a'b", &too_long] {
        assert_refused(&server, name, 400, Refusal::RoomName).await;
    }
    server.await_count("refused_group_size", 2 * 6).await;
    server.await_count("refused_room_name", 2 * 9).await;
    server.assert_others_can_play().await;
}

#[tokio::test]
async fn junk_messages_are_counted_and_dropped() {
    let server = TestServer::start(config()).await;
    let mut peer = server.join("/room").await;
    let mut friend = server.join("/room").await;
    let stranger = server.join("/other").await;
    assert_eq!(peer.next().await, PeerEvent::NewPeer(friend.id));

    let nested = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let junk = [
        "",
        "null",
        "{",
        r#"{"Signal":{}}"#,
        r#"{"Signal":{"receiver":"me","data":1}}"#,
        r#""KeepDead""#,
        nested.as_str(),
    ];
    for text in junk {
        peer.send(Message::text(text)).await;
    }
    server.await_count("dropped_unreadable", junk.len() as u64).await;

    peer.send(Message::binary(vec![0xff; 100])).await;
    server.await_count("dropped_binary", 1).await;

    peer.signal(PeerId(Default::default()), "anybody?").await;
    server.await_count("dropped_unknown_receiver", 1).await;

    peer.signal(stranger.id, "psst").await;
    server.await_count("dropped_other_room", 1).await;

    // After all that, it is still a peer, and none of the junk arrived anywhere.
    peer.greet(&mut friend).await;
    let mut newcomer = server.join("/other").await;
    let mut stranger = stranger;
    assert_eq!(stranger.next().await, PeerEvent::NewPeer(newcomer.id));
    stranger.greet(&mut newcomer).await;
    server.assert_others_can_play().await;
}

#[tokio::test]
async fn deeply_nested_signals_are_forwarded_unread() {
    let server = TestServer::start(config()).await;
    let mut peer = server.join("/room").await;
    let nested = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let id = peer.id;
    let request = format!(r#"{{"Signal":{{"receiver":"{id}","data":{nested}}}}}"#);
    peer.send(Message::text(request)).await;
    let event = format!(r#"{{"Signal":{{"sender":"{id}","data":{nested}}}}}"#);
    assert_eq!(peer.next_text().await, event);
}

#[tokio::test]
async fn a_message_may_be_long_but_not_too_long() {
    let server = TestServer::start(config()).await;
    let longest = config().max_message_bytes;
    let mut peer = server.join("/room").await;
    let mut friend = server.join("/room").await;
    assert_eq!(peer.next().await, PeerEvent::NewPeer(friend.id));

    peer.send(Message::text(" ".repeat(longest))).await;
    server.await_count("dropped_unreadable", 1).await;

    peer.send(Message::text(" ".repeat(longest + 1))).await;
    assert_closed(&mut peer.socket, Refusal::MessageTooLong).await;
    assert_eq!(friend.next().await, PeerEvent::PeerLeft(peer.id));
    server.await_count("refused_message_too_long", 1).await;

    // Only the head of a frame that announces 2^62 bytes.
    let mut socket = server.join("/room").await.socket;
    let head = [0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    let stream = socket.get_mut();
    within_deadline("writing", stream.write_all(&head)).await.expect("the server is there");
    assert_closed(&mut socket, Refusal::MessageTooLong).await;

    // Two fragments, each short enough but too long together; their mask is zero.
    let mut socket = server.join("/room").await.socket;
    let half = longest / 2 + 1;
    let length = u16::try_from(half).expect("a short half").to_be_bytes();
    let fragment = |opcode: u8| {
        let head = [opcode, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
        [head.to_vec(), vec![b' '; half]].concat()
    };
    let stream = socket.get_mut();
    let fragments = [fragment(0x01), fragment(0x80)].concat();
    within_deadline("writing", stream.write_all(&fragments)).await.expect("the server is there");
    assert_closed(&mut socket, Refusal::MessageTooLong).await;
    server.assert_others_can_play().await;
}

#[tokio::test]
async fn random_bytes_harm_nobody_else() {
    let server = TestServer::start(config()).await;
    // Xorshift, so that a failure can be repeated.
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..200 {
        let bytes: [u8; 64] = std::array::from_fn(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        });
        let mut socket = server.join("/room").await.socket;
        let stream = socket.get_mut();
        within_deadline("writing", stream.write_all(&bytes)).await.expect("the server is there");
    }
    within_deadline("all of them are gone", async {
        while server.health().await["peers"] != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.assert_others_can_play().await;
}

#[tokio::test]
async fn full_rooms_and_full_servers_say_so() {
    let server = TestServer::start(ServerConfig {
        max_peers_per_room: 2,
        max_rooms: 2,
        max_peers: 3,
        ..config()
    })
    .await;
    let mut a = [server.join("/a").await, server.join("/a").await];
    assert_refused(&server, "a", 503, Refusal::RoomFull).await;
    assert_refused(&server, "a?next=3", 400, Refusal::GroupSize).await;
    let b = server.join("/b").await;
    assert_refused(&server, "b", 503, Refusal::ServerFull).await;
    drop(b);
    within_deadline("the room b is gone", async {
        while server.health().await["rooms"] != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let [first, second] = &mut a;
    assert_eq!(first.next().await, PeerEvent::NewPeer(second.id));
    first.greet(second).await;
}

#[tokio::test]
async fn spectators_count_towards_the_limit_of_the_room() {
    let server = TestServer::start(ServerConfig { max_peers_per_room: 3, ..config() }).await;
    for (path, capacity, spectators) in [
        ("rooms/a", 3, 0),
        ("rooms/f?capacity=4&spectators=4", 3, 0),
        ("rooms/b?spectators=1", 2, 1),
        ("rooms/c?capacity=1&spectators=1", 1, 1),
        ("rooms/d?capacity=2&spectators=2", 2, 1),
        ("rooms/e?spectators=65535", 1, 2),
        ("quick?players=3&spectators=1", 3, 0),
    ] {
        let mut peer = server.join(&format!("/v1/{path}")).await;
        let room = peer.sees("its room", |_| true).await;
        assert_eq!((room.capacity, room.spectators), (capacity, spectators), "{path}");
    }
}

#[tokio::test]
async fn too_many_rooms_are_refused() {
    let server = TestServer::start(ServerConfig { max_rooms: 1, ..config() }).await;
    let mut first = server.join("/a").await;
    assert_refused(&server, "b", 503, Refusal::TooManyRooms).await;
    assert_refused(&server, "a?next=2", 503, Refusal::TooManyRooms).await;
    let second = server.join("/a").await;
    assert_eq!(first.next().await, PeerEvent::NewPeer(second.id));
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_disconnected() {
    // The server tries to write to it for this long.
    let idle_timeout = Duration::from_secs(5);
    let server = TestServer::start(ServerConfig { idle_timeout, ..config() }).await;
    let mut deaf = server.join("/room").await;
    let talker = server.join("/room").await;
    assert_eq!(deaf.next().await, PeerEvent::NewPeer(talker.id));

    let (mut write, mut read) = talker.socket.split();
    let long = "x".repeat(config().max_message_bytes - 200);
    let request = format!(r#"{{"Signal":{{"receiver":"{}","data":"{long}"}}}}"#, deaf.id);
    let flood = async {
        loop {
            write.send(Message::text(request.clone())).await.expect("the server is there");
        }
    };
    let event = within_deadline("PeerLeft", async {
        select! {
            event = read.next() => event,
            () = flood => None,
        }
    })
    .await;
    let left = format!(r#"{{"PeerLeft":"{}"}}"#, deaf.id);
    assert_eq!(event.expect("open").expect("sound"), Message::text(left));
    server.await_count("refused_silent", 1).await;
    server.assert_others_can_play().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_slot() {
    let server = TestServer::start(ServerConfig { max_connections: 1, ..config() }).await;
    let mut peer = server.join("/room").await;
    let mut waiting = TcpStream::connect(server.address).await.expect("the system queues it");
    let request = b"GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    waiting.write_all(request).await.expect("the system queues it");
    let mut answer = String::new();
    let mut read = Box::pin(waiting.read_to_string(&mut answer));
    for _ in 0..100 {
        let id = peer.id;
        peer.signal(id, 1).await;
        select! {
            biased;
            _ = &mut read => panic!("answered without a place"),
            _ = peer.next() => {}
        }
    }
    drop(peer);
    within_deadline("an answer", &mut read).await.expect("a sound answer");
    drop(read);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(server.health().await["counters"]["connections_full"].as_u64() > Some(0));
}

#[tokio::test]
async fn a_connection_without_http_is_cut_off() {
    let server =
        TestServer::start(ServerConfig { request_timeout: Duration::from_secs(1), ..config() })
            .await;
    assert_eq!(server.send_raw(b"\x16\x03\x01\x02\x00junk\r\n\r\n").await.status, 400);
    assert_eq!(server.send_raw(b"GET / HTTP/1.1\r\nHost: te").await.status, 0, "half a request");
    assert_eq!(server.send_raw(b"").await.status, 0, "no request");
    server.await_count("request_timed_out", 2).await;
    let long_head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(15 * 1024));
    assert_ne!(server.send_raw(long_head.as_bytes()).await.status, 431);
    let too_long_head = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(16 * 1024));
    assert_eq!(server.send_raw(too_long_head.as_bytes()).await.status, 431);
    server.await_count("header_too_long", 1).await;
    let no_key = "Upgrade: websocket\r\nConnection: upgrade\r\n";
    assert_eq!(server.request("GET", "/room", no_key).await.status, 400);
    server.assert_others_can_play().await;
}

#[tokio::test]
async fn the_head_of_a_request_may_be_as_long_as_configured() {
    let server = TestServer::start(ServerConfig { max_header_bytes: 8 * 1024, ..config() }).await;
    let long_head =
        format!("GET / HTTP/1.1\r\nx: {}\r\nConnection: close\r\n\r\n", "x".repeat(7 * 1024));
    assert_eq!(server.send_raw(long_head.as_bytes()).await.status, 404);
    let too_long_head = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(8 * 1024));
    assert_eq!(server.send_raw(too_long_head.as_bytes()).await.status, 431);
    server.await_count("header_too_long", 1).await;
}

#[tokio::test]
async fn a_broken_frame_ends_its_connection_only() {
    let server = TestServer::start(config()).await;
    let mut friend = server.join("/room").await;
    let Peer { mut socket, id, .. } = server.join("/room").await;
    assert_eq!(friend.next().await, PeerEvent::NewPeer(id));
    // An opcode that does not exist.
    let stream = socket.get_mut();
    within_deadline("writing", stream.write_all(&[0x8b, 0x80, 1, 2, 3, 4]))
        .await
        .expect("the server is there");
    assert_eq!(friend.next().await, PeerEvent::PeerLeft(id));
    server.await_count("broken", 1).await;
    server.assert_others_can_play().await;
}

#[tokio::test]
async fn settings_that_make_no_sense_are_rejected() {
    let zero = Duration::ZERO;
    for config in [
        ServerConfig { max_message_bytes: 0, ..config() },
        ServerConfig { max_message_bytes: usize::MAX, ..config() },
        ServerConfig { max_queued_bytes: 1, ..config() },
        ServerConfig { max_header_bytes: 1024, ..config() },
        ServerConfig { max_header_bytes: usize::MAX, ..config() },
        ServerConfig { max_peers_per_room: 0, ..config() },
        ServerConfig { max_rooms: 0, ..config() },
        ServerConfig { max_peers: 0, ..config() },
        ServerConfig { max_connections: 0, ..config() },
        ServerConfig { max_connections: usize::MAX, ..config() },
        ServerConfig { idle_timeout: zero, ..config() },
        ServerConfig { request_timeout: zero, ..config() },
        ServerConfig { write_timeout: zero, ..config() },
        ServerConfig { idle_timeout: Duration::MAX, ..config() },
        ServerConfig { drain_time: Duration::MAX, ..config() },
        ServerConfig { max_peers_per_address: 0, ..config() },
        ServerConfig { max_connections_per_address: 0, ..config() },
        ServerConfig { max_downloads_per_address: 0, ..config() },
        ServerConfig { join_rate: Rate { per_second: 0, at_once: 1 }, ..config() },
        ServerConfig { message_rate: Rate { per_second: 1, at_once: 0 }, ..config() },
        ServerConfig { room_request_rate: Rate { per_second: 0, at_once: 1 }, ..config() },
        // The longest message would take more than a minute.
        ServerConfig { message_rate: Rate { per_second: 1, at_once: 1 }, ..config() },
        ServerConfig { redis: Some(Secret("rediss://host:6379".to_owned())), ..config() },
        ServerConfig { content_security_policy: "default-src\n*".into(), ..config() },
        ServerConfig { allowed_origins: vec!["game.example".into()], ..config() },
        ServerConfig { allowed_origins: vec!["https://game.example/".into()], ..config() },
        ServerConfig { allowed_origins: vec!["https://game.example:443".into()], ..config() },
    ] {
        let result = Server::bind(config.clone()).await;
        assert!(matches!(result, Err(BindError::BadLimit { .. })), "{config:?}");
    }
    let config = ServerConfig { web_root: Some("/no/such/folder".into()), ..config() };
    assert!(matches!(Server::bind(config).await, Err(BindError::WebRoot { .. })));
}
