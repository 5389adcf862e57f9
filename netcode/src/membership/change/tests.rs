//! Each rule by itself.

use signaling::protocol::PeerId;

use super::{
    Asked, Ballot, Body, MatchInputs, Message, Occupant, Presence, Step, Value,
    agreement::Agreement,
    message::{Goodbye, Promise, Wish},
    value::{Clock, Reason},
    voters::Machines,
};
use crate::{
    codec::{decode, encode_into},
    exchange::{InputRun, Stream},
};

const LIMIT: u32 = 100;

/// For each seat, the frame before which the inputs are known.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) ends: Vec<u32>,
    pub(super) exposed: u32,
    /// The seats whose inputs are others than on the other machines.
    pub(super) differing: Vec<u8>,
}

impl MatchInputs for Known {
    fn limit(&self) -> u32 {
        LIMIT
    }

    fn exposed(&self) -> u32 {
        self.exposed
    }

    fn stable(&self) -> u32 {
        0
    }

    fn end(&self, seat: u8) -> u32 {
        self.ends[usize::from(seat)]
    }

    fn hash(&self, seat: u8, end: u32) -> u64 {
        u64::from(end) << 1 | u64::from(self.differing.contains(&seat))
    }

    fn streams(&self, ends: &[u32]) -> Vec<Stream> {
        let lacking = (0..).zip(ends.iter().zip(&self.ends)).filter(|(_, (end, ours))| end < ours);
        let run = |frames: u32| InputRun { frames: frames as u8, ..InputRun::default() };
        let stream = |(seat, (&first, &end)): (u8, (&u32, &u32))| Stream {
            seat,
            first,
            runs: vec![run(end - first)],
        };
        lacking.map(stream).collect()
    }

    fn take(&mut self, stream: &Stream, before: u32) {
        let end = &mut self.ends[usize::from(stream.seat)];
        let frames = stream.runs.iter().map(|run| u32::from(run.frames));
        *end = before.min(stream.first + frames.sum::<u32>()).max(*end);
    }

    fn replace(&mut self, stream: &Stream, before: u32, hash: u64) {
        if hash == u64::from(before) << 1 {
            self.differing.retain(|&seat| seat != stream.seat);
        }
    }
}

pub(super) fn peer(machine: usize) -> PeerId {
    PeerId::from_u128(machine as u128 + 1)
}

pub(super) fn seats(count: usize) -> Vec<Occupant> {
    (0..count).map(|it| Occupant::Peer(peer(it))).collect()
}

pub(super) fn set(voters: &[usize]) -> Machines {
    voters.iter().copied().collect()
}

/// A message about the first change: its sender misses these machines, and asks for these changes.
pub(super) fn wants(missing: &[usize], asked: &[Asked]) -> Message {
    Message { epoch: 1, body: Body::Suspect { missing: set(missing), asked: asked.to_vec() } }
}

/// Machines that have all inputs before frame 10, and have exposed those before frame 8.
struct Table {
    machines: Vec<(Agreement, Known)>,
    installed: Vec<(usize, Value)>,
}

impl Table {
    fn new(count: usize) -> Self {
        let known = Known { ends: vec![10; count], exposed: 8, differing: Vec::new() };
        let machine = |it| (Agreement::new(peer(it), seats(count)), known.clone());
        Self { machines: (0..count).map(machine).collect(), installed: Vec::new() }
    }

    /// These machines miss that one.
    fn miss(&mut self, machines: &[usize], missed: usize) {
        for &it in machines {
            self.machines[it].0.notice(peer(missed), Presence::Missing);
        }
    }

    /// These machines see a change to be asked for, and tell each other.
    fn ask(&mut self, machines: &[usize], asked: Asked) {
        for &it in machines {
            self.machines[it].0.ask(asked);
        }
        for &it in machines {
            let (agreement, known) = &self.machines[it];
            let steps = agreement.unanswered(known);
            self.deliver(it, steps, machines);
        }
    }

    fn begin(&mut self, leader: usize, leaving: &[usize]) -> Vec<Step> {
        let (agreement, known) = &mut self.machines[leader];
        agreement.begin(Wish { leaving: set(leaving), first: 0 }, known)
    }

    fn propose(&mut self, leader: usize) -> Vec<Step> {
        let (agreement, known) = &mut self.machines[leader];
        agreement.propose(known)
    }

