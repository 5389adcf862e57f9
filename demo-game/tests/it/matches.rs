//! Whole matches: they end, others can follow, and nothing of one is left in the next.

use demo_game::sim::tuning::{
    COUNTDOWN_FRAMES, MAX_ROUNDS, ROUND_OVER_FRAMES, ROUNDS_TO_WIN, SUDDEN_DEATH_FRAMES,
};
use demo_game::sim::{Phase, SimEffect};
use netcode::prelude::{FinishMatch, SessionState};

use crate::playground::Playground;

/// The longest round: the countdown, the fight until the star has filled the arena, the pause.
const LONGEST_ROUND: u32 = COUNTDOWN_FRAMES + SUDDEN_DEATH_FRAMES + 23 * 60 + ROUND_OVER_FRAMES;

#[test]
fn a_match_of_bots_ends_with_a_winner() {
    for seats in 2..=4 {
        let mut playground = Playground::bots(seats, 7);
        let limit = u32::from(MAX_ROUNDS) * LONGEST_ROUND;
        playground.until("the match is over", limit, |playground| playground.state().is_finished());
        let state = playground.state();
        let Phase::MatchOver { winner: Some(winner) } = state.phase else {
            panic!("no winner: {state:?}")
        };
        assert_eq!(state.scores[usize::from(winner)], ROUNDS_TO_WIN);
        let exploded =
            |effect: &&(u32, SimEffect)| matches!(effect.1, SimEffect::ShipExploded { .. });
        let lost = playground.effects.iter().filter(exploded).count();
        assert!(lost >= usize::from(ROUNDS_TO_WIN), "every round costs a ship: {lost}");
    }
}

#[test]
fn a_match_without_any_input_ends_too() {
    let mut playground = Playground::idle(4, 3);
    let limit = u32::from(MAX_ROUNDS) * LONGEST_ROUND;
    playground.until("the match is over", limit, |playground| playground.state().is_finished());
}

#[test]
fn bots_fight_rather_than_fall_into_the_star() {
    let mut playground = Playground::bots(4, 99);
    playground.updates(60 * 60);
    let count = |wanted: fn(&SimEffect) -> bool| {
        playground.effects.iter().filter(|(_, effect)| wanted(effect)).count()
    };
    let fired = count(|effect| matches!(effect, SimEffect::Fired { .. }));
    let shields = count(|effect| matches!(effect, SimEffect::ShieldLost { .. }));
    let split = count(|effect| matches!(effect, SimEffect::AsteroidSplit { .. }));
    let dashed = count(|effect| matches!(effect, SimEffect::Dashed { .. }));
    assert!(
        fired > 100 && shields > 5 && split > 10 && dashed > 3,
        "{fired} {shields} {split} {dashed}"
    );
}

#[test]
fn the_next_match_keeps_nothing_of_the_last() {
    let alone = {
        let mut playground = Playground::bots(3, 5);
        playground.updates(900);
        playground.checksums()
    };
    let mut playground = Playground::bots(4, 1);
    playground.updates(700);
    assert!(!playground.entities().is_empty());
    playground.app.world_mut().write_message(FinishMatch);
    playground.updates(3);
    assert_eq!(*playground.app.world().resource::<SessionState>(), SessionState::Offline);
    assert!(!playground.entities().is_empty(), "the final state stays, to be shown");

    playground.start(3, 5, None);
    playground.updates(900);
    let again = playground.checksums();
    // The number of frames in an update may differ by one; their content may not.
    let common = alone.len().min(again.len());
    assert!(common >= 29);
    assert_eq!(again[..common], alone[..common], "a second match is like a first one");
}
