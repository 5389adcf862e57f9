//! Peers in one process, without a network. The code above runs as it does over WebRTC.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use signaling::{
    lobby::{RoomEvent, RoomRequest},
    protocol::PeerId,
};

use super::{Channel, Transport, TransportError, TransportEvent};

/// A room in memory, shared by the transports of its peers.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryRoom {
    places: Arc<Mutex<Vec<Place>>>,
    /// What was sent, while a test records it.
    tape: Arc<Mutex<Option<Vec<Sent>>>>,
}

/// A packet on its way.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) from: PeerId,
    pub(crate) to: PeerId,
    pub(crate) channel: Channel,
    pub(crate) bytes: Box<[u8]>,
}

#[derive(Debug)]
struct Place {
    peer: PeerId,
    events: VecDeque<TransportEvent>,
    /// What the peer asked the server for.
    asked: Vec<RoomRequest>,
    /// Data sent to this peer does not arrive.
    deaf: bool,
    /// Data that this peer sends does not arrive.
    mute: bool,
    gone: bool,
}

impl MemoryRoom {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<Place>) -> T) -> T {
        work(&mut self.places.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns what was recorded since the last call, if anything, and records from now on.
    pub(crate) fn record(&self) -> Vec<Sent> {
        let mut tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        tape.replace(Vec::new()).unwrap_or_default()
    }

    fn note(&self, from: PeerId, to: PeerId, channel: Channel, bytes: &[u8]) {
        let mut tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tape) = tape.as_mut() {
            tape.push(Sent { from, to, channel, bytes: bytes.into() });
        }
    }

    /// Enters the room; all peers there are connected to it at once.
    pub(crate) fn join(&self) -> MemoryTransport {
        let peer = self.with(|places| {
            let peer = PeerId::from_u128(places.len() as u128 + 1);
            let mut events = VecDeque::from([TransportEvent::Opened(peer)]);
            for place in places.iter_mut().filter(|place| !place.gone) {
                place.events.push_back(TransportEvent::Connected(peer));
                events.push_back(TransportEvent::Connected(place.peer));
            }
            let (deaf, mute, gone) = (false, false, false);
            places.push(Place { peer, events, asked: Vec::new(), deaf, mute, gone });
            peer
        });
        MemoryTransport { room: self.clone(), peer }
    }

    /// Ends the connection between two peers, as a router between them may: both notice, and stay
    /// in the room.
    pub(crate) fn part(&self, one: PeerId, other: PeerId) {
        self.with(|places| {
            for (peer, gone) in [(one, other), (other, one)] {
                if let Some(place) = places.iter_mut().find(|place| place.peer == peer) {
                    place.events.push_back(TransportEvent::Disconnected(gone));
                }
            }
        });
    }

    /// The signaling server goes away; all peers in the room notice.
    pub(crate) fn lose_signaling(&self) {
        self.with(|places| {
            for place in places.iter_mut().filter(|place| !place.gone) {
                place.events.push_back(TransportEvent::SignalingLost);
            }
        });
    }

    /// Delivers bytes to `to`, as if `from` had sent them.
    pub(crate) fn inject(&self, from: PeerId, to: PeerId, channel: Channel, bytes: &[u8]) {
        self.with(|places| {
            if let Some(place) = places.iter_mut().find(|place| place.peer == to) {
                let bytes = bytes.into();
                place.events.push_back(TransportEvent::Received { from, channel, bytes });
            }
        });
    }

    /// Sets whether everything sent to a peer is lost, on every channel.
    pub(crate) fn set_deaf(&self, peer: PeerId, is_deaf: bool) {
        self.with(|places| {
            for place in places.iter_mut().filter(|place| place.peer == peer) {
                place.deaf = is_deaf;
            }
        });
    }

    /// Sets whether everything that a peer sends is lost, on every channel.
    pub(crate) fn set_mute(&self, peer: PeerId, is_mute: bool) {
        self.with(|places| {
            for place in places.iter_mut().filter(|place| place.peer == peer) {
                place.mute = is_mute;
            }
        });
    }

    /// The signaling server sends a peer news of the room.
    pub(crate) fn tell_of_room(&self, peer: PeerId, event: &RoomEvent) {
        self.with(|places| {
            for place in places.iter_mut().filter(|place| place.peer == peer) {
                place.events.push_back(TransportEvent::Room(event.clone()));
            }
        });
    }

