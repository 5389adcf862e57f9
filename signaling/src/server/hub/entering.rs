//! How a peer enters a room: which room it wants, and what happens if other peers enter rooms at
//! the same time.

use std::num::NonZeroU16;

use super::{Hub, JoinedPeer, JoiningPeer, MAX_ATTEMPTS, random};
use crate::{
    lobby::room_code,
    protocol::{PeerId, Refusal},
    server::{
        address::{Wish, WishedRoom},
        credentials::Resume,
        local::Outbox,
        room::{Newcomer, Room, RoomId, Terms},
        store::Change,
    },
};

/// The room that a peer is about to enter.
struct RoomTarget {
    id: RoomId,
    /// The incarnation of the room that a returning peer remembers.
    incarnation: Option<u64>,
    terms: Terms,
    must_exist: bool,
    must_be_new: bool,
    is_rebuilt: bool,
    /// Whether it was found among the rooms of a group of strangers.
    is_found: bool,
}

/// What earlier attempts have shown.
#[derive(Default)]
struct FailedAttempts {
    /// Rooms of strangers that refused the peer.
    found_rooms: Vec<RoomId>,
    /// The room with the requested name belongs to another game.
    is_name_taken: bool,
}

/// The outcome of an attempt to join a room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum JoinOutcome {
    Joined,
    /// The room was changed in the meantime.
    Overtaken,
    /// The room has the requested name, but belongs to another game.
    OtherGame,
}

impl Hub {
    /// Checks whether a peer would be accepted now; a moment later, the answer may differ.
    pub(crate) async fn check(&self, wish: &Wish) -> Result<(), Refusal> {
        let joining = JoiningPeer {
            peer: PeerId::from_u128(0),
            is_lasting: false,
            connection: 0,
            is_v1: false,
            resume: None,
        };
        if self.local.count() >= self.limits.max_peers {
            return Err(Refusal::ServerFull);
        }
        let newcomer = self.newcomer(&joining, wish);
        let mut failed = FailedAttempts::default();
        for _ in 0..MAX_ATTEMPTS {
            let target = self.find_target(&joining, wish, &failed).await?;
            let outcome = match self.store.load(&target.id).await? {
                Some(stored) => stored.room.check(&newcomer),
                None => {
                    let can_take = self.interests.can_take(&target.id);
                    can_take.then_some(()).ok_or(Refusal::TooManyRooms)
                }
            };
            match outcome {
                // It has filled up since it was found. The peer can still meet other strangers.
                Err(_) if target.is_found => failed.found_rooms.push(target.id),
                outcome => return outcome,
            }
        }
        Err(Refusal::RoomFull)
    }

    /// Lets a peer enter. All messages for it go into `outbox`, its id first.
    pub(crate) async fn enter(
        &self,
        joining: &JoiningPeer,
        wish: &Wish,
        outbox: Outbox,
    ) -> Result<JoinedPeer, Refusal> {
        let mut before = Vec::new();
        let entered = self.try_to_enter(joining, wish, outbox, &mut before).await;
        if let Ok(joined) = &entered {
            before.extend(self.lock_missed().end(joined.peer, joined.room()));
        }
        let entered_room = entered.as_ref().ok().map(JoinedPeer::room);
        for room in before.iter().filter(|room| entered_room != Some(room)) {
            // If the store cannot be reached, the peer stays in that room for some time longer.
            if self.remove(room, joining.peer).await.is_err() {
                self.note_unsure(room, joining.peer);
            }
        }
        self.count();
        entered
    }

    /// Like [`enter`](Self::enter), but also adds to `before` the rooms that earlier connections of
    /// the peer were in. Those connections have been ended.
    async fn try_to_enter(
        &self,
        joining: &JoiningPeer,
        wish: &Wish,
        mut outbox: Outbox,
        before: &mut Vec<RoomId>,
    ) -> Result<JoinedPeer, Refusal> {
        let JoiningPeer { peer, is_lasting, connection, is_v1, .. } = *joining;
        let mut failed = FailedAttempts::default();
        for _ in 0..MAX_ATTEMPTS {
            let target = self.find_target(joining, wish, &failed).await?;
            let _turn = self.turn(&target.id).await;
            let interest = self.interests.begin(&target.id).await?;
            let most = self.limits.max_peers;
            let earlier = self.local.enter((peer, connection), is_v1, &target.id, outbox, most);
            before.extend(earlier.map_err(|_| Refusal::ServerFull)?);
            let outcome = self.join(joining, wish, &target, &failed).await;
            if outcome == Ok(JoinOutcome::Joined) {
                return Ok(JoinedPeer { peer, is_lasting, connection, is_v1, interest });
            }
            let ours = self.local.leave(peer, connection);
            match outcome {
                Ok(JoinOutcome::OtherGame) => failed.is_name_taken = true,
                Ok(_) => {}
                Err(Refusal::StoreDown) => {
                    // The peer may have joined: the store may only have been too slow to confirm
                    // it.
                    self.note_unsure(&target.id, peer);
                    return Err(Refusal::StoreDown);
                }
                // Whatever the reason, the peer can still meet other strangers.
                Err(_) if target.is_found => failed.found_rooms.push(target.id.clone()),
                Err(Refusal::NoSuchRoom) if failed.is_name_taken => return Err(Refusal::OtherGame),
                Err(refusal) => return Err(refusal),
            }
            // If the outbox is no longer there, the peer has entered by another connection in the
            // meantime.
            outbox = ours.ok_or(Refusal::Replaced)?;
        }
        Err(if failed.found_rooms.is_empty() { Refusal::StoreDown } else { Refusal::RoomFull })
    }

