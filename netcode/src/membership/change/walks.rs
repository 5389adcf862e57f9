//! Random walks: several machines, several changes one after another, over a network that loses,
//! doubles and reorders messages. Machines crash, leave, drop out and come back, and one may lie.
//!
//! What is compared is what a player would notice: a frame that one machine exposed must be the
//! same on all others that expose it, for ever.

#![expect(clippy::print_stdout, reason = "a walk that fails is found by its seed")]

use std::{collections::BTreeMap, time::Duration};

use signaling::protocol::PeerId;

use super::{
    agreement::{Asked, Presence, Step},
    inputs::MatchInputs,
    message::{Ballot, Body, Message, Promise, Wish},
    schedule::{Change, Outlook},
    value::{Occupant, Reason, Value},
    voters::Machines,
};
use crate::{
    exchange::{InputRun, Stream},
    packed_input::PackedInput,
    random,
};

const UPDATE: Duration = Duration::from_millis(16);
const FRAMES_PER_SECOND: u32 = 60;
/// Frames that a machine may predict.
const WINDOW: u32 = 8;
/// The silence after which a machine counts as missing.
const MISSING_AFTER: Duration = Duration::from_millis(383);

fn peer(machine: usize) -> PeerId {
    PeerId::from_u128(machine as u128 + 1)
}

fn packed(input: u8) -> PackedInput {
    PackedInput::from_bytes(&[input]).expect("it is short")
}

/// The inputs of all seats on one machine. A seat that no peer holds has neutral ones.
#[derive(Clone, Debug)]
struct Inputs {
    us: u8,
    frame: u32,
    exposed: u32,
    seats: Vec<Vec<PackedInput>>,
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
        let bytes = format!("{:?}", &known[..known.len().min(end as usize)]);
        xxhash_rust::xxh3::xxh3_64(bytes.as_bytes())
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

struct Machine {
    change: Change,
    inputs: Inputs,
    is_alive: bool,
    /// For each machine: the epoch in which it acknowledged, and what of each seat.
    acknowledged: Vec<(u32, Vec<u32>)>,
    heard: Vec<Duration>,
    /// What we have acknowledged: held seats stay as they are.
    given: Vec<u32>,
}

/// A match in which bad things happen.
struct Walk {
    seed: u64,
    now: Duration,
    machines: Vec<Machine>,
    /// Messages under way, by the time at which they arrive.
    network: Vec<(Duration, usize, usize, Message)>,
    /// Machines that reach nobody until then.
    cut_off: Vec<Duration>,
    loss_percent: u64,
    liar: Option<usize>,
    /// The value of each epoch, and what was exposed in each frame.
    epochs: BTreeMap<u32, Value>,
    exposed: Vec<Vec<PackedInput>>,
}

impl Walk {
    fn new(seed: u64, count: usize, loss_percent: u64, liar: Option<usize>) -> Self {
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
            loss_percent,
            liar,
            epochs: BTreeMap::new(),
            exposed: Vec::new(),
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        random::next(&mut self.seed) % below
    }

    fn is_connected(&self, one: usize, other: usize) -> bool {
        [one, other].iter().all(|&it| self.machines[it].is_alive && self.cut_off[it] <= self.now)
    }

