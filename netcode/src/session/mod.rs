//! The session: a match from the agreement to play until it is over.
//!
//! A [`Match`] is the frames that are simulated, and a [`Source`] drives it: [`Live`](live::Live),
//! whose [`Engine`](engine::Engine) is ggrs, or a sync test. Read `game` first, then the two
//! sources, then how a match begins, runs and ends.

mod input_hashes;
mod rosters;
mod bots;
mod game;
mod engine;
mod live;
mod sync_test;
mod source;
mod inputs;
mod start;
mod drive;
mod finish;
mod requests;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bevy::prelude::{App, IntoScheduleConfigs, Messages, PreUpdate};

use self::{
    drive::{confirm, pace, pause_local, set_input_delay, step},
    finish::Finish,
    game::Match,
    inputs::Pressed,
    requests::{finish_with_peers, take_match_requests},
    source::Source,
    start::manage_match,
};
use crate::{
    input::{GameInput, PlayerInputs},
    membership::{SeatChanged, mirror_room, receive, take_requests},
    rollback::AppRollbackExt,
    schedules::NetcodeSystems,
};

pub use bots::BotInputs;
pub(crate) use finish::FinishedWorld;
pub use finish::{Agreement, MatchEnd, MatchResult, PeerResult};
pub use sync_test::{
    ConfirmationChange, Divergence, DivergenceCause, SyncTestFailed, SyncTestFailure,
};

/// The match that is running, or that has just ended, of a game with the input type `I`.
pub(crate) struct Session<I> {
    source: Source,
    game: Match<I>,
    pressed: Pressed,
    began_at: Duration,
    finish: Finish,
}

/// Adds the match, and drives it: how it begins, its steps, and how it ends.
pub(crate) fn plugin<I: GameInput>(app: &mut App) {
    app.init_resource::<MatchEnd>()
        .init_resource::<MatchResult>()
        .init_resource::<FinishedWorld>()
        .add_message::<SyncTestFailed>()
        .add_message::<SeatChanged>()
        // It keeps track by itself of what each simulation of a frame asked for.
        .allow_unregistered::<MatchEnd>()
        // Each frame begins without any, so there is never one of another frame to be read.
        .allow_unregistered::<Messages<SeatChanged>>()
        // Each frame begins with its own, in which bots replace theirs.
        .allow_unregistered::<PlayerInputs<I>>()
        .add_systems(
            PreUpdate,
            (
                take_match_requests.after(take_requests).before(receive),
                // The server learns of a match in the update in which it begins.
                (finish_with_peers, manage_match::<I>).chain().after(receive).before(mirror_room),
            )
                .in_set(NetcodeSystems::Receive),
        )
        .add_systems(
            PreUpdate,
            (
                (pace, set_input_delay::<I>, pause_local::<I>).chain().in_set(NetcodeSystems::Pace),
                step::<I>.in_set(NetcodeSystems::Step),
                confirm::<I>.in_set(NetcodeSystems::Confirm),
            ),
        );
}
