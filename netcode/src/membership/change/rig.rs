//! Several machines in one match, over a network that loses, doubles and reorders messages, on a
//! virtual clock. Tests cut links, let machines crash and leave, and let one of them lie.
//!
//! What is compared is what a player would notice: a frame that one machine exposed must be the
//! same on all others that expose it, for ever.

use std::{collections::BTreeMap, time::Duration};

use signaling::protocol::PeerId;

use super::{
    agreement::{Presence, Step},
    inputs::MatchInputs,
    message::{Body, Message},
    prints::fingerprint,
    schedule::{Change, Outlook},
    value::{Occupant, Value},
    voters::Voters,
};
use crate::{
    exchange::{InputRun, Stream},
    packed_input::PackedInput,
    random,
};

pub(super) const UPDATE: Duration = Duration::from_millis(16);
pub(super) const FRAMES_PER_SECOND: u32 = 60;
/// Frames that a machine may predict.
const WINDOW: u32 = 8;
/// The silence after which a machine counts as missing.
const MISSING_AFTER: Duration = Duration::from_millis(383);
/// The longest time after which all agree once the network is good: a few attempts, each of which
/// may wait as long as the failed ones before it made it.
const MAX_SETTLING: Duration = Duration::from_secs(10);

pub(super) fn peer(machine: usize) -> PeerId {
    PeerId::from_u128(machine as u128 + 1)
}

pub(super) fn packed(input: u8) -> PackedInput {
    PackedInput::from_bytes(&[input]).expect("it is short")
}

/// The inputs of all seats on one machine. A seat that no peer holds has neutral ones.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    us: u8,
    frame: u32,
    pub(super) exposed: u32,
    pub(super) seats: Vec<Vec<PackedInput>>,
}

impl MatchInputs for Inputs {
    fn limit(&self) -> u32 {
        self.frame + FRAMES_PER_SECOND
    }

    fn exposed(&self) -> u32 {
        self.exposed
    }

    fn stable(&self) -> u32 {
        self.exposed.saturating_sub(100)
    }

    fn end(&self, seat: u8) -> u32 {
        self.seats[usize::from(seat)].len() as u32
    }

    fn hash(&self, seat: u8, end: u32) -> u64 {
        let known = &self.seats[usize::from(seat)];
        fingerprint(&&known[..known.len().min(end as usize)])
    }

    fn streams(&self, ends: &[u32]) -> Vec<Stream> {
        let stream = |(seat, &first): (usize, &u32)| {
            let inputs = self.seats[seat].get(first as usize..)?;
            let runs = inputs.iter().take(120).map(|&input| InputRun { frames: 1, input });
            let runs = Vec::from_iter(runs);
            (!runs.is_empty()).then_some(Stream { seat: seat as u8, first, runs })
        };
        ends.iter().enumerate().take(self.seats.len()).filter_map(stream).collect()
    }

    fn take(&mut self, stream: &Stream, before: u32) {
        if stream.seat == self.us {
            return;
        }
        let before = before.min(self.limit());
        let Some(known) = self.seats.get_mut(usize::from(stream.seat)) else { return };
        for (frame, run) in (stream.first..before).zip(&stream.runs) {
            if frame as usize == known.len() {
                known.push(run.input);
            }
        }
    }

    fn replace(&mut self, stream: &Stream, before: u32, hash: u64) {
        let mut other = self.clone();
        let Some(known) = other.seats.get_mut(usize::from(stream.seat)) else { return };
        known.truncate(stream.first.max(self.exposed) as usize);
        other.take(stream, before);
        if other.end(stream.seat) >= before && other.hash(stream.seat, before) == hash {
            *self = other;
        }
    }
}

pub(super) struct Machine {
    pub(super) change: Change,
    pub(super) inputs: Inputs,
    pub(super) is_alive: bool,
    /// For each machine: the epoch in which it acknowledged, and what of each seat.
    acknowledged: Vec<(u32, Vec<u32>)>,
    heard: Vec<Duration>,
    /// What we have acknowledged: held seats stay as they are.
    given: Vec<u32>,
}

