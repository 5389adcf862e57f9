//! Matches in which one thing goes wrong, at each moment at which it can.

use std::time::Duration;

use super::{
    agreement::Step,
    inputs::MatchInputs,
    message::{Ballot, Body, Message, Promise, Wish},
    rig::{Machine, Outcome, Rig, UPDATE, packed, peer},
    value::{Clock, Occupant, Reason, Value},
    voters::Machines,
};
use crate::exchange::{InputRun, Stream};

/// Longer than it takes to miss a machine and to put it away.
const CHANGE: Duration = Duration::from_millis(1200);
/// The updates in a change, from the moment on at which something happens to a machine.
const STEPS: u32 = 50;

/// Some machines that have played for half a second.
fn playing(count: usize) -> Rig {
    let mut rig = Rig::new(1, count, 0, None);
    rig.run_for(Duration::from_millis(500));
    rig
}

fn agrees(rig: &mut Rig) {
    assert!(matches!(rig.settle(), Outcome::Agreed(_)), "{:#?}", rig.newest());
}

fn holds_seat(rig: &Rig, machine: usize) -> bool {
    rig.newest().seats[machine] == Occupant::Peer(peer(machine))
}

#[test]
fn the_leader_may_die_after_each_message_of_a_change() {
    let mut messages = 0;
    loop {
        let mut rig = playing(5);
        rig.crash(4);
        rig.fuses[0] = Some(messages);
        rig.run_for(CHANGE);
        let has_survived = rig.machines[0].is_alive;
        if has_survived {
            break;
        }
        agrees(&mut rig);
        assert!(!holds_seat(&rig, 0) && !holds_seat(&rig, 4));
        messages += 1;
    }
    assert!(messages > 20, "the change took only {messages} messages");
}

#[test]
fn a_second_and_a_third_machine_may_die_during_a_change() {
    for second in (0..80).step_by(4) {
        for third in (0..80).step_by(4) {
            let mut rig = playing(7);
            rig.crash(6);
            (rig.fuses[0], rig.fuses[1]) = (Some(second), Some(third));
            rig.run_for(CHANGE);
            let outcome = rig.settle();
            // Four of seven are left, whatever was decided about the others.
            assert!(matches!(outcome, Outcome::Agreed(_)), "{second}, {third}");
        }
    }
}

#[test]
fn a_machine_that_is_missed_may_come_back_at_each_moment() {
    let mut kept = 0;
    for step in 0..STEPS {
        for count in [3, 4, 5] {
            let mut rig = playing(count);
            rig.cut_off[count - 1] = rig.now + UPDATE * step;
            rig.run_for(CHANGE);
            agrees(&mut rig);
            kept += u32::from(holds_seat(&rig, count - 1));
        }
    }
    assert!((1..3 * STEPS).contains(&kept), "it kept its seat {kept} times");
}

#[test]
fn a_machine_may_come_back_as_the_leader_dies() {
    let mut lost = 0;
    for back in (20..STEPS).step_by(2) {
        for messages in (0..80).step_by(3) {
            for count in [3, 5] {
                let mut rig = playing(count);
                rig.cut_off[count - 1] = rig.now + UPDATE * back;
                rig.fuses[0] = Some(messages);
                rig.run_for(CHANGE);
                lost += usize::from(rig.settle() == Outcome::Lost && count == 5);
            }
        }
    }
    assert_eq!(lost, 0, "three of the other four are a majority of any roster of five");
}

#[test]
fn a_machine_that_was_put_away_by_a_leader_whose_channel_closed_finishes_the_change() {
    let mut put_away = 0;
    for back in 20..STEPS {
        for messages in 0..40 {
            let mut rig = playing(3);
            rig.cut_off[2] = rig.now + UPDATE * back;
            rig.fuses[1] = Some(messages);
            rig.has_closed[1] = true;
            rig.run_for(CHANGE);
            agrees(&mut rig);
            put_away += u32::from(!holds_seat(&rig, 2));
        }
    }
    assert!(put_away > 0);
}

