//! A peer that may be reached only through TURN servers reveals its address to no other peer,
//! whatever that peer claims to be.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use e2e_tests::{Browser, PeerSettings, TestServer, wait_for, web_dist};

use crate::{
    browser::START_PATIENCE,
    hostile_signals::{OFFER, Stranger},
    start,
};

/// A check is sent within a few hundred milliseconds of the candidate that it is for.
const CHECKED_WITHIN: Duration = Duration::from_secs(3);
/// Bytes in each connectivity check of a peer that was answered with [`OFFER`]: the check's
/// username begins with the receiver's part of the session.
const CHECK: &[u8] = b"abcd:";

/// The room of the trap.
const ROOM: &str = "trap";

/// A peer alone in a room, and a stranger that has answered its offer. The stranger claims to be
/// behind a relay, which is this socket.
struct Trap<P> {
    socket: UdpSocket,
    peer: P,
    _stranger: Stranger,
}

impl<P> Trap<P> {
    /// Sets the trap for the peer that `enter` brings into the [`ROOM`] of an empty server.
    fn set(server: &TestServer, enter: impl FnOnce() -> P) -> Self {
        let peer = enter();
        wait_for("a peer in the room", START_PATIENCE, || (server.peers() == 1).then_some(()));
        let mut stranger = Stranger::enter(&server.room(&format!("v1/rooms/{ROOM}")));
        let offering = wait_for("an offer", START_PATIENCE, || {
            let event = stranger.next()?;
            event["Signal"]["data"]["Offer"].as_str()?;
            event["Signal"]["sender"].as_str().map(str::to_owned)
        });
        let socket = UdpSocket::bind("127.0.0.1:0").expect("the system has a free port");
        let port = socket.local_addr().expect("a bound socket has an address").port();
        let relay = format!("candidate:7 1 udp 5 127.0.0.1 {port} typ relay raddr 0.0.0.0 rport 0");
        let answer = OFFER.join("\r\n").replace("actpass", "active");
        let inline = format!("a={relay}\r\na=ice-ufrag");
        stranger.send(&offering, "Answer", &answer.replace("a=ice-ufrag", &inline));
        let candidate = serde_json::json!({ "candidate": relay, "sdpMLineIndex": 0 });
        stranger.send(&offering, "IceCandidate", &candidate.to_string());
        Self { socket, peer, _stranger: stranger }
    }

    /// Returns whether a check by the peer arrives at the socket within `time`.
    fn is_found(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut datagram = [0; 2048];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.socket.set_read_timeout(Some(left)).expect("the timeout is not zero");
            if let Ok((length, _)) = self.socket.recv_from(&mut datagram)
                && datagram[..length].windows(CHECK.len()).any(|part| part == CHECK)
            {
                return true;
            }
        }
    }
}

#[test]
fn a_stranger_that_calls_itself_a_relay_does_not_learn_a_hidden_address() {
    let [hidden_server, open_server] = [TestServer::start(), TestServer::start()];
    let settings = |server: &TestServer| PeerSettings::new(server.room(ROOM), "Ann");
    let hidden = settings(&hidden_server).switch("--relay-only");
    let hidden = Trap::set(&hidden_server, || start(&hidden));
    let open = Trap::set(&open_server, || start(&settings(&open_server)));
    assert!(open.is_found(START_PATIENCE), "a peer that hides nothing sends to any candidate");
    assert!(
        !hidden.is_found(CHECKED_WITHIN),
        "the stranger has seen the address of the other peer"
    );
}

#[test]
fn a_stranger_that_calls_itself_a_relay_does_not_learn_the_hidden_address_of_a_page() {
    let test = "a_stranger_that_calls_itself_a_relay_does_not_learn_the_hidden_address_of_a_page";
    let Some(web_root) = web_dist(test) else { return };
    let browser = Browser::start();
    let is_found = |switch: &str, time| {
        let server = TestServer::serving(Some(web_root.clone()));
        let url = server.page(&format!("/?low&name=Page{switch}#{ROOM}"));
        let trap = Trap::set(&server, || browser.open("Page", &url));
        // From here on, only the browser's policy keeps the page from sending to the candidate.
        let what = "that the stranger has answered";
        trap.peer.wait_for_connection(what, START_PATIENCE, |connection| connection.is_answered);
        trap.is_found(time)
    };
    assert!(is_found("", START_PATIENCE), "a page that hides nothing sends to any candidate");
    assert!(!is_found("&relay", CHECKED_WITHIN), "the stranger has seen the address of the page");
}
