//! The small server through which WebRTC peers find each other, speaking matchbox's protocol.
//!
//! It introduces the peers of a room to each other and serves the browser build of the game. Once
//! peers are connected, they no longer need the server. Without the `server` feature, only the wire
//! types and the arithmetic of rates remain.

#![forbid(unsafe_code)]

pub mod protocol;
pub mod lobby;
pub mod ice_servers;
pub mod rate;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod lan;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod platform;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod testing;

/// Keeps the README's example correct.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;
