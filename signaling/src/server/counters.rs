//! Numbers for the operator: how many rooms and peers there are, and one count for each reason why
//! something was refused or dropped. Shown at `/health` and `/metrics`.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use serde::{Serialize, Serializer};

use crate::protocol::Refusal;

/// An event that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    /// A peer entered a room.
    Joined,
    /// A peer was turned away or disconnected for this reason.
    Refused(Refusal),
    /// A network address already had as many connections as the limit allows.
    RefusedConnection,
    /// A network address already had as many downloads as the limit allows.
    RefusedDownload,
    /// A message was not a request.
    DroppedUnreadable,
    /// A frame was binary; the protocol uses only text.
    DroppedBinary,
    /// A signal was for a peer that is not connected.
    DroppedUnknownReceiver,
    /// A signal was for a peer in another room.
    DroppedOtherRoom,
    /// A signal was for a peer at another process, and the store could not be reached to forward
    /// it.
    DroppedStoreDown,
    /// A signal was for a peer that reads too slowly, and its sender had the most messages waiting
    /// there.
    DroppedSlowReceiver,
    /// A peer asked for something that is not allowed or not possible.
    Denied,
    /// A peer sent more than the limit allows, and had to wait.
    Slowed,
    /// A peer sent more requests about its room than the limit allows, and had to wait.
    RequestsSlowed,
    /// A connection broke, or broke the WebSocket protocol, instead of being closed.
    Broken,
    /// All allowed connections were in use, so the next one had to wait.
    ConnectionsFull,
    /// The head of an HTTP request was longer than the limit allows.
    HeaderTooLong,
    /// No first or next request arrived on a connection in time.
    RequestTimedOut,
    /// A client read nothing, or almost nothing, of its response for too long.
    Stalled,
    /// The system provided no socket for a connection, usually because too many files are open.
    AcceptFailed,
    /// A client did not complete the TLS handshake: it does not use TLS, does not trust the
    /// certificate, or is too slow.
    TlsFailed,
}

impl Counter {
    const ALL: [Self; 39] = [
        Self::Joined,
        Self::Refused(Refusal::RoomName),
        Self::Refused(Refusal::GroupSize),
        Self::Refused(Refusal::RoomFull),
        Self::Refused(Refusal::TooManyRooms),
        Self::Refused(Refusal::ServerFull),
        Self::Refused(Refusal::MessageTooLong),
        Self::Refused(Refusal::Silent),
        Self::Refused(Refusal::TooSlow),
        Self::Refused(Refusal::AddressFull),
        Self::Refused(Refusal::TooOften),
        Self::Refused(Refusal::Origin),
        Self::Refused(Refusal::Locked),
        Self::Refused(Refusal::Kicked),
        Self::Refused(Refusal::OtherGame),
        Self::Refused(Refusal::NoSuchRoom),
        Self::Refused(Refusal::BadRequest),
        Self::Refused(Refusal::Replaced),
        Self::Refused(Refusal::StoreDown),
        Self::Refused(Refusal::Ticket),
        Self::Refused(Refusal::ServerStopping),
        Self::RefusedConnection,
        Self::RefusedDownload,
        Self::DroppedUnreadable,
        Self::DroppedBinary,
        Self::DroppedUnknownReceiver,
        Self::DroppedOtherRoom,
        Self::DroppedStoreDown,
        Self::DroppedSlowReceiver,
        Self::Denied,
        Self::Slowed,
        Self::RequestsSlowed,
        Self::Broken,
        Self::ConnectionsFull,
        Self::HeaderTooLong,
        Self::RequestTimedOut,
        Self::Stalled,
        Self::AcceptFailed,
        Self::TlsFailed,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Refused(Refusal::RoomName) => "refused_room_name",
            Self::Refused(Refusal::GroupSize) => "refused_group_size",
            Self::Refused(Refusal::RoomFull) => "refused_room_full",
            Self::Refused(Refusal::TooManyRooms) => "refused_too_many_rooms",
            Self::Refused(Refusal::ServerFull) => "refused_server_full",
            Self::Refused(Refusal::MessageTooLong) => "refused_message_too_long",
            Self::Refused(Refusal::Silent) => "refused_silent",
            Self::Refused(Refusal::TooSlow) => "refused_too_slow",
            Self::Refused(Refusal::AddressFull) => "refused_address_full",
            Self::Refused(Refusal::TooOften) => "refused_too_often",
            Self::Refused(Refusal::Origin) => "refused_origin",
            Self::Refused(Refusal::Locked) => "refused_locked",
            Self::Refused(Refusal::Kicked) => "refused_kicked",
            Self::Refused(Refusal::OtherGame) => "refused_other_game",
            Self::Refused(Refusal::NoSuchRoom) => "refused_no_such_room",
            Self::Refused(Refusal::BadRequest) => "refused_bad_request",
            Self::Refused(Refusal::Replaced) => "refused_replaced",
            Self::Refused(Refusal::StoreDown) => "refused_store_down",
            Self::Refused(Refusal::Ticket) => "refused_ticket",
            Self::Refused(Refusal::ServerStopping) => "refused_server_stopping",
            Self::RefusedConnection => "refused_connection",
            Self::RefusedDownload => "refused_download",
            Self::DroppedUnreadable => "dropped_unreadable",
            Self::DroppedBinary => "dropped_binary",
            Self::DroppedUnknownReceiver => "dropped_unknown_receiver",
            Self::DroppedOtherRoom => "dropped_other_room",
            Self::DroppedStoreDown => "dropped_store_down",
            Self::DroppedSlowReceiver => "dropped_slow_receiver",
            Self::Denied => "denied",
            Self::Slowed => "slowed",
            Self::RequestsSlowed => "requests_slowed",
            Self::Broken => "broken",
            Self::ConnectionsFull => "connections_full",
            Self::HeaderTooLong => "header_too_long",
            Self::RequestTimedOut => "request_timed_out",
            Self::Stalled => "stalled",
            Self::AcceptFailed => "accept_failed",
            Self::TlsFailed => "tls_failed",
        }
    }
}

/// The response of `/health`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Health {
    /// Rooms with at least one peer.
    pub(crate) rooms: AtomicUsize,
    /// Peers in rooms.
    pub(crate) peers: AtomicUsize,
    /// Counts since the server started.
    pub(crate) counters: Counters,
}

/// One count per [`Counter`].
#[derive(Debug)]
pub(crate) struct Counters([AtomicU64; Counter::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; Counter::ALL.len()])
    }
}

impl Counters {
    pub(crate) fn count(&self, counter: Counter) {
        let index = Counter::ALL.iter().position(|entry| *entry == counter);
        if let Some(index) = index {
            self.0[index].fetch_add(1, Relaxed);
        }
    }

    /// All counts, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = Counter::ALL.iter().zip(&self.0);
        all.map(|(counter, count)| (counter.name(), count.load(Relaxed)))
    }
}

impl Serialize for Counters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_own_count() {
        for refusal in Refusal::ALL {
            let counters = Counters::default();
            counters.count(Counter::Refused(refusal));
            let json = serde_json::to_value(&counters).expect("counts are valid JSON");
            let name = Counter::Refused(refusal).name();
            assert_eq!(json[name], 1, "{name}");
        }
    }
}
