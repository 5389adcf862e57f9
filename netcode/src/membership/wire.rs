//! The way to the room and to its peers: the transport, the network that is bad on purpose, and the
//! rates of both directions.

use std::time::Duration;

use signaling::{lobby::RoomRequest, protocol::PeerId};

use super::{control::Control, left_rooms::LeftRooms};
use crate::{
    diagnostics::{RateMeter, SessionStats},
    exchange::{Datagram, encode_control},
    transport::{
        Channel, Conditioner, LinkConditions, MAX_DATAGRAM_BYTES, Route, Transport, TransportEvent,
    },
};

/// The seed of the bad network: the same in every run, so that runs can be compared.
const CONDITIONER_SEED: u64 = 1;

pub(super) struct Wire {
    transport: Option<Box<dyn Transport>>,
    left_rooms: LeftRooms,
    conditioner: Conditioner,
    received: RateMeter,
    sent: RateMeter,
    /// Buffers that are reused.
    events: Vec<TransportEvent>,
    bytes: Vec<u8>,
    /// Reliable messages that came while the network was down on purpose.
    stuck: Vec<TransportEvent>,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            transport: None,
            left_rooms: LeftRooms::default(),
            conditioner: Conditioner::new(CONDITIONER_SEED),
            received: RateMeter::default(),
            sent: RateMeter::default(),
            events: Vec::new(),
            bytes: Vec::new(),
            stuck: Vec::new(),
        }
    }
}

impl Wire {
    /// Enters a room over this transport.
    pub(super) fn open(&mut self, transport: Box<dyn Transport>) {
        self.transport = Some(transport);
    }

    /// Leaves the room. What was sent before still goes out.
    pub(super) fn close(&mut self, now: Duration) {
        if let Some(mut transport) = self.transport.take() {
            // No packet that is held back on purpose may be left behind: the goodbye is one of
            // them.
            while let Some(packet) = self.conditioner.pop(Duration::MAX) {
                transport.send(now, packet.to, packet.channel, &packet.bytes);
            }
            self.left_rooms.push(now, transport);
        }
    }

    /// Forgets what the bad network knows of peers.
    pub(super) fn forget_peers(&mut self) {
        self.stuck.clear();
        self.conditioner.forget_peers();
    }

    pub(super) fn set_conditions(&mut self, conditions: LinkConditions) {
        self.conditioner.set(conditions);
    }

    /// Begins another sequence of losses and delays.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn set_seed(&mut self, seed: u64) {
        self.conditioner = Conditioner::new(seed);
    }

    pub(super) fn is_open(&self) -> bool {
        self.transport.is_some()
    }

    /// Takes what happened since the last call. Return the vector by [`reuse`](Self::reuse).
    pub(super) fn poll(&mut self, now: Duration) -> Vec<TransportEvent> {
        let mut events = std::mem::take(&mut self.events);
        if let Some(transport) = &mut self.transport {
            transport.poll(now, &mut events);
        }
        if self.conditioner.is_deaf() {
            let is_packet =
                |event: &mut TransportEvent| matches!(event, TransportEvent::Received { .. });
            let packets = events.extract_if(.., is_packet);
            self.stuck.extend(packets.filter(|event| {
                !matches!(event, TransportEvent::Received { channel: Channel::Datagrams, .. })
            }));
        } else if !self.stuck.is_empty() {
            events.splice(..0, self.stuck.drain(..));
        }
        events
    }

    /// Takes back an empty vector, to use its allocation again.
    pub(super) fn reuse(&mut self, events: Vec<TransportEvent>) {
        self.events = events;
    }

    /// Counts a packet that arrived.
    pub(super) fn count_received(&mut self, bytes: usize) {
        self.received.count(bytes);
    }

    pub(super) fn send_control(&mut self, now: Duration, to: PeerId, message: &Control) {
        let bytes = message.encode();
        self.sent.count(bytes.len());
        self.conditioner.push(now, to, Channel::Control, &bytes);
    }

    /// Sends a control message as a datagram: it waits for nothing that was lost, and may be lost
    /// itself. Returns false if it is too large for one.
    pub(super) fn send_unreliably(&mut self, now: Duration, to: PeerId, message: &Control) -> bool {
        self.bytes.clear();
        encode_control(&message.encode(), &mut self.bytes);
        let fits = self.bytes.len() <= MAX_DATAGRAM_BYTES;
        if fits {
            self.sent.count(self.bytes.len());
            self.conditioner.push(now, to, Channel::Datagrams, &self.bytes);
        }
        fits
    }

    pub(super) fn send_datagram(&mut self, now: Duration, to: PeerId, datagram: &Datagram) {
        self.bytes.clear();
        if datagram.encode(&mut self.bytes).is_ok() {
            self.sent.count(self.bytes.len());
            self.conditioner.push(now, to, Channel::Datagrams, &self.bytes);
        }
    }

    /// Hands over the packets that were held back on purpose and are due.
    pub(super) fn release(&mut self, now: Duration) {
        let Some(transport) = &mut self.transport else { return };
        while let Some(packet) = self.conditioner.pop(now) {
            transport.send(now, packet.to, packet.channel, &packet.bytes);
        }
    }

    /// Asks the server for something in the room.
    pub(super) fn ask(&mut self, request: RoomRequest) {
        if let Some(transport) = &mut self.transport {
            transport.ask(request);
        }
    }

    /// Begins connections to peers that wait for one and that `may_meet` admits.
    pub(super) fn meet(&mut self, now: Duration, may_meet: &dyn Fn(PeerId) -> bool) {
        if let Some(transport) = &mut self.transport {
            transport.meet(now, may_meet);
        }
    }

    /// Whether peers wait for a connection, or one is being made.
    pub(super) fn is_meeting(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| transport.is_meeting())
    }

    /// Whether peers wait for a connection, and there is none left for them.
    pub(super) fn is_out_of_connections(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| transport.is_out_of_connections())
    }

    /// Ends the connection to a peer once everything sent to it is out.
    pub(super) fn disconnect(&mut self, peer: PeerId) {
        if let Some(transport) = &mut self.transport {
            transport.disconnect(peer);
        }
    }

    pub(super) fn route(&self, peer: PeerId) -> Route {
        self.transport.as_ref().map_or(Route::Unknown, |transport| transport.route(peer))
    }

    /// Drops rooms that were left long enough ago.
    pub(super) fn forget_left_rooms(&mut self, now: Duration) {
        self.left_rooms.forget_old(now);
    }

    /// Blocks a program that is about to end until all peers can have received our goodbye.
    pub(super) fn see_out(&self) {
        self.left_rooms.see_out();
    }

    /// Whether anything goes wrong if this is not updated for a while.
    #[cfg(all(feature = "webrtc", target_arch = "wasm32"))]
    pub(super) fn needs_updates(&self) -> bool {
        self.is_open() || !self.left_rooms.is_empty()
    }

    /// Writes the rates of both directions into `stats`.
    pub(super) fn report(&mut self, now: Duration, stats: &mut SessionStats) {
        (stats.datagrams_in_per_s, stats.bytes_in_per_s) = self.received.rates(now);
        (stats.datagrams_out_per_s, stats.bytes_out_per_s) = self.sent.rates(now);
    }
}
