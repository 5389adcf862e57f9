//! When a machine begins something, whom it waits for, and what it no longer counts.

use std::time::Duration;

use super::{
    Asked, Ballot, Body, Change, Message, Occupant, Outlook, Presence, Step,
    message::{Promise, Wish},
    tests::{Known, peer, seats, set, wants},
    value::{Clock, Reason, Value},
    voters::Machines,
};

const LEAVER_TO_BOT: Asked = Asked::Seat { seat: 3, occupant: Occupant::Bot };

/// One machine, which is polled every 10 ms. The others say the same every 50 ms.
struct Watched {
    change: Change,
    known: Known,
    now: Duration,
    /// What each of the others says.
    said: Vec<(usize, Message)>,
}

impl Watched {
    fn new(machine: usize, count: usize) -> Self {
        Self {
            change: Change::new(peer(machine), seats(count)),
            known: Known { ends: vec![10; count], exposed: 8, differing: Vec::new() },
            now: Duration::ZERO,
            said: Vec::new(),
        }
    }

    fn hear(&mut self, from: usize, body: Body) -> Vec<Step> {
        let epoch = self.change.installed().epoch + 1;
        self.change.handle(self.now, peer(from), &Message { epoch, body }, &mut self.known)
    }

    /// Lets time pass, and returns what the machine does.
    fn watch(&mut self, ms: u32) -> Vec<Step> {
        let outlook =
            Outlook { round_trip: Duration::from_millis(40), soon: 20, until_soon: Duration::ZERO };
        let mut steps = Vec::new();
        for step in 0..ms / 10 {
            if step % 5 == 0 {
                for (from, message) in &self.said {
                    self.change.handle(self.now, peer(*from), message, &mut self.known);
                }
            }
            self.now += Duration::from_millis(10);
            steps.extend(self.change.poll(self.now, outlook, &mut self.known));
        }
        steps
    }

    /// The attempt that the machine begins within two seconds, and the time at which it does.
    fn begins(&mut self) -> Option<(Duration, Wish)> {
        (0..200).find_map(|_| {
            let wish = self.watch(10).iter().find_map(wish_of)?;
            Some((self.now, wish))
        })
    }

    fn begins_at_ms(&mut self) -> Option<u128> {
        self.begins().map(|(at, _)| at.as_millis())
    }
}

fn wish_of(step: &Step) -> Option<Wish> {
    match step {
        Step::ToAll(Message { body: Body::Prepare { wish, .. }, .. }) => Some(*wish),
        _ => None,
    }
}

fn promise(ballot: Ballot, count: usize) -> Body {
    Body::Promise(Promise {
        ballot,
        accepted: None,
        exposed: 8,
        ends: vec![10; count],
        hashes: vec![20; count],
    })
}

#[test]
fn the_lowest_machine_leads_and_the_others_wait_their_turn() {
    for (machine, expected) in [(0, 10), (1, 260), (2, 510)] {
        let mut watched = Watched::new(machine, 4);
        watched.change.notice(peer(3), Presence::Missing);
        let others = (0..3).filter(|&other| other != machine);
        watched.said = others.map(|other| (other, wants(&[3], &[]))).collect();
        assert_eq!(watched.begins_at_ms(), Some(expected));
    }
}

#[test]
fn a_hidden_machine_leads_nothing() {
    let mut watched = Watched::new(1, 4);
    watched.change.notice(peer(3), Presence::Missing);
    watched.change.notice_hidden(peer(0), true);
    watched.said = [0, 2].map(|other| (other, wants(&[3], &[]))).into();
    assert_eq!(watched.begins_at_ms(), Some(10));
}

#[test]
fn a_hidden_machine_waits_for_all_others() {
    let mut watched = Watched::new(0, 4);
    watched.change.notice(peer(3), Presence::Missing);
    watched.change.notice_hidden(peer(0), true);
    watched.said = [1, 2].map(|other| (other, wants(&[3], &[]))).into();
    assert_eq!(watched.begins_at_ms(), Some(510));
}

