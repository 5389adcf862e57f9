//! What every store must do, tested with each of them.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::time::{Instant, timeout};

use super::*;
use crate::{
    lobby::{Place, RoomRequest},
    server::{
        local::{Local, OutboxReader, new_outbox},
        room::{Newcomer, ProcessId, Terms},
    },
    testing::redis_server::RedisServer,
};

const PROCESS: ProcessId = ProcessId(7);
const GRACE: Duration = Duration::from_secs(15);
const DEADLINE: Duration = Duration::from_secs(10);

/// A store, and the peers that are connected to the process that uses it.
struct Rig {
    store: Arc<dyn Store>,
    local: Arc<Local>,
    /// Open rooms that are allowed besides a new one.
    beside: Vec<RoomId>,
}

/// Both stores, if there is a Redis.
async fn rigs(test: &str) -> (Vec<Rig>, Option<RedisServer>) {
    let local = Arc::new(Local::default());
    let store = Arc::new(MemoryStore::new(Arc::clone(&local)));
    let mut rigs = vec![Rig { store, local, beside: Vec::new() }];
    let redis = RedisServer::start(test);
    if let Some(redis) = &redis {
        let local = Arc::new(Local::default());
        let store = RedisStore::connect(&redis.url(), PROCESS, Arc::clone(&local), GRACE).await;
        rigs.push(Rig { store: store.expect("it runs"), local, beside: Vec::new() });
    }
    (rigs, redis)
}

fn id(name: &str) -> RoomId {
    RoomId(name.into())
}

fn terms(group: Option<&str>) -> Terms {
    Terms {
        game: "asteroids".into(),
        version: "1".into(),
        capacity: 2,
        spectators: 0,
        is_public: true,
        group: group.map(str::to_owned),
        closes_when_full: group.is_some(),
    }
}

fn newcomer(number: u128) -> Newcomer {
    Newcomer {
        peer: PeerId::from_u128(number),
        name: format!("peer {number}"),
        place: Place::Player,
        is_v1: true,
        process: PROCESS,
        game: String::new(),
        version: String::new(),
        returns: None,
    }
}

impl Rig {
    async fn load(&self, name: &str) -> Option<StoredRoom> {
        self.store.load(&id(name)).await.expect("the store is there")
    }

    /// Swaps in the result of `work` on the room as it was loaded.
    async fn change(
        &self,
        name: &str,
        kept: Option<&StoredRoom>,
        group: Option<&str>,
        work: impl FnOnce(&mut Room) -> Vec<Effect>,
    ) -> bool {
        let fresh = || Room::new(id(name), 1, terms(group), false);
        let mut room = kept.map_or_else(fresh, |kept| Room::clone(&kept.room));
        let effects = work(&mut room);
        let change = Change { id: &id(name), from: kept, to: room, effects, beside: &self.beside };
        self.store.swap(change).await.expect("the store is there")
    }

    async fn join(&self, name: &str, number: u128, group: Option<&str>) -> bool {
        let kept = self.load(name).await;
        let join = |room: &mut Room| room.join(&newcomer(number)).expect("there is a place");
        self.change(name, kept.as_ref(), group, join).await
    }

    async fn leave(&self, name: &str, number: u128) -> bool {
        let kept = self.load(name).await;
        let leave = |room: &mut Room| room.leave(PeerId::from_u128(number));
        self.change(name, kept.as_ref(), None, leave).await
    }

    async fn open(&self, group: &str) -> Option<RoomId> {
        self.store.open_room(group, &self.beside).await.expect("the store is there")
    }

    async fn listed(&self) -> HashSet<String> {
        let rooms = self.store.listed("asteroids", 10).await.expect("the store is there");
        rooms.iter().map(|room| room.id().0.clone()).collect()
    }

    /// Connects a peer here.
    async fn connect(&self, number: u128, room: &str) -> OutboxReader {
        let (outbox, reader, _closed) = new_outbox(100_000);
        self.store.subscribe(&id(room)).await.expect("the store is there");
        // Newcomers would be announced to peers at `/v1/` later.
        let is_v1 = false;
        let entered =
            self.local.enter((PeerId::from_u128(number), 1), is_v1, &id(room), outbox, 10);
        assert!(entered.is_ok(), "there is room");
        reader
    }
}

#[tokio::test]
async fn a_change_applies_only_to_the_room_as_it_was_loaded() {
    let (rigs, _redis) = rigs("a_change_applies_only_to_the_room_as_it_was_loaded").await;
    for rig in rigs {
        assert!(rig.load("a").await.is_none());
        assert!(rig.join("a", 1, None).await);
        assert!(!rig.change("a", None, None, |_| Vec::new()).await, "there is one by now");
        let before = rig.load("a").await.expect("it is there");
        assert!(rig.join("a", 2, None).await);
        assert!(!rig.change("a", Some(&before), None, |_| Vec::new()).await, "it has changed");
        let kept = rig.load("a").await.expect("it is there");
        assert_eq!(kept.room.members().len(), 2);
        assert!(rig.leave("a", 1).await && rig.leave("a", 2).await);
        assert!(rig.load("a").await.is_none(), "a room without peers is none");
        assert!(!rig.change("a", Some(&kept), None, |_| Vec::new()).await, "it is gone");
    }
}

