//! Agreement between honest peers, and between honest peers and one that lies or does not answer.

use super::*;

const A: PeerId = PeerId::from_u128(1);
const B: PeerId = PeerId::from_u128(2);
const C: PeerId = PeerId::from_u128(3);
const UPDATE: Duration = Duration::from_millis(50);

fn plan(match_number: u32, peers: &[PeerId]) -> MatchPlan {
    let machine = |&peer| (peer, "x".into(), 1);
    MatchPlan::seated(match_number, peers.iter().map(machine).collect())
}

fn view(local: PeerId, possible: &MatchPlan) -> View<'_> {
    View { local, possible: Some(possible), last_match_number: 0 }
}

fn sent_to(steps: &[LineUpStep], to: PeerId) -> LineUpMessage {
    let to_peer = |step: &LineUpStep| match step {
        LineUpStep::Send(peer, message) if *peer == to => Some(message.clone()),
        _ => None,
    };
    steps.iter().find_map(to_peer).expect("a message to that peer")
}

fn proposed(steps: &[LineUpStep], to: PeerId) -> MatchPlan {
    match sent_to(steps, to) {
        LineUpMessage::Propose(plan) => plan,
        other => panic!("{other:?}"),
    }
}

/// Machines in a room, some of which say something other than they should.
struct Room {
    now: Duration,
    peers: Vec<(PeerId, LineUp)>,
    /// The peer that lies. A match that it begins does not count.
    liar: Option<PeerId>,
    begun: Vec<(PeerId, MatchPlan)>,
}

impl Room {
    fn new(peers: &[PeerId]) -> Self {
        let peers = peers.iter().map(|&peer| (peer, LineUp::default())).collect();
        Self { now: Duration::ZERO, peers, liar: None, begun: Vec::new() }
    }

    /// The match that could start as a peer sees it: without the peers that it counts out, and with
    /// at least two players.
    fn seen(&self, index: usize) -> Option<MatchPlan> {
        let (local, line_up) = &self.peers[index];
        let counts = |&peer: &PeerId| peer == *local || !line_up.has_counted_out(peer);
        let peers: Vec<PeerId> = self.peers.iter().map(|it| it.0).filter(counts).collect();
        (peers.len() > 1).then(|| plan(1, &peers))
    }

    /// Plays until a match begins, for at most `seconds`. `tamper` is what becomes of each message,
    /// by its sender and its receiver.
    fn play(
        &mut self,
        seconds: u64,
        tamper: impl Fn(PeerId, PeerId, LineUpMessage) -> Option<LineUpMessage>,
    ) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end && self.begun.is_empty() {
            let mut all = Vec::new();
            for index in 0..self.peers.len() {
                let seen = self.seen(index);
                let (local, line_up) = &mut self.peers[index];
                let steps = line_up.poll(self.now, *local, seen.as_ref());
                all.extend(steps.into_iter().map(|step| (*local, step)));
            }
            while !all.is_empty() {
                all = all.into_iter().flat_map(|it| self.follow(it, &tamper)).collect();
            }
            self.now += UPDATE;
        }
    }

    fn follow(
        &mut self,
        (from, step): (PeerId, LineUpStep),
        tamper: &impl Fn(PeerId, PeerId, LineUpMessage) -> Option<LineUpMessage>,
    ) -> Vec<(PeerId, LineUpStep)> {
        match step {
            LineUpStep::Expect(_) => Vec::new(),
            LineUpStep::Begin(_) if self.liar == Some(from) => Vec::new(),
            LineUpStep::Begin(plan) => {
                self.begun.push((from, plan));
                Vec::new()
            }
            LineUpStep::Send(to, message) => {
                let Some(message) = tamper(from, to, message) else { return Vec::new() };
                let index = self.peers.iter().position(|it| it.0 == to).expect("it is here");
                let seen = self.seen(index);
                let view = View { local: to, possible: seen.as_ref(), last_match_number: 0 };
                let steps = self.peers[index].1.handle(self.now, from, message, view);
                steps.into_iter().map(|step| (to, step)).collect()
            }
        }
    }

    fn begun(&self) -> Vec<PeerId> {
        let mut begun: Vec<PeerId> = self.begun.iter().map(|it| it.0).collect();
        begun.sort();
        begun
    }

    fn assert_one_match(&self) {
        assert!(self.begun.iter().all(|(_, plan)| *plan == self.begun[0].1), "{:?}", self.begun);
    }
}

#[test]
fn peers_that_agree_begin_the_same_match() {
    let mut room = Room::new(&[C, A, B]);
    room.play(1, |_, _, message| Some(message));
    assert_eq!(room.begun(), [A, B, C]);
    room.assert_one_match();
    assert!(room.now <= UPDATE, "in one round");
}