/// A match in which bad things happen.
pub(super) struct Rig {
    pub(super) seed: u64,
    pub(super) now: Duration,
    pub(super) machines: Vec<Machine>,
    /// Messages under way, by the time at which they arrive.
    pub(super) network: Vec<(Duration, usize, usize, Message)>,
    /// Machines that reach nobody until then.
    pub(super) cut_off: Vec<Duration>,
    /// Only machines in the same part reach each other.
    pub(super) parts: Vec<u8>,
    /// No inputs of the first machine reach the second one.
    pub(super) blocked: Vec<(usize, usize)>,
    /// Nothing at all of the first machine reaches the second one.
    pub(super) deaf: Vec<(usize, usize)>,
    /// How many more messages each machine sends before it crashes.
    pub(super) fuses: Vec<Option<usize>>,
    /// Machines that are gone, and whose channels are seen to be closed.
    pub(super) has_closed: Vec<bool>,
    /// A machine that accepts nothing, and says nothing of what was decided.
    pub(super) never_accepts: Option<usize>,
    pub(super) loss_percent: u64,
    pub(super) liar: Option<usize>,
    /// The value of each epoch, and what was exposed in each frame.
    pub(super) epochs: BTreeMap<u32, Value>,
    pub(super) exposed: Vec<Vec<PackedInput>>,
}

/// How a match went on once the network was good again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All machines that are left agreed, after this time.
    Agreed(Duration),
    /// No quorum is left, or none of a roster that may have been decided: see [`Rig::is_lost`].
    Lost,
}

impl Rig {
    pub(super) fn new(seed: u64, count: usize, loss_percent: u64, liar: Option<usize>) -> Self {
        let seats = Vec::from_iter((0..count).map(|it| Occupant::Peer(peer(it))));
        let machine = |it: usize| Machine {
            change: Change::new(peer(it), seats.clone()),
            inputs: Inputs { us: it as u8, frame: 0, exposed: 0, seats: vec![Vec::new(); count] },
            is_alive: true,
            acknowledged: vec![(0, vec![0; count]); count],
            heard: vec![Duration::ZERO; count],
            given: vec![0; count],
        };
        Self {
            seed,
            now: Duration::ZERO,
            machines: (0..count).map(machine).collect(),
            network: Vec::new(),
            cut_off: vec![Duration::ZERO; count],
            parts: vec![0; count],
            blocked: Vec::new(),
            deaf: Vec::new(),
            fuses: vec![None; count],
            has_closed: vec![false; count],
            never_accepts: None,
            loss_percent,
            liar,
            epochs: BTreeMap::from([(0, Value::of_line_up(seats.clone()))]),
            exposed: Vec::new(),
        }
    }

    pub(super) fn random(&mut self, below: u64) -> u64 {
        random::next(&mut self.seed) % below
    }

    fn is_connected(&self, from: usize, to: usize) -> bool {
        let is_reachable = |&it: &usize| self.machines[it].is_alive && self.cut_off[it] <= self.now;
        self.parts[from] == self.parts[to]
            && [from, to].iter().all(is_reachable)
            && !self.deaf.contains(&(from, to))
    }

