//! The settings given to the program: by flags, by environment variables, and by a file. A flag
//! overrides a variable, and a variable overrides the file.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use lexopt::{Arg, Parser, ValueExt};
use signaling::{
    protocol::is_room_name,
    server::{ANY_ROOM, ServerConfig, TicketSecret},
};
use thiserror::Error;
use toml::{Table, Value};

use crate::settings::{SETTINGS, Setting, VARIABLE_PREFIX, variable};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Run the server; `is_lan` if it is for this machine's local network.
    Serve { config: Box<ServerConfig>, is_lan: bool },
    /// Print a ticket for this room, valid for this many seconds.
    MakeTicket { secret: TicketSecret, room: String, valid_for: u64 },
    /// Print this text.
    Print(String),
}

/// Why the settings cannot be read.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    /// The command line is not understood.
    #[error("{0}")]
    Flag(#[from] lexopt::Error),
    /// A value is invalid; `location` is a flag, a variable, or a line of a file.
    #[error("{location}: {problem}")]
    Value { location: String, problem: String },
    /// The file cannot be read.
    #[error(
        "cannot read {}: {source}; --config takes a TOML file with lines such as `max-rooms = 100`",
        path.display()
    )]
    File { path: PathBuf, source: io::Error },
    /// The file is not TOML. The line itself is not shown, as it may contain a secret.
    #[error("{}: line {line}: {problem}", path.display())]
    Toml { path: PathBuf, line: usize, problem: String },
}

