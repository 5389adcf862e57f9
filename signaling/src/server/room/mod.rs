//! One room, and what its peers must be told about each change: a pure state machine without
//! sockets, tasks or a clock.
//!
//! A [store](super::store) keeps nothing else about a room, so any process that loads it can
//! continue with it.

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

/// The id by which a store knows a room.
///
/// For a room that peers can ask for by name, it is that name, or the name followed by a game; for
/// a room of a group of strangers, it ends with a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct RoomId(pub(crate) String);

impl RoomId {
    /// The room with this name for one game, if another game has the name already.
    pub(crate) fn of_game(name: &str, game: &str) -> Self {
        // Names contain no slash.
        Self(format!("{name}/{game}"))
    }

    /// The name by which peers know it.
    pub(crate) fn name(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

/// A process of the service. Each peer is connected to one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ProcessId(pub(crate) u64);

/// The terms of a room: set by the peer that opens it, and fixed for as long as it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// Empty if the peer did not name one.
    pub(crate) game: String,
    pub(crate) version: String,
    pub(crate) capacity: u16,
    pub(crate) spectators: u16,
    /// Whether it is listed when it opens.
    pub(crate) is_public: bool,
    /// The group of strangers that are brought together in this room and others like it.
    pub(crate) group: Option<String>,
    /// Whether the room, once it has been full, accepts nobody else, as in matchbox.
    pub(crate) closes_when_full: bool,
}

/// A peer that wants to enter, or has just entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Newcomer {
    pub(crate) peer: PeerId,
    pub(crate) name: String,
    pub(crate) place: Place,
    /// Whether it understands [`RoomEvent`](crate::lobby::RoomEvent)s.
    pub(crate) is_v1: bool,
    pub(crate) process: ProcessId,
    /// The game that it names, or empty.
    pub(crate) game: String,
    pub(crate) version: String,
    /// Its proof, if it was in a room with this name before.
    pub(crate) returns: Option<Proof>,
}

/// What a returning peer has proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The [`Room::incarnation`] that it was in.
    pub(crate) incarnation: u64,
    pub(crate) claim: Claim,
}

/// The role that a peer had in its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Claim {
    Member,
    /// It was the owner, with this number in the sequence of owners: of two claims to a room, the
    /// one with the higher number counts.
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
    /// While it is not connected: a number that distinguishes this absence from earlier and later
    /// ones. It is not a time, because the clocks of processes differ and can be set.
    pub(crate) absence: Option<u64>,
}

/// An effect of a change, for peers of the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Effect {
    /// Send them this event of matchbox's protocol.
    Tell { to: Vec<PeerId>, event: PeerEvent<()> },
    /// Show them the room.
    Show { to: Vec<PeerId>, state: RoomState },
    /// Disconnect the peer.
    SendOff { peer: PeerId },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Room {
    id: RoomId,
    /// Differs for each room with the same name, so that proof of one room is not proof of the
    /// next.
    incarnation: u64,
    terms: Terms,
    members: Vec<Member>,
    owner: Option<PeerId>,
    /// The number of owners that it has had.
    reign: u32,
    is_public: bool,
    is_locked: bool,
    /// It has been full, and accepts nobody else.
    is_closed: bool,
    phase: RoomPhase,
    /// The peers that were players when the current match began, and are still here.
    in_match: Vec<PeerId>,
    banned: Vec<PeerId>,
    /// While the room is locked: peers whose connection broke and that have been removed since.
    /// They may come back.
    lost: Vec<PeerId>,
    /// The room was recreated from a returning peer's token, and its owner may still return.
    is_rebuilt: bool,
}

