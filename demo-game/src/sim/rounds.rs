//! How a match proceeds: countdown, fight, round over, next round; the first player to win five
//! rounds wins. Also the star, whose growth ends every round eventually.

use bevy::math::{Vec2, ops};
use bevy::prelude::{Commands, Entity, Query, Res, ResMut, With};
use netcode::prelude::{
    Effects, MatchEnd, MatchSeed, Ordered, Rollback, RollbackCommandsExt, Roster, SimFrame,
};

use super::arena::orbit_velocity;
use super::asteroids::spawn_field;
use super::components::{Heading, Position, Ship, Velocity};
use super::effects::SimEffect;
use super::match_state::{MatchState, Phase, Star};
use super::rng::SimRng;
use super::tuning::{
    COUNTDOWN_BEEP_FRAMES, COUNTDOWN_FRAMES, FPS, MAX_ROUNDS, MAX_SEATS, ROUND_OVER_FRAMES,
    ROUNDS_TO_WIN, STAR_GROWTH, STAR_RADIUS, START_ORBIT, SUDDEN_DEATH_FRAMES,
};

/// Sets up the first round of a match.
pub(super) fn set_up_match(
    mut commands: Commands,
    seed: Res<MatchSeed>,
    roster: Res<Roster>,
    mut state: ResMut<MatchState>,
    mut star: ResMut<Star>,
    mut rng: ResMut<SimRng>,
) {
    // A match of more seats than the game has ships cannot start: the session has the same maximum.
    let seats = roster.seats().len().min(MAX_SEATS) as u8;
    *state = MatchState::new(seats);
    *star = Star::default();
    *rng = SimRng::new(seed.0);
    spawn_round(&mut commands, &mut rng, seats);
}

/// Announces what begins in this frame: a beep of the countdown, go, sudden death.
pub(super) fn announce(state: Res<MatchState>, mut effects: ResMut<Effects<SimEffect>>) {
    if let Some(effect) = announcement(&state) {
        effects.emit(effect);
    }
}

/// Lets the star grow in sudden death.
pub(super) fn grow_star(state: Res<MatchState>, mut star: ResMut<Star>) {
    if state.is_fighting() {
        star.radius = star_radius(state.phase_frames);
    }
}

/// Ends the frame: decides the round, starts the next one, or ends the match.
pub(super) fn advance_match(
    mut commands: Commands,
    mut state: ResMut<MatchState>,
    mut star: ResMut<Star>,
    mut rng: ResMut<SimRng>,
    mut effects: ResMut<Effects<SimEffect>>,
    ships: Ordered<&'static Ship, With<Rollback>>,
    everything: Query<Entity, With<Rollback>>,
) {
    let alive: Vec<u8> = ships.iter().map(|ship| ship.seat).collect();
    advance(&mut state, &alive);
    match state.phase {
        _ if state.phase_frames > 0 => {}
        Phase::Countdown => {
            for entity in &everything {
                commands.entity(entity).despawn_rollback();
            }
            *star = Star::default();
            spawn_round(&mut commands, &mut rng, state.seats);
        }
        Phase::Fighting => {}
        Phase::RoundOver { winner } => effects.emit(SimEffect::RoundOver { winner }),
        Phase::MatchOver { winner } => effects.emit(SimEffect::MatchOver { winner }),
    }
}

/// Ends the session's match once players have seen who won.
pub(super) fn finish_match(
    state: Res<MatchState>,
    frame: Res<SimFrame>,
    mut end: ResMut<MatchEnd>,
) {
    if state.is_finished() {
        end.finish_when_confirmed(frame.0);
    }
}

/// Moves the match on by one frame, given the seats whose ships are left, in order.
fn advance(state: &mut MatchState, alive: &[u8]) {
    let next = match state.phase {
        Phase::Countdown if state.phase_frames + 1 >= COUNTDOWN_FRAMES => Some(Phase::Fighting),
        // A single player plays until its ship is lost; otherwise the last ship wins.
        Phase::Fighting if alive.len() <= usize::from(state.seats > 1) => {
            let winner = alive.first().copied();
            if let Some(score) = winner.and_then(|seat| state.scores.get_mut(usize::from(seat))) {
                *score += 1;
            }
            Some(Phase::RoundOver { winner })
        }
        Phase::RoundOver { .. } if state.phase_frames + 1 >= ROUND_OVER_FRAMES => {
            Some(if is_decided(state) {
                Phase::MatchOver { winner: leader(&state.scores) }
            } else {
                state.round += 1;
                Phase::Countdown
            })
        }
        _ => None,
    };
    if let Some(phase) = next {
        (state.phase, state.phase_frames) = (phase, 0);
    } else {
        state.phase_frames = state.phase_frames.saturating_add(1);
    }
}

/// Whether there is no next round: some seat has won enough rounds, or the match has had too many.
fn is_decided(state: &MatchState) -> bool {
    state.scores.iter().any(|&score| score >= ROUNDS_TO_WIN) || state.round >= MAX_ROUNDS
}

/// The seat with the most rounds won, unless another has the same number.
fn leader(scores: &[u8; MAX_SEATS]) -> Option<u8> {
    let best = scores.iter().copied().max().unwrap_or(0);
    let mut leaders = (0u8..).zip(scores).filter(|&(_, &score)| score == best);
    let (seat, _) = leaders.next()?;
    leaders.next().is_none().then_some(seat)
}

