//! A real Redis on this machine, with nothing on disk: its content is gone when it stops.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// It listens within a tenth of a second, unless the machine is busy.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// A running Redis; killed when dropped.
pub(crate) struct RedisServer {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl RedisServer {
    /// Starts Redis. If it is not installed, reports that `test` is skipped and returns nothing.
    pub(crate) fn start(test: &str) -> Option<Self> {
        Self::start_at(test, free_address)
    }

    /// Starts Redis at the first of these addresses that is still free when Redis gets there.
    pub(crate) fn start_at(test: &str, addresses: impl FnMut() -> SocketAddr) -> Option<Self> {
        match spawn(addresses) {
            Ok((child, address)) => Some(Self { child, address }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // `cargo xtask test` collects these lines. If stdout is closed, nobody wants them.
                let _ = writeln!(io::stdout(), "\nSKIPPED {test} (Redis is not installed)");
                None
            }
            Err(error) => panic!("Redis does not start: {error}"),
        }
    }

    /// Its address in the form that our servers take.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Its process id, to send signals to.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command, and returns the answer.
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

    /// Kills it: its content is gone.
    pub(crate) fn stop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// Starts it again at the same address, empty.
    pub(crate) fn start_again(&mut self) {
        (self.child, _) = spawn(|| self.address).expect("it has started before");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have been stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts Redis and waits until it answers. Redis cannot let the system choose a port, and a port
/// that was free a moment ago may be taken by now: in that case, Redis exits, and is started at the
/// next address.
fn spawn(mut addresses: impl FnMut() -> SocketAddr) -> io::Result<(Child, SocketAddr)> {
    let began = Instant::now();
    loop {
        let address = addresses();
        let mut child = Command::new("redis-server")
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        while child.try_wait()?.is_none() {
            if answers(address, child.id()) {
                return Ok((child, address));
            }
            if began.elapsed() >= START_PATIENCE {
                child.kill()?;
            }
            thread::sleep(Duration::from_millis(5));
        }
        if began.elapsed() >= START_PATIENCE {
            let error = format!("no answer within {START_PATIENCE:?}, at last at {address}");
            return Err(io::Error::new(ErrorKind::TimedOut, error));
        }
    }
}

/// An address at which nothing was listening a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    free.expect("a port is free")
}

/// Returns whether the Redis with this process id answers at the address, and not another one.
fn answers(address: SocketAddr, process: u32) -> bool {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"INFO server\r\nQUIT\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let line = format!("process_id:{process}");
    ask().is_ok_and(|answer| answer.lines().any(|said| said == line))
}
