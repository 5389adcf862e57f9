//! The game in a page: its start, and its report.
//!
//! Twice a second a JSON object about the running match is written to
//! `document.body.dataset.report`: the same numbers as in the headless report, as far as a page has
//! them, and the name of the screen. `?selftest` plays the recorded match that is built in and
//! writes its hashes to `document.body.dataset.selftest`.

use std::time::Duration;

use bevy::prelude::*;
use bevy::time::common_conditions::on_timer;
use netcode::prelude::*;
use serde::Serialize;

use crate::app::windowed;
use crate::options::WindowOptions;
use crate::page::{call, queries, query, text};
use crate::report::{Checksums, Numbers, relayed_peers};
use crate::screen::Screen;
use crate::screens::current_match::CurrentMatch;
use crate::screens::settings::Settings;
use crate::selftest;
use crate::ship_stats::{ShipReport, ShipStats, update_ship_stats};
use crate::sim::MatchState;

/// Time between two reports: often enough for tests, rare enough to cost nothing.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// Runs the game, or the self-test, as the page's address asks. Returns at once; the browser calls
/// back.
pub fn main() {
    if query("selftest").is_some() {
        let outcome = match selftest::run(selftest::RECORDING) {
            Ok(report) => report.to_string(),
            Err(error) => format!("failed: {error}"),
        };
        call("tell", &["selftest", &outcome]);
        return;
    }
    let stun_servers =
        query("ice").map(|_| queries("ice").into_iter().filter(|url| !url.is_empty()).collect());
    let options = WindowOptions {
        server: query("server"),
        room: text(&call("room", &[])),
        is_host: false,
        name: query("name"),
        ready_at: query("ready").map(|players| players.parse().unwrap_or(1)),
        is_low: query("low").is_some(),
        size: None,
        stun_servers,
        is_relay_only: query("relay").is_some(),
    };
    let mut app = windowed(&options);
    add_report(&mut app);
    // In a browser the app keeps running after this returns, until the page is closed.
    let _ = app.run();
}

/// Adds what only a page needs.
fn add_report(app: &mut App) {
    app.init_resource::<PageReport>()
        .add_systems(Startup, || {
            call("started", &[]);
        })
        .add_systems(PreUpdate, pause_hidden_camera.after(NetcodeSystems::Receive))
        .init_resource::<ShipStats>()
        .add_systems(Update, (begin_report, update_ship_stats).chain())
        .add_systems(PostUpdate, tell_report.run_if(on_timer(REPORT_EVERY)));
}

/// Draws nothing while the page is hidden: otherwise the graphics card would have to catch up on
/// all these frames once the page is visible again.
fn pause_hidden_camera(lobby: Res<Lobby>, mut cameras: Query<&mut Camera>) {
    for mut camera in &mut cameras {
        if camera.is_active == lobby.is_hidden {
            camera.is_active = !lobby.is_hidden;
        }
    }
}

/// The page's report about the match that is running, or ran last.
#[derive(Resource, Default, Serialize)]
struct PageReport {
    screen: &'static str,
    state: String,
    end_reason: Option<String>,
    room: Option<String>,
    link: Option<String>,
    /// The seed of the match that is running, in hexadecimal digits.
    seed: Option<String>,
    seat: Option<u8>,
    peers: usize,
    relayed_peers: usize,
    ready: bool,
    blocker: Option<String>,
    #[serde(flatten)]
    numbers: Numbers,
    rtt_ms: f64,
    score: Vec<u8>,
    round: u16,
    #[serde(flatten)]
    checksums: Checksums,
    ships: Vec<ShipReport>,
}

/// The name of a screen in the report.
fn screen_name(screen: Screen) -> &'static str {
    match screen {
        Screen::Menu => "menu",
        Screen::Join => "join",
        Screen::Lobby => "lobby",
        Screen::Match => "match",
        Screen::Results => "results",
        Screen::Failure => "trouble",
    }
}

/// Begins a new report when a match begins.
fn begin_report(
    mut changes: MessageReader<SessionChanged>,
    mut ship_stats: ResMut<ShipStats>,
    mut report: ResMut<PageReport>,
) {
    if changes.read().filter(|change| change.to.is_running()).count() > 0 {
        *report = PageReport::default();
        *ship_stats = ShipStats::default();
    }
}

fn tell_report(
    screen: Res<Screen>,
    session: Res<SessionState>,
    lobby: Res<Lobby>,
    roster: Res<Roster>,
    stats: Res<SessionStats>,
    (current, settings): (Res<CurrentMatch>, Res<Settings>),
    state: Option<Res<MatchState>>,
    (seed, log, ship_stats): (Res<MatchSeed>, Res<ChecksumLog>, Res<ShipStats>),
    mut report: ResMut<PageReport>,
) {
    report.screen = screen_name(*screen);
    (report.state, report.end_reason) = match &*session {
        SessionState::Ended(reason) => ("Ended".to_owned(), Some(reason.to_string())),
        state => (format!("{state:?}"), None),
    };
    report.room = current.address().map(|address| address.room.clone());
    report.link = current.invitation(&settings);
    // After the match the roster is empty; the report keeps the seat.
    if let Some(seat) = roster.local_seats().next() {
        report.seat = Some(seat.0);
    }
    report.peers = lobby.peers.len();
    report.ready = lobby.is_ready;
    report.blocker = lobby.blocker().map(|blocker| blocker.to_string());
    report.rtt_ms = lobby.mean_rtt().unwrap_or_default().as_secs_f64() * 1000.0;
    if session.is_running() {
        report.relayed_peers = relayed_peers(&lobby);
        report.seed = Some(format!("{:016x}", seed.0));
        report.numbers = Numbers::default();
        report.numbers.add_match(&stats);
        report.numbers.sample_rates(&stats);
    }
    // The log keeps the last two minutes, even after the match.
    report.checksums = Checksums::default();
    report.checksums.add(1, log.iter());
    report.ships = ship_stats.iter().filter_map(|(seat, stats)| stats.report(seat, None)).collect();
    // After the match the world is empty; the report keeps the result.
    if let Some(state) = state.filter(|state| state.seats > 0) {
        report.score = state.score().to_vec();
        report.round = state.round;
    }
    if let Ok(json) = serde_json::to_string(&*report) {
        call("tell", &["report", &json]);
    }
}
