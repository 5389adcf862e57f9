//! When a machine begins an attempt, gives one up, and repeats what nobody answered.
//!
//! Time is an argument. The caller polls once per update, and carries out the steps.

use std::time::Duration;

use signaling::protocol::PeerId;

use super::{
    agreement::{Agreement, Hold, Presence, Step},
    allowances::Allowances,
    inputs::MatchInputs,
    listening::{Listening, MUTE_AFTER},
    message::{Asked, Ballot, Body, Message, Wish},
    value::{Occupant, Value},
    voters::Machines,
};
use crate::config::MAX_SEATS;

/// Whatever was not answered is sent again after this time: about three updates.
pub(super) const REPEAT_EVERY: Duration = Duration::from_millis(50);
/// A leader waits at least this long for all machines that it does not miss, and a machine at least
/// this long for the leaders before it.
const MIN_PATIENCE: Duration = Duration::from_millis(250);
/// Each attempt that came to nothing doubles the wait, as often as this.
const MAX_DOUBLINGS: u32 = 4;
/// What was decided is repeated for this long to machines that do not show that they know it. They
/// get it later, too, if they ask for anything.
const INSTALL_FOR: Duration = Duration::from_secs(2);
/// That nothing is wanted any more is said three times.
const RETRACTIONS: u8 = 3;
/// A goodbye is sent three times.
const MORE_GOODBYES: u8 = 2;

/// How long messages take, and when a planned change takes effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlook {
    /// The longest round-trip time to any voter that is heard, with its jitter.
    pub(crate) round_trip: Duration,
    /// The first frame of a change that is planned now: two round trips ahead, a second at most.
    pub(crate) soon: u32,
    /// The time until then. Nobody can accept the change before it, as inputs are missing.
    pub(crate) until_soon: Duration,
}

/// The agreement on changes of the roster of one match, on one machine.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(super) agreement: Agreement,
    /// Hidden machines lead nothing.
    hidden: Machines,
    /// When the last thing happened that another machine can be waited for, while there is
    /// something to decide.
    waiting: Option<Duration>,
    /// Since when another machine holds, while we do not.
    unheld: Option<Duration>,
    began: Duration,
    attempts: u32,
    /// When we last repeated what nobody answered; 0 if something new is to be said.
    repeated: Duration,
    /// What we have promised, as far as we noted it.
    promised: Ballot,
    /// Machines that may not know the epoch in force yet, and until when they hear of it.
    laggards: (Vec<PeerId>, Duration),
    /// Peers that were heard to be in later epochs: they have what was decided.
    ahead: Vec<(PeerId, u32)>,
    farewell: (Vec<Step>, u8),
    /// How often we shall say that we want nothing any more.
    retractions: u8,
    /// One for each machine that decides with us, or that was put away, and our own.
    allowances: Allowances,
    pub(super) listening: Listening,
    /// Whether the match goes on without a machine that takes no part.
    pub(super) loses_machines: bool,
}

impl Change {
    /// The agreement in a match that begins with these seats.
    pub(crate) fn new(local: PeerId, seats: Vec<Occupant>) -> Self {
        Self::of(Agreement::new(local, seats))
    }

    /// `waits` says that the match stands still while a machine is away, and `loses_machines` that
    /// it goes on without one that takes no part.
    pub(crate) fn with_policies(mut self, waits: bool, loses_machines: bool) -> Self {
        self.agreement.waits = waits;
        self.loses_machines = loses_machines;
        self
    }

    pub(super) fn of(agreement: Agreement) -> Self {
        let mut listening = Listening::default();
        listening.begin_epoch(Duration::ZERO, agreement.views.len());
        Self {
            agreement,
            hidden: Machines::default(),
            waiting: None,
            unheld: None,
            began: Duration::ZERO,
            attempts: 0,
            repeated: Duration::ZERO,
            promised: Ballot::default(),
            laggards: (Vec::new(), Duration::ZERO),
            ahead: Vec::new(),
            farewell: (Vec::new(), 0),
            retractions: 0,
            allowances: Allowances::default(),
            listening,
            loses_machines: true,
        }
    }

    /// The epoch in force.
    pub(crate) fn installed(&self) -> &Value {
        self.agreement.installed()
    }

    /// What must not become more final now.
    pub(crate) fn hold(&self) -> Option<Hold> {
        self.agreement.hold()
    }

