//! The list of public rooms, for games that show it.

use bevy::prelude::{DetectChangesMut, Message, MessageReader, Res, ResMut, Resource};
use signaling::lobby::RoomListing;

use crate::{
    config::NetcodeConfig,
    transport::{Lister, TransportError},
};

/// Request: show the public rooms of this game in [`RoomList`], or stop doing so.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub enum ListRooms {
    /// Show the rooms of the server at this address: `ws://host:3536`, or the address of any room
    /// on that server.
    Of(String),
    /// Stop showing the list.
    Stop,
}

/// Resource: the public rooms of this game, refreshed every two seconds from [`ListRooms::Of`] to
/// [`ListRooms::Stop`].
#[derive(Resource, Debug, Default)]
pub struct RoomList {
    /// The rooms, in the server's order; `None` until it has answered, and after
    /// [`ListRooms::Stop`].
    pub rooms: Option<Vec<RoomListing>>,
    /// Why the server has not answered, if there is a problem. It is asked again every few seconds.
    pub error: Option<TransportError>,
    lister: Option<Lister>,
}

impl RoomList {
    fn update(&mut self, told: Result<Vec<RoomListing>, TransportError>) {
        match told {
            Ok(rooms) => (self.rooms, self.error) = (Some(rooms), None),
            Err(error) => (self.rooms, self.error) = (None, Some(error)),
        }
    }
}

/// Starts and stops fetching the list, and takes new answers.
pub(crate) fn list_rooms(
    mut requests: MessageReader<ListRooms>,
    mut list: ResMut<RoomList>,
    config: Res<NetcodeConfig>,
) {
    if let Some(request) = requests.read().last() {
        *list = RoomList::default();
        if let ListRooms::Of(server) = request {
            match Lister::open(server, &config.game_id) {
                Ok(lister) => list.lister = Some(lister),
                Err(error) => list.error = Some(error),
            }
        }
    }
    let told = list.bypass_change_detection().lister.as_ref().and_then(Lister::take);
    if let Some(told) = told {
        list.update(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_shows_the_latest_answer_or_error() {
        let mut list = RoomList::default();
        list.update(Ok(Vec::new()));
        assert_eq!((list.rooms.as_deref(), &list.error), (Some([].as_slice()), &None));
        list.update(Err(TransportError::Closed));
        assert_eq!((list.rooms.as_deref(), &list.error), (None, &Some(TransportError::Closed)));
    }
}
