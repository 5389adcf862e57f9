//! What the game asks of its platform in a window; `page` answers the same questions in the
//! browser.

use bevy::clipboard::Clipboard;

use crate::room_address::RoomAddress;

pub(crate) use crate::host::{Host, random_number};

/// Whether there is a window to close.
pub(crate) const CAN_QUIT: bool = true;
/// Whether others can join a server that runs in the game.
pub(crate) const CAN_HOST: bool = true;

/// Whether fingers are the usual way to point here: only in the browser of a phone or a tablet.
pub(crate) fn is_touch_first() -> bool {
    false
}

/// Puts `text` onto the clipboard; whether it is there now.
pub(crate) fn copy_text(clipboard: &mut Clipboard, text: &str) -> Option<bool> {
    Some(clipboard.set_text(text).is_ok())
}

/// How a copy went of which that was not known at once: only in the browser.
pub(crate) fn copy_outcome() -> Option<bool> {
    None
}

/// What a friend is told: the room's address, which the game takes wherever it asks for a room.
/// Whether the server also has the page is not known here.
pub(crate) fn invitation(address: &RoomAddress, _server: &str) -> String {
    address.url()
}

/// The text on the clipboard, if it is asked for.
pub(crate) fn take_pasted_text(clipboard: &mut Clipboard, is_asked: bool) -> Option<String> {
    if is_asked { clipboard.fetch_text().poll_result()?.ok() } else { None }
}

/// Asks for a text where no keyboard is: only in the browser.
pub(crate) fn ask_for_text(_caption: &str, _value: &str) -> Option<String> {
    None
}

/// Shows the room in the page's address: only in the browser.
pub(crate) fn show_room(_room: Option<&str>) {}

/// Keeps the name for the next visit: only in the browser.
pub(crate) fn remember_name(_name: &str) {}

/// The name of whoever sits here.
pub(crate) fn player_name() -> Option<String> {
    ["USER", "USERNAME"].iter().find_map(|variable| std::env::var(variable).ok())
}

/// The server that brought the page: only in the browser.
pub(crate) fn page_server() -> Option<String> {
    None
}
