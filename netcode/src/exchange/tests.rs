//! Tests of the exchange as a whole.

use super::*;
use crate::{
    config::InputDelay,
    packed_input::{MAX_INPUT_BYTES, PackedInput},
    transport::MAX_DATAGRAM_BYTES,
};

const PEER: PeerId = PeerId::from_u128(2);
const THIRD: PeerId = PeerId::from_u128(3);
const NEAR: Lateness = Lateness { round_trip: 1.0 };

fn delays(seats: &[usize], frames: u8) -> Delays {
    Delays::new(seats.iter().copied(), InputDelay::Fixed(frames), 0)
}

fn rules() -> ExchangeRules {
    ExchangeRules {
        window: 8,
        max_delay: 2,
        kept_frames: 1_000,
        read_input: PackedInput::read::<u8>,
    }
}

/// We hold seat 0, and another peer holds seat 1.
fn exchange() -> Exchange {
    Exchange::new(rules(), &[None, Some(PEER)], delays(&[0], 0))
}

fn input(number: u8) -> PackedInput {
    PackedInput::pack(&number).expect("it is an input")
}

fn inputs_of(exchange: &Exchange, seat: usize) -> Vec<PackedInput> {
    exchange.inputs_from(seat, 0).collect()
}

fn at(frame: u32) -> DatagramHeader {
    DatagramHeader { frame, ..DatagramHeader::default() }
}

/// Inputs of a peer that has ours before `has`.
fn given(has: &[u32], streams: Vec<Stream>) -> Inputs {
    Inputs { confirmed: 0, has: has.to_vec(), streams }
}

fn stream(seat: u8, first: u32, runs: &[(u8, u8)]) -> Stream {
    let run = |&(frames, number): &(u8, u8)| InputRun { frames, input: input(number) };
    Stream { seat, first, runs: runs.iter().map(run).collect() }
}

/// Plays frames in which we press `input`. Returns the frames after which a datagram was due. The
/// peer acknowledges `lag` frames late.
fn played(frames: u32, lag: u32, lateness: Lateness, pressed: fn(u32) -> u8) -> Vec<u32> {
    let mut exchange = exchange();
    let mut due = Vec::new();
    for frame in 0..frames {
        exchange.press(frame, &[input(pressed(frame))]);
        let acked = given(&[(frame + 1).saturating_sub(lag)], vec![]);
        assert_eq!(exchange.receive(PEER, &at(0), &acked, frame), Ok(true));
        if exchange.is_due(PEER, lateness) {
            due.push(frame);
            exchange.inputs_for(PEER, &at(frame));
        }
    }
    due
}

#[test]
fn an_input_that_every_peer_predicts_may_wait_for_a_frame() {
    assert_eq!(played(10, 2, NEAR, |_| 0), [0, 2, 4, 6, 8]);
}

#[test]
fn an_input_that_no_peer_predicts_goes_at_once() {
    assert_eq!(played(8, 2, NEAR, |frame| u8::from(frame >= 3)), [0, 2, 3, 5, 7]);
}

#[test]
fn every_frame_is_sent_on_a_far_or_lossy_link() {
    let all: Vec<u32> = (0..10).collect();
    assert_eq!(played(10, 5, Lateness { round_trip: 5.0 }, |_| 0), all);
    let lossy = played(200, 7, NEAR, |_| 0);
    assert!(lossy.len() > 190, "{} of 200", lossy.len());
}

#[test]
fn our_inputs_wait_for_the_delay_of_their_seat() {
    let delays = delays(&[0, 2], 2);
    let mut exchange = Exchange::new(rules(), &[None, Some(PEER), None], delays);
    exchange.delays_mut().set(Duration::ZERO, 2, InputDelay::Fixed(0));
    for frame in 0..5 {
        exchange.adapt_delays(Duration::ZERO, frame == 0 || frame == 4);
        exchange.press(frame, &[input(frame as u8 + 1), input(9)]);
    }
    // Nothing is pressed before frame 0, and the delay of seat 2 shrinks frame by frame.
    let ours = [0, 0, 1, 2, 3, 4, 5].map(input);
    assert_eq!(inputs_of(&exchange, 0), ours);
    assert_eq!(inputs_of(&exchange, 2)[..2], [0, 9].map(input));
    assert_eq!(exchange.delays().of(2), 0);
}

