//! The settings of a game's sessions. They are checked once, when the plugin is built.

use std::time::Duration;

use bevy::prelude::Resource;
use thiserror::Error;

/// No game is playable with a window or a delay of more than a second (at 60 fps).
const MAX_WINDOW_FRAMES: u8 = 60;
/// ggrs keeps 128 frames of inputs per seat, beginning one window behind the current frame. A peer
/// can be ahead of us by at most our delay and its window, and its inputs reach further ahead by
/// its own delay: two windows and two delays have to fit, with some room to spare.
pub(crate) const MAX_WINDOW_AND_DELAY: u8 = 60;
/// With more seats than this, the input datagrams of a full mesh would not fit into one packet.
pub(crate) const MAX_SEATS: u8 = 16;
/// The number of messages that a peer sends in one second if another peer gets ready, leaves the
/// lobby and comes back in that second.
const MIN_CONTROL_PER_S: u32 = 10;
/// A machine says more than that, on both channels, while the roster of a match changes.
const MIN_CONTROL_PER_S_GOING_ON: u32 = 100;
const MORE_DATAGRAMS_PER_S_GOING_ON: u32 = 200;
/// Fewer bulk messages a second would make every transfer slow: these are 160 kB at most.
const MIN_BULK_PER_S: u32 = 10;
/// The longest game id and the longest game version, in bytes: each is shown in one line.
pub(crate) const MAX_ID_BYTES: usize = 64;

/// Settings of the plugin. The defaults suit an action game for two to four players.
///
/// All peers of a match must agree on `fps`, `checksum_interval`, `game_id`, `game_version` and the
/// registered types, in the same order. Peers check this when they meet, and refuse a peer that
/// differs, with a sentence that says why. What the simulation computes cannot be compared at that
/// point.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct NetcodeConfig {
    /// Simulation steps per second, 1 to 240. Default 60, the refresh rate that most players have.
    pub fps: u16,
    /// Identifies the game, at most 64 bytes. Peers with another id are refused. Default `"game"`.
    pub game_id: String,
    /// The version of the build that players know, at most 64 bytes; shown when two builds do not
    /// match. Change it whenever the simulation changes. Default `"0"`.
    pub game_version: String,
    /// Frames that a local input waits before it is used: a longer delay means fewer and shorter
    /// rollbacks. At most 60 together with `prediction_window`. Default adaptive, 1 to 6 frames (17
    /// to 100 ms at 60 fps): as short as the network allows, and never long enough that players
    /// take it for lag.
    pub input_delay: InputDelay,
    /// Frames that may be predicted before the simulation stalls, 1 to 60. Default 8 (133 ms at 60
    /// fps).
    pub prediction_window: u8,
    /// Silence after which a peer counts as lost if the signaling server has lost it, too: it
    /// crashed, or its page was closed. Default 2.25 s, so that the other peers notice it well
    /// within 3 s.
    pub peer_timeout: Duration,
    /// Silence after which any peer counts as lost, at least `peer_timeout`. Default 10 s: its
    /// network, or ours, may be down for some seconds, and a data channel without an answer retries
    /// only after 1, 3 and 7 s.
    pub outage_timeout: Duration,
    /// Silence after which a peer is shown as quiet. Default 0.5 s: longer than any jitter, short
    /// enough to explain a stall.
    pub quiet_after: Duration,
    /// Time within which all peers of a match must begin their session. Default 10 s, the time that
    /// a slow browser needs to load a match.
    pub start_timeout: Duration,
    /// Frames between two checksums that peers compare, at least 1. Default 30 (two a second at 60
    /// fps).
    pub checksum_interval: u16,
    /// The minimum number of seats in a match. Default 2.
    pub min_players: u8,
    /// The maximum number of seats in a match, at most 16. Default 4.
    pub max_players: u8,
    /// Decides when a match that some peers have finished is over for the other peers, too. Default
    /// [`FinishPolicy::Everyone`]: each peer plays until it finishes itself.
    pub finish_policy: FinishPolicy,
    /// Decides what becomes of a match of three or more machines that loses one of them. Default
    /// [`DeparturePolicy::GoOn`]: nobody loses a match because another one left it. The same on all
    /// peers.
    pub departure_policy: DeparturePolicy,
    /// Decides what becomes of a match of two machines that loses one of them. Default
    /// [`PairPolicy::EndMatch`]: there is nobody left to play with. The same on all peers.
    pub pair_policy: PairPolicy,
    /// Decides who plays the seats of a machine that was lost, if the match goes on without it.
    /// Default [`StandIn::Nobody`]. The same on all peers.
    pub stand_in: StandIn,
    /// The time for which the seats of a machine that was lost are kept for it, if the match goes
    /// on without it. Default 30 s: most networks are back by then.
    pub seat_hold: Duration,
    /// Decides who may pause an online match. Default [`PausePolicy::Anyone`], which is right among
    /// friends. The same on all peers.
    pub pause_policy: PausePolicy,
    /// Whether the owner of the room may remove players from a match in which the owner plays, by
    /// [`RoomRequest::Kick`](signaling::lobby::RoomRequest::Kick). Default true. The same on all
    /// peers.
    pub owner_may_kick: bool,
    /// How much a peer may send. A peer that sends much more is removed from the match.
    pub flood_limits: FloodLimits,
}

