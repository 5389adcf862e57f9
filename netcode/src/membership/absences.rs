//! The seats that are kept for machines that are away: since when, and when they may have them
//! back. Pure.

use std::time::Duration;

use signaling::protocol::PeerId;

use super::roster::Roster;

/// A machine that is away asks for its seats this often, and the others keep that in mind for some
/// of these.
const RETURN_EVERY: Duration = Duration::from_millis(50);
const RETURN_WITHIN: Duration = Duration::from_millis(500);
/// A return that we prepared for comes within this time: it is planned less than a second ahead.
const PREPARED_WITHIN: Duration = Duration::from_millis(1500);
/// A machine that is put away again within this time has to ask for longer than before.
const REPEATED_WITHIN: Duration = Duration::from_secs(30);
/// For how long the second time; each further time twice as long, up to the last of these.
const SECOND_WAIT: Duration = Duration::from_secs(1);
const MAX_DOUBLINGS: u32 = 3;

/// What we know of the machines that are away, and of our own match without progress.
#[derive(Debug, Default)]
pub(super) struct Absences {
    /// When each of these seats was given up.
    since: Vec<(u8, Duration)>,
    machines: Vec<Machine>,
    /// When we last wanted our own seats back.
    asked: Option<Duration>,
    /// The frame at which we are prepared to return, and since when.
    prepared: Option<(u32, Duration)>,
    /// The first frame that was not final when we last looked, and the time since then.
    exposed: u32,
    unchanged: Duration,
}

/// A machine that was put away at least once.
#[derive(Clone, Debug)]
struct Machine {
    peer: PeerId,
    /// How often it was put away, each time soon after the time before.
    times: u32,
    put_away: Duration,
    /// Since when it has wanted its seats back, and when it last said so.
    wants: Option<(Duration, Duration)>,
}

impl Absences {
    /// The roster changed to this one.
    pub(super) fn change(&mut self, now: Duration, roster: &Roster) {
        let old = std::mem::take(&mut self.since);
        let since = |seat: u8| old.iter().find(|(other, _)| *other == seat).map_or(now, |it| it.1);
        self.since = roster.away().map(|(seat, _)| (seat, since(seat))).collect();
        for (seat, peer) in roster.away() {
            if old.iter().any(|(other, _)| *other == seat) {
                continue;
            }
            let before = self.machines.iter().position(|machine| machine.peer == peer);
            let before = before.map(|index| self.machines.swap_remove(index));
            let is_repeated = |machine: &Machine| {
                machine.put_away == now || now.saturating_sub(machine.put_away) < REPEATED_WITHIN
            };
            let times = match before.filter(is_repeated) {
                // Another seat of the same machine.
                Some(machine) if machine.put_away == now => machine.times,
                Some(machine) => machine.times + 1,
                None => 1,
            };
            self.machines.push(Machine { peer, times, put_away: now, wants: None });
        }
    }

    /// A machine that is away wants its seats back.
    pub(super) fn note_return(&mut self, now: Duration, peer: PeerId) {
        if let Some(machine) = self.machines.iter_mut().find(|machine| machine.peer == peer) {
            let since = machine.wants.filter(|(_, last)| now.saturating_sub(*last) < RETURN_WITHIN);
            machine.wants = Some((since.map_or(now, |(since, _)| since), now));
        }
    }

    /// Whether a machine wants its seats back, and has done so for long enough.
    pub(super) fn may_return(&self, now: Duration, peer: PeerId) -> bool {
        let machine = self.machines.iter().find(|machine| machine.peer == peer);
        machine.is_some_and(|machine| {
            let doublings = machine.times.saturating_sub(2).min(MAX_DOUBLINGS);
            let wait =
                if machine.times > 1 { SECOND_WAIT * (1 << doublings) } else { Duration::ZERO };
            machine.wants.is_some_and(|(since, last)| {
                now.saturating_sub(last) < RETURN_WITHIN && now.saturating_sub(since) >= wait
            })
        })
    }

    /// Whether a seat has been kept for long enough.
    pub(super) fn is_over(&self, now: Duration, seat: u8, seat_hold: Duration) -> bool {
        let since = self.since.iter().find(|(other, _)| *other == seat);
        since.is_some_and(|(_, since)| now.saturating_sub(*since) >= seat_hold)
    }