#[test]
fn an_input_is_held_while_its_delay_grows_and_left_out_while_it_shrinks() {
    let mut exchange = exchange();
    let mut press = |frame, delay, number| {
        exchange.delays_mut().set(Duration::ZERO, 0, InputDelay::Fixed(delay));
        exchange.adapt_delays(Duration::ZERO, true);
        exchange.press(frame, &[input(number)]);
        inputs_of(&exchange, 0)
    };
    assert_eq!(press(0, 0, 1), [1].map(input));
    assert_eq!(press(1, 3, 2), [1, 1, 1, 1, 2].map(input));
    assert_eq!(press(2, 2, 3), [1, 1, 1, 1, 2].map(input), "frame 4 has its input");
    assert_eq!(press(3, 2, 4), [1, 1, 1, 1, 2, 4].map(input));
}

#[test]
fn inputs_are_taken_once_whatever_is_repeated() {
    let mut exchange = exchange();
    let mut take = |has, first, runs: &[(u8, u8)]| {
        let streams = vec![stream(1, first, runs)];
        let taken = exchange.receive(PEER, &at(10), &given(&[has], streams), 10);
        (taken, exchange.known(0))
    };
    assert_eq!(take(0, 0, &[(3, 1)]), (Ok(true), 3));
    assert_eq!(take(0, 1, &[(2, 7), (1, 2)]), (Ok(true), 4));
    assert_eq!(take(0, 0, &[(2, 9)]), (Ok(true), 4));
    assert_eq!(take(1, 4, &[(1, 1)]), (Err(BadInputs::FalseAck), 4));
    assert_eq!(take(0, 5, &[(1, 1)]), (Err(BadInputs::Gap), 4));
    assert_eq!(inputs_of(&exchange, 1), [1, 1, 1, 2].map(input));
}

#[test]
fn what_a_peer_has_is_listed_for_every_seat_that_it_does_not_hold() {
    let holders = [Some(PEER), None, Some(THIRD)];
    let mut exchange = Exchange::new(rules(), &holders, delays(&[1], 0));
    exchange.press(0, &[input(1)]);
    for has in [&[][..], &[1], &[1, 0, 0]] {
        let taken = exchange.receive(PEER, &at(0), &given(has, vec![]), 0);
        assert_eq!(taken, Err(BadInputs::NotInputs), "{has:?}");
    }
    // What it says of a third seat is noted, and does no harm.
    let taken = exchange.receive(PEER, &at(0), &given(&[1, u32::MAX], vec![]), 0);
    assert_eq!(taken, Ok(true));
    assert!(!exchange.is_behind(PEER) && exchange.is_behind(THIRD));
    let streams = vec![stream(2, 0, &[(1, 1)])];
    let taken = exchange.receive(PEER, &at(0), &given(&[1, 0], streams), 0);
    assert_eq!(taken, Err(BadInputs::NotInputs), "the seat is another peer's");
    let streams = vec![stream(0, 0, &[(2, 1)])];
    assert_eq!(exchange.receive(PEER, &at(0), &given(&[1, 0], streams), 0), Ok(true));
    let inputs = exchange.inputs_for(THIRD, &at(1)).expect("the peer is in the match");
    assert_eq!((inputs.confirmed, inputs.has, inputs.streams.len()), (0, vec![2, 0], 1));
}

