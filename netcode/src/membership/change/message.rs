//! The messages by which machines agree on a change. The control channel carries them.

use serde::{Deserialize, Serialize};

use super::{
    value::{Clock, Occupant, Value},
    voters::Machines,
};
use crate::exchange::Stream;

/// Orders the attempts to decide about one epoch. Each belongs to one leader; the first round is 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct Ballot {
    pub(crate) round: u64,
    /// The number of the leader among the voters.
    pub(crate) leader: u8,
}

/// A change that a machine has itself seen to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Asked {
    /// Another occupant of a seat.
    Seat { seat: u8, occupant: Occupant },
    /// A pause, or its end.
    Clock(Clock),
}

impl Asked {
    /// What it is about: a seat, or the clock. A machine asks for one change of each at most.
    pub(super) fn subject(self) -> Option<u8> {
        match self {
            Self::Seat { seat, .. } => Some(seat),
            Self::Clock(_) => None,
        }
    }
}

/// What a leader is about to change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Wish {
    /// The machines whose seats may be given up. A machine that promises holds their inputs.
    pub(crate) leaving: Machines,
    /// The change does not take effect before this frame, so that frames before it need not be
    /// held. 0 if the change is not planned.
    pub(crate) first: u32,
}

/// What a machine knows as it promises to take part in no lower ballot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Promise {
    pub(crate) ballot: Ballot,
    pub(crate) accepted: Option<(Ballot, Value)>,
    /// The first frame that the machine has not exposed.
    pub(crate) exposed: u32,
    /// For each seat, the first frame for which the machine lacks the input.
    pub(crate) ends: Vec<u32>,
    /// For each seat, the hash of all inputs before that frame.
    pub(crate) hashes: Vec<u64>,
}

/// The last word of a machine about this match: a promise to every ballot from its own one on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Goodbye {
    pub(crate) promise: Promise,
    /// All inputs of all seats that the receiver may lack.
    pub(crate) last: Vec<Stream>,
    /// The seats are kept for a while.
    pub(crate) will_return: bool,
}

/// A message about the successor of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Message {
    /// The number of the epoch that is to be decided.
    pub(crate) epoch: u32,
    pub(crate) body: Body,
}

/// What a message says. All of it may arrive twice, late, or never.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Body {
    /// Any machine to all: I miss these machines, and see these changes to be asked for.
    Suspect { missing: Machines, asked: Vec<Asked> },
    /// The leader to all: take part in no lower ballot, hold, and say what you have.
    Prepare { ballot: Ballot, wish: Wish },
    /// A machine to all: I do.
    Promise(Promise),
    /// Any machine to all: I lack inputs from these frames on, one for each seat.
    Lack { ends: Vec<u32> },
    /// The answer: inputs that the receiver lacks.
    Fill { streams: Vec<Stream> },
    /// The leader to all: accept this.
    Accept { ballot: Ballot, value: Value },
    /// A machine to all: I have all inputs before the first frame of this value, and accept it.
    Accepted { ballot: Ballot, digest: u64 },
    /// Any machine to those that lag behind: this was decided, in this ballot.
    Install { ballot: Ballot, value: Value },
    /// A machine that leaves, to all.
    Goodbye(Goodbye),
}
