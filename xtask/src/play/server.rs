//! The signaling server of one `play`: a child on a free port, known to listen before anybody connects.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use signaling::lan;

use crate::failure::{Outcome, fail};
use crate::process::{POLL_INTERVAL, Running, is_interrupted};

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
            .args(["--port", &lan::free_port().to_string()])
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
pub(super) fn lan_address() -> Ipv4Addr {
    lan::addresses().first().copied().unwrap_or(Ipv4Addr::LOCALHOST)
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
}
