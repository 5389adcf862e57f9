//! How often a machine may make the others promise or answer something. Pure.

use std::time::Duration;

use signaling::protocol::PeerId;

use crate::config::MAX_SEATS;

/// The first attempts of one machine to decide an epoch may follow each other this closely; each
/// further one has to wait twice as long. Honest leaders wait longer.
const PREPARE_EVERY: Duration = Duration::from_millis(100);
const MAX_PREPARE_DOUBLINGS: u32 = 6;
/// A machine plans at most one change in this time.
const PLAN_EVERY: Duration = Duration::from_secs(1);
/// The planned changes of a machine whose plans came to nothing may follow each other this many
/// times half as often.
const MAX_PLAN_DOUBLINGS: u32 = 4;
/// A peer gets an answer that it can ask for at most this often.
const ANSWER_EVERY: Duration = Duration::from_millis(25);

/// How often each machine made others do something: one for each that decides, or was put away.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowances(Vec<(PeerId, Allowance)>);

#[derive(Clone, Copy, Debug, Default)]
struct Allowance {
    prepares: u32,
    prepared: Option<Duration>,
    planned: Option<Duration>,
    /// Whether it planned a change in this epoch.
    has_planned: bool,
    /// How many plans in a row came to nothing.
    vain_plans: u32,
    answered: Option<Duration>,
}

impl Allowances {
    /// Whether a peer may begin an attempt.
    pub(super) fn may_prepare(&self, now: Duration, peer: PeerId) -> bool {
        let Allowance { prepares, prepared, .. } = self.find(peer);
        is_over(now, prepared, PREPARE_EVERY * (1 << prepares.min(MAX_PREPARE_DOUBLINGS)))
    }

    /// We promised a peer to take part in its attempt.
    pub(super) fn note_prepare(&mut self, now: Duration, peer: PeerId) {
        let allowance = self.of(peer);
        allowance.prepares += 1;
        allowance.prepared = Some(now);
    }

    /// Whether a machine may plan a change.
    pub(super) fn may_plan(&self, now: Duration, peer: PeerId) -> bool {
        let Allowance { planned, vain_plans, .. } = self.find(peer);
        is_over(now, planned, PLAN_EVERY * (1 << vain_plans.min(MAX_PLAN_DOUBLINGS)))
    }

    /// A machine plans a change.
    pub(super) fn note_plan(&mut self, now: Duration, peer: PeerId) {
        let allowance = self.of(peer);
        (allowance.planned, allowance.has_planned) = (Some(now), true);
    }

    /// Whether a peer may have an answer, which it gets then.
    pub(super) fn may_answer(&mut self, now: Duration, peer: PeerId) -> bool {
        let allowance = self.of(peer);
        let may_answer = is_over(now, allowance.answered, ANSWER_EVERY);
        if may_answer {
            allowance.answered = Some(now);
        }
        may_answer
    }

    /// Another epoch is to be decided. `is_vain` says that the last decision changed nothing.
    pub(super) fn begin_epoch(&mut self, is_vain: bool) {
        for (_, allowance) in &mut self.0 {
            if std::mem::take(&mut allowance.has_planned) {
                allowance.vain_plans = if is_vain { allowance.vain_plans + 1 } else { 0 };
            }
            allowance.prepares = 0;
        }
    }

    fn find(&self, peer: PeerId) -> Allowance {
        let known = self.0.iter().find(|(other, _)| *other == peer);
        known.map(|(_, allowance)| *allowance).unwrap_or_default()
    }

    fn of(&mut self, peer: PeerId) -> &mut Allowance {
        let known = self.0.iter().position(|(other, _)| *other == peer);
        let index = known.unwrap_or_else(|| {
            if self.0.len() >= 2 * usize::from(MAX_SEATS) {
                // The one that was known for the longest.
                self.0.remove(0);
            }
            self.0.push((peer, Allowance::default()));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }
}

fn is_over(now: Duration, at: Option<Duration>, pause: Duration) -> bool {
    at.is_none_or(|at| now.saturating_sub(at) >= pause)
}
