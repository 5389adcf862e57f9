//! What is searched, and what must be found.

use super::*;

fn report(name: &str, scenario: &Scenario) -> Found {
    let found = scenario.search();
    let Found { states, installs, depth, .. } = found;
    println!("{name}: {states} states, {installs} after a decision, {depth} steps deep");
    found
}

/// Every state in reach is sound.
fn holds(name: &str, scenario: &Scenario) -> Found {
    let found = report(name, scenario);
    assert_eq!(found.violation, None);
    let Found { states, is_exhausted, .. } = found;
    assert!(is_exhausted, "more states than there is memory for: ended after {states} of them");
    assert!(found.installs > 0);
    found
}

/// Lets all messages arrive from a state on, and returns whether the machines that are left get to
/// an epoch without the leaver and the machine that crashed.
fn gets_there(scenario: &Scenario, state: &State) -> bool {
    let leaver = scenario.leaver();
    let alive: Vec<usize> = (0..leaver).filter(|&it| !state.at(it).is_crashed).collect();
    let mut machines: Vec<(Change, Known)> = Vec::new();
    for &it in &alive {
        let machine = state.at(it);
        machines.push((Change::of(machine.agreement.clone()), machine.known));
    }
    // A goodbye is sent three times, and on a reliable channel.
    for sent in &state.sent {
        let (from, message) = &*sent.value;
        if let Body::Goodbye(goodbye) = &message.body {
            for (change, known) in &mut machines {
                known.take_all(&goodbye.promise.ends);
                change.handle(Duration::ZERO, peer(usize::from(*from)), message, known);
            }
        }
    }
    let outlook =
        Outlook { round_trip: Duration::from_millis(100), soon: 1, until_soon: Duration::ZERO };
    let mut now = Duration::ZERO;
    while now < Duration::from_secs(20) {
        now += Duration::from_millis(50);
        // All inputs arrive that somebody has: the leaver's only where they are asked for.
        for seat in 0..scenario.machines {
            let most = machines.iter().map(|(_, known)| known.ends[seat]).max().unwrap_or(0);
            for (change, known) in &mut machines {
                if seat != leaver || change.agreement().wanted_before().is_some() {
                    known.ends[seat] = known.ends[seat].max(most);
                }
            }
        }
        let mut sent = Vec::new();
        for (index, (change, known)) in machines.iter_mut().enumerate() {
            let mut steps = change.poll(now, outlook, known);
            steps.extend(change.repeat(now, known));
            sent.extend(steps.into_iter().map(|step| (alive[index], step)));
        }
        while let Some((from, step)) = sent.pop() {
            let (message, to) = match step {
                Step::ToAll(message) => (message, None),
                Step::Send(to, message) => (message, Some(to)),
                _ => continue,
            };
            for (index, (change, known)) in machines.iter_mut().enumerate() {
                let it = alive[index];
                if it != from && to.is_none_or(|to| to == peer(it)) {
                    let steps = change.handle(now, peer(from), &message, known);
                    sent.extend(steps.into_iter().map(|step| (it, step)));
                }
            }
        }
        let first = machines[0].0.installed();
        let is_rid = |gone: usize| !first.seats.contains(&Occupant::Peer(peer(gone)));
        let gone = (0..scenario.machines).filter(|it| !alive.contains(it));
        if gone.into_iter().all(is_rid)
            && machines.iter().all(|(change, _)| change.installed() == first)
            && machines.iter().all(|(change, _)| change.hold().is_none())
        {
            return true;
        }
    }
    false
}

/// Whether more than half are left of the machines that have not said goodbye.
fn has_majority(scenario: &Scenario, state: &State) -> bool {
    let alive = (0..scenario.leaver()).filter(|&it| !state.at(it).is_crashed);
    let gone = usize::from(state.at(scenario.leaver()).agreement.has_left);
    2 * alive.count() > scenario.machines - gone
}

fn live(scenario: &Scenario, found: &Found) {
    let samples = found.samples.iter().filter(|state| has_majority(scenario, state));
    let mut count = 0;
    for state in samples {
        assert!(gets_there(scenario, state), "no agreement from here: {state:#?}");
        count += 1;
    }
    println!("agreement was reached from {count} sampled states");
    assert!(count > 0);
}

