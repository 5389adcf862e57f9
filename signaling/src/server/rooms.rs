//! Who is in which room: a pure state machine without sockets, tasks or a clock.
//!
//! A request goes in, and what the members of the room must be told comes out. A room that is asked for with a group
//! size fills in order of arrival; once full it is closed, and the next newcomer opens another one of that name.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU16,
};

use crate::protocol::{PeerEvent, PeerId, Refusal, is_room_name};

/// Which room a peer asks for: its name and, with `?next=N`, the size of the groups.
///
/// As in matchbox, the same name with another group size is another room.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RoomKey {
    name: String,
    group_size: Option<NonZeroU16>,
}

impl RoomKey {
    /// Reads a room's name as it stands in the address, and the query behind it.
    pub(crate) fn parse(name: &str, query: Option<&str>) -> Result<Self, Refusal> {
        if !is_room_name(name) {
            return Err(Refusal::RoomName);
        }
        let group_size = query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .find_map(|pair| pair.strip_prefix("next="))
            .map(|size| size.parse().map_err(|_| Refusal::GroupSize))
            .transpose()?;
        Ok(Self { name: name.to_owned(), group_size })
    }
}

/// How much [`Rooms`] may hold; see the fields of the same name in [`ServerConfig`](super::ServerConfig).
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoomLimits {
    pub(crate) max_rooms: usize,
    pub(crate) max_peers: usize,
    pub(crate) max_peers_per_room: u16,
}

/// Something that peers must be told. `S` of the event never occurs: signals do not pass through here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) to: Vec<PeerId>,
    pub(crate) event: PeerEvent<()>,
}

/// Why a signal goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalDrop {
    /// No such peer, or no longer.
    UnknownReceiver,
    /// The receiver is not in the sender's room.
    OtherRoom,
}

/// All rooms and who is in them.
#[derive(Debug)]
pub(crate) struct Rooms {
    limits: RoomLimits,
    rooms: HashMap<RoomId, Room>,
    /// Where a newcomer goes. A group that is full is in `rooms` only.
    open: HashMap<RoomKey, RoomId>,
    peers: HashMap<PeerId, RoomId>,
    next_id: u64,
}

/// Rooms have ids because several groups may have one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct RoomId(u64);

#[derive(Debug)]
struct Room {
    key: RoomKey,
    members: HashSet<PeerId>,
}

impl Rooms {
    pub(crate) fn new(limits: RoomLimits) -> Self {
        Self {
            limits,
            rooms: HashMap::new(),
            open: HashMap::new(),
            peers: HashMap::new(),
            next_id: 0,
        }
    }

    /// Lets `peer` into the room. The newcomer learns its id; everybody else in the room hears of the newcomer.
    pub(crate) fn join(&mut self, peer: PeerId, key: &RoomKey) -> Result<[Delivery; 2], Refusal> {
        self.check(key)?;
        let id = self.open.get(key).copied().unwrap_or_else(|| self.create(key));
        let room = self.rooms.get_mut(&id).expect("an open room exists");
        let others = room.members.iter().copied().collect();
        room.members.insert(peer);
        if key.group_size.is_some_and(|size| room.members.len() >= usize::from(size.get())) {
            self.open.remove(key);
        }
        self.peers.insert(peer, id);
        Ok([
            Delivery { to: vec![peer], event: PeerEvent::IdAssigned(peer) },
            Delivery { to: others, event: PeerEvent::NewPeer(peer) },
        ])
    }

    /// Takes `peer` out of its room, if it is in one; the others in the room hear of it. An empty room is removed.
    pub(crate) fn leave(&mut self, peer: PeerId) -> Option<Delivery> {
        let id = self.peers.remove(&peer)?;
        let room = self.rooms.get_mut(&id).expect("a peer's room exists");
        room.members.remove(&peer);
        if room.members.is_empty() {
            let room = self.rooms.remove(&id).expect("found above");
            // Another group of this name may be open by now; it stays.
            if self.open.get(&room.key) == Some(&id) {
                self.open.remove(&room.key);
            }
            return None;
        }
        Some(Delivery {
            to: room.members.iter().copied().collect(),
            event: PeerEvent::PeerLeft(peer),
        })
    }