#[test]
fn a_leader_that_proposes_different_matches_starts_none_and_is_counted_out() {
    type Lie = fn(&mut MatchPlan);
    let lies: [Lie; 4] = [
        |plan| plan.match_number += 1,
        |plan| plan.members[0].name = "another".into(),
        |plan| plan.members[0].seats = SeatSet::of(&[0, 3]),
        |plan| {
            let others = (plan.members[1].seats, plan.members[2].seats);
            (plan.members[2].seats, plan.members[1].seats) = others;
        },
    ];
    for lie in lies {
        let mut room = Room { liar: Some(A), ..Room::new(&[A, B, C]) };
        let tamper = move |from, to, mut message| {
            if let (LineUpMessage::Propose(plan), true) = (&mut message, (from, to) == (A, C)) {
                lie(plan);
            }
            // Only the proposals of the liar arrive.
            (from != A || matches!(message, LineUpMessage::Propose(_))).then_some(message)
        };
        room.play(8, tamper);
        assert_eq!(room.begun(), [], "no peer begins a match that the others did not accept");
        room.play(10, tamper);
        room.assert_one_match();
        assert_eq!(room.begun(), [B, C]);
    }
}

#[test]
fn a_plan_holds_nothing_that_follows_from_it() {
    let bytes = |plan: MatchPlan| {
        let mut bytes = Vec::new();
        crate::codec::encode_into(&LineUpMessage::Propose(plan), &mut bytes).expect("it encodes");
        bytes.len()
    };
    assert_eq!(bytes(plan(1, &[A])), 1 + 1 + 1 + 17 + 2 + 1, "no seed");
}

#[test]
fn a_member_takes_the_seat_that_the_leader_gives_it() {
    let mut b = LineUp::default();
    let seen = plan(1, &[A, B]);
    let mut told = seen.clone();
    (told.members[0].seats, told.members[1].seats) = (seen.members[1].seats, seen.members[0].seats);
    b.handle(Duration::ZERO, A, LineUpMessage::Propose(told.clone()), view(B, &seen));
    let begin = LineUpMessage::Begin { match_number: 1 };
    let begun = b.handle(Duration::ZERO, A, begin, view(B, &seen));
    assert_eq!(begun, [LineUpStep::Begin(told)]);
}

#[test]
fn plans_with_impossible_seats_begin_no_match() {
    let seen = plan(1, &[A, B]);
    let begun = |seats: [&[u8]; 2]| {
        let mut b = LineUp::default();
        let mut told = seen.clone();
        for (member, seats) in told.members.iter_mut().zip(seats) {
            member.seats = SeatSet::of(seats);
        }
        b.handle(Duration::ZERO, A, LineUpMessage::Propose(told), view(B, &seen));
        let begin = LineUpMessage::Begin { match_number: 1 };
        b.handle(Duration::ZERO, A, begin, view(B, &seen)).len()
    };
    let all: Vec<u8> = (0..16).collect();
    // We hold one seat in each of them.
    let impossible: [[&[u8]; 2]; 5] =
        [[&[], &[0]], [&[0], &[0]], [&[0], &[2]], [&[1], &[2]], [&all, &[0]]];
    assert_eq!(impossible.map(begun), [0; 5]);
    assert_eq!([[&[0][..], &[1]], [&[1], &[0]], [&[0, 2], &[1]]].map(begun), [1; 3]);
}

#[test]
fn a_leader_that_says_nothing_is_named_and_then_counted_out() {
    let mut room = Room::new(&[A, B, C]);
    let mute = |from, _, message| (from != A).then_some(message);
    room.play(4, mute);
    assert!(room.peers[1].1.is_waiting_for(A) && room.peers[2].1.is_waiting_for(A));
    assert!(!room.peers[1].1.has_counted_out(A));
    room.play(8, mute);
    assert_eq!(room.begun(), [B, C]);
    room.assert_one_match();
}

#[test]
fn a_member_that_does_not_answer_is_named_and_then_counted_out() {
    let mut room = Room::new(&[A, B, C]);
    let mute = |from, _, message| (from != C).then_some(message);
    room.play(4, mute);
    assert!(room.peers[0].1.is_waiting_for(C) && room.peers[1].1.is_waiting_for(C));
    assert!(!room.peers[0].1.is_waiting_for(B) && !room.peers[1].1.is_waiting_for(A));
    room.play(8, mute);
    assert_eq!(room.begun(), [A, B]);
    room.assert_one_match();
}

#[test]
fn only_a_member_that_always_declines_is_counted_out() {
    let mut room = Room::new(&[A, B, C]);
    let decline = |from, _, message| match message {
        LineUpMessage::Accept(plan) if from == C => {
            Some(LineUpMessage::Decline { match_number: plan.match_number })
        }
        message => Some(message),
    };
    room.play(20, decline);
    assert_eq!(room.begun(), [A, B]);
    room.assert_one_match();
}

