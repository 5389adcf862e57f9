//! One service of several processes: matches and rooms outlive a process that is killed.

use e2e_tests::{Balancer, Peer, PeerSettings, Report, ServerProcess, assert_agreement, wait_for};
use signaling::lobby::RoomPhase;

use crate::{last_checksum, patience, redis_server::RedisServer, start};

/// Long enough to lose a server in the middle, come back to another, and play on, even on a machine
/// under load.
const SECONDS: u32 = 30;
const NAMES: [&str; 3] = ["Ann", "Bob", "Cid"];

fn wait_for_peers(server: &ServerProcess, peers: u64) {
    let what = format!("{peers} peers at {}", server.address());
    wait_for(&what, patience(0), || (server.peers() == peers).then_some(()));
}

fn wait_for_room(server: &ServerProcess, players: u16, phase: RoomPhase) {
    let what = format!("a room with {players} players in {phase:?}");
    wait_for(&what, patience(0), || {
        let rooms = server.listed();
        let is_wanted = rooms.len() == 1 && (rooms[0].players, rooms[0].phase) == (players, phase);
        is_wanted.then_some(())
    });
}

#[test]
fn no_match_is_lost_when_a_server_is_killed_in_the_lobby_and_one_in_the_match() {
    let test = "no_match_is_lost_when_a_server_is_killed_in_the_lobby_and_one_in_the_match";
    let Some(redis) = RedisServer::start(test) else { return };
    let server = || ServerProcess::start(env!("CARGO_BIN_EXE_server"), &redis.url());
    let [mut one, mut two, three] = [server(), server(), server()];
    let service = Balancer::start([&one, &two, &three].map(ServerProcess::address).to_vec());
    let room = service.room("v1/rooms/arena?public=1");
    let join = |name| start(&PeerSettings::new(&room, name).players(3).seconds(SECONDS));
    let [ann, bob, cid] = NAMES;

    // Each at a server of its own.
    let mut ann = join(ann);
    wait_for_peers(&one, 1);
    let mut bob = join(bob);
    wait_for_peers(&two, 1);
    for peer in [&mut ann, &mut bob] {
        // If a handshake is cut off, both peers enter again as new peers and repeat it: see
        // `restarts`.
        peer.wait_for_line("the other peer", patience(0), |line| line.contains("2 of 3 players"));
    }
    wait_for_room(&three, 2, RoomPhase::Lobby);
    one.kill();
    wait_for_peers(&three, 1);
    wait_for_room(&three, 2, RoomPhase::Lobby);
    // Cid meets both of them through the servers to which they are connected now.
    let cid = join(cid);
    wait_for_peers(&two, 2);
    let mut peers = [ann, bob, cid];
    peers.iter_mut().for_each(|peer: &mut Peer| peer.wait_for_play(60));
    wait_for_room(&three, 3, RoomPhase::Playing);

    two.kill();
    wait_for_peers(&three, 3);
    let frames = peers.each_ref().map(Peer::confirmed_frames);
    assert!(frames.iter().all(|&frames| frames < 60 * SECONDS), "still in the match: {frames:?}");
    wait_for_room(&three, 3, RoomPhase::Playing);
    let reports: [Report; 3] = peers.map(|mut peer| peer.played(patience(SECONDS)));
    assert_agreement(&reports, last_checksum(SECONDS));
}

#[test]
fn a_match_goes_on_while_redis_is_down_and_its_room_comes_back_with_redis() {
    let test = "a_match_goes_on_while_redis_is_down_and_its_room_comes_back_with_redis";
    let Some(mut redis) = RedisServer::start(test) else { return };
    let server = || ServerProcess::start(env!("CARGO_BIN_EXE_server"), &redis.url());
    let servers = [server(), server()];
    let service = Balancer::start(servers.iter().map(ServerProcess::address).collect());
    let room = service.room("v1/rooms/arena?public=1");
    let mut peers = ["Ann", "Bob"].map(|name| {
        let peer = start(&PeerSettings::new(&room, name).seconds(SECONDS));
        // One after the other, so that each is at a server of its own.
        wait_for("a newcomer", patience(0), || {
            let peers: u64 = servers.iter().map(ServerProcess::peers).sum();
            (peers == if name == "Ann" { 1 } else { 2 }).then_some(())
        });
        peer
    });
    peers.iter_mut().for_each(|peer| peer.wait_for_play(60));
    wait_for_room(&servers[1], 2, RoomPhase::Playing);

    redis.stop();
    let frames = peers.each_ref().map(Peer::confirmed_frames);
    for (peer, frames) in peers.iter_mut().zip(frames) {
        peer.wait_for_play(frames + 120);
    }
    // Redis comes back empty.
    redis.start_again();
    wait_for_room(&servers[0], 2, RoomPhase::Playing);
    let frames = peers.each_ref().map(Peer::confirmed_frames);
    assert!(frames.iter().all(|&frames| frames < 60 * SECONDS), "still in the match: {frames:?}");
    let reports: [Report; 2] = peers.map(|mut peer| peer.played(patience(SECONDS)));
    assert_agreement(&reports, last_checksum(SECONDS));
}
