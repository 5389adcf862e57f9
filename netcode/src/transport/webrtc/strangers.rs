//! What strangers can do to us through the signaling server: texts go in, and what matchbox would
//! see comes out. For fuzzing and tests.
//!
//! It asserts what the rest of this folder promises. Whether a WebRTC stack reads the output is
//! left to the caller.

use std::collections::BTreeSet;

use matchbox_socket::{PeerEvent, PeerId, PeerSignal, RtcIceServerConfig};
use signaling::ice_servers::{MAX_ICE_URLS, Welcome, is_stun_url, is_turn_url};

use super::{
    ice_servers,
    sdp::{self, Candidate, Candidates, Description, Side, read_candidate},
    signaller::RoomSignaller,
};

/// What matchbox sees of a stranger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// A session description that offers a connection.
    Offer(String),
    /// A session description that answers.
    Answer(String),
    /// A candidate as JSON, or `null`.
    Candidate(String),
}

/// Reads a text as every kind of signal that it could be.
///
/// # Panics
///
/// If the output changes when it is read once more, or reveals an address although only relays may
/// be used.
pub(crate) fn signal(text: &str) -> Vec<Passed> {
    let mut passed = Vec::new();
    for which in [Candidates::All, Candidates::RelaysOnly] {
        for side in [Side::Offer, Side::Answer] {
            let Some(description) = Description::read(text, side, which) else { continue };
            let written = description.write();
            assert_eq!(Description::read(&written, side, which), Some(description), "{text:?}");
            assert_hides(&written, which);
            passed.push(match side {
                Side::Offer => Passed::Offer(written),
                Side::Answer => Passed::Answer(written),
            });
        }
        if let Candidate::Good(json) = read_candidate(text, which) {
            assert_eq!(read_candidate(&json, which), Candidate::Good(json.clone()), "{text:?}");
            assert_hides(&json, which);
            passed.push(Passed::Candidate(json));
        }
    }
    passed
}

fn assert_hides(written: &str, which: Candidates) {
    let is_hidden = which == Candidates::All
        || [" typ host", " typ srflx", " typ prflx", ".local"]
            .iter()
            .all(|of| !written.contains(of));
    assert!(is_hidden, "{written}");
}

/// Reads lines as messages of a signaling server, while we offer a connection to every peer that
/// matchbox learns of.
///
/// # Panics
///
/// If matchbox would see something that it panics at: a peer twice, our own id, a departure, two
/// offers, an answer too many, or a STUN or TURN server that cannot be used.
pub(crate) fn server_events(text: &str) -> Vec<Passed> {
    let mut signaller = RoomSignaller::without_server(Candidates::All);
    let (mut new, mut offered, mut answered) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut passed = Vec::new();
    for line in text.lines() {
        if let Ok(Welcome::IceServers(told)) = serde_json::from_str(line) {
            assert_usable(&ice_servers::accept(&told.servers).0);
        }
        let heard = signaller.read(line);
        for event in heard.into_iter().chain(signaller.meet_all()) {
            match event {
                PeerEvent::NewPeer(peer) => {
                    let is_first = new.insert(peer.0) && !offered.contains(&peer.0);
                    assert!(is_first, "a second handshake with {peer} begins: {line:?}");
                    offer(&mut signaller, peer);
                }
                PeerEvent::Signal { sender, data } => match data {
                    PeerSignal::Offer(sdp) => {
                        // A repeated offer is for another socket.
                        offered.insert(sender.0);
                        assert!(!new.contains(&sender.0), "both offer: {line:?}");
                        passed.push(Passed::Offer(sdp));
                    }
                    PeerSignal::Answer(sdp) => {
                        let is_first = answered.insert(sender.0) && new.contains(&sender.0);
                        assert!(is_first, "{sender} answers without an offer of ours: {line:?}");
                        passed.push(Passed::Answer(sdp));
                    }
                    PeerSignal::IceCandidate(json) => passed.push(Passed::Candidate(json)),
                },
                other => panic!("matchbox would see {other:?}"),
            }
        }
    }
    passed
}

fn assert_usable(config: &RtcIceServerConfig) {
    let has_credentials = config.username.is_some() && config.credential.is_some();
    let is_usable = |url: &String| is_stun_url(url) || (is_turn_url(url) && has_credentials);
    assert!(config.urls.len() <= MAX_ICE_URLS && config.urls.iter().all(is_usable), "{config:?}");
}

/// Offers a connection, as matchbox does when the server announces a peer.
fn offer(signaller: &mut RoomSignaller, to: PeerId) {
    let ours = signaller.outgoing(to, PeerSignal::Offer(sdp::example()));
    assert!(ours.is_some(), "a peer that is met may be offered a connection");
}
