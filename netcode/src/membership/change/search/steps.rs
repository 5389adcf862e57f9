//! What can happen next in a state, and what must never have happened.

use super::*;

impl Scenario {
    pub(super) fn three_survivors_and_a_leaver() -> Self {
        Self {
            machines: 4,
            open: vec![3],
            leaders: vec![0, 1],
            ballots: 2,
            crashes: 1,
            may_say_goodbye: false,
            may_heal: false,
            is_modest: false,
            rules: ALL_RULES,
            max_states: MAX_STATES,
        }
    }

    /// The last machine is the one that the others miss.
    pub(super) fn leaver(&self) -> usize {
        self.machines - 1
    }

    pub(super) fn begin(&self) -> State {
        let seats = Vec::from_iter((0..self.machines).map(|it| Occupant::Peer(peer(it))));
        let machine = |local: usize| {
            let mut agreement = Agreement::new(peer(local), seats.clone());
            agreement.rules = self.rules;
            agreement.decision.is_modest = self.is_modest;
            if local != self.leaver() {
                agreement.notice(peer(self.leaver()), Presence::Missing);
            }
            let mut known = Known { ends: [1; MAX_MACHINES], ..Known::default() };
            for &seat in self.open.iter().filter(|&&seat| seat != local) {
                known.ends[seat] = 0;
            }
            known.acknowledged = known.ends;
            let is_leader = self.leaders.contains(&local);
            let is_crashed = false;
            Shared::new(Machine { agreement, known, is_leader, is_crashed, installed: None })
        };
        State {
            machines: (0..self.machines).map(machine).collect(),
            sent: Vec::new(),
            crashes_left: self.crashes,
            ballots_left: self.ballots,
        }
    }

    /// All states that can follow.
    pub(super) fn successors(&self, state: &State) -> Next {
        let mut all = Vec::new();
        for it in 0..self.machines {
            if !state.at(it).is_crashed {
                self.inputs(state, it, &mut all);
                self.messages(state, it, &mut all);
                self.leading(state, it, &mut all);
                self.ends(state, it, &mut all);
            }
        }
        all.iter_mut().for_each(|(_, next)| next.forget_messages());
        all
    }

    fn inputs(&self, state: &State, it: usize, all: &mut Next) {
        let Machine { agreement, known, installed, .. } = state.at(it);
        if installed.is_some() {
            return;
        }
        let hold = agreement.hold();
        for seat in (0..self.machines).filter(|&seat| seat != it && known.ends[seat] == 0) {
            // From the machine of the seat.
            let is_held = hold.is_some_and(|hold| hold.machines.has(seat));
            let mut next = state.clone();
            if !is_held {
                next.change(it, |machine| {
                    machine.known.ends[seat] = 1;
                    machine.known.acknowledged[seat] = 1;
                });
                self.settle(&mut next, it);
                all.push((Action::Input { to: it, seat }, next));
                continue;
            }
            // From any machine that has them, where they are asked for.
            let is_somewhere = (0..self.machines).any(|it| state.at(it).known.ends[seat] > 0);
            if is_somewhere && agreement.wanted_before().is_some_and(|wanted| wanted > 0) {
                next.change(it, |machine| machine.known.ends[seat] = 1);
                self.settle(&mut next, it);
                all.push((Action::Fill { to: it, seat }, next));
            }
        }
    }

    /// The number of frames that a machine may have exposed by now.
    fn exposable(&self, state: &State, it: usize) -> u8 {
        let Machine { agreement, known, installed, is_crashed, .. } = state.at(it);
        let held = agreement.hold().map(|hold| hold.from as u8);
        if installed.is_some() || *is_crashed || held.is_some_and(|from| from <= known.exposed) {
            return known.exposed;
        }
        // All machines hold the seats of the same numbers.
        let roster = &agreement.installed().seats;
        let ends = |voter: usize, seat: usize| match state.at(voter) {
            _ if voter == it => known.ends[seat].into(),
            machine => machine.known.acknowledged[seat].into(),
        };
        let most = agreement.voters().exposed(roster, ends).unwrap_or(0) as u8;
        let ends = known.ends[..self.machines].iter().copied();
        let confirmed = ends.min().unwrap_or(0);
        most.min(confirmed).min(held.unwrap_or(FRAMES)).max(known.exposed)
    }

    /// The state, and those in which a machine that does not hold yet has exposed more.
    fn exposing(&self, state: &State, it: usize) -> Vec<State> {
        let exposed = state.at(it).known.exposed;
        let with = |frames| {
            let mut next = state.clone();
            next.change(it, |machine| machine.known.exposed = frames);
            next
        };
        let more = (exposed + 1..=self.exposable(state, it)).map(with);
        std::iter::once(state.clone()).chain(more).collect()
    }

