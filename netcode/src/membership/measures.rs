//! What is measured of the others, and of the traffic: the numbers in [`Connection`].

use std::time::Duration;

use super::{connection::Connection, link::Link};
use crate::diagnostics::SessionStats;

/// A lead or lag beyond this counts as this much: what one peer says must not outweigh what the others do.
const MOST_LEAD_FRAMES: f32 = 1.0;

impl Connection {
    /// The mean of our leads over the peers of the match; 0 without one. All means together are zero, so the match as a whole becomes
    /// neither slower nor faster.
    ///
    /// Whose inputs are delayed more counts as ahead by half of that: then both predict each other equally far.
    pub(crate) fn lead_frames(&self) -> f32 {
        let lead = |link: &Link| {
            let extra = self.exchange.with(|exchange| exchange.extra_delay(link.peer, self.frame));
            let lead = link.clock.lead_frames() + extra.unwrap_or(0) as f32 / 2.0;
            lead.clamp(-MOST_LEAD_FRAMES, MOST_LEAD_FRAMES)
        };
        // A peer that is done with it stands still.
        let plays = |link: &&Link| {
            link.status.in_match && self.is_in_exchange(link.peer) && !self.is_leaving(link.peer)
        };
        let leads = self.links.iter().filter(plays).map(lead);
        let (count, sum) = leads.fold((0.0, 0.0), |(count, sum), lead| (count + 1.0, sum + lead));
        sum / f32::max(count, 1.0)
    }

    /// Frames that inputs take to the farthest peer that we play with, or else could play with.
    pub(crate) fn one_way_frames(&self) -> f32 {
        let counts = |link: &&Link| {
            if self.status.in_match { self.plays_with(link) } else { link.is_player() }
        };
        let frames = |link: &Link| self.lateness(link).round_trip / 2.0;
        let links = self.links.iter().filter(|link| self.is_present(link)).filter(counts);
        links.map(frames).reduce(f32::max).unwrap_or(0.0)
    }

    /// Writes rates and counters into `stats`.
    pub(crate) fn report(&mut self, now: Duration, stats: &mut SessionStats) {
        (stats.datagrams_in_per_s, stats.bytes_in_per_s) = self.meter_in.rates(now);
        (stats.datagrams_out_per_s, stats.bytes_out_per_s) = self.meter_out.rates(now);
        stats.dropped = self.dropped;
        stats.lead_frames = self.lead_frames();
    }
}
