//! For how long what a machine said of itself counts. It counts as long as the machine repeats it,
//! and a machine that is heard without taking part counts as missed.

use std::time::Duration;

use super::{
    agreement::View,
    message::Ballot,
    schedule::{Change, REPEAT_EVERY},
    voters::Machines,
};

/// What a machine misses and asks for counts this long after it last said so. It says so all the
/// time, so a machine that no longer does may want nothing any more, and all else that it sent may
/// be lost.
const WISHES_LAST: Duration = Duration::from_millis(10 * REPEAT_EVERY.as_millis() as u64);
/// A machine that is heard, and has not promised what we promised for this many waits, counts as
/// missed: each machine sees the promises of all.
pub(super) const MUTE_AFTER: u32 = 4;

/// When each voter was heard to take part, in order of the voters.
#[derive(Clone, Debug, Default)]
pub(super) struct Listening {
    /// When it last said what it misses and asks for.
    wishes: Vec<Duration>,
    /// When it was last known to have promised all that we promised.
    current: Vec<Duration>,
}

impl Listening {
    /// Another epoch is to be decided, by this number of voters.
    pub(super) fn begin_epoch(&mut self, now: Duration, voters: usize) {
        self.wishes = vec![now; voters];
        self.current = vec![now; voters];
    }

    /// A voter says what it misses and asks for.
    pub(super) fn note_wishes(&mut self, now: Duration, voter: usize) {
        if let Some(wishes) = self.wishes.get_mut(voter) {
            *wishes = now;
        }
    }
}

impl Change {
    /// Forgets what machines wanted that no longer say so.
    pub(super) fn forget_old_wishes(&mut self, now: Duration) {
        for (view, &said) in self.agreement.views.iter_mut().zip(&self.listening.wishes) {
            if now.saturating_sub(said) >= WISHES_LAST {
                view.misses = Machines::default();
                view.asks.clear();
            }
        }
    }

    /// Machines that are heard and do not promise count as missed after a while. That of the ballot
    /// in force promised it by leading; if it does nothing else, another machine leads, and it has
    /// to promise that.
    pub(super) fn note_mute(&mut self, now: Duration, patience: Duration) {
        let loses_machines = self.loses_machines;
        let agreement = &mut self.agreement;
        let promised = agreement.decision.promised;
        let us = agreement.us;
        // A machine that does not agree that we are gone is right not to promise.
        let hold = agreement.decision.hold.unwrap_or_default();
        let are_we_missed = us.is_some_and(|us| hold.machines.has(us));
        let is_current = |voter: usize, view: &View| {
            promised == Ballot::default()
                || !loses_machines
                || are_we_missed
                || [us, Some(usize::from(promised.leader))].contains(&Some(voter))
                || view.promised >= promised
                || view.vote.is_some_and(|(voted, _)| voted >= promised)
                || view.installed.is_some()
        };
        let views = agreement.views.iter_mut().zip(&mut self.listening.current);
        for (voter, (view, current)) in views.enumerate() {
            if is_current(voter, view) {
                *current = now;
            }
            view.is_mute = now.saturating_sub(*current) >= MUTE_AFTER * patience;
        }
        // A machine without which nothing can be decided is asked again.
        if !self.can_decide() {
            self.agreement.views.iter_mut().for_each(|view| view.is_mute = false);
        }
    }
}
