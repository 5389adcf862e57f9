//! Which peers of the room we are connected to: the peers that we may meet, and the one that we
//! drop if there are too many.

use std::time::Duration;

use signaling::protocol::PeerId;

use super::{
    Connection,
    control::{Control, Hello},
    link::{Link, RoomRole},
    match_wire::MatchWire,
    wire::Wire,
};

/// The time after a match in which no other one begins, so that peers that came during it are met
/// first: several times what a handshake takes between peers that are there. Peers that are not
/// there, or come later, hold up no match.
const MEET_NEWCOMERS_WITHIN: Duration = Duration::from_secs(2);

/// Decides whether a connection to a peer may be opened. During a match only its other peers are
/// wanted: a stranger must not cost its players anything.
fn may_meet(match_wire: &MatchWire, peer: PeerId) -> bool {
    !match_wire.is_in_match() || match_wire.has(peer)
}

impl Connection {
    /// Begins connections to the peers that wait for one and that we may meet.
    pub(super) fn begin_connections(&mut self, now: Duration) {
        let match_wire = &self.match_wire;
        self.wire.meet(now, &|peer| may_meet(match_wire, peer));
        let is_waiting = |until: &Duration| now < *until && self.wire.is_meeting();
        self.newcomers_until = self.newcomers_until.filter(is_waiting);
    }

    /// The match is over. Peers that came during it should not find, again and again, that the next
    /// one has begun without them.
    pub(super) fn wait_for_newcomers(&mut self, now: Duration) {
        self.newcomers_until = self.wire.is_meeting().then(|| now + MEET_NEWCOMERS_WITHIN);
    }

    /// A peer is connected: it gets a link, if need be in place of a less useful one.
    pub(super) fn greet(&mut self, now: Duration, peer: PeerId) {
        self.peers.note_connected(peer);
        if self.is_linked(peer) {
            return;
        }
        if self.peers.is_full()
            && let Some(other) = self.first_to_drop()
        {
            self.forget(other);
        }
        if self.peers.is_full() {
            self.dropped.crowded += 1;
            self.forget(peer);
            return;
        }
        self.peers.add(peer);
        let status = self.us.status_message(self.is_in_match());
        say_hello(now, peer, self.us.hello(), &status, &mut self.wire);
    }

    /// The peer whose link is dropped first if too many are connected: one that has left the room
    /// but goes on talking, otherwise one that is silent. A closed page may keep its link for a
    /// long time, as its channels close late or never. A page that was only frozen then has to
    /// enter again.
    fn first_to_drop(&self) -> Option<PeerId> {
        let spare = || self.peers.iter().filter(|link| !self.plays_with(link));
        let outside = spare().find(|link| link.role == RoomRole::NotMember);
        let absent = || spare().find(|link| !self.is_present(link));
        outside.or_else(absent).map(|link| link.peer)
    }

    /// Says hello again to a peer once we see that our packets reach it. webrtc-rs drops packets
    /// that overtake the last one of its handshake, and reports them as delivered: our first hello
    /// may not have arrived.
    pub(super) fn repeat_hello(&mut self, now: Duration) {
        let is_first = |link: &&mut Link| !link.hears_us && link.clock.rtt().is_some();
        let is_in_match = self.is_in_match();
        for link in self.peers.iter_mut().filter(is_first) {
            link.hears_us = true;
            let status = self.us.status_message(is_in_match);
            say_hello(now, link.peer, self.us.hello(), &status, &mut self.wire);
        }
    }
}

