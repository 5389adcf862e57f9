//! What HTTP itself asks of a server that pages and strangers reach.

use crate::rig::{TestServer, config};

/// All that a browser says to open a WebSocket, but the method.
const HANDSHAKE: &str = "Upgrade: websocket\r\nConnection: upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn only_a_get_without_a_body_becomes_a_websocket() {
    let server = TestServer::start(config()).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"] {
        for body in ["", "Content-Length: 2\r\n"] {
            let response = server.request(method, "/room", &format!("{HANDSHAKE}{body}")).await;
            assert_eq!((response.status, response.header("allow")), (405, "get"), "{method}");
        }
    }
    // What a proxy takes for a body is a ping to us.
    let ping = [0x89, 0x82, 0, 0, 0, 0, b'o', b'k'];
    for body in ["Content-Length: 8\r\n", "Transfer-Encoding: chunked\r\n"] {
        let head = format!("GET /room HTTP/1.1\r\nHost: test\r\n{HANDSHAKE}{body}\r\n");
        let response = server.send_raw(&[head.as_bytes(), &ping].concat()).await;
        assert_eq!(response.status, 400, "{body}");
        assert!(response.text().contains("no body"), "{}", response.text());
    }
    assert_eq!(server.health().await["counters"]["joined"], 0);
    let nothing = [("content-length", "0")];
    server.try_open_with("/room", &nothing).await.expect("a body of no bytes is none");
    server.assert_others_can_play().await;
}
