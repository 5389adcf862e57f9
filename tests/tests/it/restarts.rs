//! The server is killed and started again, at each stage on the way to a match and during it: the
//! peers that were there come back and play.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use e2e_tests::{
    Browser, Page, Peer, PeerSettings, Report, TestServer, assert_agreement, wait_for,
};

use crate::{
    both_played,
    browser::{START_PATIENCE, server_and_browser, wait_for_frames},
    last_checksum, patience, start, two_in_match,
};

const SECONDS: u32 = 5;
/// Long enough to lose the server in the middle, and play on, even on a machine under load.
const LONG: u32 = 25;
/// A handshake lasts for a few tenths of a second, so it may be over before the server is killed.
const ATTEMPTS: u32 = 5;
/// How long the server stays away: longer than the first attempt to reach it again takes.
const AWAY: Duration = Duration::from_secs(2);

fn peer(server: &TestServer, name: &str) -> Peer {
    start(&PeerSettings::new(server.room("restart"), name).seconds(SECONDS))
}

/// Kills the server, and starts another one at its address after [`AWAY`].
fn restart(server: TestServer) -> TestServer {
    let address = server.address();
    server.kill();
    thread::sleep(AWAY);
    TestServer::at(address)
}

#[test]
fn a_peer_that_comes_before_the_server_waits_for_it() {
    // An address at which nobody listens any more.
    let address: SocketAddr = TestServer::start().address();
    let settings =
        |name| PeerSettings::new(format!("ws://{address}/restart"), name).seconds(SECONDS);
    let peers = [start(&settings("Ann")), start(&settings("Bob"))];
    thread::sleep(AWAY);
    let _server = TestServer::at(address);
    both_played(peers, SECONDS);
}

#[test]
fn a_peer_that_waits_alone_is_in_the_room_again() {
    let server = TestServer::start();
    let ann = peer(&server, "Ann");
    wait_for_peers(&server, 1);
    let server = restart(server);
    let bob = peer(&server, "Bob");
    both_played([ann, bob], SECONDS);
}

#[test]
fn a_handshake_that_is_cut_off_is_repeated() {
    let is_cut_off = || {
        let server = TestServer::start();
        let peers = [peer(&server, "Ann"), peer(&server, "Bob")];
        let (_server, killed_at) = restart_in_handshake(server);
        both_played(peers, SECONDS).iter().all(|report| is_connected_after(report, killed_at))
    };
    assert!(
        (0..ATTEMPTS).any(|_| is_cut_off()),
        "the handshake was always complete before the kill"
    );
}

#[test]
fn a_peer_that_plays_is_the_same_peer_to_the_server_again() {
    let server = TestServer::start();
    let peers = two_in_match(&server.room("restart"), LONG);
    let server = restart(server);
    wait_for_peers(&server, 2);
    for report in both_played(peers, LONG) {
        assert_eq!(report.number("desyncs"), 0.0);
    }
}

#[test]
fn a_server_that_says_goodbye_comes_back_as_well() {
    let mut server = TestServer::start();
    let peers = two_in_match(&server.room("restart"), LONG);
    server.stop();
    thread::sleep(AWAY);
    let server = TestServer::at(server.address());
    wait_for_peers(&server, 2);
    both_played(peers, LONG);
}

#[test]
fn a_page_that_comes_before_the_server_waits_for_it() {
    let Some((pages, browser)) =
        server_and_browser("a_page_that_comes_before_the_server_waits_for_it")
    else {
        return;
    };
    let address = TestServer::start().address();
    let page = open(&browser, &pages, address);
    wait_for_state(&page, "Connecting");
    thread::sleep(AWAY);
    let _server = TestServer::at(address);
    wait_for_state(&page, "Gathering");
}

#[test]
fn a_page_that_waits_alone_is_in_the_room_again() {
    let Some((pages, browser)) = server_and_browser("a_page_that_waits_alone_is_in_the_room_again")
    else {
        return;
    };
    let server = TestServer::start();
    let page = open(&browser, &pages, server.address());
    wait_for_state(&page, "Gathering");
    let server = restart(server);
    wait_for_peers(&server, 1);
    assert_plays_with(&page, peer(&server, "Native"));
}

#[test]
fn a_handshake_of_a_page_that_is_cut_off_is_repeated() {
    let Some((pages, browser)) =
        server_and_browser("a_handshake_of_a_page_that_is_cut_off_is_repeated")
    else {
        return;
    };
    let is_cut_off = || {
        let server = TestServer::start();
        let page = open(&browser, &pages, server.address());
        wait_for_state(&page, "Gathering");
        let native = peer(&server, "Native");
        let (_server, killed_at) = restart_in_handshake(server);
        is_connected_after(&assert_plays_with(&page, native), killed_at)
    };
    assert!(
        (0..ATTEMPTS).any(|_| is_cut_off()),
        "the handshake was always complete before the kill"
    );
}

#[test]
fn a_page_that_plays_is_the_same_peer_to_the_server_again() {
    let Some((pages, browser)) =
        server_and_browser("a_page_that_plays_is_the_same_peer_to_the_server_again")
    else {
        return;
    };
    let server = TestServer::start();
    let page = open(&browser, &pages, server.address());
    let native = start(&PeerSettings::new(server.room("restart"), "Native").seconds(LONG));
    wait_for_frames(&page, 60);
    let server = restart(server);
    wait_for_peers(&server, 2);
    assert_plays_with(&page, native);
}

/// Asserts that the page and the native peer play to the native peer's end, and agree. Returns the
/// native peer's report.
fn assert_plays_with(page: &Page, mut native: Peer) -> Report {
    let report = native.played(patience(LONG));
    let ended = page.ended(START_PATIENCE);
    assert_agreement(&[report.clone(), ended], last_checksum(SECONDS));
    report
}

/// Restarts the server as soon as the peers know of each other. Returns the new server, and the
/// Unix time of the kill in milliseconds.
fn restart_in_handshake(server: TestServer) -> (TestServer, f64) {
    wait_for_peers(&server, 2);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    (restart(server), since_epoch.as_secs_f64() * 1000.0)
}

fn is_connected_after(report: &Report, unix_ms: f64) -> bool {
    report.number("connected_unix_ms") > unix_ms
}

fn wait_for_peers(server: &TestServer, peers: u64) {
    let what = format!("{peers} peers in the room");
    wait_for(&what, START_PATIENCE, || (server.peers() == peers).then_some(()));
}

fn open(browser: &Browser, pages: &TestServer, server: SocketAddr) -> Page {
    let address = pages.page(&format!("/?low&ready&name=Page&server=ws://{server}#restart"));
    let page = browser.open("Page", &address);
    page.trust_other_servers(START_PATIENCE);
    page
}

fn wait_for_state(page: &Page, state: &str) {
    page.wait_for(state, START_PATIENCE, |report| report.text("state") == state);
}
