//! What the game needs from its platform in a browser: the functions of `web/page.js`. `native` has
//! the same functions for a window.
//!
//! The page's object `page` is called by name, so a missing function returns `undefined` and never
//! panics.

use bevy::clipboard::Clipboard;
use js_sys::{Array, Function, Reflect};
use wasm_bindgen::{JsCast, JsValue};

use crate::room_address::RoomAddress;

/// Whether there is a window to close: a page cannot close itself.
pub(crate) const CAN_QUIT: bool = false;
/// Whether the game can run a server that other players join: a page cannot listen.
pub(crate) const CAN_HOST: bool = false;

/// A server in the game. A page has none; the native game's is in `host`.
#[derive(Debug)]
pub(crate) enum Host {}

impl Host {
    pub(crate) fn start() -> Result<Self, &'static str> {
        Err("a page cannot host a room: use the native game")
    }

    pub(crate) fn server(&self) -> String {
        match *self {}
    }

    pub(crate) fn room(&self) -> &str {
        match *self {}
    }

    pub(crate) fn is_in_network(&self) -> bool {
        match *self {}
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        match *self {}
    }

    pub(crate) fn link(&self) -> Option<String> {
        match *self {}
    }
}

/// What to send to a friend: the link to this page and room. `server` is the server that this page
/// uses by default.
pub(crate) fn invitation(address: &RoomAddress, server: &str) -> String {
    text(&call("link", &[&address.within(server)])).unwrap_or_else(|| address.url())
}

/// Whether touch is the usual input here, as on a phone.
pub(crate) fn is_touch_first() -> bool {
    let window = js_sys::global();
    let Ok(Ok(ask)) = Reflect::get(&window, &"matchMedia".into()).map(JsCast::dyn_into::<Function>)
    else {
        return false;
    };
    let answer = ask.call1(&window, &"(pointer: coarse)".into());
    let matches = answer.and_then(|answer| Reflect::get(&answer, &"matches".into()));
    matches.is_ok_and(|matches| matches.is_truthy())
}

/// Calls a function of the page.
pub(crate) fn call(function: &str, arguments: &[&str]) -> JsValue {
    let page = Reflect::get(&js_sys::global(), &"page".into()).unwrap_or(JsValue::UNDEFINED);
    let Ok(Ok(function)) = Reflect::get(&page, &function.into()).map(JsCast::dyn_into::<Function>)
    else {
        return JsValue::UNDEFINED;
    };
    let arguments: Array = arguments.iter().map(|argument| JsValue::from_str(argument)).collect();
    function.apply(&page, &arguments).unwrap_or(JsValue::UNDEFINED)
}

/// The text that the page returned; `None` if it is empty or not a text.
pub(crate) fn text(value: &JsValue) -> Option<String> {
    value.as_string().filter(|text| !text.is_empty())
}

/// A parameter of the page's address: empty if it has no value, `None` if it is missing.
pub(crate) fn query(name: &str) -> Option<String> {
    queries(name).into_iter().next()
}

pub(crate) fn queries(name: &str) -> Vec<String> {
    let values = call("query", &[name]);
    Array::from(&values).iter().filter_map(|value| value.as_string()).collect()
}

/// Returns an unpredictable number: for seeds of local matches.
pub(crate) fn random_number() -> u64 {
    (0..4).fold(0, |number, _| number << 16 | (js_sys::Math::random() * 65536.0) as u64)
}

/// Copies `text` to the clipboard. [`copy_outcome`] reports later whether that worked.
pub(crate) fn copy_text(_clipboard: &mut Clipboard, text: &str) -> Option<bool> {
    call("copy", &[text]);
    None
}

/// Whether the text that was copied last is on the clipboard; `None` until that is known.
pub(crate) fn copy_outcome() -> Option<bool> {
    call("copied", &[]).as_bool()
}

/// Returns the text that was pasted since the last call. The browser reports it in an event,
/// whichever keys were used.
pub(crate) fn take_pasted_text(_clipboard: &mut Clipboard, _is_asked: bool) -> Option<String> {
    text(&call("takePasted", &[]))
}

/// Asks for text in a prompt, because a canvas brings up no on-screen keyboard.
pub(crate) fn ask_for_text(caption: &str, value: &str) -> Option<String> {
    text(&call("ask", &[caption, value]))
}

/// Shows the room in the page's address, so that the address serves as the link.
pub(crate) fn show_room(room: Option<&str>) {
    call("showRoom", &[room.unwrap_or_default()]);
}

/// Keeps the name for the next visit.
pub(crate) fn remember_name(name: &str) {
    call("rememberName", &[name]);
}

/// The name used on the last visit.
pub(crate) fn player_name() -> Option<String> {
    text(&call("playerName", &[]))
}

/// The server that the page came from.
pub(crate) fn page_server() -> Option<String> {
    text(&call("server", &[]))
}
