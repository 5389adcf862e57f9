//! A peer with `netcode`, as a game would have it.

use std::sync::atomic::Ordering;

use bevy::{
    MinimalPlugins,
    prelude::{App, Component, Query, Res, ResMut, Resource},
};
use demo_game::input::Input;
use netcode::prelude::{
    AppRollbackExt, JoinRoom, Lobby, LocalInputs, NetcodeConfig, NetcodePlugin, PlayerInputs,
    ReadInputs, Rollback, Roster, Seat, SessionState, SessionStats, SetReady, SetupMatch, SimFrame,
    Simulate,
};
use serde::{Deserialize, Serialize};

use super::pace::{self, FPS, Signals};
use crate::script::Script;

#[derive(Resource)]
struct Played(Script);

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ship {
    seat: Seat,
    sum: u64,
}

/// Plays in `room` until the measurement is over.
pub(super) fn play(room: &str, peers: usize, seat: u8, signals: &Signals) {
    let mut app = App::new();
    let config = NetcodeConfig {
        fps: FPS as u16,
        game_id: "wire".into(),
        min_players: peers as u8,
        max_players: peers as u8,
        ..NetcodeConfig::default()
    };
    app.add_plugins((MinimalPlugins, NetcodePlugin::<Input>::new(config)))
        .rollback_component::<Ship>()
        .insert_resource(Played(Script::new(seat)))
        .add_systems(SetupMatch, |mut commands: bevy::prelude::Commands, roster: Res<Roster>| {
            for seat in roster.seats() {
                commands.spawn((Rollback, Ship { seat: seat.seat, sum: 0 }));
            }
        })
        .add_systems(ReadInputs, read)
        .add_systems(Simulate, simulate);
    app.finish();
    app.cleanup();
    app.world_mut().write_message(JoinRoom::new(room));
    let (mut is_ready, mut is_playing) = (false, false);
    let mut played = 0;
    pace::run(signals, seat, || {
        app.update();
        let frames = app.world().resource::<SessionStats>().frames;
        signals.frames.fetch_add(frames.saturating_sub(played), Ordering::Relaxed);
        played = frames;
        let is_met = app.world().resource::<Lobby>().peers.len() + 1 == peers;
        if is_met && !is_ready {
            is_ready = true;
            app.world_mut().write_message(SetReady(true));
        }
        let state = app.world().resource::<SessionState>();
        if state.is_running() && !is_playing {
            is_playing = true;
            signals.playing.fetch_add(1, Ordering::Relaxed);
        }
    });
}

fn read(mut inputs: ResMut<LocalInputs<Input>>, played: Res<Played>, frame: Res<SimFrame>) {
    for seat in inputs.seats().to_vec() {
        inputs.set(seat, played.0.at(frame.0));
    }
}

fn simulate(inputs: Res<PlayerInputs<Input>>, mut ships: Query<&mut Ship>) {
    for mut ship in &mut ships {
        ship.sum = ship.sum.wrapping_mul(31).wrapping_add(u64::from(inputs.get(ship.seat).bits()));
    }
}
