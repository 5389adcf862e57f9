//! Players leave a match of three or drop out of it: a bot flies on, the other machines agree, and
//! a player who comes back in time gets the ship back.

use std::collections::BTreeMap;
use std::time::Duration;

use bevy::prelude::{App, IntoScheduleConfigs, Res, ResMut, Resource};
use demo_game::DuelPlugin;
use demo_game::bots::Bots;
use demo_game::input::Input;
use demo_game::sim::{SeatTime, SeatTimes, SimSystems};
use netcode::LinkConditions;
use netcode::prelude::{
    AppRollbackExt, ChecksumLog, FinishMatch, LeaveRoom, PlayerInputs, Roster, Seat, SeatState,
    SessionState, SessionStats, SetReady, SetupMatch, SimFrame, Simulate,
};
use netcode::testing::Stepper;

/// Machines in a match, each with the seat of its number.
const MACHINES: usize = 3;
/// Updates until the players have flown for some time: the countdown takes 120 frames.
const FIRST_UPDATES: u32 = 240;

/// The state and the input of each seat in each frame. A frame that is simulated again replaces
/// what was seen before.
#[derive(Resource, Default)]
struct Flown(BTreeMap<u32, [(SeatState, Input); MACHINES]>);

fn observe(
    frame: Res<SimFrame>,
    roster: Res<Roster>,
    inputs: Res<PlayerInputs<Input>>,
    mut flown: ResMut<Flown>,
) {
    let seats = [0, 1, 2].map(|seat| (roster.state(Seat(seat)), inputs.get(Seat(seat))));
    flown.0.insert(frame.0, seats);
}

/// A match in which bots play for all machines but `idle`, whose player holds nothing. So whatever
/// that seat holds comes from the bot that stands in.
fn begin(idle: usize) -> Stepper {
    let mut stepper = Stepper::in_match(MACHINES, |index, app| {
        app.add_plugins(DuelPlugin::default())
            .init_resource::<Flown>()
            .allow_unregistered::<Flown>()
            .add_systems(SetupMatch, |mut flown: ResMut<Flown>| flown.0.clear())
            .add_systems(Simulate, observe.after(SimSystems));
        if index != idle {
            app.insert_resource(Bots::after(0, 1));
        }
    });
    let conditions = LinkConditions {
        latency: Duration::from_millis(25),
        jitter: Duration::from_millis(10),
        loss: 0.01,
        ..LinkConditions::NONE
    };
    stepper.set_network(conditions, idle as u64);
    stepper.updates(FIRST_UPDATES);
    stepper
}

fn confirmed(app: &App) -> u32 {
    app.world().resource::<SessionStats>().confirmed_frames
}

fn seat_time(app: &App, seat: usize) -> SeatTime {
    app.world().resource::<SeatTimes>().of(Seat(seat as u8))
}

/// Asserts that these machines have computed the same in at least `at_least` of the frames from
/// `from` on whose checksums all of them have, and that they saw the same inputs and players.
fn assert_agreement(stepper: &Stepper, machines: &[usize], from: u32, at_least: usize) {
    let worlds: Vec<_> = machines.iter().map(|&machine| stepper.app(machine).world()).collect();
    let logs: Vec<&ChecksumLog> = worlds.iter().map(|world| world.resource()).collect();
    let mut compared = 0;
    for (frame, checksum) in logs[0].iter().filter(|&(frame, _)| frame >= from) {
        let others: Vec<u64> = logs[1..].iter().filter_map(|log| log.get(frame)).collect();
        assert!(others.iter().all(|&other| other == checksum), "frame {frame} differs");
        compared += usize::from(others.len() == machines.len() - 1);
    }
    assert!(compared >= at_least, "only {compared} frames could be compared");
    let end = machines.iter().map(|&machine| confirmed(stepper.app(machine))).min().unwrap_or(0);
    let flown: Vec<&Flown> = worlds.iter().map(|world| world.resource()).collect();
    for (frame, seats) in flown[0].0.range(..end) {
        assert!(
            flown.iter().all(|other| other.0.get(frame) == Some(seats)),
            "frame {frame} was flown differently"
        );
    }
    for world in worlds {
        assert_eq!(world.resource::<SessionStats>().desyncs, 0);
    }
}

