//! How a peer gets into a room: which one is meant, and what if others come at the same time.

use std::num::NonZeroU16;

use uuid::Uuid;

use super::{
    super::{
        address::{Wish, WishedRoom},
        outbox::Outbox,
        room::{Newcomer, Room, RoomId, Terms},
        store::Change,
        token::Resume,
    },
    Hub, MAX_ATTEMPTS, Visit, Visitor,
};
use crate::{
    lobby::room_code,
    protocol::{PeerId, Refusal},
};

/// A room that is to be entered.
struct Entrance {
    id: RoomId,
    /// Of the room, if it is a new one.
    incarnation: u64,
    terms: Terms,
    must_exist: bool,
    must_be_new: bool,
    is_rebuilt: bool,
}

impl Hub {
    /// Whether a peer would be let in now; the answer may be another one in the next moment.
    pub(crate) async fn check(&self, wish: &Wish) -> Result<(), Refusal> {
        let visitor = Visitor {
            peer: PeerId::from_u128(0),
            is_lasting: false,
            connection: 0,
            is_v1: false,
            resume: None,
        };
        if self.local.count() >= self.limits.max_peers {
            return Err(Refusal::ServerFull);
        }
        let entrance = self.entrance(&visitor, wish).await?;
        match self.store.load(&entrance.id).await? {
            Some(kept) => kept.room.check(&self.newcomer(&visitor, wish)),
            None => {
                let has_place = self.interests.has_place_for(&entrance.id);
                has_place.then_some(()).ok_or(Refusal::TooManyRooms)
            }
        }
    }

    /// Lets a peer in. Everything for it goes into `outbox`, its id first.
    pub(crate) async fn enter(
        &self,
        visitor: &Visitor,
        wish: &Wish,
        outbox: Outbox,
    ) -> Result<Visit, Refusal> {
        let mut before = Vec::new();
        let entered = self.try_to_enter(visitor, wish, outbox, &mut before).await;
        if let Ok(visit) = &entered {
            // Nobody waits for it there any more.
            before.extend(self.lock_missed().places.remove(&visit.peer).map(|(room, _)| room));
        }
        let entered_room = entered.as_ref().ok().map(Visit::room);
        for room in before.iter().filter(|room| entered_room != Some(room)) {
            // A store that cannot be reached keeps the peer's place there for some time longer.
            if self.remove(room, visitor.peer).await.is_err() {
                self.doubt(room, visitor.peer);
            }
        }
        self.count();
        entered
    }

    /// The same; adds to `before` the rooms that earlier connections of the peer were in, which are over.
    async fn try_to_enter(
        &self,
        visitor: &Visitor,
        wish: &Wish,
        mut outbox: Outbox,
        before: &mut Vec<RoomId>,
    ) -> Result<Visit, Refusal> {
        let Visitor { peer, is_lasting, connection, is_v1, .. } = *visitor;
        for _ in 0..MAX_ATTEMPTS {
            let entrance = self.entrance(visitor, wish).await?;
            let _turn = self.turn(&entrance.id).await;
            let interest = self.interests.begin(&entrance.id).await?;
            let most = self.limits.max_peers;
            let earlier = self.local.enter((peer, connection), is_v1, &entrance.id, outbox, most);
            before.extend(earlier.map_err(|_| Refusal::ServerFull)?);
            let joined = self.join(visitor, wish, &entrance).await;
            if joined == Ok(true) {
                return Ok(Visit { peer, is_lasting, connection, is_v1, interest });
            }
            let ours = self.local.leave(peer, connection);
            if joined == Err(Refusal::StoreDown) {
                // It may have been let in: the store was only too slow to say so.
                self.doubt(&entrance.id, peer);
            }
            // The last place among strangers went to somebody else: there will be another room.
            let is_any = matches!(wish.room, WishedRoom::Any { .. });
            if !(is_any && visitor.resume.is_none() && joined == Err(Refusal::RoomFull)) {
                joined?;
            }
            // If it is not there any more, the peer came again by another connection in the meantime.
            outbox = ours.ok_or(Refusal::Replaced)?;
        }
        Err(Refusal::StoreDown)
    }

    /// Tries to join. False if somebody else changed the room in the meantime.
    async fn join(
        &self,
        visitor: &Visitor,
        wish: &Wish,
        entrance: &Entrance,
    ) -> Result<bool, Refusal> {
        let kept = self.store.load(&entrance.id).await?;
        let mut room = match &kept {
            Some(_) if entrance.must_be_new => return Ok(false),
            Some(kept) => Room::clone(&kept.room),
            None if entrance.must_exist => return Err(Refusal::NoSuchRoom),
            None => {
                let Entrance { id, incarnation, terms, is_rebuilt, .. } = entrance;
                Room::new(id.clone(), *incarnation, terms.clone(), *is_rebuilt)
            }
        };
        let effects = room.join(&self.newcomer(visitor, wish))?;
        let change = Change { id: &entrance.id, from: kept.as_ref(), to: room, effects };
        Ok(self.store.swap(change).await?)
    }

    /// Which room is meant, and on which terms if it is a new one.
    async fn entrance(&self, visitor: &Visitor, wish: &Wish) -> Result<Entrance, Refusal> {
        if let Some(Resume { room, incarnation, terms, .. }) = &visitor.resume {
            let (id, incarnation, terms) = (room.clone(), *incarnation, terms.clone());
            let (must_exist, must_be_new, is_rebuilt) = (false, false, true);
            return Ok(Entrance { id, incarnation, terms, must_exist, must_be_new, is_rebuilt });
        }
        let mut terms = self.terms(wish)?;
        let (id, must_exist) = match &wish.room {
            WishedRoom::Named { name, must_exist } => (name.clone(), *must_exist),
            WishedRoom::New => (room_code(random()), false),
            WishedRoom::Any { group, label, closes_when_full, .. } => {
                terms.group = Some(group.clone());
                terms.closes_when_full = *closes_when_full;
                match self.store.open_room(group).await? {
                    Some(open) => (open.0, false),
                    None => (format!("{label}.{:016x}", random()), false),
                }
            }
        };
        let (incarnation, must_be_new) = (random(), wish.room == WishedRoom::New);
        let (id, is_rebuilt) = (RoomId(id), false);
        Ok(Entrance { id, incarnation, terms, must_exist, must_be_new, is_rebuilt })
    }

    fn terms(&self, wish: &Wish) -> Result<Terms, Refusal> {
        let (most, spectators) = (self.limits.max_peers_per_room, wish.spectators);
        let players = match &wish.room {
            WishedRoom::Any { size, .. } if size.get() > most => return Err(Refusal::GroupSize),
            WishedRoom::Any { size, .. } => Some(*size),
            WishedRoom::Named { .. } | WishedRoom::New => wish.capacity,
        };
        // Who does not say gets all places that nobody looks on from.
        let capacity = players.map_or(most.saturating_sub(spectators).max(1), NonZeroU16::get);
        // A small server turns nobody away for what only matters to a new room, or for places that few will want.
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

    fn newcomer(&self, visitor: &Visitor, wish: &Wish) -> Newcomer {
        Newcomer {
            peer: visitor.peer,
            name: wish.name.clone(),
            place: wish.place,
            is_v1: visitor.is_v1,
            process: self.process,
            game: wish.game.clone(),
            version: wish.version.clone(),
            returns: visitor.resume.as_ref().map(Resume::proof),
        }
    }
}

fn random() -> u64 {
    Uuid::new_v4().as_u64_pair().1 ^ Uuid::new_v4().as_u64_pair().0.rotate_left(32)
}
