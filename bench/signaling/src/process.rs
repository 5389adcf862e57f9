//! A server in a process of its own, and its cost as the kernel counts it.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Clock ticks per second in `/proc/*/stat`: the same on every Linux.
const TICKS_PER_S: f64 = 100.0;
/// A server listens within milliseconds; a machine under load gets more time.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// A running server; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// What a server has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Resident memory, in bytes.
    pub(crate) memory: f64,
    /// Processor time, in seconds.
    pub(crate) cpu: f64,
}

impl Server {
    /// Starts `program` with these arguments, in which `{address}` and `{port}` stand for the
    /// address and the port to listen on.
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> io::Result<Self> {
        // The port is free until another program takes it, which none does on a machine that only
        // measures.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let fill = |argument: &&str| {
            argument
                .replace("{address}", &address.to_string())
                .replace("{port}", &address.port().to_string())
        };
        let child = Command::new(program)
            .args(arguments.iter().map(fill))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("RUST_LOG", "off")
            .spawn()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", program.display()))
            })?;
        let mut server = Self { child, address };
        let deadline = Instant::now() + START_PATIENCE;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                let program = program.display();
                return Err(io::Error::other(format!("{program} ended at once: {status}")));
            }
            if Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let folder = format!("/proc/{}", self.child.id());
        let status = fs::read_to_string(format!("{folder}/status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kb = rss.and_then(|rss| rss.split_whitespace().next()?.parse::<f64>().ok());
        let stat = fs::read_to_string(format!("{folder}/stat"))?;
        // The name, in brackets, may hold spaces; user and system time are the 12th and 13th field
        // after it.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        let ticks = ticks.sum::<Result<f64, _>>().map_err(io::Error::other)?;
        let memory = kb.ok_or_else(|| io::Error::other("no VmRSS in /proc: is this Linux?"))?;
        Ok(Usage { memory: memory * 1024.0, cpu: ticks / TICKS_PER_S })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
