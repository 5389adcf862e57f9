//! `cargo xtask bench`: builds the comparisons in release, and runs one.

use std::process::Command;

use lexopt::{Arg, Parser};

use crate::{
    cargo,
    failure::{Outcome, fail},
    process,
};

const COMPARISONS: [&str; 3] = ["rollback", "wire", "network"];

/// Runs the command. All flags but the help are those of the program that measures, which refuses what it does not know.
pub(crate) fn run(mut arguments: Parser) -> Outcome {
    let what = match arguments.next()? {
        Some(Arg::Value(what)) => what,
        Some(other) => return crate::is_help(other, HELP).map(drop),
        None => {
            println!("{HELP}");
            return Ok(());
        }
    };
    if !COMPARISONS.iter().any(|&known| what == known) {
        return fail(format!("there is no benchmark `{}`\n\n{HELP}", what.display()));
    }
    let flags: Vec<_> = arguments.raw_args()?.collect();
    if flags.iter().any(|flag| flag == "--help" || flag == "-h") {
        println!("{HELP}");
        return Ok(());
    }
    println!("Building. The first time this compiles Bevy without its renderer: 3 to 8 minutes.");
    let programs = cargo::build(&["--profile", "release", "--package", "comparisons"])?;
    let mut program = Command::new(programs.program("comparisons")?);
    let status = process::run(program.arg(what).args(flags))?;
    if status.success() { Ok(()) } else { fail("the benchmark failed") }
}

const HELP: &str = "\
Usage: cargo xtask bench rollback|wire|network [flags]

Measures this workspace and what people use today side by side, in one run and in turns. The machine should have nothing
else to do.

  rollback      saving, loading and sync tests, and bevy_ggrs at the same: about five minutes
  wire          datagrams and bytes of a match of 2 and of 4 over WebRTC, and ggrs over matchbox at the same, as the kernel
                counts them: about five minutes; needs Linux, where it makes a network namespace for itself
  network       stalls, rollbacks and latency over bad networks, and ggrs as bevy_ggrs drives it on the same: about two minutes

  --json FILE   write the figures as JSON
  --quick       seconds instead of minutes; the figures are rough";
