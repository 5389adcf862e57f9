//! A resident of a room, as a program: it meets other peers, plays with the first one, and stays in
//! the room when the match is over.
//!
//! A line on its standard input ends its match, so that a test decides how long that lasts. It
//! prints a line every second.

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

/// Twice the frame rate, like the demo's headless peer.
const UPDATES_PER_SECOND: f64 = 120.0;
/// Players that a match waits for.
const PLAYERS: u32 = 2;

/// The room that it lives in.
#[derive(Resource)]
struct Home {
    room: String,
    name: String,
    /// Whether a line on the standard input has asked it to finish its match.
    should_finish: Arc<AtomicBool>,
}

/// The only state that rolls back: the number of simulated frames.
#[derive(Resource, Clone, Default, Serialize, Deserialize)]
struct Count(u32);

/// Stays in the room until it is killed or cannot go on.
#[must_use]
pub fn run(room: String, name: String) -> ExitCode {
    let should_finish = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&should_finish);
    thread::spawn(move || {
        let mut line = String::new();
        if stdin().read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            flag.store(true, Relaxed);
        }
    });
    let config = NetcodeConfig { game_id: "resident".into(), ..NetcodeConfig::default() };
    let wait = Duration::from_secs_f64(1.0 / UPDATES_PER_SECOND);
    let exit = App::new()
        .add_plugins(MinimalPlugins.set(ScheduleRunnerPlugin::run_loop(wait)))
        .add_plugins(NetcodePlugin::<u8>::new(config))
        .init_resource::<Count>()
        .rollback_resource::<Count>()
        .insert_resource(Home { room, name, should_finish })
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

/// Plays once, with the first peer that arrives; after that it only stays in the room.
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
            if lobby.seats() == PLAYERS && !lobby.is_ready && !home.should_finish.load(Relaxed) =>
        {
            commands.write_message(SetReady(true));
        }
        SessionState::Running if home.should_finish.load(Relaxed) => {
            commands.write_message(FinishMatch);
        }
        _ => {}
    }
}

/// Prints a line such as `confirmed 117  unreachable 0  peers Ann Bob`.
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
    // Fails if the test is over, and then nobody reads the line.
    let _ = writeln!(stdout(), "{line}");
}