#[test]
fn a_frame_is_stable_once_every_machine_has_said_that_it_has_all_inputs() {
    let holders = [None, Some(PEER), Some(THIRD)];
    let mut exchange = Exchange::new(rules(), &holders, delays(&[0], 0));
    (0..10).for_each(|frame| exchange.press(frame, &[input(1)]));
    let say = |exchange: &mut Exchange, peer, seat, confirmed| {
        let streams = vec![stream(seat, 0, &[(8, 1)])];
        let inputs = Inputs { confirmed, has: vec![confirmed.min(10), 0], streams };
        assert_eq!(exchange.receive(peer, &at(9), &inputs, 9), Ok(true));
        (exchange.confirmed(), exchange.stable())
    };
    assert_eq!(say(&mut exchange, PEER, 1, 5), (0, 0));
    assert_eq!(say(&mut exchange, THIRD, 2, 3), (8, 3));
    // An older datagram changes nothing, and no machine confirms what we have not given.
    assert_eq!(say(&mut exchange, THIRD, 2, 1), (8, 3));
    assert_eq!(say(&mut exchange, THIRD, 2, u32::MAX), (8, 5));
    let last = LastInputs { given: 8, streams: vec![] };
    exchange.leave(PEER, 8, &last, 9).expect("it plays").expect("it is its first goodbye");
    assert_eq!(exchange.stable(), 8, "a peer that has left confirms nothing more");
}

#[test]
fn inputs_are_kept_for_a_while_and_as_long_as_a_peer_may_lack_them() {
    let mut exchange = exchange();
    let mut kept_after = |frame: u32, confirmed: u32| {
        let begin = exchange.seats[0].stream.end();
        for frame in begin..frame {
            exchange.press(frame, &[input(frame as u8)]);
            let streams = vec![stream(1, frame, &[(1, frame as u8)])];
            let inputs = Inputs { confirmed, has: vec![frame], streams };
            assert_eq!(exchange.receive(PEER, &at(frame), &inputs, frame), Ok(true));
            exchange.forget_old(frame);
        }
        exchange.forget_old(frame);
        (0..frame).find(|&frame| exchange.seats[1].stream.get(frame).is_some())
    };
    assert_eq!(kept_after(3_000, 100), Some(100), "the peer may lack the frames from 100 on");
    assert_eq!(kept_after(3_001, 2_500), Some(2_001), "the last 1,000 frames stay");
    assert_eq!(kept_after(4_000, 3_999), Some(3_000));
}

#[test]
fn a_peer_is_followed_only_as_far_as_there_is_room() {
    let mut exchange = exchange();
    let mut take = |frame: u32, has: u32, first: u32| {
        let begin = exchange.seats[0].stream.end();
        (begin..frame + 2).for_each(|frame| exchange.press(frame, &[input(1)]));
        let inputs = given(&[has], vec![stream(1, first, &[(128, 1)])]);
        assert_eq!(exchange.receive(PEER, &at(frame), &inputs, frame), Ok(true));
        exchange.known(0)
    };
    assert_eq!(take(10, 12, 0), 10 + 120 - 8);
    // The rest follows when we are further on.
    assert_eq!(take(30, 32, 122), 30 + 120 - 8);
    // The peer acknowledges nothing more.
    assert_eq!(take(1_000, 32, 142), 32 + 120 - 8 - 2);
}

#[test]
fn a_peer_that_leaves_is_followed_to_its_end_whatever_it_acknowledged() {
    let mut exchange = exchange();
    (0..100).for_each(|frame| exchange.press(frame, &[input(1)]));
    let last = LastInputs { given: 128, streams: vec![stream(1, 0, &[(128, 1)])] };
    let left = exchange.leave(PEER, 120, &last, 100).expect("it plays");
    assert_eq!(left, Some(Departure { end: 120, is_possible: true }));
    assert!(exchange.has_left(PEER));
}

#[test]
fn seats_of_unequal_inputs_share_the_bytes_of_a_datagram() {
    let long = |number: u32| {
        PackedInput::pack(&[[number as u8; 30]; 2]).expect("it is an input of 60 bytes")
    };
    let both = |number: u32| [long(number), PackedInput::pack(&number).expect("it is an input")];
    let delays = delays(&[0, 2], 0);
    let mut exchange = Exchange::new(rules(), &[None, Some(PEER), None], delays);
    (0..40).for_each(|frame| exchange.press(frame, &both(frame + 1)));
    let inputs = exchange.inputs_for(PEER, &at(40)).expect("the peer is in the match");
    let frames: Vec<usize> = inputs.streams.iter().map(Stream::frames).collect();
    assert_eq!(frames, [14, 40], "the short inputs all fit");
    let mut bytes = Vec::new();
    let datagram = Datagram { header: at(40), inputs: Some(inputs) };
    datagram.encode(&mut bytes).expect("a datagram encodes");
    assert!(bytes.len() <= 1200, "{} bytes", bytes.len());
}

