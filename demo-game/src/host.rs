//! Hosting: the signaling server inside the game, so that players on one network need nothing but
//! the game.
//!
//! The host plays like every other player; its server is only where they find the room. The server
//! stops when its [`Host`] is dropped.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::thread;

use signaling::lan;
use signaling::lobby::room_code;
use signaling::server::{BindError, Rate, ServerConfig};
use thiserror::Error;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// Maximum number of connections to one host: the players of a few matches, and browsers that load
/// the page. Far fewer than a dedicated server allows, because the game itself needs open files
/// too, and many systems allow a program only 256.
const MAX_CONNECTIONS: usize = 100;
/// Maximum number of connections from one machine: a few games, and two browsers that load the page
/// with six connections each. It is a quarter of the total, so that it takes several machines to
/// keep other players out.
const MAX_CONNECTIONS_PER_ADDRESS: u32 = 24;
/// Maximum number of games on one machine: four times as many as a match has seats.
const MAX_PEERS_PER_ADDRESS: u32 = 16;
/// How often one machine may join: twice at once for each of its games, as after a restart of the
/// host, and then as often as a person can type a code.
const JOIN_RATE: Rate = Rate { per_second: 1, at_once: 2 * MAX_PEERS_PER_ADDRESS };
/// Threads that read the page's files for other players: the game needs the rest of the machine.
const MAX_FILE_THREADS: usize = 2;
/// The folder with the browser version, beside the program or one folder above, where
/// `cargo xtask web` puts it.
const PAGE_FOLDER: &str = "web-dist";

/// A server with one room; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Host {
    port: u16,
    room: String,
    /// The addresses of this machine when the server started, the likeliest first.
    addresses: Vec<Ipv4Addr>,
    has_page: bool,
    /// The server runs for as long as this lives.
    _running: oneshot::Sender<()>,
}

/// Why the game cannot host.
#[derive(Debug, Error)]
pub(crate) enum HostError {
    /// The server cannot listen.
    #[error("this game cannot host a room: {0}")]
    Bind(#[from] BindError),
    /// The system provides no thread for the server.
    #[error("this game cannot host a room: the system refuses: {0}")]
    System(#[from] io::Error),
}

impl Host {
    /// Starts a server on the first port that is free, for a new room.
    pub(crate) fn start() -> Result<Self, HostError> {
        let web_root = page_folder();
        let has_page = web_root.is_some();
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(MAX_FILE_THREADS).build()?;
        let server = runtime.block_on(lan::bind(config(web_root)))?;
        let port = server.local_addr().port();
        let (running, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name("signaling server".to_owned()).spawn(move || {
            runtime.block_on(server.run(async {
                // It always ends with an error: the sender sends nothing and is dropped.
                let _ = stopped.await;
            }));
        })?;
        let room = room_code(random_number());
        Ok(Self { port, room, addresses: lan::addresses(), has_page, _running: running })
    }

    /// The server's address for the game on this machine.
    pub(crate) fn server(&self) -> String {
        format!("ws://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// The name of the room.
    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    /// Whether players on other machines can join.
    pub(crate) fn is_in_network(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// What other players type to join: `192.168.1.5:3536/ABCDE`, the likeliest first. There is
    /// always one, if only for this machine.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.reached_at().map(|ip| format!("{ip}:{}/{}", self.port, self.room)).collect()
    }

    /// The link that other players can open in a browser instead, if the server has the page.
    pub(crate) fn link(&self) -> Option<String> {
        let ip = self.reached_at().next().filter(|_| self.has_page)?;
        Some(format!("http://{ip}:{}/#{}", self.port, self.room))
    }

    fn reached_at(&self) -> impl Iterator<Item = Ipv4Addr> {
        let alone = (!self.is_in_network()).then_some(Ipv4Addr::LOCALHOST);
        self.addresses.iter().copied().chain(alone)
    }
}

/// The configuration of a server with the limits above.
fn config(web_root: Option<PathBuf>) -> ServerConfig {
    ServerConfig {
        web_root,
        max_connections: MAX_CONNECTIONS,
        max_connections_per_address: MAX_CONNECTIONS_PER_ADDRESS,
        max_downloads_per_address: MAX_CONNECTIONS_PER_ADDRESS,
        max_peers: MAX_CONNECTIONS,
        max_peers_per_address: MAX_PEERS_PER_ADDRESS,
        join_rate: JOIN_RATE,
        ..ServerConfig::default()
    }
}

/// Returns an unpredictable number: for room codes and seeds of local matches.
pub(crate) fn random_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn page_folder() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let mut folders = program.ancestors().skip(1).take(2).map(|folder| folder.join(PAGE_FOLDER));
    folders.find(|folder| folder.join("index.html").is_file())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn two_hosts_on_one_machine_have_ports_of_their_own_until_they_are_dropped() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let answers = |port| {
            let address = (Ipv4Addr::LOCALHOST, port);
            runtime.block_on(async { TcpStream::connect(address).await.is_ok() })
        };
        let (one, other) = (Host::start().unwrap(), Host::start().unwrap());
        assert_ne!(one.server(), other.server());
        assert_ne!(one.room(), other.room());
        assert!(answers(one.port) && answers(other.port));
        let port = one.port;
        drop(one);
        let gone = async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(20), gone).await })
            .expect("the port is closed in time");
        assert!(answers(other.port));
    }

    #[test]
    fn the_address_for_other_players_has_the_port_and_the_room() {
        let host = Host::start().unwrap();
        let addresses = host.addresses();
        let ending = format!(":{}/{}", host.port, host.room());
        assert!(!addresses.is_empty() && addresses.iter().all(|it| it.ends_with(&ending)));
    }
}

// Only on Linux does a machine have many addresses of its own without any setup.
#[cfg(all(test, target_os = "linux"))]
mod crowd_tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpSocket, TcpStream};
    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// Sends a request to the host from the address `from` of this machine.
    async fn ask(port: u16, from: Ipv4Addr, request: &str) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let mut stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
        stream.write_all(request.as_bytes()).await?;
        Ok(stream)
    }

    #[test]
    fn one_machine_cannot_take_all_connections() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let host = Host::start().unwrap();
        runtime.block_on(async {
            // A client that reads the list of rooms may be silent for a minute.
            let look = "GET /v1/list?game=a HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\
                Connection: upgrade\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            let mut greedy = Vec::new();
            for _ in 0..MAX_CONNECTIONS {
                // Connections beyond the limit are closed at once, or can no longer be written to.
                greedy.extend(ask(host.port, Ipv4Addr::new(127, 0, 0, 2), look).await);
            }
            let ready = "GET /ready HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
            let answer = async {
                let mut answer = String::new();
                let stream = ask(host.port, Ipv4Addr::new(127, 0, 0, 3), ready).await;
                stream.unwrap().read_to_string(&mut answer).await.unwrap();
                answer
            };
            let answer = timeout(DEADLINE, answer).await.expect("an answer in time");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        });
    }
}
