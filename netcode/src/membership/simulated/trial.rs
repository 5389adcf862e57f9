//! One seed: a match, the bad things that happen to it, and whether it goes on afterwards.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::{
        change::{Change, Occupant, Value},
        finishing::STUCK_AFTER,
    },
    events::Event,
    game::Log,
    machine::{Fault, Machine, Status, config},
    network::{Network, peer},
};

/// All machines know by then that all sessions exist.
pub(super) const BEGIN: Duration = Duration::from_millis(200);
/// The longest time after which all agree, and are back in the match, once the network is good.
/// A machine that was put away several times has to ask for its seat for eight seconds.
const MAX_SETTLING: Duration = Duration::from_secs(20);
/// No honest machine sends packets that are dropped for these reasons.
const ACCUSATIONS: [&str; 5] =
    ["oversized", "malformed", "unknown", "too many inputs", "not inputs"];
/// A match that goes on gets at least this far in a second.
const FRAMES_IN_A_SECOND: u32 = 24;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Packets that may be under way: each pair sends about thirty datagrams a second, and some more
/// while the machines agree. A paused machine reads nothing for seconds.
const MAX_PACKETS: usize = 30_000;

/// How a match went on once the network was good again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All machines that are left play on together, after this time.
    GoesOn(Duration),
    /// It is over on all machines. `had_most` says that more than half of the last roster were
    /// left: see "What it cannot do" in `change`.
    Over { had_most: bool },
}

pub(super) struct Trial {
    pub(super) now: Duration,
    pub(super) machines: Vec<Machine>,
    pub(super) network: Network,
    pub(super) log: Log,
    /// The value of each epoch.
    pub(super) epochs: BTreeMap<u32, Value>,
    has_closed: Vec<bool>,
}

impl Trial {
    /// A match of `count` machines.
    pub(super) fn new(seed: u64, count: usize) -> Self {
        let network = Network::new(seed, count);
        let machines = Machine::begin_all(seed, count, &network);
        let mut trial = Self {
            now: Duration::ZERO,
            machines,
            network,
            log: Log::new(),
            epochs: BTreeMap::new(),
            has_closed: vec![false; count],
        };
        trial.run_until(BEGIN);
        assert!(trial.machines.iter().all(Machine::is_playing), "the match does not begin");
        trial.network.make_bad();
        trial
    }

    /// Lets time pass.
    pub(super) fn run_until(&mut self, until: Duration) {
        loop {
            let running = |it: &usize| self.machines[*it].status != Status::Crashed;
            let next = (0..self.machines.len()).filter(running);
            let next = next.min_by_key(|&it| self.machines[it].next);
            let Some(it) = next.filter(|&it| self.machines[it].next <= until) else { break };
            self.now = self.now.max(self.machines[it].next);
            self.network.set_now(self.now);
            self.machines[it].update(self.now, &mut self.log);
            self.check(it);
        }
        self.now = self.now.max(until);
        self.network.set_now(self.now);
    }

    /// What must hold whenever a machine has run.
    fn check(&mut self, it: usize) {
        let machine = &self.machines[it];
        if let Some(change) = machine.change() {
            let value = change.installed();
            let known = self.epochs.entry(value.epoch).or_insert_with(|| value.clone());
            assert_eq!(known, value, "two values of an epoch");
        }
        for (reason, count) in machine.connection.dropped.by_reason() {
            let is_accusation = count > 0 && ACCUSATIONS.contains(&reason);
            assert!(!is_accusation, "{it} drops what an honest machine sent: {reason}");
        }
        if matches!(machine.status, Status::Ended(_)) && !self.has_closed[it] {
            self.close_soon(it);
        }
        assert!(self.network.len() < MAX_PACKETS, "the machines flood the network");
    }

    /// The goodbye of a machine is under way; then its channels close.
    pub(super) fn close_soon(&mut self, it: usize) {
        self.has_closed[it] = true;
        self.network.close(it, self.now + Duration::from_millis(500));
    }