    fn send(&mut self, from: usize, steps: Vec<Step>) {
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
        if from == to || !self.is_connected(from, to) {
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
    fn update(&mut self) {
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
                if is_member && !voter.is_some_and(|voter| hold.has(voter)) {
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
            let presence = if is_missing { Presence::Missing } else { Presence::Here };
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
        let outlook = Outlook { round_trip: Duration::from_millis(120), soon: inputs.frame + 20 };
        let steps = change.poll(self.now, outlook, inputs);
        self.send(it, steps);
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

    /// Something bad.
    fn disturb(&mut self) {
        let it = self.random(self.machines.len() as u64) as usize;
        let seconds = Duration::from_millis(200 + self.random(3000));
        match self.random(10) {
            0 if self.can_spare(it) => self.machines[it].is_alive = false,
            1 if self.can_spare(it) => {
                let Machine { change, inputs, .. } = &mut self.machines[it];
                let steps = change.leave(self.seed.is_multiple_of(2), inputs);
                self.send(it, steps);
                self.cut_off[it] = self.now + UPDATE;
                self.machines[it].is_alive = false;
            }
            2..=4 => self.cut_off[it] = self.now + seconds,
            5 | 6 => self.come_back(),
            7 => self.loss_percent = self.random(40),
            _ => {}
        }
    }

    /// Whether a majority is left without this machine, of every epoch that is in force anywhere.
    fn can_spare(&self, it: usize) -> bool {
        let is_left = |seat: usize| seat != it && self.machines[seat].is_alive;
        let alive = (0..self.machines.len()).filter(|&machine| is_left(machine));
        let mut values = alive.map(|machine| self.machines[machine].change.installed());
        let has_majority = |value: &Value| {
            let voters = Vec::from_iter(value.peer_seats().map(|(seat, _)| usize::from(seat)));
            2 * voters.iter().filter(|&&seat| is_left(seat)).count() > voters.len()
        };
        Some(it) != self.liar && values.all(has_majority)
    }

    fn newest(&self) -> &Value {
        self.epochs.values().next_back().unwrap_or(self.machines[0].change.installed())
    }

    /// A machine that was put away asks for its seat once it knows what was decided.
    fn come_back(&mut self) {
        let newest = self.newest().clone();
        for (seat, occupant) in newest.seats.iter().enumerate() {
            let is_away = *occupant == Occupant::Away(peer(seat));
            let is_in_step = *self.machines[seat].change.installed() == newest;
            if is_away && is_in_step && self.machines[seat].is_alive {
                let asked = Asked { seat: seat as u8, occupant: Occupant::Peer(peer(seat)) };
                self.machines.iter_mut().for_each(|it| it.change.ask(asked));
                return;
            }
        }
    }

    /// A lie.
    fn lie(&mut self) {
        let Some(liar) = self.liar else { return };
        let count = self.machines.len();
        let installed = self.machines[liar].change.installed().clone();
        let victim = self.random(count as u64) as usize;
        let round = [1, 2, 3, 900, u32::MAX][self.random(5) as usize];
        let ballot = Ballot { round, leader: liar as u8 };
        let mut seats = installed.seats.clone();
        seats[victim] =
            [Occupant::Bot, Occupant::Empty, Occupant::Away(peer(victim))][self.random(3) as usize];
        let first = [0, installed.first, self.exposed.len() as u32 + 5, 1 << 30];
        let ended = installed.given_up(&seats).map(|(seat, _)| (seat, round.into())).collect();
        let value = Value {
            epoch: installed.epoch + 1,
            parent: installed.digest(),
            seats,
            first: first[self.random(4) as usize],
            ended,
            reason: Reason::Missing,
        };
        let far = [0, value.first, 1 << 31][self.random(3) as usize];
        let promise = Promise {
            ballot: Ballot { round, leader: self.random(count as u64) as u8 },
            accepted: Some((Ballot { round: 1, leader: liar as u8 }, value.clone())),
            exposed: far,
            ends: vec![far; count],
            hashes: vec![7; count],
        };
        let wish = Wish { leaving: Machines::default().with(victim), first: far };
        let stream = Stream {
            seat: victim as u8,
            first: self.exposed.len() as u32,
            runs: vec![InputRun { frames: 200, input: packed(9) }; 3],
        };
        let body = match self.random(10) {
            0 => Body::Suspect { missing: Machines::first(16) },
            1 => Body::Prepare { ballot, wish },
            2 => Body::Prepare { ballot, wish: Wish::default() },
            3 => Body::Promise(promise),
            4 => Body::Accept { ballot, value },
            5 => Body::Accepted { ballot, digest: value.digest() },
            6 => Body::Install { ballot, value },
            7 => Body::Lack { ends: vec![0; count] },
            8 => Body::Fill { streams: vec![stream] },
            _ => Body::Promise(Promise { accepted: None, ..promise }),
        };
        let epoch = (installed.epoch + 2).saturating_sub(self.random(4) as u32);
        self.send(liar, vec![Step::ToAll(Message { epoch, body })]);
    }

    /// Plays for some seconds in which bad things happen.
    fn play(&mut self, seconds: u32) {
        for update in 0..seconds * FRAMES_PER_SECOND {
            if update % 10 == 0 {
                self.lie();
            }
            if self.random(40) == 0 {
                self.disturb();
            }
            self.update();
            assert!(self.network.len() < 20_000, "the machines flood the network");
        }
    }

    /// Nothing bad happens any longer: the machines that are left agree.
    fn settle(&mut self) {
        self.loss_percent = 0;
        self.cut_off.iter_mut().for_each(|until| *until = Duration::ZERO);
        let deadline = self.now + Duration::from_secs(30);
        while self.now < deadline && !self.is_settled() {
            self.update();
        }
        let voters = Vec::from_iter(self.newest().peer_seats().map(|(seat, _)| usize::from(seat)));
        let is_alive = |seat: &&usize| self.machines[**seat].is_alive;
        if 2 * voters.iter().filter(is_alive).count() <= voters.len() {
            // A machine was put away after another one had died that was to stay.
            return;
        }
        assert!(self.is_settled(), "no agreement: {:#?}", self.summary());
        // And the match goes on.
        let exposed = self.exposed.len();
        (0..2 * FRAMES_PER_SECOND).for_each(|_| self.update());
        assert!(self.exposed.len() > exposed + 30, "the match stands still: {:#?}", self.summary());
    }

    fn is_settled(&self) -> bool {
        let newest = self.newest();
        newest.peer_seats().all(|(seat, _)| {
            let machine = &self.machines[usize::from(seat)];
            machine.is_alive
                && machine.change.installed() == newest
                && machine.change.hold().is_none()
        })
    }

    fn summary(&self) -> Vec<String> {
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

/// One match of `count` machines.
fn walk(seed: u64, seconds: u32, count: usize, is_honest: bool) -> usize {
    let mut state = seed;
    let loss = random::next(&mut state) % 30;
    let liar = (!is_honest).then(|| (random::next(&mut state) % count as u64) as usize);
    let mut walk = Walk::new(state, count, loss, liar);
    walk.play(seconds);
    if is_honest {
        walk.settle();
    }
    walk.epochs.len()
}

fn walks(seeds: std::ops::Range<u64>, seconds: u32) {
    let mut changes = 0;
    for seed in seeds {
        let count = 3 + (seed % 6) as usize;
        println!("seed {seed}");
        changes += walk(seed, seconds, count, true);
    }
    println!("{changes} changes");
    assert!(changes > 0);
}

#[test]
fn machines_that_crash_leave_and_come_back_agree_and_take_nothing_back() {
    walks(0..700, 4);
}

#[test]
fn a_machine_that_lies_makes_no_other_one_take_anything_back() {
    for seed in 0..300 {
        println!("seed {seed}");
        // With an odd number of machines, two quorums may have only the liar in common.
        walk(seed, 4, [4, 6, 8][seed as usize % 3], false);
    }
}

#[test]
#[ignore = "minutes"]
fn many_more_seeds_agree_and_take_nothing_back() {
    walks(1_000..21_000, 6);
}
