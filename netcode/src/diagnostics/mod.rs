//! Counters of the running session, for reports, overlays and tests.

#[cfg(feature = "overlay")]
pub(crate) mod overlay;

use std::time::Duration;

use bevy::prelude::Resource;

/// The window over which rates are measured: long enough to be steady, short enough to follow a change.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// What the session did so far, and how fast the network is being used. Reset when a match begins.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct SessionStats {
    /// Frames simulated for the first time.
    pub frames: u32,
    /// Frames for which all inputs are known.
    pub confirmed_frames: u32,
    /// How often an older frame was loaded.
    pub rollbacks: u32,
    /// Frames simulated again.
    pub resimulated_frames: u32,
    /// The deepest rollback, in frames.
    pub max_rollback: u32,
    /// The latest rollback, in frames.
    pub last_rollback: u32,
    /// Updates in which steps were due but not all taken, because the prediction window was full.
    pub stalls: u32,
    /// Desyncs found with any peer.
    pub desyncs: u32,
    /// Input delay in use, in frames.
    pub input_delay: u8,
    /// How far we are ahead of the peer that is furthest behind, in frames; negative when behind.
    pub lead_frames: f32,
    /// Packets sent in the last second on both channels, to all peers: datagrams, and the odd control message.
    pub datagrams_out_per_s: f32,
    /// Packets received in the last second on both channels, from all peers.
    pub datagrams_in_per_s: f32,
    /// Payload bytes sent in the last second, on both channels, to all peers; without the headers below WebRTC.
    pub bytes_out_per_s: f32,
    /// Payload bytes received in the last second, on both channels, from all peers.
    pub bytes_in_per_s: f32,
    /// Packets that were dropped, by reason.
    pub dropped: DroppedPackets,
}

/// Packets from peers that were dropped, one counter per reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedPackets {
    /// Larger than any packet of ours.
    pub oversized: u32,
    /// Not a packet of this version.
    pub malformed: u32,
    /// From a peer that has not said hello, or that was refused.
    pub stranger: u32,
    /// From an earlier or a later epoch.
    pub wrong_epoch: u32,
    /// More than the session can take between two frames.
    pub flooded: u32,
    /// Peers that came when there were too many to keep track of.
    pub crowded: u32,
}

impl DroppedPackets {
    /// All drops together.
    #[must_use]
    pub fn total(&self) -> u32 {
        let Self { oversized, malformed, stranger, wrong_epoch, flooded, crowded } = *self;
        oversized + malformed + stranger + wrong_epoch + flooded + crowded
    }
}

/// Counts events and bytes, and gives their rate over the last full window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RateMeter {
    window_start: Duration,
    events: u32,
    bytes: u64,
    rates: (f32, f32),
}

impl RateMeter {
    pub(crate) fn count(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes as u64;
    }

    /// (events per second, bytes per second).
    pub(crate) fn rates(&mut self, now: Duration) -> (f32, f32) {
        let elapsed = now.saturating_sub(self.window_start);
        if elapsed >= RATE_WINDOW {
            let seconds = elapsed.as_secs_f32();
            self.rates = (self.events as f32 / seconds, self.bytes as f32 / seconds);
            (self.window_start, self.events, self.bytes) = (now, 0, 0);
        }
        self.rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_was_counted_in_the_last_full_window() {
        let mut meter = RateMeter::default();
        for _ in 0..120 {
            meter.count(10);
        }
        assert_eq!(meter.rates(Duration::from_millis(999)), (0.0, 0.0));
        assert_eq!(meter.rates(Duration::from_secs(2)), (60.0, 600.0));
        assert_eq!(meter.rates(Duration::from_secs(3)), (0.0, 0.0));
    }
}
