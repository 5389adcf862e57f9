//! What the fuzz target of the server calls, and the test that feeds it with what real clients sent: addresses and messages of one client
//! after the other, while a pair of others is in a room.
//!
//! No socket, no task: the same functions as theirs, called in their order.

use std::{collections::HashSet, convert::Infallible, sync::Arc};

use serde_json::value::RawValue;
use tokio::sync::oneshot::{self, error::TryRecvError};
use uuid::Uuid;

use super::{
    config::ServerConfig,
    connection::read,
    counters::Health,
    hub::{Command, Hub},
    outbox::{OutboxReader, outbox},
    rooms::RoomKey,
};
use crate::protocol::{PeerEvent, PeerId, PeerKey, PeerRequest, Refusal};

/// Lines of one input that are looked at: enough to fill the small rooms below many times.
const MAX_LINES: usize = 256;
/// Small, so that a few lines reach every limit.
const MAX_PEERS_PER_ROOM: u16 = 4;
const MAX_ROOMS: usize = 6;
const MAX_PEERS: usize = 12;
const MAX_QUEUED_BYTES: usize = 4 * 1024;
/// The room of the two whom nothing may happen to; no line can name it.
const THEIR_ROOM: &str = "theirs";
const FRIENDS: [PeerId; 2] = [PeerId::from_u128(1), PeerId::from_u128(2)];
/// The first number of those that come without a key.
const FIRST_STRANGER: u128 = 100;
/// One client in so many reads nothing, so that its queue fills up.
const DEAF: u64 = 3;

/// A client as the server sees it.
struct Client {
    peer: PeerId,
    connection: u64,
    queue: OutboxReader,
    sent_off: oneshot::Receiver<Infallible>,
    /// Who came after it and has not left, as it was told.
    others: HashSet<PeerId>,
}

/// The server's state, and everybody who is connected.
struct Scene {
    hub: Hub,
    clients: Vec<Client>,
    connections: u64,
}

/// Lines of clients: one that begins with `/` is the address at which another client comes, `-` lets the newest one go, and all else is a
/// message of the newest.
///
/// # Panics
///
/// If a limit is not kept, somebody hears what is none of its business, or a sender is not who it is said to be.
pub fn client_requests(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut scene = Scene::new();
    for line in text.lines().take(MAX_LINES) {
        if let Some(address) = line.strip_prefix('/') {
            scene.come(address);
        } else if line == "-" {
            scene.go();
        } else {
            scene.say(line);
        }
        scene.assert_sound();
    }
}

impl Scene {
    fn new() -> Self {
        let config = ServerConfig {
            max_peers_per_room: MAX_PEERS_PER_ROOM,
            max_rooms: MAX_ROOMS,
            max_peers: MAX_PEERS,
            ..ServerConfig::default()
        };
        let hub = Hub::new(config.room_limits(), Arc::new(Health::default()));
        let mut scene = Self { hub, clients: Vec::new(), connections: 0 };
        let room = RoomKey::parse(THEIR_ROOM, None).expect("a good name");
        for friend in FRIENDS {
            scene.enter(friend, room.clone()).expect("there is room for two");
        }
        scene.listen(None);
        scene
    }

    /// A client at the address behind the server's.
    fn come(&mut self, address: &str) {
        let (name, query) =
            address.split_once('?').map_or((address, None), |(name, query)| (name, Some(query)));
        let key = query.and_then(PeerKey::in_query);
        let Ok(room) = RoomKey::parse(name, query).map_err(assert_told) else { return };
        if name == THEIR_ROOM {
            return;
        }
        let number = FIRST_STRANGER + u128::from(self.connections);
        let peer = key.map_or(PeerId(Uuid::from_u128(number)), PeerKey::peer);
        if let Err(refusal) = self.enter(peer, room) {
            assert_told(refusal);
        }
    }

    fn enter(&mut self, peer: PeerId, room: RoomKey) -> Result<(), Refusal> {
        self.connections += 1;
        let connection = self.connections;
        let (outbox, queue, sent_off) = outbox(MAX_QUEUED_BYTES);
        let (answer, mut answered) = oneshot::channel();
        self.hub.handle(Command::Join { peer, connection, room, outbox, answer });
        answered.try_recv().expect("the hub answers at once")?;
        let others = HashSet::new();
        self.clients.push(Client { peer, connection, queue, sent_off, others });
        let first = self.clients.last_mut().and_then(Client::hear);
        let is_named = matches!(first, Some(PeerEvent::IdAssigned(id)) if id == peer);
        assert!(is_named, "its id comes first: {first:?}");
        Ok(())
    }

