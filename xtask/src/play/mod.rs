//! `cargo xtask play`: from a fresh clone to a running match with one command.

mod headless;
mod mishaps;
mod report;
mod server;
mod windows;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::cargo::{self, Artifacts};
use crate::failure::{Failure, Outcome, fail};
use crate::packages::{self, SystemPackages};
use crate::play::mishaps::Mishap;
use crate::{GivenFlags, path_after, shown};

/// The most players that fit into one match.
const MAX_PLAYERS: u8 = 4;

/// What `--players` takes, in words.
const PLAYERS: &str = "the number of windows, 1 to 4, or of bots, 2 to 4, for example --players 2";

/// What `--seconds` takes, in words: up to a day.
const SECONDS: &str = "a number of seconds from 1 to 86400, for example --seconds 20";

/// The network presets of `netcode`, repeated because `netcode` is not built yet when the command
/// line is read.
const PRESETS: [&str; 6] = ["none", "lan", "wifi", "4g", "transatlantic", "awful"];

/// The profiles that a native build can use: cargo's own, and those of the workspace's manifest.
const PROFILES: [&str; 6] = ["dev", "release", "test", "bench", "unoptimised", "web"];

/// The room that `--players` and `--headless` put everybody in. Nobody else uses this server, so
/// any name is free.
const ROOM: &str = "arena";

/// The frames that the game simulates in a second, repeated for the same reason.
const FRAMES_PER_SECOND: u32 = 60;

/// What the command line asks for.
struct Flags {
    players: Option<u8>,
    is_headless: bool,
    is_web: bool,
    /// How long the bots play, if the command line says so.
    duration: Option<Duration>,
    json: Option<PathBuf>,
    /// The network preset for the bots, if the command line names one.
    conditions: Option<String>,
    /// What happens to the bots on purpose.
    mishaps: Vec<Mishap>,
    profile: String,
}

/// Runs the command.
pub(crate) fn run(arguments: Parser) -> Outcome {
    let Some(mut flags) = parse(arguments)? else {
        return Ok(());
    };
    if !flags.is_headless && !flags.is_web && !has_display() {
        println!(
            "There is no display here, so this plays without windows, as `cargo xtask play --headless` does."
        );
        flags.is_headless = true;
        check(&flags)?;
    }
    if flags.is_headless { headless::play(&flags) } else { windows::play(&flags) }
}

/// Builds the programs for one way to play in a single call to cargo, and so with one feature set
/// and one Bevy.
fn build_programs(profile: &str, packages: &[&str], features: &str) -> Outcome<Artifacts> {
    let mut arguments = vec!["--profile", profile];
    for package in packages {
        arguments.extend(["--package", package]);
    }
    arguments.extend(["--no-default-features", "--features", features]);
    cargo::build(&arguments)
}

/// Returns whether a window can open here.
fn has_display() -> bool {
    // macOS and Windows always have a display; elsewhere the address of an X server shows that
    // there is one.
    cfg!(any(target_os = "macos", windows))
        || std::env::var_os("DISPLAY").is_some_and(|display| !display.is_empty())
}

fn parse(mut arguments: Parser) -> Result<Option<Flags>, Failure> {
    let mut flags = Flags {
        players: None,
        is_headless: false,
        is_web: false,
        duration: None,
        json: None,
        conditions: None,
        mishaps: Vec::new(),
        profile: "release".to_owned(),
    };
    let mut given = GivenFlags::default();
    while let Some(argument) = arguments.next()? {
        if let Arg::Long(flag) = argument
            && let Some(kind) = Mishap::kind_of(flag)
        {
            let flag = flag.to_owned();
            let given = arguments.value()?.string()?;
            flags.mishaps.push(Mishap::parse(&flag, kind, &given)?);
            continue;
        }
        given.note(&argument)?;
        match argument {
            Arg::Long("players") => {
                flags.players = Some(number(&mut arguments, "--players", PLAYERS)?);
            }
            Arg::Long("headless") => flags.is_headless = true,
            Arg::Long("web") => flags.is_web = true,
            Arg::Long("seconds") => {
                let seconds = number(&mut arguments, "--seconds", SECONDS)?;
                flags.duration = Some(Duration::from_secs(seconds));
            }
            Arg::Long("json") => flags.json = Some(path_after("json", &mut arguments)?),
            Arg::Long("conditions") => flags.conditions = Some(arguments.value()?.string()?),
            Arg::Long("profile") => flags.profile = arguments.value()?.string()?,
            other => {
                crate::is_help(other, HELP)?;
                return Ok(None);
            }
        }
    }
    check(&flags)?;
    Ok(Some(flags))
}