fn announcement(state: &MatchState) -> Option<SimEffect> {
    match state.phase {
        Phase::Countdown if state.phase_frames.is_multiple_of(COUNTDOWN_BEEP_FRAMES) => {
            let left = (COUNTDOWN_FRAMES - state.phase_frames) / COUNTDOWN_BEEP_FRAMES;
            Some(SimEffect::CountdownBeep { left: left as u8 })
        }
        Phase::Fighting if state.phase_frames == 0 => Some(SimEffect::CountdownBeep { left: 0 }),
        Phase::Fighting if state.phase_frames == SUDDEN_DEATH_FRAMES => {
            Some(SimEffect::SuddenDeath)
        }
        _ => None,
    }
}

/// The star's radius in a frame of the fight.
fn star_radius(fight_frames: u32) -> f32 {
    let seconds = fight_frames.saturating_sub(SUDDEN_DEATH_FRAMES) as f32 / f32::from(FPS);
    STAR_RADIUS + 0.5 * STAR_GROWTH * seconds * seconds
}

/// Puts the ships into orbit, evenly spaced from a random angle on, and the asteroids between them.
fn spawn_round(commands: &mut Commands, rng: &mut SimRng, seats: u8) {
    let first = rng.angle();
    let places: Vec<Vec2> = (0..seats).map(|seat| start_place(first, seat, seats)).collect();
    // Spawned seat by seat, because ships are iterated in the order of their ids.
    for (seat, &place) in (0..seats).zip(&places) {
        let velocity = orbit_velocity(place);
        let heading = Heading(ops::atan2(velocity.y, velocity.x));
        commands.spawn((Rollback, Ship::new(seat), Position(place), Velocity(velocity), heading));
    }
    spawn_field(commands, rng, &places);
}

fn start_place(first_angle: f32, seat: u8, seats: u8) -> Vec2 {
    let slice = std::f32::consts::TAU / f32::from(seats.max(1));
    let (sin, cos) = ops::sin_cos(first_angle + f32::from(seat) * slice);
    Vec2::new(cos, sin) * START_ORBIT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::tuning::{ARENA_HALF, MATCH_OVER_FRAMES};

    /// Plays rounds in which the ships of `left(round)` are left after one second.
    fn play(seats: u8, left: impl Fn(u16) -> Vec<u8>) -> MatchState {
        let mut state = MatchState::new(seats);
        let everybody: Vec<u8> = (0..seats).collect();
        for _ in 0..100_000 {
            let is_settled = !state.is_fighting() || state.phase_frames >= 60;
            let alive = if is_settled { left(state.round) } else { everybody.clone() };
            advance(&mut state, &alive);
            if state.is_finished() {
                return state;
            }
        }
        panic!("no end: {state:?}");
    }

    #[test]
    fn first_to_five_wins() {
        let state = play(3, |round| vec![(round % 3) as u8]);
        assert_eq!(state.scores, [4, 5, 4, 0]);
        assert_eq!(state.phase, Phase::MatchOver { winner: Some(1) });
        assert_eq!(state.round, 13);
    }

    #[test]
    fn a_drawn_round_scores_nothing_and_a_match_of_draws_ends() {
        let state = play(2, |round| if round == 3 { vec![1] } else { vec![] });
        assert_eq!((state.scores, state.round), ([0, 1, 0, 0], MAX_ROUNDS));
        assert_eq!(state.phase, Phase::MatchOver { winner: Some(1) });
        let all_draws = play(2, |_| vec![]);
        assert_eq!(all_draws.phase, Phase::MatchOver { winner: None });
    }

    #[test]
    fn a_single_player_plays_until_its_ship_is_lost() {
        let mut state = MatchState::new(1);
        for _ in 0..COUNTDOWN_FRAMES + 1000 {
            advance(&mut state, &[0]);
        }
        assert!(state.is_fighting());
        advance(&mut state, &[]);
        assert_eq!(state.phase, Phase::RoundOver { winner: None });
    }

    #[test]
    fn a_decided_match_is_shown_long_enough_to_see_who_won() {
        let state = play(2, |_| vec![0]);
        assert_eq!(state.phase_frames, MATCH_OVER_FRAMES);
        const { assert!(MATCH_OVER_FRAMES >= 3 * FPS as u32) };
    }

    #[test]
    fn three_beeps_then_go() {
        let mut state = MatchState::new(2);
        let mut beeps = Vec::new();
        for frame in 0..200 {
            if let Some(SimEffect::CountdownBeep { left }) = announcement(&state) {
                beeps.push((frame, left));
            }
            advance(&mut state, &[0, 1]);
        }
        assert_eq!(beeps, [(0, 3), (40, 2), (80, 1), (120, 0)]);
    }

    #[test]
    fn sudden_death_fills_the_arena() {
        assert_eq!(star_radius(0), STAR_RADIUS);
        assert_eq!(star_radius(SUDDEN_DEATH_FRAMES), STAR_RADIUS);
        assert!(star_radius(SUDDEN_DEATH_FRAMES + 22 * 60) > ARENA_HALF.length());
    }

    #[test]
    fn a_tie_has_no_leader() {
        assert_eq!(leader(&[3, 1, 0, 0]), Some(0));
        assert_eq!(leader(&[2, 1, 2, 0]), None);
        assert_eq!(leader(&[0; MAX_SEATS]), None);
    }
}