/// Reads the arguments after the program's name, the environment, and the file that either of them
/// names.
pub(crate) fn parse(
    args: impl IntoIterator<Item = impl Into<OsString>>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Task, SettingsError> {
    let (mut flags, mut variables, mut file) = (Vec::new(), Vec::new(), None);
    for (name, value) in
        environment.into_iter().filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
    {
        if name == variable("config") {
            file = Some(PathBuf::from(value));
        } else {
            variables.push((name, value));
        }
    }
    let (mut ticket, mut is_lan) = (None::<TicketOrder>, false);
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Task::Print(help())),
            Arg::Short('V') | Arg::Long("version") => return Ok(Task::Print(version())),
            Arg::Value(word) if word == "ticket" && ticket.is_none() => {
                ticket = Some(TicketOrder::default());
            }
            Arg::Long("lan") => is_lan = true,
            Arg::Long("config") => file = Some(parser.value()?.into()),
            Arg::Long("room") if let Some(ticket) = &mut ticket => {
                ticket.room = Some(parser.value()?.string()?);
            }
            Arg::Long("valid-for") if let Some(ticket) = &mut ticket => {
                let value = parser.value()?.string()?;
                let seconds = value.parse().map_err(|_| SettingsError::Value {
                    location: "--valid-for".to_owned(),
                    problem: format!("`{value}` is not a number of seconds; for example 3600"),
                });
                ticket.valid_for = Some(seconds?);
            }
            Arg::Long(name) => {
                let Some(setting) = Setting::named(name) else {
                    return Err(arg.unexpected().into());
                };
                flags.push((setting, parser.value()?.string()?));
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    let mut config = ServerConfig::default();
    if let Some(path) = file {
        read_file(&mut config, &path)?;
    }
    for (name, value) in variables {
        let setting = SETTINGS.iter().find(|setting| setting.variable() == name);
        let setting = setting.ok_or_else(|| unknown(name.clone()))?;
        set(&mut config, setting, &value, || name)?;
    }
    for (setting, value) in flags {
        set(&mut config, setting, &value, || format!("--{}", setting.name))?;
    }
    match ticket {
        Some(_) if is_lan => {
            let problem = "`signaling ticket` runs no server".to_owned();
            Err(SettingsError::Value { location: "--lan".to_owned(), problem })
        }
        Some(ticket) => ticket.task(config.ticket_secret),
        None => Ok(Task::Serve { config: Box::new(config), is_lan }),
    }
}

/// The arguments of `signaling ticket`.
#[derive(Default)]
struct TicketOrder {
    room: Option<String>,
    valid_for: Option<u64>,
}

impl TicketOrder {
    fn task(self, secret: Option<TicketSecret>) -> Result<Task, SettingsError> {
        let wrong = |location: &str, problem: &str| SettingsError::Value {
            location: location.to_owned(),
            problem: problem.to_owned(),
        };
        let room = self.room.filter(|room| room == ANY_ROOM || is_room_name(room));
        Ok(Task::MakeTicket {
            secret: secret.ok_or_else(|| {
                wrong(
                    "ticket-secret",
                    "give the secret of the server, as a flag, in the environment or in the file",
                )
            })?,
            room: room.ok_or_else(|| {
                wrong("--room", "give 1 to 64 letters, digits and - _ . ~, or '*' for all rooms")
            })?,
            valid_for: self.valid_for.ok_or_else(|| {
                wrong("--valid-for", "give a number of seconds; for example 3600")
            })?,
        })
    }
}

fn unknown(location: String) -> SettingsError {
    let problem = "there is no such setting, see `signaling --help`".to_owned();
    SettingsError::Value { location, problem }
}

fn set(
    config: &mut ServerConfig,
    setting: &Setting,
    value: &str,
    location: impl FnOnce() -> String,
) -> Result<(), SettingsError> {
    (setting.set)(config, value)
        .map_err(|problem| SettingsError::Value { location: location(), problem })
}

fn read_file(config: &mut ServerConfig, path: &Path) -> Result<(), SettingsError> {
    let text = fs::read_to_string(path)
        .map_err(|source| SettingsError::File { path: path.to_owned(), source })?;
    let table: Table = text.parse().map_err(|source| toml_error(path, &text, &source))?;
    for (name, value) in &table {
        let location = || format!("{}: {name}", path.display());
        let setting = Setting::named(name).ok_or_else(|| unknown(location()))?;
        let value = as_flag(value).ok_or_else(|| SettingsError::Value {
            location: location(),
            problem: "expected a number, a text or a list of texts; for example 100, \"text\" or \
                 [\"one\", \"two\"]"
                .to_owned(),
        })?;
        set(config, setting, &value, location)?;
    }
    Ok(())
}

fn toml_error(path: &Path, text: &str, error: &toml::de::Error) -> SettingsError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    SettingsError::Toml { path: path.to_owned(), line, problem: error.message().to_owned() }
}

/// A value as it would be written on the command line.
fn as_flag(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
}

fn version() -> String {
    concat!("signaling ", env!("CARGO_PKG_VERSION"), "\n").to_owned()
}