#[test]
fn two_leaders_at_once_come_to_one_agreement() {
    for head_start in 0..STEPS {
        let mut rig = playing(5);
        rig.crash(4);
        rig.run_for(UPDATE * head_start);
        for leader in [0, 1] {
            let machine = &mut rig.machines[leader];
            let leaving = machine.change.agreement().missing();
            let wish = Wish { leaving, first: 0 };
            let steps = machine.change.agreement.begin(wish, &machine.inputs);
            rig.send(leader, steps);
        }
        agrees(&mut rig);
        assert!(!holds_seat(&rig, 4));
    }
}

#[test]
fn of_two_parts_the_larger_goes_on() {
    let mut rig = playing(5);
    rig.parts = vec![0, 0, 1, 1, 1];
    let exposed = rig.exposed.len();
    rig.run_for(Duration::from_secs(5));
    assert_eq!((0..5).map(|it| holds_seat(&rig, it)).filter(|holds| *holds).count(), 3);
    assert!(rig.exposed.len() > exposed + 120);
    for it in [0, 1] {
        assert_eq!(rig.machines[it].change.installed().epoch, 0);
        assert!(rig.machines[it].change.is_stuck());
    }
    agrees(&mut rig);
    // The smaller part learns what was decided once it hears of it.
    assert!(rig.machines.iter().all(|it| it.change.installed() == rig.newest()));
}

#[test]
fn of_two_halves_none_goes_on_in_silence() {
    for parts in [vec![0, 1], vec![0, 0, 1, 1], vec![1, 0, 0, 1]] {
        let mut rig = playing(parts.len());
        rig.parts.clone_from(&parts);
        rig.run_for(Duration::from_secs(5));
        assert!(rig.machines.iter().all(|it| it.change.is_stuck()));
        assert_eq!(rig.newest().epoch, 0, "{parts:?}");
        agrees(&mut rig);
        assert!((0..parts.len()).all(|it| holds_seat(&rig, it)));
    }
}

#[test]
fn of_two_halves_the_one_with_the_lowest_seat_goes_on_if_the_other_closed() {
    for parts in [vec![0, 1], vec![0, 0, 1, 1], vec![0, 1, 1, 0]] {
        let mut rig = playing(parts.len());
        rig.parts.clone_from(&parts);
        for (it, part) in parts.iter().enumerate().filter(|(_, part)| **part == 1) {
            rig.has_closed[it] = *part == 1;
            rig.crash(it);
        }
        agrees(&mut rig);
        for (it, part) in parts.iter().enumerate() {
            assert_eq!(holds_seat(&rig, it), *part == 0, "{parts:?}");
        }
    }
}

#[test]
fn two_survivors_agree_after_a_machine_dies_at_any_moment() {
    for step in 0..STEPS {
        let mut rig = playing(3);
        rig.run_for(UPDATE * step);
        rig.crash(step as usize % 3);
        agrees(&mut rig);
        assert!(!holds_seat(&rig, step as usize % 3));
    }
}

#[test]
fn the_last_inputs_of_a_leaver_count_if_one_survivor_has_them() {
    for lucky in 0..3 {
        let mut rig = playing(4);
        rig.blocked = (0..3).filter(|&it| it != lucky).map(|it| (3, it)).collect();
        rig.run_for(UPDATE * 5);
        rig.crash(3);
        let end = rig.machines[lucky].inputs.seats[3].len();
        assert!((0..3).all(|it| it == lucky || rig.machines[it].inputs.seats[3].len() < end));
        let given = rig.machines[lucky].inputs.seats[3].clone();
        agrees(&mut rig);
        assert_eq!(rig.newest().first as usize, end);
        for it in 0..3 {
            assert_eq!(rig.machines[it].inputs.seats[3][..end], given);
        }
    }
}

#[test]
fn a_machine_may_say_goodbye_at_each_moment_of_a_change() {
    for step in 0..STEPS {
        for (count, leaver) in [(3, 0), (3, 1), (5, 0), (5, 2)] {
            let mut rig = playing(count);
            rig.crash(count - 1);
            // The one that is left of three is half of those that may still decide.
            rig.has_closed[count - 1] = count == 3;
            rig.run_for(UPDATE * step);
            rig.leave(leaver, step % 2 == 0);
            let outcome = rig.settle();
            assert!(matches!(outcome, Outcome::Agreed(_)), "{count}, {leaver}, {step}");
            assert!(!holds_seat(&rig, leaver) && !holds_seat(&rig, count - 1));
        }
    }
}

