//! Strangers that come to a room and go again, thousands of times, while others play in it: the match goes on, nothing of them stays,
//! and a real newcomer still gets in.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use e2e_tests::{TestServer, wait_for};
use serde_json::{Value, json};
use signaling::server::ServerConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime::Runtime,
    task::JoinSet,
    time::timeout,
};

/// Two that meet, connect and play, on a machine under load.
const PATIENCE: Duration = Duration::from_secs(90);
/// Longest that one visit may take on a machine under load.
const VISIT_PATIENCE: Duration = Duration::from_secs(30);
/// Descriptors that a resident may have: a quarter of what systems allow by default.
const MOST_DESCRIPTORS: u32 = 256;
/// Handshakes that may be under way at a time have less; visits have none.
const FEW_DESCRIPTORS: usize = 24;
/// A match keeps what it is made of within some MiB; a peer connection that stays is 180 KiB.
const FEW_KIB: u64 = 24 * 1024;
/// Addresses from which strangers come.
const SOURCES: u8 = 8;
/// Visits at the same time.
const AT_ONCE: usize = 4;
/// Strangers that stay, offer connections to everybody, and answer nothing.
const STAYING: u8 = 6;

/// An offer that every stack reads, of a machine that is nowhere.
const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n\
    a=candidate:1 1 udp 2122260223 127.0.0.9 9 typ host\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=fingerprint:sha-256 \
    AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";

