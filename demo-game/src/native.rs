//! What only the native game asks of its platform; `web` answers the same questions in the browser.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::screens::RoomAddress;

/// Whether there is a window to close.
pub(crate) const CAN_QUIT: bool = true;
/// Whether text can be put onto the clipboard.
pub(crate) const CAN_COPY: bool = false;

/// A number that nobody can foresee: for room codes and seeds of local matches.
pub(crate) fn random_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Puts `text` onto the clipboard: only in the browser.
pub(crate) fn copy_text(_text: &str) {}

/// What a friend is told: the room's address, which the game takes wherever it asks for a room. Whether the server
/// also has the page is not known here.
pub(crate) fn invitation(address: &RoomAddress) -> String {
    address.url()
}

/// Text that was pasted since the last call: only in the browser.
pub(crate) fn take_pasted_text() -> Option<String> {
    None
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

/// Adds what only a page needs: nothing here.
pub(crate) fn add_page(_app: &mut bevy::prelude::App) {}
