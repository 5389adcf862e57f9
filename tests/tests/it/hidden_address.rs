//! A peer that is to be reached through TURN servers alone tells its address to nobody else, whatever others say that they are.

use std::{net::UdpSocket, time::Duration};

use e2e_tests::{Peer, PeerSettings, TestServer, wait_for};

use crate::{
    hostile_signals::{OFFER, Stranger},
    patience, start,
};

/// A check comes within a few hundred milliseconds of the candidate that it is for.
const CHECKED_WITHIN: Duration = Duration::from_secs(3);

/// A peer alone in a room, and a stranger that answered its offer: it says that it is behind a relay, which is this socket.
struct Trap {
    socket: UdpSocket,
    _peer: Peer,
    _stranger: Stranger,
}

impl Trap {
    fn set(server: &TestServer, settings: &PeerSettings, room: &str) -> Self {
        let before = server.peers();
        let peer = start(settings);
        wait_for("a peer in the room", patience(0), || (server.peers() > before).then_some(()));
        let mut stranger = Stranger::enter(&server.room(&format!("v1/rooms/{room}")));
        let offering = wait_for("an offer", patience(0), || {
            let event = stranger.next()?;
            event["Signal"]["data"]["Offer"].as_str()?;
            event["Signal"]["sender"].as_str().map(str::to_owned)
        });
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port is free");
        let port = socket.local_addr().expect("it has one").port();
        let relay = format!("candidate:7 1 udp 5 127.0.0.1 {port} typ relay raddr 0.0.0.0 rport 0");
        let answer = OFFER.join("\r\n").replace("actpass", "active");
        let inline = format!("a={relay}\r\na=ice-ufrag");
        stranger.send(&offering, "Answer", &answer.replace("a=ice-ufrag", &inline));
        let candidate = serde_json::json!({ "candidate": relay, "sdpMLineIndex": 0 });
        stranger.send(&offering, "IceCandidate", &candidate.to_string());
        Self { socket, _peer: peer, _stranger: stranger }
    }

    /// Whether somebody sends to the socket within that time.
    fn is_found(&self, within: Duration) -> bool {
        self.socket.set_read_timeout(Some(within)).expect("it is not zero");
        self.socket.recv_from(&mut [0; 2048]).is_ok()
    }
}

#[test]
fn a_stranger_that_calls_itself_a_relay_does_not_learn_a_hidden_address() {
    let server = TestServer::start();
    let settings = |room: &str| PeerSettings::new(server.room(room), "Ann");
    let hidden = Trap::set(&server, &settings("hidden").switch("--relay-only"), "hidden");
    let open = Trap::set(&server, &settings("open"), "open");
    assert!(open.is_found(patience(0)), "a peer that hides nothing sends to whoever asks it to");
    assert!(!hidden.is_found(CHECKED_WITHIN), "the stranger has seen where the other one is");
}
