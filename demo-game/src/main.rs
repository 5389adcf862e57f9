//! The game's entry point: reads the command line and hands over.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    native::main()
}

#[cfg(target_arch = "wasm32")]
fn main() {
    #[cfg(feature = "render")]
    demo_game::web::main();
}

/// The native program. A page has neither a command line nor an exit status.
#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::io::Write;
    use std::process::ExitCode;

    use demo_game::cli::{self, Command};
    use demo_game::options::WindowOptions;
    use demo_game::{GAME_VERSION, headless};

    pub(super) fn main() -> ExitCode {
        match cli::parse(std::env::args_os().skip(1)) {
            Ok(Command::Help) => print(cli::HELP),
            Ok(Command::Version) => print(&format!("demo-game {GAME_VERSION}")),
            Ok(Command::Headless(options)) => headless::run(options),
            Ok(Command::Window(options)) => open_window(&options),
            Err(error) => {
                complain(&error.to_string());
                ExitCode::from(2)
            }
        }
    }

    #[cfg(feature = "render")]
    fn open_window(options: &WindowOptions) -> ExitCode {
        match demo_game::app::run_windowed(options) {
            bevy::app::AppExit::Success => ExitCode::SUCCESS,
            bevy::app::AppExit::Error(code) => ExitCode::from(code.get()),
        }
    }

    #[cfg(not(feature = "render"))]
    fn open_window(_options: &WindowOptions) -> ExitCode {
        complain(
            "this build has no window: build it with the feature `render`, which is on by default, \
             or play without one: demo-game --headless --room ws://HOST:PORT/ROOM",
        );
        ExitCode::FAILURE
    }

    /// Prints a text. A closed pipe is not an error.
    fn print(text: &str) -> ExitCode {
        let _ = writeln!(std::io::stdout(), "{text}");
        ExitCode::SUCCESS
    }

    fn complain(text: &str) {
        let _ = writeln!(std::io::stderr(), "demo-game: {text}");
    }
}
