//! TLS with a certificate and a key from files: for WebSockets and downloads, with renewed
//! certificates, and with clients that do not use TLS.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use signaling::{
    protocol::{PeerEvent, PeerId, PeerRequest},
    server::{BindError, Server, ServerConfig},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use crate::rig::{TestServer, config, within_deadline};

/// The host name in the certificates.
const HOST: &str = "localhost";

/// A folder of a test's own, with a certificate and its key.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn new(test: &str) -> (Self, CertificateDer<'static>) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
        fs::create_dir_all(&folder).expect("a writable folder");
        let files = Self { folder };
        let certificate = files.renew();
        (files, certificate)
    }

    /// Writes another certificate, which clients that trusted the last one do not trust.
    fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a host's name");
        fs::write(self.certificate(), made.cert.pem()).expect("a writable folder");
        fs::write(self.key(), made.signing_key.serialize_pem()).expect("a writable folder");
        made.cert.der().clone()
    }

    fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    fn config(&self) -> ServerConfig {
        let (certificate, key) = (Some(self.certificate()), Some(self.key()));
        ServerConfig { tls_cert: certificate, tls_key: key, ..config() }
    }
}

/// Connects as a client that trusts only this certificate; returns `None` if the server has another
/// one.
async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
) -> Option<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a sound certificate");
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has what they take")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let host = ServerName::try_from(HOST).expect("a host's name");
    let connector = TlsConnector::from(Arc::new(client));
    within_deadline("a TLS handshake", connector.connect(host, stream)).await.ok()
}

async fn get(address: SocketAddr, trusted: &CertificateDer<'static>, path: &str) -> String {
    let mut stream = connect(address, trusted).await.expect("the certificate that we trust");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = String::new();
    within_deadline("an answer", stream.read_to_string(&mut answer))
        .await
        .expect("the server closes the connection in an orderly way");
    answer
}