#[test]
fn a_goodbye_with_a_high_ballot_is_counted_in_a_higher_one() {
    // The machine that leaves had promised what the others never heard of.
    let mut rig = playing(2);
    let machine = &mut rig.machines[0];
    machine.change.agreement.decision.highest_round = 6;
    machine.change.agreement.begin(Wish::default(), &machine.inputs);
    rig.leave(0, false);
    agrees(&mut rig);
    assert!(!holds_seat(&rig, 0));
}

/// A machine that wants another one to be put away says all that it can to that end.
fn slander(rig: &mut Rig, liar: usize, victim: usize, round: u64) {
    let installed = rig.machines[liar].change.installed().clone();
    let exposed = rig.exposed.len() as u32;
    let leaving = Machines::default().with(victim);
    let ballot = Ballot { round, leader: liar as u8 };
    let mut seats = installed.seats.clone();
    seats[victim] = Occupant::Away(peer(victim));
    let inputs = &rig.machines[liar].inputs;
    let promise = rig.machines[liar].change.agreement().promise(inputs);
    let value = Value {
        epoch: installed.epoch + 1,
        parent: installed.digest(),
        seats,
        clock: Clock::Runs,
        first: exposed,
        ended: vec![(victim as u8, inputs.hash(victim as u8, exposed))],
        reason: Reason::Missing,
    };
    let accepted = Some((ballot, value.clone()));
    for body in [
        Body::Suspect { missing: leaving, asked: Vec::new() },
        Body::Prepare { ballot, wish: Wish { leaving, first: 0 } },
        Body::Promise(Promise { ballot, accepted, ..promise }),
        Body::Accept { ballot, value: value.clone() },
        Body::Accepted { ballot, digest: value.digest() },
        Body::Install { ballot, value },
    ] {
        rig.send(liar, vec![Step::ToAll(Message { epoch: installed.epoch + 1, body })]);
    }
}

#[test]
fn a_machine_that_one_peer_alone_calls_gone_keeps_its_seat() {
    for count in [2, 3, 4, 5] {
        // Of two machines, the lowest goes on alone if the channel closed, so the other one has to
        // believe that it did.
        for liar in [0, count - 1].into_iter().filter(|liar| count > 2 || *liar > 0) {
            let victim = usize::from(liar == 0);
            let mut rig = playing(count);
            rig.liar = Some(liar);
            for round in 1..150 {
                slander(&mut rig, liar, victim, round);
                rig.update();
            }
            rig.run_for(Duration::from_secs(2));
            let honest = rig.machines.iter().enumerate().filter(|(it, _)| *it != liar);
            for (_, machine) in honest {
                let seats = &machine.change.installed().seats;
                assert_eq!(seats[victim], Occupant::Peer(peer(victim)), "{count}, {liar}");
                assert!(!machine.change.agreement().missing().has(victim));
            }
        }
    }
}

#[test]
fn inputs_that_a_leaver_never_gave_stop_nobody() {
    for has_streams in [false, true] {
        let mut rig = playing(5);
        rig.liar = Some(3);
        rig.crash(4);
        let given = Vec::from_iter((0..3).map(|it| rig.machines[it].inputs.seats[4].clone()));
        for _ in 0..300 {
            let machine = &rig.machines[3];
            let epoch = machine.change.installed().epoch + 1;
            let truth = machine.change.agreement().promise(&machine.inputs);
            let end = given[0].len() as u32 + 20;
            let mut promise = truth.clone();
            (promise.ends[4], promise.hashes[4], promise.exposed) = (end, 7, end);
            let run = InputRun { frames: 1, input: packed(9) };
            let streams = vec![Stream { seat: 4, first: end - 20, runs: vec![run; 20] }];
            let mut bodies = vec![Body::Promise(promise)];
            bodies.extend(has_streams.then_some(Body::Fill { streams }));
            let messages = bodies.into_iter().map(|body| Step::ToAll(Message { epoch, body }));
            rig.send(3, messages.collect());
            rig.update();
        }
        for (machine, given) in rig.machines.iter().zip(&given) {
            assert_eq!(machine.change.installed().epoch, 1, "{has_streams}");
            assert_eq!(machine.change.installed().seats[4], Occupant::Away(peer(4)));
            // What the leaver gave before the cut is kept as it is.
            let end = given.len().min(machine.change.installed().first as usize);
            assert_eq!(machine.inputs.seats[4][..end], given[..end]);
        }
    }
}

