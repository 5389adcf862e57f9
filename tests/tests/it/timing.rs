//! The time from meeting to playing, on loopback: printed, and compared with limits that only a
//! fault exceeds, because nobody can promise how fast a shared machine is at any moment.

use e2e_tests::{PeerSettings, Report, TestServer};

use crate::{patience, start};

const RUNS: usize = 5;

/// The targets on an idle machine, in milliseconds after both are in the room: connected, first
/// frame.
const AIMS_MS: [f64; 2] = [1_500.0, 2_500.0];

/// Returns how many times longer a machine under load may take. With `STRICT_TIMES` set, no machine
/// may take longer than the target.
pub(crate) fn tolerance() -> f64 {
    if std::env::var_os("STRICT_TIMES").is_some() { 1.0 } else { 4.0 }
}

#[test]
fn peers_that_meet_are_soon_connected_and_playing() {
    let server = TestServer::start();
    let runs: Vec<[f64; 2]> =
        (0..RUNS).map(|run| measure(&server.room(&format!("run-{run}")))).collect();
    for (index, (what, aim)) in ["connected", "first frame"].into_iter().zip(AIMS_MS).enumerate() {
        let mut times: Vec<f64> = runs.iter().map(|run| run[index]).collect();
        times.sort_by(f64::total_cmp);
        let median = times[RUNS / 2];
        println!(
            "{what}: median {median} ms after both are in the room (target: {aim} ms), of {times:?}"
        );
        assert!(median <= aim * tolerance(), "{what} took {median} ms");
    }
}

/// Milliseconds from both being in the room to both being connected, and to the first frame of
/// both.
fn measure(room: &str) -> [f64; 2] {
    let mut peers = ["Ann", "Bob"].map(|name| start(&PeerSettings::new(room, name).seconds(1)));
    let reports = peers.each_mut().map(|peer| peer.report(patience(1)));
    let last = |field: &str| {
        reports.iter().map(|report: &Report| report.number(field)).fold(0.0, f64::max)
    };
    let met = last("joined_unix_ms");
    [last("connected_unix_ms") - met, last("first_frame_unix_ms") - met]
}
