//! The page around the game, in a real Chromium and without the game: what the page asks before it
//! loads anything, and what the server's headers allow it to do. A module of a few lines stands in
//! for the game, so no browser version has to be built.

use std::{env, fs, path::PathBuf};

use e2e_tests::{Browser, Page, TestServer};
use serde_json::{Value, json};

use crate::browser::START_PATIENCE;

/// Does what the game does with its browser, and what only an intruder would do; then reports how
/// each of these went.
const GAME: &str = r#"
export default async ({ module_or_path }) => {
  const outcome = { violations: [] };
  document.addEventListener("securitypolicyviolation", (event) => outcome.violations.push(event.effectiveDirective));
  const opens = (url) =>
    new Promise((resolve) => {
      const socket = new WebSocket(url + "/room");
      socket.onopen = () => resolve(true);
      socket.onerror = () => resolve(false);
    });

  outcome.module = (await WebAssembly.instantiateStreaming(module_or_path)).instance instanceof WebAssembly.Instance;
  const worker = new Worker(URL.createObjectURL(new Blob(["postMessage('works')"])));
  outcome.worker = await new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = () => resolve("fails");
  });
  outcome.own = await opens(page.server());
  outcome.other = await opens(page.query("server")[0] || page.server());
  const peer = new RTCPeerConnection();
  peer.createDataChannel("inputs");
  await peer.setLocalDescription();
  outcome.webrtc = peer.localDescription.type;
  outcome.icon = await new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve(true);
    image.onerror = () => resolve(false);
    image.src = document.querySelector("link[rel=icon]").href;
  });

  // Browsers report a violation a little after they refuse it. Nothing was forbidden so far.
  await new Promise((resolve) => setTimeout(resolve, 100));
  outcome.allowed = outcome.violations.length === 0;
  const script = document.createElement("script");
  script.textContent = "document.body.dataset.intruder = true";
  document.body.append(script);
  try {
    outcome.evaluates = Function("return true")();
  } catch {
    outcome.evaluates = false;
  }
  await fetch("http://elsewhere.invalid/").catch(() => {});
  // If one of them never comes, the test shows those that did.
  const deadline = performance.now() + 30_000;
  while (outcome.violations.length < 3 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  outcome.violations.sort();
  outcome.intruder = "intruder" in document.body.dataset;
  page.started();
  document.body.dataset.outcome = JSON.stringify(outcome);
};
"#;
/// The shortest WebAssembly module that is valid.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Puts the page with the short module into a folder for this test. Returns its server, another
/// server, and a browser; `None` if there is no browser, after printing that `test` was skipped.
fn page_servers_and_browser(test: &str) -> Option<(TestServer, TestServer, Browser)> {
    let browser = Browser::find(test)?;
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../demo-game/web");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&folder).expect("a writable folder");
    for file in fs::read_dir(page).expect("the page is in the checkout") {
        let file = file.expect("a readable folder");
        fs::copy(file.path(), folder.join(file.file_name())).expect("a writable folder");
    }
    fs::write(folder.join("demo-game.js"), GAME).expect("a writable folder");
    fs::write(folder.join("demo-game_bg.wasm"), MODULE).expect("a writable folder");
    Some((TestServer::serving(Some(folder)), TestServer::start(), browser))
}

/// The module's report on how everything went, once it has started.
fn outcome(page: &Page) -> Value {
    let outcome = page.wait_for_data("outcome", START_PATIENCE);
    serde_json::from_str(&outcome).expect("the module writes JSON")
}

/// The servers that the page asks for.
fn question(page: &Page) -> String {
    let servers = page.wait_for_data("question", START_PATIENCE);
    let words = page.run("return document.getElementById('words').innerText");
    assert!(words.as_str().expect("the page shows words").contains(&servers), "{words}");
    assert_eq!(page.run("return 'started' in document.body.dataset"), false);
    servers
}

#[test]
fn the_page_may_do_what_the_game_needs_and_nothing_that_is_injected() {
    let Some((server, other, browser)) = page_servers_and_browser(
        "the_page_may_do_what_the_game_needs_and_nothing_that_is_injected",
    ) else {
        return;
    };
    let page = browser.open("Page", &server.page(&format!("/?server=ws://{}", other.address())));
    page.trust_other_servers(START_PATIENCE);
    let expected = json!({
        "module": true, "worker": "works", "own": true, "other": true, "webrtc": "offer", "icon": true,
        "allowed": true, "evaluates": false, "intruder": false,
        "violations": ["connect-src", "script-src", "script-src-elem"],
    });
    assert_eq!(outcome(&page), expected);
}

#[test]
fn another_server_is_named_and_asked_for_once() {
    let Some((server, other, browser)) =
        page_servers_and_browser("another_server_is_named_and_asked_for_once")
    else {
        return;
    };
    let servers = format!("server=ws://{}&ice=stun:stun.example:3478", other.address());
    let address = |name: &str| server.page(&format!("/?name={name}&{servers}#DAM3R"));
    let page = browser.open("Page", &address("Ann"));
    assert_eq!(question(&page), format!("{}, stun.example:3478", other.address()));
    page.run("document.getElementById('stay').click()");
    outcome(&page);
    assert_eq!(page.run("return location.search + location.hash"), "?name=Ann");

    page.go_to(&address("Bob"));
    question(&page);
    page.trust_other_servers(START_PATIENCE);
    outcome(&page);
    let link = server.page(&format!("/?{servers}#ws://h:1/AB%26%20C"));
    assert_eq!(page.run("return page.link('ws://h:1/AB& C')"), link);

    page.go_to(&address("Cid"));
    outcome(&page);
    assert_eq!(page.run("return 'question' in document.body.dataset"), false);
}

#[test]
fn no_address_hides_where_it_leads() {
    let Some((server, _, browser)) = page_servers_and_browser("no_address_hides_where_it_leads")
    else {
        return;
    };
    let own = server.address();
    let page = browser.open("Page", &server.page("/"));
    outcome(&page);
    for (number, (address, asked)) in [
        (format!("server=ws://{own}@evil.example#DAM3R"), "evil.example"),
        ("server=evil.example".to_owned(), "evil.example"),
        ("server=ws://pl\u{430}y.example".to_owned(), "xn--ply-7cd.example"),
        (format!("server=ws://{own}&server=ws://evil.example"), "evil.example"),
        ("low#ws://evil.example/DAM3R".to_owned(), "evil.example"),
        ("low#evil.example/DAM3R".to_owned(), "evil.example/DAM3R"),
        (
            format!("low#http://{own}/%23ws://evil.example/D"),
            &format!("http://{own}/%23ws://evil.example/D"),
        ),
        ("ice=turn:evil.example?transport=udp".to_owned(), "evil.example"),
    ]
    .into_iter()
    .enumerate()
    {
        // Another query each time, so that the page is loaded again.
        page.go_to(&server.page(&format!("/?number={number}&{address}")));
        assert_eq!(question(&page), asked, "{address}");
    }
    for (number, address) in [
        format!("server=ws://{own}#DAM3R"),
        format!("server=&ice=&ice=stun:127.0.0.1:3478#ws://{own}/DAM3R"),
        "low#DAM3R".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        page.go_to(&server.page(&format!("/?own={number}&{address}")));
        outcome(&page);
        assert_eq!(page.run("return 'question' in document.body.dataset"), false, "{address}");
    }
}