    fn create(&mut self, key: &RoomKey) -> RoomId {
        let id = RoomId(self.next_id);
        self.next_id += 1;
        self.open.insert(key.clone(), id);
        self.rooms.insert(id, Room { key: key.clone(), members: HashSet::new() });
        id
    }

    /// Whether a peer may enter the room now.
    pub(crate) fn check(&self, key: &RoomKey) -> Result<(), Refusal> {
        let limits = &self.limits;
        if key.group_size.is_some_and(|size| size.get() > limits.max_peers_per_room) {
            return Err(Refusal::GroupSize);
        }
        if self.peers.len() >= limits.max_peers {
            return Err(Refusal::ServerFull);
        }
        let Some(id) = self.open.get(key) else {
            let has_place = self.rooms.len() < limits.max_rooms;
            return has_place.then_some(()).ok_or(Refusal::TooManyRooms);
        };
        let has_seat = self.rooms[id].members.len() < usize::from(limits.max_peers_per_room);
        has_seat.then_some(()).ok_or(Refusal::RoomFull)
    }

    /// Whether a signal from `sender` may go to `receiver`.
    pub(crate) fn route(&self, sender: PeerId, receiver: PeerId) -> Result<(), SignalDrop> {
        let room = self.peers.get(&receiver).ok_or(SignalDrop::UnknownReceiver)?;
        if self.peers.get(&sender) != Some(room) {
            return Err(SignalDrop::OtherRoom);
        }
        Ok(())
    }

    pub(crate) fn room_count(&self) -> usize {
        self.rooms.len()
    }

