//! Rooms of the match-maker: opened, listed, played in, found by strangers, and left by players
//! whom the owner removes.

use std::time::Duration;

use async_tungstenite::{
    WebSocketStream,
    smol::{ConnectStream, connect_async},
    tungstenite::Message,
};
use e2e_tests::{Peer, PeerSettings, TestServer, wait_for};
use futures::{
    StreamExt,
    executor::block_on,
    future::{Either, select},
    pin_mut,
};
use signaling::{
    lobby::{RoomEvent, RoomListing, RoomPhase, RoomRequest, RoomState},
    protocol::{PeerId, Refusal},
};

use crate::{both_played, patience, start};

/// Long enough to see the match in the list: lists are up to a second old, and a machine under load
/// takes its time.
const SECONDS: u32 = 12;
/// A change reaches the server within a round trip, on a machine under load somewhat later.
const SOON: Duration = Duration::from_secs(30);

/// A peer in a new public room, and that room's entry in the list.
fn open(server: &TestServer, name: &str, terms: &str) -> (Peer, RoomListing) {
    let address = server.room(&format!("v1/create?public=1{terms}"));
    let peer = start(&PeerSettings::new(address, name).seconds(SECONDS));
    let room = wait_for("a room in the list", SOON, || server.listed().pop());
    (peer, room)
}

#[test]
fn a_room_is_listed_correctly_from_its_opening_to_its_end() {
    let server = TestServer::start();
    let (ann, room) = open(&server, "Ann", "&capacity=2");
    assert_eq!((room.owner.as_str(), room.players, room.capacity), ("Ann", 1, 2));
    assert_eq!((room.version.as_str(), room.phase), (demo_game::GAME_VERSION, RoomPhase::Lobby));
    let bob = start(&PeerSettings::new(server.room(&room.name), "Bob").seconds(SECONDS));
    wait_for("a match in the list", patience(0), || {
        let is_played = |room: &RoomListing| room.phase == RoomPhase::Playing && room.players == 2;
        server.listed().first().is_some_and(is_played).then_some(())
    });
    both_played([ann, bob], SECONDS);
    wait_for("an empty list", SOON, || server.listed().is_empty().then_some(()));
    assert_eq!(server.broken(), 0, "peers that leave say goodbye, and keep no place");
}

#[test]
fn strangers_meet_in_a_quick_match() {
    let server = TestServer::start();
    let quick = server.room("v1/quick?players=2");
    let peers = ["Ann", "Bob"].map(|name| start(&PeerSettings::new(&quick, name).seconds(SECONDS)));
    both_played(peers, SECONDS);
}

/// The owner of a room, a client that talks to the server only.
struct Owner(WebSocketStream<ConnectStream>);

impl Owner {
    /// Opens a public room.
    fn open(server: &TestServer) -> (Self, RoomState) {
        let terms = format!("game={}&public=1&name=Ann", demo_game::GAME_ID);
        let address = server.room(&format!("v1/create?{terms}"));
        let (socket, _) = block_on(connect_async(address)).expect("anybody may open a room");
        let mut owner = Self(socket);
        let room = owner.sees("it", |_| true);
        (owner, room)
    }

    /// Waits until the server shows the room as wanted.
    fn sees(&mut self, what: &str, is_wanted: impl Fn(&RoomState) -> bool) -> RoomState {
        let shown = async {
            loop {
                let message =
                    self.0.next().await.expect("the server stays").expect("the connection holds");
                let Message::Text(text) = message else { continue };
                // Events of matchbox's own protocol do not matter here.
                if let Ok(RoomEvent::Room(room)) = serde_json::from_str(&text)
                    && is_wanted(&room)
                {
                    return room;
                }
            }
        };
        let patience = futures_timer::Delay::new(patience(0));
        pin_mut!(shown);
        match block_on(select(shown, patience)) {
            Either::Left((room, _)) => room,
            Either::Right(_) => panic!("the owner of the room never saw {what}"),
        }
    }

    fn asks(&mut self, request: &RoomRequest) {
        let request = serde_json::json!({ "Room": request }).to_string();
        block_on(self.0.send(Message::text(request))).expect("the server keeps reading");
    }

    fn peer_called(&mut self, name: &str) -> PeerId {
        let room = self.sees(name, |room| room.members.iter().any(|member| member.name == name));
        room.members
            .iter()
            .find(|member| member.name == name)
            .expect("the owner has just seen it")
            .id
    }
}

#[test]
fn an_owner_locks_the_room_and_removes_a_player() {
    let server = TestServer::start();
    let (mut ann, room) = Owner::open(&server);
    let address = server.room(&room.name);
    let mut bob = start(&PeerSettings::new(&address, "Bob"));
    let bob_id = ann.peer_called("Bob");

    ann.asks(&RoomRequest::SetLocked(true));
    ann.sees("a lock", |room| room.is_locked);
    let mut cid = start(&PeerSettings::new(&address, "Cid"));
    assert_eq!(cid.wait_for_reason(SOON), Refusal::Locked.sentence());
    assert_eq!(cid.wait(SOON).code(), Some(1));

    ann.asks(&RoomRequest::Kick(bob_id));
    assert_eq!(bob.wait_for_reason(SOON), Refusal::Kicked.sentence());
    assert_eq!(bob.wait(SOON).code(), Some(1));
    let left = ann.sees("that it is alone", |room| room.members.len() == 1);
    assert!(left.is_locked && left.owner.is_some());
}

#[test]
fn two_play_while_a_third_sits_out() {
    let server = TestServer::start();
    let (ann, room) = open(&server, "Ann", "&capacity=2&spectators=1");
    let address = server.room(&format!("{}?place=spectator", room.name));
    let mut sue = start(&PeerSettings::new(address, "Sue").flag("--wait", "120"));
    wait_for("a spectator in the list", SOON, || {
        server.listed().first().is_some_and(|room| room.spectators == 1).then_some(())
    });
    let bob = start(&PeerSettings::new(server.room(&room.name), "Bob").seconds(SECONDS));
    wait_for("a match in the list", patience(0), || {
        let is_played = |room: &RoomListing| {
            room.phase == RoomPhase::Playing && (room.players, room.spectators) == (2, 1)
        };
        server.listed().first().is_some_and(is_played).then_some(())
    });
    both_played([ann, bob], SECONDS);
    assert_eq!(sue.confirmed_frames(), 0);
    wait_for("the spectator alone in the room", SOON, || {
        let rooms = server.listed();
        let [room] = &rooms[..] else { return None };
        let is_alone = (room.players, room.spectators, server.peers()) == (0, 1, 1);
        (is_alone && room.phase == RoomPhase::Lobby).then_some(())
    });
    sue.kill();
}
