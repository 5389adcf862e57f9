//! A real TURN server, coturn, on this machine.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{skip::skip, wait_for};

/// Debian's name of coturn's program.
const PROGRAM: &str = "turnserver";
/// It listens within a tenth of a second, unless the machine is busy.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// A STUN binding request: type, length, magic number, and any twelve bytes.
const BINDING_REQUEST: &[u8; 20] = b"\x00\x01\x00\x00\x21\x12\xa4\x42who is there";
/// How an answer to it begins.
const BINDING_SUCCESS: [u8; 2] = [1, 1];

/// A running coturn that takes the passwords of one secret; killed when dropped.
#[derive(Debug)]
pub struct TurnServer {
    child: Child,
    address: SocketAddr,
}

impl TurnServer {
    /// Starts it. Says it and gives nothing where coturn is not installed.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn start(test: &str, secret: &str) -> Option<Self> {
        let address = free_address();
        let child = Command::new(PROGRAM)
            // No file of settings, no console, no file of its process id, no log.
            .args(["-n", "--no-cli", "--pidfile=", "--log-file=/dev/null"])
            .args(["--no-tls", "--no-dtls", "--no-multicast-peers", "--realm=tests"])
            .arg(format!("--listening-ip={}", address.ip()))
            .arg(format!("--listening-port={}", address.port()))
            // Peers are on this machine, which it would not relay to otherwise.
            .arg(format!("--relay-ip={}", address.ip()))
            .arg("--allow-loopback-peers")
            .args(["--use-auth-secret", &format!("--static-auth-secret={secret}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match child {
            Ok(child) => {
                let server = Self { child, address };
                wait_for("an answer from coturn", START_PATIENCE, || answers(address));
                Some(server)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                skip(test, "coturn is not installed");
                None
            }
            Err(error) => panic!("coturn does not start: {error}"),
        }
    }

    /// Its address as peers are told of it.
    pub fn turn_url(&self) -> String {
        format!("turn:{}", self.address)
    }

    /// The same as a STUN server's.
    pub fn stun_url(&self) -> String {
        format!("stun:{}", self.address)
    }
}

impl Drop for TurnServer {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago: coturn takes no port of the system's choice.
fn free_address() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("the system has a free port");
    socket.local_addr().expect("a bound socket has an address")
}

/// Whether a STUN server answers there.
fn answers(address: SocketAddr) -> Option<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("the system has a free port");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("more than zero");
    let mut answer = [0; 200];
    // An error says that nobody listens there yet.
    socket.send_to(BINDING_REQUEST, address).ok()?;
    let length = socket.recv(&mut answer).ok()?;
    answer[..length].starts_with(&BINDING_SUCCESS).then_some(())
}
