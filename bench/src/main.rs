//! Measures this workspace side by side with what people use today, in turns within one process.
//!
//! Run it through `cargo xtask bench`, which builds it in release.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark talks to the terminal")]

mod network;
mod rollback;
mod script;
mod stopwatch;
mod wire;

use std::{fs::File, io, path::PathBuf, process::ExitCode};

use lexopt::{Arg, Parser};
use serde_json::Value;

const HELP: &str = "\
Usage: comparisons rollback|wire|network [flags]

  --json FILE   write the figures as JSON
  --quick       seconds instead of minutes; the figures are rough";

/// The comparisons that can be measured.
#[derive(Clone, Copy, Debug, Default)]
enum Comparison {
    #[default]
    Rollback,
    Wire,
    Network,
}

/// The parsed command line.
#[derive(Debug, Default)]
struct Request {
    comparison: Comparison,
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
    // An unwritable file is noticed here, not after minutes of measuring. The file keeps its
    // content until there is a new one.
    if let Some(path) = &request.json
        && let Err(error) = File::options().create(true).append(true).open(path)
    {
        eprintln!("error: cannot write {}: {error}", path.display());
        return ExitCode::from(2);
    }
    let figures = match measure(&request) {
        Ok(Measured::Here(figures)) => figures,
        Ok(Measured::Inside(code)) => return code,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(path) = &request.json
        && let Err(error) = std::fs::write(path, format!("{figures:#}\n"))
    {
        eprintln!("error: cannot write {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The outcome of a measurement.
enum Measured {
    /// It ran in this process, and gave these figures.
    Here(Value),
    /// It ran in a process of its own, which wrote the figures.
    Inside(ExitCode),
}

/// Measures, and prints the table.
fn measure(request: &Request) -> io::Result<Measured> {
    match request.comparison {
        Comparison::Rollback => {
            let report = rollback::run(request.is_quick);
            report.print();
            Ok(Measured::Here(report.to_json()))
        }
        Comparison::Network => {
            let report = network::run(request.is_quick).map_err(io::Error::other)?;
            report.print();
            if report.is_sound() {
                Ok(Measured::Here(report.to_json()))
            } else {
                Err(io::Error::other("the peers of one of our matches computed different worlds"))
            }
        }
        Comparison::Wire => {
            if let Some(status) = wire::enter_namespace()? {
                let code = if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
                return Ok(Measured::Inside(code));
            }
            let report = wire::run(request.is_quick)?;
            report.print();
            Ok(Measured::Here(report.to_json()))
        }
    }
}

fn parse(mut arguments: Parser) -> Result<Option<Request>, lexopt::Error> {
    let mut request = Request::default();
    match arguments.next()? {
        Some(Arg::Value(name)) if name == "rollback" => request.comparison = Comparison::Rollback,
        Some(Arg::Value(name)) if name == "wire" => request.comparison = Comparison::Wire,
        Some(Arg::Value(name)) if name == "network" => request.comparison = Comparison::Network,
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
