//! One room, and what its peers must be told of each change: a pure state machine without sockets,
//! tasks or a clock.
//!
//! It is all that a [store](super::store) keeps of a room, so any process that has it can go on
//! with it.

mod requests;
mod restore;

use serde::{Deserialize, Serialize};

use crate::{
    lobby::{
        Place, RoomListing, RoomMember, RoomPhase, RoomState, is_same_name, numbered_name,
        shown_name,
    },
    protocol::{PeerEvent, PeerId, Refusal},
};

/// The name by which a store knows a room.
///
/// For a room that one can ask for by name it is that name, perhaps with a game behind it; a room
/// of a group of strangers has a number behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct RoomId(pub(crate) String);

impl RoomId {
    /// The room of that name for one game, where another game has the name already.
    pub(crate) fn of_game(name: &str, game: &str) -> Self {
        // No name has a slash.
        Self(format!("{name}/{game}"))
    }

    /// What peers know it by.
    pub(crate) fn name(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

/// A process of the service. A peer is connected to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ProcessId(pub(crate) u64);

/// What a room is for: said by the peer that opens it, and the same for as long as it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// Empty if nobody said.
    pub(crate) game: String,
    pub(crate) version: String,
    pub(crate) capacity: u16,
    pub(crate) spectators: u16,
    /// Whether it is listed in the beginning.
    pub(crate) is_public: bool,
    /// The group of strangers that are brought together in rooms such as this one.
    pub(crate) group: Option<String>,
    /// Whether a room that was full once takes nobody else, as matchbox has it.
    pub(crate) closes_when_full: bool,
}

/// Somebody who comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Newcomer {
    pub(crate) peer: PeerId,
    pub(crate) name: String,
    pub(crate) place: Place,
    /// Whether it understands what [`RoomEvent`](crate::lobby::RoomEvent)s say.
    pub(crate) is_v1: bool,
    pub(crate) process: ProcessId,
    /// What it says of itself, which only matters for a new room: empty, or the game it is.
    pub(crate) game: String,
    pub(crate) version: String,
    /// What it has proof of, if it was in a room of this name before.
    pub(crate) returns: Option<Proof>,
}

/// What is known for sure of a returning peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The [`Room::incarnation`] that it was in.
    pub(crate) incarnation: u64,
    pub(crate) claim: Claim,
}

/// What a peer was in its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Claim {
    Member,
    /// Its owner, as this one in a row: of two claims to a room the later one counts.
    Owner(u32),
}

/// A peer in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) id: PeerId,
    name: String,
    place: Place,
    is_ready: bool,
    is_v1: bool,
    pub(crate) process: ProcessId,
    /// While it is not connected: a number for that, by which it is told from an earlier or later
    /// time. Not a clock's: those of processes differ, and are set.
    pub(crate) absence: Option<u64>,
}

/// Something that comes of a change, for peers of the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Effect {
    /// They are told this, which is of matchbox's protocol.
    Tell { to: Vec<PeerId>, event: PeerEvent<()> },
    /// They see the room.
    Show { to: Vec<PeerId>, state: RoomState },
    /// It is sent off.
    SendOff { peer: PeerId },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Room {
    id: RoomId,
    /// Another number for each room of the same name, by which proof of one is none for the next.
    incarnation: u64,
    terms: Terms,
    members: Vec<Member>,
    owner: Option<PeerId>,
    /// How many owners it has had.
    reign: u32,
    is_public: bool,
    is_locked: bool,
    /// It was full once, and takes nobody else.
    is_closed: bool,
    phase: RoomPhase,
    /// Of the match that runs: those who had a player's place when it began, and are still here.
    in_match: Vec<PeerId>,
    banned: Vec<PeerId>,
    /// While it is locked: those whose connection broke, and whose place was given up since. They
    /// may come back.
    lost: Vec<PeerId>,
    /// Made from what a returning peer showed, and its owner may still be on the way.
    is_rebuilt: bool,
}

impl Room {
    /// An empty room, which only lasts once somebody is in it.
    pub(crate) fn new(id: RoomId, incarnation: u64, terms: Terms, is_rebuilt: bool) -> Self {
        Self {
            id,
            incarnation,
            is_public: terms.is_public,
            // Strangers who were brought together are not to find another one in the place of who
            // is on the way back.
            is_closed: is_rebuilt && terms.group.is_some(),
            terms,
            members: Vec::new(),
            owner: None,
            reign: 0,
            is_locked: false,
            phase: RoomPhase::Lobby,
            in_match: Vec::new(),
            banned: Vec::new(),
            lost: Vec::new(),
            is_rebuilt,
        }
    }