#[test]
fn a_change_is_planned_while_a_quorum_asks_for_it() {
    let asked = LEAVER_TO_BOT;
    let other = Asked::Seat { seat: 3, occupant: Occupant::Empty };
    for (asks, expected) in [
        (&[Some(asked), Some(asked), Some(asked)][..], true),
        (&[Some(asked), Some(asked), None], false),
        (&[Some(asked), Some(asked), Some(other)], false),
        (&[None, Some(asked), Some(asked)], false),
    ] {
        let mut watched = Watched::new(0, 4);
        watched.change.ask(asked);
        for (it, ask) in asks.iter().enumerate() {
            match (it, ask) {
                (0, Some(_)) => {}
                (0, None) => watched.change.withdraw(Some(3)),
                (_, ask) => {
                    // What it said first no longer counts.
                    watched.hear(it, wants(&[], &[asked]).body);
                    watched.said.push((it, wants(&[], ask.as_slice())));
                }
            }
        }
        // The machine of the seat does not ask.
        assert_eq!(watched.begins().is_some(), expected, "{asks:?}");
        assert_eq!(watched.change.hold().is_some(), expected);
    }
}

#[test]
fn what_a_machine_no_longer_asks_for_counts_for_half_a_second() {
    for (after_ms, expected) in [(400, true), (600, false)] {
        let mut watched = Watched::new(0, 4);
        for other in [1, 2] {
            watched.hear(other, wants(&[], &[LEAVER_TO_BOT]).body);
        }
        watched.watch(after_ms);
        watched.change.ask(LEAVER_TO_BOT);
        assert_eq!(watched.begins().is_some(), expected, "{after_ms} ms");
    }
}

#[test]
fn what_a_missing_machine_asked_for_does_not_count() {
    let mut watched = Watched::new(0, 5);
    watched.change.ask(LEAVER_TO_BOT);
    watched.said = [1, 2].map(|other| (other, wants(&[], &[LEAVER_TO_BOT]))).into();
    watched.change.notice(peer(1), Presence::Missing);
    assert_eq!(watched.begins(), None);
    watched.change.notice(peer(1), Presence::Here);
    assert!(watched.begins().is_some());
}

#[test]
fn a_machine_says_three_times_that_it_wants_nothing_any_more() {
    let mut watched = Watched::new(0, 3);
    let said = |watched: &mut Watched, times: usize| {
        let said = (0..times).flat_map(|_| {
            watched.now += Duration::from_millis(50);
            watched.change.repeat(watched.now, &watched.known)
        });
        Vec::from_iter(said)
    };
    assert_eq!(said(&mut watched, 5), []);
    watched.change.notice(peer(2), Presence::Missing);
    assert_eq!(said(&mut watched, 2), vec![Step::ToAll(wants(&[2], &[])); 2]);
    watched.change.notice(peer(2), Presence::Here);
    assert_eq!(said(&mut watched, 9), vec![Step::ToAll(wants(&[], &[])); 3]);
}

#[test]
fn a_machine_goes_on_to_say_what_it_wants_until_that_is_decided() {
    let mut watched = Watched::new(0, 4);
    watched.change.notice(peer(3), Presence::Missing);
    watched.said = [1, 2].map(|other| (other, wants(&[3], &[]))).into();
    assert!(watched.begins().is_some());
    let steps = watched.change.repeat(watched.now + Duration::from_millis(50), &watched.known);
    assert!(steps.contains(&Step::ToAll(wants(&[3], &[]))), "{steps:?}");
}

#[test]
fn a_machine_that_misses_another_one_alone_begins_nothing() {
    let mut watched = Watched::new(0, 3);
    watched.change.notice(peer(2), Presence::Missing);
    assert_eq!(watched.begins(), None);
    assert!(!watched.change.is_stuck() && watched.change.hold().is_none());
    watched.change.notice(peer(1), Presence::Missing);
    assert!(watched.change.is_stuck());
}

#[test]
fn a_machine_that_promises_once_and_never_again_is_put_away() {
    assert_eq!(wishes_with_a_mute_machine(true).last(), Some(&set(&[3, 4])));
    assert_eq!(wishes_with_a_mute_machine(false).last(), Some(&set(&[4])), "not where none is");
}

