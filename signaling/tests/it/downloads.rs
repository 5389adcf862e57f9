//! Downloads that nobody reads: the real program, its memory as the system counts it, and clients
//! that never read a byte.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Child,
    time::Duration,
};

use signaling::server::ServerConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep},
};

use crate::rig::{Response, TestServer, config, program, within_deadline};

/// As large as a game, and it cannot be compressed further.
const FILE_BYTES: usize = 6_000_000;

/// A folder of this test's own with a packed game in it.
fn web_root(test: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&root).expect("a writable folder");
    // Xorshift: compressing it would take long and save nothing.
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let content: Vec<u8> = (0..FILE_BYTES / 8)
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect();
    for name in ["game.wasm", "game.wasm.br"] {
        fs::write(root.join(name), &content).expect("a writable folder");
    }
    root
}

/// Requests the game, with this header, and reads nothing of the response.
async fn ask(mut stream: TcpStream, header: &str) -> TcpStream {
    let request = format!("GET /game.wasm HTTP/1.1\r\nHost: test\r\n{header}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    stream
}

/// Connects from this address of this machine, with almost no space for responses.
async fn connect(server: SocketAddr, from: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("the system has sockets");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.bind((from, 0).into()).expect("an address of this machine");
    socket.connect(server).await.expect("the server listens")
}

async fn download(server: SocketAddr, path: &str) -> Response {
    TestServer::at(server).get(path).await
}

/// The program; it ends with the test.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(flags: &[&str]) -> Self {
        let mut child = program(&[&["--host", "127.0.0.1", "--port", "0"], flags].concat())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("one line");
        let address = line.trim_end().strip_prefix("listening on http://").expect(&line);
        Self { child, address: address.parse().expect("an address") }
    }

    /// A line of the system's report about the process, in MB.
    fn memory_mb(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process is there");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kilobytes = line.expect(name).trim().trim_end_matches(" kB");
        kilobytes.parse::<f64>().expect("a number") * 1024.0 / 1e6
    }

    async fn count(&self, counter: &str) -> u64 {
        let metrics = download(self.address, "/metrics").await;
        let name = format!("signaling_{counter}_total ");
        let count = metrics.text().lines().find_map(|line| line.strip_prefix(&name));
        count.expect(counter).parse().expect("a number")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An orderly close cannot reach a client that reads nothing; it sees only a reset.
#[tokio::test]
async fn unread_downloads_cost_little_and_are_cut_off() {
    const CLIENTS: u8 = 100;
    const ADDRESSES: u8 = 4;
    /// The limit for all downloads together; without it, they would take 2,400 MB.
    const MOST_MB: f64 = 20.0;
    // All downloads must be open before the first one is cut off, even on a busy machine.
    const WRITE_TIMEOUT_S: u64 = 10;

    let root = web_root("unread");
    let server = Running::start(&[
        "--web-root",
        root.to_str().expect("a plain path"),
        "--write-timeout",
        &WRITE_TIMEOUT_S.to_string(),
    ]);
    // Memory that the first download takes permanently is not counted.
    assert_eq!(download(server.address, "/game.wasm").await.body.len(), FILE_BYTES);
    let before = server.memory_mb("VmRSS");

    let mut clients = Vec::new();
    let begun = Instant::now();
    for address in 0..ADDRESSES {
        for _ in 0..CLIENTS {
            let from = Ipv4Addr::new(127, 0, 0, 2 + address);
            let stream = connect(server.address, from).await;
            clients.push(ask(stream, "Accept-Encoding: br").await);
        }
    }
    let all = clients.len() as u64;
    assert_eq!(all, 400);
    let deadline = begun + Duration::from_secs(60);
    while !clients.is_empty() {
        assert!(Instant::now() < deadline, "{} are open after a minute", clients.len());
        // Checked without reading, which would count as progress.
        clients.retain(|client| client.take_error().expect("it is a socket").is_none());
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.count("stalled").await, all);
    // The peak, so it does not matter when it was reached.
    let more = server.memory_mb("VmHWM") - before;
    assert!(more < MOST_MB, "{more:.1} MB more");
    // The server still serves.
    assert_eq!(download(server.address, "/game.wasm").await.body.len(), FILE_BYTES);
}

#[tokio::test]
async fn each_address_has_a_limit_on_simultaneous_downloads() {
    let server = TestServer::start(ServerConfig {
        max_downloads_per_address: 2,
        web_root: Some(web_root("per_address")),
        // Behind a proxy, the address of the client counts.
        trusted_proxies: vec!["127.0.0.1/32".parse().expect("a network")],
        ..config()
    })
    .await;
    let header = |client: &str| format!("X-Forwarded-For: {client}");
    let status = async |client: &str| {
        server.request("GET", "/game.wasm", &format!("{}\r\n", header(client))).await.status
    };
    let mut unread = Vec::new();
    for _ in 0..2 {
        let stream = TcpStream::connect(server.address).await.expect("the server listens");
        let stream = ask(stream, &header("192.0.2.1")).await;
        within_deadline("the beginning of an answer", stream.readable()).await.expect("a socket");
        unread.push(stream);
    }
    let request = format!("{}\r\n", header("192.0.2.1"));
    let refused = server.request("GET", "/game.wasm", &request).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "10"));
    assert!(refused.text().contains("Try again"), "{}", refused.text());
    assert_eq!(server.health().await["counters"]["refused_download"], 1);
    assert_eq!(status("192.0.2.2").await, 200);

    // One download is read to its end, which frees its slot.
    let mut first = unread.pop().expect("there are two");
    let mut answer = Vec::new();
    within_deadline("a whole file", async {
        while answer.len() < FILE_BYTES {
            assert!(first.read_buf(&mut answer).await.expect("a sound answer") > 0);
        }
    })
    .await;
    within_deadline("a free place", async {
        while status("192.0.2.1").await == 429 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
