//! What differs between native and browser: the WebSocket to the signaling server, and where futures run.

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(target_arch = "wasm32")]
pub(super) use browser::{Kept, Socket, keep, run};
#[cfg(not(target_arch = "wasm32"))]
pub(super) use native::{Kept, Socket, keep, run};

/// One thing that comes out of a [`Socket`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A text message.
    Text(String),
    /// Something that signaling does not use.
    Other,
    /// The connection is over, for this reason if the server gave one.
    Closed(Option<String>),
}