    fn go(&mut self) {
        if self.clients.len() > FRIENDS.len()
            && let Some(Client { peer, connection, .. }) = self.clients.pop()
        {
            self.hub.handle(Command::Leave { peer, connection });
        }
    }

    /// The newest client says something, and the others hear what comes of it, or do not.
    fn say(&mut self, line: &str) {
        if self.clients.len() == FRIENDS.len() {
            return;
        }
        let Some(sender) = self.clients.last().map(|client| client.peer) else { return };
        let Ok(Some(command)) = read(line, sender) else { return };
        let Ok(PeerRequest::<&RawValue>::Signal { data, .. }) = serde_json::from_str(line) else {
            panic!("nothing else has to be carried out: {line}");
        };
        self.hub.handle(command);
        self.listen(Some((sender, data)));
    }

    /// Everybody who is not deaf reads what it was sent.
    fn listen(&mut self, said: Option<(PeerId, &RawValue)>) {
        for client in &mut self.clients {
            let is_friend = FRIENDS.contains(&client.peer);
            if !is_friend && client.connection.is_multiple_of(DEAF) {
                continue;
            }
            while let Some(event) = client.hear() {
                match event {
                    PeerEvent::NewPeer(peer) => drop(client.others.insert(peer)),
                    PeerEvent::PeerLeft(peer) => drop(client.others.remove(&peer)),
                    PeerEvent::Signal { sender, data } => {
                        assert!(!is_friend, "that is none of its business");
                        let said = said.map(|(sender, data)| (sender, data.get()));
                        assert_eq!(said, Some((sender, data.get())), "passed on as it was said");
                    }
                    PeerEvent::IdAssigned(_) => panic!("it has an id"),
                }
            }
        }
    }

    /// The limits are kept, and everybody knows who is there.
    fn assert_sound(&mut self) {
        // As their connections would: who is sent off says goodbye.
        let is_sent_off =
            |client: &mut Client| client.sent_off.try_recv() == Err(TryRecvError::Closed);
        let gone: Vec<Client> = self.clients.extract_if(.., is_sent_off).collect();
        for Client { peer, connection, .. } in gone {
            assert!(!FRIENDS.contains(&peer), "nobody sends off who reads");
            self.hub.handle(Command::Leave { peer, connection });
        }
        self.listen(None);
        let (rooms, peers) = (self.hub.rooms().room_count(), self.hub.rooms().peer_count());
        assert!(rooms <= MAX_ROOMS && peers <= MAX_PEERS, "{rooms} rooms, {peers} peers");
        assert_eq!(peers, self.clients.len(), "who is in a room is connected");
        for client in &self.clients {
            for &other in &client.others {
                let is_here = self.hub.rooms().route(client.peer, other).is_ok();
                assert!(is_here, "{} was not told that {other} left", client.peer);
            }
        }
    }
}

impl Client {
    /// The next message in its queue, as a client reads it.
    fn hear(&mut self) -> Option<PeerEvent<Box<RawValue>>> {
        let text = self.queue.try_next()?;
        Some(serde_json::from_str(&text).expect("the server sends events"))
    }
}

/// Each refusal fits into a close frame.
fn assert_told(refusal: Refusal) {
    assert!(refusal.sentence().len() <= 123);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is JSON, and more than most readers of JSON take.
    #[test]
    fn what_only_a_reader_would_refuse_is_passed_on() {
        let key = PeerKey::new(7);
        let receiver = key.peer();
        let nested = "[".repeat(200) + &"]".repeat(200);
        for data in ["1e999", r#""\ud800""#, &nested] {
            let signal = format!(r#"{{"Signal":{{"receiver":"{receiver}","data":{data}}}}}"#);
            assert!(matches!(read(&signal, PeerId::from_u128(9)), Ok(Some(_))), "{data}");
            client_requests(format!("/a?{}\n/a\n{signal}\n", key.to_query()).as_bytes());
        }
    }

    #[test]
    fn whoever_moves_to_another_room_is_missed_in_the_first() {
        let key = PeerKey::new(7).to_query();
        // The first one is deaf.
        client_requests(format!("/c\n/a\n/a?{key}\n/b?{key}\n").as_bytes());
    }

    #[test]
    fn any_order_of_coming_talking_and_going_is_sound() {
        let key = PeerKey::new(7).to_query();
        let lines = [
            "/a",
            "/a?next=2",
            "/b",
            &format!("/a?{key}"),
            &format!("/b?{key}"),
            "-",
            "\"KeepAlive\"",
        ];
        // Xorshift, so that a failure comes again.
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        for _ in 0..200 {
            let mut text = String::new();
            for _ in 0..100 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                text += lines[(state >> 32) as usize % lines.len()];
                text.push('\n');
            }
            client_requests(text.as_bytes());
        }
    }
}
