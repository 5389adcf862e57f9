//! What we exchange with the signaling server about rooms: the state of the room that we are in,
//! and the list of public rooms.

mod room;
mod mirror;
mod room_list;

use bevy::prelude::{App, IntoScheduleConfigs, PreUpdate};

use self::room_list::list_rooms;
use crate::schedules::NetcodeSystems;

pub(crate) use mirror::{Agreed, Mirror, wish};
pub use room::{AskRoom, Room, RoomDenied};
pub(crate) use room::{RoomChange, name_in};
pub use room_list::{ListRooms, RoomList};

/// Adds the room and the list of rooms, and fetches the list if the game asks for it.
pub(crate) fn plugin(app: &mut App) {
    app.init_resource::<Room>()
        .init_resource::<Mirror>()
        .init_resource::<RoomList>()
        .add_message::<AskRoom>()
        .add_message::<RoomDenied>()
        .add_message::<ListRooms>()
        .add_systems(PreUpdate, list_rooms.in_set(NetcodeSystems::Receive));
}
