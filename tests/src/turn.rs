//! A real TURN server, coturn, on this machine.

use std::{
    env, fs,
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    time::Duration,
};

use crate::{deadline::wait_at_most, skip::skip};

/// Debian's name for coturn's program.
const PROGRAM: &str = "turnserver";
/// It listens within a tenth of a second, unless the machine is busy.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// The address of relays: one that no peer sends from. A relay accepts packets from every address
/// that it has a permission for, so if relays and peers shared an address, peers would find each
/// other without a relay on both sides.
const RELAY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// A STUN binding request: type, length, magic number, and any twelve bytes.
const BINDING_REQUEST: &[u8; 20] = b"\x00\x01\x00\x00\x21\x12\xa4\x42who is there";
/// The first bytes of a success response to it.
const BINDING_SUCCESS: [u8; 2] = [1, 1];

/// A running coturn that accepts passwords made from one secret; killed when dropped.
#[derive(Debug)]
pub struct TurnServer {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl TurnServer {
    /// Starts it. If coturn is not installed or the system is not Linux, prints that `test` was
    /// skipped and returns `None`.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn start(test: &str, secret: &str) -> Option<Self> {
        if !cfg!(target_os = "linux") {
            skip(test, "this system has no loopback address but 127.0.0.1");
            return None;
        }
        let mut server = match Self::spawn(secret) {
            Ok(server) => server,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                skip(test, "coturn is not installed");
                return None;
            }
            Err(error) => panic!("coturn does not start: {error}"),
        };
        let answer = wait_at_most(START_PATIENCE, || {
            if server.has_ended() {
                // Another program took the port first.
                server = Self::spawn(secret).expect("coturn has started before");
            }
            answers(server.address)
        });
        assert!(answer.is_some(), "coturn does not answer; its log: {}", server.said());
        Some(server)
    }

    fn spawn(secret: &str) -> io::Result<Self> {
        let address = free_address();
        let name = format!("e2e-coturn-{}-{}.log", process::id(), address.port());
        let log = env::temp_dir().join(name);
        let child = Command::new(PROGRAM)
            // No configuration file, no console, no file with its process id.
            .args(["-n", "--no-cli", "--pidfile=", "--simple-log"])
            .arg(format!("--log-file={}", log.display()))
            .args(["--no-tcp", "--no-tls", "--no-dtls", "--no-multicast-peers", "--realm=tests"])
            .arg(format!("--listening-ip={}", address.ip()))
            .arg(format!("--listening-port={}", address.port()))
            .arg(format!("--relay-ip={RELAY}"))
            // Peers are on this machine, to which it would not relay otherwise.
            .arg("--allow-loopback-peers")
            .args(["--use-auth-secret", &format!("--static-auth-secret={secret}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, address, log })
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Its log so far.
    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| format!("nothing ({error})"))
    }

    /// Its address in the form that peers receive.
    pub fn turn_url(&self) -> String {
        format!("turn:{}", self.address)
    }

    /// The same address as that of a STUN server.
    pub fn stun_url(&self) -> String {
        format!("stun:{}", self.address)
    }
}

impl Drop for TurnServer {
    fn drop(&mut self) {
        // All three fail only if it has already ended, or never wrote a log.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

/// A port that was free a moment ago, because coturn cannot let the system choose a port.
fn free_address() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("the system has a free port");
    socket.local_addr().expect("a bound socket has an address")
}

/// Returns `Some` if a STUN server answers at this address.
fn answers(address: SocketAddr) -> Option<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("the system has a free port");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("the timeout is not zero");
    let mut answer = [0; 200];
    // An error means that nobody listens there yet.
    socket.send_to(BINDING_REQUEST, address).ok()?;
    let length = socket.recv(&mut answer).ok()?;
    answer[..length].starts_with(&BINDING_SUCCESS).then_some(())
}
