//! When newcomers are announced to the peers of their room.

use tokio::time::timeout;

use super::*;
use crate::{
    protocol::PeerEvent,
    server::{
        address::Address,
        config::ServerConfig,
        local::{OutboxReader, new_outbox},
        store::{MemoryStore, RedisStore},
    },
    testing::redis_server::RedisServer,
};

const ANN: PeerId = PeerId::from_u128(1);
const BOB: PeerId = PeerId::from_u128(2);
const CID: PeerId = PeerId::from_u128(3);
const DAN: PeerId = PeerId::from_u128(4);

/// A time after which every newcomer has stayed for long enough.
const LATER: Duration = Duration::from_secs(3_600);

/// Redis answers within a millisecond, unless the machine is busy.
const DEADLINE: Duration = Duration::from_secs(60);

fn hub() -> Hub {
    let local = Arc::new(Local::default());
    let store = Arc::new(MemoryStore::new(Arc::clone(&local)));
    hub_with(store, local, ProcessId(1))
}

/// One of several processes that share the same rooms.
async fn shared_hub(redis: &RedisServer, process: u64) -> Hub {
    let (local, process) = (Arc::new(Local::default()), ProcessId(process));
    let grace = ServerConfig::default().room_limits().grace;
    let store = RedisStore::connect(&redis.url(), process, Arc::clone(&local), grace).await;
    hub_with(store.expect("Redis runs"), local, process)
}

fn hub_with(store: Arc<dyn Store>, local: Arc<Local>, process: ProcessId) -> Hub {
    let identity = (process, Signer::new(b"a secret of the test"));
    Hub::new(store, local, ServerConfig::default().room_limits(), identity, Arc::default())
}

/// Lets a peer enter the room.
async fn enter(hub: &Hub, peer: PeerId, is_v1: bool) -> (JoinedPeer, OutboxReader) {
    let Ok(Address::V1 { wish, .. }) = Address::parse("/v1/rooms/den", None) else {
        panic!("it is the address of a room")
    };
    let joining = JoiningPeer { peer, is_lasting: true, connection: 1, is_v1, resume: None };
    let (outbox, reader, _) = new_outbox(1 << 20);
    let joined = hub.enter(&joining, &wish, outbox).await.expect("there is a place");
    (joined, reader)
}

/// Returns the arrivals and departures of other peers in the queue since the last call.
fn heard(queue: &mut OutboxReader) -> Vec<PeerEvent<()>> {
    std::iter::from_fn(|| queue.try_next()).filter_map(|text| of_others(&text)).collect()
}

fn of_others(text: &str) -> Option<PeerEvent<()>> {
    let event = serde_json::from_str(text).ok()?;
    (!matches!(event, PeerEvent::IdAssigned(_))).then_some(event)
}

/// Returns the arrivals and departures that Ann, at another process, has been sent once everything
/// that happened before this call has reached that process.
async fn heard_by_ann(
    hub: &Hub,
    friend: &JoinedPeer,
    to_ann: &mut OutboxReader,
) -> Vec<PeerEvent<()>> {
    let last = "that is all";
    hub.signal(friend, ANN, last.into()).await;
    let mut heard = Vec::new();
    loop {
        let next = timeout(DEADLINE, to_ann.next()).await.expect("Redis passes it on in time");
        let text = next.expect("she is connected");
        if &*text == last {
            return heard;
        }
        heard.extend(of_others(&text));
    }
}

#[tokio::test]
async fn a_newcomer_is_announced_if_it_stays_and_never_if_it_leaves_early() {
    let hub = hub();
    let (_ann, mut to_ann) = enter(&hub, ANN, true).await;
    let (mut bob, _) = enter(&hub, BOB, true).await;
    hub.leave(&mut bob, Departure::Left, 0).await;
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
    hub.leave(&mut bob, Departure::Lost, 0).await;
    hub.tell_late(Instant::now() + LATER);
    assert_eq!(heard(&mut to_ann), []);
    let _bob = enter(&hub, BOB, true).await;
    hub.tell_late(Instant::now() + LATER);
    assert_eq!(heard(&mut to_ann), [PeerEvent::NewPeer(BOB)]);
}

#[tokio::test]
async fn newcomers_are_announced_to_a_client_of_matchbox_at_once() {
    let hub = hub();
    let (_ann, mut to_ann) = enter(&hub, ANN, false).await;
    let _bob = enter(&hub, BOB, true).await;
    assert_eq!(heard(&mut to_ann), [PeerEvent::NewPeer(BOB)]);
    hub.tell_late(Instant::now() + LATER);
    assert_eq!(heard(&mut to_ann), [], "once");
}

#[tokio::test]
async fn a_newcomer_at_another_process_is_announced_once_if_it_moves_and_never_if_it_leaves() {
    let test = "a_newcomer_at_another_process_is_announced_once_if_it_moves_and_never_if_it_leaves";
    let Some(redis) = RedisServer::start(test) else { return };
    let (one, two) = (shared_hub(&redis, 1).await, shared_hub(&redis, 2).await);
    let later = || Instant::now() + LATER;
    let (_ann, mut to_ann) = enter(&one, ANN, true).await;
    let (cid, mut to_cid) = enter(&two, CID, true).await;
    assert_eq!(heard_by_ann(&two, &cid, &mut to_ann).await, []);
    one.tell_late(later());
    assert_eq!(heard(&mut to_ann), [PeerEvent::NewPeer(CID)]);

    let (mut bob, _) = enter(&two, BOB, true).await;
    two.leave(&mut bob, Departure::Left, 0).await;
    assert_eq!(heard_by_ann(&two, &cid, &mut to_ann).await, [PeerEvent::PeerLeft(BOB)]);
    one.tell_late(later());
    assert_eq!(heard(&mut to_ann), []);

    // It comes back to another process before anybody was told about it.
    let (mut bob, _) = enter(&two, BOB, true).await;
    two.leave(&mut bob, Departure::Lost, 0).await;
    assert_eq!(heard_by_ann(&two, &cid, &mut to_ann).await, []);
    one.tell_late(later());
    assert_eq!(heard(&mut to_ann), []);
    let _bob = enter(&one, BOB, true).await;
    one.tell_late(later());
    assert_eq!(heard(&mut to_ann), [PeerEvent::NewPeer(BOB)]);

    // It enters again while its first connection still seems alive; that connection ends late.
    let (mut dan, _) = enter(&two, DAN, true).await;
    let _dan = enter(&one, DAN, true).await;
    two.leave(&mut dan, Departure::Left, 0).await;
    assert_eq!(heard_by_ann(&two, &cid, &mut to_ann).await, []);
    one.tell_late(later());
    one.tell_late(later());
    assert_eq!(heard(&mut to_ann), [PeerEvent::NewPeer(DAN)]);
    two.tell_late(later());
    let to_cid = heard(&mut to_cid);
    let of_dan: Vec<_> = to_cid.iter().filter(|event| **event == PeerEvent::NewPeer(DAN)).collect();
    assert_eq!(of_dan.len(), 1, "{to_cid:?}");
    assert!(!to_cid.contains(&PeerEvent::PeerLeft(DAN)), "{to_cid:?}");
}
