//! STUN and TURN servers come from the signaling server, and peers that hide their addresses play
//! through coturn.

use std::time::Duration;

use e2e_tests::{
    Browser, Peer, PeerSettings, TestServer, TurnServer, assert_agreement, wait_for, web_dist,
};
use signaling::server::{ServerConfig, TurnSecret};

use crate::{both_played, browser::START_PATIENCE, last_checksum, patience, start};

const SECRET: &str = "north-of-the-star";
const SECONDS: u32 = 12;

/// Settings of a server that hands out this TURN server, with passwords made from this secret.
fn settings(turn: &TurnServer, secret: &str, credential_time: Duration) -> ServerConfig {
    ServerConfig {
        stun_servers: vec![turn.stun_url()],
        turn_servers: vec![turn.turn_url()],
        turn_secret: TurnSecret::new(secret),
        turn_credential_time: credential_time,
        ..ServerConfig::default()
    }
}

fn server_with(turn: &TurnServer, secret: &str, credential_time: Duration) -> TestServer {
    TestServer::with(settings(turn, secret, credential_time))
}

fn hidden_peer(server: &TestServer, name: &str) -> Peer {
    // The peer waits long enough for a page to load, or for a password to expire twice.
    let settings = PeerSettings::new(server.room("relayed"), name).seconds(SECONDS);
    start(&settings.flag("--wait", "90").switch("--relay-only"))
}

#[test]
fn peers_that_hide_their_addresses_play_through_the_turn_server() {
    let test = "peers_that_hide_their_addresses_play_through_the_turn_server";
    let Some(turn) = TurnServer::start(test, SECRET) else { return };
    let server = server_with(&turn, SECRET, Duration::from_secs(600));
    let reports = both_played(["Ann", "Bob"].map(|name| hidden_peer(&server, name)), SECONDS);
    for report in &reports {
        assert_eq!(report.number("relayed_peers"), 1.0, "{report:?}");
    }
    assert_agreement(&reports, last_checksum(SECONDS));
}

#[test]
fn without_the_right_secret_there_is_no_relay() {
    let Some(turn) = TurnServer::start("without_the_right_secret_there_is_no_relay", SECRET) else {
        return;
    };
    let server = server_with(&turn, "another", Duration::from_secs(600));
    let settings = |name| {
        let settings = PeerSettings::new(server.room("unrelayed"), name).flag("--wait", "20");
        settings.switch("--relay-only")
    };
    // Neither is stopped before both have given a reason: a peer that has left the server no longer
    // counts as unreachable.
    let mut peers = ["Ann", "Bob"].map(|name| start(&settings(name)));
    for peer in &mut peers {
        let reason = peer.wait_for_reason(patience(SECONDS));
        assert!(reason.contains("cannot connect to 1 other player"), "{reason}");
    }
}

#[test]
fn peers_that_need_no_relay_use_none() {
    let Some(turn) = TurnServer::start("peers_that_need_no_relay_use_none", SECRET) else { return };
    let server = server_with(&turn, SECRET, Duration::from_secs(600));
    let settings = |name| PeerSettings::new(server.room("direct"), name).seconds(SECONDS);
    let reports = both_played(["Ann", "Bob"].map(|name| start(&settings(name))), SECONDS);
    for report in &reports {
        assert_eq!(report.number("relayed_peers"), 0.0, "{report:?}");
    }
    assert_agreement(&reports, last_checksum(SECONDS));
}

#[test]
fn a_page_that_hides_its_address_plays_through_the_turn_server() {
    let test = "a_page_that_hides_its_address_plays_through_the_turn_server";
    let Some(web_root) = web_dist(test) else { return };
    let Some(turn) = TurnServer::start(test, SECRET) else { return };
    let config = settings(&turn, SECRET, Duration::from_secs(600));
    let server = TestServer::with(ServerConfig { web_root: Some(web_root), ..config });
    let browser = Browser::start();
    let page = browser.open("Page", &server.page("/?low&ready&relay&name=Page#relayed"));
    let native = hidden_peer(&server, "Native").played(patience(SECONDS));
    let ended = page.ended(START_PATIENCE);
    for report in [&native, &ended] {
        assert_eq!(report.number("relayed_peers"), 1.0, "{report:?}");
    }
    assert_agreement(&[native, ended], last_checksum(SECONDS));
}

/// The passwords of a peer that waits alone expire before its wait is over.
#[test]
fn a_peer_that_waits_long_has_a_valid_password() {
    let test = "a_peer_that_waits_long_has_a_valid_password";
    let Some(turn) = TurnServer::start(test, SECRET) else { return };
    let server = server_with(&turn, SECRET, Duration::from_secs(8));
    let ann = hidden_peer(&server, "Ann");
    // It keeps re-entering the room, as a new peer each time.
    wait_for("Ann in the room for the third time", patience(0), || {
        (server.joined() >= 3 && server.peers() == 1).then_some(())
    });
    let bob = hidden_peer(&server, "Bob");
    let reports = both_played([ann, bob], SECONDS);
    for report in &reports {
        assert_eq!(report.number("relayed_peers"), 1.0, "{report:?}");
    }
}