#[test]
fn a_peer_that_was_counted_out_counts_again_when_it_is_ready_again() {
    let mut room = Room::new(&[A, B]);
    room.play(20, |from, _, message| (from != B).then_some(message));
    assert!(room.begun.is_empty() && room.peers[0].1.has_counted_out(B));
    room.peers[0].1.reset_start_delay(B);
    room.peers[1].1.reset_start_delay(A);
    room.play(1, |_, _, message| Some(message));
    assert_eq!(room.begun(), [A, B]);
}

#[test]
fn a_peer_that_sees_other_members_declines_and_is_asked_again() {
    let (mut a, mut b) = (LineUp::default(), LineUp::default());
    let now = Duration::ZERO;
    let all = plan(1, &[A, B, C]);
    let proposal = a.poll(now, A, Some(&all));
    let without_c = plan(1, &[A, B]);
    let no = b.handle(now, A, sent_to(&proposal, B), view(B, &without_c));
    assert_eq!(sent_to(&no, A), LineUpMessage::Decline { match_number: 1 });
    a.handle(now, B, sent_to(&no, A), view(A, &all));
    assert!(a.poll(now, A, Some(&all)).is_empty(), "not at once");
    assert!(!a.poll(now + PROPOSE_AGAIN_AFTER, A, Some(&all)).is_empty());
}

#[test]
fn only_the_leader_may_propose_and_call_the_start() {
    let mut b = LineUp::default();
    let now = Duration::ZERO;
    let all = plan(1, &[A, B, C]);
    let no = b.handle(now, C, LineUpMessage::Propose(all.clone()), view(B, &all));
    assert_eq!(sent_to(&no, C), LineUpMessage::Decline { match_number: 1 });
    b.handle(now, A, LineUpMessage::Propose(all.clone()), view(B, &all));
    b.handle(now, C, LineUpMessage::Accept(all.clone()), view(B, &all));
    assert_eq!(b.handle(now, C, LineUpMessage::Begin { match_number: 1 }, view(B, &all)), []);
    assert_eq!(b.handle(now, A, LineUpMessage::Begin { match_number: 2 }, view(B, &all)), []);
    let begun = b.handle(now, A, LineUpMessage::Begin { match_number: 1 }, view(B, &all));
    assert_eq!(begun, [LineUpStep::Begin(all)]);
}

#[test]
fn a_called_start_waits_for_the_answers_of_the_other_members() {
    let mut b = LineUp::default();
    let now = Duration::ZERO;
    let all = plan(1, &[A, B, C]);
    b.handle(now, A, LineUpMessage::Propose(all.clone()), view(B, &all));
    assert_eq!(b.handle(now, A, LineUpMessage::Begin { match_number: 1 }, view(B, &all)), []);
    let other = LineUpMessage::Accept(plan(1, &[A, C]));
    assert_eq!(b.handle(now, C, other, view(B, &all)), []);
    let begun = b.handle(now, C, LineUpMessage::Accept(all.clone()), view(B, &all));
    assert_eq!(begun, [LineUpStep::Begin(all)]);
}

#[test]
fn an_answer_to_one_proposal_does_not_count_for_the_next() {
    let (mut a, mut b, mut c) = (LineUp::default(), LineUp::default(), LineUp::default());
    let now = Duration::ZERO;
    let (two, three) = (plan(1, &[A, B]), plan(1, &[A, B, C]));
    let first = a.poll(now, A, Some(&two));
    let late_yes = b.handle(now, A, sent_to(&first, B), view(B, &two));
    // C gets ready, A sees it, B does not yet.
    let second = a.poll(now, A, Some(&three));
    assert_ne!(proposed(&second, B).match_number, proposed(&first, B).match_number);
    b.handle(now, A, sent_to(&second, B), view(B, &two));
    let yes_c = c.handle(now, A, sent_to(&second, C), view(C, &three));
    a.handle(now, B, sent_to(&late_yes, A), view(A, &three));
    let after_both = a.handle(now, C, sent_to(&yes_c, A), view(A, &three));
    assert!(after_both.is_empty(), "B never accepted the second proposal: {after_both:?}");
    let begin_of_first = LineUpMessage::Begin { match_number: 1 };
    assert!(b.handle(now, A, begin_of_first, view(B, &two)).is_empty(), "B dropped the first");
}

