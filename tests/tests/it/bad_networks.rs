//! Matches of a minute across a bad network, with three seconds in the middle in which nothing arrives at all.
//!
//! The peers, the browser and the server are each on a machine of its own, and have no way to each other but the router of the test.

use std::{thread, time::Duration};

use e2e_tests::{
    Browser, Machine, Network, Page, PeerSettings, Report, TestServer, assert_agreement, web_dist,
};
use netcode::{prelude::LinkConditions, testing::LinkCounts};
use signaling::server::ServerConfig;

use crate::{
    both_played,
    browser::{ARROW_LEFT, START_PATIENCE, wait_for_frames},
    last_checksum, patience, start,
};

const SECONDS: u32 = 60;
const FRAMES: u32 = 60 * SECONDS;

/// In each direction 40 to 60 ms, so 100 ms round trip; 3 % loss; some packets take a detour; a megabit per second.
const FAR: LinkConditions = LinkConditions {
    latency: Duration::from_millis(40),
    jitter: Duration::from_millis(20),
    loss: 0.03,
    duplicates: 0.0,
    reorder: 0.01,
    bytes_per_s: Some(125_000),
};
/// What a tunnel, a lift or a router that starts anew takes away.
const BLACKOUT: Duration = Duration::from_secs(3);

/// The shortest round trip of such a network. The game measures more, as a peer looks only now and then.
const LEAST_RTT_MS: f64 = 80.0;

/// As the game has it.
const PAGE_REPORTS_EVERY: Duration = Duration::from_millis(500);

/// The server's machine, and those of the peers.
const MACHINES: u8 = 3;

#[test]
fn native_peers_play_on_across_a_bad_network_and_a_blackout() {
    let name = "native_peers_play_on_across_a_bad_network_and_a_blackout";
    let Some(network) = Network::start(name, MACHINES) else {
        return;
    };
    let [hub, here, there] = network.machines() else { panic!("as many as asked for") };
    network.set_conditions(FAR);
    let server = serve(hub, ServerConfig::default());
    let room = server.room("far");
    let mut peers = [(here, "Ann"), (there, "Bob")].map(|(machine, name)| {
        machine.run(|| start(&PeerSettings::new(&room, name).seconds(SECONDS)))
    });
    for peer in &mut peers {
        peer.wait_for_play(FRAMES / 2);
    }
    black_out(&network);
    let reports = both_played(peers, SECONDS);
    let rtts_ms = reports.each_ref().map(|report| report.number("rtt_ms"));
    assert_played(&network.counts(), &reports, rtts_ms);
}

#[test]
fn a_page_and_a_native_peer_play_on_across_a_bad_network_and_a_blackout() {
    let name = "a_page_and_a_native_peer_play_on_across_a_bad_network_and_a_blackout";
    let Some(folder) = web_dist(name) else {
        return;
    };
    let Some(network) = Network::start(name, MACHINES) else {
        return;
    };
    let [hub, here, there] = network.machines() else { panic!("as many as asked for") };
    let server = serve(hub, ServerConfig { web_root: Some(folder), ..ServerConfig::default() });
    let (reports, rtts_ms) = here.run(|| {
        let browser = Browser::start();
        let page = browser.open("Page", &server.page("/?low&ready&name=Page#far"));
        // The megabytes of the page come over the network as it should be; what is tried is the match.
        page.wait_for("an empty room", START_PATIENCE, |report| {
            report.text("state") == "Gathering"
        });
        network.set_conditions(FAR);
        // Who fights wins against a page that nobody plays before the minute is over. A ship that turns harms nobody.
        let settings = PeerSettings::new(server.room("far"), "Native").seconds(SECONDS);
        let settings = settings.flag("--input", "idle");
        let mut peer = there.run(|| start(&settings));
        wait_for_frames(&page, FRAMES / 10);
        page.hold_key(ARROW_LEFT, Duration::from_secs(2));
        let rtt_of_page_ms = median_rtt_ms(&page);
        wait_for_frames(&page, FRAMES / 2);
        black_out(&network);
        page.hold_key(ARROW_LEFT, Duration::from_secs(2));
        let native = peer.played(patience(SECONDS));
        let ended = page.ended(START_PATIENCE);
        assert!(ended.text("end_reason").contains("Native"), "{ended:?}");
        let rtts_ms = [rtt_of_page_ms, native.number("rtt_ms")];
        ([ended, native], rtts_ms)
    });
    assert_played(&network.counts(), &reports, rtts_ms);
}

/// Starts a server that the other machines can reach.
fn serve(hub: &Machine, config: ServerConfig) -> TestServer {
    let address = (hub.address(), 0).into();
    hub.run(|| TestServer::with_address(ServerConfig { address, ..config }))
}

/// What a page measures in ten seconds. Its clock moves by whole pictures, of which it draws a few in a second: of 120 single values from
/// one and the same network, the least was 64 and the greatest 285 ms.
fn median_rtt_ms(page: &Page) -> f64 {
    let mut rtts: Vec<f64> = (0..21)
        .map(|_| {
            thread::sleep(PAGE_REPORTS_EVERY);
            page.report().expect("the page plays").number("rtt_ms")
        })
        .collect();
    rtts.sort_by(f64::total_cmp);
    rtts[rtts.len() / 2]
}

/// Cuts everybody off from everybody for a while.
fn black_out(network: &Network) {
    let lost = network.black_out(BLACKOUT);
    println!("nothing arrived for {BLACKOUT:?}: {lost:?} packets of server and peers");
    // A peer that draws three pictures a second says something as often.
    assert!(lost[1..].iter().all(|&lost| lost >= 5), "the peers were not cut off: {lost:?}");
}

/// Asserts that the network was as bad as it should be, and that it did not matter.
fn assert_played(counts: &[LinkCounts], reports: &[Report; 2], rtts_ms: [f64; 2]) {
    print(counts, reports, rtts_ms);
    for counts in &counts[1..] {
        let loss = counts.lost as f64 / counts.sent as f64;
        assert!((0.02..0.04).contains(&loss), "{loss} of the packets were lost: {counts:?}");
        assert!(counts.sent > u64::from(FRAMES / 2), "the match went elsewhere: {counts:?}");
        assert!(counts.overtaken > 0, "the network kept the order: {counts:?}");
    }
    assert!(rtts_ms.iter().all(|&rtt| rtt >= LEAST_RTT_MS), "the way was too short: {rtts_ms:?}");
    for report in reports {
        // A blackout is longer than the window in which inputs are predicted.
        assert!(report.number("stalls") > 0.0, "{report:?}");
    }
    assert_agreement(reports, last_checksum(SECONDS));
}

fn print(counts: &[LinkCounts], reports: &[Report; 2], rtts_ms: [f64; 2]) {
    for (name, counts) in ["server", "peer 1", "peer 2"].iter().zip(counts) {
        let LinkCounts { sent, lost, overflowed, overtaken, bytes, .. } = counts;
        println!(
            "{name}: {sent} packets, {lost} lost, {overflowed} too many, {overtaken} overtaken, {bytes} bytes arrived"
        );
    }
    for (report, rtt) in reports.iter().zip(rtts_ms) {
        let numbers = ["frames", "stalls", "rollbacks", "max_rollback", "desyncs"]
            .map(|field| format!("{field} {}", report.number(field)));
        println!("rtt {rtt:.0} ms, {}", numbers.join(", "));
    }
}
