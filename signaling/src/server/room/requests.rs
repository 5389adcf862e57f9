//! The owner of a room, and what its peers may change in it.

use super::{Claim, Effect, Member, Room};
use crate::{
    lobby::{Denial, Place, RoomPhase, RoomRequest, shown_name},
    protocol::PeerId,
};

/// Once this many peers have been removed from a room, somebody is attacking it with made-up
/// identities. From then on nobody new can enter, so that the number of identities to remember is
/// bounded and a ban holds for as long as the room exists.
const MAX_BANNED: usize = 64;

impl Room {
    /// Makes a peer that has entered the owner, if the room has no owner, or if the peer proves
    /// that it owned the room later than the current owner did.
    pub(super) fn claim_ownership(&mut self, peer: PeerId, claim: Option<Claim>) {
        let can_own = self.has_owner() && self.member(peer).is_some_and(Member::can_own);
        match claim {
            Some(Claim::Owner(reign)) if can_own && reign > self.reign => {
                // The room still counts as rebuilt: a later owner may be on its way, and a peer
                // that inherits the room now must not appear to be later than that one.
                (self.owner, self.reign) = (Some(peer), reign);
            }
            _ if can_own && self.owner.is_none() => self.set_owner(Some(peer)),
            _ => {}
        }
    }

    /// Passes the room on to this owner. In a rebuilt room, only a peer with proof advances the
    /// sequence of owners.
    pub(super) fn set_owner(&mut self, owner: Option<PeerId>) {
        self.owner = owner;
        if owner.is_some() && !self.is_rebuilt {
            self.reign = self.reign.saturating_add(1);
        }
    }

    /// Returns whether the room can have an owner: among strangers that were brought together,
    /// nobody has power over anybody else.
    fn has_owner(&self) -> bool {
        self.terms.group.is_none()
    }

    /// The peer that owns the room next: the first player that connected at `/v1/`, and during a
    /// match the first one that plays in it, so that nobody outside the match gets power over its
    /// players.
    pub(super) fn next_owner(&self) -> Option<PeerId> {
        if !self.has_owner() {
            return None;
        }
        let in_match = |member: &&Member| self.in_match.contains(&member.id);
        let mut candidates = self.members.iter().filter(|member| member.can_own());
        let next_owner = candidates.clone().find(in_match).or_else(|| candidates.next());
        next_owner.map(|next_owner| next_owner.id)
    }

    /// Does what a peer asks for.
    pub(crate) fn ask(
        &mut self,
        peer: PeerId,
        request: &RoomRequest,
    ) -> Result<Vec<Effect>, Denial> {
        let is_owner = self.owner == Some(peer);
        // In a room without an owner, every player may report the start and the end of the match.
        // That does no harm: the match belongs to its players, not to the server.
        let plays = self.in_match.is_empty() || self.in_match.contains(&peer);
        let speaks_for_match = is_owner
            || !self.has_owner() && plays && self.member(peer).is_some_and(Member::can_own);
        let of_owner = |may| if may { Ok(()) } else { Err(Denial::NotOwner) };
        match request {
            RoomRequest::Rename(name) => {
                let shown = shown_name(name);
                if shown.is_empty() || shown != name.trim() {
                    return Err(Denial::BadName);
                }
                let name = self.free_name(peer, shown);
                self.member_mut(peer).ok_or(Denial::NoSuchPeer)?.name = name;
            }
            RoomRequest::SetReady(is_ready) => {
                self.member_mut(peer).ok_or(Denial::NoSuchPeer)?.is_ready = *is_ready;
            }
            RoomRequest::SetPlace(place) => self.set_place(peer, *place)?,
            RoomRequest::SetLocked(is_locked) => {
                of_owner(is_owner)?;
                self.set_locked(*is_locked)?;
            }
            RoomRequest::SetPublic(is_public) => {
                of_owner(is_owner)?;
                self.is_public = *is_public;
            }
            RoomRequest::Kick(other) => {
                of_owner(is_owner)?;
                if self.in_match.contains(other) && !self.in_match.contains(&peer) {
                    return Err(Denial::Playing);
                }
                return self.kick(*other);
            }
            RoomRequest::Start => {
                of_owner(speaks_for_match)?;
                self.start()?;
            }
            RoomRequest::Finish => {
                of_owner(speaks_for_match)?;
                if self.phase != RoomPhase::Playing {
                    return Err(Denial::NotPlaying);
                }
                self.finish();
            }
        }
        Ok(self.show().into_iter().collect())
    }

    pub(super) fn finish(&mut self) {
        self.phase = RoomPhase::Lobby;
        self.in_match.clear();
        for member in &mut self.members {
            member.is_ready = false;
        }
    }

    /// This is allowed during a match, too: its players are already fixed, and the place is for the
    /// next match.
    fn set_place(&mut self, peer: PeerId, place: Place) -> Result<(), Denial> {
        let has_place = self.has_place(place);
        let member = self.member_mut(peer).ok_or(Denial::NoSuchPeer)?;
        if member.place != place {
            if !has_place {
                return Err(Denial::NoPlace);
            }
            (member.place, member.is_ready) = (place, false);
        }
        self.claim_ownership(peer, None);
        Ok(())
    }

    fn set_locked(&mut self, is_locked: bool) -> Result<(), Denial> {
        if !is_locked {
            if self.banned.len() >= MAX_BANNED {
                return Err(Denial::StaysLocked);
            }
            self.lost.clear();
        }
        self.is_locked = is_locked;
        Ok(())
    }

    pub(super) fn kick(&mut self, peer: PeerId) -> Result<Vec<Effect>, Denial> {
        if self.members.iter().all(|member| member.id != peer) {
            return Err(Denial::NoSuchPeer);
        }
        self.banned.push(peer);
        self.is_locked |= self.banned.len() >= MAX_BANNED;
        let mut effects = self.leave(peer);
        self.lost.retain(|&other| other != peer);
        effects.push(Effect::SendOff { peer });
        Ok(effects)
    }

    pub(super) fn start(&mut self) -> Result<(), Denial> {
        let is_ready = self.state().is_ready() && self.count(Place::Player) > 0;
        match self.phase {
            RoomPhase::Playing => Err(Denial::Playing),
            RoomPhase::Lobby if !is_ready => Err(Denial::NotReady),
            RoomPhase::Lobby => {
                self.phase = RoomPhase::Playing;
                let players = self.members.iter().filter(|member| member.place == Place::Player);
                self.in_match = players.map(|player| player.id).collect();
                Ok(())
            }
        }
    }
}
