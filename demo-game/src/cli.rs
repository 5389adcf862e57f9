//! The command line: parses it, or explains what is wrong with it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, Short, ValueExt};
use netcode::prelude::LinkConditions;
use netcode::{DeparturePolicy, Outage};
use thiserror::Error;

use crate::GAME_VERSION;
use crate::headless::{HeadlessOptions, Pilot, PlannedOutage, RoomChoice};
use crate::options::WindowOptions;
use crate::room_code::canonical_name;
use crate::sim::tuning::MAX_SEATS;

/// What `--help` prints.
pub const HELP: &str = "\
A duel around a star for two to four ships.

Usage: demo-game [OPTIONS]             opens the game
       demo-game --headless [OPTIONS]  plays without a window, as a bot

Game:
  --server URL         the signaling server to meet at [default: ws://127.0.0.1:3536]
  --room URL           go straight into this room: a code, a link, or ws://HOST:PORT/ROOM; headless: only the last
  --host               open a room on this machine and show its address for players on the network; also headless
  --name NAME          the name that others see
  --ready              be ready as soon as the room is entered; with --players N, as soon as N players are in it
  --low                draw without bloom: for slow machines
  --window WxH         size of the window [default: 1280x720]
  --ice-server URL     use this STUN server, stun:HOST:PORT, not those that the signaling server hands out; may be
                       given several times; to use none: --ice-server ''
  --relay-only         reach players only through TURN servers: the players do not learn this address, the servers do

Headless (--room or --host is required):
  --players N          get ready when N players are in the room, 2 to 4 [default: 2]
  --seconds S          play S seconds from the first frame on, then leave, 1 to 86400 [default: 20]
  --wait S             wait S seconds for the other players, 1 to 86400 [default: 30]
  --input KIND         bot: fights; idle: does nothing; script: a fixed pattern [default: bot]
  --report FILE        write a report of the run to FILE, as JSON
  --conditions PRESET  make the network worse: none, lan, wifi, 4g, transatlantic, awful [default: none]
  --outage KIND@S:D    S seconds after the first frame, the network is down for D seconds, as if the cable were
                       pulled (both), or one way only (sending or receiving); may be given several times
  --departures POLICY  when a match of three or four loses a player: go-on, wait or end; the same for all [default: go-on]
  --leave-after S      leave the room S seconds after the first frame
  --game-version V     claim to be version V; other versions are refused [default: this build's]

  -h, --help           print this
  -V, --version        print the version

Exit status: 0 the game was played (headless: for the whole time, and no peer desynced); 1 it was not, and the
reason was printed; 2 the command line is wrong.";

/// What the command line asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
    /// Play without a window.
    Headless(HeadlessOptions),
    /// Open the game.
    Window(WindowOptions),
}

/// What is wrong with the command line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CliError {
    /// An option that does not exist, or lacks its value.
    #[error("{0}; see demo-game --help")]
    Syntax(#[from] lexopt::Error),
    /// A number outside its range.
    #[error("{option} takes {low} to {high}, not {value}")]
    Range {
        /// The option.
        option: &'static str,
        /// Its least value.
        low: u64,
        /// Its greatest value.
        high: u64,
        /// The value that was given.
        value: String,
    },
    /// A word that the option does not know.
    #[error("{option} takes one of: {known}; not {value:?}")]
    Word {
        /// The option.
        option: &'static str,
        /// All words that it knows.
        known: String,
        /// The value that was given.
        value: String,
    },
    /// `--headless` without `--room` or `--host`.
    #[error("--headless needs a room: --room ws://HOST:PORT/ROOM, or --host for one of its own")]
    NoRoom,
    /// `--host` with `--room`.
    #[error("--host opens a room of its own: leave out --room")]
    HostWithRoom,
    /// An option that means nothing without `--headless`.
    #[error("{0} works only with --headless")]
    OnlyHeadless(&'static str),
    /// An option that has no meaning with `--headless`.
    #[error("{0} does not work with --headless")]
    NotHeadless(&'static str),
}

/// All options, before checking which of them fit together.
#[derive(Default)]
struct Flags {
    is_headless: bool,
    is_host: bool,
    is_ready: bool,
    is_low: bool,
    is_relay_only: bool,
    size: Option<(u32, u32)>,
    server: Option<String>,
    room: Option<String>,
    name: Option<String>,
    stun_servers: Vec<String>,
    players: Option<u8>,
    seconds: Option<u64>,
    wait: Option<u64>,
    pilot: Option<Pilot>,
    report: Option<PathBuf>,
    conditions: Option<LinkConditions>,
    outages: Vec<PlannedOutage>,
    leaves_after: Option<u64>,
    departure_policy: Option<DeparturePolicy>,
    game_version: Option<String>,
}

/// Reads the command line, without the program's own name.
///
/// # Errors
///
/// If an option is unknown, lacks its value, or does not go with the rest.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, CliError> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut flags = Flags::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Long("headless") => flags.is_headless = true,
            Long("host") => flags.is_host = true,
            Long("ready") => flags.is_ready = true,
            Long("low") => flags.is_low = true,
            Long("relay-only") => flags.is_relay_only = true,
            Long("window") => flags.size = Some(size(&parser.value()?.string()?)?),
            Long("server") => flags.server = Some(parser.value()?.string()?),
            Long("room") => flags.room = Some(parser.value()?.string()?),
            Long("name") => flags.name = Some(parser.value()?.string()?),
            Long("ice-server") => flags.stun_servers.push(parser.value()?.string()?),
            Long("players") => {
                let players = number("--players", 2, MAX_SEATS as u64, &parser.value()?.string()?)?;
                flags.players = Some(players as u8);
            }
            Long("seconds") => {
                flags.seconds = Some(number("--seconds", 1, 86_400, &parser.value()?.string()?)?);
            }
            Long("wait") => {
                flags.wait = Some(number("--wait", 1, 86_400, &parser.value()?.string()?)?);
            }
            Long("input") => {
                flags.pilot = Some(word("--input", &PILOTS, &parser.value()?.string()?)?);
            }
            Long("report") => flags.report = Some(parser.value()?.into()),
            Long("conditions") => {
                let presets = LinkConditions::presets();
                flags.conditions = Some(word("--conditions", presets, &parser.value()?.string()?)?);
            }
            Long("outage") => flags.outages.push(outage(&parser.value()?.string()?)?),
            Long("departures") => {
                let policy = word("--departures", &POLICIES, &parser.value()?.string()?)?;
                flags.departure_policy = Some(policy);
            }
            Long("leave-after") => {
                let seconds = number("--leave-after", 1, 86_400, &parser.value()?.string()?)?;
                flags.leaves_after = Some(seconds);
            }
            Long("game-version") => flags.game_version = Some(parser.value()?.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if flags.is_host && flags.room.is_some() {
        return Err(CliError::HostWithRoom);
    }
    if flags.is_headless { headless(flags) } else { window(flags) }
}

const PILOTS: [(&str, Pilot); 3] =
    [("bot", Pilot::Bot), ("idle", Pilot::Idle), ("script", Pilot::Script)];

const POLICIES: [(&str, DeparturePolicy); 3] = [
    ("go-on", DeparturePolicy::GoOn),
    ("wait", DeparturePolicy::Wait),
    ("end", DeparturePolicy::EndMatch),
];

fn headless(flags: Flags) -> Result<Command, CliError> {
    for (is_given, option) in [
        (flags.is_ready, "--ready"),
        (flags.server.is_some(), "--server"),
        (flags.is_low, "--low"),
        (flags.size.is_some(), "--window"),
    ] {
        if is_given {
            return Err(CliError::NotHeadless(option));
        }
    }
    let room = match flags.room {
        Some(address) => RoomChoice::At(meant_address(&address)),
        None if flags.is_host => RoomChoice::Host,
        None => return Err(CliError::NoRoom),
    };
    Ok(Command::Headless(HeadlessOptions {
        room,
        players: flags.players.unwrap_or(2),
        duration: Duration::from_secs(flags.seconds.unwrap_or(20)),
        patience: Duration::from_secs(flags.wait.unwrap_or(30)),
        name: flags.name.unwrap_or_else(|| "bot".into()),
        report: flags.report,
        pilot: flags.pilot.unwrap_or(Pilot::Bot),
        game_version: flags.game_version.unwrap_or_else(|| GAME_VERSION.into()),
        conditions: flags.conditions.unwrap_or_default(),
        departure_policy: flags.departure_policy.unwrap_or(DeparturePolicy::GoOn),
        outages: flags.outages,
        leaves_after: flags.leaves_after.map(Duration::from_secs),
        stun_servers: chosen(flags.stun_servers),
        is_relay_only: flags.is_relay_only,
    }))
}

fn window(flags: Flags) -> Result<Command, CliError> {
    let only_headless = [
        (flags.players.is_some() && !flags.is_ready, "--players"),
        (flags.seconds.is_some(), "--seconds"),
        (flags.wait.is_some(), "--wait"),
        (flags.pilot.is_some(), "--input"),
        (flags.report.is_some(), "--report"),
        (flags.conditions.is_some(), "--conditions"),
        (!flags.outages.is_empty(), "--outage"),
        (flags.leaves_after.is_some(), "--leave-after"),
        (flags.departure_policy.is_some(), "--departures"),
        (flags.game_version.is_some(), "--game-version"),
    ];
    if let Some((_, option)) = only_headless.into_iter().find(|&(is_given, _)| is_given) {
        return Err(CliError::OnlyHeadless(option));
    }
    Ok(Command::Window(WindowOptions {
        server: flags.server,
        room: flags.room,
        is_host: flags.is_host,
        name: flags.name,
        ready_at: flags.is_ready.then_some(flags.players.unwrap_or(1)),
        is_low: flags.is_low,
        size: flags.size,
        stun_servers: chosen(flags.stun_servers),
        is_relay_only: flags.is_relay_only,
    }))
}

/// The full address of a room that a person typed: the same one that a window or a page would join.
fn meant_address(address: &str) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    if path.ends_with("/v1/create") || path.ends_with("/v1/quick") {
        return address.to_owned();
    }
    let Some((server, room)) = path.rsplit_once('/') else { return address.to_owned() };
    let mark = if query.is_empty() { "" } else { "?" };
    // A host shows its address without the scheme.
    let scheme = if server.contains("://") { "" } else { "ws://" };
    format!("{scheme}{server}/{}{mark}{query}", canonical_name(room))
}

/// The STUN servers that were given, if any. An empty address means no servers at all, not even
/// those that the signaling server hands out.
fn chosen(urls: Vec<String>) -> Option<Vec<String>> {
    let is_given = !urls.is_empty();
    is_given.then(|| urls.into_iter().filter(|url| !url.is_empty()).collect())
}

/// Reads an outage such as `both@5:3`.
fn outage(given: &str) -> Result<PlannedOutage, CliError> {
    const KINDS: [(&str, Outage); 3] =
        [("both", Outage::Both), ("sending", Outage::Sending), ("receiving", Outage::Receiving)];
    let (kind, times) = given.split_once('@').unwrap_or((given, ""));
    let outage = word("--outage", &KINDS, kind)?;
    let (begins, lasts) = times.split_once(':').unwrap_or((times, ""));
    let seconds = |given| number("--outage", 1, 86_400, given).map(Duration::from_secs);
    Ok(PlannedOutage { begins: seconds(begins)?, lasts: seconds(lasts)?, outage })
}

/// Reads a size such as `1280x720`, with both sides large enough for readable text and small enough
/// for a GPU.
fn size(value: &str) -> Result<(u32, u32), CliError> {
    let (width, height) = value.split_once('x').unwrap_or((value, ""));
    let side = |side| number("--window WxH", 100, 8192, side).map(|side| side as u32);
    Ok((side(width)?, side(height)?))
}

fn number(option: &'static str, low: u64, high: u64, value: &str) -> Result<u64, CliError> {
    let number = value.parse().ok().filter(|number| (low..=high).contains(number));
    number.ok_or_else(|| CliError::Range { option, low, high, value: value.into() })
}

fn word<T: Copy>(option: &'static str, known: &[(&str, T)], value: &str) -> Result<T, CliError> {
    let found = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(value));
    found.map(|&(_, meaning)| meaning).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|&(name, _)| name).collect();
        CliError::Word { option, known: names.join(", "), value: value.into() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str) -> Result<Command, CliError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn without_options_the_menu_opens() {
        let Ok(Command::Window(options)) = parse_words("") else { panic!("not a window") };
        assert_eq!((options.server, options.room), (None, None));
    }

    #[test]
    fn the_signaling_server_chooses_stun_servers_unless_they_are_given() {
        let stun = |line: &str| match parse_words(line) {
            Ok(Command::Window(options)) => options.stun_servers,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(stun(""), None);
        assert_eq!(stun("--ice-server="), Some(Vec::new()));
        assert_eq!(stun("--ice-server stun:a:1"), Some(vec!["stun:a:1".into()]));
    }

    #[test]
    fn every_headless_option_is_read() {
        let line = "--headless --room ws://h:1/r --players 4 --seconds 7 --wait 90 --name Bo --report out.json --input idle \
                    --game-version 9 --conditions AWFUL --ice-server stun:a:1 --ice-server= --ice-server stun:b:2 \
                    --relay-only --outage both@5:3 --outage sending@9:1 --leave-after 12 --departures end";
        let Ok(Command::Headless(options)) = parse_words(line) else { panic!("not headless") };
        let expected = HeadlessOptions {
            room: RoomChoice::At("ws://h:1/r".into()),
            players: 4,
            duration: Duration::from_secs(7),
            patience: Duration::from_secs(90),
            name: "Bo".into(),
            report: Some("out.json".into()),
            pilot: Pilot::Idle,
            game_version: "9".into(),
            conditions: LinkConditions::AWFUL,
            outages: [(5, 3, Outage::Both), (9, 1, Outage::Sending)]
                .map(|(begins, lasts, outage)| PlannedOutage {
                    begins: Duration::from_secs(begins),
                    lasts: Duration::from_secs(lasts),
                    outage,
                })
                .to_vec(),
            departure_policy: DeparturePolicy::EndMatch,
            leaves_after: Some(Duration::from_secs(12)),
            stun_servers: Some(vec!["stun:a:1".into(), "stun:b:2".into()]),
            is_relay_only: true,
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn an_outage_without_a_kind_or_a_time_is_refused() {
        let refusal = |given: &str| {
            let line = format!("--headless --host --outage {given}");
            parse_words(&line).expect_err("a refusal").to_string()
        };
        assert!(refusal("cable@5:3").contains("both, sending, receiving"));
        for given in ["both", "both@5", "both@:3", "both@5:x"] {
            assert!(refusal(given).contains("1 to 86400"), "{given}");
        }
    }

    #[test]
    fn a_host_needs_no_room() {
        let Ok(Command::Window(options)) = parse_words("--host") else { panic!("not a window") };
        assert!(options.is_host);
        let Ok(Command::Headless(options)) = parse_words("--headless --host") else {
            panic!("not headless")
        };
        assert_eq!(options.room, RoomChoice::Host);
    }

    #[test]
    fn a_headless_peer_joins_the_same_room_as_a_window() {
        assert_eq!(meant_address("ws://h:1/dam3r?next=2"), "ws://h:1/DAM3R?next=2");
        assert_eq!(meant_address("ws://h:1/my_room"), "ws://h:1/my_room");
        assert_eq!(meant_address("192.168.1.5:3536/dam3r"), "ws://192.168.1.5:3536/DAM3R");
        assert_eq!(meant_address("ws://h:1/v1/quick?players=2"), "ws://h:1/v1/quick?players=2");
        assert_eq!(meant_address("nonsense"), "nonsense");
    }

    #[test]
    fn an_error_names_what_is_wrong_with_the_command_line() {
        let says = |line: &str, words: &str| {
            let error = parse_words(line).expect_err(line).to_string();
            assert!(error.contains(words), "{line}: {error}");
        };
        says("--headless", "needs a room");
        says("--host --room r", "leave out --room");
        says("--headless --room r --players 5", "2 to 4, not 5");
        says("--headless --room r --seconds soon", "not soon");
        says("--headless --room r --conditions wet", "none, lan, wifi");
        says("--headless --room r --input cat", "bot, idle, script");
        says("--headless --room r --ready", "--ready does not work");
        says("--headless --room r --low", "--low does not work");
        says("--report x", "only with --headless");
        says("--frobnicate", "--frobnicate");
        says("--room", "--room");
    }

    #[test]
    fn the_help_names_every_option() {
        for option in [
            "headless",
            "host",
            "ready",
            "low",
            "window",
            "server",
            "room",
            "name",
            "ice-server",
            "relay-only",
            "players",
            "seconds",
            "wait",
            "input",
            "report",
            "conditions",
            "game-version",
            "help",
            "version",
        ] {
            assert!(HELP.contains(&format!("--{option}")), "{option}");
        }
        for (preset, _) in LinkConditions::presets() {
            assert!(HELP.contains(preset), "{preset}");
        }
    }
}