    /// The machines whose inputs are neither taken nor acknowledged now.
    pub(crate) fn held_machines(&self) -> Vec<PeerId> {
        let held = self.hold().map(|hold| hold.machines).unwrap_or_default();
        held.iter().map(|voter| self.agreement.voters.peer(voter)).collect()
    }

    #[cfg(test)]
    pub(crate) fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// Notes how a machine appears to us: it is missing, its channel closed, or it is heard again.
    pub(crate) fn notice(&mut self, peer: PeerId, presence: Presence) {
        if self.agreement.notice(peer, presence) {
            self.repeated = Duration::ZERO;
        }
    }

    /// Notes whether nobody sees the page of a machine.
    pub(crate) fn notice_hidden(&mut self, peer: PeerId, is_hidden: bool) {
        if let Some(voter) = self.agreement.voters.index(peer) {
            let one = Machines::default().with(voter);
            let others = self.hidden.without(one);
            self.hidden = if is_hidden { others.and(one) } else { others };
        }
    }

    /// Notes that this machine has itself seen a change to be asked for.
    pub(crate) fn ask(&mut self, asked: Asked) {
        if !self.agreement.asked.contains(&asked) {
            self.agreement.ask(asked);
            self.repeated = Duration::ZERO;
        }
    }

    /// The change of a seat, or of the clock, is no longer wanted.
    pub(crate) fn withdraw(&mut self, subject: Option<u8>) {
        self.agreement.withdraw(subject);
    }

    /// A peer is known to be in an epoch, by the header of a datagram for example.
    pub(crate) fn hear_epoch(&mut self, peer: PeerId, epoch: u32) {
        let ours = self.installed().epoch;
        if epoch >= ours {
            self.laggards.0.retain(|laggard| *laggard != peer);
        }
        self.ahead.retain(|(other, _)| *other != peer);
        if epoch > ours && self.ahead.len() < usize::from(MAX_SEATS) {
            self.ahead.push((peer, epoch));
        }
    }

    /// Whether we have said goodbye.
    pub(crate) fn has_left(&self) -> bool {
        self.agreement.has_left
    }

    /// Says goodbye.
    pub(crate) fn leave(&mut self, will_return: bool, inputs: &impl MatchInputs) -> Vec<Step> {
        let steps = self.agreement.leave(will_return, inputs);
        self.farewell = (steps.clone(), MORE_GOODBYES);
        steps
    }

    /// Takes a message of a peer.
    pub(crate) fn handle(
        &mut self,
        now: Duration,
        from: PeerId,
        message: &Message,
        inputs: &mut impl MatchInputs,
    ) -> Vec<Step> {
        if !self.is_allowed(now, from, message) {
            return Vec::new();
        }
        self.laggards
            .0
            .retain(|it| *it != from || message.epoch <= self.agreement.installed().epoch);
        let mut steps = self.agreement.handle(from, message, inputs);
        let is_answer = |step: &Step| {
            let body = match step {
                Step::Send(_, message) => &message.body,
                _ => return false,
            };
            matches!(body, Body::Install { .. } | Body::Fill { .. } | Body::Lack { .. })
        };
        if steps.iter().any(is_answer) && !self.allowances.may_answer(now, from) {
            steps.retain(|step| !is_answer(step));
        }
        self.note(now, from, message, &steps);
        steps
    }

    /// To be called once per update.
    pub(crate) fn poll(
        &mut self,
        now: Duration,
        outlook: Outlook,
        inputs: &mut impl MatchInputs,
    ) -> Vec<Step> {
        self.forget_old_wishes(now);
        let mut steps = self.agreement.advance(inputs);
        self.note_installed(now, &steps);
        if steps.iter().any(|step| matches!(step, Step::Installed(_))) {
            // What is installed changes what we may promise, once the caller has carried it out.
            return steps;
        }
        let led = self.lead(now, outlook, inputs);
        self.note_installed(now, &led);
        steps.extend(led);
        steps
    }

    /// What nobody has answered, if it is time to send it again. To be called once per update,
    /// after [`poll`](Self::poll).
    pub(crate) fn repeat(&mut self, now: Duration, inputs: &impl MatchInputs) -> Vec<Step> {
        if now.saturating_sub(self.repeated) < REPEAT_EVERY {
            return Vec::new();
        }
        self.repeated = now;
        let mut steps = self.agreement.unanswered(inputs);
        if self.agreement.wants_change() {
            self.retractions = RETRACTIONS;
        } else if self.retractions > 0 && !self.agreement.has_left {
            self.retractions -= 1;
            steps.push(self.agreement.wishes());
        }
        if now < self.laggards.1 {
            steps.extend(self.laggards.0.iter().filter_map(|&it| self.agreement.newest(it)));
        }
        steps.extend(self.ask_ahead(inputs));
        if self.farewell.1 > 0 {
            self.farewell.1 -= 1;
            steps.extend(self.farewell.0.iter().cloned());
        }
        steps
    }