    /// Tries to join a room.
    async fn join(
        &self,
        joining: &JoiningPeer,
        wish: &Wish,
        target: &RoomTarget,
        failed: &FailedAttempts,
    ) -> Result<JoinOutcome, Refusal> {
        let stored = self.store.load(&target.id).await?;
        let is_named = matches!(wish.room, WishedRoom::Named { .. }) && joining.resume.is_none();
        let mut room = match &stored {
            Some(_) if target.must_be_new => return Ok(JoinOutcome::Overtaken),
            Some(stored) if is_named && stored.room.is_of_other_game(&wish.game) => {
                return Ok(JoinOutcome::OtherGame);
            }
            Some(stored) => Room::clone(&stored.room),
            None if target.must_exist => return Err(Refusal::NoSuchRoom),
            None => {
                let RoomTarget { id, incarnation, terms, is_rebuilt, .. } = target;
                let incarnation = incarnation.unwrap_or_else(random);
                Room::new(id.clone(), incarnation, terms.clone(), *is_rebuilt)
            }
        };
        let effects = room.join(&self.newcomer(joining, wish))?;
        let beside = &failed.found_rooms;
        let change = Change { id: &target.id, from: stored.as_ref(), to: room, effects, beside };
        let is_done = self.store.swap(change).await?;
        Ok(if is_done { JoinOutcome::Joined } else { JoinOutcome::Overtaken })
    }

    /// Returns the room that the peer wants, and its terms if it is a new one.
    async fn find_target(
        &self,
        joining: &JoiningPeer,
        wish: &Wish,
        failed: &FailedAttempts,
    ) -> Result<RoomTarget, Refusal> {
        if let Some(Resume { room, incarnation, terms, .. }) = &joining.resume {
            return Ok(RoomTarget {
                id: room.clone(),
                incarnation: Some(*incarnation),
                terms: terms.clone(),
                must_exist: false,
                must_be_new: false,
                is_rebuilt: true,
                is_found: false,
            });
        }
        let mut target = RoomTarget {
            id: RoomId(String::new()),
            incarnation: None,
            terms: self.terms(wish)?,
            must_exist: false,
            must_be_new: false,
            is_rebuilt: false,
            is_found: false,
        };
        match &wish.room {
            WishedRoom::Named { name, must_exist } => {
                target.must_exist = *must_exist;
                target.id = if failed.is_name_taken {
                    RoomId::of_game(name, &wish.game)
                } else {
                    RoomId(name.clone())
                };
            }
            WishedRoom::New => {
                (target.id, target.must_be_new) = (RoomId(room_code(random())), true);
            }
            WishedRoom::Any { group, label, closes_when_full, .. } => {
                target.terms.group = Some(group.clone());
                target.terms.closes_when_full = *closes_when_full;
                let open = self.store.open_room(group, &failed.found_rooms).await?;
                target.is_found = open.is_some();
                target.id = open.unwrap_or_else(|| RoomId(format!("{label}.{:016x}", random())));
            }
        }
        Ok(target)
    }

    fn terms(&self, wish: &Wish) -> Result<Terms, Refusal> {
        let (most, spectators) = (self.limits.max_peers_per_room, wish.spectators);
        let players = match &wish.room {
            WishedRoom::Any { size, .. } if size.get() > most => return Err(Refusal::GroupSize),
            WishedRoom::Any { size, .. } => Some(*size),
            WishedRoom::Named { .. } | WishedRoom::New => wish.capacity,
        };
        // If the client names no capacity, players get all places that are not for spectators.
        let capacity = players.map_or(most.saturating_sub(spectators).max(1), NonZeroU16::get);
        // A server with small rooms refuses nobody because of a number that only matters to a new
        // room, or because of places that few will use.
        let capacity = capacity.min(most);
        let spectators = spectators.min(most - capacity);
        Ok(Terms {
            game: wish.game.clone(),
            version: wish.version.clone(),
            capacity,
            spectators,
            is_public: wish.is_public,
            group: None,
            closes_when_full: false,
        })
    }

    fn newcomer(&self, joining: &JoiningPeer, wish: &Wish) -> Newcomer {
        Newcomer {
            peer: joining.peer,
            name: wish.name.clone(),
            place: wish.place,
            is_v1: joining.is_v1,
            process: self.process,
            game: wish.game.clone(),
            version: wish.version.clone(),
            returns: joining.resume.as_ref().map(Resume::proof),
        }
    }
}