    /// Hands over what a machine sends, and what the answers lead to, among these machines.
    fn deliver(&mut self, from: usize, steps: Vec<Step>, among: &[usize]) {
        for step in steps {
            let (message, to) = match step {
                Step::ToAll(message) => (message, None),
                Step::Send(to, message) => (message, Some(to)),
                Step::Installed(value) => {
                    self.installed.push((from, value));
                    continue;
                }
                Step::Differs { .. } => continue,
            };
            for &it in among {
                if it != from && to.is_none_or(|to| to == peer(it)) {
                    let (agreement, known) = &mut self.machines[it];
                    let steps = agreement.handle(peer(from), &message, known);
                    self.deliver(it, steps, among);
                }
            }
        }
    }

    /// A whole attempt of a leader.
    fn attempt(&mut self, leader: usize, leaving: &[usize], among: &[usize]) {
        let steps = self.begin(leader, leaving);
        self.deliver(leader, steps, among);
        let steps = self.propose(leader);
        self.deliver(leader, steps, among);
    }
}

#[test]
fn survivors_cut_at_the_last_frame_that_one_of_them_has_of_the_leaver() {
    let mut table = Table::new(4);
    table.miss(&[0, 1, 2], 3);
    table.machines[2].1.ends[3] = 15;
    let steps = table.begin(0, &[3]);
    table.deliver(0, steps, &[0, 1, 2]);
    // The leader lacks inputs that the cut needs, asks for them, and proposes.
    assert_eq!(table.propose(0), []);
    let steps = table.machines[0].0.unanswered(&table.machines[0].1.clone());
    table.deliver(0, steps, &[0, 1, 2]);
    assert_eq!(table.machines[0].1.ends[3], 15);
    for machine in 0..3 {
        table.machines[machine].1.ends = vec![15; 4];
    }
    let steps = table.propose(0);
    table.deliver(0, steps, &[0, 1, 2]);
    assert_eq!(table.installed.len(), 3);
    for (_, value) in &table.installed {
        assert_eq!((value.epoch, value.first, value.reason), (1, 15, Reason::Missing));
        assert_eq!(value.seats[3], Occupant::Away(peer(3)));
    }
}

#[test]
fn a_machine_that_promised_holds_until_the_next_epoch() {
    let mut table = Table::new(3);
    table.miss(&[0, 1], 2);
    let steps = table.begin(0, &[2]);
    table.deliver(0, steps, &[0, 1]);
    for machine in 0..2 {
        let hold = table.machines[machine].0.hold().expect("it promised");
        assert_eq!((hold.machines, hold.from), (set(&[2]), 8));
    }
    // A machine that is heard again does not end the hold, since nothing was decided yet.
    table.machines[0].0.notice(peer(2), Presence::Here);
    assert!(table.machines[0].0.hold().is_some());
    let steps = table.propose(0);
    table.deliver(0, steps, &[0, 1]);
    assert_eq!(table.installed.len(), 2);
    assert!(table.machines.iter().take(2).all(|(agreement, _)| agreement.hold().is_none()));
}

#[test]
fn a_planned_change_holds_only_the_frames_after_it() {
    let mut table = Table::new(2);
    let asked = Asked::Seat { seat: 1, occupant: Occupant::Bot };
    let (agreement, known) = &mut table.machines[0];
    agreement.ask(asked);
    agreement.begin(Wish { leaving: set(&[]), first: 30 }, known);
    assert_eq!(agreement.hold().map(|hold| hold.from), Some(30));
    assert!(agreement.hold().is_some_and(|hold| hold.machines.is_empty()));
}

#[test]
fn a_machine_is_put_away_only_by_machines_that_miss_it_themselves() {
    let mut table = Table::new(4);
    table.miss(&[0], 3);
    table.attempt(0, &[3], &[0, 1, 2, 3]);
    assert_eq!(table.installed, []);
    assert_eq!(table.machines[1].0.hold(), None);
    // Claims make no difference.
    let claim = wants(&[3], &[]);
    table.deliver(2, vec![Step::ToAll(claim)], &[1]);
    assert_eq!(table.machines[1].0.missing(), set(&[]));
}