/// The whole of what three tests below split: two ballots without a crash, one ballot with a crash,
/// and two ballots with a crash where all inputs are known. It is exhausted after 7.8 million
/// states, which take three minutes with `--release`, and 200 megabytes.
#[test]
#[ignore = "minutes"]
fn two_ballots_and_a_crash_of_three_survivors_break_no_invariant() {
    let scenario = Scenario::three_survivors_and_a_leaver();
    let found = holds("three survivors and a leaver, two ballots, one crash", &scenario);
    live(&scenario, &found);
}

#[test]
fn nothing_that_a_crash_can_do_to_three_survivors_breaks_an_invariant() {
    let scenario = Scenario { ballots: 1, ..Scenario::three_survivors_and_a_leaver() };
    let found = holds("three survivors and a leaver, one crash", &scenario);
    live(&scenario, &found);
}

#[test]
fn a_survivor_whose_inputs_are_late_breaks_no_invariant() {
    let scenario = Scenario {
        open: vec![2],
        crashes: 0,
        may_heal: true,
        ballots: 1,
        ..Scenario::three_survivors_and_a_leaver()
    };
    holds("late inputs of a survivor", &scenario);
}

#[test]
fn two_survivors_and_a_leaver_break_no_invariant() {
    let scenario = Scenario {
        machines: 3,
        open: vec![2],
        may_say_goodbye: true,
        ..Scenario::three_survivors_and_a_leaver()
    };
    let found = holds("two survivors and a leaver", &scenario);
    live(&scenario, &found);
}

#[test]
fn two_ballots_of_three_survivors_break_no_invariant() {
    let scenario = Scenario { crashes: 0, ..Scenario::three_survivors_and_a_leaver() };
    let found = holds("three survivors and a leaver, two ballots", &scenario);
    live(&scenario, &found);
}

#[test]
fn two_ballots_and_a_crash_lead_to_one_successor() {
    let scenario = Scenario { open: vec![], ..Scenario::three_survivors_and_a_leaver() };
    let found = holds("three survivors and a leaver, all inputs known", &scenario);
    live(&scenario, &found);
}

#[test]
fn a_leader_that_cannot_get_inputs_breaks_no_invariant() {
    let scenario =
        Scenario { is_modest: true, ballots: 1, ..Scenario::three_survivors_and_a_leaver() };
    let found = holds("modest leaders", &scenario);
    live(&scenario, &found);
}

#[test]
fn a_leaver_that_says_goodbye_at_any_time_breaks_no_invariant() {
    let scenario =
        Scenario { may_say_goodbye: true, ballots: 1, ..Scenario::three_survivors_and_a_leaver() };
    let found = holds("goodbye", &scenario);
    live(&scenario, &found);
}

#[test]
fn without_rule_1_a_frame_is_taken_back() {
    let rules = Rules { hold: false, ..ALL_RULES };
    let base = Scenario::three_survivors_and_a_leaver();
    let scenario = Scenario { rules, ballots: 1, crashes: 0, ..base };
    let violation = report("no hold", &scenario).violation.expect("the search finds it");
    assert!(violation.contains("exposed"), "{violation}");
}

#[test]
fn without_rule_2_a_frame_is_taken_back() {
    let rules = Rules { flush: false, ..ALL_RULES };
    let base = Scenario::three_survivors_and_a_leaver();
    let scenario = Scenario { rules, open: vec![2], ballots: 1, ..base };
    let violation = report("no flush", &scenario).violation.expect("the search finds it");
    assert!(violation.contains("exposed"), "{violation}");
}

#[test]
fn without_rule_5_an_epoch_has_two_successors() {
    let rules = Rules { adopt: false, ..ALL_RULES };
    let base = Scenario::three_survivors_and_a_leaver();
    let scenario = Scenario { rules, crashes: 0, ..base };
    let violation = report("no adoption", &scenario).violation.expect("the search finds it");
    assert!(violation.contains("two successors"), "{violation}");
}

/// There is more of it than fits into memory.
#[test]
#[ignore = "minutes"]
fn four_voters_and_three_ballots_break_no_invariant_as_deep_as_it_goes() {
    let scenario = Scenario {
        ballots: 3,
        leaders: vec![0, 1, 2],
        open: vec![2, 3],
        may_heal: true,
        may_say_goodbye: true,
        max_states: 8_000_000,
        ..Scenario::three_survivors_and_a_leaver()
    };
    let found = report("four voters, three ballots", &scenario);
    assert_eq!(found.violation, None);
}
