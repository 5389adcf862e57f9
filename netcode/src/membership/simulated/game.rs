//! What a machine plays: the session without a world. It predicts, rolls back and begins again as
//! `session::live` does, and writes down each frame that can no longer be taken back.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::super::roster::Roster;
use crate::{exchange::Exchange, packed_input::PackedInput};

/// As in `session::live` and `session::start`.
const MAX_ACK_FRAMES: u32 = 8;
const EXTRA_FRAMES: u32 = 2;
/// As in `session::engine`.
const MAX_FED_FRAMES: u32 = 120;
/// At each update these newest ones of the exposed frames are compared with the exchange again, and
/// this many when the roster changes.
const COMPARED: u32 = 4;
const COMPARED_AT_CHANGES: u32 = 120;

/// One frame that can no longer be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exposed {
    inputs: u64,
    roster: u64,
}

/// The exposed frames of all machines: there is one match.
pub(super) type Log = Vec<Exposed>;

/// A roster, from its first frame on.
#[derive(Clone, Copy, Debug)]
struct Term {
    first: u32,
    roster: u64,
}

/// The match, as one machine simulates it.
#[derive(Debug)]
pub(super) struct Game {
    window: u32,
    ahead: u32,
    /// The frame that is simulated next, and the highest one that ever was.
    pub(super) frame: u32,
    newest: u32,
    /// The frames for which ggrs has inputs begin here.
    fed_from: u32,
    /// What ggrs was given of each seat, and of the roster.
    fed: Vec<VecDeque<PackedInput>>,
    fed_rosters: VecDeque<u64>,
    terms: Vec<Term>,
    /// The rosters of the frames before this one are final.
    final_end: u32,
    /// The first frame that was not written down yet.
    pub(super) exposed: u32,
    has_new_roster: bool,
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn hash_of_roster(roster: &Roster) -> u64 {
    let seats = roster.seats().iter().map(|seat| (seat.state, seat.peer));
    hash(&Vec::from_iter(seats))
}

impl Game {
    pub(super) fn new(window: u32, max_delay: u32, roster: &Roster, goes_on: bool) -> Self {
        let seats = roster.seats().len();
        Self {
            window,
            ahead: if goes_on { window + max_delay + MAX_ACK_FRAMES } else { 0 },
            frame: 0,
            newest: 0,
            fed_from: 0,
            fed: vec![VecDeque::new(); seats],
            fed_rosters: VecDeque::new(),
            terms: vec![Term { first: 0, roster: hash_of_roster(roster) }],
            final_end: 0,
            exposed: 0,
            has_new_roster: false,
        }
    }

    /// The machines agreed on rosters, each with its first frame.
    pub(super) fn change_rosters(&mut self, rosters: Vec<(u32, Roster)>) {
        for (first, roster) in rosters {
            let last = self.terms.last().map_or(0, |term| term.first);
            assert!(first >= self.final_end, "the roster changes at the final frame {first}");
            assert!(first >= last, "a roster begins at {first}, before the last one at {last}");
            self.terms.retain(|term| term.first != first);
            self.terms.push(Term { first, roster: hash_of_roster(&roster) });
            self.has_new_roster = true;
        }
    }

    /// Simulates one new frame, and before it every frame that must be corrected. Returns false if
    /// the prediction window is full.
    pub(super) fn step(&mut self, exchange: &mut Exchange) -> bool {
        let before = self.newest;
        if let Some(replaced) = exchange.take_replaced() {
            self.begin_again(replaced.max(exchange.exposed()));
        }
        self.feed(exchange);
        // More than one new frame only after the engine has begun again.
        while self.newest <= before && self.frame < self.open() + self.window {
            self.frame += 1;
            self.newest = self.newest.max(self.frame);
        }
        self.newest > before
    }

    /// ggrs never replaces what it was given, so it begins again where nothing was wrong.
    fn begin_again(&mut self, replaced: u32) {
        let first = replaced.min(self.open()).min(self.frame);
        assert!(first >= self.exposed, "frame {first} is taken back, it was exposed");
        let depth = self.window + self.ahead + EXTRA_FRAMES;
        let newest = self.newest;
        assert!(newest - first <= depth, "back from {newest} to {first}: no world is stored");
        let kept = (first - self.fed_from) as usize;
        self.fed.iter_mut().for_each(|seat| seat.truncate(kept));
        self.fed_rosters.truncate(kept);
        self.frame = first;
    }

    fn feed(&mut self, exchange: &mut Exchange) {
        let room_end = self.open().min(self.frame) + MAX_FED_FRAMES;
        for (number, seat) in self.fed.iter_mut().enumerate() {
            let end = self.fed_from + seat.len() as u32;
            let room = room_end.saturating_sub(end) as usize;
            seat.extend(exchange.inputs_from(number, end).take(room));
        }
        let end = exchange.roster_end(self.ahead).min(room_end);
        for frame in self.fed_from + self.fed_rosters.len() as u32..end {
            self.fed_rosters.push_back(self.roster_at(frame));
        }
        self.final_end = exchange.exposed();
        exchange.forget_old(self.frame);
    }

    fn roster_at(&self, frame: u32) -> u64 {
        let term = self.terms.iter().rev().find(|term| term.first <= frame);
        term.expect("the line-up begins at frame 0").roster
    }

    /// The oldest frame for which ggrs does not have everything.
    fn open(&self) -> u32 {
        let seats = self.fed.iter().map(VecDeque::len);
        self.fed_from + seats.chain([self.fed_rosters.len()]).min().unwrap_or(0) as u32
    }

    /// Writes down the frames that can no longer be taken back, and compares them with those of the
    /// other machines, and with what the exchange says of them now.
    pub(super) fn expose(&mut self, exchange: &Exchange, log: &mut Log) {
        let end = self.open().min(exchange.exposed()).min(self.frame);
        for frame in self.exposed..end {
            let at = (frame - self.fed_from) as usize;
            let inputs = Vec::from_iter(self.fed.iter().map(|seat| seat[at]));
            let exposed = Exposed { inputs: hash(&inputs), roster: self.fed_rosters[at] };
            assert_eq!(exposed.roster, self.roster_at(frame), "frame {frame} has an old roster");
            match log.get(frame as usize) {
                Some(known) => assert_eq!(exposed, *known, "another frame {frame}: {inputs:?}"),
                None => {
                    assert_eq!(log.len(), frame as usize, "frames are exposed in order");
                    log.push(exposed);
                }
            }
        }
        self.exposed = self.exposed.max(end);
        let compared = if self.has_new_roster { COMPARED_AT_CHANGES } else { COMPARED };
        self.has_new_roster = false;
        for frame in self.exposed.saturating_sub(compared)..self.exposed {
            let inputs = hash(&exchange.inputs_at(frame));
            assert_eq!(inputs, log[frame as usize].inputs, "the exposed frame {frame} changed");
        }
        self.forget();
    }

    /// Forgets what nobody asks for any more.
    fn forget(&mut self) {
        let old = (self.exposed.min(self.frame) - self.fed_from) as usize;
        self.fed.iter_mut().for_each(|seat| drop(seat.drain(..old)));
        self.fed_rosters.drain(..old);
        self.fed_from += old as u32;
        while self.terms.len() > 1 && self.terms[1].first <= self.exposed.min(self.frame) {
            self.terms.remove(0);
        }
    }

    /// The number of frames that are kept.
    pub(super) fn kept(&self) -> usize {
        self.fed.iter().map(VecDeque::len).max().unwrap_or(0)
    }
}
