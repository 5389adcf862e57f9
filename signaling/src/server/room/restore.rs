//! A room whose changes were missed: what its peers are told about them, and how forgotten peers
//! are put back.

use super::{Effect, Member, Room};
use crate::{
    lobby::RoomPhase,
    protocol::{PeerEvent, PeerId},
};

impl Room {
    pub(crate) fn member(&self, id: PeerId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Returns whether the peer was removed by the owner.
    pub(crate) fn is_banned(&self, peer: PeerId) -> bool {
        self.banned.contains(&peer)
    }

    /// Returns the same room with only the members that stay.
    pub(crate) fn with_only(&self, stays: impl Fn(&Member) -> bool) -> Self {
        let mut room = self.clone();
        room.members.retain(&stays);
        room.in_match.retain(|&peer| self.member(peer).is_some_and(&stays));
        if room.owner.is_some_and(|owner| room.member(owner).is_none()) {
            room.set_owner(room.next_owner());
        }
        room
    }

    /// Returns the effects that bring the peers `to` up to date. They know the room as it was
    /// `before`, and have missed everything since.
    pub(crate) fn catch_up(&self, before: &Self, to: &[PeerId]) -> Vec<Effect> {
        let is_in = |room: &Self, id: PeerId| room.members.iter().any(|member| member.id == id);
        let came = self.members.iter().filter(|member| !is_in(before, member.id));
        let left = before.members.iter().filter(|member| !is_in(self, member.id));
        let events = left
            .map(|member| PeerEvent::PeerLeft(member.id))
            .chain(came.map(|member| PeerEvent::NewPeer(member.id)));
        let others = |event: &PeerEvent<()>| {
            let subject = match event {
                PeerEvent::NewPeer(peer) | PeerEvent::PeerLeft(peer) => Some(*peer),
                _ => None,
            };
            to.iter().copied().filter(|&peer| Some(peer) != subject).collect()
        };
        let mut effects: Vec<Effect> =
            events.map(|event| Effect::Tell { to: others(&event), event }).collect();
        if let Some(Effect::Show { to: recipients, state }) = self.show() {
            let to = recipients.into_iter().filter(|peer| to.contains(peer)).collect();
            effects.push(Effect::Show { to, state });
        }
        effects
    }

    /// Puts back the peers that were in the room as it was `before` and are `here`, and marks them
    /// as connected, unless another process has the peer or the peer was removed. Returns whether
    /// that changed anything.
    ///
    /// If strangers have opened another room with this name in the meantime, it becomes the old
    /// room again, with them in it.
    pub(crate) fn put_back(&mut self, before: &Self, here: &[PeerId]) -> bool {
        let was = self.clone();
        let is_made_again = self.members.iter().all(|member| before.member(member.id).is_none());
        let is_back = |member: &&Member| {
            here.contains(&member.id) && !was.is_banned(member.id) && !before.is_banned(member.id)
        };
        let mut back = before.members.iter().filter(is_back).peekable();
        if is_made_again && back.peek().is_some() {
            (self.is_public, self.is_locked) = (before.is_public, before.is_locked);
            (self.is_closed, self.phase) = (before.is_closed, before.phase);
            (self.incarnation, self.reign) = (before.incarnation, before.reign);
            self.is_rebuilt = before.is_rebuilt;
            self.in_match.clone_from(&before.in_match);
            self.banned.clone_from(&before.banned);
            self.lost.clone_from(&before.lost);
        }
        for member in back {
            match self.member_mut(member.id) {
                Some(present) if present.process == member.process => present.absence = None,
                Some(_) => {}
                None => {
                    let name = self.free_name(member.id, member.name.clone());
                    self.members.push(Member { name, absence: None, ..member.clone() });
                    if self.phase == RoomPhase::Playing && before.in_match.contains(&member.id) {
                        self.in_match.push(member.id);
                    }
                }
            }
        }
        let is_of_old = |owner: PeerId| before.member(owner).is_some();
        let owner = before.owner.filter(|&owner| self.member(owner).is_some());
        if owner.is_some() && !self.owner.is_some_and(is_of_old) {
            (self.owner, self.reign) = (owner, self.reign.max(before.reign));
        }
        *self != was
    }
}