    pub(crate) fn id(&self) -> &RoomId {
        &self.id
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    pub(crate) fn claim(&self, peer: PeerId) -> Claim {
        if self.owner == Some(peer) { Claim::Owner(self.reign) } else { Claim::Member }
    }

    /// What a newcomer has proof of having been in this room, and not in an earlier one of its
    /// name.
    fn proven(&self, newcomer: &Newcomer) -> Option<Claim> {
        let proof = newcomer.returns.filter(|proof| proof.incarnation == self.incarnation)?;
        Some(proof.claim)
    }

    /// The game whose list of rooms has this one.
    pub(crate) fn listed_game(&self) -> Option<&str> {
        (self.is_public && !self.terms.game.is_empty()).then_some(self.terms.game.as_str())
    }

    /// The group of strangers of which the next one belongs in here.
    pub(crate) fn open_group(&self) -> Option<&str> {
        let is_full = self.count(Place::Player) >= usize::from(self.terms.capacity);
        let is_open =
            !is_full && !self.is_closed && !self.is_locked && self.phase == RoomPhase::Lobby;
        self.terms.group.as_deref().filter(|_| is_open)
    }

    fn count(&self, place: Place) -> usize {
        self.members.iter().filter(|member| member.place == place).count()
    }

    fn member_mut(&mut self, id: PeerId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    fn has_place(&self, place: Place) -> bool {
        let most = match place {
            Place::Player => self.terms.capacity,
            Place::Spectator => self.terms.spectators,
        };
        self.count(place) < usize::from(most)
    }

    /// Whether it is played by another game than this, as far as both say which they are.
    pub(crate) fn is_of_other_game(&self, game: &str) -> bool {
        differs(&self.terms.game, game)
    }

    /// Whether the newcomer may come in.
    pub(crate) fn check(&self, newcomer: &Newcomer) -> Result<(), Refusal> {
        if self.banned.contains(&newcomer.peer) {
            return Err(Refusal::Kicked);
        }
        if self.members.iter().any(|member| member.id == newcomer.peer) {
            return Ok(());
        }
        if self.is_of_other_game(&newcomer.game) || differs(&self.terms.version, &newcomer.version)
        {
            return Err(Refusal::OtherGame);
        }
        // A peer that was lost meanwhile is kept out by neither, but needs a place.
        let was_lost = self.lost.contains(&newcomer.peer);
        if self.is_locked && !was_lost {
            return Err(Refusal::Locked);
        }
        if self.is_closed && !was_lost && self.proven(newcomer).is_none() {
            return Err(Refusal::RoomFull);
        }
        self.has_place(newcomer.place).then_some(()).ok_or(Refusal::RoomFull)
    }

    /// Lets the newcomer in. It learns its id, and everybody else in the room hears of it.
    pub(crate) fn join(&mut self, newcomer: &Newcomer) -> Result<Vec<Effect>, Refusal> {
        self.check(newcomer)?;
        let Newcomer { peer, place, is_v1, process, .. } = *newcomer;
        let name = self.free_name(peer, shown_name(&newcomer.name));
        let was_absent = if let Some(member) = self.member_mut(peer) {
            member.process = process;
            member.is_v1 = is_v1;
            // It may have changed its name in the meantime, of which its address says nothing.
            if member.name.is_empty() {
                member.name = name;
            }
            member.absence.take().is_some()
        } else {
            let (is_ready, absence) = (false, None);
            self.members.push(Member { id: peer, name, place, is_ready, is_v1, process, absence });
            false
        };
        self.lost.retain(|&other| other != peer);
        self.claim_ownership(peer, self.proven(newcomer));
        self.is_closed |= self.terms.closes_when_full && !self.has_place(Place::Player);
        // A stock client was told nothing of the absence, and would take the return for another
        // peer.
        let others = self.recipients(|member| member.id != peer && (member.is_v1 || !was_absent));
        let mut effects = vec![
            Effect::Tell { to: vec![peer], event: PeerEvent::IdAssigned(peer) },
            Effect::Tell { to: others, event: PeerEvent::NewPeer(peer) },
        ];
        effects.extend(self.show());
        Ok(effects)
    }

    /// The name, or with a number behind it where another peer has it: nobody passes for somebody
    /// else here.
    fn free_name(&self, peer: PeerId, name: String) -> String {
        let is_taken = |name: &str| {
            let mut others = self.members.iter().filter(|member| member.id != peer);
            others.any(|other| is_same_name(&other.name, name))
        };
        if name.is_empty() || !is_taken(&name) {
            return name;
        }
        // One of them is free: they are more than the others.
        let numbers = 2..=self.members.len() + 2;
        let mut numbered = numbers.map(|number| numbered_name(&name, number));
        numbered.find(|name| !is_taken(name)).unwrap_or(name)
    }

    /// Takes the peer out. The others hear of it.
    pub(crate) fn leave(&mut self, peer: PeerId) -> Vec<Effect> {
        let Some(at) = self.members.iter().position(|member| member.id == peer) else {
            return Vec::new();
        };
        let member = self.members.remove(at);
        if self.is_locked && member.absence.is_some() {
            self.lost.push(peer);
        }
        self.in_match.retain(|&other| other != peer);
        if self.owner == Some(peer) {
            self.set_owner(self.next_owner());
        }
        if self.phase == RoomPhase::Playing && self.in_match.is_empty() {
            // Nobody is left who could say so.
            self.finish();
        }
        let to = self.recipients(|_| true);
        let mut effects = vec![Effect::Tell { to, event: PeerEvent::PeerLeft(peer) }];
        effects.extend(self.show());
        effects
    }

    /// Marks a peer as away whose process seems to be dead, unless it is away already. Its place is
    /// kept for a while, and the other peers see that it is not here. `absence` is a new number.
    pub(crate) fn mark_absent_unless_away(&mut self, peer: PeerId, absence: u64) -> Vec<Effect> {
        let is_here = self.member(peer).is_some_and(|member| member.absence.is_none());
        if is_here { self.mark_absent(peer, absence) } else { Vec::new() }
    }

    /// The same for a peer whose own process saw its connection break. Its absence begins now, also
    /// where another process took this one for dead and has marked the peer as away.
    pub(crate) fn mark_absent(&mut self, peer: PeerId, absence: u64) -> Vec<Effect> {
        let Some(member) = self.member_mut(peer) else { return Vec::new() };
        let was_here = member.absence.replace(absence).is_none();
        if was_here { self.show().into_iter().collect() } else { Vec::new() }
    }

    /// The members that are connected and fit.
    fn recipients(&self, fits: impl Fn(&Member) -> bool) -> Vec<PeerId> {
        let hears = |member: &&Member| member.absence.is_none() && fits(member);
        self.members.iter().filter(hears).map(|member| member.id).collect()
    }

    /// Everybody who understands it sees the room, if there is anybody.
    pub(crate) fn show(&self) -> Option<Effect> {
        let to = self.recipients(|member| member.is_v1);
        (!to.is_empty()).then(|| Effect::Show { to, state: self.state() })
    }

    pub(crate) fn state(&self) -> RoomState {
        RoomState {
            name: self.id.name().to_owned(),
            game: self.terms.game.clone(),
            version: self.terms.version.clone(),
            is_public: self.is_public,
            is_locked: self.is_locked,
            phase: self.phase,
            capacity: self.terms.capacity,
            spectators: self.terms.spectators,
            owner: self.owner,
            members: self.members.iter().map(Member::shown).collect(),
        }
    }

    pub(crate) fn listing(&self) -> RoomListing {
        let owner = self.members.iter().find(|member| Some(member.id) == self.owner);
        let count = |place| u16::try_from(self.count(place)).unwrap_or(u16::MAX);
        RoomListing {
            name: self.id.name().to_owned(),
            owner: owner.map(|owner| owner.name.clone()).unwrap_or_default(),
            version: self.terms.version.clone(),
            phase: self.phase,
            is_locked: self.is_locked || self.is_closed,
            players: count(Place::Player),
            capacity: self.terms.capacity,
            spectators: count(Place::Spectator),
            max_spectators: self.terms.spectators,
        }
    }
}

impl Member {
    /// Whether it understands what an owner is, and plays.
    fn can_own(&self) -> bool {
        self.is_v1 && self.place == Place::Player
    }

    fn shown(&self) -> RoomMember {
        RoomMember {
            id: self.id,
            name: self.name.clone(),
            place: self.place,
            is_ready: self.is_ready,
            is_here: self.absence.is_none(),
        }
    }
}

fn differs(own: &str, other: &str) -> bool {
    !own.is_empty() && !other.is_empty() && own != other
}

#[cfg(test)]
mod tests;
