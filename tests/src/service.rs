//! A service of several server processes behind one address, as operators run it: when a process
//! dies, its peers come back to another one.

use std::{
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use signaling::lobby::RoomListing;

use crate::server;

/// One process of the service; killed when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    address: SocketAddr,
}

impl ServerProcess {
    /// Starts `program`, this package's `server`, with its rooms in this Redis.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start(program: &str, redis: &str) -> Self {
        let mut child = Command::new(program)
            .arg(redis)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server's program starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("the output is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it prints one line");
        let address = line.trim().parse().expect("the line is its address");
        Self { child, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of peers that are connected to this process, from its `/health`.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn peers(&self) -> u64 {
        server::peers(self.address)
    }

    /// The public rooms of the game in the whole service, from this process's list.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn listed(&self) -> Vec<RoomListing> {
        server::listed(self.address)
    }

    /// Ends it as `kill -9` does.
    ///
    /// # Panics
    ///
    /// If it has ended already.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server still runs");
        self.child.wait().expect("a killed child can be reaped");
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The one address of the service: hands connections to the processes in turn, and skips processes
/// that do not answer. Runs until the test's process ends.
#[derive(Clone, Copy, Debug)]
pub struct Balancer {
    address: SocketAddr,
}

impl Balancer {
    /// Starts it in front of these processes.
    ///
    /// # Panics
    ///
    /// If the system has no port for it.
    pub fn start(servers: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        thread::spawn(move || {
            let mut turn = 0;
            for client in listener.incoming().map_while(Result::ok) {
                let in_turn = (0..servers.len()).map(|offset| (turn + offset) % servers.len());
                let mut answering = in_turn
                    .filter_map(|index| Some((index, TcpStream::connect(servers[index]).ok()?)));
                // If none of them answers, the client finds its connection closed.
                if let Some((index, server)) = answering.next() {
                    turn = index + 1;
                    pass_on(client, server);
                }
            }
        });
        Self { address }
    }

    /// The address of a room of the service.
    pub fn room(&self, room: &str) -> String {
        format!("ws://{}/{room}", self.address)
    }
}

/// Passes all bytes on in both directions until one side ends.
fn pass_on(client: TcpStream, server: TcpStream) {
    let (client, server) = (Arc::new(client), Arc::new(server));
    for (from, to) in [(&client, &server), (&server, &client)] {
        let (from, to) = (Arc::clone(from), Arc::clone(to));
        thread::spawn(move || {
            // However the copy ends, the other side has to notice, and both threads have to end.
            let _ = io::copy(&mut &*from, &mut &*to);
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
}
