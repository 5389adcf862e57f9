//! The data channels of one peer, from the beginning of its handshake.

use matchbox_socket::{Packet, PeerId as MatchboxId, PeerState, WebRtcSocket};
use signaling::protocol::PeerId;

use crate::transport::{Channel, Route, TransportEvent};

/// The channels by the numbers that they have on both sides, the order in which `peer_sockets`
/// opens them.
const CHANNELS: [(usize, Channel); 3] =
    [(0, Channel::Datagrams), (1, Channel::Control), (2, Channel::Bulk)];
/// At most this many packets are kept of a peer whose channels opened on its side first: its hello,
/// its status and some datagrams. Its first messages should not be lost, as they are repeated only
/// after a round trip. At most 256 KiB.
const MAX_EARLY: usize = 16;

/// One peer's channels. When they are dropped, they close, and a handshake that is under way ends.
#[derive(Debug)]
pub(super) struct PeerChannels {
    pub(super) peer: PeerId,
    socket: WebRtcSocket,
    pub(super) is_open: bool,
    /// Packets that arrived before matchbox reported the channels as open.
    early: Vec<(Channel, Packet)>,
}

impl PeerChannels {
    pub(super) fn new(peer: PeerId, socket: WebRtcSocket) -> Self {
        Self { peer, socket, is_open: false, early: Vec::new() }
    }

    /// Appends what happened since the last call. Returns false once all is over.
    pub(super) fn poll(&mut self, events: &mut Vec<TransportEvent>) -> bool {
        // Packets first: the last words of a peer come before its departure.
        self.poll_packets(events);
        // An error means that the message loop is over.
        let Ok(changes) = self.socket.try_update_peers() else { return self.end(events) };
        for (_, state) in changes {
            match state {
                PeerState::Connected => {
                    self.is_open = true;
                    events.push(TransportEvent::Connected(self.peer));
                    let early = self.early.drain(..);
                    events.extend(
                        early.map(|(channel, packet)| received(self.peer, channel, &packet)),
                    );
                }
                PeerState::Disconnected => return self.end(events),
            }
        }
        true
    }

    fn end(&self, events: &mut Vec<TransportEvent>) -> bool {
        if self.is_open {
            events.push(TransportEvent::Disconnected(self.peer));
        }
        false
    }

    fn poll_packets(&mut self, events: &mut Vec<TransportEvent>) {
        for (index, channel) in CHANNELS {
            let Ok(source) = self.socket.get_channel_mut(index) else { continue };
            for (_, packet) in source.receive() {
                if self.is_open {
                    events.push(received(self.peer, channel, &packet));
                } else if is_welcome(&self.early, channel, &packet) {
                    self.early.push((channel, packet));
                } else {
                    events.push(TransportEvent::DroppedEarly);
                }
            }
        }
    }

    pub(super) fn send(&mut self, channel: Channel, bytes: &[u8]) {
        let index = match channel {
            Channel::Datagrams => 0,
            Channel::Control => 1,
            Channel::Bulk => 2,
        };
        if self.is_open
            && let Ok(channel) = self.socket.get_channel_mut(index)
        {
            // It fails only once the loop is over, which the next poll sees.
            let _ = channel.try_send(Packet::copy_from_slice(bytes), MatchboxId(self.peer.0));
        }
    }

    pub(super) fn route(&self) -> Route {
        match self.socket.is_relayed(MatchboxId(self.peer.0)) {
            Some(true) => Route::Relayed,
            Some(false) => Route::Direct,
            None => Route::Unknown,
        }
    }
}

/// Whether a packet that came too early is kept. Half of the space is for control messages alone:
/// datagrams may get lost on the way anyway, and bulk data comes only after a hello.
fn is_welcome(early: &[(Channel, Packet)], channel: Channel, packet: &Packet) -> bool {
    early.len() < MAX_EARLY
        && packet.len() <= channel.max_bytes()
        && (channel == Channel::Control || early.len() < MAX_EARLY / 2)
}

fn received(from: PeerId, channel: Channel, packet: &Packet) -> TransportEvent {
    // One byte too many is enough for the packet to be refused.
    let length = packet.len().min(channel.max_bytes() + 1);
    TransportEvent::Received { from, channel, bytes: packet[..length].into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_early_leaves_room_for_control_messages() {
        let keep = |channel, length| {
            let mut early = Vec::new();
            let packet = Packet::from(vec![0; length]);
            while is_welcome(&early, channel, &packet) {
                early.push((channel, packet.clone()));
            }
            early.len()
        };
        assert_eq!(CHANNELS.map(|(_, channel)| keep(channel, 9)), [8, 16, 8]);
        assert_eq!(CHANNELS.map(|(_, channel)| keep(channel, channel.max_bytes() + 1)), [0; 3]);
    }
}
