//! The windowed game: the simulation with the network, the drawing, the screens and the devices
//! around it.

use bevy::log::LogPlugin;
use bevy::prelude::*;
use bevy::window::{PresentMode, WindowResolution};
use bevy::winit::WinitSettings;
use netcode::{LOG_FILTER, NetcodeOverlayPlugin};

use crate::devices::DevicesPlugin;
use crate::options::{DEFAULT_SERVER, WindowOptions};
use crate::platform;
use crate::present::{PresentPlugin, Quality};
use crate::screens::settings::Settings;
use crate::screens::{GAME_TITLE, MAX_NAME, ScreensPlugin};

/// Default size of the window: the arena at one pixel per unit.
const WINDOW: (u32, u32) = (1280, 720);

fn settings(options: &WindowOptions) -> Settings {
    let names = [options.name.clone(), platform::player_name(), Some("Player".to_owned())];
    let mut names = names.into_iter().flatten();
    let name = names.find(|name| !name.trim().is_empty()).unwrap_or_default();
    let server = options
        .server
        .clone()
        .or_else(platform::page_server)
        .unwrap_or_else(|| DEFAULT_SERVER.to_owned());
    Settings {
        name: name.trim().chars().take(MAX_NAME).collect(),
        server,
        stun_servers: options.stun_servers.clone(),
        is_relay_only: options.is_relay_only,
        room: options.room.clone(),
        is_host: options.is_host,
        ready_at: options.ready_at,
        bots: 1,
        is_public: false,
        strangers: 2,
    }
}

fn window(options: &WindowOptions) -> Window {
    let (width, height) = options.size.unwrap_or(WINDOW);
    Window {
        title: GAME_TITLE.to_owned(),
        resolution: WindowResolution::new(width, height),
        // Nothing tears, and only frames that are shown are drawn; the simulation keeps its own
        // time.
        present_mode: PresentMode::AutoVsync,
        canvas: Some("#game".to_owned()),
        fit_canvas_to_parent: true,
        // The page stops keys from scrolling it, and leaves all other keys to the browser.
        prevent_default_event_handling: false,
        ..default()
    }
}

/// The game and its netcode log what they do, all other crates only warnings; `RUST_LOG` replaces
/// this.
fn log_filter() -> String {
    format!("warn,demo_game=info,netcode=info,{LOG_FILTER}")
}

/// Opens the window and plays until it is closed.
pub fn run_windowed(options: &WindowOptions) -> AppExit {
    windowed(options).run()
}

/// Builds the game as an app, ready to run.
pub(crate) fn windowed(options: &WindowOptions) -> App {
    let mut app = App::new();
    app.add_plugins(
        DefaultPlugins
            .set(WindowPlugin { primary_window: Some(window(options)), ..default() })
            .set(LogPlugin { filter: log_filter(), ..default() }),
    )
    // A match goes on while another window has the focus.
    .insert_resource(WinitSettings::continuous())
    .insert_resource(settings(options))
    .insert_resource(Quality::new(options.is_low))
    .add_plugins((
        crate::DuelPlugin::default(),
        NetcodeOverlayPlugin,
        DevicesPlugin,
        ScreensPlugin,
        PresentPlugin,
    ));
    app
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_filter_keeps_bevys_own_rules() {
        let filter = log_filter();
        let parts = bevy::log::DEFAULT_FILTER.split(',').filter(|part| !part.is_empty());
        for part in parts {
            assert!(filter.split(',').any(|own| own == part), "{part}");
        }
    }
}
