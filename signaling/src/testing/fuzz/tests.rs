//! The fuzz target, fed with everything that clients do, and with inputs that once failed.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::testing::properties::same_cases;

/// Valid JSON, but more than most JSON readers accept.
#[test]
fn a_signal_that_only_a_strict_reader_rejects_is_forwarded() {
    let key = PeerKey::new(7);
    let receiver = key.peer();
    let nested = "[".repeat(200) + &"]".repeat(200);
    for data in ["1e999", r#""\ud800""#, &nested] {
        let signal = format!(r#"{{"Signal":{{"receiver":"{receiver}","data":{data}}}}}"#);
        client_requests(format!("/v1/rooms/a?{}\n/a\n{signal}\n", key.to_query()).as_bytes());
    }
}

#[test]
fn players_and_spectators_count_together_towards_the_limit() {
    let (player, spectator) =
        ("/v1/rooms/a?spectators=2\n", "/v1/rooms/a?spectators=2&place=spectator\n");
    client_requests([player.repeat(4), spectator.repeat(4)].concat().as_bytes());
    client_requests([spectator.repeat(4), player.repeat(4)].concat().as_bytes());
}

#[test]
fn a_peer_that_moves_to_another_room_leaves_the_first() {
    let key = PeerKey::new(7).to_query();
    // The first one reads nothing.
    let lines = format!("/c\n/v1/rooms/a\n/v1/rooms/a?{key}\n/v1/rooms/b?{key}\n");
    client_requests(lines.as_bytes());
}

#[test]
fn a_peer_that_reads_nothing_loses_signals_before_it_is_disconnected() {
    let mut scene = Scene::new();
    // The first one reads nothing.
    scene.come("/v1/rooms/a");
    scene.come("/v1/rooms/a");
    let deaf = scene.clients[FRIENDS.len()].joined.peer;
    let is_here = |scene: &Scene| scene.clients.iter().any(|it| it.joined.peer == deaf);
    let signal = scene.spell_out(r#"{"Signal":{"receiver":"PEER","data":1}}"#);
    for _ in 0..32 {
        scene.say(&signal);
    }
    scene.assert_sound();
    assert!(is_here(&scene), "signals from other peers are dropped");
    // Messages of the server itself are not dropped.
    for _ in 0..16 {
        scene.go(Departure::Left);
        scene.come("/v1/rooms/a");
    }
    scene.assert_sound();
    assert!(!is_here(&scene));
}

/// Everything that clients can do, with few enough peers in few enough rooms to get in each other's
/// way.
fn lines() -> Vec<String> {
    let key = PeerKey::new(7).to_query();
    let plain = [
        "/a",
        "/a?next=2",
        "/b",
        "/v1/rooms/a",
        "/v1/rooms/a?next=2",
        "/v1/rooms/c?capacity=1&spectators=1&place=spectator",
        "/v1/rooms/c?capacity=1&spectators=1",
        "/v1/rooms/d?spectators=3",
        "/v1/rooms/d?spectators=3&place=spectator",
        "/v1/create?game=g&public=1",
        "/v1/quick?game=g&players=2",
        "/v1/list?game=g",
        "-",
        "!",
        ".",
        "\"KeepAlive\"",
        r#"{"Signal":{"receiver":"PEER","data":1}}"#,
        r#"{"Room":{"SetReady":true}}"#,
        r#"{"Room":{"SetPlace":"Spectator"}}"#,
        r#"{"Room":{"SetPlace":"Player"}}"#,
        r#"{"Room":{"SetLocked":true}}"#,
        r#"{"Room":{"SetLocked":false}}"#,
        r#"{"Room":{"SetPublic":true}}"#,
        r#"{"Room":{"Rename":"Ann"}}"#,
        r#"{"Room":{"Kick":"PEER"}}"#,
        r#"{"Room":"Start"}"#,
        r#"{"Room":"Finish"}"#,
    ];
    let keyed = ["rooms/a", "rooms/b", "rooms/a?next=2", "quick?game=g&players=2"]
        .map(|path| format!("/v1/{path}{}{key}", if path.contains('?') { '&' } else { '?' }));
    let back = keyed.iter().map(|line| format!("{line}&token=TOKEN"));
    plain.iter().map(ToString::to_string).chain(keyed.clone()).chain(back).collect()
}

proptest! {
    #![proptest_config(same_cases())]

    /// No peer is in two rooms, no peer is told about a room that it is not in, no room outlives
    /// its peers and their time, and ids are unique.
    #[test]
    fn any_order_of_joining_sending_and_leaving_is_sound(lines in vec(select(lines()), 0..120)) {
        client_requests(lines.join("\n").as_bytes());
    }
}
