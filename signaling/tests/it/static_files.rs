//! The web build is served with the right content types, as it was packed, and never stale.

use std::{fs, path::PathBuf};

use signaling::{protocol::PeerEvent, server::ServerConfig};

use crate::rig::{TestServer, config};

const PAGE: &str = "<!doctype html><title>game</title>";

/// A server of a small web build, in a folder of this test's own.
async fn start(test: &str) -> TestServer {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    let root = folder.join("web");
    fs::create_dir_all(&root).expect("a writable folder");
    let write = |name: &str, content: &[u8]| {
        fs::write(root.join(name), content).expect("a writable folder");
    };
    fs::create_dir_all(root.join("sub")).expect("a writable folder");
    write("sub/index.html", b"below");
    write("index.html", PAGE.as_bytes());
    write("game.js", "let x = 1;\n".repeat(1000).as_bytes());
    write("game.wasm", b"\0asm, plain");
    write("game.wasm.br", b"\0asm, brotli");
    write("game.wasm.gz", b"\0asm, gzip");
    fs::write(folder.join("secret"), "secret").expect("a writable folder");
    TestServer::start(ServerConfig { web_root: Some(root), ..config() }).await
}

#[tokio::test]
async fn files_have_the_content_types_that_browsers_require() {
    let server = start("types").await;
    for (path, content_type) in [
        ("/", "text/html"),
        ("/index.html", "text/html"),
        ("/game.js", "text/javascript"),
        ("/game.wasm", "application/wasm"),
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status, 200, "{path}");
        let (essence, _) = response
            .header("content-type")
            .split_once(';')
            .unwrap_or((response.header("content-type"), ""));
        assert_eq!(essence, content_type, "{path}");
    }
    assert_eq!(server.get("/").await.text(), PAGE);
    assert_eq!(server.get("/?next=2").await.text(), PAGE);
}

#[tokio::test]
async fn a_compressed_file_beside_a_file_is_sent_instead() {
    let server = start("compression").await;
    for (accepted, encoding, body) in [
        ("gzip, deflate, br", "br", "\0asm, brotli"),
        ("gzip", "gzip", "\0asm, gzip"),
        ("identity", "", "\0asm, plain"),
    ] {
        let header = format!("Accept-Encoding: {accepted}\r\n");
        let response = server.request("GET", "/game.wasm", &header).await;
        assert_eq!(response.header("content-encoding"), encoding);
        assert_eq!(response.header("content-type"), "application/wasm");
        assert_eq!(response.text(), body);
        assert!(response.header("vary").contains("accept-encoding"));
    }
}

#[tokio::test]
async fn nothing_is_compressed_while_serving() {
    let server = start("no_compression").await;
    for (path, length) in [("/game.js", 11_000), ("/game.wasm.br", 12), ("/health", 0)] {
        let response = server.request("GET", path, "Accept-Encoding: gzip, br\r\n").await;
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.header("content-encoding"), "", "{path}");
        assert!(length == 0 || response.body.len() == length, "{path}");
    }
}

#[tokio::test]
async fn a_path_that_no_file_can_have_is_not_found() {
    let server = start("impossible").await;
    let long = "x".repeat(256);
    let deep = format!("/{}", "sub/".repeat(2_000));
    for path in [
        format!("/{long}"),
        format!("/{long}/"),
        format!("/sub/{long}"),
        format!("/{}", "%78".repeat(256)),
        format!("{deep}x"),
        deep,
        "/index.html/x".to_owned(),
        "/game%00.js".to_owned(),
    ] {
        for method in ["GET", "HEAD"] {
            let response = server.request(method, &path, "Accept-Encoding: br\r\n").await;
            assert_eq!(response.status, 404, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_redirect_stays_on_the_server() {
    let server = start("redirects").await;
    assert_eq!(server.get("/sub").await.header("location"), "/sub/");
    assert_eq!(server.get("/sub?low").await.header("location"), "/sub/?low");
    assert_eq!(server.get("/sub/").await.text(), "below");
    for path in ["//sub", "///sub", "/.//sub", "//sub/", "/\\sub", "/sub//", "/%2fsub"] {
        let response = server.get(path).await;
        assert_eq!((response.status, response.header("location")), (404, ""), "{path}");
    }
    // A browser sends no such request, and a proxy might keep the response.
    let response = server.get("http://elsewhere.example/sub").await;
    assert_eq!((response.status, response.header("location")), (307, "/sub/"));
}

#[tokio::test]
async fn browsers_ask_again_and_learn_that_nothing_changed() {
    let server = start("caching").await;
    let response = server.get("/game.wasm").await;
    assert_eq!(response.header("cache-control"), "no-cache");
    // Dates are compared by value, so it does not matter that this one is in lower case.
    let header = format!("If-Modified-Since: {}\r\n", titled(response.header("last-modified")));
    let response = server.request("GET", "/game.wasm", &header).await;
    assert_eq!((response.status, response.body.len()), (304, 0));
}

/// Restores the capitals of a header's date, which the rig puts in lower case.
fn titled(date: &str) -> String {
    date.split(' ')
        .map(|word| {
            let (first, rest) = word.split_at(1);
            if word == "gmt" { "GMT".to_owned() } else { first.to_ascii_uppercase() + rest }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test]
async fn nothing_outside_the_folder_is_served() {
    let server = start("outside").await;
    for path in
        ["/../secret", "/%2e%2e/secret", "/..%2fsecret", "/nothing", "/v1/rooms/a", "//secret"]
    {
        let response = server.get(path).await;
        assert_eq!(response.status, 404, "{path}");
        assert!(!response.text().contains("secret"), "{path}");
    }
    assert_eq!(server.request("POST", "/", "Content-Length: 0\r\n").await.status, 405);
}

#[tokio::test]
async fn rooms_and_files_may_have_the_same_names() {
    let server = start("names").await;
    for name in ["/game.js", "/index.html", "/health"] {
        let mut first = server.join(name).await;
        let second = server.join(name).await;
        assert_eq!(first.next().await, PeerEvent::NewPeer(second.id));
    }
    assert!(server.health().await["peers"].is_u64());
}

#[tokio::test]
async fn without_files_the_server_says_what_it_is() {
    let server = TestServer::start(config()).await;
    let response = server.get("/").await;
    assert_eq!(response.status, 404);
    assert!(response.text().contains("signaling server"));
}
