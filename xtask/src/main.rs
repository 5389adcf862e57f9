//! The project's commands, run as `cargo xtask <command>`: `play` sets up and runs the game, `test`
//! sets up and runs everything that CI runs, `web` builds the browser version, `bench` measures.
//!
//! Only glue lives here: each command calls cargo and starts programs. It must build in seconds on
//! a bare machine and work on Linux, macOS and Windows, so it depends on almost nothing.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to the terminal"
)]

mod bench;
mod cargo;
mod failure;
mod packages;
mod play;
mod private_paths;
mod process;
mod test;
mod web;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::{Arg, Parser};

use crate::failure::{Failure, Outcome, fail};

fn main() -> ExitCode {
    process::watch_signals();
    match run(Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if process::is_interrupted() => {
            eprintln!("\ninterrupted");
            // What shells report for a program that Ctrl-C ended.
            ExitCode::from(130)
        }
        Err(failure) => {
            eprintln!("\nerror: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: Parser) -> Outcome {
    let command = match arguments.next()? {
        Some(Arg::Value(command)) => command,
        Some(Arg::Short('h') | Arg::Long("help")) | None => {
            println!("{HELP}");
            return Ok(());
        }
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.to_str() {
        Some("play") => play::run(arguments),
        Some("test") => test::run(arguments),
        Some("web") => web::run(arguments),
        Some("bench") => bench::run(arguments),
        _ => fail(format!("there is no command `{}`\n\n{HELP}", command.display())),
    }
}

/// The flags of one command so far.
#[derive(Default)]
struct GivenFlags(Vec<String>);

impl GivenFlags {
    /// Notes a flag, and refuses one that was given before: nobody can know which of two values is
    /// meant.
    fn note(&mut self, argument: &Arg<'_>) -> Outcome {
        let Arg::Long(name) = argument else { return Ok(()) };
        if self.0.iter().any(|given| given == name) {
            return fail(format!("--{name} is given twice: leave one of them out"));
        }
        self.0.push((*name).to_owned());
        Ok(())
    }
}

/// A value as an error shows it.
fn shown(given: &OsStr) -> String {
    if given.is_empty() { "nothing".to_owned() } else { format!("`{}`", given.display()) }
}

/// Reads the path after a flag, and refuses an empty one.
fn path_after(flag: &str, arguments: &mut Parser) -> Result<PathBuf, Failure> {
    let given = arguments.value()?;
    if given.is_empty() {
        return fail(format!(
            "--{flag} takes the name of a file, such as report.json; not nothing"
        ));
    }
    Ok(given.into())
}

/// Handles an argument that every command understands, or refuses one that the command does not
/// know.
///
/// Returns `true` if the help was requested and has been printed.
fn is_help(argument: Arg<'_>, help: &str) -> Result<bool, Failure> {
    match argument {
        Arg::Short('h') | Arg::Long("help") => {
            println!("{help}");
            Ok(true)
        }
        other => Err(other.unexpected().into()),
    }
}

const HELP: &str = "\
Usage: cargo xtask <command> [flags]

  play   set up and play: builds the game, starts the signaling server, opens the game
  test   set up and run everything that CI runs
  web    build the browser version and print its size
  bench  measure this workspace beside what people use today

`cargo xtask <command> --help` lists a command's flags.";
