//! The cost of a match on the wire: datagrams and bytes as the kernel counts them, ours and stock
//! in one run.
//!
//! All peers are threads of this process, in a network namespace of their own, so that nothing else
//! is counted. The signaling server runs there too, because stock peers do not survive its end; it
//! sends nothing while they play.

mod kernel;
mod ours;
mod pace;
mod stock;

use std::{
    env, io,
    process::{Command, ExitStatus},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use e2e_tests::TestServer;
use serde_json::{Value, json};

use self::{kernel::Counters, pace::Signals};

/// Set in the process that runs in its own namespace.
const INSIDE: &str = "COMPARISONS_IN_NAMESPACE";
/// The commands for what the namespace needs: a route to itself, an address that is not a loopback
/// address, because WebRTC leaves those out, and multicast, without which matchbox panics.
const MAKE_NETWORK: &str = "ip link set lo up && ip link set lo multicast on \
    && ip addr add 10.77.0.1/32 dev lo && ip route add 224.0.0.0/4 dev lo \
    && exec \"$0\" \"$@\"";
/// How long the peers may take to meet.
const MEETING: Duration = Duration::from_secs(60);
/// The time after the first frame during which connections settle and checks of candidates end.
const SETTLING: Duration = Duration::from_secs(3);

/// The lowest frame rate that is accepted: a peer that plays fewer frames sends less, and that must
/// not count as an advantage.
const LEAST_FPS: f64 = 59.0;

/// The datagrams and bytes that each peer sends in a second.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    datagrams: f64,
    bytes: f64,
}

/// The medians for one number of peers.
#[derive(Clone, Copy, Debug)]
struct Row {
    peers: usize,
    ours: Rates,
    stock: Rates,
}

/// The figures of one run.
#[derive(Clone, Debug)]
pub(crate) struct Report(Vec<Row>);

/// The head of the table, and the names of its rows, as bench/RESULTS.md has them, too.
const HEAD: &str =
    "| sent by each peer, per second | netcode | ggrs 0.13 over matchbox 0.15 | ratio |";
const OF_DATAGRAMS: &str = "UDP datagrams";
const OF_BYTES: &str = "bytes with IP headers";

/// Plays a match: its arguments are the room, the number of peers, the seat of this peer, and the
/// signals of the measurement.
type Play = fn(&str, usize, u8, &Signals);

/// Runs this program again inside a network namespace, unless it is in one already.
pub(crate) fn enter_namespace() -> io::Result<Option<ExitStatus>> {
    if env::var_os(INSIDE).is_some() {
        return Ok(None);
    }
    let program = env::current_exe()?;
    let status = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", MAKE_NETWORK])
        .arg(program)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .status();
    match status {
        Ok(status) => Ok(Some(status)),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("cannot make a network namespace with `unshare` (of util-linux): {error}"),
        )),
    }
}

/// Measures both at 2 and at 4 peers, in turns.
pub(crate) fn run(is_quick: bool) -> io::Result<Report> {
    let (turns, time) =
        if is_quick { (1, Duration::from_secs(5)) } else { (3, Duration::from_secs(20)) };
    let mut rows = Vec::new();
    for peers in [2, 4] {
        let (mut ours, mut stock) = (Vec::new(), Vec::new());
        for turn in 1..=turns {
            eprintln!("{peers} peers, netcode, {turn} of {turns} …");
            ours.push(measure(ours::play, peers, time)?);
            eprintln!("{peers} peers, ggrs over matchbox, {turn} of {turns} …");
            stock.push(measure(stock::play, peers, time)?);
        }
        rows.push(Row { peers, ours: median(&ours), stock: median(&stock) });
    }
    Ok(Report(rows))
}

fn measure(play: Play, peers: usize, time: Duration) -> io::Result<Rates> {
    let server = TestServer::start();
    let room = server.room("wire");
    let signals = Signals::default();
    thread::scope(|scope| {
        for seat in 0..peers as u8 {
            let (room, signals) = (&room, &signals);
            scope.spawn(move || play(room, peers, seat, signals));
        }
        let counted = meet(&signals, peers).and_then(|()| {
            thread::sleep(SETTLING);
            let (before, frames_before) =
                (Counters::read()?, signals.frames.load(Ordering::Relaxed));
            thread::sleep(time);
            let counted = Counters::read()?.since(before);
            let frames = signals.frames.load(Ordering::Relaxed) - frames_before;
            let least = LEAST_FPS * peers as f64 * time.as_secs_f64();
            if f64::from(frames) < least {
                return Err(io::Error::other(format!(
                    "only {frames} of {least:.0} frames were played: this machine is too slow, or busy"
                )));
            }
            Ok(counted)
        });
        signals.is_over.store(true, Ordering::Relaxed);
        let counted = counted?;
        let peer_seconds = peers as f64 * time.as_secs_f64();
        Ok(Rates {
            datagrams: counted.udp_datagrams as f64 / peer_seconds,
            bytes: counted.ip_bytes as f64 / peer_seconds,
        })
    })
}

fn meet(signals: &Signals, peers: usize) -> io::Result<()> {
    let deadline = Instant::now() + MEETING;
    while signals.playing.load(Ordering::Relaxed) < peers {
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("{peers} peers did not meet within {MEETING:?}")));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn median(rates: &[Rates]) -> Rates {
    let middle = |value: fn(&Rates) -> f64| {
        let mut values: Vec<f64> = rates.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Rates { datagrams: middle(|rates| rates.datagrams), bytes: middle(|rates| rates.bytes) }
}

impl Report {
    /// Prints the table in Markdown.
    pub(crate) fn print(&self) {
        println!("{HEAD}");
        println!("|---|---:|---:|---:|");
        for Row { peers, ours, stock } in &self.0 {
            let row = |what: &str, ours: f64, stock: f64| {
                println!(
                    "| {what}, {peers} players | {ours:.1} | {stock:.1} | {:.2} |",
                    ours / stock
                );
            };
            row(OF_DATAGRAMS, ours.datagrams, stock.datagrams);
            row(OF_BYTES, ours.bytes, stock.bytes);
        }
    }

    /// The figures by name.
    pub(crate) fn to_json(&self) -> Value {
        let mut figures = json!({});
        for Row { peers, ours, stock } in &self.0 {
            for (prefix, rates) in [("", ours), ("stock_", stock)] {
                figures[format!("{prefix}datagrams_per_s_{peers}p")] = json!(rates.datagrams);
                figures[format!("{prefix}bytes_per_s_{peers}p")] = json!(rates.bytes);
            }
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_results_has_the_words_of_the_table() {
        let page = include_str!("../../RESULTS.md");
        assert!(page.contains(HEAD));
        for what in [OF_DATAGRAMS, OF_BYTES] {
            for peers in [2, 4] {
                assert!(page.contains(&format!("\n| {what}, {peers} players | ")), "{what}");
            }
        }
    }
}