/// Decides what becomes of a match that began with three or more machines and loses one of them:
/// its player left the room, its program crashed, or its network is down. [`PairPolicy`] is about
/// matches of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeparturePolicy {
    /// It ends for all.
    EndMatch,
    /// It goes on, as long as more than half of the machines reach each other. They agree on the
    /// frame from which the lost one no longer plays, so that all of them go on with the same
    /// inputs. From then on its seats get default inputs, and [`Roster`](crate::Roster) says so. A
    /// machine that is heard again within [`NetcodeConfig::seat_hold`] catches up, and gets its
    /// seats back.
    ///
    /// A frame is final only once more than half of the machines have all inputs for it; without a
    /// change of the roster, that is up to one round trip later than with `EndMatch`.
    #[default]
    GoOn,
    /// As `GoOn`, but the match stands still while the seat of a machine is kept: until it is back,
    /// its [`NetcodeConfig::seat_hold`] is over, or more than half of the machines ask to go on, by
    /// [`PauseMatch`](crate::PauseMatch). A machine that left the room is not waited for.
    Wait,
}

/// Decides what becomes of a match that began with two machines and loses one of them.
///
/// With either, a machine that is only silent is waited for: the match stands still once the
/// prediction window is used up, and ends after [`NetcodeConfig::outage_timeout`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PairPolicy {
    /// It ends.
    #[default]
    EndMatch,
    /// It goes on as by [`DeparturePolicy::GoOn`] if the other machine left, or if its connection
    /// closed and this machine has the lower seat. While the other one is only silent, neither can
    /// know which of the two was lost, so neither goes on.
    GoOn,
}

/// Decides who may pause an online match: see [`PauseMatch`](crate::PauseMatch).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PausePolicy {
    /// Any player that holds a seat.
    #[default]
    Anyone,
    /// Nobody: right among strangers, for whom a pause is a way to annoy.
    Nobody,
}

/// Decides who plays a seat whose machine is away or gone: [`SeatState::Away`] or
/// [`SeatState::Empty`].
///
/// [`SeatState::Away`]: crate::SeatState::Away
/// [`SeatState::Empty`]: crate::SeatState::Empty
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StandIn {
    /// Nobody: the seat has default inputs. Right where a bot would be unfair, or does not exist.
    #[default]
    Nobody,
    /// The bot that the game adds to [`PlayBots`](crate::PlayBots). It hands the seat back as soon
    /// as the player returns.
    Bot,
}

/// Decides when a match that some peers have finished is over for the other peers, too. Until then
/// they play on, and the seats of the peers that have finished get default inputs.
///
/// If the rules of the game end the match, all peers finish it together, at the same frame. This
/// policy is about a peer that finishes on its own, such as one that goes back to the lobby before
/// the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FinishPolicy {
    /// When every peer has finished it: each peer finishes only for itself.
    #[default]
    Everyone,
    /// When more than half of all peers of the match have finished it.
    Majority,
    /// When one peer has finished it: any player can end the match for all.
    First,
}

