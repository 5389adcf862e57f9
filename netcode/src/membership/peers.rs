//! The peers that we are connected to, and those of the room that we cannot reach.

use std::time::Duration;

use signaling::{
    lobby::{RoomPhase, RoomState},
    protocol::PeerId,
};

use super::link::{Link, RoomRole};
use crate::transport::MAX_PEERS;

/// One link for each connected peer, in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Peers {
    links: Vec<Link>,
    /// Peers of the room to which no connection could be made.
    unreachable: Vec<PeerId>,
    /// Whether any peer has been in the room with us.
    has_met: bool,
}

impl Peers {
    /// Forgets all of them: we are in another room.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A peer is connected. It needs a [link](Self::add) unless it has one.
    pub(super) fn note_connected(&mut self, peer: PeerId) {
        self.has_met = true;
        self.note_reachable(peer);
    }

    /// Adds the link of a connected peer.
    pub(super) fn add(&mut self, peer: PeerId) {
        self.links.push(Link::new(peer));
        self.links.sort_by_key(|link| link.peer);
    }

    /// Drops the link of a peer.
    pub(super) fn remove(&mut self, peer: PeerId) {
        self.links.retain(|link| link.peer != peer);
    }

    /// No connection to a peer of the room could be made.
    pub(super) fn note_unreachable(&mut self, peer: PeerId) {
        if self.unreachable.len() < MAX_PEERS && !self.unreachable.contains(&peer) {
            self.unreachable.push(peer);
        }
    }

    /// A peer is connected, or has left the server: either way it does not count as out of reach.
    pub(super) fn note_reachable(&mut self, peer: PeerId) {
        self.unreachable.retain(|&other| other != peer);
    }

    /// Peers that could not be reached will be tried again.
    pub(super) fn forget_unreachable(&mut self) {
        self.unreachable.clear();
    }

    /// The signaling server has lost a peer, or has it again.
    pub(super) fn note_at_server(&mut self, peer: PeerId, is_at_server: bool) {
        if let Some(link) = self.get_mut(peer) {
            link.is_at_server = is_at_server;
        }
    }

    /// We lost the signaling server, or reached it again. It does not say which peers came back to
    /// it before we did, so all of them count as being there.
    pub(super) fn note_all_at_server(&mut self) {
        for link in &mut self.links {
            link.is_at_server = true;
        }
    }

    /// Takes the roles of the peers in the room, as the server has them. `None` if the server does
    /// not say, or has not said for a while.
    pub(super) fn note_roles(&mut self, room: Option<&RoomState>) {
        for link in &mut self.links {
            let member = room.map(|room| room.member(link.peer));
            link.role = match member {
                None => RoomRole::Unknown,
                Some(None) => RoomRole::NotMember,
                Some(Some(member)) => RoomRole::Member(member.place),
            };
        }
        if let Some(room) = room {
            self.unreachable.retain(|&peer| is_out_of_reach(peer, room));
        }
    }

    /// Time passes in which the peers may be silent.
    pub(super) fn wait(&mut self, elapsed: Duration) {
        for link in &mut self.links {
            link.wait(elapsed);
        }
    }

    pub(super) fn get(&self, peer: PeerId) -> Option<&Link> {
        self.links.iter().find(|link| link.peer == peer)
    }

    pub(super) fn get_mut(&mut self, peer: PeerId) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.peer == peer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        self.links.iter_mut()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.links.len() >= MAX_PEERS
    }

    /// The number of peers of the room to which no connection could be made.
    pub(super) fn unreachable(&self) -> usize {
        self.unreachable.len()
    }

    /// Whether some peer was here, and all that are left have been silent for `silence`.
    pub(super) fn is_deserted(&self, silence: Duration) -> bool {
        self.has_met && self.links.iter().all(|link| link.silence() >= silence)
    }
}

/// Whether a peer to which no connection could be made still counts as unreachable. A peer that has
/// left the room does not. Nor does a peer that is playing a match: it opens no connection to us
/// before that is over.
fn is_out_of_reach(peer: PeerId, room: &RoomState) -> bool {
    let Some(member) = room.member(peer) else { return false };
    let plays = room.phase == RoomPhase::Playing && member.is_ready;
    member.is_here && !plays
}

#[cfg(test)]
pub(super) mod tests {
    use signaling::lobby::{Place, RoomMember};

    use super::*;

    fn peer(number: u128) -> PeerId {
        PeerId::from_u128(number)
    }

    /// A room with these members, each of them ready or not.
    pub(in crate::membership) fn room(phase: RoomPhase, members: &[(PeerId, bool)]) -> RoomState {
        let member = |&(id, is_ready)| RoomMember {
            id,
            name: String::new(),
            place: Place::Player,
            is_ready,
            is_here: true,
        };
        RoomState { phase, members: members.iter().map(member).collect(), ..RoomState::default() }
    }

    #[test]
    fn links_are_in_the_order_of_ids() {
        let mut peers = Peers::default();
        [3, 1, 2].map(peer).into_iter().for_each(|peer| peers.add(peer));
        let ids = |peers: &Peers| peers.iter().map(|link| link.peer).collect::<Vec<_>>();
        assert_eq!(ids(&peers), [1, 2, 3].map(peer));
        peers.remove(peer(2));
        assert_eq!(ids(&peers), [1, 3].map(peer));
        assert!(peers.get(peer(2)).is_none() && !peers.is_full());
        (4..).map(peer).take(MAX_PEERS - 2).for_each(|peer| peers.add(peer));
        assert!(peers.is_full());
    }

    #[test]
    fn a_peer_that_plays_or_has_left_is_not_out_of_reach() {
        let mut peers = Peers::default();
        [1, 2, 3].map(peer).into_iter().for_each(|peer| peers.note_unreachable(peer));
        let members = [(peer(1), true), (peer(2), false)];
        peers.note_roles(None);
        assert_eq!(peers.unreachable, [1, 2, 3].map(peer));
        peers.note_roles(Some(&room(RoomPhase::Lobby, &members)));
        assert_eq!(peers.unreachable, [1, 2].map(peer));
        peers.note_roles(Some(&room(RoomPhase::Playing, &members)));
        assert_eq!(peers.unreachable, [peer(2)]);
    }
}