    pub(crate) fn peer_count(&self) -> usize {
        self.peers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const LIMITS: RoomLimits = RoomLimits { max_rooms: 2, max_peers: 6, max_peers_per_room: 3 };

    fn peer(number: u128) -> PeerId {
        PeerId(Uuid::from_u128(number))
    }

    fn key(address: &str) -> RoomKey {
        let (name, query) = match address.split_once('?') {
            Some((name, query)) => (name, Some(query)),
            None => (address, None),
        };
        RoomKey::parse(name, query).expect("a good address")
    }

    /// Joins, and returns who heard of it.
    fn join(rooms: &mut Rooms, number: u128, address: &str) -> Result<Vec<PeerId>, Refusal> {
        let [to_newcomer, to_others] = rooms.join(peer(number), &key(address))?;
        assert_eq!(to_newcomer.to, [peer(number)]);
        assert_eq!(to_newcomer.event, PeerEvent::IdAssigned(peer(number)));
        assert_eq!(to_others.event, PeerEvent::NewPeer(peer(number)));
        let mut heard = to_others.to;
        heard.sort();
        Ok(heard)
    }

    #[test]
    fn only_members_hear_of_a_newcomer_and_of_a_leaver() {
        let mut rooms = Rooms::new(LIMITS);
        assert_eq!(join(&mut rooms, 1, "a"), Ok(vec![]));
        assert_eq!(join(&mut rooms, 2, "b"), Ok(vec![]));
        assert_eq!(join(&mut rooms, 3, "a"), Ok(vec![peer(1)]));
        assert_eq!(
            rooms.leave(peer(1)),
            Some(Delivery { to: vec![peer(3)], event: PeerEvent::PeerLeft(peer(1)) })
        );
        assert_eq!(rooms.leave(peer(1)), None, "leaving twice is nothing");
    }

    #[test]
    fn an_empty_room_is_removed() {
        let mut rooms = Rooms::new(LIMITS);
        for address in ["a", "a?next=1", "a?next=2"] {
            assert_eq!(join(&mut rooms, 1, address), Ok(vec![]));
            assert_eq!(rooms.leave(peer(1)), None);
            assert_eq!((rooms.room_count(), rooms.peer_count()), (0, 0));
            assert!(rooms.open.is_empty());
        }
    }

    #[test]
    fn groups_fill_in_order_of_arrival_and_then_close() {
        let mut rooms = Rooms::new(LIMITS);
        assert_eq!(join(&mut rooms, 1, "a?next=2"), Ok(vec![]));
        assert_eq!(join(&mut rooms, 2, "a?next=2"), Ok(vec![peer(1)]));
        assert_eq!(join(&mut rooms, 3, "a?next=2"), Ok(vec![]));
        assert!(rooms.leave(peer(1)).is_some(), "the other one hears of it");
        assert_eq!(join(&mut rooms, 4, "a?next=2"), Ok(vec![peer(3)]));
        assert_eq!(rooms.leave(peer(2)), None, "a closed group goes like any room");
        assert_eq!(rooms.room_count(), 1);
    }

    #[test]
    fn who_leaves_before_the_group_is_full_gives_the_seat_back() {
        let mut rooms = Rooms::new(LIMITS);
        assert_eq!(join(&mut rooms, 1, "a?next=2"), Ok(vec![]));
        assert_eq!(rooms.leave(peer(1)), None);
        assert_eq!(join(&mut rooms, 2, "a?next=2"), Ok(vec![]));
        assert_eq!(join(&mut rooms, 3, "a?next=2"), Ok(vec![peer(2)]));
    }

    #[test]
    fn a_closed_group_does_not_close_the_open_one_of_its_name() {
        let mut rooms = Rooms::new(LIMITS);
        assert_eq!(join(&mut rooms, 1, "a?next=1"), Ok(vec![]));
        assert_eq!(join(&mut rooms, 2, "a?next=2"), Ok(vec![]));
        assert_eq!(rooms.leave(peer(1)), None);
        assert_eq!(join(&mut rooms, 3, "a?next=2"), Ok(vec![peer(2)]));
    }

    #[test]
    fn every_limit_refuses_with_its_reason() {
        let mut rooms = Rooms::new(LIMITS);
        assert_eq!(join(&mut rooms, 1, "a?next=4"), Err(Refusal::GroupSize));
        for number in 1..=3 {
            assert!(join(&mut rooms, number, "a").is_ok());
        }
        assert_eq!(join(&mut rooms, 4, "a"), Err(Refusal::RoomFull));
        assert!(join(&mut rooms, 4, "b").is_ok());
        assert_eq!(join(&mut rooms, 5, "c"), Err(Refusal::TooManyRooms));
        assert_eq!(join(&mut rooms, 5, "a?next=2"), Err(Refusal::TooManyRooms));
        for number in 5..=6 {
            assert!(join(&mut rooms, number, "b").is_ok());
        }
        assert_eq!(join(&mut rooms, 7, "b"), Err(Refusal::ServerFull));
        assert_eq!(rooms.peer_count(), 6, "the refused left no trace");
    }

    #[test]
    fn addresses_are_read_or_refused() {
        assert_eq!(key("a"), key("a?other=1&next"));
        assert_eq!(key("a?x&next=2").group_size, NonZeroU16::new(2));
        for junk in ["next=0", "next=", "next=-1", "next=two", "next=65536", "next=2%20"] {
            assert_eq!(RoomKey::parse("a", Some(junk)), Err(Refusal::GroupSize), "{junk}");
        }
        assert_eq!(RoomKey::parse("a/b", None), Err(Refusal::RoomName));
    }

    #[test]
    fn signals_stay_inside_the_room() {
        let mut rooms = Rooms::new(LIMITS);
        for (number, address) in [(1, "a"), (2, "a"), (3, "b")] {
            assert!(join(&mut rooms, number, address).is_ok());
        }
        assert_eq!(rooms.route(peer(1), peer(2)), Ok(()));
        assert_eq!(rooms.route(peer(1), peer(3)), Err(SignalDrop::OtherRoom));
        assert_eq!(rooms.route(peer(1), peer(9)), Err(SignalDrop::UnknownReceiver));
        assert_eq!(rooms.route(peer(9), peer(1)), Err(SignalDrop::OtherRoom));
    }
}