impl FinishPolicy {
    /// Returns whether a match of `peers` peers is over for all of them, once `finished` of them
    /// have finished it.
    pub(crate) fn is_over(self, finished: usize, peers: usize) -> bool {
        match self {
            Self::Everyone => false,
            Self::Majority => 2 * finished > peers,
            Self::First => finished > 0,
        }
    }
}

/// How long a local input waits before it is used.
///
/// The wait gives the input time to reach the other peers before they simulate its frame, so that
/// they need not predict it. The player who presses the button feels the wait as lag, which begins
/// to be noticed at about 3 frames at 60 fps (50 ms).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputDelay {
    /// Always this number of frames.
    Fixed(u8),
    /// The shortest delay with which the other peers need to predict no more than two frames of our
    /// inputs, 95 times out of 100. It grows within a second when the network gets worse, and
    /// shrinks by one frame at a time, once the shorter delay would have been enough for eight
    /// seconds. A change waits until the inputs stay the same for a moment, so that none is lost or
    /// used twice; but it waits for at most three seconds, because the inputs of a stick hardly
    /// ever stay the same.
    Adaptive {
        /// The minimum, in frames.
        min: u8,
        /// The maximum, in frames.
        max: u8,
    },
}

impl InputDelay {
    /// Returns the longest delay, in frames.
    #[must_use]
    pub const fn max(self) -> u8 {
        match self {
            Self::Fixed(frames) => frames,
            Self::Adaptive { max, .. } => max,
        }
    }

    /// Returns the same setting, but with no delay longer than `frames`.
    pub(crate) fn at_most(self, frames: u8) -> Self {
        match self {
            Self::Fixed(fixed) => Self::Fixed(fixed.min(frames)),
            Self::Adaptive { min, max } => {
                let max = max.min(frames);
                Self::Adaptive { min: min.min(max), max }
            }
        }
    }

    /// Returns the allowed delay that is nearest to `wanted` frames.
    pub(crate) fn nearest(self, wanted: u32) -> u8 {
        match self {
            Self::Fixed(frames) => frames,
            Self::Adaptive { min, max } => u8::try_from(wanted).unwrap_or(u8::MAX).clamp(min, max),
        }
    }
}

/// The number of packets that are read from one peer, per second and channel. That number may
/// arrive in one burst, plus the packets that arrived while this machine was frozen. The rest is
/// dropped unread; a peer that exceeds the limit by a whole second's worth is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloodLimits {
    /// Datagrams, at least 4 times `fps`, and 200 more with [`DeparturePolicy::GoOn`]. Default
    /// 1000: an honest peer sends one per frame, so at most 240, and up to 100 while the roster
    /// changes.
    pub datagrams_per_s: u32,
    /// Control messages, at least 10, or 100 with [`DeparturePolicy::GoOn`]. Default 200: an honest
    /// peer sends some when a peer joins or leaves, and some checksums.
    pub control_per_s: u32,
    /// Bulk messages, at least 10. Default 200, which is 3.3 MB: an honest peer sends none yet.
    pub bulk_per_s: u32,
}

impl Default for FloodLimits {
    fn default() -> Self {
        Self { datagrams_per_s: 1000, control_per_s: 200, bulk_per_s: 200 }
    }
}

impl Default for NetcodeConfig {
    fn default() -> Self {
        Self {
            fps: 60,
            game_id: "game".into(),
            game_version: "0".into(),
            input_delay: InputDelay::Adaptive { min: 1, max: 6 },
            prediction_window: 8,
            peer_timeout: Duration::from_millis(2250),
            outage_timeout: Duration::from_secs(10),
            quiet_after: Duration::from_millis(500),
            start_timeout: Duration::from_secs(10),
            checksum_interval: 30,
            min_players: 2,
            max_players: 4,
            finish_policy: FinishPolicy::default(),
            departure_policy: DeparturePolicy::default(),
            pair_policy: PairPolicy::default(),
            stand_in: StandIn::default(),
            seat_hold: Duration::from_secs(30),
            pause_policy: PausePolicy::default(),
            owner_may_kick: true,
            flood_limits: FloodLimits::default(),
        }
    }
}

