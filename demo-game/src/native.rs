//! What the game needs from its platform in a window. `page` has the same functions for the
//! browser.

use bevy::clipboard::Clipboard;

use crate::room_address::RoomAddress;

pub(crate) use crate::host::{Host, random_number};

/// Whether there is a window to close.
pub(crate) const CAN_QUIT: bool = true;
/// Whether the game can run a server that other players join.
pub(crate) const CAN_HOST: bool = true;

/// Whether touch is the usual input here: only in the browser of a phone or a tablet.
pub(crate) fn is_touch_first() -> bool {
    false
}

/// Copies `text` to the clipboard. Returns whether that worked.
pub(crate) fn copy_text(clipboard: &mut Clipboard, text: &str) -> Option<bool> {
    Some(clipboard.set_text(text).is_ok())
}

/// Whether the last copy worked, if that was not known at once: only in the browser.
pub(crate) fn copy_outcome() -> Option<bool> {
    None
}

/// What to send to a friend: the room's address, which the game accepts wherever it asks for a
/// room. The game does not know whether the server also serves the page.
pub(crate) fn invitation(address: &RoomAddress, _server: &str) -> String {
    address.url()
}

/// Returns the text on the clipboard if `is_asked`.
pub(crate) fn take_pasted_text(clipboard: &mut Clipboard, is_asked: bool) -> Option<String> {
    if is_asked { clipboard.fetch_text().poll_result()?.ok() } else { None }
}

/// Asks for text on a device without a keyboard: only in the browser.
pub(crate) fn ask_for_text(_caption: &str, _value: &str) -> Option<String> {
    None
}

/// Shows the room in the page's address: only in the browser.
pub(crate) fn show_room(_room: Option<&str>) {}

/// Keeps the name for the next visit: only in the browser.
pub(crate) fn remember_name(_name: &str) {}

/// The user name on this machine.
pub(crate) fn player_name() -> Option<String> {
    ["USER", "USERNAME"].iter().find_map(|variable| std::env::var(variable).ok())
}

/// The server that the page came from: only in the browser.
pub(crate) fn page_server() -> Option<String> {
    None
}
