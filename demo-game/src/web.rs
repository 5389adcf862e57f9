//! The game in a page: what it asks of `web/page.js`, and what it tells about itself.
//!
//! The page's object `page` is called by name, so a missing function is a value that is missing, never a panic.
//!
//! Twice a second a JSON object about the running match is written to `document.body.dataset.report`: the numbers of
//! the headless report as far as a page has them, and the name of the screen. `?selftest` plays the recorded match
//! that is built in and writes its hashes to `document.body.dataset.selftest`.

use std::time::Duration;

use bevy::clipboard::Clipboard;
use bevy::prelude::*;
use bevy::time::common_conditions::on_timer;
use js_sys::{Array, Function, Reflect};
use netcode::prelude::*;
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};

use crate::app::run_windowed;
use crate::options::WindowOptions;
use crate::report::{Checksums, Numbers, relayed_peers};
use crate::screens::{Journey, RoomAddress, Screen, Settings};
use crate::selftest;
use crate::sim::MatchState;
use crate::ship_stats::{ShipReport, ShipStats, update_ship_stats};

/// Whether there is a window to close: a page cannot close itself.
pub(crate) const CAN_QUIT: bool = false;
/// Whether others can join a server that runs in the game: a page cannot listen.
pub(crate) const CAN_HOST: bool = false;
/// Time between two reports: often enough for whoever watches, rare enough to cost nothing.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// A server in the game, of which a page has none: see `host` for what the native game does.
#[derive(Debug)]
pub(crate) enum Host {}

impl Host {
    pub(crate) fn start() -> Result<Self, &'static str> {
        Err("a page cannot be a host: take the game itself")
    }

    pub(crate) fn server(&self) -> String {
        match *self {}
    }

    pub(crate) fn room(&self) -> &str {
        match *self {}
    }

    pub(crate) fn is_in_network(&self) -> bool {
        match *self {}
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        match *self {}
    }

    pub(crate) fn link(&self) -> Option<String> {
        match *self {}
    }
}

/// Runs the game, or the self-test, as the page's address asks. Returns at once; the browser calls back.
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
    // In a browser the app goes on after this; its exit is the end of the page.
    let _ = run_windowed(&options);
}

/// What a friend is told: the link to this page and room. `server` is where this page looks for rooms by itself.
pub(crate) fn invitation(address: &RoomAddress, server: &str) -> String {
    text(&call("link", &[&address.within(server)])).unwrap_or_else(|| address.url())
}

/// Whether fingers are the usual way to point here, as on a phone.
pub(crate) fn is_touch_first() -> bool {
    let window = js_sys::global();
    let Ok(Ok(ask)) = Reflect::get(&window, &"matchMedia".into()).map(JsCast::dyn_into::<Function>)
    else {
        return false;
    };
    let answer = ask.call1(&window, &"(pointer: coarse)".into());
    let matches = answer.and_then(|answer| Reflect::get(&answer, &"matches".into()));
    matches.is_ok_and(|matches| matches.is_truthy())
}

/// Calls a function of the page.
fn call(function: &str, arguments: &[&str]) -> JsValue {
    let page = Reflect::get(&js_sys::global(), &"page".into()).unwrap_or(JsValue::UNDEFINED);
    let Ok(Ok(function)) = Reflect::get(&page, &function.into()).map(JsCast::dyn_into::<Function>)
    else {
        return JsValue::UNDEFINED;
    };
    let arguments: Array = arguments.iter().map(|argument| JsValue::from_str(argument)).collect();
    function.apply(&page, &arguments).unwrap_or(JsValue::UNDEFINED)
}

/// A text that the page gave; nothing where it gave none.
fn text(value: &JsValue) -> Option<String> {
    value.as_string().filter(|text| !text.is_empty())
}

/// A parameter of the page's address: empty where it has no value, `None` where it is not there.
fn query(name: &str) -> Option<String> {
    queries(name).into_iter().next()
}

fn queries(name: &str) -> Vec<String> {
    let values = call("query", &[name]);
    Array::from(&values).iter().filter_map(|value| value.as_string()).collect()
}

/// A number that nobody can foresee: for room codes and seeds of local matches.
pub(crate) fn random_number() -> u64 {
    (0..4).fold(0, |number, _| number << 16 | (js_sys::Math::random() * 65536.0) as u64)
}