#[test]
fn a_stray_proposal_does_not_undo_an_acceptance_of_the_leaders() {
    let mut c = LineUp::default();
    let now = Duration::ZERO;
    let (all, without_a) = (plan(1, &[A, B, C]), plan(1, &[B, C]));
    c.handle(now, A, LineUpMessage::Propose(all.clone()), view(C, &all));
    let no = c.handle(now, B, LineUpMessage::Propose(without_a), view(C, &all));
    assert_eq!(no, [LineUpStep::Send(B, LineUpMessage::Decline { match_number: 1 })]);
    c.handle(now, B, LineUpMessage::Accept(all.clone()), view(C, &all));
    let begun = c.handle(now, A, LineUpMessage::Begin { match_number: 1 }, view(C, &all));
    assert_eq!(begun, [LineUpStep::Begin(all)]);
}

#[test]
fn a_peer_that_accepted_is_free_again_when_the_leader_is_gone() {
    let mut b = LineUp::default();
    let (all, rest) = (plan(1, &[A, B, C]), plan(1, &[B, C]));
    b.handle(Duration::ZERO, A, LineUpMessage::Propose(all.clone()), view(B, &all));
    assert!(b.poll(Duration::ZERO, B, Some(&rest)).is_empty());
    b.forget(A);
    assert!(!b.poll(Duration::ZERO, B, Some(&rest)).is_empty(), "B leads now");
}

#[test]
fn a_member_that_leaves_while_the_start_is_called_keeps_no_peer_waiting() {
    let mut b = LineUp::default();
    let all = plan(1, &[A, B, C]);
    b.handle(Duration::ZERO, A, LineUpMessage::Propose(all.clone()), view(B, &all));
    b.forget(C);
    let begin = LineUpMessage::Begin { match_number: 1 };
    let begun = b.handle(Duration::ZERO, A, begin, view(B, &plan(1, &[A, B])));
    assert_eq!(begun, [LineUpStep::Begin(all)]);
}

#[test]
fn an_agreement_that_no_peer_completes_expires() {
    let (mut a, mut b) = (LineUp::default(), LineUp::default());
    let all = plan(1, &[A, B]);
    let proposal = a.poll(Duration::ZERO, A, Some(&all));
    b.handle(Duration::ZERO, A, sent_to(&proposal, B), view(B, &all));
    b.poll(ANSWER_WITHIN, B, Some(&all));
    let late = b.handle(ANSWER_WITHIN, A, LineUpMessage::Begin { match_number: 1 }, view(B, &all));
    assert!(late.is_empty());
    assert!(!a.poll(ANSWER_WITHIN, A, Some(&all)).is_empty(), "the leader asks again");
}

#[test]
fn a_leader_cannot_make_one_member_flood_another() {
    let mut b = LineUp::default();
    let all = plan(1, &[A, B, C]);
    let mut to_c = 0;
    for match_number in 1..=1000 {
        let now = Duration::from_millis(u64::from(match_number));
        let message = LineUpMessage::Propose(plan(match_number, &[A, B, C]));
        let steps = b.handle(now, A, message, view(B, &all));
        to_c += steps.iter().filter(|step| matches!(step, LineUpStep::Send(C, _))).count();
    }
    assert!((1..=20).contains(&to_c), "{to_c} messages in a second");
}

#[test]
fn proposals_differ_even_when_match_numbers_wrap_around() {
    let mut a = LineUp::default();
    let mut numbers = Vec::new();
    for round in 0..6 {
        let now = ANSWER_WITHIN * round;
        // In the second round A knows of fewer matches.
        let match_number = if round == 1 { u32::MAX - 3 } else { u32::MAX - 1 };
        let plan = proposed(&a.poll(now, A, Some(&plan(match_number, &[A, B]))), B);
        assert!(plan.match_number != 0 && !numbers.contains(&plan.match_number), "{plan:?}");
        numbers.push(plan.match_number);
    }
}

#[test]
fn the_match_number_that_was_played_last_is_not_played_again() {
    let (mut a, mut b) = (LineUp::default(), LineUp::default());
    let now = Duration::ZERO;
    let of = |match_number| LineUpMessage::Propose(plan(match_number, &[A, B]));
    // B knows of a match that A did not take into account.
    let seen = plan(u32::MAX, &[A, B]);
    let proposal = a.poll(now, A, Some(&plan(4, &[A, B])));
    let yes = b.handle(now, A, sent_to(&proposal, B), view(B, &seen));
    let begin = a.handle(now, B, sent_to(&yes, A), view(A, &seen));
    let begun = b.handle(now, A, sent_to(&begin, B), view(B, &seen));
    assert_eq!(begun, [LineUpStep::Begin(plan(4, &[A, B]))]);
    let later = now + ANSWER_EVERY;
    for used in [0, 4] {
        let answer = b.handle(later, A, of(used), view(B, &seen));
        assert!(matches!(sent_to(&answer, A), LineUpMessage::Decline { .. }), "match {used}");
    }
    let proposal = a.poll(now, A, Some(&plan(4, &[A, B])));
    assert_eq!(sent_to(&proposal, B), of(5));
}
