//! A duel around a star for two to four ships, after Spacewar!: the game that proves the netcode.
//!
//! Data flows one way: devices and [`bots`] → [`input`] → [`sim`], which alone decides what happens
//! → whoever draws, sounds and reports.

// What is held, and how a nose is turned.
pub mod input;
mod steering;

// What happens.
pub mod sim;

pub mod bots;

// Matches that are kept, and what is reported of those that are played.
pub mod recording;
pub mod selftest;

mod report;
mod ship_stats;

// How the game is asked for.
pub mod options;
mod room_code;

#[cfg(not(target_arch = "wasm32"))]
mod host;

#[cfg(not(target_arch = "wasm32"))]
pub mod headless;

#[cfg(not(target_arch = "wasm32"))]
pub mod cli;

// The window or the page: from what everybody there may name to the programs.
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

// What differs between a window and a page goes by one name.
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

use crate::bots::BotPlugin;
use crate::input::Input;
use crate::sim::SimPlugin;
use crate::sim::tuning::{FPS, MAX_SEATS};

/// The version that players are told when two builds do not fit.
pub const GAME_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The name by which servers and peers know the game.
pub const GAME_ID: &str = "duel-around-a-star";

/// The game without its face: netcode, rules and bots. The same for windows, browsers and the
/// headless peer.
#[derive(Clone, Debug)]
pub struct DuelPlugin {
    /// The version that peers compare: [`GAME_VERSION`], except to try what happens when it
    /// differs.
    pub game_version: String,
}

impl Default for DuelPlugin {
    fn default() -> Self {
        Self { game_version: GAME_VERSION.into() }
    }
}

impl Plugin for DuelPlugin {
    fn build(&self, app: &mut App) {
        let config = NetcodeConfig {
            fps: FPS,
            game_id: GAME_ID.into(),
            game_version: self.game_version.clone(),
            max_players: MAX_SEATS as u8,
            ..NetcodeConfig::default()
        };
        app.add_plugins((NetcodePlugin::<Input>::new(config), SimPlugin, BotPlugin));
    }
}