    fn messages(&self, state: &State, it: usize, all: &mut Next) {
        if state.at(it).installed.is_some() {
            return;
        }
        for sent in &state.sent {
            let (from, message) = &*sent.value;
            let from = usize::from(*from);
            let makes_hold = matches!(message.body, Body::Prepare { .. } | Body::Accept { .. });
            let mut befores = match &message.body {
                _ if from == it => continue,
                Body::Promise(_) | Body::Accepted { .. } | Body::Install { .. } => continue,
                _ if makes_hold => self.exposing(state, it),
                _ => vec![state.clone()],
            };
            if let (Body::Accept { .. }, true) = (&message.body, it == self.leaver()) {
                // What others accepted makes a difference to a machine that is put away.
                let informed = befores.iter().map(|before| self.informed(before, it, None));
                let informed = Vec::from_iter(informed);
                befores.extend(informed);
            }
            for mut next in befores {
                self.deliver(&mut next, from, it, message);
                if next.print() != state.print() {
                    all.push((Action::Message { to: it, print: sent.print }, next));
                }
            }
        }
        // All that was accepted in a ballot or installed, at once.
        let mut ballots = Vec::from_iter(state.sent.iter().filter_map(|it| it.value.1.accepted()));
        ballots.sort_unstable();
        ballots.dedup();
        for ballot in ballots {
            let next = self.informed(state, it, Some(ballot));
            let Machine { agreement, installed, .. } = next.at(it);
            if agreement.decision.decided.is_some() || installed.is_some() {
                all.push((Action::Learn { at: it, ballot }, next));
            }
        }
    }

    /// The state after a machine has heard all that was accepted, in any ballot or in one, and all
    /// that was installed.
    fn informed(&self, state: &State, it: usize, ballot: Option<Ballot>) -> State {
        let mut next = state.clone();
        for sent in &state.sent {
            let (from, message) = &*sent.value;
            let is_wanted = match message.accepted() {
                Some(accepted) => ballot.is_none_or(|ballot| ballot == accepted),
                None => matches!(message.body, Body::Install { .. }),
            };
            if is_wanted && usize::from(*from) != it && next.at(it).installed.is_none() {
                self.deliver(&mut next, (*from).into(), it, message);
            }
        }
        next
    }

    fn leading(&self, state: &State, it: usize, all: &mut Next) {
        let Machine { agreement, installed, .. } = state.at(it);
        if !self.leaders.contains(&it) || installed.is_some() || agreement.has_left {
            return;
        }
        if state.ballots_left > 0 {
            let mut leaving = vec![agreement.missing()];
            leaving.extend(self.may_heal.then(Machines::default));
            for leaving in leaving {
                for mut next in self.exposing(state, it) {
                    next.ballots_left -= 1;
                    let wish = Wish { leaving, first: 0 };
                    let steps = next.change(it, |machine| {
                        machine.agreement.give_up();
                        machine.agreement.begin(wish, &machine.known)
                    });
                    self.follow(&mut next, it, steps);
                    all.push((Action::Begin { at: it, wish }, next));
                }
            }
        }
        let Some(attempt) = &agreement.decision.attempt else { return };
        if attempt.has_proposed() {
            return;
        }
        let is_promise = |sent: &&Shared<(u8, Message)>| match &sent.value.1.body {
            Body::Promise(promise) => {
                promise.ballot == attempt.ballot && usize::from(sent.value.0) != it
            }
            _ => false,
        };
        let promises = Vec::from_iter(state.sent.iter().filter(is_promise));
        for subset in 0..1u32 << promises.len() {
            let chosen = || (0..promises.len()).filter(|&index| subset >> index & 1 == 1);
            let senders: Machines =
                chosen().map(|index| usize::from(promises[index].value.0)).collect();
            if senders.len() != subset.count_ones() as usize {
                continue;
            }
            // A machine that installed the epoch promises nothing, and says so.
            let has_installs = agreement.us.is_some() && state.has_installs();
            for is_informed in [false, true].into_iter().take(1 + usize::from(has_installs)) {
                let mut next = state.clone();
                if is_informed {
                    next = self.informed(&next, it, Some(Ballot::default()));
                }
                for (from, message) in chosen().map(|index| &*promises[index].value) {
                    self.deliver(&mut next, usize::from(*from), it, message);
                }
                let exposed = self.exposable(&next, it);
                let steps =
                    next.change(it, |machine| machine.agreement.propose(&mut machine.known));
                let attempt = next.at(it).agreement.decision.attempt.as_ref();
                let is_new = attempt.is_none_or(|it| it.has_proposed() || it.lacks.is_some());
                self.follow(&mut next, it, steps);
                self.expose_before_install(&mut next, it, exposed);
                if is_new && next.print() != state.print() {
                    all.push((Action::Propose { at: it, promises: subset }, next));
                }
            }
        }
    }

