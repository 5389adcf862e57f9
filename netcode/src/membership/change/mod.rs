//! Agreement on a change of the roster of a running match. Pure: messages, inputs and time in,
//! messages out. `changing` connects it to the match.
//!
//! The files stand in reading order: who decides (`voters`), what is decided (`value`), what is
//! said (`message`), what is needed of the exchange (`inputs`), each machine's part (`agreement`,
//! `wishes`, `acceptor`, `learner` and `filling`), that of a leader (`leader`), and when things
//! happen (`allowances`, `listening`, `schedule`). Of the tests, `search` tries everything that can
//! happen to a few machines, `cases` lets one thing go wrong at each moment of a change, and
//! `walks` does a little of everything to many machines.
//!
//! # The protocol
//!
//! It is the flush of virtual synchrony (Birman and Joseph, 1987), and then one decision of Paxos
//! (Lamport, 1998) for each epoch, among the machines that held a seat in the epoch before.
//!
//! A frame is *exposed* on a machine once more than half of the voters are known to have the inputs
//! of every seat for it. Nobody ever takes it back.
//!
//! 1. A leader asks all voters to *promise* its ballot. A machine that promises takes part in no
//!    lower ballot, exposes nothing more, and acknowledges no more inputs of the machines that may
//!    leave: it *holds*. It says what it has accepted, exposed and received. A hold ends only with
//!    the next epoch, since a value that depends on it may have been accepted unseen.
//! 2. The leader needs the promises of a *quorum*, and of every machine that does not leave. It
//!    *adopts* the value of the highest ballot that may have been decided already. If there is
//!    none, it cuts at the last frame for which the promises show the inputs of all leavers: any
//!    majority that made a frame exposed has a machine in common with the quorum, and none
//!    acknowledged more since. So no machine, the leavers included, has exposed more. If nobody
//!    gives the inputs that somebody claims to have, it cuts at the last frame that may be exposed.
//! 3. A machine *accepts* once it has all inputs before the cut, which any machine that has them
//!    sends to it, and tells all. What a quorum accepted in one ballot is decided, and each machine
//!    installs it as soon as it has the inputs. A machine that installed an epoch repeats it to the
//!    others, and counts as accepting it in every ballot.
//! 4. A machine that says *goodbye* never says anything else. So its goodbye is a promise to every
//!    ballot from its own on, and it is left out of the count. Two quorums that know of different
//!    goodbyes still meet: a quorum has no machine in it whose goodbye another one counted, unless
//!    that goodbye shows the higher ballot, and then does not count in the lower one.
//! 5. If all suspected machines come back, an epoch with the same roster ends the hold.
//!
//! No machine is believed about a third one. A machine promises to put another one away only if it
//! misses that machine itself, and accepts it only if it misses or missed it in this epoch, or if a
//! further machine has accepted it; and what one machine alone claims to have accepted is adopted
//! only where it can have been decided. Machines that lie about themselves can cost time. Where two
//! quorums may have one machine in common, and that one lies to both, it can split those that do
//! not reach each other; and a machine that reaches only the one that lies believes what it says
//! of the others, as they may have decided it.
//!
//! # What it cannot do
//!
//! A value that some machines accepted may have been decided, as only machines that are gone might
//! know. Then nothing else may be decided, though machines that it puts away may be back. If those
//! that are left of its own roster are no quorum of it, the match cannot go on: deciding it would
//! leave too few, and deciding anything else could give an epoch two successors. `Change::is_stuck`
//! says so. It takes at least two failures at once: a machine that was missed wrongly, and then
//! half of the others.

mod voters;
mod value;
mod message;
mod inputs;
mod agreement;
mod wishes;
mod acceptor;
mod learner;
mod filling;
mod leader;
mod allowances;
mod listening;
mod schedule;
#[cfg(test)]
mod prints;
#[cfg(test)]
mod search;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod walks;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod schedule_tests;

pub(crate) use agreement::{Presence, Step};
pub(crate) use inputs::MatchInputs;
pub(crate) use message::{Asked, Message};
#[cfg(test)]
pub(crate) use message::{Ballot, Body};
pub(crate) use schedule::{Change, Outlook};
pub(crate) use value::{Clock, Occupant, Value};
