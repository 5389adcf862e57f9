//! The order in which rooms are listed, and how often lists are made.

use futures::future::join_all;
use tokio::time::Instant;

use super::{listing::MAX_LISTED, *};
use crate::server::{
    address::Address, config::ServerConfig, local::new_outbox, store::MemoryStore,
};

/// Lets a peer enter a room of the game `g` at this address.
async fn enter(hub: &Hub, number: usize, name: &str, query: &str) {
    let query = format!("game=g&public=1&{query}");
    let address = Address::parse(&format!("/v1/rooms/{name}"), Some(&query));
    let Ok(Address::V1 { wish, .. }) = address else { panic!("{name}: {address:?}") };
    let joining = JoiningPeer {
        peer: PeerId::from_u128(number as u128),
        is_lasting: false,
        connection: number as u64,
        is_v1: true,
        resume: None,
    };
    let (outbox, _, _) = new_outbox(1 << 20);
    hub.enter(&joining, &wish, outbox).await.expect("there is a place");
}

fn hub() -> Hub {
    let local = Arc::new(Local::default());
    let store = Arc::new(MemoryStore::new(Arc::clone(&local)));
    let identity = (ProcessId(1), Signer::new(b"a secret of the test"));
    Hub::new(store, local, ServerConfig::default().room_limits(), identity, Arc::default())
}

async fn listed(hub: &Hub) -> Vec<String> {
    let rooms = hub.choose("g").await.expect("memory is always available");
    rooms.into_iter().map(|room| room.name).collect()
}

#[tokio::test]
async fn open_rooms_are_listed_first() {
    let hub = hub();
    for number in 0..MAX_LISTED {
        enter(&hub, number, &format!("-{number}"), "capacity=1").await;
    }
    enter(&hub, MAX_LISTED, "z", "capacity=2").await;
    let listed = listed(&hub).await;
    assert_eq!((listed.len(), &*listed[0]), (MAX_LISTED, "z"));
}

#[tokio::test]
async fn no_name_moves_a_room_to_the_front_of_the_list() {
    let hub = hub();
    for number in 0..MAX_LISTED {
        enter(&hub, 2 * number, &format!("-{number}"), "capacity=2").await;
        enter(&hub, 2 * number + 1, &format!("z{number}"), "capacity=2").await;
    }
    let shown = listed(&hub).await;
    assert_eq!(shown.len(), MAX_LISTED);
    // The chance that this order keeps all of the other rooms out is smaller than one in the number
    // of atoms in the universe.
    assert!(shown.iter().any(|name| name.starts_with('z')), "{shown:?}");
    assert_eq!(shown, listed(&hub).await, "the order is the same each time");
}

#[tokio::test]
async fn a_list_is_made_once_a_second_for_all_clients() {
    let hub = hub();
    let start = Instant::now();
    let list = async |now| hub.list("g", now).await.expect("memory is always available");
    enter(&hub, 1, "first", "").await;
    let first = list(start).await;
    enter(&hub, 2, "second", "").await;
    let soon = start + Duration::from_millis(999);
    for other in join_all((0..800).map(|_| list(soon))).await {
        // It is the same memory.
        assert_eq!(other.event.as_ptr(), first.event.as_ptr());
        assert_eq!(other.rooms.as_ptr(), first.rooms.as_ptr());
    }
    assert!(first.rooms.contains("first") && !first.rooms.contains("second"));

    let later = list(start + Duration::from_secs(1)).await;
    assert!(later.rooms.contains("first") && later.rooms.contains("second"));
    assert_eq!(&*later.event, format!(r#"{{"Rooms":{}}}"#, later.rooms));
}

#[tokio::test]
async fn unused_lists_are_forgotten() {
    let hub = hub();
    let start = Instant::now();
    for number in 0..5_000_u32 {
        // A hundred games a second.
        let now = start + Duration::from_millis(10) * number;
        hub.list(&format!("g{number}"), now).await.expect("memory is always available");
    }
    assert!(hub.lists.len() <= 300, "{}", hub.lists.len());
}
