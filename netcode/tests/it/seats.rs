//! Seats that change hands while a match is simulated, in sync tests in chaos mode.

use bevy::{ecs::schedule::ScheduleConfigs, ecs::system::ScheduleSystem, prelude::*};
use netcode::{
    AuditReport, BotInputs, DivergenceCause, PlayBots, StandIn, SyncTestFailure, prelude::*,
    testing,
};
use serde::{Deserialize, Serialize};

const SEATS: u8 = 3;

/// What the simulation knows of its seats.
#[derive(Resource, Clone, Debug, Default, Serialize, Deserialize)]
struct Known {
    states: Vec<SeatState>,
    changes: u32,
    pushed: [u32; SEATS as usize],
}

/// A headless game with these systems, whose players always give an input that is not the default.
fn game<M>(systems: impl IntoScheduleConfigs<ScheduleSystem, M>) -> App {
    let systems: ScheduleConfigs<ScheduleSystem> = systems.into_configs();
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default()))
        .init_resource::<Known>()
        .rollback_resource::<Known>()
        .add_systems(SetupMatch, |mut known: ResMut<Known>, roster: Res<Roster>| {
            *known = Known::default();
            known.states = roster.seats().iter().map(|seat| seat.state).collect();
        })
        .add_systems(Simulate, systems);
    testing::random_inputs(&mut app, |random| 1 | random as u8);
    app
}

/// Plays a thousand frames in chaos mode, at the end of which the result is shown to `look`.
fn assert_sound(mut app: App, look: fn(&Known)) {
    #[derive(Resource, Default)]
    struct Last(Known);
    app.init_resource::<Last>().add_systems(
        PostUpdate,
        |mut last: ResMut<Last>, known: Res<Known>, state: Res<SessionState>| {
            if state.is_running() {
                last.0 = known.clone();
            }
        },
    );
    let outcome = testing::sync_test(&mut app, SyncTest::CHAOS, SEATS, 1_000);
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    look(&app.world().resource::<Last>().0);
}

#[test]
fn a_game_that_ignores_the_roster_passes_in_chaos() {
    fn push(mut known: ResMut<Known>, inputs: Res<PlayerInputs<u8>>) {
        for seat in 0..SEATS {
            known.pushed[usize::from(seat)] += u32::from(inputs.get(Seat(seat)));
        }
    }
    assert_sound(game(push), |known| assert!(known.pushed.iter().all(|&pushed| pushed > 1_000)));
}

#[test]
fn a_frame_shows_its_own_changes_each_time_it_is_simulated() {
    fn follow(
        mut known: ResMut<Known>,
        mut changes: MessageReader<SeatChanged>,
        roster: Res<Roster>,
    ) {
        for &SeatChanged { seat, before, now } in changes.read() {
            assert_eq!(known.states[seat.index()], before);
            known.states[seat.index()] = now;
            known.changes += 1;
        }
        let states: Vec<_> = roster.seats().iter().map(|seat| seat.state).collect();
        assert_eq!(states, known.states, "no change is missed, and none comes twice");
    }
    assert_sound(game(follow), |known| assert!(known.changes > 30, "{known:?}"));
}

#[test]
fn a_reader_that_runs_now_and_then_sees_no_change_of_another_frame() {
    fn sometimes(
        mut known: ResMut<Known>,
        mut changes: MessageReader<SeatChanged>,
        roster: Res<Roster>,
    ) {
        for change in changes.read() {
            assert_eq!(roster.state(change.seat), change.now);
            known.changes += 1;
        }
    }
    let mut app = game(sometimes.run_if(|frame: Res<SimFrame>| !frame.0.is_multiple_of(3)));
    app.finish();
    app.cleanup();
    assert!(app.world().resource::<AuditReport>().findings().is_empty());
    assert_sound(app, |known| assert!(known.changes > 10, "{known:?}"));
}

