//! The rosters of a match, each from its first frame on. Pure.
//!
//! A change of the roster is data at a frame, as an input is: a frame that is simulated again has
//! the roster that it had before, unless the change itself is the news.

use std::collections::VecDeque;

use thiserror::Error;

use crate::membership::Roster;

/// Why a roster cannot begin at a frame. The caller is wrong: all machines agree on a change before
/// any of them makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum RosterFault {
    /// No frame before this one may change any more.
    #[error("the rosters of the frames before {0} are final")]
    Final(u32),
    /// The last roster begins at this frame, so the next one cannot begin before.
    #[error("the last roster begins at frame {0}, and the next one before it")]
    NotAfter(u32),
    /// The match has this number of seats, from its first frame to its last.
    #[error("the match has {0} seats, and the roster another number")]
    Seats(usize),
}

/// The rosters of a match. They are numbered: that of the line-up, with which the match begins, is
/// number 0.
#[derive(Debug)]
pub(super) struct Rosters {
    /// The oldest roster that is still known.
    oldest: Term,
    /// Those after it, in order.
    later: VecDeque<Term>,
    /// The rosters of all frames before this one are final.
    final_end: u32,
}

/// A roster, from its first frame to that of the next one.
#[derive(Debug)]
struct Term {
    first: u32,
    number: u32,
    roster: Roster,
    /// The last roster before it with which frames were simulated; `None` for the line-up.
    seen: Option<Roster>,
    /// The frames before `first` that were not simulated, because the match was paused.
    paused: u32,
}

impl Term {
    fn is_paused(&self) -> bool {
        self.roster.pause().is_some()
    }

    /// The frames before `frame`, which has this roster, that were not simulated.
    fn paused_before(&self, frame: u32) -> u32 {
        self.paused + if self.is_paused() { frame - self.first } else { 0 }
    }
}

impl Rosters {
    /// The rosters of a match that begins with this one.
    pub(super) fn new(line_up: Roster) -> Self {
        let oldest = Term { first: 0, number: 0, roster: line_up, seen: None, paused: 0 };
        Self { oldest, later: VecDeque::new(), final_end: 0 }
    }

    /// From the frame `first` on, the match has this roster.
    ///
    /// # Errors
    ///
    /// If the roster of that frame is final, if it is before the last change, or if the roster has
    /// not the seats of the match. Then nothing changes.
    pub(super) fn change(&mut self, first: u32, roster: Roster) -> Result<(), RosterFault> {
        let last = self.later.back().unwrap_or(&self.oldest);
        let seats = last.roster.seats().len();
        if first < self.final_end {
            return Err(RosterFault::Final(self.final_end));
        }
        if first < last.first {
            return Err(RosterFault::NotAfter(last.first));
        }
        if roster.seats().len() != seats {
            return Err(RosterFault::Seats(seats));
        }
        let number = last.number + 1;
        // Two changes may begin at the same frame, if machines are lost one soon after the other.
        self.later.pop_back_if(|last| last.first == first);
        let last = self.later.back().unwrap_or(&self.oldest);
        let seen = if last.is_paused() { last.seen.clone() } else { Some(last.roster.clone()) };
        let paused = last.paused_before(first);
        self.later.push_back(Term { first, number, roster, seen, paused });
        Ok(())
    }

    /// No roster begins before the frame `end` any more, other than those that are known.
    pub(super) fn make_final(&mut self, end: u32) {
        self.final_end = self.final_end.max(end);
    }

    /// Forgets what nobody asks for if no frame before `frame` is simulated any more. The roster of
    /// the frame just before it stays known, as it shows what changes in `frame`.
    pub(super) fn forget_before(&mut self, frame: u32) {
        while let Some(next) = self.later.pop_front_if(|next| next.first < frame) {
            self.oldest = next;
        }
    }

    /// The roster of a frame.
    pub(super) fn at(&self, frame: u32) -> &Roster {
        &self.term_at(frame).roster
    }

    /// The number of the roster of a frame.
    pub(super) fn number_at(&self, frame: u32) -> u32 {
        self.term_at(frame).number
    }

    /// If a roster begins at `frame`, and the match is not paused then: the roster of the last
    /// frame that was simulated before, and itself.
    pub(super) fn change_at(&self, frame: u32) -> Option<(&Roster, &Roster)> {
        let now = self.later.iter().find(|term| term.first == frame && !term.is_paused())?;
        Some((now.seen.as_ref()?, &now.roster))
    }

    /// Whether the match stands still in a frame.
    pub(super) fn is_paused_at(&self, frame: u32) -> bool {
        self.term_at(frame).is_paused()
    }

    /// The number of frames before this one that were simulated.
    pub(super) fn simulated_before(&self, frame: u32) -> u32 {
        frame - self.term_at(frame).paused_before(frame)
    }

