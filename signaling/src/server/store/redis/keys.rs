//! The names of keys in Redis, and the messages that processes publish there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    protocol::PeerId,
    server::room::{Effect, ProcessId, Room},
};

/// The prefix of all keys and channels, so that other programs can use the same Redis.
const PREFIX: &str = "signaling:";

pub(super) fn key(kind: &str, name: impl fmt::Display) -> String {
    format!("{PREFIX}{kind}:{name}")
}

/// A message on the channel of a room.
#[derive(Serialize, Deserialize)]
pub(super) enum Published {
    /// The room now has this state, or no longer exists. `by` is the process that made the change,
    /// and the number of the change.
    Change { by: (ProcessId, u64), room: Option<Box<Room>>, effects: Vec<Effect> },
    /// A signal, as a complete event, from one peer to another.
    Signal { from: PeerId, to: PeerId, message: String },
}

impl Published {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a published message is valid JSON")
    }
}
