//! What becomes of peers when a store does what it is asked to, but does not say so in time.

use std::sync::atomic::AtomicBool;

use async_trait::async_trait;

use super::{
    super::{
        address::{Address, Wish},
        outbox::{OutboxReader, outbox},
        store::{Kept, MemoryStore},
    },
    *,
};

/// A store that can be too slow.
#[derive(Debug)]
struct SlowStore {
    rooms: MemoryStore,
    is_slow: AtomicBool,
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
}

const GRACE: Duration = Duration::from_secs(15);

fn hub() -> (Hub, Arc<SlowStore>) {
    let local = Arc::new(Local::default());
    let rooms = MemoryStore::new(Arc::clone(&local));
    let store = Arc::new(SlowStore { rooms, is_slow: AtomicBool::new(false) });
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
