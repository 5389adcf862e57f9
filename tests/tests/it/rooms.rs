//! Rooms of the match-maker: opened, listed, played in, found by strangers, and left by who is sent off.

use std::time::Duration;

use e2e_tests::{Peer, PeerSettings, TestServer, wait_for};
use signaling::lobby::{RoomListing, RoomPhase};

use crate::{both_played, patience, start};

const SECONDS: u32 = 5;
/// A change comes to the server within a round trip, and on a machine under load within some more.
const SOON: Duration = Duration::from_secs(30);

/// A peer in a new room that everybody sees, and the room.
fn open(server: &TestServer, name: &str, terms: &str) -> (Peer, RoomListing) {
    let address = server.room(&format!("v1/create?public=1{terms}"));
    let peer = start(&PeerSettings::new(address, name).seconds(SECONDS));
    let room = wait_for("a room in the list", SOON, || server.listed().pop());
    (peer, room)
}

#[test]
fn a_new_room_is_listed_as_it_is_from_its_opening_to_its_end() {
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
}

#[test]
fn strangers_meet_in_a_quick_match() {
    let server = TestServer::start();
    let quick = server.room("v1/quick?players=2");
    let peers = ["Ann", "Bob"].map(|name| start(&PeerSettings::new(&quick, name).seconds(SECONDS)));
    both_played(peers, SECONDS);
}
