//! The function that the server's fuzz target calls, which the tests also feed with recorded
//! traffic: addresses and messages of one client after another, while two other peers are in a
//! room.
//!
//! It uses no socket and no task: it calls the same functions as the server's tasks do, in the same
//! order.

use std::{
    collections::{HashMap, HashSet},
    mem,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use serde_json::value::RawValue;
use tokio::{
    sync::oneshot::{Receiver, error::TryRecvError},
    time::Instant,
};
use uuid::Uuid;

use crate::{
    lobby::RoomEvent,
    protocol::{PeerEvent, PeerId, PeerKey, PeerRequest, Refusal},
    server::{
        ServerConfig,
        address::Address,
        connection::{ParsedRequest, parse_request},
        credentials::Signer,
        hub::{Departure, Hub, JoinedPeer, JoiningPeer},
        local::{Local, OutboxReader, new_outbox},
        room::ProcessId,
        store::MemoryStore,
    },
};

/// The number of lines of one input that are used: enough to fill the small rooms below many times.
const MAX_LINES: usize = 256;
/// Small, so that a few lines reach every limit.
const MAX_PEERS_PER_ROOM: u16 = 4;
const MAX_ROOMS: usize = 6;
const MAX_PEERS: usize = 12;
const MAX_QUEUED_BYTES: usize = 2 * 1024;
/// The room of the two peers that must not be disturbed; no line can name it.
const THEIR_ROOM: &str = "theirs";
const FRIENDS: [PeerId; 2] = [PeerId::from_u128(1), PeerId::from_u128(2)];
/// The id of the first peer that connects without a key; the next ones count up from it.
const FIRST_STRANGER: u128 = 100;
/// One client in this many reads nothing.
const DEAF: u64 = 3;

/// How long a peer stays in its room after its connection broke, in milliseconds of the scene's own
/// time.
const GRACE: u64 = 3000;
/// The time between two lines, in milliseconds.
const LINE: u64 = 1000;
/// A time after which every newcomer has stayed long enough to be announced.
const LATER: Duration = Duration::from_secs(3_600);

/// A client as the server sees it.
struct Client {
    joined: JoinedPeer,
    queue: OutboxReader,
    close_reason: Receiver<Refusal>,
    /// Whether it reads nothing, so that its queue fills up.
    is_deaf: bool,
    /// The peers that it was told came after it and have not left.
    others: HashSet<PeerId>,
    token: Option<String>,
}

/// The server's state, and all connected clients.
struct Scene {
    hub: Hub,
    store: Arc<MemoryStore>,
    local: Arc<Local>,
    clients: Vec<Client>,
    connections: u64,
    now: u64,
    /// The time at which each absence began.
    absences: HashMap<u64, u64>,
    /// The token that was issued last.
    token: Option<String>,
}

/// Plays lines of clients. A line that begins with `/` is the address at which another client
/// connects, `-` makes the newest client leave and `!` breaks its connection, `.` lets time pass,
/// and any other line is a message of the newest client. `TOKEN` stands for the token that was
/// issued last, and `PEER` for the client that connected before the newest one.
///
/// # Panics
///
/// If a limit is exceeded, a peer is in two rooms, a peer is told something about another room, or
/// a room outlives its peers.
pub fn client_requests(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut scene = Scene::new();
    for line in text.lines().take(MAX_LINES) {
        let line = scene.spell_out(line);
        match &*line {
            "-" => scene.go(Departure::Left),
            "!" => scene.go(Departure::Lost),
            "." => {}
            _ if line.starts_with('/') => scene.come(&line),
            _ => scene.say(&line),
        }
        scene.now += LINE;
        at_once(scene.hub.tick(scene.now));
        scene.assert_sound();
    }
    scene.end();
}

/// The output of a future that never has to wait: everything is in memory, and no other task is
/// running.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("no future has to wait here"),
    }
}

impl Scene {
    fn new() -> Self {
        let config = ServerConfig {
            max_peers_per_room: MAX_PEERS_PER_ROOM,
            max_rooms: MAX_ROOMS,
            max_peers: MAX_PEERS,
            grace_time: Duration::from_millis(GRACE),
            ..ServerConfig::default()
        };
        let local = Arc::new(Local::default());
        let store = Arc::new(MemoryStore::new(Arc::clone(&local)));
        let identity = (ProcessId(1), Signer::new(b"a secret of the scene"));
        let limits = config.room_limits();
        let hub = Hub::new(store.clone(), local.clone(), limits, identity, Arc::default());
        let (clients, connections, now, token) = (Vec::new(), 0, 0, None);
        let absences = HashMap::new();
        let mut scene = Self { hub, store, local, clients, connections, now, absences, token };
        for friend in FRIENDS {
            scene.enter(friend, false, &format!("/{THEIR_ROOM}")).expect("there is room for two");
        }
        scene.listen(None);
        scene
    }

