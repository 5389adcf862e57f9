//! The headless peer is a complete player without a window, for tests, for measurements, and as
//! somebody to play with.
//!
//! `run_state` takes it through a run (meet, play, confirm, leave), `observe` notes what the frames
//! show, `inputs` flies the ship, `presence` takes it out of the match and back, `report` is its
//! result. Time is counted in frames of the match: all peers of a run stop at the same frame, even
//! if one of them began a little earlier.

mod options;

mod clock;
mod run_state;

mod inputs;
mod observe;
mod presence;

mod report;

use std::process::ExitCode;
use std::time::Duration;

use bevy::MinimalPlugins;
use bevy::app::{AppExit, PluginGroup, ScheduleRunnerPlugin};
use bevy::prelude::{App, IntoScheduleConfigs, Startup, Update};
use netcode::LOG_FILTER;
use netcode::prelude::{AppRollbackExt, SetupMatch, Simulate};
use tracing_subscriber::EnvFilter;

use crate::DuelPlugin;
use crate::host::{Host, HostError};
use crate::ship_stats::{ShipStats, update_ship_stats};
use crate::sim::SimSystems;

pub use inputs::Pilot;
pub use options::{HeadlessOptions, RoomChoice};
pub use presence::PlannedOutage;

/// Updates per second: twice the frame rate, so that a frame is never late by more than half of
/// one.
const UPDATES_PER_SECOND: f64 = 120.0;

/// Plays a run. Succeeds only if the peer played for the whole time and no peer desynced.
#[must_use]
pub fn run(options: HeadlessOptions) -> ExitCode {
    let clock = clock::Clock::start();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(format!("warn,netcode=info,demo_game=info,{LOG_FILTER}"))
    });
    // If the process already has a subscriber, it stays.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();

    // The server runs until the end of this function.
    let (room, _host) = match open(&options.room) {
        Ok(opened) => opened,
        Err(error) => {
            report::print_error(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let wait = Duration::from_secs_f64(1.0 / UPDATES_PER_SECOND);
    let mut app = App::new();
    app.add_plugins((
        MinimalPlugins.set(ScheduleRunnerPlugin::run_loop(wait)),
        DuelPlugin {
            game_version: options.game_version.clone(),
            departure_policy: options.departure_policy,
        },
    ));
    inputs::add_pilot(&mut app, options.pilot);
    app.init_resource::<observe::Observed>()
        .allow_unregistered::<observe::Observed>() // no frame depends on it
        .init_resource::<ShipStats>()
        .add_systems(SetupMatch, observe::reset_observed)
        .add_systems(Simulate, observe::observe_frame.after(SimSystems))
        .insert_resource(run_state::RunState::new(options, room, clock))
        .add_systems(Startup, run_state::join)
        .add_systems(
            Update,
            (update_ship_stats, run_state::advance, run_state::show_progress).chain(),
        );
    match app.run() {
        AppExit::Success => ExitCode::SUCCESS,
        AppExit::Error(code) => ExitCode::from(code.get()),
    }
}

/// The address of the room, and its server if that runs in this process.
fn open(room: &RoomChoice) -> Result<(String, Option<Host>), HostError> {
    match room {
        RoomChoice::At(address) => Ok((address.clone(), None)),
        RoomChoice::Host => {
            let host = Host::start()?;
            for address in host.addresses() {
                report::print_line(&format!("others join at {address}"));
            }
            if let Some(link) = host.link() {
                report::print_line(&format!("or open {link}"));
            }
            Ok((format!("{}/{}", host.server(), host.room()), Some(host)))
        }
    }
}
