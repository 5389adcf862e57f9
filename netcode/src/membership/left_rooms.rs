//! Rooms that we have left: their transports stay until our last messages are out.

use std::time::Duration;

use crate::transport::Transport;

/// The time for which a transport is kept after we left its room, so that the goodbye gets out.
const LINGER: Duration = Duration::from_millis(500);

/// Transports of rooms that we have left, and the time until which each stays.
#[derive(Default)]
pub(super) struct LeftRooms(Vec<(Box<dyn Transport>, Duration)>);

impl LeftRooms {
    /// Leaves a room.
    pub(super) fn push(&mut self, now: Duration, mut transport: Box<dyn Transport>) {
        transport.leave();
        self.0.push((transport, now + LINGER));
    }

    pub(super) fn forget_old(&mut self, now: Duration) {
        self.0.retain(|&(_, until)| now < until);
    }

    /// Blocks a program that is about to end until all peers can have received our goodbye.
    pub(super) fn see_out(&self) {
        self.0.iter().for_each(|(transport, _)| transport.see_out());
    }

    #[cfg(all(feature = "webrtc", target_arch = "wasm32"))]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
