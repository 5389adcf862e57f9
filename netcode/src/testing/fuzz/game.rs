//! The game that is played while a hostile peer sends arbitrary bytes.

use bevy::prelude::{App, Commands, Component, Query, Res, ResMut};
use serde::{Deserialize, Serialize};

use crate::{
    config::NetcodeConfig,
    frame::SimFrame,
    input::{LocalInputs, PlayerInputs, Seat},
    membership::Roster,
    plugin::NetcodePlugin,
    rollback::{AppRollbackExt, Rollback},
    schedules::{ReadInputs, SetupMatch, Simulate},
};

/// An input type for which some bytes are invalid: a `bool` must be 0 or 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Input {
    push: i8,
    is_braking: bool,
}

/// How far a seat has come. After a single different input it differs forever.
#[derive(Component, Clone, Debug, Serialize, Deserialize)]
struct Runner {
    seat: Seat,
    place: i64,
    speed: i64,
}

/// Adds the game and the plugin. The checksum interval is short, so that even a short match has
/// some to compare.
pub(super) fn add_to(app: &mut App) {
    let config =
        NetcodeConfig { game_id: "fuzz".into(), checksum_interval: 5, ..NetcodeConfig::default() };
    app.add_plugins(NetcodePlugin::<Input>::new(config))
        .rollback_component::<Runner>()
        .add_systems(SetupMatch, set_up)
        .add_systems(ReadInputs, read)
        .add_systems(Simulate, run);
}

fn set_up(mut commands: Commands, roster: Res<Roster>) {
    for seat in roster.seats() {
        commands.spawn((Rollback, Runner { seat: seat.seat, place: 0, speed: 0 }));
    }
}

/// Gives each seat a different input, and a new one every few frames.
fn read(mut inputs: ResMut<LocalInputs<Input>>, frame: Res<SimFrame>) {
    for seat in inputs.seats().to_vec() {
        let step = frame.0 / 3 + 7 * u32::from(seat.0);
        let push = (step.wrapping_mul(0x9e37_79b9) >> 29) as i8 - 3;
        inputs.set(seat, Input { push, is_braking: step.is_multiple_of(5) });
    }
}

fn run(inputs: Res<PlayerInputs<Input>>, mut runners: Query<&mut Runner>) {
    for mut runner in &mut runners {
        let Input { push, is_braking } = inputs.get(runner.seat);
        runner.speed = if is_braking { 0 } else { runner.speed + i64::from(push) };
        runner.place += runner.speed;
    }
}