#[test]
fn a_machine_that_does_not_promise_is_neither_cut_off_nor_left_out_unheld() {
    let mut table = Table::new(5);
    table.miss(&[0, 1, 2], 4);
    let steps = table.begin(0, &[4]);
    table.deliver(0, steps, &[0, 1, 2]);
    // Three of five are a quorum, but machine 3 did not promise.
    assert_eq!(table.propose(0), []);
    table.miss(&[0, 1, 2], 3);
    table.attempt(0, &[3, 4], &[0, 1, 2]);
    assert_eq!(table.installed.len(), 3);
    assert_eq!(table.installed[0].1.seats[3], Occupant::Away(peer(3)));
}

#[test]
fn a_machine_that_comes_back_in_time_keeps_its_seat() {
    let mut table = Table::new(3);
    table.miss(&[0, 1], 2);
    table.attempt(0, &[2], &[0, 1, 2]);
    assert_eq!(table.installed.len(), 3);
    let value = &table.installed[0].1;
    assert_eq!((value.seats.clone(), value.first, value.reason), (seats(3), 8, Reason::Unchanged));
}

#[test]
fn nothing_is_accepted_before_all_inputs_up_to_the_cut_are_here() {
    let mut table = Table::new(3);
    table.miss(&[0, 1], 2);
    table.machines[1].1.ends[2] = 9;
    let steps = table.begin(0, &[2]);
    table.deliver(0, steps, &[0, 1]);
    let accept = table.propose(0);
    let (agreement, known) = &mut table.machines[1];
    let Step::ToAll(message) = &accept[0] else { panic!("{accept:?}") };
    assert_eq!(agreement.handle(peer(0), message, known), []);
    let unanswered = agreement.unanswered(known);
    let lacks =
        |step: &Step| matches!(step, Step::ToAll(it) if matches!(it.body, Body::Lack { .. }));
    assert!(unanswered.iter().any(lacks));
    known.ends[2] = 10;
    let steps = agreement.advance(known);
    let accepts =
        |step: &Step| matches!(step, Step::ToAll(it) if matches!(it.body, Body::Accepted { .. }));
    assert!(steps.iter().any(accepts));
}

#[test]
fn inputs_of_a_leaver_that_differ_are_named_and_replaced() {
    let mut table = Table::new(3);
    table.miss(&[0, 1], 2);
    table.machines[1].1.differing = vec![2];
    let steps = table.begin(0, &[2]);
    table.deliver(0, steps, &[0, 1]);
    // The leader sees it in the promise, and proposes its own.
    let accept = table.propose(0);
    assert_eq!(accept[0], Step::Differs { seat: 2 });
    let (agreement, known) = &mut table.machines[1];
    let Step::ToAll(message) = &accept[1] else { panic!("{accept:?}") };
    assert_eq!(agreement.handle(peer(0), message, known), [Step::Differs { seat: 2 }]);
    assert_eq!(known.differing, [2]);
    // The leader sends its own, and both go on with the same.
    let steps = agreement.unanswered(known);
    table.deliver(1, steps, &[0, 1]);
    assert!(table.machines[1].1.differing.is_empty());
    table.deliver(0, accept[2..].to_vec(), &[1]);
    assert_eq!(table.installed.len(), 2);
}

#[test]
fn the_value_of_the_highest_ballot_that_may_have_been_decided_is_adopted() {
    let mut table = Table::new(4);
    table.miss(&[0, 1, 2], 3);
    let steps = table.begin(0, &[3]);
    table.deliver(0, steps, &[0, 1, 2]);
    let accept = table.propose(0);
    // Machines 0 and 1 accept; the leader dies before anything else is heard.
    table.deliver(0, accept[..1].to_vec(), &[1]);
    table.miss(&[1, 2], 0);
    table.machines[1].1.ends[3] = 20;
    table.miss(&[1, 2], 0);
    table.machines[3].0.notice(peer(0), Presence::Missing);
    // Machine 3 is back: with it, there is a quorum, and it stays away all the same.
    table.attempt(1, &[0, 3], &[1, 2, 3]);
    let value = &table.installed.first().expect("three of four agree").1;
    assert_eq!((value.seats[0], value.seats[3]), (seats(4)[0], Occupant::Away(peer(3))));
    assert_eq!(value.first, 10);
}

