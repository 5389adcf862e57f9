//! The room that we are in, as the server has it: what it says of the room, and what a game asks it
//! for.

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

/// The room that we are in, as the server told it last.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Who is in it, who owns it, and on which terms others come in. `None` outside of rooms, and with a server that knows none of this.
    pub state: Option<RoomState>,
    /// The server has lost its store of rooms: nobody can come or change anything until it has it again. Matches go on.
    pub is_impaired: bool,
    /// The owner of the room removed us while we play a match that it is not in. The match goes on,
    /// and we leave the room when it is over.
    pub is_removed: bool,
}

impl Room {
    /// Whether this peer owns the room: see [`RoomState::owner`].
    #[must_use]
    pub fn is_owner(&self, peer: PeerId) -> bool {
        self.state.as_ref().and_then(|state| state.owner) == Some(peer)
    }
}

/// Request: ask the server for something in the room. What it does not do comes back as a [`RoomDenied`].
///
/// The plugin itself asks for `SetReady`, `Start` and `Finish`, as the session goes: leave them to it. Names are changed by
/// [`Rename`](crate::Rename), of which the other peers hear as well, and places by [`SetSpectating`](crate::SetSpectating).
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct AskRoom(pub RoomRequest);

/// The server does not do what was asked for by [`AskRoom`] or [`SetSpectating`](crate::SetSpectating).
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

    /// Follows what the server tells.
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
            // Neither comes this far.
            RoomEvent::Resume(_) | RoomEvent::Rooms(_) => {}
        }
    }

    /// Notes that we leave the room, from which we were removed, after the match.
    pub(crate) fn be_removed(&mut self) {
        self.room.is_removed = true;
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.room.is_removed
    }

    /// We are in no room.
    pub(crate) fn forget(&mut self) {
        if *self.room != Room::default() {
            *self.room = Room::default();
        }
    }
}

/// What we are called in the room, with a number behind our `name`, because another member has that
/// already.
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
    fn a_name_that_another_member_has_is_ours_with_a_number() {
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
        assert_eq!(name_in(&room, ANN, "Ann"), None, "it has it");
        assert_eq!(name_in(&room, BOB, "Bob"), None, "the server will hear of it");
        room.members[1].name = "Bob".into();
        assert_eq!(name_in(&room, BOB, "Ann"), None, "the server has not heard of it yet");
        room.members[1].name = "Ann 2".into();
        room.members[0].name = "Zoe".into();
        assert_eq!(name_in(&room, BOB, "Ann"), None, "it is free again");
    }
}
