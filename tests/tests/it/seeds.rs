//! Seeds for the fuzz targets of signaling, from what three real peers and a real server say to
//! each other.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use async_tungstenite::tungstenite::{
    Error, Message, WebSocket, accept_hdr, client,
    handshake::server::{Request, Response},
};
use e2e_tests::{PeerSettings, TestServer};
use serde_json::Value;
use signaling::testing::fuzz::client_requests;

use crate::start;

/// The targets whose seeds are made here, and the prefixes of those seeds' names.
const SEEDS: [(&str, &[&str]); 3] = [
    ("signal", &["offer-", "answer-", "icecandidate-"]),
    ("server_event", &["meeting-"]),
    ("client_request", &["meeting"]),
];
/// How long to listen to one side before it is the other side's turn.
const TURN: Duration = Duration::from_millis(2);

/// A recorder between the peers and the server: it writes down what it passes on.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<Said>>>);

/// A message on its way, and the address at which its peer entered.
struct Said {
    address: String,
    by_server: bool,
    text: String,
}

impl Tape {
    /// Listens in place of the server.
    fn listen(&self, server: SocketAddr) -> SocketAddr {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the system has a free port");
        let address = listener.local_addr().expect("it listens");
        let tape = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let tape = tape.clone();
                thread::spawn(move || tape.pass(stream, server));
            }
        });
        address
    }

    /// Passes messages both ways until one side is gone.
    fn pass(&self, stream: TcpStream, server: SocketAddr) {
        let mut address = String::new();
        #[expect(
            clippy::result_large_err,
            reason = "the library prescribes the type of the result"
        )]
        let note = |request: &Request, response: Response| {
            address = request.uri().to_string();
            Ok(response)
        };
        let peer = accept_hdr(stream, note).expect("it speaks WebSocket");
        let upstream = TcpStream::connect(server).expect("the server listens");
        let (upstream, _) =
            client(format!("ws://{server}{address}"), upstream).expect("the server lets it in");
        let mut sides = [(peer, false), (upstream, true)];
        for (side, _) in &sides {
            side.get_ref().set_read_timeout(Some(TURN)).expect("the timeout is not zero");
        }
        loop {
            for turn in 0..2 {
                let by_server = sides[turn].1;
                let Ok(heard) = hear(&mut sides[turn].0) else { return };
                let Some(message) = heard else { continue };
                if let Message::Text(text) = &message {
                    let (address, text) = (address.clone(), text.to_string());
                    let said = Said { address, by_server, text };
                    self.0.lock().expect("no thread panics").push(said);
                }
                if sides[1 - turn].0.send(message).is_err() {
                    return;
                }
            }
        }
    }
}

/// Returns the next message, if one comes soon.
fn hear(side: &mut WebSocket<TcpStream>) -> Result<Option<Message>, Error> {
    match side.read() {
        Ok(message) => Ok(Some(message)),
        Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// The text with its IP addresses replaced by addresses for documentation, which belong to nobody.
fn without_addresses(text: &str) -> String {
    let is_of_address = |letter: char| letter.is_ascii_hexdigit() || ".:".contains(letter);
    let mut rest = text;
    let mut clean = String::new();
    while let Some(begin) = rest.find(is_of_address) {
        let length = rest[begin..].find(|letter| !is_of_address(letter));
        let end = length.map_or(rest.len(), |length| begin + length);
        clean.push_str(&rest[..begin]);
        clean.push_str(match rest[begin..end].parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) if !address.is_unspecified() => "192.0.2.1",
            Ok(IpAddr::V6(address)) if !address.is_unspecified() => "2001:db8::1",
            _ => &rest[begin..end],
        });
        rest = &rest[end..];
    }
    clean + rest
}

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../netcode/fuzz/corpus").join(target)
}

fn write(target: &str, name: &str, text: &str) {
    fs::create_dir_all(corpus(target)).expect("the folder can be made");
    fs::write(corpus(target).join(name), text).expect("the file can be written");
}

/// Makes new seeds for `signal`, `server_event` and `client_request`. Run it by name after matchbox
/// has changed.
#[test]
#[ignore = "writes files"]
fn make_seeds_from_a_meeting() {
    let server = TestServer::start();
    let tape = Tape::default();
    let room = format!("ws://{}/seeds", tape.listen(server.address()));
    let mut peers = ["Ann", "Bob", "Cid"]
        .map(|name| start(&PeerSettings::new(&room, name).players(3).seconds(5)));
    for peer in &mut peers {
        peer.wait_for_play(60);
    }
    drop(peers);
    let said = std::mem::take(&mut *tape.0.lock().expect("no thread panics"));
    let mut addresses: Vec<String> = said.iter().map(|said| said.address.clone()).collect();
    addresses.sort();
    addresses.dedup();
    for (target, kinds) in SEEDS {
        remove(target, kinds);
    }
    let mut signals = 0;
    for (number, address) in addresses.iter().enumerate() {
        let mut heard = String::new();
        for said in said.iter().filter(|said| said.by_server && said.address == *address) {
            let text = without_addresses(&said.text);
            writeln!(heard, "{text}").expect("writing to a string cannot fail");
            signals += write_signal(&text, signals);
        }
        write("server_event", &format!("meeting-{number}"), &heard);
    }
    let mut requests = String::new();
    let mut speaker = String::new();
    for Said { address, text, .. } in said.iter().filter(|said| !said.by_server) {
        if *address != speaker {
            writeln!(requests, "{address}").expect("writing to a string cannot fail");
            speaker.clone_from(address);
        }
        writeln!(requests, "{}", without_addresses(text)).expect("writing to a string cannot fail");
    }
    // All peers enter before the first one speaks.
    let comings: String = addresses.iter().map(|address| format!("{address}\n")).collect();
    write("client_request", "meeting", &(comings + &requests));
}

/// Writes each description or candidate in a message of the server as a seed. Returns their number.
fn write_signal(event: &str, before: usize) -> usize {
    let event: Value = serde_json::from_str(event).expect("the server sends JSON");
    let Some(data) = event["Signal"]["data"].as_object() else { return 0 };
    for (number, (kind, text)) in (before..).zip(data) {
        let text = text.as_str().expect("signals are texts");
        write("signal", &format!("{}-{number}", kind.to_lowercase()), text);
    }
    data.len()
}

/// Removes the seeds of these kinds. Findings, which have other names, stay.
fn remove(target: &str, kinds: &[&str]) {
    for entry in fs::read_dir(corpus(target)).expect("every target has seeds") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if kinds.iter().any(|kind| name.starts_with(kind)) {
            fs::remove_file(&path).expect("the file can be removed");
        }
    }
}

#[test]
fn requests_of_real_clients_and_mutations_of_them_harm_nobody() {
    let files = fs::read_dir(corpus("client_request")).expect("the target has seeds");
    let texts: Vec<Vec<u8>> = files
        .map(|file| fs::read(file.expect("the folder can be read").path()))
        .collect::<Result<_, _>>()
        .expect("the files can be read");
    assert!(!texts.is_empty());
    for text in texts {
        client_requests(&text);
    }
}
