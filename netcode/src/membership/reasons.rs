//! The reasons for refusals, endings and waiting, each a sentence that can be shown to a player.

use signaling::protocol::PeerId;
use thiserror::Error;

use super::conduct::Misconduct;
use crate::{packed_input::UnfitInput, transport::TransportError};

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EndReason {
    /// A player left the match.
    #[error("{name} left the match")]
    PeerLeft {
        /// The player's name.
        name: String,
    },
    /// Nothing was heard from a player for too long.
    #[error("the connection to {name} was lost")]
    PeerLost {
        /// The player's name.
        name: String,
    },
    /// The other machines did not hear this one for too long, and play on without it.
    #[error("this machine was away for too long: the others play on without you")]
    PutAway,
    /// A player's machine misbehaved, so that the match could not go on with it.
    #[error("{name} was removed from the match: {misconduct}")]
    PeerRemoved {
        /// The player's name.
        name: String,
        /// What it did.
        misconduct: Misconduct,
    },
    /// The room could not be entered, or the connection to it broke.
    #[error("{0}")]
    Transport(#[from] TransportError),
    /// The connection to the signaling server was lost while no other peer was in the room.
    #[error("the connection to the server was lost, and nobody else is here; try again")]
    SignalingLost,
    /// Not all players began the match in time.
    #[error("the match could not be started: a player's game took too long to load; try again")]
    StartTimedOut,
    /// The game gave an input that cannot be sent: see [`GameInput`](crate::GameInput).
    #[error("the match cannot be played: {0}")]
    UnfitInput(#[from] UnfitInput),
    /// A frame of a sync test came out differently when it was simulated again;
    /// [`SyncTestFailed`](crate::SyncTestFailed) and the log say more.
    #[error("the sync test failed: the log says where")]
    SyncTestFailed,
    /// The session could not be set up as asked.
    #[error("the match could not be started: {0}")]
    StartRefused(#[from] StartRefusal),
}

/// Why a match could not be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StartRefusal {
    /// No seat was asked for, or more seats than a match has.
    #[error("{seats} seats were asked for; 1 to {max} can play")]
    Seats {
        /// The number of seats that were asked for.
        seats: usize,
        /// The most seats that a match has.
        max: u8,
    },
    /// The sync test was to roll back no frames, or more than the prediction window has.
    #[error(
        "a sync test of depth {depth} was asked for; 1 to {max} frames fit the prediction window"
    )]
    SyncTestDepth {
        /// The depth that was asked for.
        depth: u8,
        /// The most frames that it can roll back.
        max: u8,
    },
    /// ggrs refused the settings, all of which were checked before: a fault in this crate.
    #[error("the settings do not fit together, which is a fault in netcode: please report it")]
    Settings,
}

/// Why a peer in the room cannot play with us.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The peer plays another game.
    #[error("{name} is playing a different game ({theirs})")]
    OtherGame {
        /// The peer's name.
        name: String,
        /// The id of its game.
        theirs: String,
    },
    /// The peer plays another version of the game.
    #[error(
        "{name} has version {theirs}, you have version {ours}: both need the same version to play \
         together"
    )]
    OtherVersion {
        /// The peer's name.
        name: String,
        /// Its version.
        theirs: String,
        /// Our version.
        ours: String,
    },
    /// The version is the same, but the simulation is not.
    #[error(
        "{name} has a different build of version {version}: both need the same build to play \
         together"
    )]
    OtherBuild {
        /// The peer's name.
        name: String,
        /// The version of both.
        version: String,
    },
    /// The peer misbehaved, and we have stopped listening to it.
    #[error(
        "{name} was removed: {misconduct}; to play, that player has to leave the room and come back"
    )]
    Removed {
        /// The peer's name.
        name: String,
        /// What it did.
        misconduct: Misconduct,
    },
    /// The peer has not agreed to any match for several seconds.
    #[error("{name} does not answer; to play, that player has to get ready again")]
    NoAnswer {
        /// The peer's name.
        name: String,
    },
    /// The peer speaks another version of the network protocol, so not even its name is known.
    #[error(
        "a player in this room has an incompatible version of the game: both need the same version \
         to play together"
    )]
    OtherProtocol,
}

/// Why the match does not start yet.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StartBlocker {
    /// Too few seats are taken.
    #[error("waiting for {} more {}", missing, if *missing == 1 { "player" } else { "players" })]
    TooFew {
        /// The number of seats that still have to be taken.
        missing: u8,
    },
    /// Too few seats are taken, and no connection could be made to some players in the room.
    #[error(
        "cannot connect to {players} other {} in this room: a firewall may be in the way; leaving \
         and coming back may help",
        if *players == 1 { "player" } else { "players" }
    )]
    Unreachable {
        /// The number of those players.
        players: u32,
    },
    /// Too few seats are taken, and no more players can be connected: the browser gives a page no
    /// more connections.
    #[error("this page has no connections left; load it again to meet more players")]
    OutOfConnections,
    /// We take no part: see [`SetSpectating`](crate::SetSpectating).
    #[error("you are sitting out: the others play without you")]
    Spectating,
    /// Too many seats are taken.
    #[error("too many players: at most {max} can play; a player has to leave")]
    TooMany {
        /// The most seats that a match has.
        max: u8,
    },
    /// We are not ready.
    #[error("press Ready when you want to play")]
    NotReady,
    /// Other players are not ready.
    #[error("waiting for {} to get ready", list_names(names))]
    OthersNotReady {
        /// Their names.
        names: Vec<String>,
    },
    /// Two players have no connection to each other. A match needs one between every two of its
    /// players.
    #[error(
        "waiting for {} and {} to reach each other; if that takes long, leaving and coming back \
         may help",
        names[0], names[1]
    )]
    OutOfReach {
        /// Their names; `you` for the player of this machine.
        names: [String; 2],
    },
    /// Other players have said that they are ready, but do not agree to any match. They are soon
    /// counted out, if enough players are left.
    #[error("waiting for an answer from {}", list_names(names))]
    NoAnswer {
        /// Their names.
        names: Vec<String>,
    },
    /// Other players are still in a match.
    #[error("waiting for {} to finish a match", list_names(names))]
    OthersInMatch {
        /// Their names.
        names: Vec<String>,
    },
}

/// The cause that a peer gives in its goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum GoodbyeCause {
    /// Of its own will.
    Leaving,
    /// Because this peer left.
    PeerLeft(PeerId),
    /// Because this peer was lost.
    PeerLost(PeerId),
    /// Because the match did not begin in time.
    StartTimedOut,
    /// Because this peer misbehaved.
    PeerRemoved(PeerId, Misconduct),
}

/// Names as a sentence lists them: `Ann`, `Ann and Bob`, `Ann, Bob and Cy`.
fn list_names(names: &[String]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blockers_list_names_as_a_sentence_does() {
        let all = ["Ann", "Bob", "Cy"].map(str::to_owned);
        assert_eq!(list_names(&[]), "");
        for (count, expected) in [(1, "Ann"), (2, "Ann and Bob"), (3, "Ann, Bob and Cy")] {
            let names = all[..count].to_vec();
            let [unready, silent, playing] = [
                StartBlocker::OthersNotReady { names: names.clone() },
                StartBlocker::NoAnswer { names: names.clone() },
                StartBlocker::OthersInMatch { names },
            ]
            .map(|blocker| blocker.to_string());
            assert_eq!(unready, format!("waiting for {expected} to get ready"));
            assert_eq!(silent, format!("waiting for an answer from {expected}"));
            assert_eq!(playing, format!("waiting for {expected} to finish a match"));
        }
    }
}
