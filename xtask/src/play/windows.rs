//! Play with windows, in the browser, or both: a server, the programs, and what to tell a friend.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use crate::failure::{Outcome, fail};
use crate::packages;
use crate::play::server::Server;
use crate::play::{Flags, ROOM, build_programs, has_display, prepare};
use crate::process::{POLL_INTERVAL, Running, is_interrupted};
use crate::web;

/// How long the first build takes, as the README has it, too.
pub(super) const FIRST_BUILD_TIME: &str = "20 to 30 minutes on two cores";

/// Builds, starts the server, opens what the flags ask for, and stays until that is closed or
/// Ctrl-C arrives.
pub(super) fn play(flags: &Flags) -> Outcome {
    // The browser version alone needs no native renderer, which is the longest part of the build.
    let has_windows = !flags.is_web || flags.players.is_some();
    if has_windows && !has_display() {
        return fail(
            "there is no display to open windows on; leave out --players to serve only the browser version",
        );
    }
    let programs = if has_windows {
        let first_build =
            format!("The first time this compiles Bevy with its renderer: {FIRST_BUILD_TIME}");
        prepare(packages::WINDOW, &first_build)?;
        build_programs(
            &flags.profile,
            &["demo-game", "signaling"],
            "demo-game/render,signaling/server",
        )?
    } else {
        prepare(packages::HEADLESS, "The server takes about a minute the first time")?;
        build_programs(&flags.profile, &["signaling"], "signaling/server")?
    };
    let web_root = flags.is_web.then(build_page).transpose()?;
    let mut server = Server::start(programs.program("signaling")?, web_root.as_deref())?;
    let mut windows = Vec::new();
    if has_windows {
        let game = programs.program("demo-game")?;
        for number in 1..=flags.players.unwrap_or(1) {
            let mut command = Command::new(game);
            command.stdin(Stdio::null());
            if let Some(players) = flags.players {
                command.args(["--room", &server.room(ROOM), "--ready"]);
                // One window waits for a friend; several wait for each other.
                command.args(["--players", &players.max(2).to_string()]);
                command.args(["--name", &format!("Player {number}")]);
            } else {
                command
                    .args(["--server", &format!("ws://{}:{}", server.friends_reach, server.port)]);
            }
            windows.push(Running::start(format!("window {number}"), &mut command)?);
        }
    }
    println!("\n{}", invitation(flags, &server));
    stay(&mut server, &mut windows)
}

/// Builds the page as players get it, or a larger one if it cannot be made small: that is good
/// enough to play.
fn build_page() -> Outcome<PathBuf> {
    let is_unoptimised = match web::ensure_optimiser() {
        Ok(()) => false,
        Err(failure) => {
            println!("{failure}\nThe page is built without it.");
            true
        }
    };
    web::build(&web::Options { is_unoptimised, ..Default::default() })
}

/// Returns when all windows are closed; without windows, only on Ctrl-C.
fn stay(server: &mut Server, windows: &mut Vec<Running>) -> Outcome {
    let has_windows = !windows.is_empty();
    while !(is_interrupted() || has_windows && windows.is_empty()) {
        if let Some(status) = server.running.ended()? {
            return fail(format!("the signaling server ended: {status}"));
        }
        let mut open = Vec::new();
        for mut window in windows.drain(..) {
            match window.ended()? {
                None => open.push(window),
                Some(status) if status.success() => println!("{} was closed", window.name()),
                Some(_) if is_interrupted() => {}
                Some(status) => return fail(format!("{} ended: {status}", window.name())),
            }
        }
        *windows = open;
        thread::sleep(POLL_INTERVAL);
    }
    println!("Done.");
    Ok(())
}

/// The lines that tell the player how a friend can join.
fn invitation(flags: &Flags, server: &Server) -> String {
    let (friend, port) = (server.friends_reach, server.port);
    let mut lines = vec![format!("The signaling server listens on port {port}.")];
    if flags.is_web {
        lines.push(format!("Play in a browser here:     http://localhost:{port}/#{ROOM}"));
        lines.push(format!("A friend in your network:   http://{friend}:{port}/#{ROOM}"));
    }
    if flags.players.is_some() {
        lines.push(format!("Everybody is in this room:  ws://{friend}:{port}/{ROOM}"));
        lines.push(format!(
            "A friend runs:  cargo run --release -p demo-game -- --room ws://{friend}:{port}/{ROOM}"
        ));
    } else if !flags.is_web {
        lines.push(format!(
            "A friend runs:  cargo run --release -p demo-game -- --server ws://{friend}:{port}"
        ));
        lines.push(format!(
            "and joins with your room's code, or goes straight to it with --room ws://{friend}:{port}/CODE"
        ));
    }
    lines.push("Ctrl-C ends it.".to_owned());
    lines.join("\n")
}
