//! One ggrs session: from the agreement to play until the match is over.
//!
//! ggrs owns the inputs of the match. Its own disconnect logic is never used (its timeout is set out of reach):
//! who is in the match is decided in `membership`.

mod drive;
mod finish;
mod input_hashes;
mod inputs;
mod requests;
mod start;
mod sync_test;

use std::{marker::PhantomData, time::Duration};

use ggrs::{Config, P2PSession, PredictRepeatLast};
use signaling::protocol::PeerId;

use self::{finish::Finish, input_hashes::InputHashes};
use crate::{
    exchange::{Delays, SharedExchange},
    packed_input::PackedInput,
};

pub(crate) use drive::{confirm, pace, set_input_delay, step};
pub(crate) use finish::Remains;
pub use finish::{Agreement, MatchEnd, MatchResult, PeerResult};
pub(crate) use requests::{follow_finishers, take_match_requests};
pub(crate) use start::manage_epoch;
pub use sync_test::{
    ConfirmationChange, Divergence, DivergenceCause, SyncTestFailed, SyncTestFailure,
};

/// How ggrs is parameterised: inputs are bytes, states stay in our own store, peers are named by
/// their id.
#[derive(Debug)]
pub(crate) struct GgrsConfig;

impl Config for GgrsConfig {
    type Input = PackedInput;
    type InputPredictor = PredictRepeatLast;
    type State = ();
    type Address = PeerId;
}

/// The match that is running, or that just ran, of a game with the input type `I`.
pub(crate) struct Epoch<I> {
    kind: Kind,
    /// 0 for a local match.
    number: u32,
    /// The frame that is simulated next.
    frame: u32,
    /// The first frame that was never simulated.
    newest: u32,
    began_at: Duration,
    /// The next frame on the checksum interval.
    next_checksum: u32,
    /// Components that are registered and do not roll back, of which somebody was warned.
    strays: Vec<&'static str>,
    /// Types with values that are not wholly in the checksum; each is logged once.
    opaque: Vec<&'static str>,
    /// The frame for which the inputs were read last: while the window is full the same frame is tried again, and ggrs
    /// has its inputs already.
    read_frame: Option<u32>,
    /// The inputs of this machine's seats as they were read last.
    pressed: Vec<PackedInput>,
    /// Bytes of the default input.
    default_length: usize,
    /// Whether all inputs that were read last are those of the frame before.
    are_held: bool,
    inputs: InputHashes,
    /// The frame up to which the match is final, and told of.
    settled: u32,
    finish: Finish,
    input: PhantomData<fn() -> I>,
}

impl<I> Epoch<I> {
    /// Whether other machines play along.
    fn is_online(&self) -> bool {
        self.number != 0
    }
}

enum Kind {
    Match { session: Box<P2PSession<GgrsConfig>>, exchange: SharedExchange, delays: Delays },
    SyncTest(Box<sync_test::Run>),
}