    /// Asks the peers that are ahead for what was decided.
    fn ask_ahead(&mut self, inputs: &impl MatchInputs) -> Vec<Step> {
        let ahead = std::mem::take(&mut self.ahead);
        let ours = self.installed().epoch;
        let ahead = ahead.into_iter().filter(|(_, epoch)| *epoch > ours);
        let ahead = ahead.filter(|_| !self.agreement.has_left);
        ahead.map(|(peer, _)| Step::Send(peer, self.agreement.lack(inputs))).collect()
    }

    /// Begins attempts, and goes on with them.
    fn lead(
        &mut self,
        now: Duration,
        outlook: Outlook,
        inputs: &mut impl MatchInputs,
    ) -> Vec<Step> {
        let mut patience = MIN_PATIENCE.max(2 * outlook.round_trip);
        if self.hold().is_some_and(|hold| hold.machines.is_empty()) {
            patience += outlook.until_soon;
        }
        self.note_mute(now, patience);
        if self.agreement.decision.attempt.is_some() {
            let steps = self.agreement.propose(inputs);
            let is_open = self.agreement.decision.attempt.is_some();
            if is_open && now.saturating_sub(self.began) >= self.lengthened(patience) {
                self.agreement.give_up();
                self.attempts += 1;
                self.waiting = Some(now);
            }
            return steps;
        }
        self.note_unheld(now);
        if self.agreement.us.is_none() || self.agreement.has_left || !self.has_cause(now, patience)
        {
            self.waiting = None;
            return Vec::new();
        }
        let since = *self.waiting.get_or_insert(now);
        let is_due = now >= since + self.lengthened(patience) * self.rank();
        if !is_due || !self.can_decide() {
            return Vec::new();
        }
        let wish = self.wish(outlook);
        if self.is_plan(self.agreement.local, wish) {
            self.allowances.note_plan(now, self.agreement.local);
        }
        self.began = now;
        let steps = self.agreement.begin(wish, inputs);
        self.note_promise(now);
        steps
    }

    fn lengthened(&self, patience: Duration) -> Duration {
        patience * (1 << self.attempts.min(MAX_DOUBLINGS))
    }

    /// The number of waits that other machines get first: those with lower seats, or all if we are
    /// hidden, and, once one of them has begun, it as well.
    fn rank(&self) -> u32 {
        let agreement = &self.agreement;
        let Some(us) = agreement.us else { return 0 };
        let others = agreement.voters.all().without(Machines::default().with(us));
        let lower = if self.hidden.has(us) { others } else { Machines::first(us) };
        let lower = lower.without(agreement.missing()).without(self.hidden);
        let is_led = agreement.decision.promised > Ballot::default()
            && usize::from(agreement.decision.promised.leader) != us;
        lower.len() as u32 + u32::from(is_led)
    }

    /// A machine that holds waits for an epoch that nobody else may see a cause for.
    fn note_unheld(&mut self, now: Duration) {
        let is_unheld = self.agreement.decision.hold.is_none() && self.does_any_hold(None);
        self.unheld = is_unheld.then(|| self.unheld.unwrap_or(now));
    }

    /// Whether a machine other than this one is heard to hold.
    fn does_any_hold(&self, but: Option<usize>) -> bool {
        let mut views = self.agreement.views.iter().enumerate();
        views.any(|(voter, view)| {
            Some(voter) != but
                && view.presence == Presence::Here
                && view.goodbye.is_none()
                && view.promised > Ballot::default()
        })
    }

    /// Whether there is something to decide, and enough machines see it.
    fn has_cause(&self, now: Duration, patience: Duration) -> bool {
        let agreement = &self.agreement;
        let missing = agreement.missing();
        let is_agreed = || agreement.agreed(self.next_ballot()).next().is_some();
        let is_planned = missing.is_empty() && is_agreed();
        let may_plan = self.allowances.may_plan(now, agreement.local);
        let is_over = |since: Duration| now.saturating_sub(since) >= MUTE_AFTER * patience;
        let is_helping = missing.is_empty() && self.unheld.is_some_and(is_over);
        if agreement.decision.hold.is_some() || is_helping || (is_planned && may_plan) {
            return true;
        }
        let views = agreement.views.iter().enumerate();
        let agreeing = views.filter(|(_, view)| view.misses.has_all(missing)).map(|(it, _)| it);
        let agreeing: Machines = agreeing.chain(agreement.us).collect();
        !missing.is_empty() && agreement.is_quorum(agreeing.without(missing), self.next_ballot())
    }

