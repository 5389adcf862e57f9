//! What is said with the signaling server about rooms: the room that we are in, and the list of
//! public rooms.

mod room;
mod mirror;
mod room_list;

pub(crate) use mirror::{Agreed, Mirror, wish};
pub use room::{AskRoom, Room, RoomDenied};
pub(crate) use room::{RoomChange, name_in};
pub(crate) use room_list::list_rooms;
pub use room_list::{ListRooms, RoomList};
