//! A server on a free port, peers that control every frame that they send, and deadlines that name
//! what did not happen in time.

use std::mem::discriminant;
use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use signaling::{
    ice_servers::Welcome,
    lobby::{Denial, RoomEvent, RoomRequest, RoomState},
    protocol::{PeerEvent, PeerId, PeerRequest, Refusal},
    server::{Rate, Server, ServerConfig},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::CloseFrame},
};

/// Long enough for a machine that is busy with other things.
const DEADLINE: Duration = Duration::from_secs(20);

/// Returns the future's output, or panics with what did not happen in time.
pub(crate) async fn within_deadline<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// Settings for a server that only this machine can reach, on a free port, without limits on rates.
pub(crate) fn config() -> ServerConfig {
    let any = Rate { per_second: 1_000_000, at_once: 1_000_000 };
    ServerConfig {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        message_rate: any,
        room_request_rate: any,
        join_rate: any,
        ..ServerConfig::default()
    }
}

/// The program with these flags; the test reads its output.
pub(crate) fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signaling"));
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running server.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl TestServer {
    pub(crate) async fn start(config: ServerConfig) -> Self {
        let server = Server::bind(config).await.expect("a free port is free");
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { address, stop, task }
    }

    /// A server that this test does not stop: another process, or one that has already been asked
    /// to stop.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let (stop, _) = oneshot::channel();
        Self { address, stop, task: tokio::spawn(async {}) }
    }

    /// Asks the server to stop; the task ends when the server has stopped.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        self.stop.send(()).expect("the server runs");
        self.task
    }

    /// Opens a WebSocket, which the server must accept.
    pub(crate) async fn open(&self, path: &str) -> WebSocketStream<TcpStream> {
        match self.try_open(path).await {
            Ok(socket) => socket,
            Err(error) => panic!("{path} was refused: {error}"),
        }
    }

    pub(crate) async fn try_open(&self, path: &str) -> Result<WebSocketStream<TcpStream>, Error> {
        self.try_open_with(path, &[]).await
    }

    /// Like [`try_open`](Self::try_open), with additional headers.
    pub(crate) async fn try_open_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<WebSocketStream<TcpStream>, Error> {
        let url = format!("ws://{}{path}", self.address);
        let mut request = url.into_client_request().expect("an address");
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().expect("a header"));
        }
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        within_deadline("handshake", client_async(request, stream)).await.map(|(socket, _)| socket)
    }

    /// Joins a room as a peer.
    pub(crate) async fn join(&self, path: &str) -> Peer {
        let mut socket = self.open(path).await;
        if path.starts_with("/v1/") {
            read_welcome(&mut socket).await;
        }
        Peer::new(socket).await
    }

    /// Returns the status and the words with which a WebSocket at this path is refused.
    pub(crate) async fn refusal(&self, path: &str) -> (u16, String) {
        self.refusal_with(path, &[]).await
    }

    /// Like [`refusal`](Self::refusal), with additional headers.
    pub(crate) async fn refusal_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> (u16, String) {
        match self.try_open_with(path, headers).await {
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                let body = String::from_utf8(body).expect("words");
                (response.status().as_u16(), body)
            }
            other => panic!("{path} was not refused: {other:?}"),
        }
    }

    /// Sends a request without a body, and reads the whole response.
    pub(crate) async fn request(&self, method: &str, path: &str, headers: &str) -> Response {
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
        self.send_raw(head.as_bytes()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request("GET", path, "").await
    }

    /// Sends bytes, and reads the whole response.
    pub(crate) async fn send_raw(&self, bytes: &[u8]) -> Response {
        let mut stream = TcpStream::connect(self.address).await.expect("the server listens");
        stream.write_all(bytes).await.expect("the server reads");
        let mut answer = Vec::new();
        within_deadline("answer", stream.read_to_end(&mut answer))
            .await
            .expect("the server closes the connection in an orderly way");
        Response::parse(&answer)
    }

    pub(crate) async fn health(&self) -> Value {
        let response = self.get("/health").await;
        assert_eq!(response.status, 200);
        serde_json::from_slice(&response.body).expect("JSON")
    }

    /// Waits until `/health` shows this count under this name.
    pub(crate) async fn await_count(&self, counter: &str, count: u64) {
        let what = format!("{counter} = {count}");
        within_deadline(&what, async {
            while self.health().await["counters"][counter] != count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Lets two peers in the room "bystanders" greet each other, which shows that nothing has
    /// harmed them.
    pub(crate) async fn assert_others_can_play(&self) {
        let mut first = self.join("/bystanders").await;
        let mut second = self.join("/bystanders").await;
        assert_eq!(first.next().await, PeerEvent::NewPeer(second.id));
        first.greet(&mut second).await;
        second.greet(&mut first).await;
    }
}

/// An HTTP response.
pub(crate) struct Response {
    /// 0 if there was no response.
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    fn parse(answer: &[u8]) -> Self {
        let head_end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) = match head_end {
            Some(end) => (&answer[..end], &answer[end + 4..]),
            None => (answer, &[][..]),
        };
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Self { status: status.unwrap_or(0), body: body.to_vec(), head }
    }

    /// A header's value in lower case; empty if the header is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(key, value)| (key == name).then_some(value))
            .unwrap_or("")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("words")
    }
}

/// A peer in a room.
pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) id: PeerId,
    /// The events about its room so far, apart from those that matchbox's clients know.
    pub(crate) heard: Vec<RoomEvent>,
}

