//! What RFC 6455 requires of a server.

use futures::{SinkExt, StreamExt};
use signaling::protocol::PeerEvent;
use tokio_tungstenite::tungstenite::{
    Bytes, Message,
    protocol::{
        CloseFrame,
        frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

use crate::rig::{Peer, TestServer, config, within_deadline};

/// Requests a WebSocket with these additional headers; returns the status and the text of the
/// response.
async fn status(server: &TestServer, headers: &str) -> (u16, String) {
    let upgrade = format!("Upgrade: websocket\r\n{headers}");
    // The rig's head says `Connection: close`; a second line adds to it.
    let response = server.request("GET", "/room", &upgrade).await;
    (response.status, response.text().to_owned())
}

#[tokio::test]
async fn a_handshake_that_lacks_something_is_refused_in_words() {
    let server = TestServer::start(config()).await;
    let (connection, version) = ("Connection: Upgrade\r\n", "Sec-WebSocket-Version: 13\r\n");
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (headers, word) in [
        (format!("{version}{key}"), "Connection: upgrade"),
        (format!("{connection}{key}"), "version 13"),
        (format!("{connection}Sec-WebSocket-Version: 8\r\n{key}"), "version 13"),
        (format!("{connection}{version}"), "Sec-WebSocket-Key"),
    ] {
        let (status, words) = status(&server, &headers).await;
        assert_eq!(status, 400, "{headers}");
        assert!(words.contains(word), "{words}");
    }
    server.assert_others_can_play().await;
}

#[tokio::test]
async fn a_ping_is_answered_with_its_payload() {
    let server = TestServer::start(config()).await;
    let mut peer = server.join("/room").await;
    let payload = Bytes::from_static(&[7; 125]);
    peer.send(Message::Ping(payload.clone())).await;
    let answer = within_deadline("a pong", peer.socket.next()).await;
    assert_eq!(answer.expect("open").expect("sound"), Message::Pong(payload));
}

#[tokio::test]
async fn a_message_in_frames_arrives_whole() {
    let server = TestServer::start(config()).await;
    let mut first = server.join("/room").await;
    let mut second = server.join("/room").await;
    assert_eq!(first.next().await, PeerEvent::NewPeer(second.id));
    let request = format!(r#"{{"Signal":{{"receiver":"{}","data":"hello"}}}}"#, second.id);
    let (begin, end) = request.split_at(20);
    let frame = |text: &str, kind, is_final| {
        Message::Frame(Frame::message(Bytes::from(text.to_owned()), OpCode::Data(kind), is_final))
    };
    first.send(frame(begin, Data::Text, false)).await;
    first.send(Message::Ping(Bytes::new())).await;
    first.send(frame(end, Data::Continue, true)).await;
    let expected = PeerEvent::Signal { sender: first.id, data: "hello".into() };
    assert_eq!(second.next().await, expected);
}

#[tokio::test]
async fn a_close_frame_is_answered_with_the_same_payload() {
    let server = TestServer::start(config()).await;
    let mut friend = server.join("/room").await;
    let Peer { mut socket, id, .. } = server.join("/room").await;
    assert_eq!(friend.next().await, PeerEvent::NewPeer(id));
    let farewell = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
    let closed = Message::Close(Some(farewell));
    within_deadline("closing", socket.send(closed.clone())).await.expect("the server is there");
    let answer = within_deadline("an answer", socket.next()).await;
    assert_eq!(answer.expect("open").expect("sound"), closed);
    let end = within_deadline("the end", socket.next()).await;
    assert!(end.is_none(), "the server ends the connection: {end:?}");
    assert_eq!(friend.next().await, PeerEvent::PeerLeft(id));
    assert_eq!(server.health().await["counters"]["broken"], 0);
}

#[tokio::test]
async fn a_client_gets_the_list_for_each_text_and_a_pong_for_each_ping() {
    let server = TestServer::start(config()).await;
    let mut socket = server.open("/v1/list?game=a").await;
    let frame = |text: &'static str, kind, is_final| {
        let text = Bytes::from_static(text.as_bytes());
        Message::Frame(Frame::message(text, OpCode::Data(kind), is_final))
    };
    let ping = Bytes::from_static(b"there?");
    let farewell = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
    let closed = Message::Close(Some(farewell));
    for message in [
        Message::Pong(Bytes::new()),
        Message::binary(vec![7]),
        Message::Ping(ping.clone()),
        frame("ag", Data::Text, false),
        frame("ain", Data::Continue, true),
        closed.clone(),
    ] {
        within_deadline("sending", socket.send(message)).await.expect("the server is there");
    }
    let list = Message::text(r#"{"Rooms":[]}"#);
    for expected in [list.clone(), Message::Pong(ping), list, closed] {
        let answer = within_deadline("an answer", socket.next()).await;
        assert_eq!(answer.expect("open").expect("sound"), expected);
    }
    let end = within_deadline("the end", socket.next()).await;
    assert!(end.is_none(), "the server ends the connection: {end:?}");
    server.await_count("dropped_binary", 1).await;
    assert_eq!(server.health().await["counters"]["broken"], 0);
}

#[tokio::test]
async fn bytes_sent_together_with_the_handshake_are_read() {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    let server = TestServer::start(config()).await;
    let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
    let head = "GET /room HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // A ping with a mask of zeros.
    let ping = [0x89, 0x82, 0, 0, 0, 0, b'o', b'k'];
    stream.write_all(&[head.as_bytes(), &ping].concat()).await.expect("the server reads");
    let mut answer = Vec::new();
    within_deadline("a pong", async {
        while !answer.windows(4).any(|window| window == [0x8a, 2, b'o', b'k']) {
            assert!(stream.read_buf(&mut answer).await.expect("the server answers") > 0);
        }
    })
    .await;
    // The example of RFC 6455, section 1.3.
    let head = String::from_utf8_lossy(&answer);
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
}
