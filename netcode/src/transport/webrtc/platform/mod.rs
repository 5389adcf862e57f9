//! What differs between native and browser: the WebSocket to the signaling server, and where
//! futures run.

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(target_arch = "wasm32")]
mod peer_connections;

#[cfg(target_arch = "wasm32")]
pub(in crate::transport) use browser::{Kept, Socket, hold_up, is_address, keep, resolve, run};
#[cfg(not(target_arch = "wasm32"))]
pub(in crate::transport) use native::{
    Connections, Kept, Socket, has_connections_left, hold_up, is_address, keep, resolve, run,
};
#[cfg(target_arch = "wasm32")]
pub(in crate::transport) use peer_connections::{Connections, has_connections_left};

/// How a connection ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::transport) struct Closing {
    /// The close code, if the server sent one.
    pub(in crate::transport) code: Option<u16>,
    /// The reason, if the server gave one.
    pub(in crate::transport) words: Option<String>,
}

impl Closing {
    fn new(code: u16, words: String) -> Self {
        Self { code: Some(code), words: Some(words).filter(|words| !words.is_empty()) }
    }
}

/// One thing that comes out of a [`Socket`].
#[derive(Debug, PartialEq, Eq)]
pub(in crate::transport) enum Incoming {
    /// A text message.
    Text(String),
    /// Something that signaling does not use.
    Other,
    /// The connection is over.
    Closed(Closing),
}
