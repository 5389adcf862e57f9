//! A player looks at something else for a minute: the match goes on for everybody, and the player
//! is still in it.

use std::{
    thread,
    time::{Duration, Instant},
};

use e2e_tests::{Browser, Page, Peer, PeerSettings, TestServer, assert_agreement, lasts};

use crate::{
    browser::{START_PATIENCE, open, server_and_browser, wait_for_frames},
    last_checksum, patience, start,
};

/// How long the page is hidden, for each way to hide it.
const MINIMISED_FOR: Duration = Duration::from_secs(60);
const BEHIND_A_WINDOW_FOR: Duration = Duration::from_secs(60);
const BEHIND_A_TAB_FOR: Duration = Duration::from_secs(10);
/// How soon the other peer shows a change: it prints once a second what it sees.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// The least speed of the match, as a fraction of its full speed: a machine under load is slower.
const LEAST_SPEED: f64 = 0.75;
/// The number of matches to try one after the other: one in ten is too short.
const MAX_ATTEMPTS: u32 = 10;

#[test]
fn a_hidden_page_plays_on_and_is_shown_in_another_tab() {
    /// The time for all phases below, and for some play before and after.
    const SECONDS: u32 = 95;
    play("a_hidden_page_plays_on_and_is_shown_in_another_tab", SECONDS, |page, peer| {
        page.set_minimised(true);
        assert_hidden(page, peer);
        assert_plays_on(page, peer, MINIMISED_FOR);
        page.set_minimised(false);
        assert_back(page, peer);

        let tab = page.cover(false);
        assert_hidden(page, peer);
        assert_plays_on(page, peer, BEHIND_A_TAB_FOR);
        drop(tab);
        assert_back(page, peer);
    });
}

/// Not every system tells a page that another window is in front of it.
#[test]
fn a_page_behind_another_window_plays_on() {
    const SECONDS: u32 = 80;
    play("a_page_behind_another_window_plays_on", SECONDS, |page, peer| {
        let window = page.cover(true);
        assert_plays_on(page, peer, BEHIND_A_WINDOW_FOR);
        drop(window);
        assert_back(page, peer);
    });
}

/// Lets a page and a native peer play for `seconds` while `meanwhile` runs. Asserts that they
/// agree.
fn play(test: &str, seconds: u32, meanwhile: impl FnOnce(&Page, &mut Peer)) {
    let Some((server, browser)) = server_and_browser(test) else {
        return;
    };
    let (page, mut peer, _) = begin_long_match(&server, &browser, seconds);
    meanwhile(&page, &mut peer);
    let native = peer.played(patience(seconds));
    let ended = page.ended(START_PATIENCE);
    println!(
        "hidden page: {} frames confirmed, {} stalls of the other peer",
        native.number("confirmed_frames"),
        native.number("stalls")
    );
    assert_agreement(&[native, ended], last_checksum(seconds));
}

/// Begins a match that nobody steers and that is not over before its time. Returns the page, the
/// native peer, and their room.
pub(crate) fn begin_long_match(
    server: &TestServer,
    browser: &Browser,
    seconds: u32,
) -> (Page, Peer, String) {
    let begin = |attempt: u32| {
        let room = format!("long-{attempt}");
        let page = open(browser, server, "Page", &room);
        let settings = PeerSettings::new(server.room(&room), "Native").seconds(seconds);
        let peer = start(&settings.flag("--input", "idle"));
        let report = wait_for_frames(&page, 120);
        let seed = u64::from_str_radix(report.text("seed"), 16);
        // The page plays on until the peer's last frame is confirmed everywhere and the peer has
        // left, which takes two seconds and more.
        lasts(seed.expect("a running match has a seed"), seconds + 5).then_some((page, peer, room))
    };
    let long = (0..MAX_ATTEMPTS).find_map(begin);
    long.expect("most matches that nobody steers last long enough")
}

/// Asserts that the page is hidden, and that the other peer knows.
fn assert_hidden(page: &Page, peer: &mut Peer) {
    peer.wait_for_news("a hidden page", SEEN_WITHIN, |line| line.ends_with("another tab: Page"));
    assert!(page.is_hidden());
}

/// Asserts that both of them play on for `time`, and that the page stays hidden or visible as it
/// was.
fn assert_plays_on(page: &Page, peer: &mut Peer, time: Duration) {
    let is_hidden = page.is_hidden();
    let confirmed = |page: &Page| page.report().expect("the page plays").number("confirmed_frames");
    let before = (peer.confirmed_frames(), confirmed(page), Instant::now());
    // The passing of time is what this tests.
    thread::sleep(time);
    assert_eq!(page.is_hidden(), is_hidden);
    let frames = before.2.elapsed().as_secs_f64() * 60.0;
    let of_peer = f64::from(peer.confirmed_frames() - before.0);
    let of_page = confirmed(page) - before.1;
    println!(
        "{frames:.0} frames, hidden {is_hidden}: {of_peer:.0} confirmed by the other peer, {of_page:.0} by the page"
    );
    // Each reports its progress once a second. A page that stopped would have next to no frames.
    let least = frames * LEAST_SPEED - 120.0;
    assert!(of_peer > least, "the other peer waited: {:#?}", peer.lines());
    assert!(of_page > least, "the page stopped");
}

/// Asserts that the page is visible, and plays.
fn assert_back(page: &Page, peer: &mut Peer) {
    page.wait_until_seen(SEEN_WITHIN);
    let frames = page.report().expect("the page plays").number("confirmed_frames");
    wait_for_frames(page, frames as u32 + 120);
    peer.wait_for_news("no hidden page", SEEN_WITHIN, |line| {
        line.contains("confirmed") && !line.contains("another tab")
    });
}
