//! Pages in a real Chromium, driven through chromedriver: one driver per test, one browser per
//! page.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{Report, skip::skip, wait_for, webdriver, webdriver::Session};

/// A driver starts within a second; a machine under load gets more time.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// The interval between two checks of a page.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A software renderer stands in for the graphics card, and nothing but the page makes network
/// traffic.
const CHROMIUM_FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--window-size=640,360",
];

/// The folder of the browser version, if the browser tests are to run. Otherwise prints that `test`
/// was skipped, in the form that `cargo xtask test` collects.
pub fn web_dist(test: &str) -> Option<PathBuf> {
    let folder = env::var_os("WEB_DIST").map(PathBuf::from);
    if folder.is_none() {
        let reason = env::var("NO_BROWSER_REASON")
            .unwrap_or_else(|_| "WEB_DIST names no browser version".to_owned());
        skip(test, &reason);
    }
    folder
}

/// A running chromedriver. It and its browsers end when this is dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    port: u16,
}

impl Browser {
    /// Starts chromedriver on a free port.
    pub fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver is installed where WEB_DIST is set");
        let output = driver.stdout.take().expect("the output is piped");
        let (ports, port) = mpsc::channel();
        // Drains the pipe to its end, so that chromedriver never blocks on it.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // `ChromeDriver was started successfully on port 41234.`
                let port = line.split_once("successfully on port ");
                if let Some(port) =
                    port.and_then(|(_, port)| port.trim_end_matches('.').parse().ok())
                {
                    // Fails if nobody is waiting for it any more.
                    let _ = ports.send(port);
                }
            }
        });
        let port = port.recv_timeout(START_PATIENCE).expect("chromedriver names its port");
        let browser = Self { driver, port };
        wait_for("an answer from chromedriver", START_PATIENCE, || {
            webdriver::is_ready(port).then_some(())
        });
        browser
    }

    /// Starts chromedriver, if it is installed. Otherwise prints that `test` was skipped, in the
    /// form that `cargo xtask test` collects.
    pub fn find(test: &str) -> Option<Self> {
        let is_installed = Command::new("chromedriver").arg("--version").output().is_ok();
        if !is_installed {
            skip(test, "chromedriver is not installed");
        }
        is_installed.then(Self::start)
    }

    /// Opens this page in a browser of its own.
    pub fn open(&self, name: &str, url: &str) -> Page {
        let profile = new_profile_folder();
        let mut flags: Vec<String> = CHROMIUM_FLAGS.iter().map(|&flag| flag.to_owned()).collect();
        flags.push(format!("--user-data-dir={}", profile.display()));
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let session = Session::open(self.port, &capabilities).expect("Chromium starts");
        let page = Page { name: name.to_owned(), session, profile };
        page.session.go_to(url).expect("the page loads");
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// A page in a browser of its own; closed when dropped.
#[derive(Debug)]
pub struct Page {
    name: String,
    session: Session,
    profile: PathBuf,
}

impl Page {
    /// The page's current report on its match; `None` before the game has started.
    pub fn report(&self) -> Option<Report> {
        Report::parse(&self.data("report"))
    }

    /// Waits until `is_wanted` accepts the page's report. Returns the report.
    ///
    /// # Panics
    ///
    /// If it never does; the message contains what the page showed instead.
    pub fn wait_for(
        &self,
        what: &str,
        patience: Duration,
        is_wanted: impl Fn(&Report) -> bool,
    ) -> Report {
        self.wait(what, patience, || self.report().filter(|report| is_wanted(report)))
    }

    /// Waits until its match is over. Returns its report.
    ///
    /// # Panics
    ///
    /// When it never is.
    pub fn ended(&self, patience: Duration) -> Report {
        self.wait_for("the end of the match", patience, |report| report.text("state") == "Ended")
    }

    /// Waits until the page has written something into this data attribute of its body.
    ///
    /// # Panics
    ///
    /// When it never does.
    pub fn wait_for_data(&self, attribute: &str, patience: Duration) -> String {
        self.wait(attribute, patience, || {
            let data = self.data(attribute);
            (!data.is_empty()).then_some(data)
        })
    }

    pub(crate) fn wait<T>(
        &self,
        what: &str,
        patience: Duration,
        condition: impl Fn() -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(value) = condition() {
                return value;
            }
            assert!(
                Instant::now() < deadline,
                "timed out after {patience:?} waiting for {what} on {}; its report: {}; it shows: {}; its console: {:#?}",
                self.name,
                self.data("report"),
                self.run("return document.body.innerText"),
                self.session.console()
            );
            // A page that renders in software needs the processor more than this test does.
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn data(&self, attribute: &str) -> String {
        let value = self.run(&format!("return document.body?.dataset.{attribute} ?? ''"));
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Runs the body of a function in the page. Returns its result.
    ///
    /// # Panics
    ///
    /// When it throws.
    pub fn run(&self, script: &str) -> Value {
        self.session
            .run(script)
            .unwrap_or_else(|error| panic!("a script failed on {}: {error}", self.name))
    }

    /// Takes the browser to another address, which must differ in more than the part after the `#`.
    ///
    /// # Panics
    ///
    /// When there is no page.
    pub fn go_to(&self, url: &str) {
        self.session.go_to(url).expect("the page loads");
    }

    /// Loads the page again.
    ///
    /// # Panics
    ///
    /// When it does not load.
    pub fn reload(&self) {
        self.session.reload().expect("the page loads again");
    }

    /// Waits until the page asks whether it may use the servers that its address names, and agrees.
    ///
    /// # Panics
    ///
    /// When it never asks.
    pub fn trust_other_servers(&self, patience: Duration) {
        self.wait_for_data("question", patience);
        self.run("document.getElementById('trust').click()");
    }

    /// Returns whether the browser considers the page hidden.
    pub fn is_hidden(&self) -> bool {
        self.run("return document.hidden") == true
    }

    /// Waits until the browser considers the page visible.
    ///
    /// # Panics
    ///
    /// When it never is.
    pub fn wait_until_seen(&self, patience: Duration) {
        self.wait("visibility", patience, || (!self.is_hidden()).then_some(()));
    }

    /// Minimises the page's window, or restores it.
    pub fn set_minimised(&self, minimised: bool) {
        let window = self.devtools("Browser.getWindowForTarget", &json!({}))["windowId"].take();
        let state = if minimised { "minimized" } else { "normal" };
        let bounds = json!({ "windowId": window, "bounds": { "windowState": state } });
        self.devtools("Browser.setWindowBounds", &bounds);
    }

    /// Opens another page in front of this one, in the same window or in a new one. Returns a guard
    /// that closes it.
    pub fn cover(&self, in_new_window: bool) -> Cover<'_> {
        let blank = json!({ "url": "about:blank", "newWindow": in_new_window });
        let target = self.devtools("Target.createTarget", &blank)["targetId"].take();
        self.devtools("Target.activateTarget", &json!({ "targetId": target }));
        Cover { page: self, target }
    }

    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.session
            .devtools(command, parameters)
            .unwrap_or_else(|error| panic!("a command failed on {}: {error}", self.name))
    }

    /// Holds a key for `time`, as a player would.
    pub fn hold_key(&self, key: char, time: Duration) {
        self.session.key("keyDown", key).expect("the page takes keys");
        thread::sleep(time);
        self.session.key("keyUp", key).expect("the page takes keys");
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Both may fail: a browser that has crashed is closed already, and the system cleans up a
        // folder that is still in use.
        let _ = self.session.close();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// A page in front of another one; closed when dropped.
#[derive(Debug)]
pub struct Cover<'a> {
    page: &'a Page,
    target: Value,
}

impl Drop for Cover<'_> {
    fn drop(&mut self) {
        let closed = json!({ "targetId": self.target });
        // It fails only if the browser is gone.
        let _ = self.page.session.devtools("Target.closeTarget", &closed);
    }
}

/// A profile folder that no other page uses.
fn new_profile_folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    env::temp_dir().join(format!("e2e-browser-{}-{number}", process::id()))
}