#[test]
fn what_may_be_decided_is_finished_though_the_machine_that_was_missed_is_back() {
    let mut table = Table::new(5);
    table.miss(&[0, 1, 2, 3], 4);
    let steps = table.begin(0, &[4]);
    table.deliver(0, steps, &[0, 1, 2, 3]);
    let accept = table.propose(0);
    // Machine 1 accepts. Then 0 and 3 die, which may have accepted as well, and 4 is back.
    table.deliver(0, accept[..1].to_vec(), &[1]);
    for it in [1, 2, 4] {
        let agreement = &mut table.machines[it].0;
        agreement.notice(peer(4), Presence::Here);
        agreement.notice(peer(0), Presence::Missing);
        agreement.notice(peer(3), Presence::Missing);
    }
    table.attempt(1, &[0, 3], &[1, 2, 4]);
    assert_eq!(table.installed.len(), 3);
    assert_eq!(table.installed[0].1.seats[4], Occupant::Away(peer(4)));
}

#[test]
fn a_machine_that_was_missed_gives_up_its_seat_if_nobody_else_is_left_to_confirm_it() {
    let mut table = Table::new(3);
    table.miss(&[0, 1], 2);
    let steps = table.begin(0, &[2]);
    table.deliver(0, steps, &[0, 1]);
    // The leader accepts. Machine 1 may have, too, when its channel closes; and 2 is back.
    table.propose(0);
    table.machines[0].0.notice(peer(2), Presence::Here);
    for it in [0, 2] {
        table.machines[it].0.notice(peer(1), Presence::Closed);
    }
    table.attempt(0, &[1], &[0, 2]);
    assert_eq!(table.installed.len(), 2);
    assert_eq!(table.installed[0].1.seats[2], Occupant::Away(peer(2)));
}

#[test]
fn one_machine_alone_cannot_have_a_value_adopted() {
    let mut table = Table::new(4);
    table.miss(&[0, 1, 3], 2);
    let steps = table.begin(0, &[2]);
    table.deliver(0, steps, &[0, 1]);
    let forged = Value {
        epoch: 1,
        parent: Value::of_line_up(seats(4)).digest(),
        seats: vec![Occupant::Peer(peer(0)), Occupant::Empty, seats(4)[2], seats(4)[3]],
        clock: Clock::Runs,
        first: 10,
        ended: vec![(1, 20)],
        reason: Reason::Missing,
    };
    let promise = Promise {
        ballot: Ballot { round: 1, leader: 0 },
        accepted: Some((Ballot { round: 1, leader: 0 }, forged)),
        exposed: 8,
        ends: vec![10; 4],
        hashes: vec![20; 4],
    };
    let lie = Message { epoch: 1, body: Body::Promise(promise) };
    table.deliver(3, vec![Step::Send(peer(0), lie)], &[0]);
    let steps = table.propose(0);
    // With four machines, the liar and the one that is gone are half, which may have decided.
    let Some(Step::ToAll(Message { body: Body::Accept { value, .. }, .. })) = steps.first() else {
        return;
    };
    assert_eq!(value.seats[1], Occupant::Peer(peer(1)), "{steps:?}");
}

#[test]
fn a_goodbye_is_a_promise_and_leaves_the_others_a_quorum() {
    let mut table = Table::new(2);
    let (agreement, known) = &mut table.machines[0];
    let steps = agreement.leave(false, known);
    table.deliver(0, steps, &[1]);
    table.attempt(1, &[0], &[1]);
    let value = &table.installed.first().expect("one of one is enough").1;
    assert_eq!((value.seats[0], value.reason), (Occupant::Empty, Reason::Goodbye));
    assert_eq!(value.first, 10);
    // The leaver says nothing else.
    let (agreement, known) = &mut table.machines[0];
    let prepare = Body::Prepare { ballot: Ballot { round: 9, leader: 1 }, wish: Wish::default() };
    let message = Message { epoch: 1, body: prepare };
    assert_eq!(agreement.handle(peer(1), &message, known), []);
}

#[test]
fn a_goodbye_counts_without_the_inputs_of_machines_that_are_there() {
    let mut table = Table::new(4);
    // Machine 2 holds the inputs of machine 3, of which the leavers have more.
    table.miss(&[2], 3);
    table.begin(2, &[3]);
    table.machines[2].0.notice(peer(3), Presence::Here);
    for leaver in [0, 1] {
        let (agreement, known) = &mut table.machines[leaver];
        known.ends[3] = 12;
        let steps = agreement.leave(false, known);
        table.deliver(leaver, steps, &[2, 3]);
    }
    table.attempt(2, &[0, 1], &[2, 3]);
    assert_eq!(table.installed.len(), 2);
}