    fn term_at(&self, frame: u32) -> &Term {
        self.later.iter().rev().find(|term| term.first <= frame).unwrap_or(&self.oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A roster of two seats that its names tell apart.
    fn roster(name: &str) -> Roster {
        Roster::local(&[name.into(), "Bob".into()])
    }

    fn name(roster: &Roster) -> &str {
        &roster.seats()[0].name
    }

    fn known(rosters: &Rosters, frames: &[u32]) -> Vec<(u32, String)> {
        let at = |&frame: &u32| (rosters.number_at(frame), name(rosters.at(frame)).to_owned());
        frames.iter().map(at).collect()
    }

    fn expected(all: &[(u32, &str)]) -> Vec<(u32, String)> {
        all.iter().map(|&(number, name)| (number, name.to_owned())).collect()
    }

    /// The line-up, and changes at the frames 5, 6 and 20.
    fn changed() -> Rosters {
        let mut rosters = Rosters::new(roster("line-up"));
        for (first, name) in [(5, "five"), (6, "six"), (20, "twenty")] {
            assert_eq!(rosters.change(first, roster(name)), Ok(()));
        }
        rosters
    }

    #[test]
    fn each_frame_has_the_roster_that_began_last() {
        let rosters = Rosters::new(roster("line-up"));
        assert_eq!(known(&rosters, &[0, u32::MAX]), expected(&[(0, "line-up"); 2]));
        let rosters = changed();
        let all = [(0, "line-up"), (0, "line-up"), (1, "five"), (2, "six"), (2, "six")];
        assert_eq!(known(&rosters, &[0, 4, 5, 6, 19]), expected(&all));
        assert_eq!(known(&rosters, &[20, u32::MAX]), expected(&[(3, "twenty"); 2]));
    }

    #[test]
    fn a_change_shows_in_its_first_frame_alone() {
        let rosters = changed();
        let names = |frame| rosters.change_at(frame).map(|(old, new)| (name(old), name(new)));
        assert_eq!([0, 4, 7, 19, 21, u32::MAX].map(names), [None; 6]);
        assert_eq!(names(5), Some(("line-up", "five")));
        assert_eq!(names(6), Some(("five", "six")));
        assert_eq!(names(20), Some(("six", "twenty")));
    }

    #[test]
    fn a_roster_never_begins_before_the_last_one_or_in_a_final_frame() {
        let mut rosters = Rosters::new(roster("line-up"));
        rosters.make_final(10);
        rosters.make_final(3);
        assert_eq!(rosters.change(9, roster("nine")), Err(RosterFault::Final(10)));
        assert_eq!(rosters.change(10, roster("ten")), Ok(()));
        assert!(rosters.change(9, roster("again")).is_err());
        assert_eq!(rosters.change(11, Roster::default()), Err(RosterFault::Seats(2)));
        assert_eq!(
            known(&rosters, &[9, 10, 11]),
            expected(&[(0, "line-up"), (1, "ten"), (1, "ten")])
        );
        assert_eq!(rosters.change(11, roster("eleven")), Ok(()));
        assert_eq!(rosters.number_at(11), 2);
        assert_eq!(rosters.change(10, roster("late")), Err(RosterFault::NotAfter(11)));
    }

    #[test]
    fn of_two_changes_at_a_frame_the_last_one_stays() {
        let mut rosters = Rosters::new(roster("line-up"));
        for first in [0, 7] {
            for name in ["one", "other"] {
                assert_eq!(rosters.change(first, roster(name)), Ok(()));
            }
        }
        assert_eq!(
            known(&rosters, &[0, 6, 7]),
            expected(&[(2, "other"), (2, "other"), (4, "other")])
        );
        let names = |frame| rosters.change_at(frame).map(|(old, new)| (name(old), name(new)));
        assert_eq!([0, 7].map(names), [Some(("line-up", "other")), Some(("other", "other"))]);
    }

    #[test]
    fn what_may_still_be_simulated_is_never_forgotten() {
        for oldest in [0, 4, 5, 6, 7, 19, 20, 21, 100] {
            let (all, mut rosters) = (changed(), changed());
            rosters.forget_before(oldest);
            for frame in oldest..oldest + 30 {
                assert_eq!(known(&rosters, &[frame]), known(&all, &[frame]), "{oldest}, {frame}");
                assert_eq!(rosters.change_at(frame), all.change_at(frame), "{oldest}, {frame}");
            }
            let before = oldest.saturating_sub(1);
            assert_eq!(known(&rosters, &[before]), known(&all, &[before]), "{oldest}");
        }
        let mut rosters = changed();
        rosters.forget_before(21);
        assert!(rosters.later.is_empty());
        assert_eq!(rosters.change(21, roster("next")), Ok(()));
        assert_eq!(rosters.number_at(21), 4, "the count goes on");
    }
}
