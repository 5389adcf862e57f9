//! Matches of four that go on without a player that leaves, is killed, or loses its network.

use e2e_tests::{Peer, PeerSettings, Report, TestServer, assert_agreement};

use crate::{
    browser::{open, server_and_browser, wait_for_frames},
    last_checksum, patience, start,
    timing::tolerance,
};

const SECONDS: u32 = 16;
/// The longest time for which the others may stand still, on a machine that has better things to
/// do; `cargo xtask play --headless --kill 2@5` shows the time on an idle one.
const LONGEST_FREEZE_MS: f64 = 2000.0;

/// Four peers that are already playing, the last one with these flags.
fn four(room: &str, flags: &[(&str, &str)]) -> [Peer; 4] {
    let settings = |name| PeerSettings::new(room, name).players(4).seconds(SECONDS);
    let last = flags.iter().fold(settings("Dan"), |it, (flag, value)| it.flag(flag, value));
    let others = ["Ann", "Bob", "Cid"].map(settings);
    let [ann, bob, cid] = others.each_ref().map(start);
    let mut peers = [ann, bob, cid, start(&last)];
    for peer in &mut peers {
        peer.wait_for_play(60);
    }
    peers
}

/// Asserts that a peer played to the end, hardly noticed what became of another one, and took
/// nothing back.
fn assert_played_on(report: &Report) {
    let freeze = report.number("longest_freeze_ms");
    println!("{}: a freeze of {freeze} ms", report.text("name"));
    assert!(freeze <= LONGEST_FREEZE_MS * tolerance(), "{report:?}");
    assert_eq!(report.number("taken_back"), 0.0, "{report:?}");
}

#[test]
fn three_of_four_play_on_when_one_is_killed() {
    let server = TestServer::start();
    let [ann, bob, cid, mut dan] = four(&server.room("killed"), &[]);
    dan.kill();
    let reports = [ann, bob, cid].map(|mut peer| peer.played(patience(SECONDS)));
    reports.iter().for_each(assert_played_on);
    assert_agreement(&reports, last_checksum(SECONDS));
}

#[test]
fn three_of_four_play_on_when_one_leaves() {
    let server = TestServer::start();
    let peers = four(&server.room("left"), &[("--leave-after", "4")]);
    let [ann, bob, cid, dan] = peers.map(|mut peer| peer.played(patience(SECONDS)));
    let stayed = [ann, bob, cid];
    stayed.iter().for_each(assert_played_on);
    assert_agreement(&stayed, last_checksum(SECONDS));
    let [ann, ..] = stayed;
    assert_agreement(&[ann, dan], 180);
}

#[test]
fn one_of_four_that_loses_its_network_for_three_seconds_comes_back() {
    let server = TestServer::start();
    let peers = four(&server.room("unplugged"), &[("--outage", "both@4:3")]);
    let reports = peers.map(|mut peer| peer.played(patience(SECONDS)));
    let [others @ .., dan] = &reports;
    others.iter().for_each(assert_played_on);
    assert_eq!(dan.number("taken_back"), 0.0, "{dan:?}");
    println!("back after {} ms", dan.number("back_after_ms"));
    assert_agreement(&reports, last_checksum(SECONDS));
}

/// One after the other, a page is closed, a player loses its network and comes back, and a third
/// one is killed. The fourth one plays on.
#[test]
fn the_last_of_four_plays_on_with_the_one_that_came_back() {
    const SECONDS: u32 = 30;
    let Some((server, browser)) =
        server_and_browser("the_last_of_four_plays_on_with_the_one_that_came_back")
    else {
        return;
    };
    let room = server.room("mixed");
    let settings = |name| PeerSettings::new(&room, name).players(4).seconds(SECONDS);
    let page = open(&browser, &server, "Pat", "mixed");
    let mut ann = start(&settings("Ann"));
    let bob = start(&settings("Bob").flag("--outage", "both@10:3"));
    let mut cid = start(&settings("Cid"));
    wait_for_frames(&page, 60);
    // Its last frame on the way out is a goodbye.
    page.go_to("about:blank");
    drop(page);
    ann.wait_for_play(60 * 18);
    cid.kill();
    let reports = [ann, bob].map(|mut peer| peer.played(patience(SECONDS)));
    let [ann, bob] = &reports;
    assert_played_on(ann);
    assert_eq!(bob.number("taken_back"), 0.0, "{bob:?}");
    println!("back after {} ms", bob.number("back_after_ms"));
    assert_agreement(&reports, last_checksum(SECONDS));
}
