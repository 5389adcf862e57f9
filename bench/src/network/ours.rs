//! A match of ours, in simulated time.

use std::time::Duration;

use bevy::{
    ecs::schedule::IntoScheduleConfigs,
    prelude::{App, Commands, Component, Query, Real, Res, ResMut, Resource, Time},
};
use demo_game::input::Input;
use netcode::{
    prelude::{
        AppRollbackExt, ChecksumLog, LocalInputs, NetcodeConfig, NetcodePlugin, PlayerInputs,
        ReadInputs, Rollback, Roster, Seat, SessionStats, SetupMatch, SimFrame, Simulate,
    },
    testing::Stepper,
};
use serde::{Deserialize, Serialize};

use super::{
    Case, FPS, SEED,
    outcome::{Outcome, Played},
};
use crate::script::Script;

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ship {
    seat: Seat,
    played: Played,
}

/// The inputs of this machine's player, and when they changed.
#[derive(Resource)]
struct Player {
    script: Script,
    pressed: Vec<Duration>,
}

pub(super) fn play(case: Case, seconds: u32) -> Outcome {
    let mut stepper = Stepper::in_match(case.peers, |index, app| build(app, case.peers, index));
    stepper.set_network(case.conditions, SEED);
    let mut outcome = Outcome::new(case.peers, seconds);
    let before: Vec<SessionStats> = stepper.apps().iter().map(|app| stats(app).clone()).collect();
    let mut rollbacks: Vec<u32> = before.iter().map(|stats| stats.rollbacks).collect();
    for _ in 0..seconds * FPS {
        stepper.update();
        let now = stepper.elapsed();
        for peer in 0..case.peers {
            let pressed = std::mem::take(
                &mut stepper.app_mut(peer).world_mut().resource_mut::<Player>().pressed,
            );
            pressed.into_iter().for_each(|at| outcome.press(at, peer));
        }
        for (peer, app) in stepper.apps().iter().enumerate() {
            let stats = stats(app);
            // If an update had more than one rollback, all count as deep as the last.
            for _ in rollbacks[peer]..stats.rollbacks {
                outcome.rollbacks.push(stats.last_rollback);
            }
            rollbacks[peer] = stats.rollbacks;
            outcome.delay += f32::from(stats.input_delay);
            for ship in app.world().iter_entities().filter_map(|entity| entity.get::<Ship>()) {
                outcome.show(now, peer, ship.seat.index(), ship.played.changes);
            }
        }
    }
    outcome.delay /= (seconds * FPS) as f32 * case.peers as f32;
    for (peer, app) in stepper.apps().iter().enumerate() {
        outcome.frames[peer] = stats(app).frames - before[peer].frames;
        outcome.stalls += stats(app).stalls - before[peer].stalls;
    }
    outcome.do_agree = do_agree(&stepper);
    outcome
}

fn build(app: &mut App, peers: usize, index: usize) {
    let config = NetcodeConfig {
        fps: FPS as u16,
        game_id: "network".into(),
        min_players: peers as u8,
        max_players: peers as u8,
        ..NetcodeConfig::default()
    };
    let player = Player { script: Script::new(index as u8), pressed: Vec::new() };
    app.add_plugins(NetcodePlugin::<Input>::new(config))
        .rollback_component::<Ship>()
        .insert_resource(player)
        .add_systems(SetupMatch, |mut commands: Commands, roster: Res<Roster>| {
            for seat in roster.seats() {
                commands.spawn((Rollback, Ship { seat: seat.seat, played: Played::default() }));
            }
        })
        .add_systems(ReadInputs, read.chain())
        .add_systems(Simulate, simulate);
}

fn read(
    mut inputs: ResMut<LocalInputs<Input>>,
    mut player: ResMut<Player>,
    frame: Res<SimFrame>,
    time: Res<Time<Real>>,
) {
    for seat in inputs.seats().to_vec() {
        inputs.set(seat, player.script.at(frame.0));
    }
    if player.script.changes_at(frame.0) {
        player.pressed.push(time.elapsed());
    }
}

fn simulate(inputs: Res<PlayerInputs<Input>>, mut ships: Query<&mut Ship>) {
    for mut ship in &mut ships {
        let input = inputs.get(ship.seat);
        ship.played.step(input);
    }
}

fn stats(app: &App) -> &SessionStats {
    app.world().resource()
}

/// Returns whether there are frames that all peers hashed, and all peers have the same hash of
/// each.
fn do_agree(stepper: &Stepper) -> bool {
    let logs: Vec<&ChecksumLog> = stepper.apps().iter().map(|app| app.world().resource()).collect();
    let common: Vec<bool> = logs[0]
        .iter()
        .filter(|(frame, _)| logs.iter().all(|log| log.get(*frame).is_some()))
        .map(|(frame, hash)| logs.iter().all(|log| log.get(frame) == Some(hash)))
        .collect();
    !common.is_empty() && common.into_iter().all(|is_equal| is_equal)
}
