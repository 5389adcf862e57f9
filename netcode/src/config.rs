//! How a game wants its sessions run. Checked once, when the plugin is built.

use std::time::Duration;

use bevy::prelude::Resource;
use thiserror::Error;

/// Longer windows and delays than a second are no game any more.
const MAX_WINDOW_FRAMES: u8 = 60;
/// ggrs keeps 128 frames of inputs per seat and panics beyond. A peer that was let run on is ahead of one that stood still
/// by the inputs it has of it (its delay) and its own window, and sends inputs of its own delay further on.
const MAX_FRAMES_AHEAD: u32 = 120;
/// More seats than this make the input datagrams of a full mesh larger than one packet.
pub(crate) const MAX_SEATS: u8 = 16;
/// Longest game id and version, in bytes: they are shown in one line.
pub(crate) const MAX_ID_BYTES: usize = 64;

/// Settings of the plugin. The defaults suit an action game for two to four players.
///
/// All peers of a match must agree on `fps`, `checksum_interval`, `game_id`, `game_version` and the registered types; this is
/// checked when they meet, and a peer that differs is refused with a sentence.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct NetcodeConfig {
    /// Simulation steps per second, 1 to 240. Default 60, the refresh rate that most players have.
    pub fps: u16,
    /// Names the game, at most 64 bytes. Peers with another id are refused. Default `"game"`.
    pub game_id: String,
    /// Names the build as players know it, at most 64 bytes; shown when two builds do not fit. Default `"0"`.
    pub game_version: String,
    /// Frames that a local input waits before it is used, 0 to 60 (`prediction_window + 2 * input_delay` at most 120). More delay, fewer and shorter rollbacks.
    /// Default 2 (33 ms at 60 fps): hides most rollbacks below 70 ms of round-trip time.
    pub input_delay: u8,
    /// Frames that may be predicted before the simulation stalls, 1 to 60. Default 8 (133 ms at 60 fps).
    pub prediction_window: u8,
    /// Silence after which a peer counts as gone. Default 2.25 s: the others learn of a crash well within 3 s,
    /// and a page that stands still while its shaders are compiled is not taken for one.
    pub peer_timeout: Duration,
    /// Silence after which a peer is shown as quiet. Default 0.5 s: longer than any jitter, short enough to explain a stall.
    pub quiet_after: Duration,
    /// Time for all peers of a line-up to begin their session. Default 10 s, the time a slow browser needs to load a match.
    pub start_timeout: Duration,
    /// Frames between two checksums that peers compare, at least 1. Default 30 (two a second at 60 fps).
    pub checksum_interval: u16,
    /// Seats that a match has at least. Default 2.
    pub min_players: u8,
    /// Seats that a match has at most, up to 16. Default 4.
    pub max_players: u8,
}

impl Default for NetcodeConfig {
    fn default() -> Self {
        Self {
            fps: 60,
            game_id: "game".into(),
            game_version: "0".into(),
            input_delay: 2,
            prediction_window: 8,
            peer_timeout: Duration::from_millis(2250),
            quiet_after: Duration::from_millis(500),
            start_timeout: Duration::from_secs(10),
            checksum_interval: 30,
            min_players: 2,
            max_players: 4,
        }
    }
}