#[test]
fn inputs_of_a_whole_match_take_a_bounded_amount_of_memory() {
    let mut exchange = exchange();
    // The peer never confirms anything.
    for frame in 0..40_000 {
        exchange.press(frame, &[input(frame as u8)]);
        exchange.forget_old(frame);
        assert!(exchange.seats[0].stream.bytes() <= MAX_BYTES, "frame {frame}");
    }
    assert!(exchange.seats[0].stream.get(39_900).is_some(), "what a peer may lack is kept");
}

#[test]
fn a_match_ends_where_the_inputs_given_for_it_can_end() {
    let leave = |given, end| {
        exchange().leave(PEER, end, &LastInputs { given, streams: vec![] }, 0).expect("it plays")
    };
    let possible = |end| Some(Departure { end, is_possible: true });
    assert_eq!([leave(0, 0), leave(62, 0)], [possible(0), possible(0)]);
    assert_eq!([leave(100, 38), leave(100, 100)], [possible(38), possible(100)]);
    let given = Some(Departure { end: 100, is_possible: false });
    for end in [0, 37, 101, u32::MAX] {
        assert_eq!(leave(100, end), given, "{end}");
    }
}

#[test]
fn a_leaver_gave_at_least_the_inputs_that_are_here_and_its_first_goodbye_counts() {
    let mut exchange = exchange();
    let inputs = given(&[0], vec![stream(1, 0, &[(100, 1)])]);
    assert_eq!(exchange.receive(PEER, &at(0), &inputs, 0), Ok(true));
    let last = |given| LastInputs { given, streams: vec![] };
    let false_end = Departure { end: 100, is_possible: false };
    assert_eq!(exchange.leave(PEER, 0, &last(0), 0), Ok(Some(false_end)));
    assert_eq!(exchange.leave(PEER, 100, &last(100), 0), Ok(None));
    assert_eq!(exchange.ends(), [(PEER, u32::MAX)]);
    assert!(exchange.reaches(PEER, 1_000));
    assert_eq!(exchange.leave(THIRD, 0, &last(0), 0), Err(BadInputs::NoSeat));
}

#[test]
fn a_peer_that_left_gets_neutral_inputs_from_its_end_on() {
    let mut exchange = exchange();
    (0..8).for_each(|frame| exchange.press(frame, &[input(7)]));
    let inputs = given(&[0], vec![stream(1, 0, &[(3, 1)])]);
    assert_eq!(exchange.receive(PEER, &at(3), &inputs, 3), Ok(true));
    let last = LastInputs { given: 5, streams: vec![] };
    exchange.leave(PEER, 5, &last, 3).expect("it plays").expect("it is its first goodbye");
    // Frames 3 and 4 are still missing.
    assert_eq!((inputs_of(&exchange, 1).len(), exchange.confirmed()), (3, 3));
    assert!(!exchange.has_left(PEER) && exchange.is_leaving(PEER));
    let repeated = LastInputs { streams: vec![stream(1, 3, &[(1, 2), (4, 3)])], ..last };
    assert_eq!(exchange.leave(PEER, 8, &repeated, 3), Ok(None));
    assert!(exchange.has_left(PEER));
    assert_eq!(exchange.confirmed(), 8, "our own inputs are all that is missing now");
    assert_eq!(inputs_of(&exchange, 1), [1, 1, 1, 2, 3, 0, 0, 0].map(input));
    assert_eq!(exchange.inputs_from(1, 6).count(), 2);
}