    fn ends(&self, state: &State, it: usize, all: &mut Next) {
        let leaver = self.leaver();
        if state.crashes_left > 0 && it != leaver {
            let mut next = state.clone();
            next.crashes_left -= 1;
            let exposed = self.exposable(&next, it);
            next.change(it, |machine| {
                machine.known.exposed = exposed;
                machine.is_crashed = true;
                // What it had in mind makes no difference any more.
                machine.agreement = Agreement::new(peer(it), Vec::new());
            });
            for other in (0..self.machines).filter(|&other| other != it) {
                next.change(other, |machine| machine.agreement.notice(peer(it), Presence::Missing));
            }
            all.push((Action::Crash { at: it }, next));
        }
        let Machine { agreement, installed, .. } = state.at(it);
        if self.may_say_goodbye && it == leaver && !agreement.has_left && installed.is_none() {
            for mut next in self.exposing(state, it) {
                let steps =
                    next.change(it, |machine| machine.agreement.leave(false, &machine.known));
                self.follow(&mut next, it, steps);
                all.push((Action::Goodbye { at: it }, next));
            }
        }
    }

    fn deliver(&self, state: &mut State, from: usize, to: usize, message: &Message) {
        let exposed = self.exposable(state, to);
        let steps = state.change(to, |machine| {
            if let Body::Goodbye(goodbye) = &message.body {
                machine.known.take_all(&goodbye.promise.ends);
            }
            machine.agreement.handle(peer(from), message, &mut machine.known)
        });
        self.follow(state, to, steps);
        self.expose_before_install(state, to, exposed);
    }

    /// Inputs came: what waited for them happens.
    fn settle(&self, state: &mut State, it: usize) {
        let exposed = self.exposable(state, it);
        let steps = state.change(it, |machine| machine.agreement.advance(&mut machine.known));
        self.follow(state, it, steps);
        self.expose_before_install(state, it, exposed);
    }

    /// A machine that just installed the epoch had exposed all that it could.
    fn expose_before_install(&self, state: &mut State, it: usize, exposed: u8) {
        if state.at(it).installed.is_some() {
            state.change(it, |machine| machine.known.exposed = exposed);
        }
    }

    fn follow(&self, state: &mut State, it: usize, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::ToAll(message) | Step::Send(_, message) => match message.body {
                    Body::Suspect { .. } | Body::Lack { .. } | Body::Fill { .. } => {}
                    _ => state.send(it, message),
                },
                Step::Installed(value) => {
                    let message = state.at(it).agreement.newest(peer(it));
                    state.change(it, |machine| machine.installed = Some(value));
                    if let Some(Step::Send(_, message)) = message {
                        state.send(it, message);
                    }
                }
                Step::Differs { seat } => panic!("seat {seat} differs, and nobody lies"),
            }
        }
    }

    /// What is wrong with a state.
    pub(super) fn violation(&self, state: &State) -> Option<String> {
        let machines = || state.machines.iter().map(|machine| &*machine.value);
        let value = machines().find_map(|machine| machine.installed.as_ref())?;
        if let Some(other) =
            machines().filter_map(|it| it.installed.as_ref()).find(|it| *it != value)
        {
            return Some(format!("two successors: {value:?} and {other:?}"));
        }
        for (it, machine) in machines().enumerate() {
            let exposed = self.exposable(state, it);
            if u32::from(exposed) > value.first {
                return Some(format!("{it} exposed {exposed} frames: {value:?}"));
            }
            let mut ends = machine.known.ends[..self.machines].iter();
            if machine.installed.is_some() && ends.any(|&end| u32::from(end) < value.first) {
                return Some(format!("{it} lacks inputs: {:?}", machine.known));
            }
        }
        // What was decided can be finished: a machine that has not crashed has each input.
        let can_be_known = (0..self.machines).all(|seat| {
            machines().any(|it| !it.is_crashed && u32::from(it.known.ends[seat]) >= value.first)
        });
        (!can_be_known).then(|| format!("inputs were lost: {value:?}"))
    }

    /// Searches in depth, up to `max_states`.
    pub(super) fn search(&self) -> Found {
        let mut found = Found {
            states: 0,
            installs: 0,
            depth: 0,
            is_exhausted: true,
            violation: None,
            samples: Vec::new(),
        };
        let mut seen = Seen::default();
        let first = self.begin();
        seen.insert(first.print());
        let mut path: Vec<(Option<Action>, Next)> = Vec::new();
        let mut now = Some((None, first));
        while found.violation.is_none() {
            let Some((action, state)) = now.take() else {
                // Back to the newest state from which there is another way.
                let Some((_, next)) = path.last_mut() else { break };
                match next.pop() {
                    Some((action, state)) => now = Some((Some(action), state)),
                    None => drop(path.pop()),
                }
                continue;
            };
            found.note(&state, path.len());
            if found.states.is_multiple_of(STATES_PER_LINE) {
                let waiting = seen.len() - found.states;
                println!("{} states so far, {waiting} more are known", found.states);
            }
            found.violation = self.violation(&state).map(|what| {
                let way = path.iter().filter_map(|(action, _)| *action).chain(action);
                format!("{what}\n{:#?}\n{state:#?}", Vec::from_iter(way))
            });
            if seen.len() >= self.max_states {
                found.is_exhausted = false;
                break;
            }
            let mut next = self.successors(&state);
            next.retain(|(_, state)| seen.insert(state.print()));
            path.push((action, next));
        }
        found
    }
}
