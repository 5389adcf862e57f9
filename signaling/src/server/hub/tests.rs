//! What happens to peers when a store fails or does not confirm a change in time, and when other
//! processes die.

use super::{faulty_store::FaultyStore, *};
use crate::{
    lobby::Place,
    server::{
        address::{Address, Wish},
        local::{OutboxReader, new_outbox},
        room::Newcomer,
        store::{OrphanedPeer, StoredRoom},
    },
};

const GRACE: Duration = Duration::from_secs(15);

fn hub() -> (Hub, Arc<FaultyStore>) {
    let local = Arc::new(Local::default());
    let store = Arc::new(FaultyStore::new(Arc::clone(&local), ProcessId(1)));
    let limits = RoomLimits {
        max_rooms: 10,
        max_peers: 10,
        max_peers_per_room: 4,
        grace: GRACE,
        resume_for: Duration::from_secs(3600),
    };
    let shared: Arc<dyn Store> = store.clone();
    let own = (ProcessId(1), Signer::new(b"secret"));
    (Hub::new(shared, local, limits, own, Arc::default()), store)
}

fn wish(path: &str) -> Wish {
    match Address::parse(path, None) {
        Ok(Address::V1 { wish, .. }) => wish,
        other => panic!("{path}: {other:?}"),
    }
}

async fn enter(hub: &Hub, number: u128, path: &str) -> Result<(JoinedPeer, OutboxReader), Refusal> {
    let (outbox, reader, _) = new_outbox(100_000);
    let joining = JoiningPeer {
        peer: PeerId::from_u128(number),
        is_lasting: true,
        connection: 1,
        is_v1: true,
        resume: None,
    };
    hub.enter(&joining, &wish(path), outbox).await.map(|joined| (joined, reader))
}

async fn members(store: &FaultyStore) -> usize {
    let room = store.load(&RoomId("room".into())).await.expect("it is there");
    room.map_or(0, |stored| stored.room.members().len())
}

#[tokio::test]
async fn a_peer_that_joined_although_it_was_refused_does_not_stay() {
    let (hub, store) = hub();
    let _ann = enter(&hub, 1, "/v1/rooms/room").await.expect("there is a place");
    store.is_slow.store(true, Relaxed);
    let refused = enter(&hub, 2, "/v1/rooms/room").await.err();
    assert_eq!(refused, Some(Refusal::StoreDown));
    store.is_slow.store(false, Relaxed);
    assert_eq!(members(&store).await, 2, "the store was only slow");
    hub.tick(1).await;
    assert_eq!(members(&store).await, 2, "it may come again");
    hub.tick(1 + millis(GRACE)).await;
    assert_eq!(members(&store).await, 1);
}

/// The room "room", as it is stored.
async fn stored(store: &FaultyStore) -> StoredRoom {
    let room = store.load(&RoomId("room".into())).await.expect("it is there");
    room.expect("somebody is in it")
}

/// Another process takes this one for dead and marks one of its peers as absent. Returns the number
/// of the absence; the other process then dies.
async fn mark_as_away(store: &FaultyStore, peer: PeerId) -> u64 {
    let (stored, absence) = (stored(store).await, u64::MAX / 2);
    let mut to = Room::clone(&stored.room);
    let effects = to.mark_absent_unless_away(peer, absence);
    let change = Change { id: stored.room.id(), from: Some(&stored), to, effects, beside: &[] };
    assert_eq!(store.swap(change).await, Ok(true));
    absence
}

/// Puts Bob into a room, as another process does it.
async fn bob_joins_elsewhere(store: &FaultyStore, id: &RoomId, is_missed: bool) -> PeerId {
    let bob = PeerId::from_u128(2);
    let stored = store.load(id).await.expect("it is there").expect("somebody is in it");
    let mut room = Room::clone(&stored.room);
    let newcomer = Newcomer {
        peer: bob,
        name: "Bob".into(),
        place: Place::Player,
        is_v1: true,
        process: ProcessId(2),
        game: String::new(),
        version: String::new(),
        returns: None,
    };
    room.join(&newcomer).expect("there is a place");
    if is_missed {
        room.mark_absent_unless_away(bob, u64::MAX / 2);
    }
    let change = Change { id, from: Some(&stored), to: room, effects: Vec::new(), beside: &[] };
    assert_eq!(store.swap(change).await, Ok(true));
    bob
}

