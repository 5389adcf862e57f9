//! What a game and its log learn about a desync.

use std::fmt;

use bevy::prelude::Message;
use signaling::protocol::PeerId;

use super::Differing;
use crate::{diagnostics::SessionStats, input::Seat};

/// This peer and another one computed different worlds for the same confirmed frame, or have
/// different inputs before it.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DesyncDetected(pub DesyncReport);

/// What is known about a desync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesyncReport {
    /// The compared frame that differs. Every compared frame from the first difference on is
    /// reported; the cause lies at most one checksum interval before the first one.
    pub frame: u32,
    /// The peer whose frame differs from ours.
    pub peer: PeerId,
    /// The registered types whose values differ.
    pub types: Vec<String>,
    /// The seats whose inputs differ. Either the machine that holds such a seat gave that peer
    /// different inputs than us, or one of the two peers played with wrong ones. If this is empty,
    /// the simulation is not deterministic.
    pub seats: Vec<Seat>,
}

impl fmt::Display for DesyncReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { frame, peer, types, seats } = self;
        if !seats.is_empty() {
            let numbers: Vec<String> = seats.iter().map(|seat| seat.0.to_string()).collect();
            return write!(
                f,
                "desync: before frame {frame}, our inputs of seat {} differ from those that peer \
                 {peer} has: the machine that holds the seat gave different inputs to different \
                 peers.",
                numbers.join(", ")
            );
        }
        write!(
            f,
            "desync: our frame {frame} differs from that of peer {peer} in `{}`. ",
            types.join("`, `")
        )?;
        if *frame == 0 {
            f.write_str("`SetupMatch` already made different worlds. ")?;
        } else {
            f.write_str(
                "The cause lies at most one checksum interval before the first reported frame. ",
            )?;
        }
        f.write_str(
            "A sync test in chaos mode usually names the field. If it passes, see \"When two peers \
             disagree\" in netcode's README.",
        )
    }
}

impl DesyncReport {
    /// Names the types that differ. `hashed_names` are the names of our types, in order.
    pub(crate) fn new<'a>(
        hashed_names: impl Iterator<Item = &'a str>,
        frame: u32,
        peer: PeerId,
        differing: &Differing,
    ) -> Self {
        let names: Vec<&str> = hashed_names.collect();
        let name = |&index: &usize| {
            let name = names.get(index).copied().unwrap_or("a type that only one of us has");
            name.to_owned()
        };
        let types = differing.types.iter().map(name).collect();
        Self { frame, peer, types, seats: differing.seats.clone() }
    }

    /// Counts the desync, and logs the first one of a match, as every compared frame after it
    /// differs, too.
    pub(crate) fn count(&self, stats: &mut SessionStats) {
        if stats.desyncs == 0 {
            tracing::error!("{self}");
        }
        stats.desyncs += 1;
    }
}
