//! The signaling server of one `play`: a child on a free port, known to listen before anybody connects.

use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Outcome, fail};
use crate::process::{POLL_INTERVAL, Running, is_interrupted};

/// matchbox's port, which clients try first.
const FIRST_PORT: u16 = 3536;

/// How many ports are tried before the system may choose any.
const PORTS_TRIED: u16 = 64;

/// A server listens within milliseconds; a machine under load gets far more.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// A running signaling server.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) running: Running,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(super) fn start(program: &Path, web_root: Option<&Path>) -> Outcome<Self> {
        let mut command = Command::new(program);
        command
            .args(["--port", &free_port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        // That it starts and stops is no news here; who wants to know more says so.
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "warn");
        }
        if let Some(folder) = web_root {
            command.arg("--web-root").arg(folder);
        }
        let mut running = Running::start("the signaling server", &mut command)?;
        let lines = running.lines();
        let deadline = Instant::now() + START_DEADLINE;
        let port = loop {
            match lines.recv_timeout(POLL_INTERVAL) {
                Ok(line) => {
                    if let Some(port) = port_in(&line) {
                        break port;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return fail("the signaling server ended before it listened");
                }
                Err(RecvTimeoutError::Timeout) if is_interrupted() => return fail("interrupted"),
                Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                    return fail("the signaling server never said that it listens");
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        // The rest of its output is for whoever looks at the terminal.
        thread::spawn(move || {
            for line in lines {
                println!("server | {line}");
            }
        });
        Ok(Self { port, running })
    }

    /// The address of a room, as programs on this machine reach it.
    pub(super) fn room(&self, room: &str) -> String {
        format!("ws://127.0.0.1:{}/{room}", self.port)
    }
}

/// This machine's address in its network, as a friend would type it; loopback when there is no network.
pub(super) fn lan_address() -> IpAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) else {
        return loopback;
    };
    // Connecting a UDP socket sends nothing; it only asks which way packets to the outside would leave. The address is
    // one that RFC 5737 keeps for documentation.
    match socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)) {
        Ok(()) => socket.local_addr().map_or(loopback, |address| address.ip()),
        Err(_) => loopback,
    }
}

/// The first port from [`FIRST_PORT`] that nobody listens on, or 0 (the system's choice) when all are taken.
fn free_port() -> u16 {
    (FIRST_PORT..FIRST_PORT + PORTS_TRIED).find(|port| is_free(*port)).unwrap_or(0)
}

fn is_free(port: u16) -> bool {
    // Both, because a server on loopback alone does not occupy the wildcard address everywhere.
    [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]
        .iter()
        .all(|address| TcpListener::bind((*address, port)).is_ok())
}

/// The port in the line that the server prints once it listens.
fn port_in(line: &str) -> Option<u16> {
    let (_, address) = line.split_once("listening on http://")?;
    let (_, port) = address.trim().trim_end_matches('/').rsplit_once(':')?;
    port.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_the_line_that_says_the_server_listens() {
        assert_eq!(port_in("listening on http://0.0.0.0:3536"), Some(3536));
        assert_eq!(port_in("listening on http://[::]:41000/"), Some(41000));
        assert_eq!(port_in("listening soon"), None);
        assert_eq!(port_in("listening on http://0.0.0.0"), None);
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_free(port));
        drop(listener);
        assert!(is_free(port));
    }
}