#[test]
fn all_of_our_seats_end_at_one_frame_when_we_leave() {
    let delays = delays(&[0, 2], 0);
    let mut exchange = Exchange::new(rules(), &[None, Some(PEER), None], delays);
    exchange.delays_mut().set(Duration::ZERO, 2, InputDelay::Fixed(3));
    for frame in 0..5 {
        exchange.adapt_delays(Duration::ZERO, true);
        exchange.press(frame, &[input(1), input(2)]);
    }
    let last = exchange.last_inputs(PEER).expect("the peer is in the match");
    assert_eq!(last.given, 8);
    assert!(last.streams.iter().all(|it| it.first + it.frames() as u32 == 8), "{last:?}");
    assert_eq!(exchange.last_inputs(PEER), Some(last));
}

#[test]
fn a_datagram_repeats_only_the_inputs_that_were_not_acknowledged() {
    let mut exchange = exchange();
    for (frame, number) in (0..).zip([1, 1, 2]) {
        exchange.press(frame, &[input(number)]);
    }
    let sent = exchange.inputs_for(PEER, &at(1)).expect("the peer is in the match");
    assert_eq!(
        sent,
        Inputs { confirmed: 0, has: vec![0], streams: vec![stream(0, 0, &[(2, 1), (1, 2)])] }
    );
    assert_eq!(exchange.receive(PEER, &at(0), &given(&[2], vec![]), 3), Ok(true));
    assert!(exchange.is_behind(PEER));
    let sent = exchange.inputs_for(PEER, &at(3)).expect("the peer is in the match");
    assert_eq!(sent.streams, [stream(0, 2, &[(1, 2)])]);
    assert_eq!(exchange.receive(PEER, &at(0), &given(&[3], vec![]), 3), Ok(true));
    assert!(!exchange.is_behind(PEER));
    let sent = exchange.inputs_for(PEER, &at(3)).expect("the peer is in the match");
    assert_eq!(sent.streams, []);
}

#[test]
fn any_datagram_is_safe() {
    let numbers = [0, 1, 30, 31, 60, 61, 199, u32::MAX - 1, u32::MAX];
    let mut taken = 0;
    for frame in [0, 1, 60, u32::MAX] {
        for first in numbers {
            for has in numbers {
                for confirmed in numbers {
                    let mut exchange = exchange();
                    (0..60).for_each(|frame| exchange.press(frame, &[input(1)]));
                    let known = given(&[30], vec![stream(1, 0, &[(30, 1)])]);
                    assert_eq!(exchange.receive(PEER, &at(30), &known, 58), Ok(true));
                    let streams = vec![stream(1, first, &[(128, 1)])];
                    let inputs = Inputs { confirmed, has: vec![has], streams };
                    taken += u32::from(exchange.receive(PEER, &at(frame), &inputs, 58).is_ok());
                    assert!(exchange.known(0) <= 58 + 120 && exchange.stable() <= 60);
                    exchange.forget_old(58);
                    exchange.inputs_for(PEER, &at(frame)).expect("the peer is in the match");
                }
            }
        }
    }
    assert!(taken > 100, "{taken} were taken");
}

/// The fewest frames of a seat in one datagram to a peer that has none of our inputs, where we hold
/// `seats` seats whose inputs all differ and have 64 bytes together.
fn frames_in_a_datagram(seats: usize) -> usize {
    let bytes = MAX_INPUT_BYTES / seats;
    let holders: Vec<Option<PeerId>> = [vec![None; seats], vec![Some(PEER)]].concat();
    let ours: Vec<usize> = (0..seats).collect();
    let mut exchange = Exchange::new(rules(), &holders, delays(&ours, 0));
    for frame in 0..32u8 {
        let input = |seat: usize| {
            let mut all = vec![frame; bytes];
            all[0] = seat as u8;
            PackedInput::from_bytes(&all).expect("it fits")
        };
        exchange.press(u32::from(frame), &ours.iter().map(|&seat| input(seat)).collect::<Vec<_>>());
    }
    let inputs = exchange.inputs_for(PEER, &at(32)).expect("the peer plays");
    assert_eq!(inputs.streams.len(), seats);
    let frames = inputs.streams.iter().map(Stream::frames).min().expect("there are seats");
    let mut encoded = Vec::new();
    let datagram = Datagram { header: at(32), inputs: Some(inputs) };
    datagram.encode(&mut encoded).expect("it is sound");
    assert!(encoded.len() <= MAX_DATAGRAM_BYTES, "{} bytes", encoded.len());
    frames
}

