//! Brings peers into rooms, and tells the others: what is between the connections of this process and the store of the rooms.
//!
//! Each change of a room is made on a copy, which is swapped in if nobody else was faster. Those of this process take turns, so that it
//! only ever has to try again because of another process.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::{BuildHasher, RandomState},
    num::NonZeroU16,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::sync::Mutex as Turns;
use tungstenite::Utf8Bytes;
use uuid::Uuid;

use super::{
    address::{Wish, WishedRoom},
    counters::{Counter, Health},
    local::{Handed, Local, text},
    outbox::Outbox,
    room::{Effect, Newcomer, ProcessId, Room, RoomId, Terms},
    store::{Change, Store, StoreDown},
    token::{Resume, Signer},
};
use crate::{
    lobby::{CODE_LENGTH, CODE_LETTERS, Denial, RoomEvent, RoomListing, RoomRequest},
    protocol::{PeerId, Refusal},
};

/// How often a change is tried again because another process was faster: each time one of them got on, so a room that so many
/// others change at once is not for people.
const MAX_ATTEMPTS: u32 = 64;
/// Locks by which rooms take turns; two rooms that share one wait for each other now and then.
const TURNS: usize = 64;
/// Most rooms in an answer to whoever asks for the list: more than a person reads.
const MAX_LISTED: usize = 200;

/// How much there may be; see the fields of the same name in [`ServerConfig`](super::ServerConfig).
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoomLimits {
    pub(crate) max_rooms: usize,
    pub(crate) max_peers: usize,
    pub(crate) max_peers_per_room: u16,
    /// How long the place of a peer is kept whose connection broke.
    pub(crate) grace: Duration,
    /// How long a token is worth something.
    pub(crate) resume_for: Duration,
}

/// Somebody who wants to come in.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) peer: PeerId,
    /// Whether it is the same one when it comes again.
    pub(crate) is_lasting: bool,
    pub(crate) connection: u64,
    pub(crate) is_v1: bool,
    pub(crate) resume: Option<Resume>,
}

/// A peer that is in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) peer: PeerId,
    is_lasting: bool,
    connection: u64,
    pub(crate) is_v1: bool,
    pub(crate) room: RoomId,
}

/// How a peer's connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// It said so, or was sent off.
    Left,
    /// It broke: the peer may come again.
    Lost,
}

/// The peers that may come again.
#[derive(Debug, Default)]
struct Waiting {
    /// In the order of their times; some have come by now.
    queue: VecDeque<Missed>,
    /// In which room their place is, and until when.
    places: HashMap<PeerId, (RoomId, u64)>,
}

/// A peer whose place is kept until then.
#[derive(Debug)]
struct Missed {
    until: u64,
    room: RoomId,
    peer: PeerId,
}

pub(crate) struct Hub {
    store: Arc<dyn Store>,
    local: Arc<Local>,
    limits: RoomLimits,
    process: ProcessId,
    signer: Signer,
    health: Arc<Health>,
    /// How many peers of this process are in which room.
    watched: Mutex<HashMap<RoomId, usize>>,
    missed: Mutex<Waiting>,
    turns: [Turns<()>; TURNS],
    hasher: RandomState,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("store", &self.store).finish_non_exhaustive()
    }
}

/// A room that is to be entered.
struct Entrance {
    id: RoomId,
    terms: Terms,
    must_exist: bool,
    must_be_new: bool,
    is_rebuilt: bool,
}

