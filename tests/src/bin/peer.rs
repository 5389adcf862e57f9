//! The game's headless peer, as a program of this package: cargo gives tests only the paths of
//! their own package's programs. `peer --resident ROOM NAME` starts a
//! [resident](e2e_tests::resident) instead.

use std::{io::Write, process::ExitCode};

use demo_game::{
    cli::{self, Command},
    headless,
};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--resident")
        && let (Some(room), Some(name)) = (arguments.next(), arguments.next())
    {
        return e2e_tests::resident::run(room, name);
    }
    let complaint = match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Headless(options)) => return headless::run(options),
        Ok(_) => "this program plays only with --headless".to_owned(),
        Err(error) => error.to_string(),
    };
    // If nobody reads the complaint, there is nothing left to do.
    let _ = writeln!(std::io::stderr(), "{complaint}");
    ExitCode::from(2)
}