fn help() -> String {
    let default = ServerConfig::default();
    let mut text = "\
Introduces WebRTC peers to each other; speaks matchbox's protocol.

Peers meet at ws://HOST:PORT/ROOM, or in groups of N at ws://HOST:PORT/ROOM?next=N.
http://HOST:PORT/health shows counts, /metrics the same for Prometheus, and /ready whether
peers are accepted. Ctrl-C or SIGTERM stops the server cleanly.

Usage: signaling [OPTIONS]
       signaling ticket --room ROOM --valid-for SECONDS [OPTIONS]

The second form prints a ticket for a room, or for all rooms (ROOM is '*'), made with the
ticket-secret.

Options:
"
    .to_owned();
    let mut option = |flag: String, help: &str| text.push_str(&format!("  {flag:<34} {help}\n"));
    for setting in SETTINGS {
        let value = (setting.show)(&default);
        let value = if value.is_empty() { "none" } else { &value };
        let flag = format!("--{} {}", setting.name, setting.value);
        option(flag, &format!("{} [default: {value}]", setting.help));
    }
    option(
        "--lan".to_owned(),
        "take the next free port if it is in use, and print the addresses for this network",
    );
    option("--config FILE".to_owned(), "read settings from a TOML file: `max-rooms = 100`");
    option("-h, --help".to_owned(), "print this");
    option("-V, --version".to_owned(), "print the version");
    let example = Setting::named("max-rooms").map(Setting::variable).unwrap_or_default();
    text.push_str(&format!(
        "
Each option that takes a value can also be an environment variable, such as {example}=100.
A flag overrides a variable, and a variable overrides the file.
The log goes to stderr; RUST_LOG sets its level, for example RUST_LOG=signaling=debug.
"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str], environment: &[(&str, &str)]) -> Result<ServerConfig, SettingsError> {
        let environment = environment.iter().map(|&(name, value)| (name.into(), value.into()));
        match parse(args, environment)? {
            Task::Serve { config, .. } => Ok(*config),
            task => panic!("no server: {task:?}"),
        }
    }

    /// A settings file; removed when dropped.
    struct SettingsFile(PathBuf);

    impl SettingsFile {
        fn new(name: &str, text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{name}-{}.toml", std::process::id()));
            fs::write(&path, text).expect("the temporary folder can be written");
            Self(path)
        }

        fn path(&self) -> &str {
            self.0.to_str().expect("a plain path")
        }
    }

    impl Drop for SettingsFile {
        fn drop(&mut self) {
            // If that fails, the system cleans up its temporary folder.
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn every_flag_in_the_help_is_understood() {
        let help = help();
        let flags = help.lines().filter_map(|line| line.trim().strip_prefix("--"));
        let flags: Vec<_> = flags.filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(flags.len(), SETTINGS.len() + 2, "{flags:?}");
        let task = parse(["--lan"], []).expect("it needs no value");
        assert!(matches!(task, Task::Serve { is_lan: true, .. }));
        assert!(parse(["--lan", "ticket"], []).is_err() && parse(["ticket", "--lan"], []).is_err());
        for flag in flags.into_iter().filter(|flag| !["config", "lan"].contains(flag)) {
            let value = if flag == "host" { "127.0.0.1" } else { "7" };
            let value = match flag {
                "trusted-proxies" => "10.0.0.1",
                "ticket-secret" => "long enough for a secret",
                _ => value,
            };
            let config = config(&[&format!("--{flag}"), value], &[]).expect(flag);
            assert_ne!(config, ServerConfig::default(), "{flag} changes nothing");
        }
    }

    #[test]
    fn flags_override_variables_and_variables_override_the_file() {
        let file = SettingsFile::new(
            "settings",
            "max-rooms = 1\nmax-peers = 1\nport = 1\nallowed-origins = [\"https://a.b\", \"https://c.d\"]\n",
        );
        let environment = [("SIGNALING__MAX_PEERS", "2"), ("SIGNALING__PORT", "2")];
        let config = config(&["--port", "3", "--config", file.path()], &environment);
        let config = config.expect("all of it makes sense");
        let found = (config.max_rooms, config.max_peers, config.address.port());
        assert_eq!(found, (1, 2, 3));
        assert_eq!(config.allowed_origins, ["https://a.b", "https://c.d"]);
        assert_eq!(config.max_connections, ServerConfig::default().max_connections);
    }

    #[test]
    fn help_is_printed_whatever_the_environment_contains() {
        let environment = [("SIGNALING__X".to_owned(), "1".to_owned())];
        for flag in ["--help", "--version"] {
            let task = parse([flag], environment.clone()).expect("no variable is needed");
            assert!(matches!(task, Task::Print(_)), "{flag}");
        }
    }

    #[test]
    fn the_file_may_be_named_by_a_variable() {
        let file = SettingsFile::new("named", "host = \"127.0.0.1\"");
        let config = config(&[], &[("SIGNALING__CONFIG", file.path())]).expect("a good file");
        assert!(config.address.ip().is_loopback());
    }

    #[test]
    fn an_invalid_argument_is_named_in_the_error() {
        for (args, words) in [
            (vec!["--prot", "1"], vec!["--prot"]),
            (vec!["--port", "99999"], vec!["--port", "99999", "65535"]),
            (vec!["--port"], vec!["--port"]),
            (vec!["--host", "nowhere"], vec!["--host", "nowhere"]),
            (vec!["--idle-timeout", "soon"], vec!["--idle-timeout", "soon"]),
            (vec!["--config", "/no/such/file"], vec!["/no/such/file"]),
            (vec!["room"], vec!["room"]),
        ] {
            let error = config(&args, &[]).expect_err(words[0]).to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{args:?}: {error}");
        }
        let error = config(&[], &[("SIGNALING__MAX_ROOMS", "many")]).expect_err("no number");
        assert!(error.to_string().starts_with("SIGNALING__MAX_ROOMS: `many`"), "{error}");
        let error =
            config(&[], &[("SIGNALING__MAX_ROOM", "1"), ("HOME", "x")]).expect_err("a typo");
        assert!(error.to_string().starts_with("SIGNALING__MAX_ROOM: there is no"), "{error}");
    }

    #[test]
    fn a_ticket_is_made_with_the_secret_of_the_server() {
        let secret = "long enough for a secret";
        let environment = [("SIGNALING__TICKET_SECRET".to_owned(), secret.to_owned())];
        let task = |args: &[&str]| parse(args, environment.clone());
        let made = task(&["ticket", "--room", "duel", "--valid-for", "60"]).expect("all is there");
        let secret: TicketSecret = secret.parse().expect("it is long enough");
        let expected = Task::MakeTicket { secret, room: "duel".into(), valid_for: 60 };
        assert_eq!(made, expected);
        assert!(task(&["ticket", "--room", "*", "--valid-for", "60"]).is_ok());
        for (args, word) in [
            (&["ticket", "--room", "duel"][..], "--valid-for"),
            (&["ticket", "--valid-for", "60"], "--room"),
            (&["ticket", "--room", "a b", "--valid-for", "60"], "--room"),
            (&["ticket", "--room", "a", "--valid-for", "soon"], "soon"),
            (&["ticket", "ticket"], "ticket"),
            (&["--room", "a"], "--room"),
        ] {
            let error = task(args).expect_err(word).to_string();
            assert!(error.contains(word), "{args:?}: {error}");
        }
        let error =
            parse(["ticket", "--room", "a", "--valid-for", "1"], []).expect_err("no secret");
        assert!(error.to_string().starts_with("ticket-secret"), "{error}");
    }

    #[test]
    fn no_error_shows_a_secret() {
        for (text, line) in [
            ("port = 1\nticket-secret = unquoted", "line 2"),
            ("ticket-secret = \"unquoted\"", "16"),
        ] {
            let file = SettingsFile::new("secret", text);
            let error = config(&["--config", file.path()], &[]).expect_err(text).to_string();
            assert!(error.contains(line) && !error.contains("unquoted"), "{error}");
        }
        let secret = "long enough for a secret";
        for setting in ["turn-secret", "ticket-secret", "resume-secret"] {
            let config = config(&[&format!("--{setting}"), secret], &[]).expect("a good one");
            assert!(!format!("{config:?}").contains(secret), "{setting}");
        }
        let config = config(&["--redis", "redis://:hush@host:6379"], &[]).expect("a good one");
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn an_invalid_line_of_the_file_is_named_in_the_error() {
        for (text, words) in [
            ("max-room = 1", "max-room: there is no such setting"),
            ("max-rooms = true", "max-rooms: expected a number"),
            ("max-rooms = -1", "max-rooms: `-1`"),
            ("max-rooms =", "line 1"),
            ("port = 1\nturn-secret = \"hush", "line 2"),
        ] {
            let file = SettingsFile::new("nonsense", text);
            let error = config(&["--config", file.path()], &[]).expect_err(text).to_string();
            assert!(error.contains(words) && error.contains(file.path()), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
