//! A resident of a room, as a program: it meets others, plays with the first one, and stays in the room when the match is over.
//!
//! A line on its standard input ends its match, so that a test says how long that lasts. It prints a line each second.

use std::{
    io::{Write, stdin, stdout},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use bevy::{
    MinimalPlugins,
    app::{App, AppExit, PluginGroup, ScheduleRunnerPlugin, Startup, Update},
    prelude::{Commands, Local, MessageWriter, Real, Res, ResMut, Resource, Time},
};
use netcode::prelude::*;
use serde::{Deserialize, Serialize};

/// As the demo's headless peer: twice the frame rate.
const UPDATES_PER_SECOND: f64 = 120.0;
/// Players that a match waits for.
const PLAYERS: u32 = 2;

/// Where it lives.
#[derive(Resource)]
struct Home {
    room: String,
    name: String,
    /// It was told to finish.
    is_told: Arc<AtomicBool>,
}

/// All that rolls back: frames that were simulated.
#[derive(Resource, Clone, Default, Serialize, Deserialize)]
struct Count(u32);

/// Lives in the room until it is killed, or cannot go on.
#[must_use]
pub fn run(room: String, name: String) -> ExitCode {
    let is_told = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_told);
    thread::spawn(move || {
        let mut line = String::new();
        if stdin().read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            told.store(true, Relaxed);
        }
    });
    let config = NetcodeConfig { game_id: "resident".into(), ..NetcodeConfig::default() };
    let wait = Duration::from_secs_f64(1.0 / UPDATES_PER_SECOND);
    let exit = App::new()
        .add_plugins(MinimalPlugins.set(ScheduleRunnerPlugin::run_loop(wait)))
        .add_plugins(NetcodePlugin::<u8>::new(config))
        .init_resource::<Count>()
        .rollback_resource::<Count>()
        .insert_resource(Home { room, name, is_told })
        .add_systems(Startup, join)
        .add_systems(Simulate, |mut count: ResMut<Count>| count.0 += 1)
        .add_systems(Update, (live, show))
        .run();
    if exit.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn join(home: Res<Home>, mut commands: Commands) {
    commands.write_message(JoinRoom {
        url: home.room.clone(),
        name: home.name.clone(),
        ..JoinRoom::default()
    });
}

/// Plays once, with whoever comes first; then it only stays.
fn live(
    home: Res<Home>,
    (state, lobby): (Res<SessionState>, Res<Lobby>),
    mut commands: Commands,
    mut exit: MessageWriter<AppExit>,
) {
    match &*state {
        SessionState::Ended(reason) => {
            say(&format!("ended: {reason}"));
            exit.write(AppExit::error());
        }
        SessionState::Gathering
            if lobby.seats() == PLAYERS && !lobby.ready && !home.is_told.load(Relaxed) =>
        {
            commands.write_message(SetReady(true));
        }
        SessionState::Running if home.is_told.load(Relaxed) => {
            commands.write_message(FinishMatch);
        }
        _ => {}
    }
}

/// `confirmed 117  unreachable 0  peers Ann Bob`.
fn show(
    time: Res<Time<Real>>,
    mut next: Local<Duration>,
    (stats, lobby): (Res<SessionStats>, Res<Lobby>),
) {
    if time.elapsed() < *next {
        return;
    }
    *next = time.elapsed() + Duration::from_secs(1);
    let names: Vec<&str> = lobby.peers.iter().map(|peer| peer.name.as_str()).collect();
    say(&format!(
        "confirmed {}  unreachable {}  peers {}",
        stats.confirmed_frames,
        lobby.unreachable,
        names.join(" ")
    ));
}

fn say(line: &str) {
    // Nobody reads the words of a test that is over.
    let _ = writeln!(stdout(), "{line}");
}
