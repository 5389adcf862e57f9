//! Puts our signaling server and `matchbox_server` under the same load, in turns, and prints what they cost.
//!
//! Run it through `cargo xtask bench signaling`, which builds both in release.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark talks to the terminal")]

mod client;
mod crowd;
mod process;
mod report;
mod trouble;

use std::{fs::File, io, path::PathBuf, process::ExitCode, time::Duration};

use lexopt::{Arg, Parser, ValueExt};
use tokio::{
    runtime::Runtime,
    sync::mpsc::UnboundedReceiver,
    time::{Instant, interval, sleep},
};

use self::{
    crowd::Crowd,
    process::Server,
    report::{Contestant, Figures, Report},
    trouble::Trouble,
};

const HELP: &str = "\
Usage: signaling-load --ours PROGRAM --stock PROGRAM [flags]

  --json FILE   write the figures as JSON
  --quick       hundreds of peers instead of thousands; the figures are rough";

/// After the last one joined: what was needed for joining is let go.
const SETTLING: Duration = Duration::from_secs(3);
/// Time in which nobody does anything but say that it is there.
const IDLE: Duration = Duration::from_secs(10);
/// Signals in a second, as many as there are in a day of a hundred thousand matches.
const SIGNALS_PER_S: u64 = 1000;
/// As long as a session description.
const SIGNAL_BYTES: usize = 3000;

/// What was asked for.
#[derive(Debug, Default)]
struct Request {
    ours: PathBuf,
    stock: PathBuf,
    json: Option<PathBuf>,
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
    // An unwritable file is noticed before the minutes, and keeps what it holds until there is something new.
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
    let (sizes, relay) = if request.is_quick {
        ([200, 400], Duration::from_secs(3))
    } else {
        ([2000, 8000], Duration::from_secs(20))
    };
    let mut report = Report::default();
    for peers in sizes {
        for contestant in [Contestant::Ours, Contestant::Stock] {
            eprintln!("{peers} peers at {} …", contestant.name());
            let figures =
                Runtime::new()?.block_on(measure_one(request, contestant, peers, relay))?;
            report.add(contestant, figures);
        }
    }
    Ok(report)
}

fn start(request: &Request, contestant: Contestant) -> io::Result<Server> {
    match contestant {
        Contestant::Ours => Server::start(
            &request.ours,
            // All of them come from one address, and at once.
            [
                ["--host", "127.0.0.1"],
                ["--port", "{port}"],
                ["--max-connections", "15000"],
                ["--max-connections-per-address", "15000"],
                ["--max-peers-per-address", "15000"],
                ["--joins-per-second", "100000"],
                ["--joins-at-once", "100000"],
            ]
            .as_flattened(),
        ),
        Contestant::Stock => Server::start(&request.stock, &["{address}"]),
    }
}

async fn measure_one(
    request: &Request,
    contestant: Contestant,
    peers: usize,
    relay: Duration,
) -> io::Result<Figures> {
    let server = start(request, contestant)?;
    let empty = server.usage()?;
    let (crowd, mut latencies) = Crowd::gather(server.address, peers).await;
    let full = server.usage()?;
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
        idle_us_per_s: (idle.cpu - settled.cpu) / joined / IDLE.as_secs_f64() * 1e6,
        ..Figures::default()
    };
    let calm = send_signals(&crowd, relay, &mut latencies).await;
    (figures.relay_p50_ms, figures.relay_p99_ms, figures.lost_percent) = calm;
    figures.kb_after_signals = (server.usage()?.memory - empty.memory) / joined / 1000.0;
    for trouble in Trouble::ALL {
        let making = trouble.make(server.address);
        sleep(Duration::from_millis(500)).await;
        let (_, p99, lost) = send_signals(&crowd, relay / 4, &mut latencies).await;
        making.abort();
        figures.troubles.push((trouble.name(), p99, lost));
        sleep(SETTLING).await;
    }
    crowd.leave().await;
    Ok(figures)
}

/// Sends signals for so long: half of them arrive within the first of these milliseconds, 99 of 100 within the second; and what part of
/// them, in percent, never does.
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
        // A step that has no factor in common with the crowd reaches everybody.
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
