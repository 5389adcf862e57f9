//! Plays a recorded match and hashes it. The same function runs natively and in the browser; both
//! must agree.
//!
//! No clock is read: every update of the app is one sixtieth of a second, however long it takes.

use std::fmt;
use std::time::Duration;

use bevy::MinimalPlugins;
use bevy::prelude::{App, Res, ResMut, Resource};
use bevy::time::TimeUpdateStrategy;
use netcode::prelude::{ChecksumLog, LocalInputs, ReadInputs, SimFrame, StartLocal};
use thiserror::Error;

use crate::DuelPlugin;
use crate::input::Input;
use crate::recording::{Recording, RecordingError};
use crate::sim::MatchState;
use crate::sim::tuning::{FPS, MAX_SEATS};

/// A recorded match: four bots, a minute.
pub const RECORDING: &[u8] = include_bytes!("../tests/recordings/four-bots.duel");
/// The hashes of [`RECORDING`] as a native build computed them, in the form that [`SelfTestReport`]
/// prints.
pub const HASHES: &str = include_str!("../tests/recordings/four-bots.hashes");

/// Updates without a new frame after which the session counts as stopped.
const MAX_IDLE_UPDATES: u32 = 120;

/// The result of a recorded match.
///
/// Printed, it is one line per hashed frame: the frame, a space, the hash in hexadecimal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelfTestReport {
    /// Frames played.
    pub frames: u32,
    /// Each hashed frame with the hash of the whole simulation, oldest first.
    pub hashes: Vec<(u32, u64)>,
    /// Rounds won by each seat at the end.
    pub scores: [u8; MAX_SEATS],
}

/// Why a recorded match could not be played.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SelfTestError {
    /// The bytes are not a recording.
    #[error("cannot play the recording: {0}")]
    Recording(#[from] RecordingError),
    /// The session stopped before the end of the recording.
    #[error("the session stopped at frame {frame} of {frames}")]
    Stopped {
        /// The frame at which it stopped.
        frame: u32,
        /// Frames in the recording.
        frames: u32,
    },
}

impl fmt::Display for SelfTestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (frame, hash) in &self.hashes {
            writeln!(f, "{frame} {hash:016x}")?;
        }
        Ok(())
    }
}

/// The match that is being played again.
#[derive(Resource)]
struct Playback(Recording);

/// Plays `recording` (see [`recording`](crate::recording) for the format) from its first frame to
/// its last.
///
/// # Errors
///
/// If the bytes are not a recording, or the session refuses to play it.
pub fn run(recording: &[u8]) -> Result<SelfTestReport, SelfTestError> {
    let recording = Recording::from_bytes(recording)?;
    let frames = recording.frames();
    let mut app = start(recording);
    let mut hashes: Vec<(u32, u64)> = Vec::new();
    let mut idle_updates = 0;
    loop {
        let before = app.world().resource::<SimFrame>().0;
        if before >= frames {
            break;
        }
        app.update();
        let newest = hashes.last().map(|&(frame, _)| frame);
        let log = app.world().resource::<ChecksumLog>();
        hashes.extend(log.iter().filter(|&(frame, _)| newest.is_none_or(|newest| frame > newest)));
        let has_moved = app.world().resource::<SimFrame>().0 > before;
        idle_updates = if has_moved { 0 } else { idle_updates + 1 };
        if idle_updates > MAX_IDLE_UPDATES {
            return Err(SelfTestError::Stopped { frame: before, frames });
        }
    }
    // The last update may have taken two steps, of which the second is not part of the recording.
    hashes.retain(|&(frame, _)| frame < frames);
    Ok(SelfTestReport { frames, hashes, scores: app.world().resource::<MatchState>().scores })
}

fn start(recording: Recording) -> App {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, DuelPlugin::default()))
        .insert_resource(TimeUpdateStrategy::ManualDuration(
            Duration::from_secs(1) / u32::from(FPS),
        ))
        .add_systems(ReadInputs, play_back);
    let seats = (1..=recording.seats()).map(|number| format!("Recorded {number}")).collect();
    let seed = recording.seed();
    app.insert_resource(Playback(recording));
    app.finish();
    app.cleanup();
    app.world_mut().write_message(StartLocal { seats, seed, sync_test: None });
    app
}

fn play_back(
    playback: Res<Playback>,
    frame: Res<SimFrame>,
    mut inputs: ResMut<LocalInputs<Input>>,
) {
    for seat in inputs.seats().to_vec() {
        inputs.set(seat, playback.0.input(frame.0, seat.0));
    }
}
