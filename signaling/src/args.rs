//! The binary's command line.

use std::{
    ffi::OsString,
    fmt::Display,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use lexopt::{Arg, Parser, ValueExt};
use signaling::server::ServerConfig;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Run the server.
    Serve(Box<ServerConfig>),
    /// Print this text.
    Print(String),
}

/// Reads the arguments behind the program's name.
pub(crate) fn parse(
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Task, lexopt::Error> {
    let mut config = ServerConfig::default();
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        let Arg::Long(flag) = arg else {
            match arg {
                Arg::Short('h') => return Ok(Task::Print(help())),
                Arg::Short('V') => return Ok(Task::Print(version())),
                _ => return Err(arg.unexpected()),
            }
        };
        match flag {
            "help" => return Ok(Task::Print(help())),
            "version" => return Ok(Task::Print(version())),
            "port" => config.address.set_port(parser.value()?.parse()?),
            "host" => {
                let host: IpAddr = parser.value()?.parse()?;
                config.address = SocketAddr::new(host, config.address.port());
            }
            "web-root" => config.web_root = Some(parser.value()?.into()),
            "max-message-bytes" => config.max_message_bytes = parser.value()?.parse()?,
            "max-queued-bytes" => config.max_queued_bytes = parser.value()?.parse()?,
            "max-peers-per-room" => config.max_peers_per_room = parser.value()?.parse()?,
            "max-rooms" => config.max_rooms = parser.value()?.parse()?,
            "max-peers" => config.max_peers = parser.value()?.parse()?,
            "max-connections" => config.max_connections = parser.value()?.parse()?,
            "idle-timeout" => config.idle_timeout = seconds(&mut parser)?,
            "request-timeout" => config.request_timeout = seconds(&mut parser)?,
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Task::Serve(Box::new(config)))
}

fn seconds(parser: &mut Parser) -> Result<Duration, lexopt::Error> {
    Ok(Duration::from_secs(parser.value()?.parse()?))
}

fn version() -> String {
    concat!("signaling ", env!("CARGO_PKG_VERSION"), "\n").to_owned()
}

fn help() -> String {
    let default = ServerConfig::default();
    let option = |flag: &str, text: &str, default: &dyn Display| {
        format!("  {flag:<24} {text} [default: {default}]\n")
    };
    [
        "Introduces WebRTC peers to each other; speaks matchbox's protocol.\n\n".to_owned(),
        "Peers meet at ws://HOST:PORT/ROOM, or in groups of N at ws://HOST:PORT/ROOM?next=N.\n".to_owned(),
        "http://HOST:PORT/health shows counts. Ctrl-C or SIGTERM stops the server cleanly.\n\n".to_owned(),
        "Usage: signaling [OPTIONS]\n\nOptions:\n".to_owned(),
        option("--port PORT", "listen on this port; 0 takes any free one", &default.address.port()),
        option("--host ADDRESS", "listen on this address only", &default.address.ip()),
        option("--web-root DIR", "also serve the files in DIR, for a web build", &"none"),
        option("--max-message-bytes N", "longest message from a peer", &default.max_message_bytes),
        option("--max-queued-bytes N", "most that waits for a slow peer", &default.max_queued_bytes),
        option("--max-peers-per-room N", "most peers in one room", &default.max_peers_per_room),
        option("--max-rooms N", "most rooms", &default.max_rooms),
        option("--max-peers N", "most peers in all rooms", &default.max_peers),
        option("--max-connections N", "most connections, downloads included", &default.max_connections),
        option("--idle-timeout S", "seconds after which a silent peer is sent off", &default.idle_timeout.as_secs()),
        option("--request-timeout S", "seconds that an HTTP request may take", &default.request_timeout.as_secs()),
        "  -h, --help               print this\n  -V, --version            print the version\n\n".to_owned(),
        "The log goes to stderr; RUST_LOG chooses how much of it, for example RUST_LOG=signaling=debug.\n".to_owned(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_of_the_help_is_understood() {
        let help = help();
        let flags: Vec<_> = help
            .split_whitespace()
            .filter(|word| word.starts_with("--") && !["--help", "--version"].contains(word))
            .collect();
        assert_eq!(flags.len(), 11);
        for flag in flags {
            let value = if flag == "--host" { "127.0.0.1" } else { "7" };
            let task = parse([flag, value]).expect(flag);
            assert_ne!(task, Task::Serve(Box::default()), "{flag} changes nothing");
        }
    }

    #[test]
    fn nonsense_is_an_error_that_names_it() {
        for (args, word) in [
            (vec!["--prot", "1"], "--prot"),
            (vec!["--port", "99999"], "99999"),
            (vec!["--port"], "--port"),
            (vec!["--host", "nowhere"], "nowhere"),
            (vec!["room"], "room"),
        ] {
            let error = parse(args).expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