impl NetcodeConfig {
    /// Checks that the settings fit together.
    ///
    /// # Errors
    ///
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.fps == 0 || self.fps > 240 {
            return Err(ConfigError::Fps(self.fps));
        }
        if self.prediction_window == 0 || self.prediction_window > MAX_WINDOW_FRAMES {
            return Err(ConfigError::PredictionWindow(self.prediction_window));
        }
        if self.input_delay > MAX_WINDOW_FRAMES {
            return Err(ConfigError::InputDelay(self.input_delay));
        }
        if u32::from(self.prediction_window) + 2 * u32::from(self.input_delay) > MAX_FRAMES_AHEAD {
            return Err(ConfigError::WindowAndDelay {
                window: self.prediction_window,
                delay: self.input_delay,
            });
        }
        if self.checksum_interval == 0 {
            return Err(ConfigError::ChecksumInterval);
        }
        if self.min_players == 0
            || self.min_players > self.max_players
            || self.max_players > MAX_SEATS
        {
            return Err(ConfigError::Players { min: self.min_players, max: self.max_players });
        }
        if self.quiet_after >= self.peer_timeout {
            return Err(ConfigError::QuietAfterTimeout);
        }
        if self.game_id.len() > MAX_ID_BYTES || self.game_version.len() > MAX_ID_BYTES {
            return Err(ConfigError::NameTooLong);
        }
        Ok(())
    }

    /// Length of one simulation step.
    #[must_use]
    pub fn step_duration(&self) -> Duration {
        Duration::from_secs(1) / u32::from(self.fps)
    }
}

/// Why a [`NetcodeConfig`] was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `fps` is 0 or above 240.
    #[error("fps is {0}; choose 1 to 240")]
    Fps(u16),
    /// `prediction_window` is 0 or above 60.
    #[error("prediction_window is {0} frames; choose 1 to 60")]
    PredictionWindow(u8),
    /// `input_delay` is above 60.
    #[error("input_delay is {0} frames; choose 0 to 60")]
    InputDelay(u8),
    /// `prediction_window` and `input_delay` are too much together.
    #[error(
        "prediction_window is {window} and input_delay is {delay} frames; window + 2 x delay may be at most 120"
    )]
    WindowAndDelay {
        /// The prediction window.
        window: u8,
        /// The input delay.
        delay: u8,
    },
    /// `checksum_interval` is 0.
    #[error("checksum_interval is 0 frames; choose at least 1")]
    ChecksumInterval,
    /// `min_players` and `max_players` do not fit.
    #[error("min_players is {min} and max_players is {max}; choose 1 <= min <= max <= 16")]
    Players {
        /// The refused minimum.
        min: u8,
        /// The refused maximum.
        max: u8,
    },
    /// `quiet_after` is not shorter than `peer_timeout`.
    #[error("quiet_after must be shorter than peer_timeout")]
    QuietAfterTimeout,
    /// `game_id` or `game_version` is over 64 bytes.
    #[error("game_id and game_version are at most 64 bytes each")]
    NameTooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert_eq!(NetcodeConfig::default().validate(), Ok(()));
    }

    #[test]
    fn each_bad_setting_is_named() {
        let check = |change: fn(&mut NetcodeConfig)| {
            let mut config = NetcodeConfig::default();
            change(&mut config);
            config.validate()
        };
        assert_eq!(check(|c| c.fps = 0), Err(ConfigError::Fps(0)));
        assert_eq!(check(|c| c.fps = 241), Err(ConfigError::Fps(241)));
        assert_eq!(check(|c| c.prediction_window = 0), Err(ConfigError::PredictionWindow(0)));
        assert_eq!(check(|c| c.input_delay = 61), Err(ConfigError::InputDelay(61)));
        assert_eq!(
            check(|c| (c.prediction_window, c.input_delay) = (60, 31)),
            Err(ConfigError::WindowAndDelay { window: 60, delay: 31 })
        );
        assert_eq!(check(|c| (c.prediction_window, c.input_delay) = (60, 30)), Ok(()));
        assert_eq!(check(|c| c.checksum_interval = 0), Err(ConfigError::ChecksumInterval));
        assert_eq!(check(|c| c.min_players = 5), Err(ConfigError::Players { min: 5, max: 4 }));
        assert_eq!(check(|c| c.max_players = 17), Err(ConfigError::Players { min: 2, max: 17 }));
        assert_eq!(check(|c| c.quiet_after = c.peer_timeout), Err(ConfigError::QuietAfterTimeout));
        assert_eq!(check(|c| c.game_id = "x".repeat(65)), Err(ConfigError::NameTooLong));
    }
}
