//! An exhaustive search: all that can happen to some machines that agree on a change, in any order.
//!
//! A message that was sent stays there for ever, and may arrive at any time, again or never; so
//! nothing needs to be modelled for loss, delay and duplicates. A leader may give up its attempt,
//! and begin the next one, at any time. Each state is checked against the invariants, and states
//! are compared by their hashes, which leave out what makes no difference any more.
//!
//! Three shortcuts leave nothing out. Promises only matter once their leader proposes, so it gets
//! any subset of them at that moment. Accepted values only matter once a machine learns from them,
//! so it gets all of them, or none. A machine exposes frames just before it holds; as long as it
//! holds nothing, it counts as having exposed all that it may. Inputs are moved between machines
//! without messages, whenever the receiver would take them.

#![expect(clippy::print_stdout, reason = "the size of a search is worth reading in the log")]

mod steps;
mod tests;

use std::{
    hash::{Hash, Hasher},
    rc::Rc,
    time::Duration,
};

use signaling::protocol::PeerId;

use super::{
    agreement::{Agreement, Decision, Presence, Rules, Step},
    inputs::MatchInputs,
    message::{Ballot, Body, Message, Wish},
    prints::{Mix, Seen, fingerprint},
    schedule::{Change, Outlook},
    value::{Occupant, Value},
    voters::Machines,
};
use crate::exchange::Stream;

/// Frames that the model knows of.
const FRAMES: u8 = 3;
const MAX_MACHINES: usize = 5;
/// A search ends here: the fingerprints of all states then take 400 megabytes as they grow.
const MAX_STATES: usize = 28_000_000;
/// How often a long search says how far it is.
const STATES_PER_LINE: usize = 2_000_000;

/// The inputs of one machine, as far as they are not the same everywhere: for each seat, how many
/// frames are known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Known {
    ends: [u8; MAX_MACHINES],
    /// What others may have heard that we have, in the epoch in force here.
    acknowledged: [u8; MAX_MACHINES],
    exposed: u8,
}

impl Known {
    /// Takes the last inputs of a machine that says goodbye.
    fn take_all(&mut self, ends: &[u32]) {
        for (end, &given) in self.ends.iter_mut().zip(ends) {
            *end = (*end).max(given as u8);
        }
    }
}

impl MatchInputs for Known {
    fn limit(&self) -> u32 {
        FRAMES.into()
    }

    fn exposed(&self) -> u32 {
        self.exposed.into()
    }

    fn stable(&self) -> u32 {
        0
    }

    fn end(&self, seat: u8) -> u32 {
        self.ends[usize::from(seat)].into()
    }

    fn hash(&self, seat: u8, end: u32) -> u64 {
        u64::from(seat) << 32 | u64::from(end)
    }

    fn streams(&self, _: &[u32]) -> Vec<Stream> {
        Vec::new()
    }

    fn take(&mut self, _: &Stream, _: u32) {}

    fn replace(&mut self, stream: &Stream, _: u32, _: u64) {
        panic!("the inputs of seat {} differ, and nobody lies", stream.seat);
    }
}

#[derive(Clone, Debug)]
struct Machine {
    agreement: Agreement,
    known: Known,
    is_leader: bool,
    is_crashed: bool,
    /// Epoch 1, once it is installed here.
    installed: Option<Value>,
}

/// Only what can make a difference to what happens next.
impl Hash for Machine {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.known, self.is_crashed, &self.installed).hash(hasher);
        if self.is_crashed || self.installed.is_some() {
            return;
        }
        let Agreement { us, views, asked, has_left, decision, .. } = &self.agreement;
        (us, asked, has_left).hash(hasher);
        for view in views {
            // What others promised counts only in an attempt, and they miss what they miss.
            (view.presence, view.vote, &view.installed, &view.goodbye).hash(hasher);
        }
        let Decision { promised, hold, accepted, pending, decided, attempt, .. } = decision;
        (promised, hold, accepted, pending, decided, attempt).hash(hasher);
        let highest_round = decision.highest_round * u64::from(self.is_leader);
        (highest_round, decision.is_modest, decision.differing).hash(hasher);
    }
}

/// A value that many states share, with its fingerprint.
#[derive(Clone, Debug)]
struct Shared<T> {
    print: u64,
    value: Rc<T>,
}

impl<T: Hash> Shared<T> {
    fn new(value: T) -> Self {
        Self { print: fingerprint(&value), value: Rc::new(value) }
    }
}

