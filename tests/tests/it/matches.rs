//! Native peers play each other.

use e2e_tests::{Peer, PeerSettings, Report, TestServer, assert_agreement};

use crate::{patience, start};

const SECONDS: u32 = 20;

/// The last checksum of a run is at most an interval before its end.
const LAST_CHECKSUM_FRAME: u64 = 60 * SECONDS as u64 - 60;

#[test]
fn two_native_peers_play_the_same_match() {
    play(2);
}

#[test]
fn four_native_peers_play_the_same_match() {
    play(4);
}

#[test]
fn the_match_goes_on_without_the_server() {
    let mut server = TestServer::start();
    let mut peers = start_all(&server.room("orphans"), 2);
    for peer in &mut peers {
        peer.wait_for_play(60);
    }
    server.stop();
    for peer in &peers {
        assert!(peer.confirmed_frames() < 60 * SECONDS, "the match was over: {:#?}", peer.lines());
    }
    assert_all_played(&mut peers);
}

#[test]
fn a_different_build_is_refused_with_a_reason_on_both_sides() {
    let server = TestServer::start();
    let room = server.room("builds");
    let mut ours = start(&PeerSettings::new(&room, "Ours"));
    let mut theirs = start(&PeerSettings::new(&room, "Theirs").flag("--game-version", "0.0.9"));
    for peer in [&mut ours, &mut theirs] {
        let reason = peer.wait_for_reason(patience(0));
        assert!(reason.contains("0.0.9"), "the sentence names the other version: {reason}");
        assert_eq!(peer.wait(patience(0)).code(), Some(1));
    }
}

#[test]
fn a_host_can_be_joined_at_the_address_that_it_prints() {
    let mut host = start(&PeerSettings::host("Ann").seconds(SECONDS));
    let prefix = "others join at ";
    let line = host.wait_for_line("an address", patience(0), |line| line.starts_with(prefix));
    let address = line.strip_prefix(prefix).expect("the line begins with the prefix");
    let guest = start(&PeerSettings::new(address, "Bob").seconds(SECONDS));
    assert_all_played(&mut [host, guest]);
}

fn play(players: u8) {
    let server = TestServer::start();
    let mut peers = start_all(&server.room("match"), players);
    assert_all_played(&mut peers);
}

fn start_all(room: &str, players: u8) -> Vec<Peer> {
    let settings = |number| {
        PeerSettings::new(room, &format!("Bot {number}")).players(players).seconds(SECONDS)
    };
    (1..=players).map(|number| start(&settings(number))).collect()
}

fn assert_all_played(peers: &mut [Peer]) {
    let mut reports: Vec<Report> = Vec::new();
    for peer in peers {
        let status = peer.wait(patience(SECONDS));
        assert!(status.success(), "{status}; its output: {:#?}", peer.lines());
        reports.push(peer.report(patience(0)));
    }
    assert_agreement(&reports, LAST_CHECKSUM_FRAME);
    for report in &reports {
        assert!(report.number("confirmed_frames") >= f64::from(60 * SECONDS), "{report:?}");
    }
}
