//! When peers hear of newcomers to their room.

use super::{
    super::{
        ServerConfig,
        address::Address,
        outbox::{OutboxReader, outbox},
        store::MemoryStore,
    },
    *,
};
use crate::protocol::PeerEvent;

const ANN: PeerId = PeerId::from_u128(1);
const BOB: PeerId = PeerId::from_u128(2);
const CID: PeerId = PeerId::from_u128(3);

/// After everybody has stayed for long enough.
const LATER: Duration = Duration::from_secs(3_600);

fn hub() -> Hub {
    let local = Arc::new(Local::default());
    let store = Arc::new(MemoryStore::new(Arc::clone(&local)));
    let identity = (ProcessId(1), Signer::new(b"a secret of the test"));
    Hub::new(store, local, ServerConfig::default().room_limits(), identity, Arc::default())
}

/// Somebody enters the room.
async fn enter(hub: &Hub, peer: PeerId, is_v1: bool) -> (Visit, OutboxReader) {
    let Ok(Address::V1 { wish, .. }) = Address::parse("/v1/rooms/den", None) else {
        panic!("it is the address of a room")
    };
    let visitor = Visitor { peer, is_lasting: true, connection: 1, is_v1, resume: None };
    let (outbox, reader, _) = outbox(1 << 20);
    let visit = hub.enter(&visitor, &wish, outbox).await.expect("there is a place");
    (visit, reader)
}

/// Of whom it heard that they came or left since the last call.
fn heard(queue: &mut OutboxReader) -> Vec<PeerEvent<()>> {
    let texts = std::iter::from_fn(|| queue.try_next());
    let events = texts.filter_map(|text| serde_json::from_str(&text).ok());
    events.filter(|event| !matches!(event, PeerEvent::IdAssigned(_))).collect()
}

#[tokio::test]
async fn a_newcomer_is_announced_once_it_has_stayed_and_never_if_it_left() {
    let hub = hub();
    let (_ann, mut to_ann) = enter(&hub, ANN, true).await;
    let (mut bob, _) = enter(&hub, BOB, true).await;
    hub.leave(&mut bob, Parting::Left, 0).await;
    hub.tell_late(Instant::now() + LATER);
    assert_eq!(heard(&mut to_ann), [PeerEvent::PeerLeft(BOB)]);
    let _cid = enter(&hub, CID, true).await;
    assert_eq!(heard(&mut to_ann), []);
    hub.tell_late(Instant::now() + LATER);
    assert_eq!(heard(&mut to_ann), [PeerEvent::NewPeer(CID)]);
}

#[tokio::test]
async fn a_newcomer_whose_connection_breaks_is_announced_when_it_is_back() {
    let hub = hub();
    let (_ann, mut to_ann) = enter(&hub, ANN, true).await;
    let (mut bob, _) = enter(&hub, BOB, true).await;
    hub.leave(&mut bob, Parting::Lost, 0).await;
    hub.tell_late(Instant::now() + LATER);
    assert_eq!(heard(&mut to_ann), []);
    let _bob = enter(&hub, BOB, true).await;
    hub.tell_late(Instant::now() + LATER);
    assert_eq!(heard(&mut to_ann), [PeerEvent::NewPeer(BOB)]);
}

#[tokio::test]
async fn a_client_of_matchbox_hears_of_newcomers_at_once() {
    let hub = hub();
    let (_ann, mut to_ann) = enter(&hub, ANN, false).await;
    let _bob = enter(&hub, BOB, true).await;
    assert_eq!(heard(&mut to_ann), [PeerEvent::NewPeer(BOB)]);
    hub.tell_late(Instant::now() + LATER);
    assert_eq!(heard(&mut to_ann), [], "once");
}
