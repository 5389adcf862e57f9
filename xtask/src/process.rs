//! Child processes: started, watched and ended here. Only children that this process started are
//! ever killed, and every child is reaped, even if a command fails or Ctrl-C arrives.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{DuringExt, Outcome, fail};

/// The interval at which a waiting loop checks its children: short enough to feel immediate, long
/// enough to cost nothing.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long all children together may take to end by themselves after Ctrl-C, which the terminal
/// sends to them as well.
const GRACE: Duration = Duration::from_secs(1);

static GRACE_ENDS: OnceLock<Instant> = OnceLock::new();

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Makes Ctrl-C and other requests to terminate set a flag instead of ending this process, so that
/// it can end its children.
pub(crate) fn watch_signals() {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        #[cfg(unix)]
        signal_hook::consts::SIGHUP,
    ] {
        // Without the handler Ctrl-C still ends this process, and the terminal ends the children.
        let _ = signal_hook::flag::register(signal, Arc::clone(flag));
    }
}

/// Returns whether Ctrl-C or another request to terminate arrived.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Returns whether children have to end now: [`GRACE`] after Ctrl-C, never without it.
fn is_grace_over() -> bool {
    is_interrupted() && Instant::now() >= *GRACE_ENDS.get_or_init(|| Instant::now() + GRACE)
}

/// A child process that does not outlive this value.
pub(crate) struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// Starts `command`; `name` is what messages call it.
    pub(crate) fn start(name: impl Into<String>, command: &mut Command) -> Outcome<Self> {
        let name = name.into();
        let child = command.spawn().during(format!("cannot start {}", line_of(command)))?;
        Ok(Self { name, child })
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its exit status once it has ended.
    pub(crate) fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        self.child.try_wait().during(format!("cannot wait for {}", self.name))
    }

    /// The number by which the system knows it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it. Nothing happens if it has already ended.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// The lines of its piped standard output. A reader thread drains the pipe for as long as the
    /// child lives, so that the child never blocks on it.
    pub(crate) fn lines(&mut self) -> Receiver<String> {
        let (sender, receiver) = channel();
        if let Some(pipe) = self.child.stdout.take() {
            thread::spawn(move || {
                for_each_line(pipe, |line| {
                    // If nobody listens any more, reading continues, so that the pipe drains.
                    let _ = sender.send(line.to_owned());
                });
            });
        }
        receiver
    }

    /// Waits until it ends. Fails if it still runs a moment after Ctrl-C.
    pub(crate) fn wait(&mut self) -> Outcome<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if is_grace_over() {
                return fail(format!("interrupted while {} was running", self.name));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The terminal sends Ctrl-C to the child as well: a server that shuts down cleanly gets
        // time for that.
        while is_interrupted() && !is_grace_over() && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(POLL_INTERVAL);
        }
        // Both fail only if it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end with this terminal's output.
pub(crate) fn run(command: &mut Command) -> Outcome<ExitStatus> {
    Running::start(line_of(command), command)?.wait()
}

/// Runs a command to its end, and passes each line of its standard output to `on_line` as it
/// arrives.
pub(crate) fn run_with_lines(
    command: &mut Command,
    mut on_line: impl FnMut(&str),
) -> Outcome<ExitStatus> {
    command.stdout(Stdio::piped());
    let mut running = Running::start(line_of(command), command)?;
    let lines = running.lines();
    loop {
        match lines.recv_timeout(POLL_INTERVAL) {
            Ok(line) => on_line(&line),
            Err(RecvTimeoutError::Timeout) if !is_interrupted() => {}
            Err(_) => return running.wait(),
        }
    }
}

/// Runs a command silently. Returns its standard output if it succeeded.
pub(crate) fn output_of(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns whether a program of this name can be started from `PATH`.
pub(crate) fn is_installed(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else {
        return false;
    };
    let file_name = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&path).any(|folder| folder.join(&file_name).is_file())
}

/// The command as one would type it.
pub(crate) fn line_of(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

fn for_each_line(pipe: impl Read, mut on_line: impl FnMut(&str)) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    // Lossy, because a program may print any bytes.
    while matches!(reader.read_until(b'\n', &mut line), Ok(length) if length > 0) {
        on_line(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrive_without_their_ends_and_a_last_one_without_newline_counts() {
        let mut lines = Vec::new();
        for_each_line(&b"one\r\ntwo\n\nlast"[..], |line| {
            lines.push(line.to_owned());
        });
        assert_eq!(lines, ["one", "two", "", "last"]);
    }

    #[test]
    fn a_command_reads_as_it_would_be_typed() {
        assert_eq!(
            line_of(Command::new("cargo").args(["build", "--release"])),
            "cargo build --release"
        );
    }
}