    /// Whether the machines that we do not miss are a quorum.
    pub(super) fn can_decide(&self) -> bool {
        let here = self.agreement.voters.all().without(self.agreement.missing());
        self.agreement.is_quorum(here, self.next_ballot())
    }

    fn next_ballot(&self) -> Ballot {
        let leader = self.agreement.us.unwrap_or(0) as u8;
        Ballot { round: self.agreement.decision.highest_round.saturating_add(1), leader }
    }

    fn wish(&self, outlook: Outlook) -> Wish {
        let agreement = &self.agreement;
        let agreed = Vec::from_iter(agreement.agreed(self.next_ballot()));
        let is_agreed =
            |(seat, _): &(u8, PeerId)| agreed.iter().any(|it| it.subject() == Some(*seat));
        let holders = agreement.installed().peer_seats().filter(is_agreed);
        let asked: Machines =
            holders.filter_map(|(_, peer)| agreement.voters.index(peer)).collect();
        let leaving = agreement.missing().and(asked);
        // While inputs are held, frames in the future cannot be waited for.
        let is_held = agreement.decision.hold.is_some_and(|hold| !hold.machines.is_empty());
        let is_planned = leaving.is_empty() && !agreed.is_empty() && !is_held;
        Wish { leaving, first: if is_planned { outlook.soon } else { 0 } }
    }

    /// Whether a peer may make us promise something, at this time.
    fn is_allowed(&mut self, now: Duration, from: PeerId, message: &Message) -> bool {
        let Body::Prepare { ballot, wish } = &message.body else { return true };
        if *ballot <= self.agreement.decision.promised {
            // It gets our promise again.
            return self.allowances.may_answer(now, from);
        }
        self.allowances.may_prepare(now, from)
            && (!self.is_plan(from, *wish) || self.allowances.may_plan(now, from))
    }

    /// Whether an attempt of this machine is a planned change: nobody is missed, and no other
    /// machine holds. A machine that ends what another one began is not to blame.
    fn is_plan(&self, leader: PeerId, wish: Wish) -> bool {
        let leader = self.agreement.voters.index(leader);
        wish.leaving.is_empty() && self.promised == Ballot::default() && !self.does_any_hold(leader)
    }

    fn note(&mut self, now: Duration, from: PeerId, message: &Message, steps: &[Step]) {
        let promised = self.agreement.decision.promised;
        if let Body::Prepare { ballot, wish } = &message.body
            && *ballot == promised
            && promised != self.promised
        {
            self.allowances.note_prepare(now, from);
            if self.is_plan(from, *wish) {
                self.allowances.note_plan(now, from);
            }
        }
        if matches!(message.body, Body::Suspect { .. })
            && let Some(voter) = self.agreement.voters.index(from)
        {
            self.listening.note_wishes(now, voter);
        }
        self.note_promise(now);
        self.note_installed(now, steps);
    }

    /// Another machine leads from now on, so we wait for it.
    fn note_promise(&mut self, now: Duration) {
        let promised = self.agreement.decision.promised;
        if promised > self.promised {
            self.promised = promised;
            self.waiting = Some(now);
        }
    }

    fn note_installed(&mut self, now: Duration, steps: &[Step]) {
        let is_install = |step: &&Step| matches!(step, Step::Installed(_));
        let Some(Step::Installed(value)) = steps.iter().rfind(is_install) else { return };
        let before = self.agreement.before();
        let is_vain = before.is_some_and(|old| old.is_like(value));
        let old = before.into_iter().flat_map(Value::machines);
        let mut peers = Vec::from_iter(old.chain(value.machines()));
        peers.sort_unstable();
        peers.dedup();
        peers.retain(|peer| *peer != self.agreement.local);
        self.laggards = (peers, now + INSTALL_FOR);
        self.hidden = Machines::default();
        (self.waiting, self.attempts, self.retractions) = (None, 0, 0);
        self.promised = Ballot::default();
        self.allowances.begin_epoch(is_vain);
        self.listening.begin_epoch(now, self.agreement.views.len());
    }
}
