//! The bad things that happen to the machines of a match, and a plan of them for each seed.

use std::time::Duration;

use super::{
    machine::Status,
    network::{ALL, Bits, Cut},
    trial::{BEGIN, Trial},
};
use crate::random;

/// Something bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The process ends. The others see its channels close after this time, if at all.
    Kill { machine: usize, closes_after: Option<Duration> },
    /// The player leaves the room.
    Leave { machine: usize },
    /// The player goes back to the lobby.
    Finish { machine: usize },
    /// Nothing reaches the machine, and nothing that it sends arrives.
    Unplug { machine: usize, time: Duration },
    /// Nothing that the machine sends arrives.
    Mute { machine: usize, time: Duration },
    /// Nothing reaches the machine.
    Deafen { machine: usize, time: Duration },
    /// The process stands still.
    Pause { machine: usize, time: Duration },
    /// These machines and the others do not reach each other.
    Split { part: Bits, time: Duration },
    /// Two machines do not reach each other.
    Part { one: usize, other: usize, time: Duration },
    /// The network loses and doubles more.
    Storm { loss_percent: u64 },
}

impl Event {
    /// How long it lasts.
    pub(super) fn time(self) -> Duration {
        match self {
            Self::Unplug { time, .. }
            | Self::Mute { time, .. }
            | Self::Deafen { time, .. }
            | Self::Pause { time, .. }
            | Self::Split { time, .. }
            | Self::Part { time, .. } => time,
            Self::Storm { .. } => Duration::from_millis(1500),
            Self::Kill { .. } | Self::Leave { .. } | Self::Finish { .. } => Duration::ZERO,
        }
    }
}

impl Trial {
    pub(super) fn happen(&mut self, event: Event) {
        let one = |machine: usize| -> Bits { 1 << machine };
        let is_playing = |machine: usize| self.machines[machine].is_playing();
        let cut = |from: Bits, to: Bits, time: Duration| {
            self.network.cut(Cut { from, to, until: self.now + time });
        };
        match event {
            Event::Kill { machine, closes_after } if is_playing(machine) => {
                self.machines[machine].status = Status::Crashed;
                self.network.crash(machine);
                if let Some(after) = closes_after {
                    self.network.close(machine, self.now + after);
                }
            }
            Event::Leave { machine } if is_playing(machine) => {
                self.machines[machine].leave(self.now);
                self.close_soon(machine);
            }
            Event::Finish { machine } if is_playing(machine) => {
                self.machines[machine].finish(self.now);
            }
            Event::Kill { .. } | Event::Leave { .. } | Event::Finish { .. } => {}
            Event::Unplug { machine, time } => {
                cut(one(machine), ALL, time);
                cut(ALL, one(machine), time);
            }
            Event::Mute { machine, time } => cut(one(machine), ALL, time),
            Event::Deafen { machine, time } => cut(ALL, one(machine), time),
            Event::Pause { machine, time } => self.machines[machine].next = self.now + time,
            Event::Split { part, time } => {
                cut(part, !part, time);
                cut(!part, part, time);
            }
            Event::Part { one: a, other: b, time } => {
                cut(one(a), one(b), time);
                cut(one(b), one(a), time);
            }
            Event::Storm { loss_percent } => self.network.set_loss(loss_percent, 5),
        }
    }
}

/// A random number of milliseconds.
pub(super) fn ms(seed: &mut u64, from: u64, to: u64) -> Duration {
    Duration::from_millis(from + random::next(seed) % (to - from))
}

/// What happens in a match of `count` machines.
pub(super) fn plan(seed: u64, count: usize) -> Vec<(Duration, Event)> {
    let mut seed = seed.wrapping_mul(0x9e37_79b9).wrapping_add(1);
    let mut at = BEGIN + ms(&mut seed, 200, 900);
    let number = 1 + random::next(&mut seed) % 4;
    let event = |_| {
        let begin = at;
        // Often during the change before.
        at += match random::next(&mut seed) % 3 {
            0 => ms(&mut seed, 0, 150),
            1 => ms(&mut seed, 150, 800),
            _ => ms(&mut seed, 800, 2000),
        };
        (begin, any_event(&mut seed, count))
    };
    (0..number).map(event).collect()
}

pub(super) fn any_event(seed: &mut u64, count: usize) -> Event {
    let machine = random::next(seed) as usize % count;
    let other = (machine + 1 + random::next(seed) as usize % (count - 1)) % count;
    let time = match random::next(seed) % 12 {
        0..=4 => ms(seed, 50, 700),
        5..=10 => ms(seed, 700, 2500),
        // Longer than a seat is kept.
        _ => ms(seed, 4000, 5500),
    };
    match random::next(seed) % 16 {
        0 | 1 => {
            let closes_after = [None, Some(ms(seed, 100, 3000))][random::next(seed) as usize % 2];
            Event::Kill { machine, closes_after }
        }
        2 | 3 => Event::Leave { machine },
        4 => Event::Finish { machine },
        5 | 6 => Event::Unplug { machine, time },
        7 => Event::Mute { machine, time },
        8 => Event::Deafen { machine, time },
        9 | 10 => Event::Pause { machine, time },
        11 | 12 => Event::Split { part: random::next(seed) as Bits, time },
        13 | 14 => Event::Part { one: machine, other, time },
        _ => Event::Storm { loss_percent: random::next(seed) % 30 },
    }
}
