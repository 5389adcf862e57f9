//! When the peers of a room are shown its state.

use std::time::Duration;

use super::*;
use crate::{
    lobby::Place,
    server::room::{Newcomer, ProcessId, Room, Terms},
};

const ANN: PeerId = PeerId::from_u128(1);
const VISITS: u32 = 343;
const TIME: Duration = Duration::from_secs(32);

fn newcomer(peer: PeerId) -> Newcomer {
    Newcomer {
        peer,
        name: String::new(),
        place: Place::Player,
        is_v1: true,
        process: ProcessId(1),
        game: String::new(),
        version: String::new(),
        returns: None,
    }
}

fn den() -> Room {
    let terms = Terms {
        game: String::new(),
        version: String::new(),
        capacity: 4,
        spectators: 0,
        is_public: false,
        group: None,
        closes_when_full: false,
    };
    Room::new(RoomId("den".into()), 1, terms, false)
}

/// Lets a peer enter; returns its queue.
fn come(local: &Local, room: &mut Room, peer: PeerId, now: Instant) -> OutboxReader {
    let (outbox, reader, _) = new_outbox(1 << 20);
    let entered = local.enter((peer, 1), true, room.id(), outbox, 10);
    assert!(entered.is_ok(), "there is a place");
    let effects = room.join(&newcomer(peer)).expect("there is a place");
    local.apply(room.id(), &effects, now);
    reader
}

fn read(reader: &mut OutboxReader) -> Vec<String> {
    std::iter::from_fn(|| reader.try_next()).map(|text| text.to_string()).collect()
}

#[test]
fn a_peer_that_enters_again_is_shown_no_older_state() {
    let (local, mut room, now) = (Local::default(), den(), Instant::now());
    let _to_ann = come(&local, &mut room, ANN, now);
    for number in 0..20 {
        let effects = room.join(&newcomer(PeerId::from_u128(2 + number % 2)));
        local.apply(room.id(), &effects.expect("there is a place"), now);
        let effects = room.leave(PeerId::from_u128(2 + number % 2));
        local.apply(room.id(), &effects, now);
    }
    local.leave(ANN, 1);
    // By now it is another room, in which she is alone.
    let mut to_ann = come(&local, &mut den(), ANN, now);
    assert!(read(&mut to_ann).iter().any(|text| text.contains("Room")));
    local.tell_late(now + TIME);
    assert_eq!(read(&mut to_ann), Vec::<String>::new());
}

/// As many visits as one address may make at once and in the following half minute.
#[test]
fn a_resident_is_not_shown_its_room_for_each_stranger_that_joins_and_leaves() {
    let (local, mut room, start) = (Local::default(), den(), Instant::now());
    let mut to_ann = come(&local, &mut room, ANN, start);
    read(&mut to_ann);
    let mut heard = Vec::new();
    for visit in 0..VISITS {
        let visitor = PeerId::from_u128(2 + u128::from(visit));
        let now = start + TIME * visit / VISITS;
        let mut to_visitor = come(&local, &mut room, visitor, now);
        let first = read(&mut to_visitor);
        assert!(first.iter().any(|text| text.contains("Room")), "it sees the room at once");
        heard.extend(read(&mut to_ann));
        local.leave(visitor, 1);
        let effects = room.leave(visitor);
        local.apply(room.id(), &effects, now);
        local.tell_late(now);
        heard.extend(read(&mut to_ann));
    }
    local.tell_late(start + 2 * TIME);
    heard.extend(read(&mut to_ann));
    let views: Vec<_> = heard.iter().filter(|text| text.contains("Room")).collect();
    // Without the bound, it was two for each visit.
    assert!((100..=170).contains(&views.len()), "{}", views.len());
    let last = views.last().expect("there are some");
    assert_eq!(last.matches("is_here").count(), 1, "Ann sees that she is alone: {last}");
    assert!(heard.iter().all(|text| !text.contains("NewPeer")), "nobody has stayed");
}
