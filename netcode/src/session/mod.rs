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

use bevy::prelude::{App, IntoScheduleConfigs, PreUpdate};
use ggrs::{Config, P2PSession, PredictRepeatLast};
use signaling::protocol::PeerId;

use self::{
    drive::{confirm, pace, set_input_delay, step},
    finish::Finish,
    input_hashes::InputHashes,
    requests::{follow_finishers, take_match_requests},
    start::manage_epoch,
};
use crate::{
    exchange::{Delays, SharedExchange},
    input::GameInput,
    membership::{receive, take_requests},
    packed_input::PackedInput,
    rollback::AppRollbackExt,
    schedules::NetcodeSystems,
};

pub(crate) use finish::Remains;
pub use finish::{Agreement, MatchEnd, MatchResult, PeerResult};
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

/// Adds the match, and drives it: how it begins, its steps, and how it ends.
pub(crate) fn plugin<I: GameInput>(app: &mut App) {
    app.init_resource::<MatchEnd>()
        .init_resource::<MatchResult>()
        .init_resource::<Remains>()
        .add_message::<SyncTestFailed>()
        // It keeps by itself what each simulation of a frame asked for.
        .allow_unregistered::<MatchEnd>()
        .add_systems(
            PreUpdate,
            (
                take_match_requests.after(take_requests).before(receive),
                (follow_finishers, manage_epoch::<I>).chain().after(receive),
            )
                .in_set(NetcodeSystems::Receive),
        )
        .add_systems(
            PreUpdate,
            (
                (pace, set_input_delay::<I>).chain().in_set(NetcodeSystems::Pace),
                step::<I>.in_set(NetcodeSystems::Step),
                confirm::<I>.in_set(NetcodeSystems::Confirm),
            ),
        );
}
