//! What is decided: who fills each seat from a frame on.

use serde::{Deserialize, Serialize};
use signaling::protocol::PeerId;
use xxhash_rust::xxh3::xxh3_64;

use crate::{codec::encode_into, exchange::SeatUse};

/// What fills a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Occupant {
    /// A machine, which gives inputs.
    Peer(PeerId),
    /// A bot of the simulation.
    Bot,
    /// Nobody: the seat is kept for this machine, and has neutral inputs.
    Away(PeerId),
    /// Nobody.
    Empty,
}

impl Occupant {
    /// What that means for the inputs of the seat.
    pub(crate) fn seat_use(self) -> SeatUse {
        match self {
            Self::Peer(_) => SeatUse::Played,
            Self::Away(_) => SeatUse::Kept,
            Self::Bot | Self::Empty => SeatUse::Unused,
        }
    }
}

/// Whether the simulation runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Clock {
    #[default]
    Runs,
    /// The player of this seat paused the match.
    PausedBy(u8),
    /// The match waits for machines that are away.
    Waits,
}

/// Why the roster changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Reason {
    /// The match begins: nothing was decided.
    Begin,
    /// A machine was missed.
    Missing,
    /// A machine said goodbye.
    Goodbye,
    /// The change was asked for.
    Asked,
    /// The machines that were missed came back before anything was decided.
    Unchanged,
}

/// One epoch: its roster, whether the simulation runs, and the frame at which it begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Value {
    /// Epochs are numbered; that of the line-up is 0.
    pub(crate) epoch: u32,
    /// The digest of the epoch before.
    pub(crate) parent: u64,
    /// The occupant of each seat. Their number stays the same for the whole match.
    pub(crate) seats: Vec<Occupant>,
    pub(crate) clock: Clock,
    /// The first frame with this roster: the one after the cut frame F.
    pub(crate) first: u32,
    /// The seats that a peer gives up, in order, each with the hash of all of its inputs before
    /// `first`: all machines play on with the same ones, whatever the peer sent to each.
    pub(crate) ended: Vec<(u8, u64)>,
    pub(crate) reason: Reason,
}

impl Value {
    /// The epoch with which a match begins.
    pub(crate) fn of_line_up(seats: Vec<Occupant>) -> Self {
        let ended = Vec::new();
        let clock = Clock::Runs;
        Self { epoch: 0, parent: 0, seats, clock, first: 0, ended, reason: Reason::Begin }
    }

    /// Identifies the value in the messages that do not carry it.
    pub(crate) fn digest(&self) -> u64 {
        let mut bytes = Vec::new();
        encode_into(self, &mut bytes).expect("it holds only plain values, which always encode");
        xxh3_64(&bytes)
    }

    /// Whether the same machines play as in `other`, by the same clock.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (&self.seats, self.clock) == (&other.seats, other.clock)
    }

    /// The machines that hold a seat, or for which one is kept, once for each seat.
    pub(super) fn machines(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.seats.iter().filter_map(|occupant| match occupant {
            Occupant::Peer(peer) | Occupant::Away(peer) => Some(*peer),
            Occupant::Bot | Occupant::Empty => None,
        })
    }

    /// The seats that a peer holds, in order.
    pub(super) fn peer_seats(&self) -> impl Iterator<Item = (u8, PeerId)> + '_ {
        (0..).zip(&self.seats).filter_map(|(seat, occupant)| match occupant {
            Occupant::Peer(peer) => Some((seat, *peer)),
            _ => None,
        })
    }

    /// The seats that peers hold here, and no longer hold in `next`.
    pub(super) fn given_up(&self, next: &[Occupant]) -> impl Iterator<Item = (u8, PeerId)> + '_ {
        let next = next.to_vec();
        self.peer_seats()
            .filter(move |&(seat, peer)| next.get(usize::from(seat)) != Some(&Occupant::Peer(peer)))
    }

    /// Whether `next`, from a peer, has the form of a value that may follow this one, whose digest
    /// is given. It begins at `limit` at the latest.
    pub(super) fn may_precede(&self, digest: u64, next: &Self, limit: u32) -> bool {
        let ended = next.ended.iter().map(|&(seat, _)| seat);
        Some(next.epoch) == self.epoch.checked_add(1)
            && next.parent == digest
            && next.seats.len() == self.seats.len()
            && (self.first..=limit).contains(&next.first)
            && ended.eq(self.given_up(&next.seats).map(|(seat, _)| seat))
            && next.peer_seats().next().is_some()
    }
}
