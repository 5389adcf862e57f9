//! A native peer: the game's headless bot as a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{Report, deadline::wait_at_most, wait_for};

/// How long peers may take to meet and to connect, on a machine under load.
const MEET_PATIENCE: Duration = Duration::from_secs(60);
/// The fewest frames in a second of a match on such a machine: half as many as there should be.
const SLOW_FPS: u32 = 30;

/// The start of the line in which the game says what went wrong.
const REASON_MARK: &str = "demo-game: ";

/// The command line of the headless peer.
#[derive(Debug, Clone)]
pub struct PeerSettings {
    /// The room's address; `None` for a host, which opens a room.
    pub room: Option<String>,
    /// Its name to other players.
    pub name: String,
    /// How many players the match waits for.
    pub players: u8,
    /// How long it plays from its first frame.
    pub seconds: u32,
    /// Further flags, as on the command line.
    pub more: Vec<String>,
}

impl PeerSettings {
    /// A bot in a match of two players, for 20 seconds.
    pub fn new(room: impl Into<String>, name: &str) -> Self {
        Self { room: Some(room.into()), ..Self::host(name) }
    }

    /// The same, in a room that it opens itself.
    pub fn host(name: &str) -> Self {
        Self { room: None, name: name.to_owned(), players: 2, seconds: 20, more: Vec::new() }
    }

    /// Sets the number of players that the match waits for.
    #[must_use]
    pub fn players(self, players: u8) -> Self {
        Self { players, ..self }
    }

    /// Sets how long it plays from its first frame.
    #[must_use]
    pub fn seconds(self, seconds: u32) -> Self {
        Self { seconds, ..self }
    }

    /// Adds a flag with its value.
    #[must_use]
    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.more.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// Adds a flag without a value.
    #[must_use]
    pub fn switch(mut self, flag: &str) -> Self {
        self.more.push(flag.to_owned());
        self
    }
}

/// A running peer; killed when dropped.
#[derive(Debug)]
pub struct Peer {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
    report: PathBuf,
}

impl Peer {
    /// Starts `program`, this package's `peer`.
    pub fn start(program: &str, settings: &PeerSettings) -> Self {
        let report = new_report_file();
        let room = match &settings.room {
            Some(room) => vec!["--room", room],
            None => vec!["--host"],
        };
        let mut child = Command::new(program)
            .arg("--headless")
            .args(room)
            .args(["--name", &settings.name])
            .args(["--players", &settings.players.to_string()])
            .args(["--seconds", &settings.seconds.to_string()])
            .arg("--report")
            .arg(&report)
            .args(&settings.more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the peer's program starts");
        let lines = Arc::default();
        let readers = vec![
            collect_lines(child.stdout.take().expect("the output is piped"), &lines),
            collect_lines(child.stderr.take().expect("the errors are piped"), &lines),
        ];
        Self { name: settings.name.clone(), child, lines, readers, report }
    }

    /// Everything it has printed so far, errors included.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no reader panics").clone()
    }

    /// Waits until it has printed a line that `is_wanted`.
    pub fn wait_for_line(
        &mut self,
        what: &str,
        patience: Duration,
        is_wanted: impl Fn(&str) -> bool,
    ) -> String {
        let came = wait_at_most(patience, || {
            if let Some(line) = self.lines().into_iter().find(|line| is_wanted(line)) {
                return Some(line);
            }
            if let Some(status) = self.status() {
                // Its last lines may still be in the pipe.
                for reader in self.readers.drain(..) {
                    reader.join().expect("no reader panics");
                }
                let lines = self.lines();
                let line = lines.iter().find(|line| is_wanted(line)).cloned();
                assert!(
                    line.is_some(),
                    "{} ended ({status}) before {what}; its output: {lines:#?}",
                    self.name
                );
                return line;
            }
            None
        });
        came.unwrap_or_else(|| {
            let lines = self.lines();
            panic!(
                "timed out after {patience:?} waiting for {what} from {}; its output: {lines:#?}",
                self.name
            )
        })
    }

    /// Waits until it prints another line that `is_wanted`.
    pub fn wait_for_news(
        &mut self,
        what: &str,
        patience: Duration,
        is_wanted: impl Fn(&str) -> bool,
    ) {
        let old = self.lines().len();
        let came = wait_at_most(patience, || {
            let has_ended = self.status().is_some();
            let came = self.lines().iter().skip(old).any(|line| is_wanted(line));
            (came || has_ended).then_some(came)
        });
        assert_eq!(
            came,
            Some(true),
            "{} did not print {what} within {patience:?} or before its end; its output: {:#?}",
            self.name,
            self.lines()
        );
    }

    /// Waits until it plays and `frames` are confirmed.
    pub fn wait_for_play(&mut self, frames: u32) {
        let what = format!("a line with {frames} confirmed frames");
        let patience = MEET_PATIENCE + Duration::from_secs(u64::from(frames / SLOW_FPS));
        self.wait_for_line(&what, patience, |line| confirmed(line) >= Some(frames));
    }

    /// The confirmed frames of its match, from the last line that names them.
    pub fn confirmed_frames(&self) -> u32 {
        self.lines().iter().rev().find_map(|line| confirmed(line)).unwrap_or(0)
    }

    /// Waits until it says why it cannot go on. Returns the sentence.
    pub fn wait_for_reason(&mut self, patience: Duration) -> String {
        let line = self.wait_for_line("a reason", patience, |line| line.starts_with(REASON_MARK));
        line[REASON_MARK.len()..].to_owned()
    }

    /// Waits until it has ended by itself. Returns its exit status.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait_for(&what, patience, || self.status())
    }

    /// Waits until it has played to its end. Returns its report.
    ///
    /// # Panics
    ///
    /// If it ended in any other way.
    pub fn played(&mut self, patience: Duration) -> Report {
        let status = self.wait(patience);
        assert!(
            status.success(),
            "{} ended ({status}); its output: {:#?}",
            self.name,
            self.lines()
        );
        self.report(patience)
    }

    /// Waits until it has ended by itself. Returns its report.
    ///
    /// # Panics
    ///
    /// If it wrote none.
    pub fn report(&mut self, patience: Duration) -> Report {
        let status = self.wait(patience);
        match fs::read_to_string(&self.report).ok().as_deref().and_then(Report::parse) {
            Some(report) => report,
            None => panic!(
                "{} ended ({status}) without a report; its output: {:#?}",
                self.name,
                self.lines()
            ),
        }
    }

    /// Ends it at once, as a crash or a power cut would: no goodbye.
    pub fn kill(&mut self) {
        self.child.kill().expect("the peer still runs");
        self.child.wait().expect("a killed child can be reaped");
    }

    fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // All three fail only if it has already ended, or never wrote a report.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.report);
    }
}

/// The number of confirmed frames in a line such as `  3 s  frame   120  confirmed   117  …`.
fn confirmed(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once("confirmed")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Drains a pipe for as long as the peer lives, so that the peer never blocks on it.
fn collect_lines(
    pipe: impl Read + Send + 'static,
    lines: &Arc<Mutex<Vec<String>>>,
) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            lines.lock().expect("no reader panics").push(line);
        }
    })
}

/// A file name that no other test of this run uses.
fn new_report_file() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder: &Path = &std::env::temp_dir();
    folder.join(format!("e2e-report-{}-{number}.json", process::id()))
}
