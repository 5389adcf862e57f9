//! `cargo xtask test`: sets up and runs everything that CI runs, step by step, and prints what was
//! skipped and why.

mod count;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod security_page;
mod steps;

use std::time::{Duration, Instant};

use lexopt::{Arg, Parser};

use crate::GivenFlags;
use crate::failure::{Outcome, fail};
use crate::process::is_interrupted;
use crate::test::count::Counts;
use crate::test::steps::STEPS;

/// The results that the steps collect, to be printed at the end.
#[derive(Default)]
struct Summary {
    /// The tests of all steps together.
    tests: Counts,
    /// What was skipped and why, in words.
    skipped: Vec<String>,
}

/// Runs the command.
///
/// # Errors
///
/// If a step failed. The remaining steps have run nevertheless, so that one run shows everything
/// that is wrong.
pub(crate) fn run(mut arguments: Parser) -> Outcome {
    let mut is_quick = false;
    let mut given = GivenFlags::default();
    while let Some(argument) = arguments.next()? {
        given.note(&argument)?;
        match argument {
            Arg::Long("quick") => is_quick = true,
            other => {
                crate::is_help(other, HELP)?;
                return Ok(());
            }
        }
    }
    let start = Instant::now();
    let mut summary = Summary::default();
    let mut times = Vec::new();
    let mut failures = Vec::new();
    let steps = STEPS.iter().filter(|step| step.is_quick || !is_quick);
    let count = steps.clone().count();
    for (index, step) in steps.enumerate() {
        println!("\n=== {}/{count} {}", index + 1, step.name);
        let start = Instant::now();
        let outcome = (step.run)(&mut summary);
        if is_interrupted() {
            return fail("interrupted");
        }
        let time = duration(start.elapsed());
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("=== {} {word} in {time}", step.name);
        times.push(format!("  {word:<8}{time:>8}  {}", step.name));
        if let Err(failure) = outcome {
            println!("{failure}");
            failures.push(step.name);
        }
    }
    if is_quick {
        summary
            .skipped
            .push("everything that needs a renderer, a browser or a network (--quick)".to_owned());
    }
    println!("\n{}", times.join("\n"));
    println!("  {:<8}{:>8}", "all", duration(start.elapsed()));
    println!("\n{}", summary.tests);
    println!("{}", skipped_line(&summary.skipped));
    if failures.is_empty() { Ok(()) } else { fail(format!("failed: {}", failures.join(", "))) }
}

fn skipped_line(skipped: &[String]) -> String {
    if skipped.is_empty() {
        "Nothing was skipped.".to_owned()
    } else {
        format!("Skipped: {}.", skipped.join("; "))
    }
}

fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{}:{:02} m", seconds / 60, seconds % 60)
    }
}

const HELP: &str = "\
Usage: cargo xtask test [flags]

Sets up and runs everything that CI runs.

  --quick   the inner loop: format, lints, tests and doctests without renderer, browser and network";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(duration(Duration::from_secs(61)), "1:01 m");
    }

    #[test]
    fn the_closing_line_always_says_something() {
        assert_eq!(skipped_line(&[]), "Nothing was skipped.");
        assert_eq!(skipped_line(&["a (b)".to_owned()]), "Skipped: a (b).");
    }
}
