//! The headless peer: a whole player without a window, for tests, for measuring, and to have somebody to play with.
//!
//! `course` walks it through a run (meet, play, confirm, leave), `watch` looks at the simulated frames, `inputs` flies
//! the ship, `report` is what it leaves behind. Time is counted in frames of the match: all peers of a run stop at the
//! same frame, whoever began a little earlier.

mod clock;
mod course;
mod inputs;
mod report;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bevy::MinimalPlugins;
use bevy::app::{AppExit, PluginGroup, ScheduleRunnerPlugin};
use bevy::prelude::{App, IntoScheduleConfigs, Startup, Update};
use netcode::LOG_FILTER;
use netcode::prelude::{AppRollbackExt, LinkConditions, SetupMatch, Simulate};
use tracing_subscriber::EnvFilter;

use crate::DuelPlugin;
use crate::host::{Host, HostError};
use crate::sim::SimSystems;
use crate::travels::{Travels, follow_ships};

pub use inputs::Pilot;

/// Updates per second: twice the frame rate, so that a frame is never late by more than half of one.
const UPDATES_PER_SECOND: f64 = 120.0;

/// What a headless peer is asked to do.
#[derive(Clone, PartialEq, Debug)]
pub struct HeadlessOptions {
    /// Where to play.
    pub room: RoomChoice,
    /// Players to wait for, itself included.
    pub players: u8,
    /// How long to play, counted in frames of the match.
    pub duration: Duration,
    /// How long to wait for the other players: processes that are started together come within seconds, a browser
    /// on a busy machine may take a minute.
    pub patience: Duration,
    /// The name that others see.
    pub name: String,
    /// Where to write the report.
    pub report: Option<PathBuf>,
    /// Who flies.
    pub pilot: Pilot,
    /// The version to claim.
    pub game_version: String,
    /// How bad the network is to be made.
    pub conditions: LinkConditions,
    /// STUN servers; `None`: what the signaling server hands out.
    pub stun_servers: Option<Vec<String>>,
    /// Whether to go through TURN servers only.
    pub is_relay_only: bool,
}

/// Where a headless peer plays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoomChoice {
    /// In this room, `ws://HOST:PORT/ROOM`.
    At(String),
    /// In a new room, with a server in this process: others are told the address on stdout.
    Host,
}

/// Plays as asked, and returns how it went: success only if it played for the whole time and nobody desynced.
#[must_use]
pub fn run(options: HeadlessOptions) -> ExitCode {
    let clock = clock::Clock::start();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(format!("warn,netcode=info,demo_game=info,{LOG_FILTER}"))
    });
    // Somebody else's subscriber is as good as ours.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();

    // The server runs until the end of this function.
    let (room, _host) = match open(&options.room) {
        Ok(opened) => opened,
        Err(error) => {
            course::say(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let wait = Duration::from_secs_f64(1.0 / UPDATES_PER_SECOND);
    let mut app = App::new();
    app.add_plugins((
        MinimalPlugins.set(ScheduleRunnerPlugin::run_loop(wait)),
        DuelPlugin { game_version: options.game_version.clone() },
    ));
    inputs::fly(&mut app, options.pilot);
    app.init_resource::<watch::Watch>()
        .allow_unregistered::<watch::Watch>() // it looks on: no frame depends on it
        .init_resource::<Travels>()
        .add_systems(SetupMatch, watch::forget_match)
        .add_systems(Simulate, watch::watch_frame.after(SimSystems))
        .insert_resource(course::Course::new(options, room, clock))
        .add_systems(Startup, course::join)
        .add_systems(Update, (follow_ships, course::advance, course::show_progress).chain());
    match app.run() {
        AppExit::Success => ExitCode::SUCCESS,
        AppExit::Error(code) => ExitCode::from(code.get()),
    }
}

/// The address of the room, and its server if that is ours.
fn open(room: &RoomChoice) -> Result<(String, Option<Host>), HostError> {
    match room {
        RoomChoice::At(address) => Ok((address.clone(), None)),
        RoomChoice::Host => {
            let host = Host::start()?;
            for address in host.addresses() {
                course::tell(&format!("others join at {address}"));
            }
            if let Some(link) = host.link() {
                course::tell(&format!("or open {link}"));
            }
            Ok((format!("{}/{}", host.server(), host.room()), Some(host)))
        }
    }
}