    fn spell_out(&self, line: &str) -> String {
        let token = self.token.as_deref().unwrap_or_default();
        let before = self.clients.len().checked_sub(2).map(|at| self.clients[at].joined.peer);
        let before = before.unwrap_or(FRIENDS[0]).to_string();
        line.replace("TOKEN", token).replace("PEER", &before)
    }

    /// Connects a client at this address.
    fn come(&mut self, address: &str) {
        if address.contains(THEIR_ROOM) {
            return;
        }
        let number = FIRST_STRANGER + u128::from(self.connections);
        let key = address.split_once('?').and_then(|(_, query)| PeerKey::in_query(query));
        let key = key.filter(|_| address.starts_with("/v1/"));
        let peer = key.map_or(PeerId(Uuid::from_u128(number)), PeerKey::peer);
        if let Err(refusal) = self.enter(peer, key.is_some(), address) {
            assert_told(refusal);
        }
    }

    fn enter(&mut self, peer: PeerId, is_lasting: bool, address: &str) -> Result<(), Refusal> {
        let (path, query) =
            address.split_once('?').map_or((address, None), |(path, query)| (path, Some(query)));
        let address = Address::parse(path, query).map_err(|(refusal, _)| refusal)?;
        let (wish, is_v1, token) = match address {
            Address::Stock(wish) => {
                if let Err(refusal) = at_once(self.hub.check(&wish)) {
                    assert_told(refusal);
                }
                (wish, false, None)
            }
            Address::V1 { wish, token, .. } => (wish, true, token),
            Address::List { game } => {
                at_once(self.hub.list(&game, Instant::now())).expect("memory is always available");
                return Ok(());
            }
        };
        self.connections += 1;
        let connection = self.connections;
        let resume = token.and_then(|token| self.hub.read_token(&token, peer, self.now));
        let joining = JoiningPeer { peer, is_lasting, connection, is_v1, resume };
        let (outbox, queue, close_reason) = new_outbox(MAX_QUEUED_BYTES);
        let joined = at_once(self.hub.enter(&joining, &wish, outbox))?;
        at_once(self.hub.give_token(&joined, self.now));
        let is_deaf = !FRIENDS.contains(&peer) && connection.is_multiple_of(DEAF);
        let (others, token) = (HashSet::new(), None);
        let mut client = Client { joined, queue, close_reason, is_deaf, others, token };
        let first = client.hear();
        let is_named = matches!(first, Some(Heard::Peer(PeerEvent::IdAssigned(id))) if id == peer);
        assert!(is_named, "its id comes first");
        self.clients.push(client);
        Ok(())
    }

    fn go(&mut self, departure: Departure) {
        if self.clients.len() > FRIENDS.len()
            && let Some(mut client) = self.clients.pop()
        {
            at_once(self.hub.leave(&mut client.joined, departure, self.now));
        }
    }

    /// Lets the newest client send a message, and the other clients receive what follows from it.
    fn say(&mut self, line: &str) {
        if self.clients.len() == FRIENDS.len() {
            return;
        }
        let Some(Client { joined, .. }) = self.clients.last() else { return };
        match parse_request(line, joined) {
            Ok(ParsedRequest::Room(request)) => at_once(self.hub.ask(joined, &request)),
            Ok(ParsedRequest::Signal { receiver, message }) => {
                let Ok(PeerRequest::<&RawValue>::Signal { data, .. }) = serde_json::from_str(line)
                else {
                    panic!("only signals are forwarded: {line}");
                };
                let sender = joined.peer;
                at_once(self.hub.signal(joined, receiver, message));
                self.listen(Some((sender, data)));
            }
            Ok(ParsedRequest::KeepAlive) | Err(_) => {}
        }
    }

    /// Lets every client that reads take the messages from its queue.
    fn listen(&mut self, said: Option<(PeerId, &RawValue)>) {
        for client in &mut self.clients {
            if client.is_deaf {
                continue;
            }
            while let Some(event) = client.hear() {
                client.note(event, said);
            }
            self.token = client.token.take().or(self.token.take());
        }
    }

