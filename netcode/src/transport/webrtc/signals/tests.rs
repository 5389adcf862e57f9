//! Which signals pass, and what becomes of the ones that do.

use super::super::sdp;
use super::*;

fn peer() -> PeerId {
    PeerId(signaling::protocol::PeerId::from_u128(1).0)
}

fn signals() -> Signals {
    Signals::new(Candidates::All, None)
}

fn description(setup: &str, mid: &str) -> String {
    sdp::example()
        .replace("a=setup:actpass", &format!("a=setup:{setup}"))
        .replace("a=mid:0", &format!("a=mid:{mid}"))
}

fn offer() -> PeerSignal {
    PeerSignal::Offer(description("actpass", "0"))
}

fn answer(mid: &str) -> PeerSignal {
    PeerSignal::Answer(description("active", mid))
}

fn other(number: u128) -> PeerId {
    PeerId(signaling::protocol::PeerId::from_u128(number).0)
}

/// Begins the handshake with the waiting peer. Returns the events that matchbox gets.
fn begin(signals: &mut Signals) -> Vec<PeerEvent> {
    match signals.begin(peer(), true) {
        HandshakeStart::Now(events) => events,
        other => panic!("it waits: {other:?}"),
    }
}

/// Signals with one peer, to which we offer a connection.
fn offering(which: Candidates) -> Signals {
    let relays = (which == Candidates::RelaysOnly).then(|| Relays::new(Vec::new()));
    let mut signals = Signals::new(which, relays);
    assert!(signals.arrive(peer()));
    assert_eq!(begin(&mut signals), [PeerEvent::NewPeer(peer())]);
    signals
}

#[test]
fn an_answer_counts_once_and_only_for_our_own_offer() {
    let mut signals = signals();
    assert_eq!(signals.incoming(peer(), answer("0")), Err(BadSignal));
    let mut signals = offering(Candidates::All);
    assert_eq!(signals.incoming(peer(), answer("0")), Err(BadSignal));
    assert_eq!(signals.outgoing(peer(), offer()), Some(offer()));
    assert_eq!(signals.incoming(peer(), answer("1")), Err(BadSignal));
    let taken = signals.incoming(peer(), answer("0"));
    assert!(matches!(taken, Ok(Incoming::Pass(PeerSignal::Answer(_)))));
    assert_eq!(signals.incoming(peer(), answer("0")), Err(BadSignal));
}

#[test]
fn an_offer_waits_with_its_candidates_until_the_peer_is_met() {
    let mut signals = signals();
    let candidate = r#"{"candidate":"candidate:1 1 udp 5 192.0.2.1 4 typ host"}"#;
    let candidate = || PeerSignal::IceCandidate(candidate.into());
    assert_eq!(signals.incoming(peer(), candidate()), Ok(Incoming::Drop), "nothing is offered");
    assert_eq!(signals.incoming(peer(), offer()), Ok(Incoming::Keep));
    assert_eq!(signals.incoming(peer(), candidate()), Ok(Incoming::Keep));
    assert_eq!(signals.outgoing(peer(), answer("0")), None, "matchbox knows nothing of it");
    let heard = begin(&mut signals);
    let kinds = [PeerSignal::Offer, PeerSignal::IceCandidate].map(|kind| kind(String::new()));
    for (event, kind) in heard.iter().zip(&kinds) {
        let PeerEvent::Signal { data, .. } = event else { panic!("{event:?}") };
        assert_eq!(std::mem::discriminant(data), std::mem::discriminant(kind));
    }
    assert_eq!(heard.len(), 2);
    assert_eq!(signals.begin(peer(), true), HandshakeStart::AlreadyBegun);
    assert!(matches!(signals.incoming(peer(), candidate()), Ok(Incoming::Pass(_))));
}

#[test]
fn an_offer_that_waited_too_long_is_answered_by_one_of_ours() {
    let mut signals = signals();
    assert_eq!(signals.incoming(peer(), offer()), Ok(Incoming::Keep));
    let offers = HandshakeStart::Now(vec![PeerEvent::NewPeer(peer())]);
    assert_eq!(signals.begin(peer(), false), offers);
}

#[test]
fn a_peer_that_offers_again_is_met_again() {
    let mut signals = signals();
    for becomes in [Incoming::Keep, Incoming::Restart, Incoming::Restart] {
        assert_eq!(signals.incoming(peer(), offer()), Ok(becomes));
        assert_eq!(signals.incoming(peer(), offer()), Ok(Incoming::Keep), "it waits");
        begin(&mut signals);
    }
    let mut signals = offering(Candidates::All);
    assert_eq!(signals.incoming(peer(), offer()), Ok(Incoming::Drop), "we offer");
}