/// Waits until `/health` shows this number of failed handshakes.
async fn await_failed(address: SocketAddr, trusted: &CertificateDer<'static>, count: u64) {
    let wanted = format!("\"tls_failed\":{count}");
    within_deadline(&wanted, async {
        while !get(address, trusted, "/health").await.contains(&wanted) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A peer in a room, over `wss`.
struct Peer {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    id: PeerId,
}

impl Peer {
    async fn join(address: SocketAddr, trusted: &CertificateDer<'static>, path: &str) -> Self {
        let stream = connect(address, trusted).await.expect("the certificate that we trust");
        let opening = client_async(format!("wss://{HOST}{path}"), stream);
        let (socket, _) = within_deadline("the opening", opening).await.expect("a free room");
        let mut peer = Self { socket, id: PeerId(Default::default()) };
        let PeerEvent::IdAssigned(id) = peer.next().await else { panic!("no id") };
        peer.id = id;
        peer
    }

    async fn next(&mut self) -> PeerEvent<Value> {
        loop {
            let message = within_deadline("a message", self.socket.next()).await;
            let message = message.expect("it is open").expect("it is sound");
            // Messages for clients of `/v1/` alone do not matter here.
            if let Ok(event) = serde_json::from_str(message.to_text().expect("text")) {
                return event;
            }
        }
    }
}

#[tokio::test]
async fn peers_meet_and_pages_load_over_tls() {
    let (files, trusted) = Files::new("tls-both");
    fs::write(files.folder.join("index.html"), "the page").expect("a writable folder");
    let web_root = Some(files.folder.clone());
    let server = TestServer::start(ServerConfig { web_root, ..files.config() }).await;
    let mut first = Peer::join(server.address, &trusted, "/room").await;
    let mut second = Peer::join(server.address, &trusted, "/v1/rooms/room").await;
    assert_eq!(first.next().await, PeerEvent::NewPeer(second.id));
    // Longer than a TLS record, and longer than one read.
    let data = Value::from("x".repeat(40_000));
    let signal = PeerRequest::Signal { receiver: second.id, data: data.clone() };
    let signal = serde_json::to_string(&signal).expect("a request is JSON");
    first.socket.send(Message::text(signal)).await.expect("it is open");
    assert_eq!(second.next().await, PeerEvent::Signal { sender: first.id, data });

    assert!(get(server.address, &trusted, "/").await.ends_with("the page"));
    let health = get(server.address, &trusted, "/health").await;
    assert!(health.starts_with("HTTP/1.1 200") && health.contains("\"peers\":2"), "{health}");
    within_deadline("the end", server.stop()).await.expect("a clean end");
}

#[tokio::test]
async fn clients_without_tls_delay_nobody() {
    let (files, trusted) = Files::new("tls-plain");
    let server = TestServer::start(files.config()).await;
    // They send nothing: their handshakes would take ten seconds.
    let silent = [(); 5].map(|()| TcpStream::connect(server.address));
    let silent = futures::future::try_join_all(silent).await.expect("it listens");
    for junk in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 5000], b"\x16\x03\x01"] {
        let mut plain = TcpStream::connect(server.address).await.expect("it listens");
        plain.write_all(junk).await.expect("it reads");
        plain.shutdown().await.expect("it reads");
        let mut answer = Vec::new();
        // It does not matter whether it ends with a reset.
        let _ = within_deadline("the end", plain.read_to_end(&mut answer)).await;
        assert!(!answer.starts_with(b"HTTP"), "nothing is sent in plain text");
    }
    await_failed(server.address, &trusted, 3).await;
    let (_, stranger) = Files::new("tls-plain-other");
    assert!(connect(server.address, &stranger).await.is_none(), "another certificate");
    await_failed(server.address, &trusted, 4).await;
    drop(silent);
    await_failed(server.address, &trusted, 9).await;
}

#[tokio::test]
async fn a_handshake_takes_no_longer_than_a_request_may() {
    let (files, trusted) = Files::new("tls-slow");
    let request_timeout = Duration::from_millis(500);
    let server = TestServer::start(ServerConfig { request_timeout, ..files.config() }).await;
    let mut silent = TcpStream::connect(server.address).await.expect("it listens");
    let mut nothing = Vec::new();
    within_deadline("the end", silent.read_to_end(&mut nothing)).await.expect("a clean end");
    assert!(nothing.is_empty());
    await_failed(server.address, &trusted, 1).await;
}

#[tokio::test]
async fn a_renewed_certificate_is_used_and_a_bad_one_is_not() {
    let (files, old) = Files::new("tls-renewed");
    let server = Server::bind(files.config()).await.expect("good files");
    assert_eq!(server.scheme(), "https");
    let (address, certificate) = (server.local_addr(), server.certificate().expect("it has one"));
    let running = tokio::spawn(server.run(std::future::pending()));
    let mut early = Peer::join(address, &old, "/room").await;

    let renewed = files.renew();
    assert!(connect(address, &old).await.is_some(), "the server was not asked to reload");
    certificate.reload().expect("good files");
    assert!(connect(address, &old).await.is_none());
    let late = Peer::join(address, &renewed, "/room").await;
    // A peer that was connected before stays connected.
    assert_eq!(early.next().await, PeerEvent::NewPeer(late.id));

    fs::write(files.certificate(), "junk").expect("a writable folder");
    let error = certificate.reload().expect_err("junk").to_string();
    assert!(error.contains("certificate.pem"), "{error}");
    assert!(connect(address, &renewed).await.is_some());
    running.abort();
}

#[tokio::test]
async fn the_error_for_an_unusable_file_names_the_file() {
    let (files, _) = Files::new("tls-wrong");
    let (other, _) = Files::new("tls-wrong-other");
    let (certificate, key) = (files.certificate(), files.key());
    let write = |name: &str, text: &str| {
        let path = files.folder.join(name);
        fs::write(&path, text).expect("a writable folder");
        path
    };
    let empty = write("empty.pem", "");
    let damaged = write("damaged.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n");
    let nonsense =
        write("nonsense.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let missing = files.folder.join("missing.pem");
    for (certificate, key, words) in [
        (Some(&certificate), None, ["certificate.pem", "tls-key"]),
        (None, Some(&key), ["key.pem", "tls-cert"]),
        (Some(&missing), Some(&key), ["missing.pem", "cannot read"]),
        (Some(&certificate), Some(&missing), ["missing.pem", "cannot read"]),
        (Some(&empty), Some(&key), ["empty.pem", "no certificate"]),
        (Some(&key), Some(&key), ["key.pem", "no certificate"]),
        (Some(&certificate), Some(&empty), ["empty.pem", "no private key"]),
        (Some(&certificate), Some(&certificate), ["certificate.pem", "no private key"]),
        (Some(&certificate), Some(&damaged), ["damaged.pem", "damaged"]),
        (Some(&nonsense), Some(&key), ["nonsense.pem", "cannot use"]),
        (Some(&certificate), Some(&other.key()), ["tls-wrong-other", "not that of"]),
    ] {
        let tls =
            ServerConfig { tls_cert: certificate.cloned(), tls_key: key.cloned(), ..config() };
        let Err(BindError::Tls(error)) = Server::bind(tls).await else {
            panic!("{certificate:?} and {key:?} were not refused");
        };
        let error = error.to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
    }
}

/// The program prints where it listens, and reads its files again on a signal.
#[cfg(unix)]
#[tokio::test]
async fn the_program_uses_a_renewed_certificate_after_sighup() {
    use std::{
        io::{BufRead, BufReader},
        process::Command,
    };

    let (files, old) = Files::new("tls-program");
    let path = |path: &Path| path.to_str().expect("a plain path").to_owned();
    let (certificate, key) = (path(&files.certificate()), path(&files.key()));
    let flags =
        ["--host", "127.0.0.1", "--port", "0", "--tls-cert", &certificate, "--tls-key", &key];
    let mut child = crate::rig::program(&flags).spawn().expect("the program starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("stdout is a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("one line");
    let address = line.trim_end().strip_prefix("listening on https://").expect(&line);
    let address = address.parse().expect("an address");
    let hang_up = || {
        let status = Command::new("kill").args(["-HUP", &child.id().to_string()]).status();
        assert!(status.expect("kill is there").success());
    };
    assert!(connect(address, &old).await.is_some());

    let renewed = files.renew();
    hang_up();
    within_deadline("the renewed certificate", async {
        while connect(address, &renewed).await.is_none() {}
    })
    .await;
    fs::write(files.key(), "junk").expect("a writable folder");
    hang_up();
    let stderr = child.stderr.take().expect("stderr is a pipe");
    let log = tokio::task::spawn_blocking(|| {
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        lines.find(|line| line.contains("the old one stays"))
    });
    let line = within_deadline("a line in the log", log).await.expect("no panic");
    let line = line.expect("it says so before it ends");
    assert!(line.contains("ERROR") && line.contains("key.pem"), "{line}");
    assert!(connect(address, &renewed).await.is_some());
    child.kill().expect("our child");
    child.wait().expect("our child");
}