    /// Checks that the limits are kept, and that every client knows who is in its room.
    fn assert_sound(&mut self) {
        // As the real connections do, a connection that has been told to end leaves the hub.
        for mut client in mem::take(&mut self.clients) {
            let departure = match client.close_reason.try_recv() {
                Err(TryRecvError::Empty) => {
                    self.clients.push(client);
                    continue;
                }
                Ok(Refusal::TooSlow) => Departure::Lost,
                Ok(_) | Err(TryRecvError::Closed) => Departure::Left,
            };
            assert!(
                !FRIENDS.contains(&client.joined.peer),
                "a peer that reads is never disconnected"
            );
            at_once(self.hub.leave(&mut client.joined, departure, self.now));
        }
        // All newcomers have stayed long enough.
        self.local.tell_late(Instant::now() + LATER);
        self.listen(None);
        assert_eq!(self.local.count(), self.clients.len(), "every connected peer is counted");
        assert!(self.clients.len() <= MAX_PEERS);
        let mut seen = HashSet::new();
        for room in self.store.rooms() {
            assert!(!room.is_empty(), "an empty room is removed");
            for member in room.members() {
                assert!(seen.insert(member.id), "{} is in two rooms", member.id);
                let is_here = self.local.is_in(member.id, room.id());
                assert_eq!(is_here, member.absence.is_none(), "{member:?}");
                let now = self.now;
                let since = member
                    .absence
                    .map_or(now, |absence| *self.absences.entry(absence).or_insert(now));
                assert!(now < since + GRACE + LINE, "its time is over: {member:?}");
            }
            let most = usize::from(MAX_PEERS_PER_ROOM);
            assert!(
                room.members().len() <= most,
                "players and spectators together are within the limit"
            );
        }
        for Client { joined, others, .. } in &self.clients {
            assert!(seen.contains(&joined.peer), "every connected peer is in a room");
            let rooms = self.store.rooms();
            let room =
                rooms.iter().find(|room| room.id() == joined.room()).expect("its room is there");
            for other in others {
                let is_in = room.members().iter().any(|member| member.id == *other);
                assert!(is_in, "{} was not told that {other} left", joined.peer);
            }
        }
    }

    /// Lets all clients leave, and checks that no room remains.
    fn end(mut self) {
        while let Some(mut client) = self.clients.pop() {
            at_once(self.hub.leave(&mut client.joined, Departure::Lost, self.now));
        }
        at_once(self.hub.tick(self.now + GRACE));
        assert!(self.store.rooms().is_empty(), "no room outlives its peers and their time");
    }
}

/// A message that a client can receive.
enum Heard {
    Peer(PeerEvent<Box<RawValue>>),
    Room(RoomEvent),
}

impl Client {
    /// The next message in its queue, as a client reads it.
    fn hear(&mut self) -> Option<Heard> {
        let text = self.queue.try_next()?;
        if let Ok(event) = serde_json::from_str(&text) {
            return Some(Heard::Peer(event));
        }
        assert!(self.joined.is_v1, "matchbox's clients know no other events");
        Some(Heard::Room(serde_json::from_str(&text).expect("the server sends events")))
    }

    fn note(&mut self, event: Heard, said: Option<(PeerId, &RawValue)>) {
        let is_friend = FRIENDS.contains(&self.joined.peer);
        match event {
            Heard::Peer(PeerEvent::NewPeer(peer)) => drop(self.others.insert(peer)),
            Heard::Peer(PeerEvent::PeerLeft(peer)) => drop(self.others.remove(&peer)),
            Heard::Peer(PeerEvent::Signal { sender, data }) => {
                assert!(!is_friend, "this signal is for another peer");
                let said = said.map(|(sender, data)| (sender, data.get()));
                assert_eq!(said, Some((sender, data.get())), "forwarded unchanged");
            }
            Heard::Peer(PeerEvent::IdAssigned(_)) => panic!("it has an id"),
            Heard::Room(RoomEvent::Room(state)) => {
                assert_eq!(state.name, self.joined.room().name(), "it sees its own room");
                assert!(state.member(self.joined.peer).is_some(), "it is in the room that it sees");
            }
            Heard::Room(RoomEvent::Resume(token)) => self.token = Some(token),
            Heard::Room(_) => {}
        }
    }
}

/// Each refusal fits into a close frame.
fn assert_told(refusal: Refusal) {
    assert!(refusal.sentence().len() <= 123);
}

#[cfg(test)]
mod tests;
