//! The player's settings: name, server, and the choices for the next match.

use bevy::prelude::*;

use crate::platform;

/// The player's settings. They outlive rooms and matches.
#[derive(Resource, Clone, Default, Debug)]
pub(crate) struct Settings {
    /// The name that others see.
    pub(crate) name: String,
    /// The signaling server for rooms given by code.
    pub(crate) server: String,
    /// STUN servers to use instead of those that the signaling server hands out.
    pub(crate) stun_servers: Option<Vec<String>>,
    /// Whether to go through TURN servers only.
    pub(crate) is_relay_only: bool,
    /// The room to enter at the start.
    pub(crate) room: Option<String>,
    /// Whether to open a room on this machine at the start.
    pub(crate) is_host: bool,
    /// Makes the player ready automatically as soon as this many players are in the room, if set.
    pub(crate) ready_at: Option<u8>,
    /// Number of bots to play against.
    pub(crate) bots: u8,
    /// Whether new rooms are listed from the start.
    pub(crate) is_public: bool,
    /// Number of players of a quick match.
    pub(crate) strangers: u8,
}

impl Settings {
    /// Takes over a name that was typed, for now and for the next visit.
    pub(super) fn take_name(&mut self, typed: Option<String>) {
        if let Some(name) = typed.filter(|name| !name.is_empty() && *name != self.name) {
            platform::remember_name(&name);
            self.name = name;
        }
    }
}