/// What a leader wishes while machine 4 is missed, and machine 3 promises only the first time.
fn wishes_with_a_mute_machine(loses_machines: bool) -> Vec<Machines> {
    let mut watched = Watched::new(0, 5);
    watched.change = watched.change.with_policies(false, loses_machines);
    watched.change.notice(peer(4), Presence::Missing);
    watched.said = [1, 2, 3].map(|other| (other, wants(&[4], &[]))).into();
    let (_, wish) = watched.begins().expect("a quorum misses machine 4");
    assert_eq!(wish.leaving, set(&[4]));
    watched.hear(3, promise(Ballot { round: 1, leader: 0 }, 5));
    let mut attempts = Vec::new();
    while watched.now < Duration::from_secs(8) {
        for step in watched.watch(10) {
            attempts.extend(wish_of(&step).map(|wish| wish.leaving));
            if let Step::ToAll(Message { body: Body::Prepare { ballot, .. }, .. }) = step {
                for honest in [1, 2] {
                    watched.hear(honest, promise(ballot, 5));
                }
            }
        }
    }
    assert_eq!(attempts.first(), Some(&set(&[4])), "it had promised before");
    attempts
}

#[test]
fn a_peer_that_proposes_without_end_is_heard_less_and_less() {
    let mut watched = Watched::new(1, 3);
    let mut promises = 0;
    for round in 1..=1_000 {
        watched.now = Duration::from_millis(10 * round);
        let ballot = Ballot { round, leader: 0 };
        let wish = Wish { leaving: set(&[1]), first: 0 };
        let steps = watched.hear(0, Body::Prepare { ballot, wish });
        promises += usize::from(!steps.is_empty());
    }
    assert!((2..=8).contains(&promises), "{promises} promises in ten seconds");
}

#[test]
fn a_promise_is_repeated_only_as_often_as_any_answer() {
    let mut watched = Watched::new(1, 3);
    let wish = Wish::default();
    let ballot = Ballot { round: 1, leader: 0 };
    let mut answers = 0;
    for ms in 0..1_000 {
        watched.now = Duration::from_millis(ms);
        answers += watched.hear(0, Body::Prepare { ballot, wish }).len();
    }
    assert!((30..=41).contains(&answers), "{answers} answers in a second");
}

#[test]
fn a_frame_to_change_at_is_promised_only_if_a_quorum_asks_for_a_change() {
    let wish = Wish { leaving: set(&[]), first: 20 };
    for (asking, expected) in [(&[0][..], false), (&[0, 2], false), (&[0, 2, 3], true)] {
        let mut watched = Watched::new(1, 4);
        for &other in asking {
            watched.hear(other, wants(&[], &[LEAVER_TO_BOT]).body);
        }
        let ballot = Ballot { round: 1, leader: 0 };
        let steps = watched.hear(0, Body::Prepare { ballot, wish });
        assert_eq!(!steps.is_empty(), expected, "{asking:?}");
    }
}

/// Machine 0 has an epoch decided in which nobody's seat changes, and gives another reason for it.
fn decide_nothing(watched: &mut Watched, reason: Reason) -> bool {
    let ballot = Ballot { round: 1, leader: 0 };
    let wish = Wish::default();
    let has_promised = !watched.hear(0, Body::Prepare { ballot, wish }).is_empty();
    let old = watched.change.installed();
    let (epoch, parent, seats) = (old.epoch + 1, old.digest(), old.seats.clone());
    let value =
        Value { epoch, parent, seats, clock: Clock::Runs, first: 10, ended: Vec::new(), reason };
    let digest = value.digest();
    watched.hear(0, Body::Accept { ballot, value });
    for other in [0, 2] {
        watched.hear(other, Body::Accepted { ballot, digest });
    }
    has_promised
}

#[test]
fn plans_that_change_no_seat_are_heard_less_and_less_whatever_their_reason() {
    let mut watched = Watched::new(1, 3);
    let mut times = Vec::new();
    for _ in 0..400 {
        watched.now += Duration::from_millis(100);
        if decide_nothing(&mut watched, Reason::Asked) {
            times.push(watched.now.as_millis());
        }
    }
    let epochs = watched.change.installed().epoch;
    let pauses = Vec::from_iter(times.windows(2).map(|pair| pair[1] - pair[0]));
    assert!(epochs > 0 && pauses.starts_with(&[2_000, 4_000, 8_000, 16_000]), "{pauses:?}");
}
