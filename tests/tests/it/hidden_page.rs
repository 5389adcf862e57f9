//! A player looks at something else for a minute: the match goes on for everybody, and the player is in it still.

use std::{
    thread,
    time::{Duration, Instant},
};

use e2e_tests::{Browser, Page, Peer, PeerSettings, TestServer, assert_agreement, web_dist};

use crate::{
    browser::{START_PATIENCE, open, wait_for_frames},
    patience, start,
};

/// How long nobody sees the page, once by each way of hiding it.
const MINIMISED_FOR: Duration = Duration::from_secs(60);
const COVERED_FOR: Duration = Duration::from_secs(10);
/// How soon a change is seen at the other end: the other peer says once a second what it sees.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// All of the above, and some play before and after.
const SECONDS: u32 = 95;

#[test]
fn a_page_that_nobody_sees_plays_on_and_is_away() {
    let Some(folder) = web_dist("a_page_that_nobody_sees_plays_on_and_is_away") else {
        return;
    };
    let server = TestServer::serving(Some(folder));
    let browser = Browser::start();
    let page = open(&browser, &server, "Page", "hidden");
    let settings = PeerSettings::new(server.room("hidden"), "Native").seconds(SECONDS);
    // Two ships that nobody steers need longer than that for a match.
    let mut peer = start(&settings.flag("--input", "idle"));
    wait_for_frames(&page, 120);

    page.set_minimised(true);
    plays_on_unseen(&page, &mut peer, MINIMISED_FOR);
    page.set_minimised(false);
    is_back(&page, &mut peer);

    let cover = page.cover();
    plays_on_unseen(&page, &mut peer, COVERED_FOR);
    drop(cover);
    is_back(&page, &mut peer);

    let status = peer.wait(patience(SECONDS));
    assert!(status.success(), "{status}; it said: {:#?}", peer.lines());
    let ended = page
        .wait_for("an end of the match", START_PATIENCE, |report| report.text("state") == "Ended");
    let native = peer.report(patience(0));
    println!(
        "hidden page: {} frames confirmed, {} stalls of the other peer",
        native.number("confirmed_frames"),
        native.number("stalls")
    );
    assert_agreement(&[native, ended], u64::from(60 * SECONDS - 180));
}

/// Whether the other peer sees it as away, and neither of them stops.
fn plays_on_unseen(page: &Page, peer: &mut Peer, time: Duration) {
    let began = Instant::now();
    peer.wait_for_news("a peer that is away", SEEN_WITHIN, |line| line.ends_with("away Page"));
    assert!(page.is_hidden());
    let confirmed = |page: &Page| page.report().map_or(0.0, |it| it.number("confirmed_frames"));
    let before = (peer.confirmed_frames(), confirmed(page), Instant::now());
    // What is tested is that time passes.
    thread::sleep(time.saturating_sub(began.elapsed()));
    assert!(page.is_hidden());
    let frames = before.2.elapsed().as_secs_f64() * 60.0;
    let of_peer = f64::from(peer.confirmed_frames() - before.0);
    let of_page = confirmed(page) - before.1;
    println!(
        "unseen for {frames:.0} frames: {of_peer:.0} confirmed by the other peer, {of_page:.0} by the page"
    );
    // It says once a second how far it is, and so does the page.
    assert!(of_peer > frames * 0.95 - 120.0, "the other peer waited: {:#?}", peer.lines());
    assert!(of_page > frames * 0.95 - 120.0, "the page stood still");
}

fn is_back(page: &Page, peer: &mut Peer) {
    peer.wait_for_news("nobody away", SEEN_WITHIN, |line| {
        line.contains("confirmed") && !line.contains("away")
    });
    assert!(!page.is_hidden());
    let frames = page.report().map_or(0.0, |report| report.number("confirmed_frames"));
    wait_for_frames(page, frames as u32 + 120);
}
