//! The signaling server as a program: flags, log, signals. See `signaling --help`.

#![forbid(unsafe_code)]

mod args;
mod settings;

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal, Write, stderr, stdout},
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use signaling::{
    lan,
    platform::{RenewSignal, StopSignal},
    server::{BindError, Certificate, Server, ServerConfig},
};
use thiserror::Error;
use tokio::{runtime::Builder, sync::oneshot};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use self::args::Task;

/// The number of threads that read files. Reading a file takes microseconds, and each thread has
/// its own memory: by default, tokio would start 512 threads for 512 downloads.
const MAX_FILE_THREADS: usize = 16;

/// The usual exit status for an invalid command line.
const BAD_USAGE: u8 = 2;

fn main() -> ExitCode {
    match args::parse(env::args_os().skip(1), variables()) {
        Ok(Task::Print(text)) => {
            // A reader that closed stdout does not want the text.
            let _ = stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Task::MakeTicket { secret, room, valid_for }) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let ticket = secret.ticket(&room, now.saturating_add(valid_for));
            let _ = writeln!(stdout(), "{ticket}");
            ExitCode::SUCCESS
        }
        Ok(Task::Serve { config, is_lan }) => match serve(*config, is_lan) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, 1),
        },
        Err(error) => fail(&error, BAD_USAGE),
    }
}

/// The environment variables. A value that is not valid text is converted as well as possible, and
/// is rejected where it is read.
fn variables() -> impl Iterator<Item = (String, String)> {
    env::vars_os().map(|(name, value)| {
        (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
    })
}

fn fail(error: &dyn Display, status: u8) -> ExitCode {
    // The help explains errors in the command line, and no others.
    let hint = if status == BAD_USAGE { "Try `signaling --help`.\n" } else { "" };
    // Nothing can be done about an error while printing an error.
    let _ = write!(stderr(), "signaling: {error}\n{hint}");
    ExitCode::from(status)
}

/// Why the program cannot run.
#[derive(Debug, Error)]
enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the system refuses to start threads or to report signals: {0}")]
    System(#[from] io::Error),
}

fn serve(config: ServerConfig, is_lan: bool) -> Result<(), StartError> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Files and journals should contain no colours.
    let has_colors = stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(has_colors)
        .init();
    let runtime =
        Builder::new_multi_thread().enable_all().max_blocking_threads(MAX_FILE_THREADS).build()?;
    runtime.block_on(async {
        let [shutdown, hurry] = asked_to_stop()?.map(|asked| async {
            // An error means that no request to stop can arrive any longer.
            let _ = asked.await;
        });
        let has_page = config.web_root.is_some();
        let server = if is_lan { lan::bind(config).await? } else { Server::bind(config).await? };
        if let Some(certificate) = server.certificate() {
            renew_when_asked(certificate)?;
        }
        // The first line on stdout, and with `--lan` the second, are for programs that start this
        // one. The server runs even if nobody reads them.
        let _ = writeln!(stdout(), "listening on {}://{}", server.scheme(), server.local_addr());
        if is_lan {
            let _ = stdout().write_all(invitation(&server, has_page).as_bytes());
        }
        server.run_until(shutdown, hurry).await;
        Ok(())
    })
}

/// The addresses at which other people in the network find the server.
fn invitation(server: &Server, has_page: bool) -> String {
    let (ip, port) = (server.local_addr().ip(), server.local_addr().port());
    let addresses = match ip {
        ip if ip.is_loopback() => {
            return "nobody else can join: the server listens only on this machine's loopback address\n".to_owned();
        }
        ip if ip.is_unspecified() => lan::addresses().into_iter().map(IpAddr::from).collect(),
        ip => vec![ip],
    };
    if addresses.is_empty() {
        return "nobody else can join: this machine is not connected to a network\n".to_owned();
    }
    let http = server.scheme();
    let ws = if http == "https" { "wss" } else { "ws" };
    let mut text = String::new();
    for address in addresses.into_iter().map(|ip| SocketAddr::new(ip, port)) {
        text += &format!("in your network: {ws}://{address}/ROOM, with any name for the room\n");
        if has_page {
            text += &format!("in a browser: {http}://{address}\n");
        }
    }
    text
}

/// Starts to read the certificate again on each SIGHUP. On systems without that signal, a new
/// certificate requires a restart.
fn renew_when_asked(certificate: Certificate) -> io::Result<()> {
    let mut asked = RenewSignal::new()?;
    tokio::spawn(async move {
        while asked.recv().await.is_some() {
            match certificate.reload() {
                Ok(()) => info!("the certificate was renewed"),
                Err(error) => {
                    error!(%error, "the new certificate cannot be used, so the old one stays");
                }
            }
        }
    });
    Ok(())
}

/// Starts to listen for requests to stop: Ctrl-C, and SIGTERM on systems that have it. The
/// receivers resolve on the first and on the second request.
fn asked_to_stop() -> io::Result<[oneshot::Receiver<()>; 2]> {
    let (first, asked) = oneshot::channel();
    let (second, asked_again) = oneshot::channel();
    let mut signal = StopSignal::new()?;
    tokio::spawn(async move {
        for asked in [first, second] {
            if signal.recv().await.is_err() {
                // If the system cannot report Ctrl-C, the server runs until it is killed.
                return std::future::pending().await;
            }
            // Nobody waits for the second request once the server has stopped.
            let _ = asked.send(());
        }
    });
    Ok([asked, asked_again])
}
