//! What becomes of peers when a store does what it is asked to, but does not say so in time.

use std::sync::atomic::AtomicBool;

use async_trait::async_trait;

use super::{
    super::{
        address::{Address, Wish},
        outbox::{OutboxReader, outbox},
        room::Newcomer,
        store::{Bereaved, Kept, MemoryStore},
    },
    *,
};
use crate::lobby::Place;

/// A store that can be too slow.
#[derive(Debug)]
struct SlowStore {
    rooms: MemoryStore,
    is_slow: AtomicBool,
    /// Peers of processes that are dead.
    bereaved: Mutex<Vec<Bereaved>>,
}

#[async_trait]
impl Store for SlowStore {
    fn is_shared(&self) -> bool {
        self.rooms.is_shared()
    }

    async fn open_room(&self, group: &str, beside: &[RoomId]) -> Result<Option<RoomId>, StoreDown> {
        self.rooms.open_room(group, beside).await
    }

    async fn load(&self, id: &RoomId) -> Result<Option<Kept>, StoreDown> {
        self.rooms.load(id).await
    }

    async fn swap(&self, change: Change<'_>) -> Result<bool, StoreDown> {
        let swapped = self.rooms.swap(change).await;
        if self.is_slow.load(Relaxed) { Err(StoreDown) } else { swapped }
    }

    async fn pass_on(
        &self,
        room: &RoomId,
        between: (PeerId, PeerId),
        message: &Utf8Bytes,
    ) -> Result<bool, StoreDown> {
        self.rooms.pass_on(room, between, message).await
    }

    async fn listed(&self, game: &str, most: usize) -> Result<Vec<Arc<Room>>, StoreDown> {
        self.rooms.listed(game, most).await
    }

    async fn watch(&self, id: &RoomId) -> Result<(), StoreDown> {
        self.rooms.watch(id).await
    }

    fn unwatch(&self, id: &RoomId) {
        self.rooms.unwatch(id);
    }

    async fn bereaved(&self) -> Vec<Bereaved> {
        self.bereaved.lock().expect("nobody panicked").clone()
    }
}

const GRACE: Duration = Duration::from_secs(15);

fn hub() -> (Hub, Arc<SlowStore>) {
    let local = Arc::new(Local::default());
    let rooms = MemoryStore::new(Arc::clone(&local));
    let store =
        Arc::new(SlowStore { rooms, is_slow: AtomicBool::new(false), bereaved: Mutex::default() });
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

async fn enter(hub: &Hub, number: u128, path: &str) -> Result<(Visit, OutboxReader), Refusal> {
    let (outbox, reader, _) = outbox(100_000);
    let visitor = Visitor {
        peer: PeerId::from_u128(number),
        is_lasting: true,
        connection: 1,
        is_v1: true,
        resume: None,
    };
    hub.enter(&visitor, &wish(path), outbox).await.map(|visit| (visit, reader))
}

async fn members(store: &SlowStore) -> usize {
    let room = store.load(&RoomId("room".into())).await.expect("it is there");
    room.map_or(0, |kept| kept.room.members().len())
}

#[tokio::test]
async fn who_was_let_in_although_it_was_refused_does_not_stay() {
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

/// Puts Bob into a room, as another process does it.
async fn bob_joins_elsewhere(store: &SlowStore, id: &RoomId, is_missed: bool) -> PeerId {
    let bob = PeerId::from_u128(2);
    let kept = store.load(id).await.expect("it is there").expect("somebody is in it");
    let mut room = Room::clone(&kept.room);
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
        room.miss(bob, u64::MAX / 2);
    }
    let change = Change { id, from: Some(&kept), to: room, effects: Vec::new(), beside: &[] };
    assert_eq!(store.swap(change).await, Ok(true));
    bob
}

/// A process whose clock was an hour ahead, or was set back by an hour since, noted that a peer is
/// gone, and died.
#[tokio::test]
async fn a_place_is_given_up_in_time_whatever_clocks_say() {
    let (hub, store) = hub();
    let _ann = enter(&hub, 1, "/v1/rooms/room").await.expect("there is a place");
    let room = RoomId("room".into());
    let peer = bob_joins_elsewhere(&store, &room, true).await;
    *store.bereaved.lock().expect("nobody panicked") =
        vec![Bereaved { room, peer, process: ProcessId(2) }];
    hub.tick(1).await;
    hub.tick(millis(GRACE)).await;
    assert_eq!(members(&store).await, 2, "its place is kept for a while");
    hub.tick(1 + millis(GRACE)).await;
    assert_eq!(members(&store).await, 1);
}

/// Two processes look after the peers of a third one that died; one of them has such a peer back
/// before the other has looked.
#[tokio::test]
async fn a_peer_that_is_back_is_not_missed_for_the_process_that_died() {
    let (hub, store) = hub();
    let _ann = enter(&hub, 1, "/v1/rooms/room").await.expect("there is a place");
    let room = RoomId("room".into());
    let peer = bob_joins_elsewhere(&store, &room, false).await;
    *store.bereaved.lock().expect("nobody panicked") =
        vec![Bereaved { room: room.clone(), peer, process: ProcessId(3) }];
    hub.tick(1).await;
    let kept = store.load(&room).await.expect("it is there").expect("both are in it");
    assert_eq!(kept.room.member(peer).and_then(|member| member.absence), None);
    hub.tick(1 + millis(GRACE)).await;
    assert_eq!(members(&store).await, 2);
}