impl Hub {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        local: Arc<Local>,
        limits: RoomLimits,
        (process, signer): (ProcessId, Signer),
        health: Arc<Health>,
    ) -> Self {
        Self {
            store,
            local,
            limits,
            process,
            signer,
            health,
            watched: Mutex::default(),
            missed: Mutex::default(),
            turns: [const { Turns::const_new(()) }; TURNS],
            hasher: RandomState::new(),
        }
    }

    /// Whether other processes have the rooms, too.
    pub(crate) fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// Whether nobody can come in, because the store of the rooms cannot be reached.
    pub(crate) fn is_impaired(&self) -> bool {
        self.store.is_down()
    }

    /// What a token proves.
    pub(crate) fn read_token(&self, token: &str, peer: PeerId, now: u64) -> Option<Resume> {
        self.signer.read(token, peer, now)
    }

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
                let is_known = self.lock_watched().contains_key(&entrance.id);
                let has_place = is_known || self.lock_watched().len() < self.limits.max_rooms;
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
        let mut before = None;
        let entered = self.try_to_enter(visitor, wish, outbox, &mut before).await;
        if let Ok(visit) = &entered {
            let kept = self.lock_missed().places.remove(&visit.peer);
            if let Some((kept, _)) = kept.filter(|(room, _)| *room != visit.room) {
                // Nobody waits for it there any more.
                let _ = self.remove(&kept, visit.peer).await;
            }
        }
        if let Some(before) = before {
            self.unwatch(&before);
            if entered.as_ref().ok().is_none_or(|visit| visit.room != before) {
                // A store that cannot be reached keeps the peer's place there for some time longer.
                let _ = self.remove(&before, visitor.peer).await;
            }
        }
        self.count();
        entered
    }

    /// The same; `before` is the room that an earlier connection of the peer was in, which is over.
    async fn try_to_enter(
        &self,
        visitor: &Visitor,
        wish: &Wish,
        mut outbox: Outbox,
        before: &mut Option<RoomId>,
    ) -> Result<Visit, Refusal> {
        let Visitor { peer, is_lasting, connection, is_v1, .. } = *visitor;
        for _ in 0..MAX_ATTEMPTS {
            let entrance = self.entrance(visitor, wish).await?;
            let _turn = self.turn(&entrance.id).await;
            self.watch(&entrance.id).await?;
            let most = self.limits.max_peers;
            match self.local.enter((peer, connection), is_v1, &entrance.id, outbox, most) {
                Ok(earlier) => *before = before.take().or(earlier),
                Err(_) => {
                    self.unwatch(&entrance.id);
                    return Err(Refusal::ServerFull);
                }
            }
            let joined = self.join(visitor, wish, &entrance).await;
            if joined == Ok(true) {
                return Ok(Visit { peer, is_lasting, connection, is_v1, room: entrance.id });
            }
            self.unwatch(&entrance.id);
            let ours = self.local.leave(peer, connection);
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
            None => Room::new(entrance.id.clone(), entrance.terms.clone(), entrance.is_rebuilt),
        };
        let effects = room.join(&self.newcomer(visitor, wish))?;
        let change = Change { id: &entrance.id, from: kept.as_ref(), to: room, effects };
        Ok(self.store.swap(change).await?)
    }

    /// Notes that a connection is over, and tells the others when it is time to.
    pub(crate) async fn leave(&self, visit: &Visit, parting: Parting, now: u64) {
        if self.local.leave(visit.peer, visit.connection).is_none() {
            // It came again by another connection.
            return;
        }
        let has_grace = parting == Parting::Lost && visit.is_lasting && self.has_patience();
        let done = if has_grace {
            let peer = visit.peer;
            self.change(&visit.room, |room| self.if_ours(room, peer, |room| room.miss(peer, now)))
                .await
        } else {
            self.remove(&visit.room, visit.peer).await
        };
        if has_grace || done.is_err() {
            self.miss(&visit.room, visit.peer, now);
        }
        self.unwatch(&visit.room);
        self.count();
    }

    /// Whether there is memory left for those who may come again.
    fn has_patience(&self) -> bool {
        !self.limits.grace.is_zero() && self.lock_missed().queue.len() < self.limits.max_peers
    }

    fn miss(&self, room: &RoomId, peer: PeerId, now: u64) {
        let until = now.saturating_add(millis(self.limits.grace));
        let mut missed = self.lock_missed();
        missed.queue.push_back(Missed { until, room: room.clone(), peer });
        missed.places.insert(peer, (room.clone(), until));
    }

    /// Removes whoever did not come again in time, and whoever was connected to a process that is dead.
    pub(crate) async fn tick(&self, now: u64) {
        for (room, peers) in self.store.bereaved().await {
            for peer in peers {
                let _ = self.change(&room, |room| room.miss(peer, now)).await;
                self.miss(&room, peer, now);
            }
        }
        while let Some(Missed { room, peer, .. }) = self.next_overdue(now) {
            let is_away = |room: &Room| {
                let member = room.members().iter().find(|member| member.id == peer);
                let grace = millis(self.limits.grace);
                member.is_some_and(|member| match member.absent_since {
                    Some(since) => since.saturating_add(grace) <= now,
                    // It left while the store could not be reached.
                    None => member.process == self.process && !self.local.is_in(peer, room.id()),
                })
            };
            let removed = self
                .change(&room, |room| if is_away(room) { room.leave(peer) } else { Vec::new() })
                .await;
            if removed.is_err() {
                self.miss(&room, peer, now);
                break;
            }
        }
        self.count();
    }

    fn next_overdue(&self, now: u64) -> Option<Missed> {
        let mut missed = self.lock_missed();
        let next = missed.queue.pop_front_if(|missed| missed.until <= now)?;
        // It may be missed again, by a later entry.
        if missed.places.get(&next.peer).is_some_and(|(_, until)| *until == next.until) {
            missed.places.remove(&next.peer);
        }
        Some(next)
    }

    /// Does what a peer asks for in its room, or tells it why not.
    pub(crate) async fn ask(&self, visit: &Visit, request: &RoomRequest) {
        let mut denial = None;
        let changed = self
            .change(&visit.room, |room| {
                room.ask(visit.peer, request).unwrap_or_else(|denied| {
                    denial = Some(denied);
                    Vec::new()
                })
            })
            .await;
        if let Some(denial) = denial.or(changed.is_err().then_some(Denial::Unavailable)) {
            self.health.counters.count(Counter::Denied);
            self.tell(visit, &RoomEvent::Denied(denial));
        }
    }

    /// Passes `message`, a complete event, to a peer in the same room.
    pub(crate) async fn signal(&self, visit: &Visit, to: PeerId, message: Utf8Bytes) {
        let dropped = match self.local.hand(&visit.room, to, message.clone()) {
            Handed::Over => return,
            Handed::OtherRoom => Counter::DroppedOtherRoom,
            Handed::NotHere => match self.store.pass_on(&visit.room, to, &message).await {
                Ok(true) => return,
                Ok(false) => Counter::DroppedUnknownReceiver,
                Err(StoreDown) => Counter::DroppedStoreDown,
            },
        };
        self.health.counters.count(dropped);
    }

    /// The public rooms of a game.
    pub(crate) async fn list(&self, game: &str) -> Result<Vec<RoomListing>, StoreDown> {
        let rooms = self.store.listed(game, MAX_LISTED).await?;
        Ok(rooms.iter().map(|room| room.listing()).collect())
    }

    /// Gives a peer what brings it back to its place, if it is one that can come back.
    pub(crate) async fn give_token(&self, visit: &Visit, now: u64) {
        if !visit.is_lasting {
            return;
        }
        let Ok(Some(kept)) = self.store.load(&visit.room).await else { return };
        let token = self.signer.sign(&Resume {
            peer: visit.peer,
            room: visit.room.clone(),
            terms: kept.room.terms().clone(),
            claim: kept.room.claim(visit.peer),
            expires: now.saturating_add(millis(self.limits.resume_for)),
        });
        self.tell(visit, &RoomEvent::Resume(token));
    }

    fn tell(&self, visit: &Visit, event: &RoomEvent) {
        // Who is not there needs not be told.
        let _ = self.local.hand(&visit.room, visit.peer, text(event));
    }

    async fn remove(&self, room: &RoomId, peer: PeerId) -> Result<(), StoreDown> {
        self.change(room, |room| self.if_ours(room, peer, |room| room.leave(peer))).await
    }

    /// Unless the peer is connected to another process by now, which then has the say.
    fn if_ours(
        &self,
        room: &mut Room,
        peer: PeerId,
        work: impl FnOnce(&mut Room) -> Vec<Effect>,
    ) -> Vec<Effect> {
        let member = room.members().iter().find(|member| member.id == peer);
        if member.is_some_and(|member| member.process == self.process) {
            work(room)
        } else {
            Vec::new()
        }
    }

    /// Changes a room, if there is one; as often as it takes. What has no effect is no change.
    async fn change(
        &self,
        id: &RoomId,
        mut work: impl FnMut(&mut Room) -> Vec<Effect>,
    ) -> Result<(), StoreDown> {
        let _turn = self.turn(id).await;
        for _ in 0..MAX_ATTEMPTS {
            let Some(kept) = self.store.load(id).await? else { return Ok(()) };
            let mut room = Room::clone(&kept.room);
            let effects = work(&mut room);
            if room == *kept.room {
                return Ok(());
            }
            if self.store.swap(Change { id, from: Some(&kept), to: room, effects }).await? {
                return Ok(());
            }
        }
        Err(StoreDown)
    }

    async fn turn(&self, id: &RoomId) -> tokio::sync::MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(id);
        self.turns[(hash % TURNS as u64) as usize].lock().await
    }

    async fn watch(&self, id: &RoomId) -> Result<(), Refusal> {
        {
            let mut watched = self.lock_watched();
            if watched.len() >= self.limits.max_rooms && !watched.contains_key(id) {
                return Err(Refusal::TooManyRooms);
            }
            *watched.entry(id.clone()).or_default() += 1;
        }
        let watching = self.store.watch(id).await;
        if watching.is_err() {
            self.unwatch(id);
        }
        Ok(watching?)
    }

    fn unwatch(&self, id: &RoomId) {
        let mut watched = self.lock_watched();
        if let Some(count) = watched.get_mut(id) {
            *count -= 1;
            if *count == 0 {
                watched.remove(id);
            }
        }
        drop(watched);
        self.store.unwatch(id);
    }

    /// Which room is meant, and on which terms if it is a new one.
    async fn entrance(&self, visitor: &Visitor, wish: &Wish) -> Result<Entrance, Refusal> {
        if let Some(Resume { room, terms, .. }) = &visitor.resume {
            let (id, terms) = (room.clone(), terms.clone());
            let (must_exist, must_be_new, is_rebuilt) = (false, false, true);
            return Ok(Entrance { id, terms, must_exist, must_be_new, is_rebuilt });
        }
        let most = self.limits.max_peers_per_room;
        let mut terms = self.terms(wish)?;
        let (id, must_exist) = match &wish.room {
            WishedRoom::Named { name, must_exist } => (name.clone(), *must_exist),
            WishedRoom::New => (generated_code(), false),
            WishedRoom::Any { group, size, label, closes_when_full } => {
                if size.get() > most {
                    return Err(Refusal::GroupSize);
                }
                terms.capacity = size.get();
                terms.group = Some(group.clone());
                terms.closes_when_full = *closes_when_full;
                match self.store.open_room(group).await? {
                    Some(open) => (open.0, false),
                    None => (format!("{label}.{:016x}", random()), false),
                }
            }
        };
        let must_be_new = wish.room == WishedRoom::New;
        Ok(Entrance { id: RoomId(id), terms, must_exist, must_be_new, is_rebuilt: false })
    }

    fn terms(&self, wish: &Wish) -> Result<Terms, Refusal> {
        let most = self.limits.max_peers_per_room;
        let capacity = wish.capacity.map_or(most, NonZeroU16::get);
        if capacity > most || wish.spectators > most {
            return Err(Refusal::BadRequest);
        }
        Ok(Terms {
            game: wish.game.clone(),
            version: wish.version.clone(),
            capacity,
            spectators: wish.spectators,
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
            returns: visitor.resume.as_ref().map(|resume| resume.claim),
        }
    }

    fn count(&self) {
        self.health.rooms.store(self.lock_watched().len(), Relaxed);
        self.health.peers.store(self.local.count(), Relaxed);
    }

    fn lock_watched(&self) -> MutexGuard<'_, HashMap<RoomId, usize>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_missed(&self) -> MutexGuard<'_, Waiting> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<StoreDown> for Refusal {
    fn from(_: StoreDown) -> Self {
        Self::StoreDown
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn random() -> u64 {
    Uuid::new_v4().as_u64_pair().1 ^ Uuid::new_v4().as_u64_pair().0.rotate_left(32)
}

/// A code for a new room.
fn generated_code() -> String {
    let mut random = random();
    let letters = CODE_LETTERS.len() as u64;
    let code = (0..CODE_LENGTH).map(|_| {
        let letter = CODE_LETTERS[(random % letters) as usize];
        random /= letters;
        char::from(letter)
    });
    code.collect()
}
