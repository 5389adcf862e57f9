//! The game's headless peer, as a program of this package: cargo tells tests only where their own programs are. As
//! `peer --resident ROOM NAME` it is a [resident](e2e_tests::resident) instead.

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
        Ok(_) => "this program plays with --headless only".to_owned(),
        Err(error) => error.to_string(),
    };
    // A reader that is gone is no reason to say it louder.
    let _ = writeln!(std::io::stderr(), "{complaint}");
    ExitCode::from(2)
}
