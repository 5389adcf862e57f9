//! The server is killed and started again, at each stage on the way to a match and in it: whoever was there is there again, and
//! plays.

use std::{net::SocketAddr, thread, time::Duration};

use e2e_tests::{
    Browser, Page, Peer, PeerSettings, TestServer, assert_agreement, wait_for, web_dist,
};

use crate::{
    browser::{START_PATIENCE, wait_for_frames},
    patience, start,
};

const SECONDS: u32 = 5;
/// How long the server stays away: longer than a first attempt to reach it again.
const AWAY: Duration = Duration::from_secs(2);

fn peer(server: &TestServer, name: &str) -> Peer {
    start(&PeerSettings::new(server.room("restart"), name).seconds(SECONDS))
}

/// Kills the server, and starts another one at its address after a while.
fn restart(server: TestServer) -> TestServer {
    let address = server.address();
    server.kill();
    thread::sleep(AWAY);
    TestServer::at(address)
}

fn assert_played(mut peers: [Peer; 2]) {
    for peer in &mut peers {
        assert!(peer.wait(patience(SECONDS)).success(), "{:#?}", peer.lines());
    }
}

#[test]
fn who_comes_before_the_server_waits_for_it() {
    // An address at which nobody listens any more.
    let address: SocketAddr = TestServer::start().address();
    let settings =
        |name| PeerSettings::new(format!("ws://{address}/restart"), name).seconds(SECONDS);
    let peers = [start(&settings("Ann")), start(&settings("Bob"))];
    thread::sleep(AWAY);
    let _server = TestServer::at(address);
    assert_played(peers);
}

#[test]
fn who_waits_alone_is_in_the_room_again() {
    let server = TestServer::start();
    let ann = peer(&server, "Ann");
    wait_for("Ann in the room", patience(0), || (server.peers() == 1).then_some(()));
    let server = restart(server);
    let bob = peer(&server, "Bob");
    assert_played([ann, bob]);
}

#[test]
fn a_handshake_that_is_cut_off_is_made_again() {
    let server = TestServer::start();
    let peers = [peer(&server, "Ann"), peer(&server, "Bob")];
    // They have been told of each other, and no more.
    wait_for("both in the room", patience(0), || (server.peers() == 2).then_some(()));
    let _server = restart(server);
    assert_played(peers);
}

#[test]
fn who_plays_is_the_same_peer_to_the_server_again() {
    let server = TestServer::start();
    let settings = |name| PeerSettings::new(server.room("restart"), name).seconds(15);
    let mut peers = [start(&settings("Ann")), start(&settings("Bob"))];
    for peer in &mut peers {
        peer.wait_for_play(60);
    }
    let server = restart(server);
    wait_for("both at the new server", patience(0), || (server.peers() == 2).then_some(()));
    for peer in &mut peers {
        assert!(peer.wait(patience(15)).success(), "{:#?}", peer.lines());
        let report = peer.report(patience(0));
        assert_eq!(report.number("desyncs"), 0.0);
    }
}

#[test]
fn a_server_that_says_goodbye_comes_back_as_well() {
    let mut server = TestServer::start();
    let settings = |name| PeerSettings::new(server.room("restart"), name).seconds(15);
    let mut peers = [start(&settings("Ann")), start(&settings("Bob"))];
    for peer in &mut peers {
        peer.wait_for_play(60);
    }
    server.stop();
    thread::sleep(AWAY);
    let server = TestServer::at(server.address());
    wait_for("both at the new server", patience(0), || (server.peers() == 2).then_some(()));
    for peer in &mut peers {
        assert!(peer.wait(patience(15)).success(), "{:#?}", peer.lines());
    }
}

#[test]
fn a_page_comes_back_to_the_server_at_every_stage() {
    let Some(folder) = web_dist("a_page_comes_back_to_the_server_at_every_stage") else {
        return;
    };
    // The pages come from a server that stays.
    let pages = TestServer::serving(Some(folder));
    let browser = Browser::start();

    // Before the room: nobody listens there any more.
    let address = TestServer::start().address();
    let page = open(&browser, &pages, address);
    wait_for_state(&page, "Connecting");
    let server = TestServer::at(address);

    // Alone in the lobby.
    wait_for_state(&page, "Gathering");
    let server = restart(server);
    wait_for("the page in the room again", START_PATIENCE, || (server.peers() == 1).then_some(()));

    // Mid-handshake: they have been told of each other, and no more.
    let mut native = peer_for(&server, 30);
    wait_for("both in the room", START_PATIENCE, || (server.peers() == 2).then_some(()));
    let server = restart(server);

    // In the match.
    wait_for_frames(&page, 60);
    let server = restart(server);
    wait_for("both at the new server", START_PATIENCE, || (server.peers() == 2).then_some(()));

    assert!(native.wait(patience(30)).success(), "{:#?}", native.lines());
    let ended = page.wait_for("an end", START_PATIENCE, |report| report.text("state") == "Ended");
    assert_agreement(&[native.report(patience(0)), ended], 60 * 30 - 180);
}

fn peer_for(server: &TestServer, seconds: u32) -> Peer {
    start(&PeerSettings::new(server.room("restart"), "Native").seconds(seconds))
}

fn open(browser: &Browser, pages: &TestServer, server: SocketAddr) -> Page {
    browser
        .open("Page", &pages.page(&format!("/?low&ready&name=Page&server=ws://{server}#restart")))
}

fn wait_for_state(page: &Page, state: &str) {
    page.wait_for(state, START_PATIENCE, |report| report.text("state") == state);
}