#[test]
fn a_machine_that_heard_no_goodbye_believes_what_those_that_are_left_decided() {
    let mut table = Table::new(4);
    let (agreement, known) = &mut table.machines[1];
    let steps = agreement.leave(false, known);
    table.deliver(1, steps, &[0, 2]);
    table.miss(&[3], 1);
    let steps = table.begin(0, &[1]);
    table.deliver(0, steps, &[0, 2, 3]);
    // Without machine 1, two of three decide. Then the leader dies before machine 3 hears of it.
    let steps = table.propose(0);
    table.deliver(0, steps, &[0, 2]);
    assert_eq!(table.installed.len(), 2);
    table.miss(&[3], 0);
    let install = Vec::from_iter(table.machines[2].0.newest(peer(3)));
    table.deliver(2, install, &[3]);
    assert_eq!(table.installed.len(), 3);
}

#[test]
fn a_newcomer_may_be_the_only_one_that_is_left_of_those_that_decided() {
    let mut table = Table::new(2);
    let known = table.machines[0].1.clone();
    let seats = vec![seats(2)[0], seats(2)[1], Occupant::Empty];
    table.machines =
        (0..3).map(|it| (Agreement::new(peer(it), seats.clone()), known.clone())).collect();
    for (_, known) in &mut table.machines {
        known.ends = vec![10; 3];
    }
    table.ask(&[0, 1, 2], Asked::Seat { seat: 2, occupant: Occupant::Peer(peer(2)) });
    let steps = table.begin(0, &[]);
    table.deliver(0, steps, &[0, 1]);
    // Machine 1 accepts; 0 decides, tells the newcomer, and dies before 1 hears of it.
    let accept = table.propose(0);
    table.deliver(0, accept[..1].to_vec(), &[0, 1]);
    assert_eq!(table.installed.len(), 1);
    let install = Vec::from_iter(table.machines[0].0.newest(peer(2)));
    table.deliver(0, install.clone(), &[2]);
    table.machines[2].0.notice(peer(0), Presence::Missing);
    table.miss(&[1], 0);
    let Step::Send(_, message) = &install[0] else { panic!("{install:?}") };
    table.deliver(2, vec![Step::ToAll(message.clone())], &[1]);
    assert_eq!(table.installed.last().map(|(it, _)| *it), Some(1));
}

#[test]
fn a_tie_in_silence_puts_nobody_away_and_a_closed_channel_does() {
    for (presence, leader, decides) in [
        (Presence::Missing, 0, false),
        (Presence::Missing, 1, false),
        (Presence::Closed, 0, true),
        // The half without the lowest seat never goes on.
        (Presence::Closed, 1, false),
    ] {
        let mut table = Table::new(2);
        table.machines[leader].0.notice(peer(1 - leader), presence);
        table.attempt(leader, &[1 - leader], &[leader]);
        assert_eq!(!table.installed.is_empty(), decides, "{presence:?} at {leader}");
    }
}

#[test]
fn numbers_that_no_honest_machine_names_are_refused() {
    let mut table = Table::new(3);
    table.miss(&[1], 2);
    let (agreement, known) = &mut table.machines[1];
    let before = agreement.clone();
    let wish = Wish { leaving: set(&[2]), first: 0 };
    let far = Ballot { round: u64::MAX, leader: 0 };
    let near = Ballot { round: 1, leader: 0 };
    let first = before.installed().digest();
    let value = |epoch, parent, first| Value {
        epoch,
        parent,
        seats: vec![seats(3)[0], seats(3)[1], Occupant::Empty],
        clock: Clock::Runs,
        first,
        ended: vec![(2, u64::from(first) << 1)],
        reason: Reason::Missing,
    };
    for (epoch, body) in [
        (1, Body::Prepare { ballot: far, wish }),
        // Of another leader.
        (1, Body::Prepare { ballot: Ballot { round: 1, leader: 2 }, wish }),
        (1, Body::Prepare { ballot: near, wish: Wish { leaving: set(&[15]), first: 0 } }),
        (1, Body::Prepare { ballot: near, wish: Wish { leaving: set(&[]), first: LIMIT + 1 } }),
        // Behind what is exposed, more than a second ahead, or of other epochs.
        (1, Body::Accept { ballot: near, value: value(1, first, 7) }),
        (1, Body::Accept { ballot: near, value: value(1, first, LIMIT + 1) }),
        (1, Body::Accept { ballot: near, value: value(2, first, 10) }),
        (1, Body::Accept { ballot: near, value: value(1, 5, 10) }),
        (0, Body::Prepare { ballot: near, wish }),
        (9, Body::Prepare { ballot: near, wish }),
        (1, Body::Install { ballot: near, value: value(2, first, 10) }),
        (1, Body::Promise(Promise::default())),
        (1, Body::Goodbye(Goodbye::default())),
    ] {
        let steps = agreement.handle(peer(0), &Message { epoch, body: body.clone() }, known);
        let asks =
            |step: &Step| matches!(step, Step::Send(_, it) if matches!(it.body, Body::Lack { .. }));
        assert!(steps.iter().all(asks), "{body:?}: {steps:?}");
        assert_eq!(*agreement, before, "{body:?}");
    }
}

