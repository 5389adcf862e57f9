//! What the player brings along: name, server, and what was chosen for the next match.

use bevy::prelude::*;

use crate::platform;

/// What the player brings along: it outlives rooms and matches.
#[derive(Resource, Clone, Default, Debug)]
pub(crate) struct Settings {
    /// The name that others see.
    pub(crate) name: String,
    /// The signaling server of rooms that are given by code.
    pub(crate) server: String,
    /// STUN servers to use instead of what the signaling server hands out.
    pub(crate) stun_servers: Option<Vec<String>>,
    /// Whether to go through TURN servers only.
    pub(crate) is_relay_only: bool,
    /// The room to enter at the start.
    pub(crate) room: Option<String>,
    /// Whether to open a room on this machine at the start.
    pub(crate) is_host: bool,
    /// Be ready by itself as soon as this many players are in the room, if set.
    pub(crate) ready_at: Option<u8>,
    /// Bots to play against.
    pub(crate) bots: u8,
    /// Whether new rooms are listed from the beginning.
    pub(crate) is_public: bool,
    /// Players of a quick match.
    pub(crate) strangers: u8,
}

impl Settings {
    /// Takes over the name that was typed, if there is one, for this and for the next visit.
    pub(super) fn take_name(&mut self, typed: Option<String>) {
        if let Some(name) = typed.filter(|name| !name.is_empty() && *name != self.name) {
            platform::remember_name(&name);
            self.name = name;
        }
    }
}
