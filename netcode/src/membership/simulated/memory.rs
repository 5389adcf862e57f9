//! A long match in which machines drop out, come back and leave, again and again.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    events::{Event, any_event},
    machine::Machine,
    trial::{Outcome, Trial},
};
use crate::random;

const MACHINES: usize = 8;
const EVENTS: u32 = 40;
/// 40 of these are half an hour, without the time that is waited for machines to be back.
const APART: Duration = Duration::from_secs(43);
/// Long enough that a machine is put away, and shorter than its seat is kept.
const LOST_FOR: RangeInclusive<Duration> = Duration::from_millis(900)..=Duration::from_secs(3);
/// The most that these may grow from the first quarter of the match to the last.
const MAX_GROWTH: usize = 2;

/// Most machines are put away, and get their seats back.
const MIN_EPOCHS: usize = 40;

/// What a machine keeps.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    /// Bytes of inputs.
    inputs: usize,
    /// Frames that the session may go back to.
    frames: usize,
    /// Values of the agreement.
    values: usize,
}

fn kept(machines: &[Machine]) -> Kept {
    let playing = || machines.iter().filter(|it| it.is_playing());
    let inputs = playing().filter_map(|it| it.exchange.with(|exchange| exchange.kept_bytes()));
    let values = playing().filter_map(Machine::change).map(|change| {
        let shown = format!("{:?}", change.agreement());
        shown.matches("parent: ").count()
    });
    Kept {
        inputs: inputs.max().unwrap_or(0),
        frames: playing().map(|it| it.game.kept()).max().unwrap_or(0),
        values: values.max().unwrap_or(0),
    }
}

/// Something after which the machine may come back, or, every tenth time, may not.
fn next_event(seed: &mut u64, number: u32) -> Event {
    loop {
        let event = any_event(seed, MACHINES);
        let is_final = event.time() == Duration::ZERO;
        let is_fit = is_final || LOST_FOR.contains(&event.time());
        let is_split = matches!(event, Event::Split { .. } | Event::Storm { .. });
        if is_final == (number % 10 == 9) && is_fit && !is_split {
            return event;
        }
    }
}

fn play(mut seed: u64) {
    let mut trial = Trial::new(seed, MACHINES);
    let mut samples = Vec::new();
    for number in 0..EVENTS {
        trial.run_until(trial.now + APART);
        let event = next_event(&mut seed, number);
        trial.happen(event);
        trial.run_until(trial.now + event.time());
        let outcome = trial.settle();
        assert!(matches!(outcome, Outcome::GoesOn(_)), "{number}, {event:?}: {outcome:?}");
        samples.push(kept(&trial.machines));
        random::next(&mut seed);
    }
    let most = |samples: &[Kept], what: fn(&Kept) -> usize| samples.iter().map(what).max();
    let (first, last) = (&samples[..10], &samples[30..]);
    for what in [|it: &Kept| it.inputs, |it: &Kept| it.frames] {
        let (before, after) = (most(first, what).unwrap_or(0), most(last, what).unwrap_or(0));
        assert!(after <= MAX_GROWTH * before, "{before} became {after}: {samples:#?}");
    }
    let epochs = trial.epochs.len();
    assert!(epochs > MIN_EPOCHS, "only {epochs} epochs");
    // The newest decided values are kept, and some that are being decided.
    assert!(most(&samples, |it| it.values).unwrap_or(0) < 80, "{samples:#?}");
}

#[test]
#[ignore = "a minute"]
fn half_an_hour_of_losses_and_returns_takes_no_more_memory() {
    play(1);
}
