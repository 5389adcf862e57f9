//! What happens to a peer's place in the match on purpose, for tests and measurements: it leaves,
//! or its network is down for a while. And what that did: the longest time without a new frame, and
//! the time until the peer was back.

use std::collections::BTreeMap;
use std::time::Duration;

use netcode::Outage;
use netcode::prelude::{ChecksumLog, Roster, SeatState};

use super::report::PeerReport;

/// A time in which the network of this peer is down, counted from the first frame of the match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlannedOutage {
    /// When it begins.
    pub begins: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// The directions in which the network is down.
    pub outage: Outage,
}

/// What was seen of the match in the last update.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// The time since the process began.
    pub(super) now: Duration,
    /// The number of frames that were simulated for the first time.
    pub(super) frames: u32,
    /// The first frame that may still be taken back.
    pub(super) confirmed: u32,
}

/// Follows one match.
#[derive(Clone, Default, Debug)]
pub(super) struct Presence {
    /// When the first frame was simulated.
    began: Option<Duration>,
    /// When the newest frame was simulated for the first time, and how many there were then.
    newest: (Duration, u32),
    outage: Outage,
    return_of_network: Option<Duration>,
    was_away: bool,
    /// The frame before which our seat was nobody's.
    returned_at: Option<u32>,
    confirmed: u32,
    hashes: BTreeMap<u32, u64>,
}

impl Presence {
    /// Notes what was seen, and updates the report.
    pub(super) fn observe(&mut self, seen: Seen, roster: &Roster, report: &mut PeerReport) {
        let Seen { now, frames, confirmed } = seen;
        if frames > self.newest.1 {
            if self.began.is_some() {
                let step = Duration::from_secs(1) / u32::from(crate::sim::tuning::FPS);
                let freeze = now.saturating_sub(self.newest.0).saturating_sub(step);
                let freeze_ms = freeze.as_secs_f64() * 1000.0;
                report.longest_freeze_ms = report.longest_freeze_ms.max(freeze_ms.round());
            }
            self.began.get_or_insert(now);
            self.newest = (now, frames);
        }
        report.taken_back += u32::from(confirmed < self.confirmed);
        self.confirmed = confirmed;
        report.roster = roster.seats().iter().map(|seat| state_name(seat.state).into()).collect();
        self.watch_return(seen, roster, report);
    }

    fn watch_return(&mut self, seen: Seen, roster: &Roster, report: &mut PeerReport) {
        let mut ours = roster.seats().iter().filter(|seat| seat.is_local);
        if ours.any(|seat| seat.state == SeatState::Away) {
            (self.was_away, self.returned_at) = (true, None);
        } else if self.was_away && self.returned_at.is_none() {
            self.returned_at = Some(seen.frames);
        }
        // What we confirmed after our return, the others have applied: most of them acknowledged
        // it.
        if let (Some(returned_at), Some(since)) = (self.returned_at, self.return_of_network)
            && seen.confirmed > returned_at
        {
            let back_after = seen.now.saturating_sub(since);
            report.back_after_ms = Some((back_after.as_secs_f64() * 1000.0).round());
            (self.return_of_network, self.was_away) = (None, false);
        }
    }

    /// Counts the checksums of confirmed frames that are others than before.
    pub(super) fn compare(&mut self, log: &ChecksumLog, report: &mut PeerReport) {
        let known: BTreeMap<u32, u64> = log.iter().collect();
        for (frame, hash) in &known {
            let before = self.hashes.get(frame);
            report.taken_back += u32::from(before.is_some_and(|before| before != hash));
        }
        self.hashes = known;
    }

    /// The directions in which the network is to be down from now on, if that changes.
    pub(super) fn change_of_network(
        &mut self,
        now: Duration,
        planned: &[PlannedOutage],
    ) -> Option<Outage> {
        let played = now.checked_sub(self.began?)?;
        let is_now = |it: &&PlannedOutage| (it.begins..it.begins + it.lasts).contains(&played);
        let outage = planned.iter().find(is_now).map_or(Outage::None, |it| it.outage);
        if outage == self.outage {
            return None;
        }
        if outage == Outage::None {
            self.return_of_network = Some(now);
        }
        self.outage = outage;
        Some(outage)
    }

    /// The time since the first frame.
    pub(super) fn played(&self, now: Duration) -> Duration {
        self.began.map_or(Duration::ZERO, |began| now.saturating_sub(began))
    }
}

fn state_name(state: SeatState) -> &'static str {
    match state {
        SeatState::Peer => "peer",
        SeatState::Bot => "bot",
        SeatState::Away => "away",
        _ => "empty",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_longest_time_without_a_new_frame_is_reported_less_one_step() {
        let (mut presence, mut report) = (Presence::default(), PeerReport::default());
        for (now, frames) in [(100, 0), (900, 1), (917, 2), (1017, 2), (1117, 3), (1134, 4)] {
            let seen = Seen { now: at(now), frames, confirmed: 0 };
            presence.observe(seen, &Roster::default(), &mut report);
        }
        assert_eq!(report.longest_freeze_ms, 183.0);
    }

    #[test]
    fn the_network_is_down_when_planned() {
        let planned = [PlannedOutage { begins: at(1000), lasts: at(500), outage: Outage::Sending }];
        let (mut presence, mut report) = (Presence::default(), PeerReport::default());
        assert_eq!(presence.change_of_network(at(5000), &planned), None, "nothing began");
        let seen = Seen { now: at(300), frames: 1, confirmed: 0 };
        presence.observe(seen, &Roster::default(), &mut report);
        let changes = (0..40).map(|step| presence.change_of_network(at(50 * step), &planned));
        let changes: Vec<_> = (0..).zip(changes).filter(|(_, change)| change.is_some()).collect();
        assert_eq!(changes, [(26, Some(Outage::Sending)), (36, Some(Outage::None))]);
    }
}
