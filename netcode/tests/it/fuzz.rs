//! Packets that real peers sent, and inputs that once caused a failure, passed through the
//! functions that the fuzz targets call.

use std::{
    fs,
    path::{Path, PathBuf},
};

use netcode::testing::{SentPacket, fuzz};

#[cfg(feature = "webrtc")]
use crate::stack;

/// The number of packets in one seed: a few, so that the inputs that fuzzers combine stay short.
const PACKETS_PER_SEED: usize = 6;
/// The number of seeds of one kind: enough to begin with, and few enough to keep in the repository.
const SEEDS: usize = 40;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Calls `work` with every file of one target: its seeds, and the findings that were added to them.
#[expect(clippy::print_stdout, reason = "shown if a test fails: the last file is the culprit")]
fn for_each_input(target: &str, work: impl Fn(&[u8])) {
    let entries = fs::read_dir(corpus(target)).expect("every target has seeds");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no seeds");
    for path in paths {
        println!("{}", path.display());
        work(&fs::read(&path).expect("the file can be read"));
    }
}

#[test]
fn recorded_and_mutated_datagrams_harm_no_match() {
    for_each_input("datagram", fuzz::datagrams);
}

#[test]
fn recorded_and_mutated_control_messages_harm_nobody() {
    for_each_input("control", fuzz::control);
}

#[cfg(feature = "webrtc")]
#[test]
fn recorded_and_mutated_signals_are_usable_or_dropped() {
    for_each_input("signal", |bytes| stack::assert_usable(&fuzz::signal(bytes)));
}

#[cfg(feature = "webrtc")]
#[test]
fn recorded_and_mutated_server_events_are_usable_or_dropped() {
    for_each_input("server_event", |bytes| stack::assert_usable(&fuzz::server_events(bytes)));
}

#[test]
fn splitting_an_input_gives_the_packets_that_were_joined() {
    let packets = [&[][..], &[1], &[2; 300]];
    let joined = fuzz::join(packets);
    assert!(fuzz::split(&joined).eq(packets));
    // A packet that is cut off is shorter, and too few bytes for a length are no packet.
    assert!(fuzz::split(&joined[..joined.len() - 299]).eq([&[][..], &[1], &[2]]));
    assert!(fuzz::split(&[9]).eq([] as [&[u8]; 0]));
}

/// Makes the seeds of `datagram` and `control` again, from the traffic of a match of four. Run it
/// by name after the wire has changed.
#[test]
#[ignore = "writes files"]
fn make_seeds_from_a_match() {
    let packets = fuzz::recorded_match();
    let of_one_link = |is_control: bool| -> Vec<&[u8]> {
        let is_wanted = |packet: &&SentPacket| {
            packet.is_control == is_control && packet.from == 1 && packet.to == 0
        };
        packets.iter().filter(is_wanted).map(|packet| &packet.bytes[..]).collect()
    };
    for (target, packets) in [("datagram", of_one_link(false)), ("control", of_one_link(true))] {
        fs::create_dir_all(corpus(target)).expect("the folder can be made");
        // Findings have other names, and stay.
        for entry in fs::read_dir(corpus(target)).expect("the folder was just made") {
            let path = entry.expect("the folder can be read").path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("match-")) {
                fs::remove_file(path).expect("the file can be removed");
            }
        }
        // The seeds come from all parts of the match.
        let runs: Vec<_> = packets.chunks(PACKETS_PER_SEED).collect();
        let every = runs.len().div_ceil(SEEDS);
        for (number, run) in runs.into_iter().step_by(every).enumerate() {
            let path = corpus(target).join(format!("match-{number:02}"));
            fs::write(path, fuzz::join(run.iter().copied())).expect("the file can be written");
        }
    }
}