fn say_hello(now: Duration, peer: PeerId, hello: &Hello, status: &Control, wire: &mut Wire) {
    wire.send_control(now, peer, &Control::Hello(hello.clone()));
    wire.send_control(now, peer, status);
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use signaling::lobby::RoomPhase;

    use super::*;
    use crate::{
        config::NetcodeConfig,
        membership::{lineup::MatchPlan, peers::tests::room},
        transport::{Channel, MAX_PEERS, Transport, TransportEvent},
    };

    /// The events that a transport is to report, and the calls that it received.
    #[derive(Clone, Debug, Default)]
    struct Script(Arc<Mutex<Lines>>);

    #[derive(Debug, Default)]
    struct Lines {
        events: Vec<TransportEvent>,
        disconnected: Vec<PeerId>,
        /// Peers that wait for a connection.
        waiting: Vec<PeerId>,
        met: Vec<PeerId>,
    }

    impl Script {
        fn with<T>(&self, work: impl FnOnce(&mut Lines) -> T) -> T {
            work(&mut self.0.lock().expect("no test panics while it holds the lock"))
        }
    }

    impl Transport for Script {
        fn poll(&mut self, _now: Duration, events: &mut Vec<TransportEvent>) {
            self.with(|lines| events.append(&mut lines.events));
        }

        fn meet(&mut self, _now: Duration, may_meet: &dyn Fn(PeerId) -> bool) {
            self.with(|lines| {
                let met = lines.waiting.extract_if(.., |peer| may_meet(*peer));
                lines.met.extend(met);
            });
        }

        fn is_meeting(&self) -> bool {
            self.with(|lines| !lines.waiting.is_empty() || !lines.met.is_empty())
        }

        fn disconnect(&mut self, peer: PeerId) {
            self.with(|lines| lines.disconnected.push(peer));
        }

        fn send(&mut self, _now: Duration, _to: PeerId, _channel: Channel, _bytes: &[u8]) {}
    }

    const NOW: Duration = Duration::from_secs(100);

    fn peer(number: usize) -> PeerId {
        PeerId::from_u128(number as u128)
    }

    fn connection() -> (Connection, Script) {
        let (config, script) = (NetcodeConfig::default(), Script::default());
        let mut connection = Connection::new(&config);
        connection.open(Box::new(script.clone()), Hello::new(&config, 0, "Ann", 1));
        script.with(|lines| lines.events.push(TransportEvent::Opened(peer(0))));
        connection.receive(NOW, Duration::ZERO, None);
        (connection, script)
    }

    fn connect(connection: &mut Connection, script: &Script, peers: impl Iterator<Item = PeerId>) {
        script.with(|lines| lines.events.extend(peers.map(TransportEvent::Connected)));
        connection.receive(NOW, Duration::ZERO, None);
    }

    fn enter_match(connection: &mut Connection, match_number: u32) {
        let machines = [0, 1].map(|number| (peer(number), "Ann".into(), 1));
        connection.enter_match(NOW, &MatchPlan::seated(match_number, machines.to_vec()));
    }

    #[test]
    fn peers_that_left_the_room_and_go_on_talking_make_way_for_a_newcomer() {
        let (mut connection, script) = connection();
        connect(&mut connection, &script, (1..=MAX_PEERS).map(peer));
        let newcomer = peer(MAX_PEERS + 1);
        let members = [peer(0), peer(1), newcomer].map(|peer| (peer, false));
        connection.note_roles(Some(&room(RoomPhase::Lobby, &members)));
        connect(&mut connection, &script, std::iter::once(newcomer));
        assert!(connection.is_linked(newcomer) && connection.is_linked(peer(1)));
        assert!(connection.peers.is_full());
        assert_eq!(script.with(|lines| lines.disconnected.clone()), [peer(2)]);
        assert_eq!(connection.dropped.crowded, 0);
    }

    #[test]
    fn a_connection_that_gets_no_link_is_ended() {
        let (mut connection, script) = connection();
        connect(&mut connection, &script, (1..=MAX_PEERS + 1).map(peer));
        assert!(!connection.is_linked(peer(MAX_PEERS + 1)));
        assert_eq!(script.with(|lines| lines.disconnected.clone()), [peer(MAX_PEERS + 1)]);
        assert_eq!(connection.dropped.crowded, 1);
    }

    #[test]
    fn a_stranger_is_met_only_when_the_match_is_over() {
        let (mut connection, script) = connection();
        let met = |connection: &mut Connection| {
            connection.receive(NOW, Duration::ZERO, None);
            script.with(|lines| lines.met.clone())
        };
        enter_match(&mut connection, 1);
        script.with(|lines| lines.waiting.push(peer(7)));
        assert_eq!(met(&mut connection), []);
        connection.leave_match(NOW);
        assert_eq!(met(&mut connection), [peer(7)]);
    }

    #[test]
    fn peers_that_came_during_a_match_are_waited_for_but_not_for_long() {
        let (mut connection, script) = connection();
        enter_match(&mut connection, 1);
        connection.leave_match(NOW);
        assert_eq!(connection.newcomers_until, None, "no peer came");
        enter_match(&mut connection, 2);
        script.with(|lines| lines.waiting.push(peer(7)));
        connection.leave_match(NOW);
        connection.receive(NOW, Duration::ZERO, None);
        assert!(connection.newcomers_until.is_some());
        let late = NOW + MEET_NEWCOMERS_WITHIN;
        connection.receive(late, Duration::ZERO, None);
        assert_eq!(connection.newcomers_until, None, "it does not answer");
    }
}