impl Peer {
    async fn new(socket: WebSocketStream<TcpStream>) -> Self {
        let mut peer = Self { socket, id: PeerId(Default::default()), heard: Vec::new() };
        match peer.next().await {
            PeerEvent::IdAssigned(id) => peer.id = id,
            other => panic!("the first event must be IdAssigned, not {other:?}"),
        }
        peer
    }

    /// The next event that matchbox's clients know.
    pub(crate) async fn next(&mut self) -> PeerEvent<Value> {
        loop {
            let text = self.next_text().await;
            match serde_json::from_str(&text) {
                Ok(event) => self.heard.push(event),
                Err(_) => return serde_json::from_str(&text).expect("an event"),
            }
        }
    }

    /// Returns the latest event about its room for which `like` returns something, or waits for the
    /// next one.
    pub(crate) async fn hears<T>(
        &mut self,
        what: &str,
        like: impl Fn(&RoomEvent) -> Option<T>,
    ) -> T {
        within_deadline(what, async {
            loop {
                let latest = self.heard.iter().enumerate().rev();
                let found = latest.filter_map(|(at, event)| Some((at, like(event)?))).next();
                if let Some((at, found)) = found {
                    // An older event of the same kind no longer matters.
                    let kind = discriminant(&self.heard[at]);
                    let newer = self.heard.split_off(at + 1);
                    self.heard.retain(|event| discriminant(event) != kind);
                    self.heard.extend(newer);
                    return found;
                }
                let text = self.next_text().await;
                // Events that matchbox's clients know do not matter here.
                self.heard.extend(serde_json::from_str::<RoomEvent>(&text));
            }
        })
        .await
    }

    /// Returns the room, as soon as the peer sees it in a matching state.
    pub(crate) async fn sees(
        &mut self,
        what: &str,
        like: impl Fn(&RoomState) -> bool,
    ) -> RoomState {
        self.hears(what, |event| match event {
            RoomEvent::Room(room) if like(room) => Some(room.clone()),
            _ => None,
        })
        .await
    }

    /// Returns the token that brings the peer back to its room.
    pub(crate) async fn token(&mut self) -> String {
        self.hears("a token", |event| match event {
            RoomEvent::Resume(token) => Some(token.clone()),
            _ => None,
        })
        .await
    }

    /// Asks for something in its room.
    pub(crate) async fn ask(&mut self, request: &RoomRequest) {
        let request = serde_json::json!({ "Room": request });
        self.send(Message::text(request.to_string())).await;
    }

    /// Asks for something in its room that the server must deny; returns the reason.
    pub(crate) async fn is_denied(&mut self, request: &RoomRequest) -> Denial {
        self.ask(request).await;
        self.hears("a denial", |event| match event {
            RoomEvent::Denied(denial) => Some(*denial),
            _ => None,
        })
        .await
    }

    pub(crate) async fn next_text(&mut self) -> String {
        next_text(&mut self.socket).await
    }

    pub(crate) async fn send(&mut self, message: Message) {
        within_deadline("sending", self.socket.send(message)).await.expect("the server is there");
    }

    pub(crate) async fn signal(&mut self, receiver: PeerId, data: impl Into<Value>) {
        let data = data.into();
        let request = PeerRequest::Signal { receiver, data };
        let json = serde_json::to_string(&request).expect("a request is valid JSON");
        self.send(Message::text(json)).await;
    }

    /// Sends a signal that must be the next message that the other peer receives.
    pub(crate) async fn greet(&mut self, other: &mut Self) {
        self.signal(other.id, "hello").await;
        let expected = PeerEvent::Signal { sender: self.id, data: "hello".into() };
        assert_eq!(other.next().await, expected);
    }
}

/// The message that comes before the id of a peer at `/v1/`.
pub(crate) async fn read_welcome(socket: &mut WebSocketStream<TcpStream>) -> Welcome {
    serde_json::from_str(&next_text(socket).await).expect("a welcome")
}

/// The next frame, which must be text.
pub(crate) async fn next_text(socket: &mut WebSocketStream<TcpStream>) -> String {
    match next_frame(socket).await {
        Message::Text(text) => text.as_str().to_owned(),
        other => panic!("expected text, not {other:?}"),
    }
}

/// The next frame that is not a ping.
async fn next_frame(socket: &mut WebSocketStream<TcpStream>) -> Message {
    loop {
        let frame = within_deadline("a frame", socket.next())
            .await
            .expect("the connection is open")
            .expect("the connection is sound");
        if !matches!(frame, Message::Ping(_)) {
            return frame;
        }
    }
}

/// Asserts that the next frame is a close frame with this reason.
pub(crate) async fn assert_closed(socket: &mut WebSocketStream<TcpStream>, refusal: Refusal) {
    let expected =
        CloseFrame { code: refusal.close_code().into(), reason: refusal.sentence().into() };
    assert_eq!(next_frame(socket).await, Message::Close(Some(expected)));
}

/// Asserts that the first frame that is not text is a close frame with this reason.
pub(crate) async fn assert_closed_at_last(
    socket: &mut WebSocketStream<TcpStream>,
    refusal: Refusal,
) {
    loop {
        match next_frame(socket).await {
            Message::Text(_) => {}
            Message::Close(Some(frame)) => {
                assert_eq!(u16::from(frame.code), refusal.close_code(), "{}", frame.reason);
                return;
            }
            other => panic!("expected the end, not {other:?}"),
        }
    }
}
