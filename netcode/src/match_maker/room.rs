//! The room that we are in, as the server describes it, and what a game may ask of the server about
//! it.

use std::time::Duration;

use bevy::{
    ecs::system::SystemParam,
    prelude::{Message, MessageWriter, Res, ResMut, Resource},
};
use signaling::{
    lobby::{Denial, RoomEvent, RoomRequest, RoomState, ServiceState, is_same_name, numbered_name},
    protocol::PeerId,
};

use super::mirror::Mirror;

/// Resource: the room that we are in, as the server last described it.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// The members, the owner, and the terms on which other players can join. `None` outside of a
    /// room, and with a server that does not describe rooms.
    pub state: Option<RoomState>,
    /// Whether the server has lost its store of rooms: until the store is back, no player can join
    /// or change anything. Matches go on.
    pub is_impaired: bool,
    /// Whether the owner has removed us from the room while we play a match that the owner is not
    /// in. The match goes on, and we leave the room when it is over.
    pub is_removed: bool,
}

impl Room {
    /// Returns whether this peer owns the room: see [`RoomState::owner`].
    #[must_use]
    pub fn is_owner(&self, peer: PeerId) -> bool {
        self.state.as_ref().and_then(|state| state.owner) == Some(peer)
    }
}

/// Request: ask the server to change something in the room. If the server refuses, the answer is a
/// [`RoomDenied`].
///
/// Do not send `SetReady`, `Start` or `Finish`: the plugin itself sends them as the session
/// proceeds. To change the name, use [`Rename`](crate::Rename), which the other peers receive as
/// well; to change the place, use [`SetSpectating`](crate::SetSpectating).
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct AskRoom(pub RoomRequest);

/// The server refused a request that was made with [`AskRoom`] or
/// [`SetSpectating`](crate::SetSpectating).
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomDenied(pub Denial);

/// What [`RoomChange::apply`] changes.
#[derive(SystemParam)]
pub(crate) struct RoomChange<'w> {
    room: ResMut<'w, Room>,
    mirror: Res<'w, Mirror>,
    denied: MessageWriter<'w, RoomDenied>,
}

impl RoomChange<'_> {
    pub(crate) fn state(&self) -> Option<&RoomState> {
        self.room.state.as_ref()
    }

    /// Applies the server's news of the room.
    pub(crate) fn apply(&mut self, now: Duration, event: RoomEvent) {
        match event {
            RoomEvent::Room(state) => self.room.state = Some(state),
            RoomEvent::Service(service) => {
                self.room.is_impaired = service == ServiceState::Impaired;
            }
            RoomEvent::Denied(denial) => {
                if !self.mirror.explains(now, denial) {
                    self.denied.write(RoomDenied(denial));
                }
            }
            // Other parts handle these two before they get here.
            RoomEvent::Resume(_) | RoomEvent::Rooms(_) => {}
        }
    }

    /// Notes that we were removed from the room, and have to leave it after the match.
    pub(crate) fn be_removed(&mut self) {
        self.room.is_removed = true;
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.room.is_removed
    }

    /// Notes that we are in no room.
    pub(crate) fn forget(&mut self) {
        if *self.room != Room::default() {
            *self.room = Room::default();
        }
    }
}

/// Our name in the room, if the server has added a number to our `name` because another member
/// already has that name.
pub(crate) fn name_in<'a>(room: &'a RoomState, us: PeerId, name: &str) -> Option<&'a str> {
    let mut others = room.members.iter().filter(|member| member.id != us);
    let is_taken = others.any(|other| is_same_name(&other.name, name));
    let given = &*room.member(us).filter(|_| is_taken)?.name;
    let mut numbers = 2..=room.members.len() + 1;
    numbers.any(|number| numbered_name(name, number) == given).then_some(given)
}

#[cfg(test)]
mod tests {
    use signaling::lobby::{Place, RoomMember, RoomPhase};

    use super::*;

    const ANN: PeerId = PeerId::from_u128(1);
    const BOB: PeerId = PeerId::from_u128(2);

    fn member(id: PeerId, name: &str) -> RoomMember {
        let (name, place) = (name.into(), Place::Player);
        RoomMember { id, name, place, is_ready: false, is_here: true }
    }

    #[test]
    fn a_name_that_another_member_has_gets_a_number() {
        let mut room = RoomState {
            name: "den".into(),
            game: String::new(),
            version: String::new(),
            is_public: true,
            is_locked: false,
            phase: RoomPhase::Lobby,
            capacity: 4,
            spectators: 0,
            owner: Some(ANN),
            members: vec![member(ANN, "ANN"), member(BOB, "Ann 2")],
        };
        assert_eq!(name_in(&room, BOB, "Ann"), Some("Ann 2"));
        assert_eq!(name_in(&room, ANN, "Ann"), None, "no other member has the name");
        assert_eq!(name_in(&room, BOB, "Bob"), None, "no other member has this name");
        room.members[1].name = "Bob".into();
        assert_eq!(name_in(&room, BOB, "Ann"), None, "the server has not changed the name yet");
        room.members[1].name = "Ann 2".into();
        room.members[0].name = "Zoe".into();
        assert_eq!(name_in(&room, BOB, "Ann"), None, "it is free again");
    }
}
