//! Strangers that enter and leave a room, thousands of times, while two peers play in it: the match
//! goes on, the strangers leave nothing behind, and a real newcomer still gets in.

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
use futures::{channel::oneshot, executor::block_on, future::select};
use signaling::server::ServerConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    runtime::Runtime,
    task::JoinSet,
    time::timeout,
};

use crate::hostile_signals::{OFFER, Stranger};

/// The longest that two peers take to meet, connect and play, on a machine under load.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// The longest that one visit takes on a machine under load.
const VISIT_PATIENCE: Duration = Duration::from_secs(30);
/// File descriptors that a resident may have: a quarter of what systems allow by default.
const MOST_DESCRIPTORS: u32 = 256;
/// The memory of a match varies by some MiB; a peer connection that stays takes 180 KiB.
const FEW_KIB: u64 = 24 * 1024;
/// Number of addresses from which strangers come.
const SOURCES: usize = 8;
/// Number of visits at the same time.
const AT_ONCE: usize = 4;
/// Number of strangers that stay and never answer. A resident tries to meet all of them at the same
/// time.
pub(crate) const STAYING: u32 = 6;
/// Number of reports of a newcomer, one a second, within which it would have given up a handshake,
/// which it does after 10 seconds.
const LONG: usize = 12;

/// A process that lives in the room; killed when dropped.
struct Resident {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    lines: Arc<Mutex<Vec<String>>>,
}

/// What a resident reports about its match and its lobby.
#[derive(Clone, Debug)]
struct Sight {
    confirmed: u32,
    unreachable: u32,
    /// Names of the peers that it is connected to.
    peers: Vec<String>,
}

impl Sight {
    /// Reads `confirmed 117  unreachable 0  peers Ann Bob`.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("confirmed ")?.split_whitespace();
        let confirmed = words.next()?.parse().ok()?;
        let unreachable = words.nth(1)?.parse().ok()?;
        Some(Self { confirmed, unreachable, peers: words.skip(1).map(str::to_owned).collect() })
    }

    fn has(&self, name: &str) -> bool {
        self.peers.iter().any(|peer| peer == name)
    }
}

impl Resident {
    /// Starts a resident that may have at most [`MOST_DESCRIPTORS`].
    fn start(room: &str, name: &'static str) -> Self {
        let mut child = Command::new("bash")
            .args(["-c", &format!("ulimit -n {MOST_DESCRIPTORS}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_peer"))
            .args(["--resident", room, name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash is installed");
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (output, copy) = (child.stdout.take().expect("it is piped"), Arc::clone(&lines));
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                copy.lock().expect("no thread panics while it holds the lock").push(line);
            }
        });
        let input = child.stdin.take().expect("it is piped");
        Self { name, child, input, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no thread panics while it holds the lock").clone()
    }

    /// All its reports so far.
    fn sights(&self) -> Vec<Sight> {
        self.lines().iter().filter_map(|line| Sight::read(line)).collect()
    }

    fn confirmed(&self) -> u32 {
        self.sights().last().map_or(0, |sight| sight.confirmed)
    }

    /// # Panics
    ///
    /// If it is not alive.
    fn assert_alive(&mut self) {
        let status = self.child.try_wait().expect("a child can be waited for");
        let tail = self.lines().split_off(self.lines().len().saturating_sub(5));
        assert!(status.is_none(), "{} ended ({status:?}); its output: {tail:#?}", self.name);
        assert!(!tail.iter().any(|line| line.starts_with("ended")), "{}: {tail:#?}", self.name);
    }

    /// Waits until `condition` holds, and asserts that it lives until then.
    fn wait_for(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        wait_for(&format!("{what} at {}", self.name), PATIENCE, || {
            self.assert_alive();
            condition(self).then_some(())
        });
    }

    /// Waits until it has played `more` frames.
    fn wait_for_frames(&mut self, more: u32) {
        let frames = self.confirmed() + more;
        self.wait_for(&format!("{frames} frames"), |resident| resident.confirmed() >= frames);
    }

    /// Waits until `is_wanted` accepts its last report.
    fn wait_for_sight(&mut self, what: &str, is_wanted: impl Fn(&Sight) -> bool) {
        self.wait_for(what, |resident| resident.sights().last().is_some_and(&is_wanted));
    }

    /// Makes it finish its match.
    fn finish(&mut self) {
        writeln!(self.input, "finish").expect("it reads its input");
    }

    fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(folder).expect("it runs").count()
    }

    /// Its resident memory.
    fn kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        kib.expect("a process that runs has memory")
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The settings of a server that lets in any number of visits, and keeps no places for visitors
/// that left.
pub(crate) fn open_to_all() -> ServerConfig {
    let grace_time = Duration::ZERO;
    ServerConfig { grace_time, max_peers_per_address: 1_000, ..ServerConfig::default() }
}

/// Enters the room at `path` from one of several addresses of this machine, and leaves it. The
/// visitor is not a WebRTC peer at all.
async fn visit(server: SocketAddr, number: usize, path: String) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    let source = 2 + (number % SOURCES) as u8;
    socket.bind((Ipv4Addr::new(127, 0, 0, source), 0).into())?;
    let mut stream = socket.connect(server).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut heard = Vec::new();
    // Once it has its id, it is in the room.
    while !String::from_utf8_lossy(&heard).contains("IdAssigned") {
        if stream.read_buf(&mut heard).await? == 0 {
            let heard = String::from_utf8_lossy(&heard);
            return Err(io::Error::other(format!("the server closed the connection: {heard}")));
        }
    }
    Ok(())
}

