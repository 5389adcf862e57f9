//! The server's news of the room, checked for what a server may say, and kept until the transport
//! takes it.

use signaling::{
    lobby::{Denial, MAX_NAME_CHARS, RoomEvent, RoomListing, RoomState, ServiceState, is_tag},
    protocol::is_room_name,
};

/// At most this many members of a room: more than any server of ours lets in unless its owner wants
/// large rooms, and few enough to look through in each frame.
const MAX_MEMBERS: usize = 256;
/// At most this many denials are kept: a player reads the latest one.
const MAX_DENIALS: usize = 16;
/// At most this many rooms of a list: ten times what fits a screen.
const MAX_LISTED: usize = 256;

/// News of the room. Only the latest state of the room matters.
#[derive(Debug, Default)]
pub(super) struct RoomNews {
    state: Option<RoomState>,
    service: Option<ServiceState>,
    denials: Vec<Denial>,
}

impl RoomNews {
    /// Keeps a message of the server. Returns false if no server of ours sends it to a peer in a
    /// room.
    pub(super) fn push(&mut self, event: RoomEvent) -> bool {
        match event {
            RoomEvent::Room(state) if is_sound(&state) => self.state = Some(state),
            RoomEvent::Service(service) => self.service = Some(service),
            RoomEvent::Denied(denial) => {
                if self.denials.len() < MAX_DENIALS {
                    self.denials.push(denial);
                }
            }
            RoomEvent::Room(_) | RoomEvent::Resume(_) | RoomEvent::Rooms(_) => return false,
        }
        true
    }

    /// Takes what is new since the last call, denials last: if the server has sent the state that
    /// explains a denial, that state comes first.
    pub(super) fn take(&mut self) -> impl Iterator<Item = RoomEvent> + use<> {
        let Self { state, service, denials } = std::mem::take(self);
        let state = state.map(RoomEvent::Room).into_iter();
        let service = service.map(RoomEvent::Service);
        state.chain(service).chain(denials.into_iter().map(RoomEvent::Denied))
    }
}

fn is_sound(state: &RoomState) -> bool {
    is_room_name(&state.name)
        && is_tag(&state.game)
        && is_tag(&state.version)
        && state.members.len() <= MAX_MEMBERS
        && state.members.iter().all(|member| is_name(&member.name))
}

fn is_name(name: &str) -> bool {
    name.chars().count() <= MAX_NAME_CHARS && !name.chars().any(char::is_control)
}

/// Returns the rooms of a list that can be shown.
pub(in crate::transport) fn sound_listings(mut rooms: Vec<RoomListing>) -> Vec<RoomListing> {
    rooms.retain(|room| is_room_name(&room.name) && is_tag(&room.version) && is_name(&room.owner));
    rooms.truncate(MAX_LISTED);
    rooms
}

#[cfg(test)]
mod tests {
    use signaling::{
        lobby::{Place, RoomMember},
        protocol::PeerId,
    };

    use super::*;

    fn room(members: usize, name: &str) -> RoomState {
        let member = |number| RoomMember {
            id: PeerId::from_u128(number as u128),
            name: name.into(),
            place: Place::Player,
            is_ready: false,
            is_here: true,
        };
        RoomState {
            name: "den".into(),
            members: (0..members).map(member).collect(),
            ..RoomState::default()
        }
    }

    #[test]
    fn only_the_latest_state_is_kept_and_few_denials() {
        let mut news = RoomNews::default();
        for members in 1..=2 {
            assert!(news.push(RoomEvent::Room(room(members, "Ann"))));
        }
        for _ in 0..1000 {
            assert!(news.push(RoomEvent::Denied(Denial::NotOwner)));
        }
        let told: Vec<_> = news.take().collect();
        assert_eq!(told.len(), 1 + MAX_DENIALS);
        assert_eq!(told[0], RoomEvent::Room(room(2, "Ann")));
        assert_eq!(news.take().count(), 0);
    }

    #[test]
    fn messages_that_no_server_of_ours_sends_are_dropped() {
        let mut news = RoomNews::default();
        for odd in [
            room(MAX_MEMBERS + 1, "Ann"),
            room(1, &"x".repeat(MAX_NAME_CHARS + 1)),
            room(1, "a\nb"),
            RoomState { name: "a/b".into(), ..room(1, "Ann") },
            RoomState { game: "x".repeat(1000), ..room(1, "Ann") },
        ] {
            assert!(!news.push(RoomEvent::Room(odd)));
        }
        assert!(!news.push(RoomEvent::Rooms(Vec::new())));
        assert_eq!(news.take().count(), 0);
    }
}
