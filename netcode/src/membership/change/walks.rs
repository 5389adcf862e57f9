//! Random walks: several machines, several changes one after another, over a bad network. Machines
//! crash, leave, drop out and come back, and one may lie.

#![expect(
    clippy::print_stdout,
    reason = "how far a long run is, and its sums, are worth reading in the log"
)]

use std::{ops::Range, panic::catch_unwind, time::Duration};

use super::{
    agreement::Step,
    message::{Asked, Ballot, Body, Message, Promise, Wish},
    rig::{FRAMES_PER_SECOND, Outcome, Rig, packed, peer},
    value::{Clock, Occupant, Reason, Value},
    voters::Machines,
};
use crate::{
    exchange::{InputRun, Stream},
    random,
};

/// The numbers of machines in the matches, in turn.
const HONEST: [usize; 6] = [3, 4, 5, 6, 7, 8];
const WITH_A_LIAR: [usize; 3] = [4, 6, 8];
const SEEDS_PER_LINE: u64 = 500;

impl Rig {
    /// Something bad.
    fn disturb(&mut self) {
        let it = self.random(self.machines.len() as u64) as usize;
        let seconds = Duration::from_millis(200 + self.random(3000));
        match self.random(10) {
            0 if self.can_spare(it) => self.crash(it),
            1 if self.can_spare(it) => self.leave(it, self.seed.is_multiple_of(2)),
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

    /// A machine that was put away asks for its seat once it knows what was decided.
    fn come_back(&mut self) {
        let newest = self.newest().clone();
        for (seat, occupant) in newest.seats.iter().enumerate() {
            let is_away = *occupant == Occupant::Away(peer(seat));
            let is_in_step = *self.machines[seat].change.installed() == newest;
            if is_away && is_in_step && self.machines[seat].is_alive {
                let asked = Asked::Seat { seat: seat as u8, occupant: Occupant::Peer(peer(seat)) };
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
        let round = [1, 2, 3, 900, u64::MAX][self.random(5) as usize];
        let ballot = Ballot { round, leader: liar as u8 };
        let mut seats = installed.seats.clone();
        seats[victim] =
            [Occupant::Bot, Occupant::Empty, Occupant::Away(peer(victim))][self.random(3) as usize];
        let first = [0, installed.first, self.exposed.len() as u32 + 5, 1 << 30];
        let ended = installed.given_up(&seats).map(|(seat, _)| (seat, round)).collect();
        let value = Value {
            epoch: installed.epoch + 1,
            parent: installed.digest(),
            seats,
            clock: Clock::Runs,
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
            0 => Body::Suspect { missing: Machines::first(16), asked: Vec::new() },
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

    /// Whether lies can do harm: two quorums may have only the liar in common.
    fn is_at_mercy(&self) -> bool {
        let voters = self.newest().peer_seats().count();
        self.liar.is_some() && !voters.is_multiple_of(2)
    }

    /// Plays for some seconds in which bad things happen. A liar is gone at the end, and when its
    /// lies could do harm: until then, nothing may come of them.
    fn play(&mut self, seconds: u32) {
        for update in 0..seconds * FRAMES_PER_SECOND {
            if self.is_at_mercy() {
                break;
            }
            if update % 10 == 0 {
                self.lie();
            }
            if self.random(40) == 0 {
                self.disturb();
            }
            self.update();
            assert!(self.network.len() < 20_000, "the machines flood the network");
        }
        if let Some(liar) = self.liar {
            self.crash(liar);
            self.network.retain(|(_, from, ..)| *from != liar);
        }
    }
}

/// One match of `count` machines.
fn walk(seed: u64, seconds: u32, count: usize, is_honest: bool) -> (usize, Outcome) {
    let mut state = seed;
    let loss = random::next(&mut state) % 30;
    let liar = (!is_honest).then(|| (random::next(&mut state) % count as u64) as usize);
    let mut rig = Rig::new(state, count, loss, liar);
    rig.play(seconds);
    let outcome = rig.settle();
    (rig.epochs.len() - 1, outcome)
}

/// Matches that go on all end in agreement, and hardly any is lost.
fn walks(seeds: Range<u64>, seconds: u32, counts: &[usize], is_honest: bool) {
    let (mut changes, mut lost, mut slowest) = (0, 0, Duration::ZERO);
    let number = seeds.end - seeds.start;
    for seed in seeds {
        if seed.is_multiple_of(SEEDS_PER_LINE) {
            println!("seeds from {seed} on");
        }
        let count = counts[seed as usize % counts.len()];
        let play = || walk(seed, seconds, count, is_honest);
        let Ok((more, outcome)) = catch_unwind(play) else {
            panic!("seed {seed}, {count} machines: see above");
        };
        changes += more;
        match outcome {
            Outcome::Agreed(time) => slowest = slowest.max(time),
            Outcome::Lost => lost += 1,
        }
    }
    println!("{changes} changes; {lost} of {number} matches lost their quorum");
    println!("all others agreed within {slowest:?} once the network was good");
    assert!(changes > 0 && lost * 5 < number, "{lost} of {number} matches lost their quorum");
}

#[test]
fn machines_that_crash_leave_and_come_back_agree_and_take_nothing_back() {
    walks(0..1_000, 4, &HONEST, true);
}

#[test]
fn a_machine_that_lies_makes_no_other_one_take_anything_back() {
    walks(0..300, 4, &WITH_A_LIAR, false);
}

#[test]
#[ignore = "minutes"]
fn many_more_seeds_agree_and_take_nothing_back() {
    walks(1_000..21_000, 6, &HONEST, true);
}

#[test]
#[ignore = "minutes"]
fn many_more_lies_make_nobody_take_anything_back() {
    walks(300..5_000, 6, &WITH_A_LIAR, false);
}
