//! A stranger in the room sends offers, answers and candidates, most of which WebRTC cannot use:
//! matches go on.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use async_tungstenite::{
    WebSocketStream,
    smol::{ConnectStream, connect_async},
    tungstenite::Message,
};
use e2e_tests::{PeerSettings, Report, TestServer, assert_agreement, wait_for};
use futures::{StreamExt, executor::block_on, future::Either, pin_mut};
use serde_json::{Value, json};
use signaling::protocol::PeerKey;

use crate::{
    both_played,
    browser::{START_PATIENCE, open, server_and_browser, wait_for_frames},
    last_checksum, patience, start, two_in_match,
};

/// How long the stranger bothers the players: they check candidates for part of that time.
const BOTHERS_FOR: Duration = Duration::from_secs(6);
/// How long a visit lasts: the other peers notice it long before its end.
const STAYS_FOR: Duration = Duration::from_secs(1);
/// Long enough for the match to go on after the stranger is done, even on a machine under load.
const SECONDS: u32 = 25;

/// The offer of a data channel that every stack can read.
pub(crate) const OFFER: [&str; 14] = [
    "v=0",
    "o=- 1 2 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE 0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "c=IN IP4 0.0.0.0",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:asd88fgpdd777uzjYhagZg",
    "a=fingerprint:sha-256 \
     AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB",
    "a=setup:actpass",
    "a=mid:0",
    "a=sctp-port:5000",
    "a=max-message-size:262144\r\n",
];

/// A client that writes its own messages to the server, and is not a WebRTC peer at all.
pub(crate) struct Stranger(WebSocketStream<ConnectStream>);

impl Stranger {
    pub(crate) fn enter(room: &str) -> Self {
        Self(block_on(connect_async(room)).expect("the server lets everybody in").0)
    }

    pub(crate) fn send(&mut self, to: &str, kind: &str, text: &str) {
        let request = json!({ "Signal": { "receiver": to, "data": { kind: text } } });
        block_on(self.0.send(Message::text(request.to_string())))
            .expect("the server keeps reading");
    }

    /// Reads the server's messages and answers its pings until the connection ends.
    pub(crate) async fn listen(mut self) {
        while let Some(Ok(_)) = self.0.next().await {}
    }

    /// The server's next message; `None` if none comes soon.
    pub(crate) fn next(&mut self) -> Option<Value> {
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
        serde_json::from_str(text.as_str()).ok()
    }
}

/// Signals that no stack can use, whatever kind they are sent as.
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
        // An answer that does not say which side begins, and one for a different section.
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
    let peers = two_in_match(&room, SECONDS);
    bother(&server, "hostile-signals");
    let reports = both_played(peers, SECONDS);
    reports.iter().for_each(assert_counted);
    assert_agreement(&reports, last_checksum(SECONDS));
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
    let mut peer = start(&PeerSettings::new(&room, "Native").seconds(SECONDS));
    wait_for_frames(&page, 60);
    bother(&server, "hostile-signals");
    let offers = come_twice(&server, "hostile-signals", Duration::ZERO);
    assert_eq!(offers, 0, "a player offers the stranger a connection");
    let native = peer.played(patience(SECONDS));
    let ended = page.ended(START_PATIENCE);
    assert_counted(&ended);
    assert_agreement(&[native, ended], last_checksum(SECONDS));
}

/// Sends the two players signals that WebRTC cannot use, and one offer that it could, for a while.
/// Neither player opens a connection to the stranger.
fn bother(server: &TestServer, room: &str) {
    let mut stranger = Stranger::enter(&server.room(&format!("v1/rooms/{room}")));
    let (began, offer) = (Instant::now(), OFFER.join("\r\n"));
    let mut bothered = HashSet::new();
    while began.elapsed() < BOTHERS_FOR {
        let Some(event) = stranger.next() else { continue };
        assert!(event.get("Signal").is_none(), "a player sends the stranger a signal: {event}");
        for member in event["Room"]["members"].as_array().into_iter().flatten() {
            let id = member["id"].as_str().expect("a member has an id").to_owned();
            if member["name"] == "" || !bothered.insert(id.clone()) {
                continue;
            }
            for text in bad_signals(&offer) {
                for kind in ["Answer", "Offer", "IceCandidate"] {
                    stranger.send(&id, kind, &text);
                }
            }
            stranger.send(&id, "Offer", &offer);
            // Nobody would send this, but some stacks would read it.
            stranger.send(&id, "IceCandidate", "null");
        }
    }
    assert_eq!(bothered.len(), 2, "both players are in the room");
}

fn assert_counted(report: &Report) {
    // Each kind of signal in each bad form is counted, except for signals that nobody is waiting
    // for.
    let dropped = report.number("dropped_packets");
    assert!(dropped >= 20.0, "{dropped} were counted");
}

/// Visits the room several times under one key, and answers offers with signals that WebRTC cannot
/// use. Returns the number of offers that arrived.
fn come_twice(server: &TestServer, room: &str, first_offer_within: Duration) -> u32 {
    let key = PeerKey::new(7).to_query();
    let again = server.room(&format!("v1/rooms/{room}?{key}"));
    let mut offers = 0;
    for _ in 0..4 {
        let (mut stranger, began) = (Stranger::enter(&again), Instant::now());
        while began.elapsed() < STAYS_FOR || (offers == 0 && began.elapsed() < first_offer_within) {
            let Some(event) = stranger.next() else { continue };
            let signal = &event["Signal"];
            let (Some(from), Some(offer)) =
                (signal["sender"].as_str(), signal["data"]["Offer"].as_str())
            else {
                continue;
            };
            offers += 1;
            for text in bad_signals(offer) {
                for kind in ["Answer", "Offer", "IceCandidate"] {
                    stranger.send(from, kind, &text);
                }
            }
        }
    }
    offers
}

#[test]
fn a_stranger_that_keeps_coming_back_ends_no_match() {
    let server = TestServer::start();
    let room = server.room("comes-twice");
    let peers = two_in_match(&room, SECONDS);
    let offers = come_twice(&server, "comes-twice", Duration::ZERO);
    assert_eq!(offers, 0, "a player offers the stranger a connection");
    let reports = both_played(peers, SECONDS);
    assert_agreement(&reports, last_checksum(SECONDS));
}

#[test]
fn a_stranger_that_keeps_coming_back_keeps_nobody_from_playing() {
    let server = TestServer::start();
    let room = server.room("lobby");
    let peer = |name| start(&PeerSettings::new(&room, name).seconds(6));
    let ann = peer("Ann");
    wait_for("Ann in the room", patience(0), || (server.peers() == 1).then_some(()));
    assert!(come_twice(&server, "lobby", patience(0)) >= 1, "Ann offers the stranger a connection");
    let reports = both_played([ann, peer("Bob")], 6);
    assert_agreement(&reports, last_checksum(6));
}
