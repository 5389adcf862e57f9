//! Measures this workspace side by side with what people use today, in one process, in alternation.
//!
//! Run it through `cargo xtask bench`, which builds it in release.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark talks to the terminal")]

mod rollback;
mod stopwatch;

use std::{fs::File, path::PathBuf, process::ExitCode};

use lexopt::{Arg, Parser};

const HELP: &str = "\
Usage: comparisons rollback [flags]

  --json FILE   write the figures as JSON
  --quick       ten seconds instead of minutes; the figures are rough";

/// What was asked for.
#[derive(Debug, Default)]
struct Request {
    json: Option<PathBuf>,
    is_quick: bool,
}

fn main() -> ExitCode {
    let request = match parse(Parser::from_env()) {
        Ok(Some(request)) => request,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    // An unwritable file is noticed before the minutes, and keeps what it holds until there is something new.
    if let Some(path) = &request.json
        && let Err(error) = File::options().create(true).append(true).open(path)
    {
        eprintln!("error: cannot write {}: {error}", path.display());
        return ExitCode::from(2);
    }
    let report = rollback::run(request.is_quick);
    report.print();
    if let Some(path) = &request.json
        && let Err(error) = std::fs::write(path, format!("{:#}\n", report.to_json()))
    {
        eprintln!("error: cannot write {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn parse(mut arguments: Parser) -> Result<Option<Request>, lexopt::Error> {
    let mut request = Request::default();
    match arguments.next()? {
        Some(Arg::Value(what)) if what == "rollback" => {}
        Some(Arg::Short('h') | Arg::Long("help")) | None => return Ok(None),
        Some(other) => return Err(other.unexpected()),
    }
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("json") => request.json = Some(arguments.value()?.into()),
            Arg::Long("quick") => request.is_quick = true,
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(request))
}