#[test]
fn a_peer_that_proposes_without_end_keeps_nobody_from_agreeing() {
    for is_lowest in [false, true] {
        let liar = if is_lowest { 0 } else { 3 };
        let mut rig = playing(5);
        rig.liar = Some(liar);
        rig.crash(4);
        for round in 1..400 {
            let epoch = rig.machines[liar].change.installed().epoch + 1;
            let ballot = Ballot { round: 3 * round, leader: liar as u8 };
            let leaving = Machines::default().with(if round % 2 == 0 { liar } else { 4 });
            let wish = Wish { leaving, first: 0 };
            let prepare = Body::Prepare { ballot, wish };
            rig.send(liar, vec![Step::ToAll(Message { epoch, body: prepare })]);
            rig.update();
        }
        assert!(!holds_seat(&rig, 4), "{liar}");
    }
}

#[test]
fn a_peer_that_promises_and_never_accepts_stops_no_majority() {
    let mut rig = playing(5);
    rig.never_accepts = Some(3);
    rig.crash(4);
    agrees(&mut rig);
    assert!(!holds_seat(&rig, 4));
}

#[test]
fn messages_of_old_epochs_change_nothing() {
    let mut rig = playing(5);
    rig.crash(4);
    let mut heard = Vec::new();
    for _ in 0..80 {
        rig.update();
        heard.extend(rig.network.iter().map(|(_, from, to, it)| (*from, *to, it.clone())));
    }
    rig.crash(3);
    agrees(&mut rig);
    let epoch = rig.newest().epoch;
    assert!(epoch >= 2);
    for (from, to, message) in heard.into_iter().filter(|(from, to, _)| *from < 3 && *to < 3) {
        let machine = &mut rig.machines[to];
        let before = machine.change.agreement().clone();
        machine.change.handle(rig.now, peer(from), &message, &mut machine.inputs);
        assert_eq!(*machine.change.agreement(), before, "{message:?}");
    }
    agrees(&mut rig);
    assert_eq!(rig.newest().epoch, epoch);
}

#[test]
fn a_machine_that_missed_an_epoch_asks_for_it_once_it_hears_of_it() {
    let mut rig = playing(4);
    rig.cut_off[3] = rig.now + Duration::from_secs(6);
    rig.run_for(Duration::from_secs(5));
    assert!(!holds_seat(&rig, 3));
    assert_eq!(rig.machines[3].change.installed().epoch, 0);
    rig.run_for(Duration::from_secs(2));
    assert_eq!(rig.machines[3].change.installed(), rig.newest());
}

#[test]
fn a_machine_that_alone_misses_another_one_does_not_hold_for_ever() {
    // All miss machine 3, and 0 begins. Then 3 is back, but never for 0.
    for head_start in 20..STEPS {
        let mut rig = playing(4);
        rig.cut_off[3] = rig.now + UPDATE * head_start;
        rig.deaf = vec![(3, 0)];
        rig.run_for(Duration::from_secs(8));
        for machine in &rig.machines {
            let is_held = machine.change.hold().is_some();
            assert!(!is_held, "after {head_start} updates: {:#?}", rig.summary());
        }
    }
}

#[test]
fn a_goodbye_that_claims_inputs_which_nobody_has_stops_nobody() {
    for step in (0..STEPS).step_by(3) {
        let mut rig = playing(4);
        rig.crash(3);
        rig.run_for(UPDATE * step);
        rig.liar = Some(2);
        let Machine { change, inputs, .. } = &mut rig.machines[2];
        for step in change.leave(false, inputs) {
            let Step::ToAll(Message { epoch, body: Body::Goodbye(mut goodbye) }) = step else {
                continue;
            };
            goodbye.last.clear();
            goodbye.promise.ends.iter_mut().for_each(|end| *end += 10);
            goodbye.promise.exposed += 10;
            let body = Body::Goodbye(goodbye);
            rig.send(2, vec![Step::ToAll(Message { epoch, body })]);
        }
        rig.crash(2);
        rig.has_closed[2] = true;
        rig.has_closed[3] = true;
        agrees(&mut rig);
        assert!(!holds_seat(&rig, 2) && !holds_seat(&rig, 3));
    }
}
