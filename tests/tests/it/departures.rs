//! Peers that leave in the middle of a match that ends without them: the other peers learn why
//! within three seconds, and do not crash.

use std::time::{Duration, Instant};

use e2e_tests::{Peer, PeerSettings, TestServer, assert_agreement};

use crate::{
    browser::{open, server_and_browser, wait_for_frames},
    patience, start,
    timing::tolerance,
};

/// The time within which players are promised a reason.
const REASON_DEADLINE: Duration = Duration::from_secs(3);
/// The limit even under load: after 10 s of silence the peers would notice even without the server.
const BEFORE_THE_TIMEOUT: Duration = Duration::from_secs(8);

/// Longer than any of these matches lasts.
const LONG: u32 = 120;

fn settings(room: &str, name: &str) -> PeerSettings {
    PeerSettings::new(room, name).players(3).flag("--departures", "end")
}

#[test]
fn the_other_peers_notice_that_a_peer_was_killed() {
    let server = TestServer::start();
    let room = server.room("crash");
    let mut peers = ["Ann", "Bob", "Cid"].map(|name| start(&settings(&room, name).seconds(LONG)));
    for peer in &mut peers {
        peer.wait_for_play(120);
    }
    let [ann, bob, cid] = &mut peers;
    cid.kill();
    assert_departure_noticed(&mut [ann, bob], "Cid", Instant::now());
}

#[test]
fn a_leaver_is_named_to_the_other_peers() {
    let server = TestServer::start();
    let room = server.room("leave");
    let mut ann = start(&settings(&room, "Ann").seconds(LONG));
    let mut bob = start(&settings(&room, "Bob").seconds(LONG));
    let mut cid = start(&settings(&room, "Cid").seconds(4));
    let status = cid.wait(patience(4));
    let left_at = Instant::now();
    assert!(status.success(), "the leaver played as long as it wanted: {:#?}", cid.lines());
    assert_departure_noticed(&mut [&mut ann, &mut bob], "Cid", left_at);
    assert_eq!(server.broken(), 0, "a leaver says goodbye to the server as well");
}

#[test]
fn a_page_that_is_left_or_loaded_again_says_goodbye() {
    let Some((server, browser)) =
        server_and_browser("a_page_that_is_left_or_loaded_again_says_goodbye")
    else {
        return;
    };
    for (room, is_reload) in [("left", false), ("reloaded", true)] {
        let page = open(&browser, &server, "Pat", room);
        let mut ann = start(&PeerSettings::new(server.room(room), "Ann").seconds(LONG));
        wait_for_frames(&page, 60);
        let since = Instant::now();
        if is_reload {
            page.reload();
        } else {
            page.go_to("about:blank");
        }
        let reason = ann.wait_for_reason(patience(0));
        println!("reported after {:.2?}: {reason}", since.elapsed());
        // A page that says nothing is lost, and after more than two seconds.
        assert!(reason.contains("Pat left"), "{reason}");
    }
}

/// Asserts that the peers report in time that `missing` is gone, end by themselves, and agree on
/// what they played until then.
fn assert_departure_noticed(peers: &mut [&mut Peer], missing: &str, since: Instant) {
    let mut reasons = Vec::new();
    for peer in &mut *peers {
        let reason = peer.wait_for_reason(patience(0));
        let time = since.elapsed();
        println!("reported after {time:.2?}: {reason}");
        let deadline = REASON_DEADLINE.mul_f64(tolerance()).min(BEFORE_THE_TIMEOUT);
        assert!(time <= deadline, "reported only after {time:?}: {reason}");
        assert!(reason.contains(missing), "the sentence names the missing peer: {reason}");
        reasons.push(reason);
    }
    let mut reports = Vec::new();
    for (peer, reason) in peers.iter_mut().zip(reasons) {
        // 1 is the game's exit code for a match that ended early; a crash has another code or none.
        assert_eq!(peer.wait(patience(0)).code(), Some(1), "{:#?}", peer.lines());
        let report = peer.report(patience(0));
        assert_eq!(report.text("state"), "Ended");
        assert_eq!(report.text("end_reason"), reason);
        reports.push(report);
    }
    assert_agreement(&reports, 60);
}
