//! Play without windows: bots, each its own process, over real WebRTC through the real server, and
//! a report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cargo::{self, HEADLESS_FEATURES};
use crate::failure::{DuringExt, Outcome, fail};
use crate::packages;
use crate::play::mishaps::{Kind, Mishap, Schedule};
use crate::play::report::{Fate, Report, Verdict};
use crate::play::server::Server;
use crate::play::{Flags, ROOM, prepare};
use crate::process::{POLL_INTERVAL, Running, is_interrupted};

/// How much longer than twice the playing time bots may take to meet, connect and say goodbye
/// before they count as stuck. A bot gives up by itself before that and says why: this limit is for
/// a bot that hangs.
const EXTRA_TIME: Duration = Duration::from_secs(90);

/// How long bots play without `--seconds`.
const DEFAULT_DURATION: Duration = Duration::from_secs(20);

/// The number of bots without `--players`.
pub(super) const DEFAULT_PLAYERS: u8 = 2;

/// A bot, and the file that it writes its report to.
struct Bot {
    running: Running,
    report: PathBuf,
    /// The newest frame that it has printed.
    frame: Arc<AtomicU32>,
    schedule: Schedule,
    /// `None` while it plays.
    succeeded: Option<bool>,
}

/// Builds the programs, lets the bots play, and prints the report.
///
/// # Errors
///
/// If a bot did not play, checksums differ, or a bot counted a desync.
pub(super) fn play(flags: &Flags) -> Outcome {
    if let Some(file) = &flags.json {
        // A file that cannot be written is noticed here, not after minutes of building and playing.
        // It keeps its content until there is a report.
        let opened = fs::OpenOptions::new().create(true).append(true).open(file);
        opened.during(format!("cannot write {}", file.display()))?;
    }
    prepare(
        packages::HEADLESS,
        "The first time this compiles Bevy without its renderer: 3 to 8 minutes",
    )?;
    // With the features of the tests, so that Bevy is not compiled once more for this.
    let programs = ["--bin", "demo-game", "--bin", "signaling"];
    let arguments = [&["--profile", &*flags.profile], HEADLESS_FEATURES, &programs].concat();
    let programs = cargo::build(&arguments)?;
    let server = Server::start(programs.program("signaling")?, None)?;
    let (players, duration) = (flags.players(), flags.duration());
    println!(
        "\n{players} bots meet at {} and play for {} s.",
        server.room(ROOM),
        duration.as_secs()
    );
    let folder = cargo::target_dir()?.join(format!("play-{}", std::process::id()));
    cargo::create_folder(&folder)?;
    let outcome = match_in(&folder, flags, programs.program("demo-game")?, &server);
    // A few leftover kilobytes in the build folder are no reason to fail.
    let _ = fs::remove_dir_all(&folder);
    let verdict = outcome?;
    println!("\n{}", verdict.table());
    if let Some(file) = &flags.json {
        fs::write(file, verdict.json()).during(format!("cannot write {}", file.display()))?;
        println!("Written to {}.", file.display());
    }
    verdict.result()
}

impl Flags {
    fn players(&self) -> u8 {
        self.players.unwrap_or(DEFAULT_PLAYERS)
    }

    fn duration(&self) -> Duration {
        self.duration.unwrap_or(DEFAULT_DURATION)
    }
}

fn match_in(folder: &Path, flags: &Flags, game: &Path, server: &Server) -> Outcome<Verdict> {
    let (players, duration) = (flags.players(), flags.duration());
    let conditions = flags.conditions.as_deref().unwrap_or("none");
    let mut bots = Vec::new();
    for number in 1..=players {
        let report = folder.join(format!("bot-{number}.json"));
        let mut command = Command::new(game);
        command
            .arg("--headless")
            .args(["--room", &server.room(ROOM)])
            .args(["--players", &players.to_string()])
            .args(["--seconds", &duration.as_secs().to_string()])
            .args(["--name", &format!("Bot {number}")])
            .args(["--conditions", conditions])
            .args(mishaps_of(number, flags).flat_map(Mishap::arguments))
            .arg("--report")
            .arg(&report)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut running = Running::start(format!("bot {number}"), &mut command)?;
        let lines = running.lines();
        let frame = Arc::new(AtomicU32::new(0));
        let newest = Arc::clone(&frame);
        thread::spawn(move || {
            for line in lines {
                println!("bot {number} | {line}");
                newest.fetch_max(frame_in(&line), Ordering::Relaxed);
            }
        });
        let schedule = Schedule::new(number, &flags.mishaps);
        bots.push(Bot { running, report, frame, schedule, succeeded: None });
    }
    wait_for_all(&mut bots, 2 * duration + EXTRA_TIME)?;
    let fate = |number| {
        let mut kinds = mishaps_of(number, flags).map(|it| it.kind);
        if kinds.clone().any(|kind| kind == Kind::Kill) {
            Fate::Killed
        } else if kinds.any(|kind| kind == Kind::Leave) {
            Fate::Leaves
        } else {
            Fate::Stays
        }
    };
    let reports = (1..)
        .zip(&bots)
        .map(|(number, bot)| Report {
            name: bot.running.name().to_owned(),
            fate: fate(number),
            succeeded: bot.succeeded == Some(true),
            fields: read_report(&bot.report),
        })
        .collect();
    Ok(Verdict::of(reports))
}

fn wait_for_all(bots: &mut [Bot], patience: Duration) -> Outcome {
    let deadline = Instant::now() + patience;
    loop {
        for bot in bots.iter_mut().filter(|bot| bot.succeeded.is_none()) {
            bot.schedule.follow(bot.frame.load(Ordering::Relaxed), &mut bot.running)?;
            bot.succeeded = bot.running.ended()?.map(|status| status.success());
        }
        let playing: Vec<&str> = bots
            .iter()
            .filter(|bot| bot.succeeded.is_none())
            .map(|bot| bot.running.name())
            .collect();
        if playing.is_empty() {
            return Ok(());
        }
        if is_interrupted() {
            return fail("interrupted");
        }
        if Instant::now() > deadline {
            // The reports of the other bots are still worth reading.
            println!("{} never finished playing", playing.join(", "));
            return Ok(());
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn mishaps_of(bot: u8, flags: &Flags) -> impl Iterator<Item = &Mishap> + Clone {
    flags.mishaps.iter().filter(move |it| it.bot == bot)
}

/// The frame in a line of a bot that plays; 0 in others.
fn frame_in(line: &str) -> u32 {
    let mut words = line.split_whitespace().skip_while(|&word| word != "frame");
    words.nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Reads a bot's report; `None` if there is none, such as after a crash.
fn read_report(file: &Path) -> Option<Value> {
    let text = fs::read_to_string(file).ok()?;
    serde_json::from_str(&text).ok()
}