    pub(super) fn send(&mut self, from: usize, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::ToAll(message) => {
                    for to in 0..self.machines.len() {
                        self.post(from, to, &message);
                    }
                }
                Step::Send(to, message) => {
                    let to = (0..self.machines.len()).find(|&it| peer(it) == to);
                    self.post(from, to.expect("all peers are here"), &message);
                }
                Step::Installed(value) => self.install(from, value),
                Step::Differs { .. } => assert!(self.liar.is_some(), "nobody lies"),
            }
        }
    }

    fn post(&mut self, from: usize, to: usize, message: &Message) {
        if from == to || !self.machines[from].is_alive {
            return;
        }
        if let Some(left) = &mut self.fuses[from] {
            self.machines[from].is_alive = *left > 0;
            *left = left.saturating_sub(1);
        }
        let is_acceptance = matches!(message.body, Body::Accepted { .. } | Body::Install { .. });
        let is_kept_back = self.never_accepts == Some(from) && is_acceptance;
        if is_kept_back || !self.is_connected(from, to) {
            return;
        }
        for _ in 0..1 + usize::from(self.random(20) == 0) {
            if self.random(100) >= self.loss_percent {
                let delay = 10 + self.random(50);
                let at = self.now + Duration::from_millis(delay);
                self.network.push((at, from, to, message.clone()));
            }
        }
    }

    fn install(&mut self, it: usize, value: Value) {
        let machine = &mut self.machines[it];
        assert!(value.first >= machine.inputs.exposed, "{it} takes frames back: {value:?}");
        for (seat, occupant) in value.seats.iter().enumerate() {
            let inputs = &mut machine.inputs.seats[seat];
            let is_held = *occupant == Occupant::Peer(peer(seat));
            let was_held = self
                .epochs
                .get(&(value.epoch - 1))
                .is_none_or(|before| before.seats[seat] == Occupant::Peer(peer(seat)));
            if !(is_held && was_held) {
                inputs.truncate(value.first as usize);
                inputs.resize(value.first as usize, PackedInput::default());
            }
            if it == seat && is_held && !was_held {
                // It followed the match so far, maybe beyond that frame, and gives inputs from now.
                machine.inputs.frame = value.first;
            }
        }
        machine.given = machine.inputs.seats.iter().map(|it| it.len() as u32).collect();
        machine.inputs.frame = machine.inputs.frame.max(value.first);
        if self.liar == Some(it) {
            return;
        }
        let known = self.epochs.entry(value.epoch).or_insert_with(|| value.clone());
        assert_eq!(*known, value, "two successors");
    }

    fn holds_seat(&self, it: usize, seat: usize) -> bool {
        self.machines[it].change.installed().seats[seat] == Occupant::Peer(peer(seat))
    }

    /// One update of all machines.
    pub(super) fn update(&mut self) {
        self.now += UPDATE;
        self.exchange_inputs();
        self.network.sort_by_key(|it| it.0);
        let due = self.network.partition_point(|it| it.0 <= self.now);
        for (_, from, to, message) in Vec::from_iter(self.network.drain(..due)) {
            if !self.machines[to].is_alive {
                continue;
            }
            // What was under way may arrive after its sender crashed.
            let Machine { change, inputs, .. } = &mut self.machines[to];
            let steps = change.handle(self.now, peer(from), &message, inputs);
            self.send(to, steps);
        }
        for it in 0..self.machines.len() {
            if self.machines[it].is_alive {
                self.run(it);
            }
        }
    }

    /// Inputs and acknowledgements travel in every second update.
    fn exchange_inputs(&mut self) {
        for from in 0..self.machines.len() {
            for to in 0..self.machines.len() {
                let is_lost = self.random(100) < self.loss_percent + 20;
                if from == to || is_lost || !self.is_connected(from, to) {
                    continue;
                }
                let is_blocked = self.blocked.contains(&(from, to));
                let sender = &self.machines[from];
                let epoch = sender.change.installed().epoch;
                let (given, inputs) = (sender.given.clone(), sender.inputs.seats[from].clone());
                let is_member = self.holds_seat(to, from) && self.holds_seat(from, from);
                let receiver = &mut self.machines[to];
                receiver.heard[from] = self.now;
                receiver.change.hear_epoch(peer(from), epoch);
                receiver.acknowledged[from] = (epoch, given);
                let voter = receiver.change.agreement().voters().index(peer(from));
                let hold = receiver.change.hold().map(|hold| hold.machines).unwrap_or_default();
                let is_held = voter.is_some_and(|voter| hold.has(voter));
                if is_member && !is_held && !is_blocked {
                    let known = &mut receiver.inputs.seats[from];
                    let limit = receiver.inputs.frame as usize + 40;
                    let new = inputs.iter().take(limit).skip(known.len()).copied();
                    known.extend(Vec::from_iter(new));
                    receiver.given[from] = known.len() as u32;
                }
            }
        }
    }

    fn run(&mut self, it: usize) {
        let input = packed(self.random(3) as u8);
        let epoch = self.machines[it].change.installed().epoch;
        let is_member = self.holds_seat(it, it);
        let Machine { change, inputs, acknowledged, given, heard, .. } = &mut self.machines[it];
        for other in (0..heard.len()).filter(|&other| other != it) {
            let is_missing = self.now.saturating_sub(heard[other]) > MISSING_AFTER;
            let presence = match is_missing {
                true if self.has_closed[other] => Presence::Closed,
                true => Presence::Missing,
                false => Presence::Here,
            };
            change.notice(peer(other), presence);
        }
        let held = Vec::from_iter(change.installed().peer_seats().map(|(seat, _)| seat));
        let confirmed = held.iter().map(|&seat| inputs.end(seat)).min().unwrap_or(0);
        if is_member && inputs.frame < confirmed + WINDOW {
            inputs.frame += 1;
            let frame = inputs.frame as usize;
            while inputs.seats[it].len() < frame {
                inputs.seats[it].push(input);
            }
            given[it] = inputs.seats[it].len() as u32;
        }
        if !is_member {
            // It only follows the match.
            inputs.frame = inputs.frame.max(confirmed);
        }
        let roster = change.installed().seats.clone();
        let voters = change.agreement().voters().clone();
        let ends = |voter: usize, seat: usize| {
            let machine = (0..roster.len()).find(|&it| peer(it) == voters.peer(voter));
            match machine.map(|machine| &acknowledged[machine]) {
                _ if machine == Some(it) => given[seat],
                Some((known, ends)) if *known == epoch => ends[seat],
                _ => 0,
            }
        };
        let most = voters.exposed(&roster, ends).unwrap_or(0).max(change.installed().first);
        let hold = change.hold().map_or(u32::MAX, |hold| hold.from);
        let to = if is_member { most.min(confirmed).min(hold) } else { inputs.exposed };
        self.expose(it, to);
        let Machine { change, inputs, .. } = &mut self.machines[it];
        let outlook = Outlook {
            round_trip: Duration::from_millis(120),
            soon: inputs.frame + 20,
            until_soon: Duration::ZERO,
        };
        let steps = change.poll(self.now, outlook, inputs);
        self.send(it, steps);
        let Machine { change, inputs, .. } = &mut self.machines[it];
        let repeated = change.repeat(self.now, inputs);
        self.send(it, repeated);
    }

    fn expose(&mut self, it: usize, to: u32) {
        let inputs = &mut self.machines[it].inputs;
        let from = inputs.exposed;
        inputs.exposed = from.max(to);
        if self.liar == Some(it) {
            return;
        }
        for frame in from..to {
            let row = |seat: &Vec<PackedInput>| seat.get(frame as usize).copied();
            let row: Vec<_> =
                inputs.seats.iter().map(|seat| row(seat).unwrap_or_default()).collect();
            match self.exposed.get(frame as usize) {
                Some(known) => assert_eq!(*known, row, "{it} exposed another frame {frame}"),
                None => self.exposed.push(row),
            }
        }
    }

    pub(super) fn newest(&self) -> &Value {
        self.epochs.values().next_back().expect("the line-up is always there")
    }

    /// Lets time pass.
    pub(super) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.update();
        }
    }

    pub(super) fn crash(&mut self, it: usize) {
        self.machines[it].is_alive = false;
    }

    /// A machine says goodbye, and is gone.
    pub(super) fn leave(&mut self, it: usize, will_return: bool) {
        let Machine { change, inputs, .. } = &mut self.machines[it];
        let steps = change.leave(will_return, inputs);
        // It goes out once on a reliable channel, or several times.
        (0..3).for_each(|_| self.send(it, steps.clone()));
        self.crash(it);
    }

    /// Nothing bad happens any longer: the machines that are left agree, and the match goes on. It
    /// must not take longer than `MAX_SETTLING`.
    pub(super) fn settle(&mut self) -> Outcome {
        self.loss_percent = 0;
        self.cut_off.iter_mut().for_each(|until| *until = Duration::ZERO);
        self.parts.iter_mut().for_each(|part| *part = 0);
        self.blocked.clear();
        self.deaf.clear();
        let begin = self.now;
        while self.now < begin + MAX_SETTLING && !self.is_settled() {
            self.update();
        }
        if self.is_lost() {
            return Outcome::Lost;
        }
        assert!(self.is_settled(), "no agreement: {:#?}", self.summary());
        let time = self.now - begin;
        let exposed = self.exposed.len();
        self.run_for(Duration::from_secs(2));
        assert!(self.exposed.len() > exposed + 30, "the match stands still: {:#?}", self.summary());
        Outcome::Agreed(time)
    }

    /// Whether no agreement can be expected: no quorum of the newest roster is left, or none of one
    /// that a machine accepted. See "What it cannot do" in the header of the folder.
    ///
    /// A machine that knows of it says that it is stuck, so that the match need not wait for ever.
    pub(super) fn is_lost(&self) -> bool {
        let is_alive = |seat: usize| self.machines[seat].is_alive;
        let newest = self.newest();
        let alive = (0..self.machines.len()).filter(|&it| is_alive(it));
        let changes = alive.map(|it| &self.machines[it].change);
        let in_step = changes.filter(|change| change.installed() == newest);
        let members = Vec::from_iter(in_step.filter(|change| change.agreement().us.is_some()));
        let has_said_goodbye = |seat: usize| {
            members.iter().any(|change| {
                let agreement = change.agreement();
                let voter = agreement.voters().index(peer(seat));
                voter.is_some_and(|voter| agreement.views[voter].goodbye.is_some())
            })
        };
        let has_majority = |value: &Value| {
            let voters = Voters::of(&value.seats);
            let voter = |it: usize| voters.index(peer(it));
            let held = || (0..self.machines.len()).filter(|&it| voter(it).is_some());
            let left = held().filter(|&it| is_alive(it)).filter_map(voter).collect();
            let gone = held().filter(|&it| has_said_goodbye(it)).filter_map(voter).collect();
            let is_out = |it: usize| self.has_closed[it] || has_said_goodbye(it);
            voters.is_quorum(left, gone, held().all(|it| is_alive(it) || is_out(it)))
        };
        let may_be_decided = |change: &Change| {
            let agreement = change.agreement();
            let accepted = agreement.decision.accepted.as_ref();
            let is_lost = accepted.is_some_and(|(_, value)| !has_majority(value));
            assert!(!is_lost || change.is_stuck(), "it waits in silence: {agreement:?}");
            let goodbyes = agreement.views.iter().filter_map(|view| view.goodbye.as_ref());
            let mut last = goodbyes.filter_map(|goodbye| goodbye.promise.accepted.as_ref());
            is_lost || last.any(|(_, value)| !has_majority(value))
        };
        !has_majority(newest) || (!self.is_settled() && members.iter().any(|it| may_be_decided(it)))
    }

    pub(super) fn is_settled(&self) -> bool {
        let newest = self.newest();
        newest.peer_seats().all(|(seat, _)| {
            let machine = &self.machines[usize::from(seat)];
            machine.is_alive
                && machine.change.installed() == newest
                && machine.change.hold().is_none()
        })
    }

    pub(super) fn summary(&self) -> Vec<String> {
        let line = |machine: &Machine| {
            let Machine { change, is_alive, inputs, .. } = machine;
            let ends = Vec::from_iter((0..inputs.seats.len()).map(|seat| inputs.end(seat as u8)));
            format!(
                "alive {is_alive}, exposed {}, frame {}, inputs {ends:?}, {:?}",
                inputs.exposed,
                inputs.frame,
                change.agreement()
            )
        };
        self.machines.iter().map(line).collect()
    }
}
