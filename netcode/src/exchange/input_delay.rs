//! How long our inputs wait before they are used: fixed, or as long as the other peers need to get
//! most of them in time. Pure.

use std::{collections::VecDeque, time::Duration};

use super::Predicted;
use crate::config::InputDelay;

/// Most of the time, a peer should predict at most this many frames of our inputs: rollbacks this
/// short are hardly seen.
const TARGET_FRAMES: u32 = 2;
/// The share of the samples that "most of the time" means for the delay to grow, and for it to
/// shrink: the gap between the two keeps the delay from going back and forth.
const GROW_PERCENTILE: f32 = 0.95;
const SHRINK_PERCENTILE: f32 = 0.99;
/// Changes of the delay are at least this far apart.
const INTERVAL: Duration = Duration::from_secs(1);
/// This many intervals are remembered. A delay that proved too short is not tried again for as
/// long.
const REMEMBERED: usize = 8;
/// Fewer samples than this prove nothing: half a second of one peer.
const MIN_SAMPLES: u32 = 15;
/// A change of the delay waits no longer than this for a seat whose input changes all the time (a
/// stick). One frame more or less of what changes anyway is not noticed.
const HELD_WITHIN: Duration = Duration::from_secs(3);

/// One seat of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SeatDelay {
    seat: usize,
    setting: InputDelay,
    frames: u8,
}

/// The delays of the seats of this machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delays {
    seats: Vec<SeatDelay>,
    /// What would have been predicted without a delay, newest interval last.
    needs: VecDeque<Predicted>,
    decide_at: Duration,
    /// The delay that adaptive seats should have.
    needed: u32,
    /// If a change waits for the inputs to be held: until when it waits.
    pending: Option<Duration>,
}

impl Delays {
    /// All of these seats begin with the same delay: `guess`, as far as the setting allows.
    pub(crate) fn new(seats: impl Iterator<Item = usize>, setting: InputDelay, guess: u32) -> Self {
        let frames = setting.nearest(guess);
        let seats = seats.map(|seat| SeatDelay { seat, setting, frames }).collect();
        Self { seats, needed: guess, ..Self::default() }
    }

    /// The delay that a match begins with, if the inputs of the other peers take `one_way_frames`.
    pub(crate) fn guess(one_way_frames: f32) -> u32 {
        (one_way_frames.ceil().max(0.0) as u32).saturating_sub(TARGET_FRAMES)
    }

    /// Takes the samples since the last call, and decides once a second what to do.
    pub(crate) fn observe(&mut self, now: Duration, predicted: &Predicted) {
        let shortest = self.seats.iter().map(|seat| seat.frames).min().unwrap_or(0);
        if self.needs.is_empty() || now >= self.decide_at {
            if !self.needs.is_empty() {
                self.decide(now);
            }
            if self.needs.len() == REMEMBERED {
                self.needs.pop_front();
            }
            self.needs.push_back(Predicted::default());
            self.decide_at = now + INTERVAL;
        }
        if let Some(newest) = self.needs.back_mut() {
            newest.add(predicted, u32::from(shortest));
        }
    }

    fn decide(&mut self, now: Duration) {
        let is_adaptive = |seat: &&SeatDelay| matches!(seat.setting, InputDelay::Adaptive { .. });
        let Some(delay) = self.seats.iter().filter(is_adaptive).map(|seat| seat.frames).min()
        else {
            return;
        };
        let Some(&newest) = self.needs.back() else { return };
        if newest.total() < MIN_SAMPLES {
            return;
        }
        let delay = u32::from(delay);
        let mut all = Predicted::default();
        self.needs.iter().for_each(|need| all.add(need, 0));
        let grown = newest.percentile(GROW_PERCENTILE).saturating_sub(TARGET_FRAMES);
        let shrunk = all.percentile(SHRINK_PERCENTILE).saturating_sub(TARGET_FRAMES);
        let needed = if grown > delay {
            grown
        } else if shrunk < delay && self.needs.len() == REMEMBERED {
            delay - 1
        } else {
            delay
        };
        if needed != self.needed {
            self.needed = needed;
            self.pending = Some(now + HELD_WITHIN);
        }
    }

    /// Changes the delays with this frame, if that is due. `are_held` means that no seat's input
    /// differs from the frame before: then nothing is lost when the frame is left out, and nothing
    /// is done twice when it is repeated.
    pub(crate) fn change(&mut self, now: Duration, are_held: bool) {
        if self.pending.is_none_or(|until| !are_held && now < until) {
            return;
        }
        let mut has_changed = false;
        for seat in &mut self.seats {
            let frames = seat.setting.nearest(self.needed);
            if frames != seat.frames {
                // One input is dropped for each frame that a delay shrinks by: each of them must be
                // held.
                seat.frames = if frames < seat.frames { seat.frames - 1 } else { frames };
                has_changed = true;
            }
        }
        let is_done =
            self.seats.iter().all(|seat| seat.frames == seat.setting.nearest(self.needed));
        self.pending = self.pending.filter(|_| !is_done);
        if has_changed {
            // Samples from before a change say little about now.
            self.decide_at = now + INTERVAL;
            if let Some(newest) = self.needs.back_mut() {
                *newest = Predicted::default();
            }
        }
    }

