//! What drives a match: which frames are simulated, and with which inputs.

use bevy::prelude::World;
use signaling::protocol::PeerId;

use super::{game::Match, live::Live, sync_test::Run};
use crate::{input::GameInput, packed_input::PackedInput};

/// Where the inputs of a match come from.
pub(super) enum Source {
    /// From this machine and its peers, as the match is played.
    Live(Live),
    /// From this machine; each frame is simulated more than once.
    SyncTest(Box<Run>),
}

impl Source {
    pub(super) fn is_sync_test(&self) -> bool {
        matches!(self, Self::SyncTest(_))
    }

    /// Frames whose inputs may be known although the frames are not final.
    pub(super) fn ahead(&self) -> usize {
        match self {
            Self::Live(live) => live.ahead() as usize,
            Self::SyncTest(_) => 0,
        }
    }

    /// The number of steps to take in an update in which `due` are due.
    pub(super) fn steps(&mut self, due: u32) -> u32 {
        match self {
            Self::Live(_) => due,
            Self::SyncTest(run) => run.steps(due),
        }
    }

    /// Simulates one new frame with these inputs of this machine. Returns false if that cannot be
    /// done now, or if it ended the match.
    pub(super) fn step<I: GameInput>(
        &mut self,
        game: &mut Match<I>,
        pressed: &[PackedInput],
        world: &mut World,
    ) -> bool {
        match self {
            Self::Live(live) => live.step(game, world),
            Self::SyncTest(run) => run.step(game, pressed, world),
        }
    }

    /// The oldest frame whose inputs are not all known, up to `frame`: everything before it is
    /// final.
    pub(super) fn oldest_open_frame(&self, frame: u32) -> u32 {
        match self {
            Self::Live(live) => live.oldest_open_frame().min(frame),
            Self::SyncTest(run) => frame.saturating_sub(run.max_depth()),
        }
    }

    /// The oldest frame whose inputs some machine may not have, up to `oldest_open`.
    pub(super) fn stable_frame(&self, oldest_open: u32) -> u32 {
        match self {
            Self::Live(live) => live.stable_frame().min(oldest_open),
            Self::SyncTest(_) => oldest_open,
        }
    }

    /// The other peers of the match, and where it ended for those that finished it; `u32::MAX` for
    /// those that did not.
    pub(super) fn ends(&self) -> Vec<(PeerId, u32)> {
        match self {
            Self::Live(live) => live.ends(),
            Self::SyncTest(_) => Vec::new(),
        }
    }

    /// The longest delay of a seat of this machine, in frames.
    pub(super) fn input_delay(&self) -> u8 {
        match self {
            Self::Live(live) => live.input_delay(),
            Self::SyncTest(_) => 0,
        }
    }
}
