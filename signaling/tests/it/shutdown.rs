//! The server stops when asked to, tells its peers, and is gone in time; and what the program
//! prints.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream as BlockingStream,
    process::{Child, Command, Output},
    thread,
    time::{Duration, Instant},
};

use futures::StreamExt;
use signaling::protocol::{PeerEvent, PeerKey, Refusal};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::rig::{TestServer, assert_closed, config, program, within_deadline};

/// The time within which the server promises to stop.
const PROMISED: Duration = Duration::from_secs(2);

#[tokio::test]
async fn all_peers_are_told_only_that_the_server_stops() {
    let server = TestServer::start(config()).await;
    let mut first = server.join("/room").await;
    let path = format!("/v1/rooms/room?{}", PeerKey::new(7).to_query());
    let mut second = server.join(&path).await;
    assert_eq!(first.next().await, PeerEvent::NewPeer(second.id));
    // The last message that it is sent on entering.
    second.token().await;
    let started = Instant::now();
    let stopped = server.stop();
    // A message that the other peer left would arrive before this.
    assert_closed(&mut first.socket, Refusal::ServerStopping).await;
    assert_closed(&mut second.socket, Refusal::ServerStopping).await;
    for peer in [&mut first, &mut second] {
        assert!(within_deadline("the end", peer.socket.next()).await.is_none());
    }
    within_deadline("stopping", stopped).await.expect("no panic");
    assert!(started.elapsed() < PROMISED);
}

#[tokio::test]
async fn no_client_can_delay_a_stopping_server() {
    let server = TestServer::start(config()).await;
    let deaf = server.join("/room").await;
    let mut half_a_request = TcpStream::connect(server.address).await.expect("it listens");
    half_a_request.write_all(b"GET / HT").await.expect("it reads");
    // Connections are accepted in order, so once this request is answered, the half request's
    // connection has been accepted.
    server.health().await;
    let started = Instant::now();
    within_deadline("stopping", server.stop()).await.expect("no panic");
    assert!(started.elapsed() < PROMISED);
    drop(deaf);
}

/// The program on a free port, and the address that it printed.
fn start_program(args: &[&str]) -> (Child, String) {
    let mut child = program(&[&["--host", "127.0.0.1", "--port", "0"], args].concat())
        .spawn()
        .expect("the program starts");
    let stdout = child.stdout.as_mut().expect("stdout is a pipe");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("one line");
    let address = line
        .strip_prefix("listening on http://")
        .unwrap_or_else(|| panic!("not the promised line: {line:?}"));
    (child, address.trim_end().to_owned())
}

fn run_program(args: &[&str]) -> Output {
    program(args).output().expect("the program runs")
}

/// A program that ends with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first lines that a host in the local network prints, with further flags.
fn start_host(port: u16, flags: &[&str]) -> (Started, [String; 2]) {
    let mut child = program(&[&["--lan", "--port", &port.to_string()], flags].concat())
        .spawn()
        .expect("the program starts");
    let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    let started = Started(child);
    let mut lines = stdout.lines().map(|line| line.expect("text"));
    let said = [(); 2].map(|()| lines.next().expect("two lines at least"));
    (started, said)
}

#[test]
fn hosts_on_one_machine_take_different_ports_and_print_their_addresses() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port is free");
    let first = free.local_addr().expect("it listens").port();
    drop(free);
    let hosts = [start_host(first, &[]), start_host(first, &[])];
    let ports = hosts.each_ref().map(|(_, said)| {
        let port = said[0].strip_prefix("listening on http://0.0.0.0:");
        port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no port: {said:?}"))
    });
    assert_ne!(ports[0], ports[1]);
    for ((_, said), port) in hosts.iter().zip(ports) {
        let address = said[1].strip_prefix("in your network: ws://");
        let is_found = address.is_some_and(|address| address.contains(&format!(":{port}/ROOM")));
        assert!(is_found || said[1].starts_with("nobody else can join"), "{said:?}");
        assert!(BlockingStream::connect(("127.0.0.1", port)).is_ok());
    }
}

#[test]
fn a_host_prints_only_addresses_at_which_it_listens() {
    let (_host, said) = start_host(0, &["--host", "127.0.0.1"]);
    assert!(said[1].starts_with("nobody else can join"), "{said:?}");
}

#[cfg(unix)]
#[test]
fn signals_stop_the_program_cleanly() {
    for signal in ["-INT", "-TERM"] {
        // A server that waits for peers to leave stops waiting when it is asked again.
        for flags in [&[][..], &["--drain-time", "60"]] {
            assert_stops(signal, flags);
        }
    }
}

#[cfg(unix)]
fn assert_stops(signal: &str, flags: &[&str]) {
    let (mut child, address) = start_program(flags);
    let stream = BlockingStream::connect(&address).expect("it listens");
    stream.set_read_timeout(Some(10 * PROMISED)).expect("a valid timeout");
    let (mut peer, _) =
        tungstenite::client(format!("ws://{address}/room"), stream).expect("a free room");
    assert!(peer.read().expect("IdAssigned").is_text());

    let pid = child.id().to_string();
    let started = Instant::now();
    let kill = || {
        let status = Command::new("kill").args([signal, &pid]).status().expect("kill is there");
        assert!(status.success());
    };
    kill();
    if !flags.is_empty() {
        await_draining(&address);
        kill();
    }
    let farewell = peer.read().expect("a close frame");
    let Message::Close(Some(frame)) = farewell else {
        panic!("{signal}: {farewell:?}");
    };
    assert_eq!(frame.reason.as_str(), Refusal::ServerStopping.sentence());
    let status = loop {
        if let Some(status) = child.try_wait().expect("our child") {
            break status;
        }
        assert!(started.elapsed() < PROMISED, "{signal}: still there");
        thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{signal}: {status}");
    let mut rest = String::new();
    let mut stdout = child.stdout.take().expect("stdout is a pipe");
    stdout.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "", "one line on stdout and no more");
}

/// Waits until the program accepts no more peers.
#[cfg(unix)]
fn await_draining(address: &str) {
    let deadline = Instant::now() + PROMISED;
    loop {
        let mut stream = BlockingStream::connect(address).expect("it still listens");
        let request = "GET /ready HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        if answer.starts_with("HTTP/1.1 503") {
            return;
        }
        assert!(Instant::now() < deadline, "it still lets peers in: {answer}");
    }
}

#[test]
fn a_port_in_use_is_an_error_that_says_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port is free");
    let port = taken.local_addr().expect("it listens").port().to_string();
    let output = run_program(&["--host", "127.0.0.1", "--port", &port]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains(&port) && words.contains("in use: stop the other"), "{words}");
    assert!(output.stdout.is_empty());
}

#[test]
fn the_program_explains_itself() {
    let help = run_program(&["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("--web-root"));
    let version = run_program(&["--version"]);
    assert_eq!(version.stdout, format!("signaling {}\n", env!("CARGO_PKG_VERSION")).as_bytes());
    let wrong = run_program(&["--prot", "1"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("--prot"));
}
