//! One ggrs session: from the agreement to play until the match is over.
//!
//! ggrs owns the inputs of the match. Its own disconnect logic is never used (its timeout is set out of reach):
//! who is in the match is decided in `membership`.

mod delay;
mod drive;
mod finish;
mod input_hashes;
mod start;
mod sync_test;

use std::{marker::PhantomData, time::Duration};

use bevy::prelude::Resource;
use ggrs::{Config, P2PSession, PredictRepeatLast};
use signaling::protocol::PeerId;

use self::{delay::Delays, finish::Finish, input_hashes::InputHashes};
use crate::{input::GameInput, transport::SharedExchange};

pub(crate) use drive::{confirm, pace, set_input_delay, step};
pub(crate) use finish::Remains;
pub use finish::{Agreement, MatchEnd, MatchResult, PeerResult};
pub(crate) use start::manage_epoch;
pub use sync_test::{Divergence, DivergenceCause, SyncTest, SyncTestFailed, SyncTestFailure};

/// How ggrs is parameterised: states stay in our own store, peers are named by their id.
#[derive(Debug)]
pub(crate) struct GgrsConfig<I>(PhantomData<I>);

impl<I: GameInput> Config for GgrsConfig<I> {
    type Input = I;
    type InputPredictor = PredictRepeatLast;
    type State = ();
    type Address = PeerId;
}

/// The match that is running, or that just ran.
pub(crate) struct Epoch<I: GameInput> {
    kind: Kind<I>,
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
    /// The frame for which the inputs were read last: while the window is full the same frame is tried again, and ggrs
    /// has its inputs already.
    read_frame: Option<u32>,
    /// Whether all inputs that were read last are those of the frame before.
    are_held: bool,
    inputs: InputHashes,
    /// The frame up to which the match is final, and told of.
    settled: u32,
    finish: Finish,
}

impl<I: GameInput> Epoch<I> {
    /// Whether other machines play along.
    fn is_online(&self) -> bool {
        self.number != 0
    }
}

enum Kind<I: GameInput> {
    Match { session: Box<P2PSession<GgrsConfig<I>>>, exchange: SharedExchange, delays: Delays },
    SyncTest(Box<sync_test::Run<I>>),
}

/// What is due in this update.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct DueSteps(pub(crate) u32);