/// Reads the number after a flag. Anything else is refused with the name of the flag, what it
/// takes, and what was given.
fn number<T: FromStr>(arguments: &mut Parser, flag: &str, takes: &str) -> Result<T, Failure> {
    let given = arguments.value()?;
    match given.to_str().and_then(|text| text.parse().ok()) {
        Some(number) => Ok(number),
        None => fail(format!("{flag} takes {takes}; not {}", shown(&given))),
    }
}

/// Refuses flags that make no sense, before anything is built.
fn check(flags: &Flags) -> Outcome {
    let fewest = if flags.is_headless { 2 } else { 1 };
    if let Some(players) = flags.players.filter(|it| !(fewest..=MAX_PLAYERS).contains(it)) {
        return fail(format!("--players takes {PLAYERS}; not `{players}`"));
    }
    if flags.is_headless && flags.is_web {
        return fail("--headless plays without windows and --web in a browser: choose one");
    }
    let day = Duration::from_secs(24 * 60 * 60);
    if let Some(duration) = flags.duration.filter(|it| it.is_zero() || *it > day) {
        return fail(format!("--seconds takes {SECONDS}; not `{}`", duration.as_secs()));
    }
    let is_for_bots = flags.duration.is_some()
        || flags.json.is_some()
        || flags.conditions.is_some()
        || !flags.mishaps.is_empty();
    if is_for_bots && !flags.is_headless && (flags.is_web || has_display()) {
        return fail(
            "--seconds, --json, --conditions and all that happens to bots are for bots: add --headless",
        );
    }
    if flags.is_headless {
        let players = flags.players.unwrap_or(headless::DEFAULT_PLAYERS);
        if let Some(mishap) = flags.mishaps.iter().find(|it| it.bot > players) {
            return fail(format!("there is no bot {}: --players is {players}", mishap.bot));
        }
        if (1..=players).all(|bot| flags.mishaps.iter().any(|it| it.bot == bot && it.is_for_good()))
        {
            return fail("no bot is left to play on");
        }
    }
    if let Some(preset) = flags.conditions.as_deref().filter(|it| !PRESETS.contains(it)) {
        let presets = PRESETS.join(", ");
        let given = shown(preset.as_ref());
        return fail(format!("--conditions takes one of: {presets}; not {given}"));
    }
    if !PROFILES.contains(&flags.profile.as_str()) {
        let profiles = PROFILES.join(", ");
        let given = shown(flags.profile.as_ref());
        return fail(format!("--profile takes one of: {profiles}; not {given}"));
    }
    Ok(())
}

/// Installs what a build needs, and prints how long a first build takes.
fn prepare(system_packages: &SystemPackages, first_build: &str) -> Outcome {
    packages::ensure(system_packages)?;
    println!("Building. {first_build}; after that, seconds.");
    Ok(())
}

const HELP: &str = "\
Usage: cargo xtask play [flags]

Builds the game, starts the signaling server (port 3536 or the next free one) and opens the game in its menu.

  --players N    open N windows (or start N bots) that are already in one room
  --headless     let bots play without windows, each its own process, over real WebRTC, and print a report
  --seconds S    how long the bots play (default 20)
  --json FILE    write the bots' report as JSON
  --conditions PRESET  let the bots play over a bad network: none, lan, wifi, 4g, transatlantic or awful
  --leave P@S    bot P leaves the room S seconds after the first frame; this and the following may be repeated
  --kill P@S     the process of bot P is killed
  --unplug P@S:D the network of bot P is down for D seconds; --mute P@S:D: only what it sends is lost;
                 --deafen P@S:D: only what it should receive
  --stop P@S:D   the process of bot P stands still for D seconds
  --web          build the browser version, serve it from the same server and print the link
  --profile NAME compile native programs with this profile (default release); dev builds faster and runs slower

