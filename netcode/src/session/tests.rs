//! Seats that change hands in a match of several machines, and in one that ends.

use bevy::prelude::{App, IntoScheduleConfigs, MessageReader, Res, ResMut, Resource};
use serde::{Deserialize, Serialize};

use super::Session;
use crate::{
    checksum::ChecksumLog,
    config::{InputDelay, NetcodeConfig},
    diagnostics::SessionStats,
    frame::SimFrame,
    input::{LocalInputs, PlayerInputs, Seat},
    membership::{Roster, SeatChanged, SeatState, SessionState, StartLocal},
    plugin::NetcodePlugin,
    rollback::AppRollbackExt,
    schedules::{ReadInputs, Simulate},
    scoped::Scoped,
    session::MatchEnd,
    testing::Stepper,
    transport::LinkConditions,
};

/// What the simulation sees of its seats. A single frame with another roster makes it differ.
#[derive(Resource, Clone, Debug, Default, Serialize, Deserialize)]
struct Seen {
    /// The frames of each seat in which a player played it.
    played: [u32; 2],
    /// The sum of the inputs of each seat, from the frame on at which no input delay matters any
    /// more.
    pushed: [u32; 2],
    changes: Vec<(u32, SeatState)>,
}

fn watch(
    mut seen: ResMut<Seen>,
    mut changes: MessageReader<SeatChanged>,
    (frame, roster, inputs): (Res<SimFrame>, Res<Roster>, Res<PlayerInputs<u8>>),
) {
    for seat in roster.seats() {
        seen.played[seat.seat.index()] += u32::from(seat.state == SeatState::Peer);
        if frame.0 >= 100 {
            seen.pushed[seat.seat.index()] += u32::from(inputs.get(seat.seat));
        }
    }
    seen.changes.extend(changes.read().map(|change| (frame.0, change.now)));
}

fn add_game(app: &mut App) {
    // So that every frame is predicted at first.
    let config = NetcodeConfig { input_delay: InputDelay::Fixed(0), ..NetcodeConfig::default() };
    app.add_plugins(NetcodePlugin::<u8>::new(config))
        .init_resource::<Seen>()
        .rollback_resource::<Seen>()
        .add_systems(Simulate, watch)
        .add_systems(ReadInputs, |mut inputs: ResMut<LocalInputs<u8>>| {
            // No button ever changes: only the roster can be news.
            inputs.seats().to_vec().into_iter().for_each(|seat| inputs.set(seat, 1));
        });
}

fn session(stepper: &mut Stepper, index: usize) -> &mut Session<u8> {
    stepper.app_mut(index).world_mut().resource_mut::<Scoped<Session<u8>>>().into_inner()
}

/// Puts seat 1 into this state from the frame `first` on.
fn change_seat(stepper: &mut Stepper, index: usize, first: u32, state: SeatState) {
    let game = &mut session(stepper, index).game;
    let mut roster = game.rosters().at(u32::MAX).clone();
    let before = roster.seats()[1].clone();
    roster.set_state(Seat(1), state, before.peer, before.is_local);
    game.change_roster(first, roster).expect("the frame is open");
}

fn stats(stepper: &Stepper, index: usize) -> &SessionStats {
    stepper.app(index).world().resource()
}

fn seen(stepper: &Stepper, index: usize) -> &Seen {
    stepper.app(index).world().resource()
}

fn shown(stepper: &Stepper, index: usize) -> SeatState {
    stepper.app(index).world().resource::<Roster>().state(Seat(1))
}

#[test]
fn a_change_at_a_frame_that_was_simulated_rolls_back_to_it_on_all_machines() {
    let mut stepper = Stepper::in_match(2, |_, app| add_game(app));
    stepper.set_network(LinkConditions::WIFI, 1);
    stepper.updates(200);
    let changes = [SeatState::Away, SeatState::Peer];
    let mut frames = Vec::new();
    for state in changes {
        let open = [0, 1].map(|index| session(&mut stepper, index).oldest_open_frame());
        let first = open[0].max(open[1]);
        frames.push((first, state));
        let newest = [0, 1].map(|index| stats(&stepper, index).frames);
        assert!(newest.iter().any(|&newest| newest > first), "{first} of {newest:?}");
        let rollbacks = [0, 1].map(|index| stats(&stepper, index).rollbacks);
        for index in 0..2 {
            change_seat(&mut stepper, index, first, state);
        }
        stepper.updates(120);
        for index in 0..2 {
            let stats = stats(&stepper, index);
            let more = stats.rollbacks - rollbacks[index];
            // A frame that was not simulated yet may still have been predicted by then.
            assert!(more <= 1, "{more} rollbacks for one change");
            if newest[index] > first {
                // More frames may be predicted until all inputs of the frame are known.
                let depth = stats.last_rollback;
                assert!(more == 1 && depth >= newest[index] - first, "{depth} from {newest:?}");
            }
            assert_eq!(shown(&stepper, index), state);
        }
    }
    let away = frames[1].0 - frames[0].0;
    for index in 0..2 {
        let (seen, frames_played) = (seen(&stepper, index), stats(&stepper, index).frames);
        assert_eq!(seen.changes, frames);
        assert_eq!(seen.played, [frames_played, frames_played - away]);
        // Its machine went on to press, and nobody took notice.
        assert_eq!(seen.pushed[0] - seen.pushed[1], away);
        assert_eq!(stats(&stepper, index).desyncs, 0);
    }
    let [one, other] = [0, 1].map(|index| stepper.app(index).world().resource::<ChecksumLog>());
    let common: Vec<_> = one.iter().filter_map(|(at, hash)| Some((hash, other.get(at)?))).collect();
    assert!(common.len() >= 8 && common.iter().all(|(ours, theirs)| ours == theirs));
}

#[test]
fn a_match_that_is_over_shows_the_roster_of_its_last_frame() {
    for (last, expected) in [(29, SeatState::Peer), (30, SeatState::Empty), (31, SeatState::Empty)]
    {
        let mut stepper = Stepper::new(1, |_, app| {
            add_game(app);
            let finish = move |mut end: ResMut<MatchEnd>, frame: Res<SimFrame>| {
                if frame.0 == last {
                    end.finish_when_confirmed(last);
                }
            };
            app.add_systems(Simulate, finish.after(watch));
        });
        let seats = vec!["Ann".into(), "Bob".into()];
        let start = StartLocal { seats, seed: 1, sync_test: None };
        stepper.app_mut(0).world_mut().write_message(start);
        stepper.updates(10);
        change_seat(&mut stepper, 0, 30, SeatState::Empty);
        assert_eq!(shown(&stepper, 0), SeatState::Peer);
        stepper.updates(60);
        assert_eq!(*stepper.app(0).world().resource::<SessionState>(), SessionState::Offline);
        assert_eq!((stats(&stepper, 0).frames, shown(&stepper, 0)), (last + 1, expected));
    }
}

#[test]
fn a_frame_that_is_final_keeps_its_roster() {
    let mut stepper = Stepper::in_match(2, |_, app| add_game(app));
    stepper.updates(100);
    let session = session(&mut stepper, 0);
    let open = session.oldest_open_frame();
    let roster = session.game.rosters().at(open).clone();
    assert!(open > 50 && session.game.change_roster(open - 1, roster.clone()).is_err());
    assert!(session.game.change_roster(open, roster).is_ok());
}
