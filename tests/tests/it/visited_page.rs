//! Strangers that enter and leave a room, thousands of times, while a page plays in it: the match
//! goes on, the page opens no connection to any of them, and a real newcomer still gets in.

use std::time::Duration;

use e2e_tests::{Browser, Page, PeerSettings, TestServer, web_dist};
use signaling::server::ServerConfig;

use crate::{
    browser::{ENTER, START_PATIENCE, wait_for_frames},
    hidden_page::begin_long_match,
    patience, start,
    visitors::{Bore, STAYING, come_and_go, open_to_all, wait_for_peers},
};

const VISITS: usize = 2_000;
/// Longer than all visits take, on a machine that draws the page as well.
const SECONDS: u32 = 60;
/// Connections of a match: one, to the peer that the page plays with. Strangers are not met during
/// a match.
const IN_MATCH: usize = 1;
/// The difference that a page's memory may show between two moments of play, garbage aside.
const FEW_BYTES: u64 = 8 * 1024 * 1024;

fn open_connections(page: &Page) -> usize {
    page.connections().iter().filter(|connection| connection.is_open).count()
}

#[test]
#[ignore = "takes minutes: for changes of what a visit costs a page"]
fn visits_of_strangers_end_no_match_of_a_page_and_leave_nothing_behind_in_it() {
    let test = "visits_of_strangers_end_no_match_of_a_page_and_leave_nothing_behind_in_it";
    let Some(web_root) = web_dist(test) else { return };
    let server = TestServer::with(ServerConfig { web_root: Some(web_root), ..open_to_all() });
    let browser = Browser::start();
    let (page, mut native, room) = begin_long_match(&server, &browser, SECONDS);
    let (connections, bytes) = (open_connections(&page), page.heap_bytes());
    assert_eq!(connections, IN_MATCH);

    let bores: Vec<_> = (0..STAYING).map(|number| Bore::enter(&server, &room, number, 2)).collect();
    let newcomer = PeerSettings::new(server.room(&room), "Cid").seconds(5);
    let mut newcomer = start(&newcomer.flag("--wait", "600"));
    wait_for_peers(&server, 3 + STAYING);
    let (mut most, mut most_kept) = (0, 0);
    come_and_go(server.address(), &room, VISITS, || {
        let connections = page.connections();
        most = connections.iter().filter(|connection| connection.is_open).count().max(most);
        most_kept = connections.len().max(most_kept);
    });
    let confirmed = page.report().expect("the page plays").number("confirmed_frames") as u32;
    wait_for_frames(&page, confirmed + 60);
    native.wait_for_play(confirmed + 60);
    let after = page.heap_bytes();
    println!(
        "connections: at most {most} open, {most_kept} in memory; {bytes} bytes, then {after}; \
         {confirmed} frames"
    );
    assert_eq!(most, IN_MATCH, "the page met a stranger");
    assert!(after <= bytes + FEW_BYTES, "{after} bytes, {bytes} before");
    wait_for_peers(&server, 3 + STAYING);

    assert_eq!(newcomer.confirmed_frames(), 0, "it plays with a page that is in a match");
    native.played(patience(SECONDS));
    page.ended(START_PATIENCE);
    page.wait_for("the lobby, or a match", START_PATIENCE, |report| {
        // In its first moments the screen ignores keys, which may still be meant for the screen
        // before.
        if report.text("screen") == "trouble" {
            page.hold_key(ENTER, Duration::from_millis(200));
        }
        ["lobby", "match"].contains(&report.text("screen"))
    });
    newcomer.wait_for_play(60);
    drop(bores);
}