Without a display this plays as with --headless. Ctrl-C ends everything that it started.";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn parsed(words: &[&str]) -> Result<Option<Flags>, Failure> {
        parse(Parser::from_args(words.iter().copied()))
    }

    #[test]
    fn the_defaults_are_one_window_in_the_menu() {
        let flags = parsed(&[]).unwrap().unwrap();
        assert_eq!(flags.players, None);
        assert!(!flags.is_headless && !flags.is_web);
        assert_eq!(flags.duration, None);
        assert_eq!(flags.profile, "release");
    }

    #[test]
    fn all_profiles_of_the_manifest_are_known_and_others_are_refused() {
        let manifest = fs::read_to_string(cargo::workspace_root().join("Cargo.toml")).unwrap();
        let headings = manifest.lines().filter_map(|line| line.strip_prefix("[profile."));
        let names: Vec<&str> =
            headings.filter_map(|heading| heading.split([']', '.']).next()).collect();
        assert!(names.contains(&"web"), "the manifest is read as it is written: {names:?}");
        for name in names {
            assert!(parsed(&["--profile", name]).is_ok(), "{name}");
        }
        assert!(refusal(&["--profile", "fast"]).ends_with("; not `fast`"));
    }

    fn refusal(words: &[&str]) -> String {
        parsed(words).err().expect("a refusal").to_string()
    }

    #[test]
    fn a_refused_value_is_named_with_its_flag_and_what_it_takes() {
        for given in ["-3", "0", "86401", "soon"] {
            let refusal = refusal(&["--headless", "--seconds", given]);
            assert_eq!(refusal, format!("--seconds takes {SECONDS}; not `{given}`"));
        }
        for given in ["-1", "0", "two", "5", "300"] {
            let refused = refusal(&["--players", given]);
            assert_eq!(refused, format!("--players takes {PLAYERS}; not `{given}`"));
            assert_eq!(refusal(&["--headless", "--players", given]), refused);
        }
        let bots = refusal(&["--headless", "--players", "1"]);
        assert_eq!(bots, format!("--players takes {PLAYERS}; not `1`"));
        assert!(refusal(&["--players", ""]).ends_with("; not nothing"));
        assert!(refusal(&["--conditions", "", "--headless"]).ends_with("; not nothing"));
        let json = refusal(&["--headless", "--json", ""]);
        assert_eq!(json, "--json takes the name of a file, such as report.json; not nothing");
    }

    #[test]
    fn a_flag_that_is_given_twice_is_refused() {
        for flag in ["--players", "--seconds"] {
            let refusal = refusal(&["--headless", flag, "2", flag, "3"]);
            assert_eq!(refusal, format!("{flag} is given twice: leave one of them out"));
        }
        assert!(refusal(&["--headless", "--headless"]).contains("twice"));
        assert!(refusal(&["--headless", "--json", "a", "--json=b"]).contains("twice"));
    }

    #[test]
    fn the_players_that_the_message_names_are_those_that_are_taken() {
        assert!(PLAYERS.contains(&format!("1 to {MAX_PLAYERS}")));
        assert!(PLAYERS.contains(&format!("2 to {MAX_PLAYERS}")));
    }

    #[test]
    fn the_readme_gives_the_time_of_the_first_build_that_the_command_prints() {
        let readme = fs::read_to_string(cargo::workspace_root().join("README.md")).unwrap();
        let words: Vec<&str> = readme.split_whitespace().collect();
        assert!(words.join(" ").contains(windows::FIRST_BUILD_TIME));
    }

    #[test]
    fn flags_that_make_no_sense_are_refused() {
        assert!(parsed(&["--headless", "--players", "2", "--seconds", "1"]).is_ok());
        assert!(parsed(&["--headless", "--players", "1"]).is_err());
        assert!(parsed(&["--players", "5"]).is_err());
        assert!(parsed(&["--players", "0"]).is_err());
        assert!(parsed(&["--headless", "--seconds", "0"]).is_err());
        assert!(parsed(&["--headless", "--web"]).is_err());
        assert!(parsed(&["--web", "--json", "out.json"]).is_err());
        assert!(parsed(&["--fast"]).is_err());
        assert!(parsed(&["--players", "two"]).is_err());
        assert!(parsed(&["--headless", "--conditions", "wifi"]).is_ok());
        assert!(parsed(&["--headless", "--conditions", "wi-fi"]).is_err());
        assert!(parsed(&["--web", "--conditions", "wifi"]).is_err());
    }
}