/// A process whose clock was an hour fast, or has been set back by an hour since, noted that a peer
/// was gone, and died.
#[tokio::test]
async fn an_absent_peer_is_removed_in_time_whatever_the_clocks_say() {
    let (hub, store) = hub();
    let _ann = enter(&hub, 1, "/v1/rooms/room").await.expect("there is a place");
    let room = RoomId("room".into());
    let peer = bob_joins_elsewhere(&store, &room, true).await;
    *store.orphaned.lock().expect("nobody panicked") =
        vec![OrphanedPeer { room, peer, process: ProcessId(2) }];
    hub.tick(1).await;
    hub.tick(millis(GRACE)).await;
    assert_eq!(members(&store).await, 2, "its place is kept for a while");
    hub.tick(1 + millis(GRACE)).await;
    assert_eq!(members(&store).await, 1);
}

/// Two processes look after the peers of a third one that died; one of them has such a peer back
/// before the other has checked.
#[tokio::test]
async fn a_peer_that_is_back_is_not_removed_with_its_dead_process() {
    let (hub, store) = hub();
    let _ann = enter(&hub, 1, "/v1/rooms/room").await.expect("there is a place");
    let room = RoomId("room".into());
    let peer = bob_joins_elsewhere(&store, &room, false).await;
    *store.orphaned.lock().expect("nobody panicked") =
        vec![OrphanedPeer { room: room.clone(), peer, process: ProcessId(3) }];
    hub.tick(1).await;
    let stored = store.load(&room).await.expect("it is there").expect("both are in it");
    assert_eq!(stored.room.member(peer).and_then(|member| member.absence), None);
    hub.tick(1 + millis(GRACE)).await;
    assert_eq!(members(&store).await, 2);
}

#[tokio::test]
async fn a_peer_that_another_process_marked_as_absent_is_removed_in_time() {
    for is_down in [false, true] {
        let (hub, store) = hub();
        let _ann = enter(&hub, 1, "/v1/rooms/room").await.expect("there is a place");
        let (mut bob, _) = enter(&hub, 2, "/v1/rooms/room").await.expect("there is a place");
        let theirs = mark_as_away(&store, bob.peer).await;
        store.is_down.store(is_down, Relaxed);
        hub.leave(&mut bob, Departure::Lost, 1).await;
        store.is_down.store(false, Relaxed);
        let absence = stored(&store).await.room.member(bob.peer).and_then(|bob| bob.absence);
        let is_theirs = absence == Some(theirs);
        assert_eq!(is_theirs, is_down, "the other process would give it up too early");
        hub.tick(millis(GRACE)).await;
        assert_eq!(members(&store).await, 2, "its place is kept for a while");
        hub.tick(1 + millis(GRACE)).await;
        assert_eq!(members(&store).await, 1);
    }
}

#[tokio::test]
async fn a_peer_that_is_lost_again_gets_the_full_grace_time() {
    let (hub, store) = hub();
    let _ann = enter(&hub, 1, "/v1/rooms/room").await.expect("there is a place");
    let (mut bob, _) = enter(&hub, 2, "/v1/rooms/room").await.expect("there is a place");
    hub.leave(&mut bob, Departure::Lost, 1).await;
    let (mut bob, _) = enter(&hub, 2, "/v1/rooms/room").await.expect("it has its place");
    store.is_down.store(true, Relaxed);
    let again = 5_000;
    hub.leave(&mut bob, Departure::Lost, again).await;
    store.is_down.store(false, Relaxed);
    hub.tick(1 + millis(GRACE)).await;
    hub.tick(again - 1 + millis(GRACE)).await;
    assert_eq!(members(&store).await, 2, "that was the time of the first loss");
    hub.tick(again + millis(GRACE)).await;
    assert_eq!(members(&store).await, 1);
}

#[tokio::test]
async fn a_peer_that_is_lost_again_as_its_first_grace_time_ends_stays_in_its_room() {
    let (hub, store) = hub();
    let _ann = enter(&hub, 1, "/v1/rooms/room").await.expect("there is a place");
    let (mut bob, _) = enter(&hub, 2, "/v1/rooms/room").await.expect("there is a place");
    hub.leave(&mut bob, Departure::Lost, 0).await;
    let (mut bob, _) = enter(&hub, 2, "/v1/rooms/room").await.expect("it has its place");
    // The store has not yet confirmed the second loss.
    let again = millis(GRACE);
    futures::join!(hub.leave(&mut bob, Departure::Lost, again), hub.tick(again));
    assert_eq!(members(&store).await, 2);
    hub.tick(2 * again - 1).await;
    assert_eq!(members(&store).await, 2);
    hub.tick(2 * again + 1).await;
    assert_eq!(members(&store).await, 1);
}