#[test]
fn changes_that_are_counted_outside_of_what_rolls_back_are_caught() {
    fn count(
        mut changes: MessageReader<SeatChanged>,
        mut count: Local<u32>,
        mut known: ResMut<Known>,
    ) {
        if changes.read().count() > 0 {
            *count += 1;
            known.changes = *count;
        }
    }
    let failure = testing::sync_test(&mut game(count), SyncTest::CHAOS, SEATS, 1_000);
    let Err(SyncTestFailure::Diverged(divergence)) = failure else { panic!("{failure:?}") };
    assert_eq!(divergence.cause, DivergenceCause::NotRepeatable);
    assert_eq!((&*divergence.field, divergence.seat_changes.len()), ("changes", 1));
    let text = divergence.to_string();
    assert!(text.contains(" turned from Peer to "), "{text}");
    // Without changes, there is nothing to count.
    let sound = testing::sync_test(&mut game(count), SyncTest::EVERY_DEPTH, SEATS, 1_000);
    sound.unwrap_or_else(|failure| panic!("{failure}"));
    let alone = testing::sync_test(&mut game(count), SyncTest::CHAOS, 1, 1_000);
    alone.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_seat_that_nobody_plays_has_the_default_input() {
    fn check(mut known: ResMut<Known>, inputs: Res<PlayerInputs<u8>>, roster: Res<Roster>) {
        for seat in roster.seats() {
            let input = inputs.get(seat.seat);
            assert_eq!(input != 0, seat.state == SeatState::Peer, "{seat:?}");
            assert!(inputs.is_confirmed(seat.seat));
            known.pushed[seat.seat.index()] += u32::from(input);
        }
    }
    assert_sound(game(check), |known| assert!(known.pushed[0] > 1_000));
}

#[test]
fn bots_give_the_inputs_of_their_seats_and_of_no_others() {
    /// Even, so that it is no input of a player.
    fn play(mut bots: BotInputs<u8>, known: Res<Known>) {
        let input = 2 + 2 * (known.changes % 100) as u8;
        for seat in (0..SEATS + 1).map(Seat) {
            bots.set(seat, input);
        }
        assert!(bots.seats().count() > 0, "a frame without bots is played without them");
        for seat in bots.seats() {
            bots.set(seat, input);
        }
    }
    fn check(
        mut known: ResMut<Known>,
        mut changes: MessageReader<SeatChanged>,
        inputs: Res<PlayerInputs<u8>>,
        (roster, config): (Res<Roster>, Res<NetcodeConfig>),
    ) {
        for seat in roster.seats() {
            let input = inputs.get(seat.seat);
            match (seat.state, config.stand_in) {
                (SeatState::Peer, _) => assert_eq!(input % 2, 1),
                (SeatState::Bot, _) | (_, StandIn::Bot) => {
                    assert_eq!(input, 2 + 2 * (known.changes % 100) as u8);
                    known.pushed[seat.seat.index()] += u32::from(input);
                }
                (SeatState::Away | SeatState::Empty, StandIn::Nobody) => assert_eq!(input, 0),
            }
        }
        known.changes += changes.read().count() as u32;
    }
    for stand_in in [StandIn::Nobody, StandIn::Bot] {
        let mut app = game(check);
        app.world_mut().resource_mut::<NetcodeConfig>().stand_in = stand_in;
        app.add_systems(PlayBots, play);
        assert_sound(app, |known| assert!(known.pushed.iter().all(|&pushed| pushed > 100)));
    }
}

#[test]
fn the_audit_looks_at_bots_too() {
    #[derive(Resource, Default)]
    struct Mood(u32);
    fn think(mut mood: ResMut<Mood>, mut bots: BotInputs<u8>) {
        mood.0 += 1;
        bots.set(Seat(0), mood.0 as u8);
    }
    let mut app = game(|| {});
    app.init_resource::<Mood>().add_systems(PlayBots, think);
    let failure = testing::sync_test(&mut app, SyncTest::CHAOS, SEATS, 10);
    let Err(SyncTestFailure::Unregistered(findings)) = failure else { panic!("{failure:?}") };
    let [finding] = &*findings else { panic!("{findings:?}") };
    assert!(finding.type_name.ends_with("::Mood") && finding.systems[0].ends_with("think"));
}