    /// Sets how one seat is delayed from now on.
    pub(crate) fn set(&mut self, now: Duration, seat: usize, setting: InputDelay) {
        let Some(seat) = self.seats.iter_mut().find(|other| other.seat == seat) else { return };
        seat.setting = setting;
        self.pending = Some(now + HELD_WITHIN);
    }

    /// The delay of one seat.
    pub(crate) fn of(&self, seat: usize) -> u8 {
        self.seats.iter().find(|other| other.seat == seat).map_or(0, |seat| seat.frames)
    }

    /// The longest delay of a seat here.
    pub(crate) fn longest(&self) -> u8 {
        self.seats.iter().map(|seat| seat.frames).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADAPTIVE: InputDelay = InputDelay::Adaptive { min: 1, max: 6 };

    /// Plays `seconds` in which inputs take `latency(frame)` frames, with held inputs. Returns the
    /// delay after each second.
    fn play(delays: &mut Delays, seconds: u64, latency: impl Fn(u64) -> u32) -> Vec<u8> {
        let mut after = Vec::new();
        for second in 0..seconds {
            for frame in 0..60 {
                let now = Duration::from_millis(second * 1000 + frame * 1000 / 60);
                let mut predicted = Predicted::default();
                let delay = u32::from(delays.longest());
                predicted.count(latency(second * 60 + frame).saturating_sub(delay));
                delays.observe(now, &predicted);
                delays.change(now, true);
            }
            after.push(delays.longest());
        }
        after
    }

    fn delays(setting: InputDelay, guess: u32) -> Delays {
        Delays::new([0].into_iter(), setting, guess)
    }

    #[test]
    fn the_delay_grows_at_once_to_what_is_needed_and_no_more() {
        let after = play(&mut delays(ADAPTIVE, 0), 30, |_| 6);
        assert_eq!((after[2], after[29]), (4, 4), "{after:?}");
        assert!(after.is_sorted(), "{after:?}");
    }

    #[test]
    fn the_delay_shrinks_frame_by_frame_when_the_link_gets_better() {
        let after = play(&mut delays(ADAPTIVE, 5), 60, |_| 4);
        assert_eq!(after[59], 2, "{after:?}");
        assert!(after.windows(2).all(|two| two[0] - two[1] <= 1), "{after:?}");
    }

    #[test]
    fn a_link_at_the_border_does_not_make_the_delay_go_back_and_forth() {
        // Every thirtieth input takes two frames longer: 3 % are not worth a longer delay, and keep
        // a shorter one away.
        let after = play(&mut delays(ADAPTIVE, 3), 120, |frame| 5 - 2 * u32::from(frame % 30 != 0));
        assert!(after[10..].windows(2).all(|two| two[0] == two[1]), "{after:?}");
    }

    #[test]
    fn the_delay_stays_within_its_limits() {
        assert_eq!(play(&mut delays(ADAPTIVE, 60), 5, |_| 60).last(), Some(&6));
        assert_eq!(play(&mut delays(ADAPTIVE, 0), 20, |_| 0).last(), Some(&1));
        assert_eq!(play(&mut delays(InputDelay::Fixed(3), 0), 20, |_| 30).last(), Some(&3));
    }

    #[test]
    fn a_change_waits_for_a_held_input_but_not_for_ever() {
        let mut delays = delays(ADAPTIVE, 0);
        let at = Duration::from_millis;
        for ms in (0..1500).step_by(16) {
            let mut predicted = Predicted::default();
            predicted.count(5);
            delays.observe(at(ms), &predicted);
        }
        let mut delay_after = |ms, are_held| {
            delays.change(at(ms), are_held);
            delays.longest()
        };
        assert_eq!([delay_after(1500, false), delay_after(1600, true)], [1, 4]);
        delays.set(at(2000), 0, InputDelay::Fixed(1));
        delays.change(at(4900), false);
        assert_eq!(delays.longest(), 4);
        delays.change(at(5000), false);
        assert_eq!(delays.longest(), 3);
    }

    #[test]
    fn each_seat_has_its_own_delay() {
        let mut delays = Delays::new([0, 2].into_iter(), ADAPTIVE, 3);
        delays.set(Duration::ZERO, 2, InputDelay::Fixed(5));
        delays.change(Duration::ZERO, true);
        assert_eq!([0, 1, 2].map(|seat| delays.of(seat)), [3, 0, 5]);
    }
}
