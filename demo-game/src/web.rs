//! The game in a page: what it asks of `web/page.js`, and what it tells about itself.
//!
//! The page's object `page` is called by name, so a missing function is a value that is missing, never a panic.
//!
//! Twice a second a JSON object about the running match is written to `document.body.dataset.report`: the numbers of
//! the headless report as far as a page has them, and the name of the screen. `?selftest` plays the recorded match
//! that is built in and writes its hashes to `document.body.dataset.selftest`.

use std::time::Duration;

use bevy::prelude::*;
use bevy::time::common_conditions::on_timer;
use js_sys::{Array, Function, Reflect};
use netcode::prelude::*;
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};

use crate::app::run_windowed;
use crate::options::WindowOptions;
use crate::screens::{Journey, RoomAddress, Screen};
use crate::selftest;
use crate::sim::arena::offset;
use crate::sim::{MatchState, Position, Ship};

/// Whether there is a window to close: a page cannot close itself.
pub(crate) const CAN_QUIT: bool = false;
/// Whether text can be put onto the clipboard.
pub(crate) const CAN_COPY: bool = true;

/// Checksums that a report holds: two minutes, as many as the session keeps.
const MAX_CHECKSUMS: usize = 256;
/// Time between two reports: often enough for whoever watches, rare enough to cost nothing.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// A ship cannot fly further between two looks at it: what moved more was put there by a new round.
const MAX_STRIDE: f32 = 200.0;

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
    let ice_servers =
        query("ice").map(|_| queries("ice").into_iter().filter(|url| !url.is_empty()).collect());
    let options = WindowOptions {
        server: query("server"),
        room: text(&call("room", &[])),
        name: query("name"),
        ready_at: query("ready").map(|players| players.parse().unwrap_or(1)),
        is_low: query("low").is_some(),
        size: None,
        ice_servers,
    };
    // In a browser the app goes on after this; its exit is the end of the page.
    let _ = run_windowed(&options);
}

/// What a friend is told: the link to this page and room.
pub(crate) fn invitation(address: &RoomAddress) -> String {
    address.link()
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

/// Puts `text` onto the clipboard.
pub(crate) fn copy_text(text: &str) {
    call("copy", &[text]);
}

/// Text that was pasted since the last call.
pub(crate) fn take_pasted_text() -> Option<String> {
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
        .add_systems(Update, watch_match)
        .add_systems(PostUpdate, tell_report.run_if(on_timer(REPORT_EVERY)));
}

/// What the page tells about the match that runs, or ran last.
#[derive(Resource, Default, Serialize)]
struct PageReport {
    screen: &'static str,
    state: String,
    end_reason: Option<String>,
    room: Option<String>,
    link: Option<String>,
    seat: Option<u8>,
    peers: usize,
    ready: bool,
    blocker: Option<String>,
    frames: u32,
    confirmed_frames: u32,
    rollbacks: u32,
    resimulated_frames: u32,
    max_rollback: u32,
    stalls: u32,
    desyncs: u32,
    rtt_ms: f64,
    datagrams_out_per_s: f32,
    datagrams_in_per_s: f32,
    bytes_out_per_s: f32,
    bytes_in_per_s: f32,
    dropped_packets: u32,
    score: Vec<u8>,
    round: u16,
    checksum_frame: Option<u32>,
    checksum: Option<String>,
    checksums: Vec<(u32, String)>,
    ships: Vec<ShipReport>,
}

/// Where a ship is, and how far it has flown.
#[derive(Clone, Copy, Default, Serialize)]
struct ShipReport {
    seat: u8,
    x: f32,
    y: f32,
    travelled: f32,
}

/// Follows ships and checksums; a new match begins a new report.
fn watch_match(
    mut changes: MessageReader<SessionChanged>,
    log: Res<ChecksumLog>,
    ships: Query<(&Ship, &Position)>,
    mut report: ResMut<PageReport>,
) {
    for change in changes.read() {
        if change.to.is_running() {
            *report = PageReport::default();
        }
    }
    // Frames become final in order, so the latest is the only one that can be new.
    if let Some((frame, checksum)) =
        log.latest().filter(|&(frame, _)| report.checksum_frame != Some(frame))
    {
        let hex = format!("{checksum:016x}");
        if report.checksums.len() == MAX_CHECKSUMS {
            report.checksums.remove(0);
        }
        report.checksums.push((frame, hex.clone()));
        (report.checksum_frame, report.checksum) = (Some(frame), Some(hex));
    }
    for (ship, position) in &ships {
        let place = position.0;
        let Some(known) = report.ships.iter_mut().find(|known| known.seat == ship.seat) else {
            report.ships.push(ShipReport {
                seat: ship.seat,
                x: place.x,
                y: place.y,
                travelled: 0.0,
            });
            continue;
        };
        let stride = offset(Vec2::new(known.x, known.y), place).length();
        if stride < MAX_STRIDE {
            known.travelled += stride;
        }
        (known.x, known.y) = (place.x, place.y);
    }
}

fn tell_report(
    screen: Res<Screen>,
    session: Res<SessionState>,
    lobby: Res<Lobby>,
    roster: Res<Roster>,
    stats: Res<SessionStats>,
    journey: Res<Journey>,
    state: Option<Res<MatchState>>,
    mut report: ResMut<PageReport>,
) {
    report.screen = screen.name();
    (report.state, report.end_reason) = match &*session {
        SessionState::Ended(reason) => ("Ended".to_owned(), Some(reason.to_string())),
        state => (format!("{state:?}"), None),
    };
    (report.room, report.link) =
        journey.address().map(|address| (address.room.clone(), address.link())).unzip();
    report.seat = roster.seats().iter().find(|seat| seat.is_local).map(|seat| seat.seat.0);
    report.peers = lobby.peers.len();
    report.ready = lobby.ready;
    report.blocker = lobby.blocker().map(|blocker| blocker.to_string());
    report.rtt_ms = lobby.mean_rtt().unwrap_or_default().as_secs_f64() * 1000.0;
    if session.is_running() {
        report.take_stats(&stats);
    }
    // After the match the world is empty; the report keeps how it came out.
    if let Some(state) = state.filter(|state| state.seats > 0) {
        report.score = state.scores.iter().copied().take(usize::from(state.seats)).collect();
        report.round = state.round;
    }
    if let Ok(json) = serde_json::to_string(&*report) {
        call("tell", &["report", &json]);
    }
}

impl PageReport {
    fn take_stats(&mut self, stats: &SessionStats) {
        self.frames = stats.frames;
        self.confirmed_frames = stats.confirmed_frames;
        self.rollbacks = stats.rollbacks;
        self.resimulated_frames = stats.resimulated_frames;
        self.max_rollback = stats.max_rollback;
        self.stalls = stats.stalls;
        self.desyncs = stats.desyncs;
        self.datagrams_out_per_s = stats.datagrams_out_per_s;
        self.datagrams_in_per_s = stats.datagrams_in_per_s;
        self.bytes_out_per_s = stats.bytes_out_per_s;
        self.bytes_in_per_s = stats.bytes_in_per_s;
        self.dropped_packets = stats.dropped.total();
    }
}