#[test]
fn a_datagram_holds_16_of_the_longest_inputs_of_one_seat_and_13_of_15_seats() {
    assert_eq!([1, 15].map(frames_in_a_datagram), [16, 13]);
}

/// The seats of three machines: ours, that of the peer, and that of the third one.
fn uses(ours: SeatUse) -> impl Iterator<Item = SeatUse> {
    [ours, SeatUse::Played, SeatUse::Played].into_iter()
}

#[test]
fn a_machine_that_returns_at_a_frame_of_the_past_gives_inputs_from_its_next_frame_on() {
    for returns_at in [10, 20, 23, 30] {
        let mut exchange =
            Exchange::new(rules(), &[None, Some(PEER), Some(THIRD)], delays(&[0], 2));
        exchange.go_on(true);
        for frame in 0..8 {
            exchange.press(frame, &[input(0)]);
        }
        exchange.change_roster(1, 10, uses(SeatUse::Kept));
        // We follow the match, and were asked for the inputs of the frames before 20 already.
        exchange.forget_old(20);
        exchange.press(20, &[input(1)]);
        assert_eq!(exchange.seat_end(0), 10);
        exchange.change_roster(2, returns_at, uses(SeatUse::Played));
        let end = exchange.seat_end(0);
        assert_eq!(end, returns_at.max(23), "the input of frame 20 would come in frame 22");
        for frame in 21..40 {
            exchange.press(frame, &[input(1)]);
        }
        let inputs = inputs_of(&exchange, 0);
        assert_eq!(inputs.len(), 42);
        assert!(inputs[10..end as usize].iter().all(|&given| given == input(0)));
        assert!(inputs[end as usize..].iter().all(|&given| given == input(1)));
    }
}

#[test]
fn inputs_that_were_given_early_stay_as_they_are() {
    let mut exchange = Exchange::new(rules(), &[None, Some(PEER), Some(THIRD)], delays(&[0], 0));
    exchange.go_on(true);
    (0..8).for_each(|frame| exchange.press(frame, &[input(0)]));
    exchange.change_roster(1, 8, uses(SeatUse::Kept));
    exchange.forget_old(10);
    exchange.prepare_return(12);
    (11..20).for_each(|frame| exchange.press(frame, &[input(1)]));
    let early = inputs_of(&exchange, 0);
    assert_eq!(early.len(), 20);
    // The other machines decided that we return at frame 12, and have these inputs. We learn of it
    // after we have given up.
    exchange.give_up_return();
    exchange.forget_old(40);
    exchange.change_roster(2, 12, uses(SeatUse::Played));
    assert!(inputs_of(&exchange, 0).starts_with(&early));
}

#[test]
fn a_machine_that_finishes_in_a_later_epoch_exposes_no_frame_here() {
    let mut exchange = Exchange::new(rules(), &[None, Some(PEER), Some(THIRD)], delays(&[0], 0));
    exchange.go_on(true);
    (0..20).for_each(|frame| exchange.press(frame, &[input(0)]));
    for (peer, seat) in [(PEER, 1), (THIRD, 2)] {
        let inputs = given(&[0, 0], vec![stream(seat, 0, &[(10, 1)])]);
        assert_eq!(exchange.receive(peer, &at(10), &inputs, 10), Ok(true));
    }
    assert_eq!(exchange.exposed(), 0);
    // The two others put us away at frame 0, and one of them finishes at frame 12.
    let last = LastInputs { given: 12, streams: Vec::new() };
    assert!(exchange.leave(PEER, 12, &last, 10).is_ok());
    assert_eq!(exchange.exposed(), 0, "nobody else has inputs of ours");
}