impl NetcodeConfig {
    /// Checks that the settings fit together.
    ///
    /// # Errors
    ///
    /// Returns the first setting that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.fps == 0 || self.fps > 240 {
            return Err(ConfigError::Fps(self.fps));
        }
        if self.prediction_window == 0 || self.prediction_window > MAX_WINDOW_FRAMES {
            return Err(ConfigError::PredictionWindow(self.prediction_window));
        }
        if let InputDelay::Adaptive { min, max } = self.input_delay
            && min > max
        {
            return Err(ConfigError::InputDelay { min, max });
        }
        if self.prediction_window.saturating_add(self.input_delay.max()) > MAX_WINDOW_AND_DELAY {
            return Err(ConfigError::WindowAndDelay {
                window: self.prediction_window,
                delay: self.input_delay.max(),
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
        if self.outage_timeout < self.peer_timeout {
            return Err(ConfigError::OutageTimeout);
        }
        if !self.are_flood_limits_sound() {
            return Err(ConfigError::FloodLimits);
        }
        if self.game_id.len() > MAX_ID_BYTES || self.game_version.len() > MAX_ID_BYTES {
            return Err(ConfigError::NameTooLong);
        }
        Ok(())
    }

    fn are_flood_limits_sound(&self) -> bool {
        let FloodLimits { datagrams_per_s, control_per_s, bulk_per_s } = self.flood_limits;
        let (more_datagrams, min_control) = match self.departure_policy {
            DeparturePolicy::EndMatch => (0, MIN_CONTROL_PER_S),
            DeparturePolicy::GoOn | DeparturePolicy::Wait => {
                (MORE_DATAGRAMS_PER_S_GOING_ON, MIN_CONTROL_PER_S_GOING_ON)
            }
        };
        datagrams_per_s >= 4 * u32::from(self.fps) + more_datagrams
            && control_per_s >= min_control
            && bulk_per_s >= MIN_BULK_PER_S
    }

    /// Returns the length of one simulation step.
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
    /// The minimum of an adaptive `input_delay` is above its maximum.
    #[error("input_delay is adaptive from {min} to {max} frames; choose min <= max")]
    InputDelay {
        /// The refused minimum.
        min: u8,
        /// The refused maximum.
        max: u8,
    },
    /// `prediction_window` and `input_delay` add up to more than 60.
    #[error(
        "prediction_window is {window} and input_delay is {delay} frames; together they may be at \
         most 60"
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
    /// `min_players` is 0, or above `max_players`, or `max_players` is above 16.
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
    /// `outage_timeout` is shorter than `peer_timeout`.
    #[error("outage_timeout must be at least peer_timeout")]
    OutageTimeout,
    /// `flood_limits` are below what honest peers send.
    #[error(
        "flood_limits are too low; allow at least 4 datagrams per frame, and 10 control and 10 \
         bulk messages per second; with DeparturePolicy::GoOn, 200 more datagrams and 100 control \
         messages per second"
    )]
    FloodLimits,
    /// `game_id` or `game_version` is over 64 bytes.
    #[error("game_id or game_version is too long; choose at most 64 bytes for each")]
    NameTooLong,
}

/// How a local match tests itself; see [`StartLocal`](crate::StartLocal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncTest {
    /// The number of frames that are rolled back after each frame: from 1 to
    /// [`NetcodeConfig::prediction_window`](crate::NetcodeConfig), or the match does not start.
    /// `None`: 1, 2, 3 and so on in turn.
    pub depth: Option<u8>,
    /// Whether to disturb what a sound game does not depend on: the order of entities in their
    /// tables, their `Entity` values (some are spawned again), and the number of steps in one
    /// update. A chaotic test also reads values back from their own bytes, and searches them for
    /// entities that they hold without declaring them. And if the match has several seats, they
    /// change hands now and then, as in a match of several machines: a player goes and comes back,
    /// a bot stands in, a seat stays empty, and the frame of the change is simulated again like
    /// any other. At least one seat is always played; the [`Roster`](crate::Roster) says which.
    /// It is for headless tests: an entity that is spawned again has lost its unregistered
    /// components, such as its sprite.
    pub is_chaotic: bool,
}

