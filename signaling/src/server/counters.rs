//! Numbers for the operator: how many rooms and peers there are, and one count per reason for which
//! something was turned away or dropped. `/health` and `/metrics` show them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use serde::{Serialize, Serializer};

use crate::protocol::Refusal;

/// Something that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    /// A peer got into a room.
    Joined,
    /// A peer was turned away, or sent off, for this reason.
    Refused(Refusal),
    /// A network address had as many connections as it may.
    RefusedConnection,
    /// A network address had as many downloads as it may.
    RefusedDownload,
    /// A message was not a request.
    DroppedUnreadable,
    /// A frame was binary; the protocol is text.
    DroppedBinary,
    /// A signal was for somebody who is not there.
    DroppedUnknownReceiver,
    /// A signal was for somebody in another room.
    DroppedOtherRoom,
    /// A signal was for somebody at another process, and the store was not there to pass it on.
    DroppedStoreDown,
    /// A signal was for somebody who reads too slowly for all that it is sent, and its sender had
    /// the most waiting there.
    DroppedSlowReceiver,
    /// A peer asked for something that it may not, or that cannot be.
    Denied,
    /// A peer sent more than it may, and was made to wait.
    Slowed,
    /// A peer asked for something in its room more often than it may, and was made to wait.
    RequestsSlowed,
    /// A connection broke, or broke the WebSocket protocol, instead of being closed.
    Broken,
    /// All connections were taken that there may be, so that the next one has to wait.
    ConnectionsFull,
    /// The head of an HTTP request was longer than it may be.
    HeaderTooLong,
    /// No request came on a connection in time, or none after the last one.
    RequestTimedOut,
    /// A client took nothing of the answer that it asked for, or next to nothing, for too long.
    Stalled,
    /// The system gave no socket for a connection, most often because too many files are open.
    AcceptFailed,
    /// A client did not get through the TLS handshake: it speaks no TLS, does not trust the
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

/// What `/health` answers.
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

    /// All of them, by name.
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
