//! The real signaling server, inside the test's process, on a port of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    thread::{self, JoinHandle},
};

use demo_game::GAME_ID;
use serde_json::Value;
use signaling::{
    lobby::RoomListing,
    server::{Rate, Server, ServerConfig},
};
use tokio::{runtime::Runtime, sync::oneshot};

use crate::webdriver;

/// Returns how many peers are in the rooms of the server at this address.
pub(crate) fn peers(server: SocketAddr) -> u64 {
    health(server)["peers"].as_u64().expect("health counts the peers")
}

/// The status with which a server answers while it cannot reach its store of rooms.
const UNAVAILABLE: u16 = 503;

/// The public rooms of the game that the server at this address lists; empty while it cannot reach
/// its store of rooms.
pub(crate) fn listed(server: SocketAddr) -> Vec<RoomListing> {
    let path = format!("/v1/rooms?game={GAME_ID}");
    let (status, rooms) =
        webdriver::exchange(server, "GET", &path, None).expect("the server answers");
    if status == UNAVAILABLE {
        return Vec::new();
    }
    serde_json::from_str(&rooms).expect("it is a list of rooms")
}

fn health(server: SocketAddr) -> Value {
    let (_, health) =
        webdriver::exchange(server, "GET", "/health", None).expect("the server answers");
    serde_json::from_str(&health).expect("health is JSON")
}

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It says goodbye to all peers and closes their connections.
    Stopped,
    /// It vanishes, as if its process were killed.
    Killed,
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct TestServer {
    address: SocketAddr,
    end: Option<oneshot::Sender<End>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Starts a server without web files.
    pub fn start() -> Self {
        Self::serving(None)
    }

    /// Starts a server that also serves the browser version from `web_root`.
    pub fn serving(web_root: Option<PathBuf>) -> Self {
        Self::with(ServerConfig { web_root, ..ServerConfig::default() })
    }

    /// Starts a server with these settings, on a free port of this machine.
    pub fn with(config: ServerConfig) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::with_address(ServerConfig { address, ..config })
    }

    /// Starts a server at this address: that of an earlier server, or one that other machines can
    /// reach.
    pub fn at(address: SocketAddr) -> Self {
        Self::with_address(ServerConfig { address, ..ServerConfig::default() })
    }

    /// Starts a server with these settings, at the address that they name.
    pub fn with_address(config: ServerConfig) -> Self {
        // Tests may read the list of rooms as often as they like.
        let join_rate = Rate { per_second: 1_000_000, at_once: 1_000_000 };
        let config = ServerConfig { join_rate, ..config };
        let runtime = Runtime::new().expect("the system has threads for a runtime");
        let server = runtime.block_on(Server::bind(config)).expect("the server listens");
        let address = server.local_addr();
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            let (stop, stopped) = oneshot::channel::<()>();
            let running = runtime.spawn(server.run(async {
                // An error means that nobody is left to stop it, which is a reason to stop as well.
                let _ = stopped.await;
            }));
            runtime.block_on(async {
                // An error means that the test is over.
                if ended.await != Ok(End::Killed) {
                    drop(stop);
                    running.await.expect("the server does not panic");
                }
            });
            // Tasks that are still running are dropped where they stand, and their sockets with
            // them.
            runtime.shutdown_background();
        });
        Self { address, end: Some(end), thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a room.
    pub fn room(&self, room: &str) -> String {
        format!("ws://{}/{room}", self.address)
    }

    /// The address of the page, with what follows the host: `/?low#room`.
    pub fn page(&self, rest: &str) -> String {
        format!("http://{}{rest}", self.address)
    }

    /// The number of peers in its rooms, from its `/health`.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn peers(&self) -> u64 {
        peers(self.address)
    }

    /// The number of times that peers entered its rooms, from its `/health`.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn joined(&self) -> u64 {
        health(self.address)["counters"]["joined"].as_u64().expect("health counts joins")
    }

    /// The number of connections that broke without a goodbye, from its `/health`.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn broken(&self) -> u64 {
        health(self.address)["counters"]["broken"]
            .as_u64()
            .expect("health counts broken connections")
    }

    /// The public rooms of the game in the server's list.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn listed(&self) -> Vec<RoomListing> {
        listed(self.address)
    }

    /// Stops the server; returns once it is gone.
    pub fn stop(&mut self) {
        self.end(End::Stopped);
    }

    /// Ends the server without a goodbye, as if its process were killed.
    pub fn kill(mut self) {
        self.end(End::Killed);
    }

    fn end(&mut self, how: End) {
        if let Some(end) = self.end.take() {
            // Fails if the server has ended by itself, which is just as good.
            let _ = end.send(how);
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server did not panic");
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.stop();
        }
    }
}