    /// Nothing bad happens any longer.
    pub(super) fn settle(&mut self) -> Outcome {
        self.network.heal();
        self.network.set_loss(0, 0);
        let begin = self.now;
        while self.now < begin + MAX_SETTLING && self.playing() > 0 {
            let time = self.now - begin;
            if self.is_settled() && self.goes_on() {
                return Outcome::GoesOn(time);
            }
            self.run_until(self.now + LOOK_EVERY);
        }
        let had_most = self.has_most();
        assert!(self.playing() == 0 || self.is_lost(), "no agreement: {:#?}", self.summary());
        let config = config();
        let longest = config.outage_timeout.max(config.seat_hold) + 2 * STUCK_AFTER;
        let until = self.now + longest;
        while self.now < until && self.playing() > 0 {
            self.run_until(self.now + LOOK_EVERY);
        }
        assert_eq!(self.playing(), 0, "some wait for ever: {:#?}", self.summary());
        Outcome::Over { had_most }
    }

    /// Plays for a second. Returns whether all that play got as far as they should.
    pub(super) fn goes_on(&mut self) -> bool {
        let exposed =
            |trial: &Self| Vec::from_iter(trial.machines.iter().map(|it| it.game.exposed));
        let before = exposed(self);
        self.run_until(self.now + Duration::from_secs(1));
        let further = exposed(self).into_iter().zip(before).map(|(after, before)| after - before);
        let mut machines = self.machines.iter().zip(further);
        machines.all(|(it, further)| !it.is_playing() || further >= FRAMES_IN_A_SECOND)
            && self.is_settled()
    }

    pub(super) fn playing(&self) -> usize {
        self.machines.iter().filter(|it| it.is_playing()).count()
    }

    /// The roster that was decided last; `None` in a match that does not go on without a machine.
    pub(super) fn newest(&self) -> Option<&Value> {
        self.epochs.values().next_back()
    }

    /// Whether all machines that are left are in the match, and no other is.
    pub(super) fn is_settled(&self) -> bool {
        let Some(newest) = self.newest() else { return self.is_whole() };
        let mut machines = self.machines.iter().enumerate();
        machines.all(|(it, machine)| {
            let holds_seat = newest.seats[it] == Occupant::Peer(peer(it));
            let is_in_step =
                |change: &Change| change.installed() == newest && change.hold().is_none();
            holds_seat == machine.is_playing()
                && (!holds_seat || machine.change().is_some_and(is_in_step))
        })
    }

    /// Whether no machine is gone but those that finished.
    fn is_whole(&self) -> bool {
        self.machines.iter().all(|it| it.is_playing() || it.status == Status::Finished)
    }

    /// Whether more than half of the roster are left.
    fn has_most(&self) -> bool {
        let Some(newest) = self.newest() else { return false };
        let members =
            || (0..self.machines.len()).filter(|&it| newest.seats[it] == Occupant::Peer(peer(it)));
        2 * members().filter(|&it| self.machines[it].is_playing()).count() > members().count()
    }

    /// Whether all that are left know that they cannot go on.
    fn is_lost(&self) -> bool {
        let Some(newest) = self.newest() else { return true };
        let mut playing = self.machines.iter().enumerate().filter(|(_, it)| it.is_playing());
        playing.all(|(it, machine)| {
            let is_member = newest.seats[it] == Occupant::Peer(peer(it));
            !is_member || machine.change().is_some_and(Change::is_stuck)
        })
    }

    pub(super) fn summary(&self) -> Vec<String> {
        let line = |machine: &Machine| {
            let Machine { status, game, exchange, .. } = machine;
            let count = self.machines.len();
            let ends = exchange.with(|it| Vec::from_iter((0..count).map(|seat| it.seat_end(seat))));
            let exposed = exchange.with(|it| it.exposed());
            format!(
                "{status:?}, frame {}, exposed {} of {exposed:?}, inputs {ends:?}, {:?}",
                game.frame,
                game.exposed,
                machine.change().map(Change::agreement),
            )
        };
        self.machines.iter().map(line).collect()
    }
}

/// Plays a match in which these events happen.
pub(super) fn play(
    seed: u64,
    count: usize,
    events: &[(Duration, Event)],
    fault: Fault,
) -> (Trial, Outcome) {
    let mut trial = Trial::new(seed, count);
    trial.machines.iter_mut().for_each(|machine| machine.fault = fault);
    for &(at, event) in events {
        trial.run_until(at);
        trial.happen(event);
    }
    let ends = events.iter().map(|&(at, event)| at + event.time());
    trial.run_until(ends.max().unwrap_or_default());
    let outcome = trial.settle();
    (trial, outcome)
}