#[derive(Clone, Debug)]
struct State {
    machines: Vec<Shared<Machine>>,
    /// Everything that was ever sent, and by whom, in order of the fingerprints: it makes no
    /// difference when it was sent.
    sent: Vec<Shared<(u8, Message)>>,
    crashes_left: u8,
    ballots_left: u8,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "the fields are shown if something is wrong")]
enum Action {
    Input { to: usize, seat: usize },
    Fill { to: usize, seat: usize },
    Message { to: usize, print: u64 },
    Learn { at: usize, ballot: Ballot },
    Begin { at: usize, wish: Wish },
    Propose { at: usize, promises: u32 },
    Crash { at: usize },
    Goodbye { at: usize },
}

/// What is searched.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    machines: usize,
    /// Seats whose frame 0 has not arrived anywhere yet. All others are known everywhere.
    open: Vec<usize>,
    leaders: Vec<usize>,
    ballots: u8,
    crashes: u8,
    may_say_goodbye: bool,
    /// A leader may try to have nothing changed.
    may_heal: bool,
    /// Leaders make do with the inputs that they have, as far as they may.
    is_modest: bool,
    rules: Rules,
    max_states: usize,
}

#[derive(Debug)]
pub(super) struct Found {
    states: usize,
    installs: usize,
    depth: usize,
    is_exhausted: bool,
    violation: Option<String>,
    samples: Vec<State>,
}

const ALL_RULES: Rules = Rules { hold: true, flush: true, adopt: true };

fn peer(machine: usize) -> PeerId {
    PeerId::from_u128(machine as u128 + 1)
}

type Next = Vec<(Action, State)>;

impl Found {
    fn note(&mut self, state: &State, depth: usize) {
        self.states += 1;
        self.depth = self.depth.max(depth);
        self.installs += usize::from(state.machines.iter().any(|it| it.value.installed.is_some()));
        if state.print().is_multiple_of(1009) && self.samples.len() < 300 {
            self.samples.push(state.clone());
        }
    }
}

impl Message {
    fn accepted(&self) -> Option<Ballot> {
        match self.body {
            Body::Accepted { ballot, .. } => Some(ballot),
            _ => None,
        }
    }
}

impl State {
    fn has_installs(&self) -> bool {
        self.sent.iter().any(|sent| matches!(sent.value.1.body, Body::Install { .. }))
    }

    /// Forgets the messages that can make no difference any more.
    fn forget_messages(&mut self) {
        let Self { machines, sent, .. } = self;
        let listens = |it: usize| {
            let Machine { agreement, installed, is_crashed, .. } = &*machines[it].value;
            !is_crashed && installed.is_none() && !agreement.has_left
        };
        let decision = |it: usize| &machines[it].value.agreement.decision;
        let is_open = |ballot: Ballot| {
            let leader = usize::from(ballot.leader);
            let attempt = decision(leader).attempt.as_ref();
            listens(leader) && attempt.is_some_and(|it| it.ballot == ballot && !it.has_proposed())
        };
        sent.retain(|sent| {
            let (from, message) = &*sent.value;
            let mut others = (0..machines.len()).filter(|&it| it != usize::from(*from));
            match &message.body {
                Body::Promise(promise) => is_open(promise.ballot),
                Body::Prepare { ballot, .. } => others.any(|it| {
                    let promised = decision(it).promised;
                    listens(it) && (promised < *ballot || (promised == *ballot && is_open(*ballot)))
                }),
                Body::Accept { ballot, .. } => others.any(|it| {
                    let Decision { promised, accepted, .. } = decision(it);
                    let has_accepted = accepted.as_ref().is_some_and(|(it, _)| it == ballot);
                    listens(it) && promised <= ballot && !has_accepted
                }),
                _ => true,
            }
        });
    }

    fn at(&self, machine: usize) -> &Machine {
        &self.machines[machine].value
    }

    fn print(&self) -> u64 {
        let mut hasher = Mix::default();
        self.machines.iter().for_each(|it| hasher.write_u64(it.print));
        self.sent.iter().for_each(|it| hasher.write_u64(it.print));
        (self.sent.len(), self.crashes_left, self.ballots_left).hash(&mut hasher);
        hasher.finish()
    }

    fn change<T>(&mut self, machine: usize, change: impl FnOnce(&mut Machine) -> T) -> T {
        let mut changed = (*self.machines[machine].value).clone();
        let result = change(&mut changed);
        self.machines[machine] = Shared::new(changed);
        result
    }

    fn send(&mut self, from: usize, message: Message) {
        let sent = Shared::new((from as u8, message));
        if let Err(place) = self.sent.binary_search_by_key(&sent.print, |it| it.print) {
            self.sent.insert(place, sent);
        }
    }
}