impl SyncTest {
    /// Rolls back by one frame, then by two, and so on up to the prediction window, then by one
    /// again.
    pub const EVERY_DEPTH: Self = Self { depth: None, is_chaotic: false };
    /// Like [`EVERY_DEPTH`](Self::EVERY_DEPTH), with the disturbances of
    /// [`is_chaotic`](Self::is_chaotic).
    pub const CHAOS: Self = Self { depth: None, is_chaotic: true };

    /// Rolls back by `frames` frames each time: from 1 to the prediction window, or the match does
    /// not start.
    #[must_use]
    pub const fn at_depth(frames: u8) -> Self {
        Self { depth: Some(frames), is_chaotic: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert_eq!(NetcodeConfig::default().validate(), Ok(()));
    }

    #[test]
    fn one_peer_ends_a_match_for_all_only_where_the_game_wants_it() {
        use FinishPolicy::{Everyone, First, Majority};
        let over = |policy: FinishPolicy, peers| {
            (0..peers).find(|&finished| policy.is_over(finished, peers))
        };
        assert_eq!([2, 3, 4, 16].map(|peers| over(Everyone, peers)), [None; 4]);
        assert_eq!(
            [2, 3, 4, 5].map(|peers| over(Majority, peers)),
            [None, Some(2), Some(3), Some(3)]
        );
        assert_eq!([2, 3, 4].map(|peers| over(First, peers)), [Some(1); 3]);
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
        let delay = |window, delay| {
            let config = NetcodeConfig {
                prediction_window: window,
                input_delay: delay,
                ..NetcodeConfig::default()
            };
            config.validate()
        };
        let too_much = |window, delay| Err(ConfigError::WindowAndDelay { window, delay });
        assert_eq!(delay(30, InputDelay::Fixed(31)), too_much(30, 31));
        assert_eq!(delay(1, InputDelay::Fixed(255)), too_much(1, 255));
        assert_eq!(delay(8, InputDelay::Adaptive { min: 0, max: 53 }), too_much(8, 53));
        assert_eq!(delay(30, InputDelay::Fixed(30)), Ok(()));
        assert_eq!(
            delay(8, InputDelay::Adaptive { min: 3, max: 2 }),
            Err(ConfigError::InputDelay { min: 3, max: 2 })
        );
        assert_eq!(check(|c| c.flood_limits.control_per_s = 9), Err(ConfigError::FloodLimits));
        assert_eq!(check(|c| c.flood_limits.bulk_per_s = 9), Err(ConfigError::FloodLimits));
        let going_on = |control_per_s, datagrams_per_s| {
            let config = NetcodeConfig {
                departure_policy: DeparturePolicy::GoOn,
                flood_limits: FloodLimits { datagrams_per_s, control_per_s, bulk_per_s: 10 },
                ..NetcodeConfig::default()
            };
            config.validate()
        };
        assert_eq!(going_on(99, 440), Err(ConfigError::FloodLimits));
        assert_eq!(going_on(100, 439), Err(ConfigError::FloodLimits));
        assert_eq!(going_on(100, 440), Ok(()));
        assert_eq!(check(|c| c.checksum_interval = 0), Err(ConfigError::ChecksumInterval));
        assert_eq!(check(|c| c.min_players = 5), Err(ConfigError::Players { min: 5, max: 4 }));
        assert_eq!(check(|c| c.max_players = 17), Err(ConfigError::Players { min: 2, max: 17 }));
        assert_eq!(check(|c| c.quiet_after = c.peer_timeout), Err(ConfigError::QuietAfterTimeout));
        assert_eq!(check(|c| c.outage_timeout = Duration::ZERO), Err(ConfigError::OutageTimeout));
        assert_eq!(check(|c| c.game_id = "x".repeat(65)), Err(ConfigError::NameTooLong));
    }
}
