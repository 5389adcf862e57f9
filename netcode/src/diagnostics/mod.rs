//! Counters of the running session, for reports, overlays and tests.

mod log_filter;
#[cfg(feature = "overlay")]
pub(crate) mod overlay;

use std::time::Duration;

use bevy::prelude::{App, Resource};

pub use log_filter::LOG_FILTER;

/// The window over which rates are measured: long enough for steady figures, short enough to show a
/// change.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// What the session has done so far, and how fast it uses the network. Reset when a match begins.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct SessionStats {
    /// Frames simulated for the first time.
    pub frames: u32,
    /// Frames for which all inputs are known.
    pub confirmed_frames: u32,
    /// Frames whose inputs every machine of the match is known to have.
    pub stable_frames: u32,
    /// The number of times that an older frame was loaded.
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
    /// Registered types with values that do not serialize completely, so that peers do not notice a
    /// difference in the rest. The log names each of them once per match, with the reason. A sync
    /// test names them, too, and fails.
    pub opaque_types: u32,
    /// Input delay in use, in frames.
    pub input_delay: u8,
    /// How far we are ahead of the other peers on average, in frames; negative if we are behind. A
    /// peer that delays its inputs more than another counts as ahead by half of the difference.
    pub lead_frames: f32,
    /// Packets sent in the last second on all channels, to all peers: datagrams, and a few control
    /// messages.
    pub datagrams_out_per_s: f32,
    /// Packets received in the last second on all channels, from all peers.
    pub datagrams_in_per_s: f32,
    /// Payload bytes sent in the last second on all channels, to all peers, without the headers of
    /// WebRTC and of the layers below it.
    pub bytes_out_per_s: f32,
    /// Payload bytes received in the last second on all channels, from all peers.
    pub bytes_in_per_s: f32,
    /// Packets that were dropped, by reason.
    pub dropped: DroppedPackets,
}

/// Packets from peers that were dropped, one counter per reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedPackets {
    /// Larger than any packet that this crate sends, and therefore not read.
    pub oversized: u32,
    /// Not a packet of this version of the protocol.
    pub malformed: u32,
    /// Of a kind that is not known here. Later builds may send it, so it does not count as junk.
    pub unknown: u32,
    /// From a peer that has not said hello, or that was refused.
    pub stranger: u32,
    /// From a match other than the running one.
    pub wrong_match: u32,
    /// More than [`FloodLimits`](crate::FloodLimits) allow, or sent before the connection was
    /// established.
    pub flooded: u32,
    /// Peers that joined or left when there were too many to keep track of.
    pub crowded: u32,
    /// Inputs of more frames than a peer can have to send.
    pub too_many_inputs: u32,
    /// Inputs that leave a gap after those that are known.
    pub input_gap: u32,
    /// Acknowledgements of frames that were never sent.
    pub false_ack: u32,
    /// Bytes that are not inputs of this game.
    pub not_inputs: u32,
    /// False echoes of our datagrams, by which a peer could falsify the round-trip time. The inputs
    /// in the same datagram are used. A peer that is merely slow sends none.
    pub bad_echo: u32,
    /// Claims to lack inputs of ours that the peer has already received. The inputs in the same
    /// datagram are used.
    pub false_lag: u32,
    /// Claims to have finished the match at a frame that the peer's own inputs rule out. The peer
    /// counts as having left, and its result is the same as ours only if our last frame is.
    pub false_end: u32,
    /// Checksums of a frame for which the peer has already sent one.
    pub repeated_checksum: u32,
    /// Offers, answers, candidates and lists of STUN and TURN servers that no WebRTC stack could
    /// use.
    pub bad_signal: u32,
}

impl DroppedPackets {
    /// Returns the sum of all counters.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.by_reason().map(|(_, count)| count).into_iter().fold(0, u32::saturating_add)
    }

    /// Returns all counters, each with the name of its reason.
    #[must_use]
    pub fn by_reason(&self) -> [(&'static str, u32); 16] {
        [
            ("oversized", self.oversized),
            ("malformed", self.malformed),
            ("unknown", self.unknown),
            ("stranger", self.stranger),
            ("wrong match", self.wrong_match),
            ("flooded", self.flooded),
            ("crowded", self.crowded),
            ("too many inputs", self.too_many_inputs),
            ("input gap", self.input_gap),
            ("false ack", self.false_ack),
            ("not inputs", self.not_inputs),
            ("bad echo", self.bad_echo),
            ("false lag", self.false_lag),
            ("false end", self.false_end),
            ("repeated checksum", self.repeated_checksum),
            ("bad signal", self.bad_signal),
        ]
    }
}

/// Counts events and bytes, and computes their rates over the last full window.
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

    /// Returns (events per second, bytes per second).
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

/// Adds the counters of the session.
pub(crate) fn plugin(app: &mut App) {
    app.init_resource::<SessionStats>();
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
