//! Puts our signaling server and `matchbox_server` under the same load, in turns, and prints the
//! cost of each.
//!
//! Run it through `cargo xtask bench signaling`, which builds both in release.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark talks to the terminal")]

mod attack;
mod client;
mod crowd;
mod process;
mod report;

use std::{
    fs::File,
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use lexopt::{Arg, Parser, ValueExt};
use tokio::{
    runtime::Runtime,
    sync::mpsc::UnboundedReceiver,
    time::{Instant, interval, sleep},
};

use self::{
    attack::Attack,
    crowd::Crowd,
    process::{Server, Usage},
    report::{Contestant, Figures, Report},
};

const HELP: &str = "\
Usage: signaling-load --ours PROGRAM --stock PROGRAM [flags]

  --turns N     how often each server is measured (3); the figures are medians
  --json FILE   write the figures as JSON
  --quick       hundreds of peers instead of thousands, and one turn; the figures are rough";

/// The time after the last join that the server gets to free the memory that joining needed.
const SETTLING: Duration = Duration::from_secs(3);
/// The time during which peers send nothing but keep-alives.
const IDLE: Duration = Duration::from_secs(10);
/// Signals per second: the rate of a day with a hundred thousand matches.
const SIGNALS_PER_S: u64 = 1000;
/// The length of a signal: about that of a session description.
pub(crate) const SIGNAL_BYTES: usize = 3000;

/// Debian's name for Redis.
const REDIS: &str = "redis-server";

/// The parsed command line.
#[derive(Debug, Default)]
struct Request {
    ours: PathBuf,
    stock: PathBuf,
    json: Option<PathBuf>,
    turns: Option<NonZeroUsize>,
    is_quick: bool,
}

fn main() -> ExitCode {
    let request = match parse(Parser::from_env()) {
        Ok(Some(request)) => request,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    // An unwritable file is noticed here, not after minutes of measuring. The file keeps its
    // content until there is a new one.
    if let Some(path) = &request.json
        && let Err(error) = File::options().create(true).append(true).open(path)
    {
        eprintln!("error: cannot write {}: {error}", path.display());
        return ExitCode::from(2);
    }
    match measure(&request) {
        Ok(report) => {
            report.print();
            if let Some(path) = &request.json
                && let Err(error) = std::fs::write(path, format!("{:#}\n", report.to_json()))
            {
                eprintln!("error: cannot write {}: {error}", path.display());
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: Parser) -> Result<Option<Request>, lexopt::Error> {
    let mut request = Request::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("ours") => request.ours = arguments.value()?.into(),
            Arg::Long("stock") => request.stock = arguments.value()?.into(),
            Arg::Long("json") => request.json = Some(arguments.value()?.parse()?),
            Arg::Long("turns") => request.turns = Some(arguments.value()?.parse()?),
            Arg::Long("quick") => request.is_quick = true,
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if request.ours.as_os_str().is_empty() || request.stock.as_os_str().is_empty() {
        return Err("--ours and --stock are needed".into());
    }
    Ok(Some(request))
}

fn measure(request: &Request) -> io::Result<Report> {
    let (sizes, relay, turns) = if request.is_quick {
        ([200, 400], Duration::from_secs(3), 1)
    } else {
        ([2000, 8000], Duration::from_secs(12), 3)
    };
    let turns = request.turns.map_or(turns, NonZeroUsize::get);
    let mut contestants = vec![Contestant::Ours, Contestant::OursWithRedis, Contestant::Stock];
    if !has_redis() {
        eprintln!("skipping two processes with Redis: `{REDIS}` is not installed");
        contestants.retain(|&contestant| contestant != Contestant::OursWithRedis);
    }
    let mut report = Report::default();
    for peers in sizes {
        for turn in 1..=turns {
            for &contestant in &contestants {
                eprintln!("{peers} peers at {}, turn {turn} of {turns} …", contestant.name());
                let figures =
                    Runtime::new()?.block_on(measure_one(request, contestant, peers, relay))?;
                report.add(contestant, figures);
            }
            // What comes first is not always the same.
            contestants.reverse();
        }
    }
    Ok(report)
}

fn has_redis() -> bool {
    Command::new(REDIS).arg("--version").output().is_ok()
}

/// What the clients of one contestant are connected to.
struct Service {
    servers: Vec<Server>,
    /// Kept for as long as the servers need it. Its cost is reported separately.
    redis: Option<Server>,
}

impl Service {
    fn start(request: &Request, contestant: Contestant) -> io::Result<Self> {
        let ours = |more: &[&str]| {
            // All clients come from one address, and at once.
            let limits = [
                ["--host", "127.0.0.1"],
                ["--port", "{port}"],
                ["--max-connections", "15000"],
                ["--max-connections-per-address", "15000"],
                ["--max-peers-per-address", "15000"],
                ["--joins-per-second", "100000"],
                ["--joins-at-once", "100000"],
            ];
            Server::start(&request.ours, &[limits.as_flattened(), more].concat())
        };
        Ok(match contestant {
            Contestant::Ours => Self { servers: vec![ours(&[])?], redis: None },
            Contestant::OursWithRedis => {
                let redis = Server::start(
                    Path::new(REDIS),
                    &[
                        "--port",
                        "{port}",
                        "--bind",
                        "127.0.0.1",
                        "--save",
                        "",
                        "--appendonly",
                        "no",
                    ],
                )?;
                let url = format!("redis://{}", redis.address);
                let servers = vec![ours(&["--redis", &url])?, ours(&["--redis", &url])?];
                Self { servers, redis: Some(redis) }
            }
            Contestant::Stock => {
                Self { servers: vec![Server::start(&request.stock, &["{address}"])?], redis: None }
            }
        })
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|server| server.address).collect()
    }

    /// The usage of all servers together.
    fn usage(&self) -> io::Result<Usage> {
        let mut sum = Usage { memory: 0.0, cpu: 0.0 };
        for server in &self.servers {
            let usage = server.usage()?;
            sum.memory += usage.memory;
            sum.cpu += usage.cpu;
        }
        Ok(sum)
    }

    /// The processor time of Redis, in seconds.
    fn redis_cpu(&self) -> io::Result<f64> {
        self.redis.as_ref().map_or(Ok(0.0), |redis| Ok(redis.usage()?.cpu))
    }
}

async fn measure_one(
    request: &Request,
    contestant: Contestant,
    peers: usize,
    relay: Duration,
) -> io::Result<Figures> {
    let server = Service::start(request, contestant)?;
    let (empty, empty_redis) = (server.usage()?, server.redis_cpu()?);
    let (crowd, mut latencies) = Crowd::gather(&server.addresses(), peers).await;
    let (full, full_redis) = (server.usage()?, server.redis_cpu()?);
    sleep(SETTLING).await;
    let settled = server.usage()?;
    sleep(IDLE).await;
    let idle = server.usage()?;

    let joined = crowd.joined.max(1) as f64;
    let mut figures = Figures {
        peers,
        joined_percent: crowd.joined as f64 / crowd.wanted as f64 * 100.0,
        kb_per_connection: (settled.memory - empty.memory) / joined / 1000.0,
        us_per_join: (full.cpu - empty.cpu) / joined * 1e6,
        redis_us_per_join: (full_redis - empty_redis) / joined * 1e6,
        idle_us_per_s: (idle.cpu - settled.cpu) / joined / IDLE.as_secs_f64() * 1e6,
        ..Figures::default()
    };
    let calm = send_signals(&crowd, relay, &mut latencies).await;
    (figures.relay_p50_ms, figures.relay_p99_ms, figures.lost_percent) = calm;
    figures.kb_after_signals = (server.usage()?.memory - empty.memory) / joined / 1000.0;
    for (index, attack) in Attack::ALL.into_iter().enumerate() {
        let attacking = attack.launch(server.servers[0].address);
        sleep(Duration::from_millis(500)).await;
        let (_, p99, lost) = send_signals(&crowd, relay / 4, &mut latencies).await;
        attacking.abort();
        figures.attacked_p99_ms[index] = p99;
        figures.attacked_lost_percent = figures.attacked_lost_percent.max(lost);
        sleep(SETTLING).await;
    }
    crowd.leave().await;
    Ok(figures)
}

/// Sends signals for `time`. Returns the median and the 99th percentile of their latencies in
/// milliseconds, and the percentage of signals that never arrived.
async fn send_signals(
    crowd: &Crowd,
    time: Duration,
    latencies: &mut UnboundedReceiver<Duration>,
) -> (f64, f64, f64) {
    while latencies.try_recv().is_ok() {}
    let before = crowd.arrived();
    let mut tick = interval(Duration::from_micros(1_000_000 / SIGNALS_PER_S));
    let until = Instant::now() + time;
    let (mut sent, mut peer) = (0u64, 0usize);
    while Instant::now() < until {
        tick.tick().await;
        // A step that has no factor in common with the size of the crowd reaches all peers.
        peer = peer.wrapping_add(7919);
        crowd.signal(peer, SIGNAL_BYTES);
        sent += 1;
    }
    sleep(Duration::from_secs(1)).await;
    let arrived = crowd.arrived() - before;
    let mut measured = Vec::new();
    while let Ok(latency) = latencies.try_recv() {
        measured.push(latency);
    }
    measured.sort_unstable();
    let at = |part: f64| {
        let index = (measured.len() as f64 * part) as usize;
        let value = measured.get(index.min(measured.len().saturating_sub(1)));
        value.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    };
    let lost = (sent as f64 - arrived as f64) / sent.max(1) as f64 * 100.0;
    (at(0.5), at(0.99), lost.max(0.0))
}