/// Makes strangers visit the room `visits` times, and calls `look` after every 50 visits.
pub(crate) fn come_and_go(server: SocketAddr, room: &str, visits: usize, mut look: impl FnMut()) {
    let runtime = Runtime::new().expect("the system has threads for a runtime");
    runtime.block_on(async {
        let mut under_way = JoinSet::new();
        for number in 0..visits {
            let path = format!("/v1/rooms/{room}?name=Stranger");
            under_way.spawn(timeout(VISIT_PATIENCE, visit(server, number, path)));
            while under_way.len() >= AT_ONCE || (number + 1 == visits && !under_way.is_empty()) {
                let visit = under_way.join_next().await.expect("some are under way");
                let answered = visit.expect("no visitor panics").expect("the server answers");
                answered.expect("the server lets all visitors in");
            }
            if number % 50 == 0 {
                look();
            }
        }
    });
}

/// A stranger that stays in the room. It offers a connection to every member, reads all messages,
/// and answers none. It leaves when this is dropped.
pub(crate) struct Bore {
    _leaves: oneshot::Sender<()>,
}

impl Bore {
    /// Enters the room, and waits until it has seen at least `others` other members in it.
    pub(crate) fn enter(server: &TestServer, room: &str, number: u32, others: usize) -> Self {
        let path = format!("v1/rooms/{room}?name=Bore{number}");
        let mut stranger = Stranger::enter(&server.room(&path));
        let members = wait_for("the members of the room", VISIT_PATIENCE, || {
            let event = stranger.next()?;
            let members = event["Room"]["members"].as_array()?;
            let ids = members.iter().filter_map(|member| member["id"].as_str());
            (members.len() > others).then(|| ids.map(str::to_owned).collect::<Vec<_>>())
        });
        for member in members {
            stranger.send(&member, "Offer", &OFFER.join("\r\n"));
        }
        let (leaves, left) = oneshot::channel();
        thread::spawn(move || {
            // If the server closes the connection, the test finds one peer too few in the room.
            block_on(select(Box::pin(stranger.listen()), left));
        });
        Self { _leaves: leaves }
    }
}

/// Waits until exactly `peers` peers are in the rooms of the server.
pub(crate) fn wait_for_peers(server: &TestServer, peers: u32) {
    let what = format!("exactly {peers} peers at the server");
    wait_for(&what, PATIENCE, || (server.peers() == u64::from(peers)).then_some(()));
}

/// Lets two peers play in a room while strangers visit it. Asserts that the residents keep nothing
/// from the visits.
fn assert_nothing_lasts(visits: usize) {
    let server = TestServer::with(open_to_all());
    let room = server.room("visited");
    let ann = Resident::start(&room, "Ann");
    wait_for_peers(&server, 1);
    let alone = ann.descriptors();
    let mut residents = [ann, Resident::start(&room, "Bob")];
    for resident in &mut residents {
        resident.wait_for_frames(60);
    }
    let before = residents.each_ref().map(|resident| (resident.descriptors(), resident.kib()));
    // The cost of a connected peer: what Bob cost Ann. A stranger whose handshake never ended would
    // cost as much.
    let of_a_peer = before[0].0 - alone;

    let bores: Vec<_> =
        (0..STAYING).map(|number| Bore::enter(&server, "visited", number, 2)).collect();
    let mut newcomer = Resident::start(&room, "Cid");
    wait_for_peers(&server, 3 + STAYING);
    let reports_before = newcomer.sights().len();
    let mut most = [0; 2];
    come_and_go(server.address(), "visited", visits, || {
        for (resident, most) in residents.iter_mut().zip(&mut most) {
            resident.assert_alive();
            *most = resident.descriptors().max(*most);
        }
    });
    for ((resident, (descriptors, kib)), most) in residents.iter_mut().zip(before).zip(most) {
        resident.wait_for_frames(60);
        let after = resident.kib();
        println!(
            "{}: {alone} descriptors alone, {descriptors} in the match, at most {most}; \
             {kib} KiB, then {after}",
            resident.name
        );
        assert!(most < descriptors + of_a_peer, "it met a stranger: {most} descriptors");
        assert!(after <= kib + FEW_KIB, "{after} KiB, {kib} before");
    }
    // The visitors are gone, and everybody else has stayed.
    wait_for_peers(&server, 3 + STAYING);
    assert_not_met_yet(&mut newcomer, reports_before);
    residents.iter_mut().for_each(Resident::finish);
    newcomer.wait_for_sight("both residents", |sight| sight.has("Ann") && sight.has("Bob"));
    for (resident, (descriptors, _)) in residents.iter_mut().zip(before) {
        resident.wait_for_sight("the newcomer", |sight| sight.has("Cid"));
        // Outside a match it tries to meet the strangers, too, and gives up: they never answer.
        let what = "the strangers to be out of reach";
        resident.wait_for_sight(what, |sight| sight.unreachable == STAYING);
        let what = "as few descriptors as one more peer takes";
        resident.wait_for(what, |resident| resident.descriptors() <= descriptors + of_a_peer);
    }
    drop(bores);
}

/// Asserts that a newcomer neither meets the players of a running match nor counts them as out of
/// reach. It has been in the room since its report number `reports_before`.
fn assert_not_met_yet(newcomer: &mut Resident, reports_before: usize) {
    newcomer.wait_for("reports for longer than a handshake lasts", |newcomer| {
        newcomer.sights().len() >= reports_before + LONG
    });
    let sights = newcomer.sights();
    let is_alone = |sight: &Sight| sight.unreachable == 0 && !sight.has("Ann") && !sight.has("Bob");
    assert!(sights.iter().all(is_alone), "met during the match: {sights:?}");
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
