//! The signaling server of one `play`: a child process that is a host for the local network, as the
//! game can be. `Server::start` returns once it listens.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Outcome, fail};
use crate::process::{POLL_INTERVAL, Running, is_interrupted};

/// A server listens within milliseconds; a machine under load gets far more time.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// A running signaling server.
pub(super) struct Server {
    pub(super) port: u16,
    /// This machine's address in its network, as a friend would type it; loopback when there is no
    /// network.
    pub(super) friends_reach: Ipv4Addr,
    pub(super) running: Running,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(super) fn start(program: &Path, web_root: Option<&Path>) -> Outcome<Self> {
        let mut command = Command::new(program);
        command.arg("--lan").stdin(Stdio::null()).stdout(Stdio::piped());
        // Its start and stop are not worth a line here; a user who wants to see more sets
        // `RUST_LOG`.
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "warn");
        }
        if let Some(folder) = web_root {
            command.arg("--web-root").arg(folder);
        }
        let mut running = Running::start("the signaling server", &mut command)?;
        let lines = running.lines();
        let deadline = Instant::now() + START_DEADLINE;
        let next_line = || loop {
            match lines.recv_timeout(POLL_INTERVAL) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Disconnected) => {
                    return fail("the signaling server ended while it started");
                }
                Err(RecvTimeoutError::Timeout) if is_interrupted() => return fail("interrupted"),
                Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                    return fail("the signaling server did not start in time");
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        let port = loop {
            if let Some(port) = port_in(&next_line()?) {
                break port;
            }
        };
        let friends_reach = address_in(&next_line()?).unwrap_or(Ipv4Addr::LOCALHOST);
        // More addresses may follow. The server's log goes to the terminal directly.
        thread::spawn(move || lines.into_iter().for_each(drop));
        Ok(Self { port, friends_reach, running })
    }

    /// The address of a room, as programs on this machine reach it.
    pub(super) fn room(&self, room: &str) -> String {
        format!("ws://127.0.0.1:{}/{room}", self.port)
    }
}

/// The port in the line that the server prints once it listens.
fn port_in(line: &str) -> Option<u16> {
    let (_, address) = line.split_once("listening on http://")?;
    let (_, port) = address.trim().trim_end_matches('/').rsplit_once(':')?;
    port.parse().ok()
}

/// The address in the line that the server prints next; `None` if that line says that there is no
/// network.
fn address_in(line: &str) -> Option<Ipv4Addr> {
    let (_, address) = line.split_once("in your network: ws://")?;
    let (ip, _) = address.rsplit_once(':')?;
    ip.parse().ok()
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
    fn the_address_for_friends_is_read_from_the_line_that_says_it() {
        let address =
            address_in("in your network: ws://192.168.1.5:3536/ROOM, with any name for the room");
        assert_eq!(address, Some(Ipv4Addr::new(192, 168, 1, 5)));
        assert_eq!(
            address_in("nobody else can join: this machine is not connected to a network"),
            None
        );
    }
}