/// A process that lives in the room; killed when dropped.
struct Resident {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Resident {
    /// Starts one that may have no more than `descriptors`.
    fn start(room: &str, name: &'static str, descriptors: u32) -> Self {
        let mut child = Command::new("bash")
            .args(["-c", &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_peer"))
            .args(["--resident", room, name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash is there");
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (output, copy) = (child.stdout.take().expect("it is piped"), Arc::clone(&lines));
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                copy.lock().expect("nobody panics with it").push(line);
            }
        });
        let input = child.stdin.take().expect("it is piped");
        Self { name, child, input, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("nobody panics with it").clone()
    }

    /// What it says that it sees: frames confirmed, peers that it cannot reach, names of those that it can.
    fn saw(&self) -> Vec<(u32, u32, Vec<String>)> {
        self.lines().iter().filter_map(|line| read(line)).collect()
    }

    fn confirmed(&self) -> u32 {
        self.saw().last().map_or(0, |(confirmed, ..)| *confirmed)
    }

    /// # Panics
    ///
    /// If it is not alive.
    fn assert_alive(&mut self) {
        let status = self.child.try_wait().expect("a child can be waited for");
        let tail = self.lines().split_off(self.lines().len().saturating_sub(5));
        assert!(status.is_none(), "{} ended ({status:?}); it said: {tail:#?}", self.name);
        assert!(!tail.iter().any(|line| line.starts_with("ended")), "{}: {tail:#?}", self.name);
    }

    /// Waits until it plays, and goes on doing so.
    fn wait_for_frames(&mut self, more: u32) {
        let before = self.confirmed();
        wait_for(&format!("{more} more frames at {}", self.name), PATIENCE, || {
            self.assert_alive();
            (self.confirmed() >= before + more).then_some(())
        });
    }

    fn wait_for_peers(&mut self, names: &[&str]) {
        wait_for(&format!("{names:?} at {}", self.name), PATIENCE, || {
            self.assert_alive();
            let (.., peers) = self.saw().pop()?;
            names.iter().all(|name| peers.iter().any(|peer| peer == name)).then_some(())
        });
    }

    /// Has it finish its match.
    fn finish(&mut self) {
        writeln!(self.input, "finish").expect("it reads");
    }

    fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(folder).map_or(0, Iterator::count)
    }

    /// Memory that it holds.
    fn kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(line: &str) -> Option<(u32, u32, Vec<String>)> {
    let mut words = line.strip_prefix("confirmed ")?.split_whitespace();
    let confirmed = words.next()?.parse().ok()?;
    let unreachable = words.nth(1)?.parse().ok()?;
    Some((confirmed, unreachable, words.skip(1).map(str::to_owned).collect()))
}

/// A stranger that is in the room, and is no WebRTC peer at all.
struct Visitor {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Visitor {
    /// Comes from one of several addresses of this machine, and is in the room when this returns.
    async fn come(server: SocketAddr, number: usize, address: &str) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        let source = 2 + (number % usize::from(SOURCES)) as u8;
        socket.bind((Ipv4Addr::new(127, 0, 0, source), 0).into())?;
        let mut stream = socket.connect(server).await?;
        let request = format!(
            "GET {address} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut visitor = Self { stream, heard: Vec::new() };
        visitor.hear(|heard| heard.contains("IdAssigned")).await?;
        Ok(visitor)
    }

    /// Reads on until the server has said what `is_enough`.
    async fn hear(&mut self, is_enough: impl Fn(&str) -> bool) -> io::Result<()> {
        while !is_enough(&String::from_utf8_lossy(&self.heard)) {
            if self.stream.read_buf(&mut self.heard).await? == 0 {
                let said = String::from_utf8_lossy(&self.heard).into_owned();
                return Err(io::Error::other(format!("the server went; it said {said}")));
            }
        }
        Ok(())
    }

    /// Offers a connection to a peer of the room.
    async fn offer(&mut self, to: &str) -> io::Result<()> {
        let data = json!({ "Offer": OFFER });
        let text = json!({ "Signal": { "receiver": to, "data": data } }).to_string();
        // A text frame of a client, masked by zeros.
        let length = u16::try_from(text.len()).expect("it is short").to_be_bytes();
        let mut frame = vec![0x81, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        self.stream.write_all(&frame).await
    }
}

/// Who is in the room, as the server shows it last.
fn members(heard: &str) -> Vec<String> {
    let Some(at) = heard.rfind("{\"Room\":") else { return Vec::new() };
    let mut values = serde_json::Deserializer::from_str(&heard[at..]).into_iter::<Value>();
    let Some(Ok(room)) = values.next() else { return Vec::new() };
    let members = room["Room"]["members"].as_array().cloned().unwrap_or_default();
    members.iter().filter_map(|member| Some(member["id"].as_str()?.to_owned())).collect()
}

/// Has strangers come and go; `look` is called now and then.
async fn come_and_go(server: SocketAddr, room: &str, visits: usize, mut look: impl FnMut(usize)) {
    let mut under_way = JoinSet::new();
    for number in 0..visits {
        let address = format!("/v1/rooms/{room}?name=Stranger");
        under_way.spawn(timeout(VISIT_PATIENCE, async move {
            Visitor::come(server, number, &address).await.map(drop)
        }));
        while under_way.len() >= AT_ONCE {
            let visit = under_way.join_next().await.expect("there are some");
            visit.expect("no visitor panics").expect("the server answers").expect("it lets all in");
        }
        if number % 50 == 0 {
            look(number);
        }
    }
    under_way.join_all().await;
}

/// Strangers that stay, and offer connections to everybody.
async fn stay(server: SocketAddr, room: &str) -> Vec<Visitor> {
    let mut staying = Vec::new();
    for number in 0..STAYING {
        let address = format!("/v1/rooms/{room}?name=Bore{number}");
        let visitor = Visitor::come(server, number.into(), &address).await;
        let mut visitor = visitor.expect("the server lets all in");
        visitor.hear(|heard| members(heard).len() > 2).await.expect("the server shows the room");
        for member in members(&String::from_utf8_lossy(&visitor.heard)) {
            visitor.offer(&member).await.expect("the server reads");
        }
        staying.push(visitor);
    }
    staying
}

/// So many strangers come to a room in which two play.
fn assert_nothing_lasts(visits: usize) {
    // Their places are free again at once.
    let server = TestServer::with(ServerConfig {
        grace_time: Duration::ZERO,
        max_peers_per_address: 1_000,
        ..ServerConfig::default()
    });
    let runtime = Runtime::new().expect("the system has threads for a runtime");
    let room = server.room("visited");
    let mut residents = ["Ann", "Bob"].map(|name| Resident::start(&room, name, MOST_DESCRIPTORS));
    for resident in &mut residents {
        resident.wait_for_frames(60);
    }
    let before = residents.each_ref().map(|resident| (resident.descriptors(), resident.kib()));
    let mut most = [0; 2];
    let staying = runtime.block_on(stay(server.address(), "visited"));
    let mut cid = Resident::start(&room, "Cid", MOST_DESCRIPTORS);
    runtime.block_on(come_and_go(server.address(), "visited", visits, |_| {
        for (resident, most) in residents.iter_mut().zip(&mut most) {
            resident.assert_alive();
            *most = resident.descriptors().max(*most);
        }
    }));
    for ((resident, (descriptors, kib)), most) in residents.iter_mut().zip(before).zip(most) {
        resident.wait_for_frames(60);
        let after = resident.kib();
        println!(
            "{}: {descriptors} descriptors, at most {most}; {kib} KiB, then {after}",
            resident.name
        );
        assert!(most <= descriptors + FEW_DESCRIPTORS, "{most} descriptors, {descriptors} before");
        assert!(after <= kib + FEW_KIB, "{after} KiB, {kib} before");
    }
    assert_newcomer_gets_in(&mut cid, &mut residents);
    drop(staying);
}

/// Who came during the match meets the others when it is over, and does not take them for out of reach before.
fn assert_newcomer_gets_in(newcomer: &mut Resident, residents: &mut [Resident; 2]) {
    newcomer.wait_for_frames(0);
    let early = newcomer.saw();
    let alone = |(_, unreachable, peers): &(u32, u32, Vec<String>)| {
        *unreachable == 0 && !peers.iter().any(|peer| ["Ann", "Bob"].contains(&peer.as_str()))
    };
    assert!(early.iter().all(alone), "met during the match: {early:?}");
    residents.iter_mut().for_each(Resident::finish);
    newcomer.wait_for_peers(&["Ann", "Bob"]);
    for resident in residents {
        resident.wait_for_peers(&[newcomer.name]);
    }
}

#[test]
fn visits_of_strangers_end_no_match_and_leave_nothing_behind() {
    assert_nothing_lasts(2_000);
}

#[test]
#[ignore = "takes minutes: for changes of what a visit costs"]
fn many_more_visits_leave_nothing_behind_either() {
    assert_nothing_lasts(20_000);
}
