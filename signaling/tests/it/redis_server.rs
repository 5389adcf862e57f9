//! A real Redis on this machine, with nothing on disk: what is in it is gone when it stops.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// It listens within a tenth of a second, unless the machine is busy.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// A running Redis, killed when dropped.
pub(crate) struct RedisServer {
    child: Child,
    address: SocketAddr,
}

impl RedisServer {
    /// Starts it. Says it and gives nothing where Redis is not installed.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let address = free.expect("a port is free");
        match spawn(address) {
            Ok(child) => Some(Self { child, address }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // The words that `cargo xtask test` collects. Who closed stdout does not want them.
                let _ = writeln!(io::stdout(), "\nSKIPPED {test} (Redis is not installed)");
                None
            }
            Err(error) => panic!("Redis does not start: {error}"),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The number by which it can be sent signals.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it answers to a command.
    pub(crate) fn tell(&self, command: &str) -> String {
        let ask = || -> io::Result<String> {
            let mut stream = TcpStream::connect(self.address)?;
            stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().expect("it runs");
        assert!(!answer.starts_with('-'), "{command}: {answer}");
        answer
    }

    /// Kills it: all that was in it is gone.
    pub(crate) fn stop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// Starts it again, empty.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.address).expect("it has started before");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have been stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it and waits until it answers.
fn spawn(address: SocketAddr) -> io::Result<Child> {
    let mut child = Command::new("redis-server")
        .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let started = Instant::now();
    while !answers(address) {
        let ended = child.try_wait()?;
        assert!(ended.is_none() && started.elapsed() < START_PATIENCE, "no answer: {ended:?}");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(child)
}

fn answers(address: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG")
    };
    ask().unwrap_or(false)
}