#[test]
fn a_message_survives_the_wire() {
    let value = Value::of_line_up(seats(16));
    let ballot = Ballot { round: 3, leader: 1 };
    let promise = Promise {
        ballot,
        accepted: Some((ballot, value.clone())),
        exposed: 5,
        ends: vec![7; 16],
        hashes: vec![u64::MAX; 16],
    };
    let goodbye = Goodbye { promise: promise.clone(), last: Vec::new(), will_return: true };
    let asked = Asked::Seat { seat: 15, occupant: Occupant::Peer(peer(15)) };
    for body in [
        Body::Suspect { missing: set(&[1, 15]), asked: vec![asked; 16] },
        Body::Promise(promise),
        Body::Accept { ballot, value },
        Body::Goodbye(goodbye),
    ] {
        let message = Message { epoch: 1, body };
        let mut bytes = Vec::new();
        encode_into(&message, &mut bytes).expect("plain values encode");
        assert!(bytes.len() < 1_200, "{} bytes do not fit a datagram", bytes.len());
        assert_eq!(decode::<Message>(&bytes), Ok(message));
    }
}

#[test]
fn a_machine_without_a_seat_asks_for_the_inputs_that_it_lacks() {
    let mut table = Table::new(4);
    table.miss(&[0, 1, 2], 3);
    table.attempt(0, &[3], &[0, 1, 2]);
    // Machine 3 is put away, and learns of it; then it lacks inputs before the next epoch.
    let install = table.machines[0].0.newest(peer(3));
    assert!(install.is_some());
    for it in 0..3 {
        let install = Vec::from_iter(table.machines[it].0.newest(peer(3)));
        table.deliver(it, install, &[3]);
    }
    assert_eq!(table.machines[3].0.installed().epoch, 1);
    assert_eq!(table.machines[3].0.us, None);
    table.ask(&[0, 1, 2], Asked::Seat { seat: 3, occupant: Occupant::Peer(peer(3)) });
    for it in 0..3 {
        let known = &mut table.machines[it].1;
        (known.ends, known.exposed) = (vec![20; 4], 15);
    }
    table.attempt(0, &[], &[0, 1, 2]);
    for it in 0..3 {
        let install = Vec::from_iter(table.machines[it].0.newest(peer(3)));
        table.deliver(it, install, &[3]);
    }
    let (agreement, known) = &table.machines[3];
    let asks =
        |step: &Step| matches!(step, Step::ToAll(it) if matches!(it.body, Body::Lack { .. }));
    assert_eq!(agreement.installed().epoch, 1);
    assert!(agreement.unanswered(known).iter().any(asks));
}

#[test]
fn a_change_that_a_few_ask_for_is_no_part_of_another_one() {
    let asked = Asked::Seat { seat: 2, occupant: Occupant::Bot };
    let away = Occupant::Away(peer(2));
    for (asking, expected) in [(&[0][..], away), (&[0, 1, 3], Occupant::Bot)] {
        let mut table = Table::new(4);
        table.ask(asking, asked);
        table.miss(&[0, 1, 3], 2);
        table.attempt(0, &[2], &[0, 1, 3]);
        assert_eq!(table.installed.len(), 3);
        assert_eq!(table.installed[0].1.seats[2], expected);
    }
}
