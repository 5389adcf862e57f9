//! What HTTP demands of a server that pages and strangers can reach.

use signaling::server::ServerConfig;

use crate::rig::{TestServer, config};

/// Everything that a browser sends to open a WebSocket, except the method.
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
    // What a proxy considers a body would be a ping to us.
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

#[tokio::test]
async fn pages_of_allowed_origins_may_read_the_list() {
    let server = TestServer::start(config()).await;
    for (path, status) in [("/v1/rooms?game=a", 200), ("/v1/rooms?game=a%20b", 400)] {
        let response = server.request("GET", path, "Origin: https://game.example\r\n").await;
        let shared_with = response.header("access-control-allow-origin");
        assert_eq!((response.status, shared_with), (status, "*"), "{path}");
    }
    // The counts are for the operator only.
    for path in ["/health", "/metrics", "/ready"] {
        assert_eq!(server.get(path).await.header("access-control-allow-origin"), "", "{path}");
    }

    let allowed_origins = vec!["https://game.example".to_owned()];
    let server = TestServer::start(ServerConfig { allowed_origins, ..config() }).await;
    for (origin, status, shared_with) in [
        ("Origin: https://game.example\r\n", 200, "https://game.example"),
        ("Origin: https://other.example\r\n", 403, ""),
        ("", 200, ""),
    ] {
        let response = server.request("GET", "/v1/rooms?game=a", origin).await;
        assert_eq!(response.header("access-control-allow-origin"), shared_with, "{origin}");
        assert_eq!((response.status, response.header("vary")), (status, "origin"), "{origin}");
    }
}

#[tokio::test]
async fn every_response_has_the_headers_that_protect_the_page() {
    let server = TestServer::start(config()).await;
    let answers = [
        server.get("/").await,
        server.get("/health").await,
        server.get("/v1/rooms?game=a").await,
        server.request("POST", "/", "").await,
        server.request("POST", "/room", HANDSHAKE).await,
    ];
    for response in answers {
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert_eq!(response.header("referrer-policy"), "no-referrer");
        let policy = response.header("content-security-policy");
        let directives: Vec<&str> = policy.split("; ").collect();
        for directive in [
            "default-src 'self'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "worker-src 'self' blob:",
            "connect-src 'self' ws: wss:",
            "img-src 'self' data: blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'self'",
        ] {
            assert!(directives.contains(&directive), "no {directive} in {policy}");
        }
        assert!(!policy.contains("'unsafe-inline'") && !policy.contains("'unsafe-eval'"));
    }
}

#[tokio::test]
async fn the_operator_may_set_another_page_policy() {
    for (wanted, header) in [("default-src *", "default-src *"), ("", "")] {
        let content_security_policy = wanted.to_owned();
        let server = TestServer::start(ServerConfig { content_security_policy, ..config() }).await;
        let response = server.get("/").await;
        assert_eq!(response.header("content-security-policy"), header);
        assert_eq!(response.header("x-content-type-options"), "nosniff");
    }
}
