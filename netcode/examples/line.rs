//! A minimal match: two programs meet in a room, and each moves its player along a line.
//!
//! Start the server, then this program twice, each in a terminal of its own:
//!
//! ```sh
//! cargo run --release -p signaling
//! cargo run --release -p netcode --example line
//! cargo run --release -p netcode --example line
//! ```
//!
//! To use another room or server, pass its address as the argument: `-- ws://HOST:PORT/ROOM`.
//! `RUST_LOG` chooses what is logged.
#![expect(clippy::print_stdout, reason = "an example prints to the terminal")]

use std::time::Duration;

use bevy::{app::ScheduleRunnerPlugin, prelude::*};
use netcode::prelude::*;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// The input of a player, which is sent to all peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Input {
    forward: bool,
}

/// The state that rolls back.
#[derive(Component, Clone, Serialize, Deserialize)]
struct Player {
    seat: Seat,
    position: u32,
}

fn main() {
    let filter = EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(format!("info,{}", netcode::LOG_FILTER)));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let room = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:3536/line".into());
    let display = Duration::from_secs_f64(1.0 / 60.0);
    App::new()
        .add_plugins(MinimalPlugins.set(ScheduleRunnerPlugin::run_loop(display)))
        .add_plugins(NetcodePlugin::<Input>::default())
        .rollback_component::<Player>()
        .add_systems(SetupMatch, spawn_players)
        .add_systems(ReadInputs, press)
        .add_systems(Simulate, walk)
        .add_systems(Update, (print_state, print_positions.run_if(in_match)))
        .add_systems(Startup, move |mut commands: Commands| {
            println!("entering {room}");
            commands.write_message(JoinRoom::new(room.clone()));
            commands.write_message(SetReady(true));
            // Makes the network between two programs on one machine as bad as a phone's.
            commands.write_message(SetConditions(LinkConditions::MOBILE_4G));
        })
        .run();
}

fn spawn_players(mut commands: Commands, roster: Res<Roster>) {
    for seat in roster.seats() {
        commands.spawn((Rollback, Player { seat: seat.seat, position: 0 }));
    }
}

/// A game would read a keyboard here. In this example, each player presses in its own rhythm, so
/// that predictions are wrong now and then.
fn press(mut inputs: ResMut<LocalInputs<Input>>, frame: Res<SimFrame>) {
    for seat in inputs.seats().to_vec() {
        let frames = 20 + 7 * u32::from(seat.0);
        inputs.set(seat, Input { forward: (frame.0 / frames).is_multiple_of(2) });
    }
}

fn walk(inputs: Res<PlayerInputs<Input>>, mut players: Query<&mut Player>) {
    for mut player in &mut players {
        if inputs.get(player.seat).forward {
            player.position += 1;
        }
    }
}

fn print_state(mut changes: MessageReader<SessionChanged>, mut exit: MessageWriter<AppExit>) {
    for change in changes.read() {
        match &change.to {
            SessionState::Ended(reason) => {
                println!("the session ended: {reason}");
                exit.write(AppExit::Success);
            }
            state => println!("{state:?}"),
        }
    }
}

fn print_positions(frame: Res<SimFrame>, players: Query<&Player>, stats: Res<SessionStats>) {
    if frame.0.is_multiple_of(60) && frame.0 > 0 {
        let mut all: Vec<_> = players.iter().map(|it| (it.seat.0, it.position)).collect();
        all.sort_unstable();
        println!("frame {}: (seat, position) {all:?}, {} rollbacks", frame.0, stats.rollbacks);
    }
}