#[test]
fn the_end_of_a_handshake_does_not_take_a_newer_offer_with_it() {
    let mut signals = signals();
    assert_eq!(signals.incoming(peer(), offer()), Ok(Incoming::Keep));
    begin(&mut signals);
    assert_eq!(signals.incoming(peer(), offer()), Ok(Incoming::Restart));
    signals.forget_begun(peer());
    assert!(matches!(begin(&mut signals)[..], [PeerEvent::Signal { .. }]));
    signals.forget_begun(peer());
    assert_eq!(signals.begin(peer(), true), HandshakeStart::Gone);
}

#[test]
fn matchbox_is_given_no_peer_twice_and_few_at_a_time() {
    let mut signals = offering(Candidates::All);
    assert!(!signals.arrive(peer()));
    assert_eq!(signals.begin(other(2), true), HandshakeStart::Gone, "no such peer is known");
    let known = (2..5000).filter(|&number| signals.arrive(other(number))).count();
    assert_eq!(known, MAX_HANDSHAKES - 1);
    assert_eq!(signals.incoming(other(6000), offer()), Ok(Incoming::Drop));
    signals.forget_waiting(|left| left == other(2) || left == peer());
    assert!(signals.arrive(other(6000)) && !signals.arrive(peer()), "its handshake has begun");
    signals.forget_begun(peer());
    assert!(signals.arrive(peer()));
}

#[test]
fn candidates_are_counted() {
    let mut signals = offering(Candidates::All);
    let candidate = r#"{"candidate":"candidate:1 1 udp 5 192.0.2.1 4 typ host"}"#;
    let mut next = || signals.incoming(peer(), PeerSignal::IceCandidate(candidate.into()));
    let taken: Vec<_> = (0..=MAX_CANDIDATES).map(|_| next()).collect();
    assert!(matches!(taken.first(), Some(Ok(Incoming::Pass(_)))));
    assert_eq!(taken.last(), Some(&Err(BadSignal)));
}

#[test]
fn a_peer_that_wants_only_relays_hides_its_address() {
    let mut signals = offering(Candidates::RelaysOnly);
    let Some(PeerSignal::Offer(sdp)) = signals.outgoing(peer(), offer()) else {
        panic!("an offer stays one");
    };
    assert!(!sdp.contains("192.168."), "{sdp}");
    let host = r#"{"candidate":"candidate:1 1 udp 5 192.0.2.1 4 typ host"}"#;
    assert_eq!(signals.outgoing(peer(), PeerSignal::IceCandidate(host.into())), None);
}

#[test]
fn a_candidate_that_only_claims_to_be_a_relay_never_reaches_webrtc() {
    let relay = |address: &str| {
        let text = format!("candidate:9 1 udp 5 {address} 3478 typ relay");
        PeerSignal::IceCandidate(serde_json::json!({ "candidate": text }).to_string())
    };
    let mut signals = offering(Candidates::RelaysOnly);
    signals.outgoing(peer(), offer());
    let liar = "a=candidate:9 1 udp 5 198.51.100.1 3478 typ relay";
    let sdp = description("active", "0").replace("a=ice-ufrag", &format!("{liar}\r\na=ice-ufrag"));
    let taken = signals.incoming(peer(), PeerSignal::Answer(sdp));
    let Ok(Incoming::Pass(PeerSignal::Answer(sdp))) = taken else { panic!("{taken:?}") };
    assert!(!sdp.contains("a=candidate"), "{sdp}");
    for address in ["198.51.100.2", "192.0.2.7"] {
        assert_eq!(signals.incoming(peer(), relay(address)), Ok(Incoming::Drop));
    }
    assert_eq!(signals.take_known(), []);
    // Our own TURN server relays for us at one of these addresses.
    assert!(signals.outgoing(peer(), relay("192.0.2.7")).is_some());
    let known = signals.take_known();
    let [(from, PeerSignal::IceCandidate(json))] = &known[..] else { panic!("{known:?}") };
    assert!(*from == peer() && json.contains("192.0.2.7"), "{json}");
    assert!(matches!(signals.incoming(peer(), relay("192.0.2.7")), Ok(Incoming::Pass(_))));
}
