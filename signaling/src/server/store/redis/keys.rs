//! How what is in Redis is called, and what processes publish there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    protocol::PeerId,
    server::room::{Effect, ProcessId, Room},
};

/// Before all keys and channels, so that other programs can use the same Redis.
const PREFIX: &str = "signaling:";

pub(super) fn key(kind: &str, name: impl fmt::Display) -> String {
    format!("{PREFIX}{kind}:{name}")
}

/// A message on the channel of a room.
#[derive(Serialize, Deserialize)]
pub(super) enum Published {
    /// The room is like that now, or is no more. `by` is which change this is, of which process.
    Change { by: (ProcessId, u64), room: Option<Box<Room>>, effects: Vec<Effect> },
    /// A signal, a complete event, of one peer for another one.
    Signal { from: PeerId, to: PeerId, message: String },
}

impl Published {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("what is published is valid JSON")
    }
}