/// The number of frames in which a seat held something, from `first` on and before `end`.
fn flown_frames(app: &App, seat: usize, first: u32, end: u32) -> usize {
    let flown = app.world().resource::<Flown>();
    flown.0.range(first..end).filter(|(_, seats)| seats[seat].1 != Input::NONE).count()
}

/// The first frame in which a seat was in this state.
fn first_frame(app: &App, seat: usize, state: SeatState) -> Option<u32> {
    let flown = app.world().resource::<Flown>();
    flown.0.iter().find(|(_, seats)| seats[seat].0 == state).map(|(&frame, _)| frame)
}

#[test]
fn a_bot_flies_the_ship_of_a_player_who_leaves() {
    for leaver in 0..MACHINES {
        let mut stepper = begin(leaver);
        stepper.app_mut(leaver).world_mut().write_message(LeaveRoom);
        stepper.updates(600);
        let stayers: Vec<usize> = (0..MACHINES).filter(|&machine| machine != leaver).collect();
        for &machine in &stayers {
            let app = stepper.app(machine);
            assert!(app.world().resource::<SessionState>().is_running());
            let time = seat_time(app, leaver);
            assert_eq!((time.state, time.before), (SeatState::Empty, Some((SeatState::Peer, 0))));
            assert_eq!(Some(time.since), first_frame(app, leaver, SeatState::Empty));
            assert_eq!(flown_frames(app, leaver, 0, time.since), 0, "nobody stands in yet");
            let flown = flown_frames(app, leaver, time.since, u32::MAX);
            assert!(flown > 100, "seat {leaver}: the bot has flown in {flown} frames");
        }
        let left = seat_time(stepper.app(stayers[0]), leaver);
        assert_eq!(left, seat_time(stepper.app(stayers[1]), leaver));
        assert_agreement(&stepper, &stayers, left.since, 15);
    }
}

#[test]
fn a_player_who_drops_out_gets_the_ship_back_from_the_bot() {
    for away in 0..MACHINES {
        let mut stepper = begin(away);
        for is_cut in [true, false] {
            stepper.set_deaf(away, is_cut);
            stepper.set_mute(away, is_cut);
            stepper.updates(300);
        }
        let all: Vec<usize> = (0..MACHINES).collect();
        let time = seat_time(stepper.app((away + 1) % MACHINES), away);
        let Some((SeatState::Away, lost)) = time.before else { panic!("seat {away}: {time:?}") };
        assert_eq!(time.state, SeatState::Peer);
        for &machine in &all {
            let app = stepper.app(machine);
            // The machine that was away has learned of both changes late, and names their frames.
            assert_eq!(seat_time(app, away), time, "machine {machine}");
            assert_eq!(first_frame(app, away, SeatState::Away), Some(lost));
            let flown = flown_frames(app, away, lost, time.since);
            assert!(flown > 50, "seat {away}: the bot has flown in {flown} frames");
            assert_eq!(flown_frames(app, away, 0, lost), 0, "nobody stands in yet");
            assert_eq!(flown_frames(app, away, time.since, u32::MAX), 0, "the player is back");
        }
        assert_agreement(&stepper, &all, lost, 10);
    }
}

#[test]
fn nobody_is_missing_when_the_next_match_begins() {
    let mut stepper = begin(2);
    stepper.app_mut(2).world_mut().write_message(LeaveRoom);
    stepper.updates(120);
    assert_eq!(seat_time(stepper.app(0), 2).state, SeatState::Empty);
    for message in 0..2 {
        for machine in 0..2 {
            let world = stepper.app_mut(machine).world_mut();
            if message == 0 {
                world.write_message(FinishMatch);
            } else {
                world.write_message(SetReady(true));
            }
        }
        stepper.run_until("both are in the room, or in the next match", |apps| {
            let mut states = apps[..2].iter().map(|app| app.world().resource::<SessionState>());
            states.all(|state| state.is_running() == (message == 1))
        });
    }
    stepper.updates(60);
    for machine in 0..2 {
        let app = stepper.app(machine);
        for seat in 0..2 {
            let time = seat_time(app, seat);
            assert_eq!((time.state, time.since, time.before), (SeatState::Peer, 0, None));
        }
        assert_eq!(seat_time(app, 2), SeatTime::default(), "the match has no such seat");
    }
    assert_agreement(&stepper, &[0, 1], 0, 1);
}
