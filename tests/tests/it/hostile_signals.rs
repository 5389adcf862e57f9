//! Somebody in the room sends offers, answers and candidates that WebRTC cannot use: matches go on, and others can still come.

use std::time::{Duration, Instant};

use async_tungstenite::{
    WebSocketStream,
    smol::{ConnectStream, connect_async},
    tungstenite::Message,
};
use e2e_tests::{PeerSettings, Report, TestServer, assert_agreement};
use futures::{StreamExt, executor::block_on, future::Either, pin_mut};
use serde_json::{Value, json};
use signaling::protocol::PeerKey;

use crate::{
    both_played,
    browser::{START_PATIENCE, open, server_and_browser, wait_for_frames},
    last_checksum, patience, start, two_in_match,
};

/// How long the stranger bothers the others: they check candidates for some of it.
const BOTHERS_FOR: Duration = Duration::from_secs(6);

/// A client that speaks to the server byte by byte, and is no WebRTC peer at all.
struct Stranger(WebSocketStream<ConnectStream>);

impl Stranger {
    fn enter(room: &str) -> Self {
        Self(block_on(connect_async(room)).expect("the server lets everybody in").0)
    }

    fn send(&mut self, to: &str, kind: &str, text: &str) {
        let request = json!({ "Signal": { "receiver": to, "data": { kind: text } } });
        block_on(self.0.send(Message::text(request.to_string()))).expect("the server reads on");
    }

    /// The next signal for us, of what kind it is and who sent it; none if none comes soon.
    fn next_signal(&mut self) -> Option<(String, Value)> {
        let soon = futures_timer::Delay::new(Duration::from_millis(200));
        let message = block_on(async {
            let next = self.0.next();
            pin_mut!(next, soon);
            match futures::future::select(next, soon).await {
                Either::Left((message, _)) => message,
                Either::Right(_) => None,
            }
        });
        let Some(Ok(Message::Text(text))) = message else { return None };
        let event: Value = serde_json::from_str(text.as_str()).ok()?;
        let signal = event.get("Signal")?;
        Some((signal.get("sender")?.as_str()?.to_owned(), signal.get("data")?.clone()))
    }
}

/// What no stack can use, as whatever kind of signal it is sent.
fn bad_signals(offer: &str) -> Vec<String> {
    let no_fingerprint: String = offer
        .lines()
        .filter(|line| !line.contains("fingerprint"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    vec![
        String::new(),
        "null?".into(),
        "v=0".into(),
        no_fingerprint,
        // An answer that leaves open who begins, and one to another section.
        offer.to_owned(),
        offer.replace("actpass", "active").replace("a=mid:0", "a=mid:seven"),
        offer.replace("actpass", "active").replace("ice-ufrag:", "ice-ufrag:\u{0}"),
        json!({ "candidate": "candidate:1 1 udp 1 300.1.1.1 9 typ host", "sdpMid": "9" })
            .to_string(),
        json!({ "candidate": "candidate:".repeat(4000) }).to_string(),
    ]
}

#[test]
fn signals_that_webrtc_cannot_use_end_no_match() {
    let server = TestServer::start();
    let room = server.room("hostile-signals");
    let peers = two_in_match(&room, 14);
    assert_eq!(bother(&room), 2, "both players met the stranger");
    let reports = both_played(peers, 14);
    reports.iter().for_each(assert_counted);
    assert_agreement(&reports, 600);
}

#[test]
fn signals_that_a_browser_cannot_use_end_no_match() {
    let Some((server, browser)) =
        server_and_browser("signals_that_a_browser_cannot_use_end_no_match")
    else {
        return;
    };
    let page = open(&browser, &server, "Page", "hostile-signals");
    let room = server.room("hostile-signals");
    let mut peer = start(&PeerSettings::new(&room, "Native").seconds(25));
    wait_for_frames(&page, 60);
    assert_eq!(bother(&room), 2, "both players met the stranger");
    come_twice(&server, "hostile-signals");
    let native = peer.played(patience(25));
    let ended = page.ended(START_PATIENCE);
    assert_counted(&ended);
    assert_agreement(&[native, ended], last_checksum(25));
}

/// A stranger answers every offer with what nobody can use, for a while; how many offers it got.
fn bother(room: &str) -> u32 {
    let mut stranger = Stranger::enter(room);
    let began = Instant::now();
    let mut offers = 0;
    while began.elapsed() < BOTHERS_FOR {
        // Who was here before offers us a connection, and waits for our answer.
        let Some((from, data)) = stranger.next_signal() else { continue };
        let Some(offer) = data.get("Offer").and_then(Value::as_str) else { continue };
        offers += 1;
        for text in bad_signals(offer) {
            for kind in ["Answer", "Offer", "IceCandidate"] {
                stranger.send(&from, kind, &text);
            }
        }
        // What nobody would send, but some would read.
        stranger.send(&from, "IceCandidate", "null");
    }
    offers
}

fn assert_counted(report: &Report) {
    // Each kind of signal in each bad form, but what is one that nobody waits for.
    let dropped = report.number("dropped_packets");
    assert!(dropped >= 20.0, "{dropped} were counted");
}

/// Everybody offers it a connection; matchbox panics where it hears of a peer again before the end of that.
fn come_twice(server: &TestServer, room: &str) {
    let key = PeerKey::new(7).to_query();
    let again = format!("ws://{}/v1/rooms/{room}?{key}", server.address());
    for _ in 0..4 {
        let mut stranger = Stranger::enter(&again);
        while stranger.next_signal().is_some() {}
    }
}

#[test]
fn a_stranger_that_comes_twice_before_it_answers_ends_no_match() {
    let server = TestServer::start();
    let room = server.room("comes-twice");
    let peers = two_in_match(&room, 14);
    come_twice(&server, "comes-twice");
    let reports = both_played(peers, 14);
    assert_agreement(&reports, 600);
}
