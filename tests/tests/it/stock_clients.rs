//! Unmodified `matchbox_socket` clients meet through our server and talk over real data channels.

use std::{
    collections::{HashMap, HashSet},
    fmt::{self, Debug, Formatter},
    future::Future,
    net::SocketAddr,
    time::{Duration, Instant},
};

use matchbox_socket::{
    Error, PeerId, PeerState, RtcIceServerConfig, WebRtcSocket, WebRtcSocketBuilder,
};
use signaling::server::{Server, ServerConfig};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Long enough for several WebRTC handshakes on a machine that is busy with other things.
const DEADLINE: Duration = Duration::from_secs(60);

/// The interval between two polls of the sockets, which offer no way to wait for events.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

const CHANNEL: usize = 0;

/// Starts a server that runs until the test ends.
async fn start_server() -> SocketAddr {
    let config =
        ServerConfig { address: SocketAddr::from(([127, 0, 0, 1], 0)), ..ServerConfig::default() };
    let server = Server::bind(config).await.expect("the system has a free port");
    let address = server.local_addr();
    tokio::spawn(server.run(std::future::pending()));
    address
}

/// A stock client, and the task that drives it.
struct Client {
    socket: WebRtcSocket,
    message_loop: JoinHandle<Result<(), Error>>,
    /// The last text from each sender over the data channel.
    heard: HashMap<PeerId, String>,
    connected: HashSet<PeerId>,
    gone: HashSet<PeerId>,
}

impl Client {
    fn new(url: &str) -> Self {
        let (socket, message_loop) = WebRtcSocketBuilder::new(url)
            // Host candidates are enough between clients on one machine.
            .ice_server(RtcIceServerConfig { urls: vec![], username: None, credential: None })
            .reconnect_attempts(Some(1))
            .add_reliable_channel()
            .build();
        Self {
            socket,
            message_loop: tokio::spawn(message_loop),
            heard: HashMap::new(),
            connected: HashSet::new(),
            gone: HashSet::new(),
        }
    }

    /// Handles what has happened, and greets all connected peers. They are greeted each time,
    /// because webrtc-rs drops packets that overtake the last one of its handshake, and reports
    /// them as delivered.
    fn poll(&mut self) {
        let changes = self.socket.try_update_peers().expect("the message loop runs");
        for (peer, state) in changes {
            let into = match state {
                PeerState::Connected => &mut self.connected,
                PeerState::Disconnected => &mut self.gone,
            };
            into.insert(peer);
        }
        for &peer in self.connected.difference(&self.gone) {
            let greeting = format!("hello, {peer}").into_bytes();
            let channel = self.socket.channel_mut(CHANNEL);
            channel.try_send(greeting.into(), peer).expect("the message loop runs");
        }
        for (peer, packet) in self.socket.channel_mut(CHANNEL).receive() {
            let text = String::from_utf8(packet.to_vec()).expect("a greeting");
            self.heard.insert(peer, text);
        }
    }

    fn id(&mut self) -> PeerId {
        self.socket.id().expect("a connected client has its id")
    }
}

impl Debug for Client {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { socket: _, message_loop, heard, connected, gone } = self;
        f.debug_struct("Client")
            .field("running", &!message_loop.is_finished())
            .field("heard", heard)
            .field("connected", connected)
            .field("gone", gone)
            .finish()
    }
}

/// Polls all clients until the condition holds.
async fn until(what: &str, clients: &mut [Client], condition: impl Fn(&[Client]) -> bool) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        for client in clients.iter_mut() {
            if client.message_loop.is_finished() {
                let end = (&mut client.message_loop).await;
                panic!("while waiting for {what}, the message loop of {client:?} ended: {end:?}");
            }
            client.poll();
        }
        if condition(clients) {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "timed out after {DEADLINE:?} waiting for {what}; the clients are {clients:#?}"
        );
        sleep(POLL_INTERVAL).await;
    }
}

async fn within_deadline<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("timed out after {DEADLINE:?} waiting for {what}"),
    }
}

/// Waits until every client has a greeting from `others` other clients, and asserts that each
/// greeting was meant for it.
async fn greet_each_other(clients: &mut [Client], others: usize) {
    until("greetings over the data channels", clients, |clients| {
        clients.iter().all(|client| client.heard.len() >= others)
    })
    .await;
    for client in clients {
        let greeting = format!("hello, {}", client.id());
        assert_eq!(client.heard.len(), others);
        assert!(client.heard.values().all(|text| *text == greeting));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_exchange_data_and_one_hears_the_other_leave() {
    let address = start_server().await;
    let url = format!("ws://{address}/duel");
    let mut clients = vec![Client::new(&url), Client::new(&url)];
    greet_each_other(&mut clients, 1).await;

    let mut leaver = clients.pop().expect("two clients");
    let leaver_id = leaver.id();
    assert!(clients[0].connected.contains(&leaver_id));
    leaver.socket.close();
    drop(leaver.socket);
    within_deadline("the leaver's end", leaver.message_loop)
        .await
        .expect("no panic")
        .expect("a clean end");
    until("PeerLeft", &mut clients, |clients| clients[0].gone.contains(&leaver_id)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_clients_form_two_pairs() {
    let address = start_server().await;
    let url = format!("ws://{address}/pairs?next=2");
    let mut clients: Vec<_> = (0..4).map(|_| Client::new(&url)).collect();
    greet_each_other(&mut clients, 1).await;
    for index in 0..clients.len() {
        let id = clients[index].id();
        let partner = *clients[index].heard.keys().next().expect("it heard its partner");
        let its_partner = clients
            .iter_mut()
            .find_map(|client| (client.id() == partner).then_some(&client.heard))
            .expect("the partner is one of the four");
        assert!(its_partner.contains_key(&id), "{id} and {partner} are not a pair");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_group_size_is_refused_and_the_server_keeps_running() {
    let address = start_server().await;
    let refused = Client::new(&format!("ws://{address}/pairs?next=0"));
    let error = within_deadline("the refusal", refused.message_loop)
        .await
        .expect("no panic")
        .expect_err("a group of nobody");
    let Error::ConnectionFailed(reason) = error else { panic!("refused late: {error}") };
    assert!(reason.to_string().contains("400"), "{reason}");

    let url = format!("ws://{address}/pairs?next=2");
    let mut clients = [Client::new(&url), Client::new(&url)];
    greet_each_other(&mut clients, 1).await;
}