    /// Whether we should ask for our seats once more; we do so then.
    pub(super) fn is_time_to_ask(&mut self, now: Duration) -> bool {
        let is_due = self.asked.is_none_or(|asked| now.saturating_sub(asked) >= RETURN_EVERY);
        if is_due {
            self.asked = Some(now);
        }
        is_due
    }

    /// Whether a return that we prepared for is overdue. `first` is its frame, if there is one.
    pub(super) fn is_return_over(&mut self, now: Duration, first: Option<u32>) -> bool {
        let known = self.prepared.filter(|(frame, _)| Some(*frame) == first);
        self.prepared = known.or(first.map(|first| (first, now)));
        self.prepared.is_some_and(|(_, since)| now.saturating_sub(since) >= PREPARED_WITHIN)
    }

    /// Time passes; all frames before `exposed` are final now.
    pub(super) fn wait(&mut self, elapsed: Duration, exposed: u32) {
        self.unchanged = if exposed > self.exposed {
            Duration::ZERO
        } else {
            self.unchanged.saturating_add(elapsed)
        };
        self.exposed = exposed;
    }

    /// Whether nothing became final for this time.
    pub(super) fn is_stuck(&self, patience: Duration) -> bool {
        self.unchanged >= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::{change::Occupant, lineup::MatchPlan};

    const ANN: PeerId = PeerId::from_u128(1);
    const BOB: PeerId = PeerId::from_u128(2);
    const HOLD: Duration = Duration::from_secs(30);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The roster of Ann and Bob, with Bob away or here.
    fn roster(is_bob_away: bool) -> Roster {
        let machines = vec![(ANN, "Ann".into(), 1), (BOB, "Bob".into(), 1)];
        let bob = if is_bob_away { Occupant::Away(BOB) } else { Occupant::Peer(BOB) };
        Roster::from_plan(&MatchPlan::seated(1, machines), ANN)
            .with_occupants(&[Occupant::Peer(ANN), bob])
    }

    /// The time for which Bob has to ask once he is put away at `put_away`.
    fn wait_ms(absences: &mut Absences, put_away: u64) -> Option<u64> {
        absences.change(at(put_away), &roster(true));
        let waits = (0..400).map(|step| step * 50).find(|&ms| {
            absences.note_return(at(put_away + ms), BOB);
            absences.may_return(at(put_away + ms), BOB)
        });
        absences.change(at(put_away + 20_000), &roster(false));
        waits
    }

    #[test]
    fn a_machine_that_is_put_away_again_and_again_has_to_ask_for_longer() {
        let mut absences = Absences::default();
        let waits = (0..6).map(|time| wait_ms(&mut absences, time * 25_000));
        assert!(waits.eq([0, 1000, 2000, 4000, 8000, 8000].map(Some)));
        assert_eq!(wait_ms(&mut absences, 200_000), Some(0), "that was long ago");
    }

    #[test]
    fn a_machine_that_no_longer_asks_does_not_return() {
        let mut absences = Absences::default();
        absences.change(at(0), &roster(true));
        assert!(!absences.may_return(at(0), BOB));
        absences.note_return(at(100), BOB);
        assert!(absences.may_return(at(599), BOB) && !absences.may_return(at(600), BOB));
        absences.note_return(at(100), ANN);
        assert!(!absences.may_return(at(100), ANN), "she is here");
    }

    #[test]
    fn a_seat_is_kept_for_as_long_as_configured() {
        let mut absences = Absences::default();
        absences.change(at(1000), &roster(true));
        absences.change(at(9000), &roster(true));
        assert!(!absences.is_over(at(30_999), 1, HOLD) && absences.is_over(at(31_000), 1, HOLD));
        assert!(!absences.is_over(at(99_000), 0, HOLD));
    }

    #[test]
    fn a_match_is_stuck_once_nothing_became_final_for_too_long() {
        let mut absences = Absences::default();
        for exposed in [5, 5, 9] {
            absences.wait(at(100), exposed);
        }
        assert!(!absences.is_stuck(at(1)));
        absences.wait(at(100), 9);
        assert!(absences.is_stuck(at(100)) && !absences.is_stuck(at(101)));
    }
}
