//! A duel around a star for two to four ships, after Spacewar!: the game that proves the netcode.
//!
//! Data flows one way: devices and [`bots`] → [`input`] → [`sim`], which alone decides what happens
//! → drawing, sound and reports.

// The controls, and how to turn a ship with them.
pub mod input;
mod steering;

// The rules, and the bots that play by them.
pub mod sim;

pub mod bots;

// Recorded matches, and reports of matches.
pub mod recording;
pub mod selftest;

mod report;
mod ship_stats;

// How the game is started, and the peer without a window.
pub mod options;
mod room_code;

#[cfg(not(target_arch = "wasm32"))]
mod host;

#[cfg(not(target_arch = "wasm32"))]
pub mod headless;

#[cfg(not(target_arch = "wasm32"))]
pub mod cli;

// The window or the page: first the files that all others may use, last the entry points.
#[cfg(feature = "render")]
mod room_address;
#[cfg(feature = "render")]
mod screen;
#[cfg(feature = "render")]
mod view;

#[cfg(all(feature = "render", not(target_arch = "wasm32")))]
mod native;
#[cfg(all(feature = "render", target_arch = "wasm32"))]
mod page;

// Only this file knows the platform; all other files use `platform`.
#[cfg(all(feature = "render", not(target_arch = "wasm32")))]
use native as platform;
#[cfg(all(feature = "render", target_arch = "wasm32"))]
use page as platform;

#[cfg(feature = "render")]
mod devices;

#[cfg(feature = "render")]
mod present;

#[cfg(feature = "render")]
mod screens;

#[cfg(feature = "render")]
pub mod app;

#[cfg(all(feature = "render", target_arch = "wasm32"))]
pub mod web;

use bevy::prelude::{App, Plugin};
use netcode::prelude::{NetcodeConfig, NetcodePlugin};
use netcode::{DeparturePolicy, StandIn};

use crate::bots::BotPlugin;
use crate::input::Input;
use crate::sim::SimPlugin;
use crate::sim::tuning::{FPS, MAX_SEATS};

/// The version that players are shown when two builds do not match.
pub const GAME_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The name by which servers and peers know the game.
pub const GAME_ID: &str = "duel-around-a-star";

/// The game without drawing and sound: netcode, rules and bots. The same for windows, browsers and
/// the headless peer.
#[derive(Clone, Debug)]
pub struct DuelPlugin {
    /// The version that peers compare: [`GAME_VERSION`], except in tests of different versions.
    pub game_version: String,
    /// What becomes of a match of three or four players that loses one of them. Peers compare it.
    pub departure_policy: DeparturePolicy,
}

impl Default for DuelPlugin {
    fn default() -> Self {
        Self {
            game_version: GAME_VERSION.into(),
            // A party game: people come and go, and the others fly on.
            departure_policy: DeparturePolicy::GoOn,
        }
    }
}

impl Plugin for DuelPlugin {
    fn build(&self, app: &mut App) {
        let config = NetcodeConfig {
            fps: FPS,
            game_id: GAME_ID.into(),
            game_version: self.game_version.clone(),
            max_players: MAX_SEATS as u8,
            departure_policy: self.departure_policy,
            stand_in: StandIn::Bot,
            ..NetcodeConfig::default()
        };
        app.add_plugins((NetcodePlugin::<Input>::new(config), SimPlugin, BotPlugin));
    }
}
