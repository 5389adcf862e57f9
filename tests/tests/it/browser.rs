//! The browser version in a real Chromium, against native peers and against itself.
//!
//! The pages render in software, at about ten frames a second, so deadlines are generous.

use std::time::Duration;

use demo_game::selftest;
use e2e_tests::{
    Browser, Page, PeerSettings, Report, TestServer, assert_agreement, wait_for, web_dist,
};
use signaling::server::ServerConfig;

use crate::{last_checksum, patience, start};

/// Time for loading and compiling the module, rendering the first frames, meeting and connecting.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(120);

/// The arrow keys, as WebDriver encodes them.
pub(super) const ARROW_LEFT: char = '\u{E012}';
const ARROW_UP: char = '\u{E013}';
pub(super) const ENTER: char = '\u{E007}';

/// A server that has the game's page, and a browser to open it. If the page was not built, prints
/// that `test` was skipped and returns `None`.
pub(super) fn server_and_browser(test: &str) -> Option<(TestServer, Browser)> {
    let server = TestServer::serving(Some(web_dist(test)?));
    Some((server, Browser::start()))
}

#[test]
fn keys_typed_into_a_page_move_the_ship_on_a_native_peer() {
    const SECONDS: u32 = 20;
    let Some((server, browser)) =
        server_and_browser("keys_typed_into_a_page_move_the_ship_on_a_native_peer")
    else {
        return;
    };
    let page = open(&browser, &server, "Page", "mixed");
    let settings = PeerSettings::new(server.room("mixed"), "Native").seconds(SECONDS);
    let mut peer = start(&settings.flag("--input", "idle"));
    wait_for_frames(&page, 120);
    page.hold_key(ARROW_LEFT, Duration::from_millis(500));
    page.hold_key(ARROW_UP, Duration::from_secs(3));
    let native = peer.played(patience(SECONDS));
    let page_seat = page.report().expect("the page has played").number("seat");
    let native_seat = native.number("seat");
    assert_ne!(page_seat, native_seat);
    // Gravity moves every ship, but only a key that is held in the page burns that ship's engine.
    // Nobody steers the native peer's ship.
    assert!(native.of_ship(page_seat, "thrust_frames") > 30.0, "{native:?}");
    assert!(native.of_ship(page_seat, "travelled") > 100.0, "{native:?}");
    assert_eq!(native.of_ship(native_seat, "thrust_frames"), 0.0, "{native:?}");
    let ended = page.ended(START_PATIENCE);
    assert!(ended.text("end_reason").contains("Native"), "{ended:?}");
    assert_agreement(&[native, ended], last_checksum(SECONDS));
}

#[test]
fn two_pages_play_the_same_match() {
    let Some((server, browser)) = server_and_browser("two_pages_play_the_same_match") else {
        return;
    };
    let pages = ["Ann", "Bob"].map(|name| open(&browser, &server, name, "pages"));
    for page in &pages {
        wait_for_frames(page, 600);
    }
    let reports = pages.each_ref().map(|page| page.report().expect("the page plays"));
    assert_agreement(&reports, 540);
}

#[test]
fn a_page_that_is_refused_says_why_and_tries_again() {
    let Some(folder) = web_dist("a_page_that_is_refused_says_why_and_tries_again") else {
        return;
    };
    let config =
        ServerConfig { web_root: Some(folder), max_peers_per_room: 1, ..ServerConfig::default() };
    let server = TestServer::with(config);
    let patience = START_PATIENCE.as_secs().to_string();
    let mut first =
        start(&PeerSettings::new(server.room("narrow"), "First").flag("--wait", &patience));
    wait_for("a peer in the room", START_PATIENCE, || (server.peers() == 1).then_some(()));
    let browser = Browser::start();
    let page = open(&browser, &server, "Second", "narrow");
    let refused = page.wait_for("a refusal", START_PATIENCE, |report| {
        report.text("screen") == "trouble" && report.text("state") == "Ended"
    });
    assert_eq!(refused.text("end_reason"), "The room is full.");
    first.kill();
    wait_for("an empty room", START_PATIENCE, || (server.peers() == 0).then_some(()));
    wait_for("the lobby", START_PATIENCE, || {
        let report = page.report()?;
        // In its first moments the screen ignores keys, which may still be meant for the screen
        // before.
        if report.text("screen") == "trouble" {
            page.hold_key(ENTER, Duration::from_millis(200));
        }
        (report.text("screen") == "lobby" && report.text("state") == "Gathering").then_some(())
    });
}

#[test]
fn a_page_computes_the_hashes_of_the_recorded_match() {
    let Some((server, browser)) =
        server_and_browser("a_page_computes_the_hashes_of_the_recorded_match")
    else {
        return;
    };
    let page = browser.open("Page", &server.page("/?selftest"));
    let of_page = page.wait_for_data("selftest", START_PATIENCE);
    let native = selftest::run(selftest::RECORDING).expect("the recording is whole").to_string();
    assert!(native.lines().count() > 10, "few hashes prove little: {native}");
    assert_eq!(of_page, native);
}

/// Opens the game in `room`, ready to play.
pub(super) fn open(browser: &Browser, server: &TestServer, name: &str, room: &str) -> Page {
    browser.open(name, &server.page(&format!("/?low&ready&name={name}#{room}")))
}

pub(super) fn wait_for_frames(page: &Page, frames: u32) -> Report {
    page.wait_for(&format!("a match with {frames} confirmed frames"), START_PATIENCE, |report| {
        report.number("confirmed_frames") >= f64::from(frames)
    })
}