/// Puts `text` onto the clipboard. How it went is known later: see [`copy_outcome`].
pub(crate) fn copy_text(_clipboard: &mut Clipboard, text: &str) -> Option<bool> {
    call("copy", &[text]);
    None
}

/// Whether the text that was copied last is on the clipboard; nothing while that is not known.
pub(crate) fn copy_outcome() -> Option<bool> {
    call("copied", &[]).as_bool()
}

/// Text that was pasted since the last call. The browser tells of it by an event, whatever the keys for it are.
pub(crate) fn take_pasted_text(_clipboard: &mut Clipboard, _is_asked: bool) -> Option<String> {
    text(&call("takePasted", &[]))
}

/// Asks for a text: no keyboard comes up for a canvas.
pub(crate) fn ask_for_text(caption: &str, value: &str) -> Option<String> {
    text(&call("ask", &[caption, value]))
}

/// Shows the room in the page's address, so that the address is the link.
pub(crate) fn show_room(room: Option<&str>) {
    call("showRoom", &[room.unwrap_or_default()]);
}

/// Keeps the name for the next visit.
pub(crate) fn remember_name(name: &str) {
    call("rememberName", &[name]);
}

/// The name of the last visit.
pub(crate) fn player_name() -> Option<String> {
    text(&call("playerName", &[]))
}

/// The server that brought the page.
pub(crate) fn page_server() -> Option<String> {
    text(&call("server", &[]))
}

/// Adds what only a page needs.
pub(crate) fn add_page(app: &mut App) {
    app.init_resource::<PageReport>()
        .add_systems(Startup, || {
            call("started", &[]);
        })
        .add_systems(PreUpdate, draw_what_is_seen.after(NetcodeSystems::Receive))
        .init_resource::<ShipStats>()
        .add_systems(Update, (begin_report, update_ship_stats).chain())
        .add_systems(PostUpdate, tell_report.run_if(on_timer(REPORT_EVERY)));
}

/// A hidden page is not drawn: the graphics card would be behind by all of that when it is seen again.
fn draw_what_is_seen(lobby: Res<Lobby>, mut cameras: Query<&mut Camera>) {
    for mut camera in &mut cameras {
        if camera.is_active == lobby.away {
            camera.is_active = !lobby.away;
        }
    }
}

/// What the page tells about the match that runs, or ran last.
#[derive(Resource, Default, Serialize)]
struct PageReport {
    screen: &'static str,
    state: String,
    end_reason: Option<String>,
    room: Option<String>,
    link: Option<String>,
    /// Of the match that runs, in hexadecimal digits.
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

/// A new match begins a new report.
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
    (journey, settings): (Res<Journey>, Res<Settings>),
    state: Option<Res<MatchState>>,
    (seed, log, ship_stats): (Res<MatchSeed>, Res<ChecksumLog>, Res<ShipStats>),
    mut report: ResMut<PageReport>,
) {
    report.screen = screen.name();
    (report.state, report.end_reason) = match &*session {
        SessionState::Ended(reason) => ("Ended".to_owned(), Some(reason.to_string())),
        state => (format!("{state:?}"), None),
    };
    report.room = journey.address().map(|address| address.room.clone());
    report.link = journey.invitation(&settings);
    // After the match the roster is empty, too.
    if let Some(seat) = roster.local_seats().next() {
        report.seat = Some(seat.0);
    }
    report.peers = lobby.peers.len();
    report.ready = lobby.ready;
    report.blocker = lobby.blocker().map(|blocker| blocker.to_string());
    report.rtt_ms = lobby.mean_rtt().unwrap_or_default().as_secs_f64() * 1000.0;
    if session.is_running() {
        report.relayed_peers = relayed_peers(&lobby);
        report.seed = Some(format!("{:016x}", seed.0));
        report.numbers = Numbers::default();
        report.numbers.add_match(&stats);
        report.numbers.sample_rates(&stats);
    }
    // The log keeps the last two minutes, also after the match.
    report.checksums = Checksums::default();
    report.checksums.add(1, log.iter());
    report.ships = ship_stats.iter().filter_map(|(seat, stats)| stats.report(seat, None)).collect();
    // After the match the world is empty; the report keeps how it came out.
    if let Some(state) = state.filter(|state| state.seats > 0) {
        report.score = state.score().to_vec();
        report.round = state.round;
    }
    if let Ok(json) = serde_json::to_string(&*report) {
        call("tell", &["report", &json]);
    }
}
