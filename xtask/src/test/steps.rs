//! The steps of `cargo xtask test`: their commands and their order.
//!
//! Compiling Bevy takes nearly all of the time, so every step uses one of three feature sets
//! (headless, renderer, browser), and the steps of one set follow each other.

use std::fs;
use std::process::Command;

use crate::cargo::{self, HEADLESS_FEATURES, WASM_TARGET};
use crate::failure::{Outcome, fail};
use crate::packages;
use crate::process::{self, is_installed, line_of};
use crate::test::Summary;
use crate::web;

/// One step.
pub(super) struct Step {
    pub(super) name: &'static str,
    /// Whether it belongs to the inner loop.
    pub(super) is_quick: bool,
    pub(super) run: fn(&mut Summary) -> Outcome,
}

/// All steps, cheap ones first.
pub(super) const STEPS: &[Step] = &[
    quick("format", |_| check(cargo::cargo().args(["fmt", "--all", "--check"]))),
    quick("lints", |_| clippy(HEADLESS_FEATURES)),
    quick("tests", |summary| {
        ensure_for_tests("redis-server", packages::REDIS);
        test(summary, &["--lib", "--bins", "--test", "it"], &[])
    }),
    quick("doctests", |summary| test(summary, &["--doc"], &[])),
    full("documentation", |_| document(HEADLESS_FEATURES)),
    full("lints of netcode with any features", |_| clippy_any_features()),
    full("lints with the renderer", |_| {
        packages::ensure(packages::WINDOW)?;
        clippy(RENDERER)
    }),
    full("documentation with the renderer", |_| document(RENDERER)),
    // Unoptimised: the renderer is only linked, and compiling it takes a quarter of the time. Tests
    // that need no renderer run once more here.
    full("tests with the renderer", |summary| {
        let mut command = cargo::cargo();
        command
            .args(["test", "--no-fail-fast", "--profile", "unoptimised", "--lib"])
            .args(RENDERER)
            // These search millions of states or play a thousand matches, and draw nothing.
            .args(["--", "--skip", "change::search::", "--skip", "change::walks::"])
            .args(["--skip", "membership::simulated::"]);
        count_tests(summary, &mut command)
    }),
    full("lints in the browser", |_| {
        cargo::ensure_wasm_target()?;
        clippy(BROWSER)
    }),
    full("documentation in the browser", |_| document(BROWSER)),
    full("lints of the web packer", |_| clippy(WEB_PACKER)),
    full("tests of the web packer", |summary| {
        count_tests(
            summary,
            cargo::cargo().arg("test").args(WEB_PACKER).args(["--bin", "web-pack"]),
        )
    }),
    full("browser version", build_page),
    full("end to end", end_to_end),
    full("headless play", |_| play_headless()),
];

/// The game as a player builds it.
const RENDERER: &[&str] =
    &["--package", "demo-game", "--package", "netcode", "--features", "netcode/testing"];

/// The same for the browser.
const BROWSER: &[&str] = &[
    "--package",
    "demo-game",
    "--package",
    "netcode",
    "--target",
    WASM_TARGET,
    "--features",
    "netcode/testing",
];

const WEB_PACKER: &[&str] = &["--package", "xtask", "--features", "web"];

/// Features of `netcode`: `testing` and `webrtc` in every combination, `overlay` and `devices`
/// without `webrtc`. The game uses these two with `webrtc`, and another combination here would
/// compile Bevy once more for two lines of conditional code.
const NETCODE_FEATURES: &[&str] =
    &["", "testing", "webrtc", "testing,webrtc", "testing,overlay,devices"];

const fn quick(name: &'static str, run: fn(&mut Summary) -> Outcome) -> Step {
    Step { name, is_quick: true, run }
}

const fn full(name: &'static str, run: fn(&mut Summary) -> Outcome) -> Step {
    Step { name, is_quick: false, run }
}

fn check(command: &mut Command) -> Outcome {
    println!("> {}", line_of(command));
    if process::run(command)?.success() {
        Ok(())
    } else {
        fail(format!("`{}` failed", line_of(command)))
    }
}