#[tokio::test]
async fn a_group_has_at_most_one_open_room() {
    let (rigs, _redis) = rigs("a_group_has_at_most_one_open_room").await;
    for rig in rigs {
        let group = Some("pairs");
        assert_eq!(rig.open("pairs").await, None);
        assert!(rig.join("a.1", 1, group).await);
        assert_eq!(rig.open("pairs").await, Some(id("a.1")));
        assert!(!rig.join("a.2", 2, group).await, "the open one is to be filled first");
        assert!(rig.join("a.1", 2, group).await);
        assert_eq!(rig.open("pairs").await, None, "it is full");
        assert!(rig.join("a.2", 3, group).await);
        assert_eq!(rig.open("pairs").await, Some(id("a.2")));
        assert!(rig.leave("a.2", 3).await);
        assert_eq!(rig.open("pairs").await, None, "it is gone");
    }
}

#[tokio::test]
async fn a_new_room_is_allowed_besides_one_that_refuses_its_first_peer() {
    let (rigs, _redis) =
        rigs("a_new_room_is_allowed_besides_one_that_refuses_its_first_peer").await;
    for mut rig in rigs {
        let group = Some("pairs");
        assert!(rig.join("a.1", 1, group).await);
        rig.beside = vec![id("a.1")];
        assert_eq!(rig.open("pairs").await, None);
        assert!(rig.join("a.2", 2, group).await);
        assert_eq!(rig.open("pairs").await, Some(id("a.2")));
        assert!(!rig.join("a.3", 3, group).await, "the second is to be filled first");
        rig.beside.push(id("a.2"));
        assert_eq!(rig.open("pairs").await, None);
        rig.beside.clear();
        assert!(rig.open("pairs").await.is_some());
    }
}

#[tokio::test]
async fn the_list_contains_the_public_rooms() {
    let (rigs, _redis) = rigs("the_list_contains_the_public_rooms").await;
    for rig in rigs {
        for name in ["a", "b", "c"] {
            assert!(rig.join(name, 1, None).await);
        }
        assert_eq!(rig.listed().await, ["a", "b", "c"].map(str::to_owned).into());
        let kept = rig.load("b").await;
        let hide = |room: &mut Room| {
            room.ask(PeerId::from_u128(1), &RoomRequest::SetPublic(false)).expect("the owner")
        };
        assert!(rig.change("b", kept.as_ref(), None, hide).await);
        assert!(rig.leave("c", 1).await);
        assert_eq!(rig.listed().await, ["a".to_owned()].into());
        assert_eq!(rig.store.listed("chess", 10).await.map(|rooms| rooms.len()), Ok(0));
    }
}

#[tokio::test]
async fn effects_arrive_in_the_order_of_the_changes_and_only_in_their_room() {
    let (rigs, _redis) =
        rigs("effects_arrive_in_the_order_of_the_changes_and_only_in_their_room").await;
    for rig in rigs {
        let mut ann = rig.connect(1, "a").await;
        let mut other = rig.connect(9, "b").await;
        assert!(rig.join("a", 1, None).await);
        for _ in 0..10 {
            assert!(rig.join("a", 2, None).await && rig.leave("a", 2).await);
        }
        // The last state may wait for its turn.
        rig.local.tell_late(Instant::now() + Duration::from_secs(3_600));
        let two = PeerId::from_u128(2).to_string();
        let (mut events, mut latest_view) = (Vec::new(), String::new());
        // States that were not read are replaced by later ones, and the last one arrives in the
        // end.
        while events.len() < 1 + 2 * 10 || latest_view.contains(&two) {
            let told = timeout(DEADLINE, ann.next()).await.expect("the changes arrive in time");
            let told = told.expect("it is connected").to_string();
            if told.contains("Room") { latest_view = told } else { events.push(told) }
        }
        assert_eq!(events[0], format!(r#"{{"IdAssigned":"{}"}}"#, PeerId::from_u128(1)));
        for pair in events[1..].chunks(2) {
            let expected =
                [format!(r#"{{"NewPeer":"{two}"}}"#), format!(r#"{{"PeerLeft":"{two}"}}"#)];
            assert_eq!(pair, expected);
        }
        assert!(other.try_next().is_none(), "it is in another room");
    }
}

#[tokio::test]
async fn only_a_shared_store_can_forward_a_signal() {
    let (rigs, _redis) = rigs("only_a_shared_store_can_forward_a_signal").await;
    for rig in rigs {
        let mut ann = rig.connect(1, "a").await;
        let to = PeerId::from_u128(1);
        let passed = rig.store.pass_on(&id("a"), (PeerId::from_u128(9), to), &"hello".into()).await;
        assert_eq!(passed, Ok(rig.store.is_shared()));
        if rig.store.is_shared() {
            assert_eq!(ann.next().await.as_deref(), Some("hello"));
            assert!(rig.join("a", 1, None).await && rig.join("a", 2, None).await);
            let to_both =
                [2, 3].map(|number| {
                    let (to, store) = (PeerId::from_u128(number), &rig.store);
                    async move {
                        store.pass_on(&id("a"), (PeerId::from_u128(9), to), &"hello".into()).await
                    }
                });
            assert_eq!(join_all(to_both).await, [Ok(true), Ok(false)], "one is in the room");
        }
    }
}