impl Room {
    /// Creates an empty room. A store keeps it only once a peer has joined.
    pub(crate) fn new(id: RoomId, incarnation: u64, terms: Terms, is_rebuilt: bool) -> Self {
        Self {
            id,
            incarnation,
            is_public: terms.is_public,
            // Strangers that were brought together should not find a new peer in the place of one
            // that is about to return.
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

    /// The claim for which a newcomer has proof from this room, and not from an earlier room with
    /// its name.
    fn proven(&self, newcomer: &Newcomer) -> Option<Claim> {
        let proof = newcomer.returns.filter(|proof| proof.incarnation == self.incarnation)?;
        Some(proof.claim)
    }

    /// The game whose list of rooms includes this one.
    pub(crate) fn listed_game(&self) -> Option<&str> {
        (self.is_public && !self.terms.game.is_empty()).then_some(self.terms.game.as_str())
    }

    /// The group from which this room takes the next stranger; `None` if it takes none.
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

    /// Returns whether it belongs to another game than this one. If either game is unnamed, it does
    /// not.
    pub(crate) fn is_of_other_game(&self, game: &str) -> bool {
        differs(&self.terms.game, game)
    }

    /// Checks whether the newcomer may enter.
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
        // Neither a lock nor a closed room keeps out a peer that was lost while the room was
        // locked, but the peer needs a free place.
        let was_lost = self.lost.contains(&newcomer.peer);
        if self.is_locked && !was_lost {
            return Err(Refusal::Locked);
        }
        if self.is_closed && !was_lost && self.proven(newcomer).is_none() {
            return Err(Refusal::RoomFull);
        }
        self.has_place(newcomer.place).then_some(()).ok_or(Refusal::RoomFull)
    }

    /// Lets the newcomer enter. It receives its id, and the other peers in the room are told.
    pub(crate) fn join(&mut self, newcomer: &Newcomer) -> Result<Vec<Effect>, Refusal> {
        self.check(newcomer)?;
        let Newcomer { peer, place, is_v1, process, .. } = *newcomer;
        let name = self.free_name(peer, shown_name(&newcomer.name));
        let was_absent = if let Some(member) = self.member_mut(peer) {
            member.process = process;
            member.is_v1 = is_v1;
            // The peer may have changed its name in the meantime, and its address still has the old
            // one.
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
        // A stock client was not told about the absence, and would take the return for another
        // peer.
        let others = self.recipients(|member| member.id != peer && (member.is_v1 || !was_absent));
        let mut effects = vec![
            Effect::Tell { to: vec![peer], event: PeerEvent::IdAssigned(peer) },
            Effect::Tell { to: others, event: PeerEvent::NewPeer(peer) },
        ];
        effects.extend(self.show());
        Ok(effects)
    }

    /// Returns the name, with a number if another peer has it, so that no peer can pass for another
    /// one here.
    fn free_name(&self, peer: PeerId, name: String) -> String {
        let is_taken = |name: &str| {
            let mut others = self.members.iter().filter(|member| member.id != peer);
            others.any(|other| is_same_name(&other.name, name))
        };
        if name.is_empty() || !is_taken(&name) {
            return name;
        }
        // One of the numbers is free, because there are more of them than other peers.
        let numbers = 2..=self.members.len() + 2;
        let mut numbered = numbers.map(|number| numbered_name(&name, number));
        numbered.find(|name| !is_taken(name)).unwrap_or(name)
    }

    /// Removes the peer, and tells the other peers.
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
            // No player of the match is left who could report its end.
            self.finish();
        }
        let to = self.recipients(|_| true);
        let mut effects = vec![Effect::Tell { to, event: PeerEvent::PeerLeft(peer) }];
        effects.extend(self.show());
        effects
    }

    /// Marks a peer whose process seems to be dead as absent, unless it is absent already. The peer
    /// stays in the room for a while, and the other peers see that it is not connected. `absence`
    /// is a new number.
    pub(crate) fn mark_absent_unless_away(&mut self, peer: PeerId, absence: u64) -> Vec<Effect> {
        let is_here = self.member(peer).is_some_and(|member| member.absence.is_none());
        if is_here { self.mark_absent(peer, absence) } else { Vec::new() }
    }

    /// Marks a peer as absent whose connection broke at this process. Its absence begins now, even
    /// if another process took this one for dead and has already marked the peer as absent.
    pub(crate) fn mark_absent(&mut self, peer: PeerId, absence: u64) -> Vec<Effect> {
        let Some(member) = self.member_mut(peer) else { return Vec::new() };
        let was_here = member.absence.replace(absence).is_none();
        if was_here { self.show().into_iter().collect() } else { Vec::new() }
    }

    /// The connected members for which `fits` holds.
    fn recipients(&self, fits: impl Fn(&Member) -> bool) -> Vec<PeerId> {
        let hears = |member: &&Member| member.absence.is_none() && fits(member);
        self.members.iter().filter(hears).map(|member| member.id).collect()
    }

    /// Shows the room to every peer that understands it, if there is any.
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
    /// Returns whether it understands ownership, and is a player.
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
