//! `cargo xtask bench`: builds the comparisons in release, and runs one.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::process::Command;

use lexopt::{Arg, Parser};

use crate::{
    GivenFlags, cargo,
    failure::{Outcome, fail},
    path_after, process, shown,
};

/// The benchmarks that the program `comparisons` runs.
const COMPARISONS: [&str; 3] = ["rollback", "wire", "network"];
/// The benchmark that `signaling-load` runs.
const SIGNALING: &str = "signaling";
/// The server that people use today, for comparison.
const STOCK_SERVER: [&str; 3] = ["matchbox_server", "--version", "0.15.0"];

/// Runs the command. The flags go to the measuring program; they are checked here first, before
/// minutes of building.
pub(crate) fn run(mut arguments: Parser) -> Outcome {
    let what = match arguments.next()? {
        Some(Arg::Value(what)) => what,
        Some(other) => return crate::is_help(other, HELP).map(drop),
        None => {
            println!("{HELP}");
            return Ok(());
        }
    };
    if what != SIGNALING && !COMPARISONS.iter().any(|&known| what == known) {
        return fail(format!("there is no benchmark `{}`\n\n{HELP}", what.display()));
    }
    let flags: Vec<_> = arguments.raw_args()?.collect();
    if !check(&flags, what == SIGNALING)? {
        return Ok(());
    }
    let mut program = if what == SIGNALING { load()? } else { comparison(&what)? };
    let status = process::run(program.args(flags))?;
    if status.success() { Ok(()) } else { fail("the benchmark failed") }
}

/// Refuses flags that no measuring program takes. Returns false if the help was requested and has
/// been printed.
fn check(flags: &[OsString], is_signaling: bool) -> Outcome<bool> {
    let mut arguments = Parser::from_args(flags);
    let mut given = GivenFlags::default();
    while let Some(argument) = arguments.next()? {
        given.note(&argument)?;
        match argument {
            Arg::Long("json") => drop(path_after("json", &mut arguments)?),
            Arg::Long("quick") => {}
            Arg::Long("turns") if is_signaling => {
                let turns = arguments.value()?;
                if turns.to_str().is_none_or(|turns| turns.parse::<NonZeroUsize>().is_err()) {
                    let given = shown(&turns);
                    return fail(format!(
                        "--turns takes a number from 1 on, such as 3; not {given}"
                    ));
                }
            }
            other => return Ok(!crate::is_help(other, HELP)?),
        }
    }
    Ok(true)
}

fn comparison(what: &OsStr) -> Outcome<Command> {
    println!("Building. The first time this compiles Bevy without its renderer: 3 to 8 minutes.");
    let programs = cargo::build(&["--profile", "release", "--package", "comparisons"])?;
    let mut program = Command::new(programs.program("comparisons")?);
    program.arg(what);
    Ok(program)
}

/// Builds both servers and the program that puts them under load.
fn load() -> Outcome<Command> {
    println!("Building both servers: two minutes the first time.");
    let packages = ["--package", "signaling", "--package", "signaling-load"];
    let programs = cargo::build(&[&["--profile", "release"][..], &packages].concat())?;
    let folder = cargo::target_dir()?.join("stock-servers");
    let mut install = cargo::cargo();
    install.arg("install").args(STOCK_SERVER).args(["--locked", "--root"]).arg(&folder);
    if !process::run(&mut install)?.success() {
        return fail(format!("`cargo install {}` failed", STOCK_SERVER.join(" ")));
    }
    let mut program = Command::new(programs.program("signaling-load")?);
    program.arg("--ours").arg(programs.program("signaling")?);
    program.arg("--stock").arg(folder.join("bin").join(STOCK_SERVER[0]));
    Ok(program)
}

const HELP: &str = "\
Usage: cargo xtask bench rollback|wire|network|signaling [flags]

Measures this workspace side by side with what people use today, in turns within one run. The
machine should have nothing else to do.

  rollback      saving, loading and sync tests, beside bevy_ggrs: about ten minutes
  wire          datagrams and bytes of matches of 2 and 4 players over WebRTC, as the kernel counts
                them, beside ggrs over matchbox: about five minutes; needs Linux, where it creates a
                network namespace for itself
  signaling     memory and processor time of the signaling server with thousands of idle clients,
                beside matchbox_server with the same number, three times in turns: about 17
                minutes; needs Linux
  network       stalls, rollbacks and latency over bad networks, beside ggrs as bevy_ggrs drives it:
                about two minutes

  --json FILE   write the figures as JSON
  --quick       seconds instead of minutes; the figures are rough
  --turns N     how often `signaling` measures each server (3)";

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(flags: &[&str], is_signaling: bool) -> Outcome<bool> {
        let flags: Vec<OsString> = flags.iter().map(Into::into).collect();
        check(&flags, is_signaling)
    }

    #[test]
    fn flags_are_checked_before_anything_is_built() {
        assert!(checked(&["--json", "out.json", "--quick"], false).is_ok_and(|goes_on| goes_on));
        assert!(checked(&["--quick", "--help"], false).is_ok_and(|goes_on| !goes_on));
        assert!(checked(&["--turns", "5"], true).is_ok_and(|goes_on| goes_on));
        for (flags, words) in [
            (&["--json", ""][..], "--json takes"),
            (&["--quick", "--quick"], "--quick is given twice"),
            (&["--turns", "0"], "--turns takes"),
            (&["--fast"], "--fast"),
        ] {
            let failure = checked(flags, true).expect_err(words).to_string();
            assert!(failure.contains(words), "{failure}");
        }
        assert!(checked(&["--turns", "5"], false).is_err());
    }
}