fn clippy(features: &[&str]) -> Outcome {
    check(cargo::cargo().arg("clippy").args(features).args([
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))
}

fn document(features: &[&str]) -> Outcome {
    check(
        cargo::cargo()
            .arg("doc")
            .args(features)
            .args(["--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )
}

fn clippy_any_features() -> Outcome {
    NETCODE_FEATURES.iter().try_for_each(|features| {
        clippy(&["--package", "netcode", "--no-default-features", "--features", features])
    })
}

/// Runs cargo's tests in the headless feature set and counts them.
fn test(summary: &mut Summary, targets: &[&str], of_program: &[&str]) -> Outcome {
    let mut command = cargo::cargo();
    command.args(["test", "--no-fail-fast"]).args(HEADLESS_FEATURES).args(targets);
    if !of_program.is_empty() {
        command.arg("--").args(of_program);
    }
    count_tests(summary, &mut command)
}

fn count_tests(summary: &mut Summary, command: &mut Command) -> Outcome {
    println!("> {}", line_of(command));
    let status = process::run_with_lines(command, |line| {
        println!("{line}");
        if let Some(reason) = summary.tests.add_line(line) {
            summary.skipped.push(reason);
        }
    })?;
    if status.success() { Ok(()) } else { fail(format!("`{}` failed", line_of(command))) }
}

/// Builds the page as players get it. If it cannot be made small, the tests in the browser use a
/// larger one.
fn build_page(summary: &mut Summary) -> Outcome {
    let optimiser = web::ensure_optimiser();
    let is_unoptimised = optimiser.is_err();
    if let Err(failure) = optimiser {
        summary.skipped.push(format!("making the browser version small ({failure})"));
    }
    // If this build fails, the page of an earlier one must not be tested in its place.
    let _ = fs::remove_file(cargo::target_dir()?.join("web-dist/index.html"));
    web::build(&web::Options { is_unoptimised, ..Default::default() }).map(drop)
}

/// Runs the tests with real WebRTC and real browsers. They find the page by `WEB_DIST`; without it
/// the browser tests skip themselves.
fn end_to_end(summary: &mut Summary) -> Outcome {
    let mut command = cargo::cargo();
    command
        .args(["test", "--no-fail-fast"])
        .args(HEADLESS_FEATURES)
        .args(["--test", "e2e", "--"])
        // One at a time, because each runs several processes in real time; and with their output
        // shown as they run, for the times that they print.
        .args(["--test-threads", "1", "--nocapture"]);
    let page = cargo::target_dir()?.join("web-dist");
    let no_browser = browser_missing();
    for (program, packages) in [("ip", packages::NAMESPACES), ("turnserver", packages::TURN)] {
        ensure_for_tests(program, packages);
    }
    if page.join("index.html").is_file() && no_browser.is_none() {
        command.env("WEB_DIST", page);
    } else {
        command.env_remove("WEB_DIST");
        let reason = no_browser.unwrap_or_else(|| "the browser version was not built".to_owned());
        command.env("NO_BROWSER_REASON", reason);
    }
    count_tests(summary, &mut command)
}

/// Installs a program that only some tests need, if apt can.
fn ensure_for_tests(program: &str, packages: &packages::SystemPackages) {
    if cfg!(target_os = "linux")
        && !is_installed(program)
        && let Err(failure) = packages::ensure(packages)
    {
        // The message is for people who can run its line; the tests that need the program report
        // that they skip.
        println!("{failure}");
    }
}

/// Installs the browser if apt can. Returns the reason if there is still none.
fn browser_missing() -> Option<String> {
    if !is_installed("chromedriver") {
        // The message is for people who can run its line; the tests go on without a browser.
        if let Err(failure) = packages::ensure(packages::BROWSER) {
            println!("{failure}");
        }
    }
    (!is_installed("chromedriver")).then(|| "chromedriver is not installed".to_owned())
}

/// The command that a newcomer runs first, on the build that the tests have made already.
fn play_headless() -> Outcome {
    let Ok(xtask) = std::env::current_exe() else {
        return fail("this program does not know its own path");
    };
    check(
        Command::new(xtask)
            .args(["play", "--headless", "--players", "2", "--seconds", "5"])
            .args(["--profile", "dev"]),
    )
}