    /// The owner of the room removes a peer from it.
    pub(crate) fn remove(&self, peer: PeerId) {
        self.with(|places| {
            for place in places.iter_mut().filter(|place| place.peer == peer) {
                let removal = TransportEvent::Failed(TransportError::Kicked);
                place.events.extend([TransportEvent::SignalingAway, removal]);
            }
        });
    }

    /// The transport of a peer fails.
    pub(crate) fn fail(&self, peer: PeerId) {
        self.with(|places| {
            for place in places.iter_mut().filter(|place| place.peer == peer) {
                place.events.push_back(TransportEvent::Failed(TransportError::Closed));
            }
        });
    }

    /// Takes what a peer has asked the server for since the last call.
    pub(crate) fn take_asked(&self, peer: PeerId) -> Vec<RoomRequest> {
        self.with(|places| {
            let place = places.iter_mut().find(|place| place.peer == peer);
            place.map(|place| std::mem::take(&mut place.asked)).unwrap_or_default()
        })
    }

    /// The signaling server tells all other peers that a peer left it.
    pub(crate) fn leave_server(&self, peer: PeerId) {
        self.tell_others(peer, || TransportEvent::LeftServer(peer));
    }

    /// The signaling server tells all other peers that a peer is back.
    pub(crate) fn return_to_server(&self, peer: PeerId) {
        self.tell_others(peer, || TransportEvent::BackAtServer(peer));
    }

    fn tell_others(&self, peer: PeerId, event: impl Fn() -> TransportEvent) {
        self.with(|places| {
            for place in places.iter_mut().filter(|place| !place.gone && place.peer != peer) {
                place.events.push_back(event());
            }
        });
    }

    /// A peer loses the signaling server, and reaches it again.
    pub(crate) fn reconnect(&self, peer: PeerId) {
        self.with(|places| {
            for place in places.iter_mut().filter(|place| place.peer == peer) {
                place.events.extend([TransportEvent::SignalingAway, TransportEvent::SignalingBack]);
            }
        });
    }

    /// Takes a peer out of the room without a word, as if its machine lost power: no other peer is
    /// notified.
    pub(crate) fn cut_off(&self, peer: PeerId) {
        self.with(|places| {
            for place in places.iter_mut().filter(|place| place.peer == peer) {
                place.gone = true;
            }
        });
    }
}

/// One peer's way into a [`MemoryRoom`].
#[derive(Debug)]
pub(crate) struct MemoryTransport {
    room: MemoryRoom,
    peer: PeerId,
}

impl MemoryTransport {
    /// The peer's id in the room.
    pub(crate) fn peer(&self) -> PeerId {
        self.peer
    }
}

impl Transport for MemoryTransport {
    fn poll(&mut self, _now: Duration, events: &mut Vec<TransportEvent>) {
        self.room.with(|places| {
            if let Some(place) =
                places.iter_mut().find(|place| place.peer == self.peer && !place.gone)
            {
                events.extend(place.events.drain(..));
            }
        });
    }

    fn ask(&mut self, request: RoomRequest) {
        self.room.with(|places| {
            let place = places.iter_mut().find(|place| place.peer == self.peer);
            place.into_iter().for_each(|place| place.asked.push(request.clone()));
        });
    }

    fn send(&mut self, _now: Duration, to: PeerId, channel: Channel, bytes: &[u8]) {
        self.room.note(self.peer, to, channel, bytes);
        self.room.with(|places| {
            let is_lost = |place: &Place| place.peer == self.peer && (place.gone || place.mute);
            if places.iter().any(is_lost) {
                return;
            }
            let is_reached = |place: &Place| place.peer == to && !place.gone && !place.deaf;
            if let Some(place) = places.iter_mut().find(|place| is_reached(place)) {
                place.events.push_back(TransportEvent::Received {
                    from: self.peer,
                    channel,
                    bytes: bytes.into(),
                });
            }
        });
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        let peer = self.peer;
        self.room.with(|places| {
            let was_gone = places
                .iter_mut()
                .filter(|place| place.peer == peer)
                .any(|place| std::mem::replace(&mut place.gone, true));
            if !was_gone {
                for place in places.iter_mut().filter(|place| !place.gone) {
                    place.events.push_back(TransportEvent::Disconnected(peer));
                }
            }
        });
    }
}
