//! The messages between a peer and the signaling server, and the reasons why the server turns a
//! peer away.
//!
//! The JSON is that of `matchbox_protocol` 0.15, so unmodified matchbox clients work. This module
//! is always compiled, even for the browser and without the `server` feature: `netcode` needs these
//! types and nothing else of this crate.

use std::{error::Error, fmt};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest room name, in bytes: enough for a code, a game's name and its version, and short enough
/// for a link.
pub const MAX_ROOM_NAME_BYTES: usize = 64;

/// The name by which the server and the other peers know a peer. With a [`PeerKey`], it is the same
/// on all connections of the peer, and only the latest connection counts. Without a key, each
/// connection gets a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerId(pub Uuid);

impl PeerId {
    /// The id with this number: for tests and for peers that meet without a server.
    pub const fn from_u128(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A secret that keeps a peer's id the same across several connections to the server, and after a
/// restart of the server. The id is a hash of the key, so nothing has to be remembered, and knowing
/// the id is not enough to impersonate the peer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PeerKey(u128);

/// Separates these hashes from all other hashes; any number would do.
const KEY_NAMESPACE: Uuid = Uuid::from_u128(0x7d0c_1f0b_6f4b_4d2e_9a51_3c8e_55b7_21a6);

impl PeerKey {
    /// The key with this number. All of its bits must be random.
    #[must_use]
    pub const fn new(random: u128) -> Self {
        Self(random)
    }

    /// The key as it stands in an address: `key=` and 32 hexadecimal digits.
    #[must_use]
    pub fn to_query(self) -> String {
        format!("key={:032x}", self.0)
    }

    /// The key in the query of an address, if there is one.
    #[must_use]
    pub fn in_query(query: &str) -> Option<Self> {
        let digits = query.split('&').find_map(|pair| pair.strip_prefix("key="))?;
        let is_whole = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_whole.then(|| u128::from_str_radix(digits, 16).ok().map(Self)).flatten()
    }

    /// The peer with this key.
    #[must_use]
    pub fn peer(self) -> PeerId {
        PeerId(Uuid::new_v5(&KEY_NAMESPACE, &self.0.to_be_bytes()))
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerKey(secret)")
    }
}

/// What a peer sends to the server. `S` is the signal (an SDP or an ICE candidate), which the
/// server forwards unread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerRequest<S> {
    /// Pass `data` to `receiver`, a peer in the same room.
    Signal {
        /// The peer that receives it.
        receiver: PeerId,
        /// What it receives.
        data: S,
    },
    /// "I am still here": sent regularly, so that the server does not mistake silence for absence.
    KeepAlive,
}

/// What the server sends to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerEvent<S> {
    /// The id of the peer that reads this. It is the first message, except at `/v1/`, where it
    /// follows the [`Welcome`](crate::ice_servers::Welcome).
    IdAssigned(PeerId),
    /// A peer entered the room after the reader did. The reader makes it an offer.
    NewPeer(PeerId),
    /// A peer's connection to the server ended. Its data channels may still be alive.
    PeerLeft(PeerId),
    /// `data` from `sender`, a peer in the same room.
    Signal {
        /// The peer that sent it.
        sender: PeerId,
        /// What it sent.
        data: S,
    },
}

/// Why the server turned a peer away, or disconnected it.
///
/// It arrives as the code of a WebSocket close frame ([`close_code`](Self::close_code)), whose
/// reason is the sentence that [`Display`](fmt::Display) writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The room's name is empty, too long, or contains a character that is not allowed: see
    /// [`is_room_name`].
    RoomName,
    /// The number of wanted players, in `?next=` or `?players=`, is missing, not a number, zero, or
    /// more than a room may hold.
    GroupSize,
    /// The room holds as many peers as it can.
    RoomFull,
    /// The server has as many rooms as its limit allows.
    TooManyRooms,
    /// The server has as many peers as its limit allows.
    ServerFull,
    /// The peer sent a message that is longer than the server accepts.
    MessageTooLong,
    /// Nothing arrived from the peer for too long, not even the answer to a ping.
    Silent,
    /// The peer does not read what is sent to it.
    TooSlow,
    /// As many peers as the limit allows are already connected from the peer's network address.
    AddressFull,
    /// Peers are joining from the peer's network address more often than the limit allows.
    TooOften,
    /// The page that the peer runs in is not allowed to use this server.
    Origin,
    /// The room is locked by its owner.
    Locked,
    /// The owner of the room removed the peer.
    Kicked,
    /// The room is for another game, or another version of it.
    OtherGame,
    /// There is no such room, and the peer did not want to open one.
    NoSuchRoom,
    /// The path is unknown, or a value in the query is invalid.
    BadRequest,
    /// The peer has connected again from somewhere else.
    Replaced,
    /// The server cannot reach the store of its rooms.
    StoreDown,
    /// The server requires a ticket, and this one is not valid, is for another room, or has
    /// expired.
    Ticket,
    /// The server is shutting down; it may be back in a moment.
    ServerStopping,
}

impl Refusal {
    /// All reasons.
    pub const ALL: [Self; 20] = [
        Self::RoomName,
        Self::GroupSize,
        Self::RoomFull,
        Self::TooManyRooms,
        Self::ServerFull,
        Self::MessageTooLong,
        Self::Silent,
        Self::TooSlow,
        Self::AddressFull,
        Self::TooOften,
        Self::Origin,
        Self::Locked,
        Self::Kicked,
        Self::OtherGame,
        Self::NoSuchRoom,
        Self::BadRequest,
        Self::Replaced,
        Self::StoreDown,
        Self::Ticket,
        Self::ServerStopping,
    ];

    /// The code in the close frame: codes from 4000 are free for applications, and 1001 is the
    /// standard's "going away".
    pub const fn close_code(self) -> u16 {
        match self {
            Self::RoomName => 4000,
            Self::GroupSize => 4001,
            Self::RoomFull => 4002,
            Self::TooManyRooms => 4003,
            Self::ServerFull => 4004,
            Self::MessageTooLong => 4005,
            Self::Silent => 4006,
            Self::TooSlow => 4007,
            Self::AddressFull => 4008,
            Self::TooOften => 4009,
            Self::Origin => 4010,
            Self::Locked => 4011,
            Self::Kicked => 4012,
            Self::OtherGame => 4014,
            Self::NoSuchRoom => 4015,
            Self::BadRequest => 4016,
            Self::Replaced => 4017,
            Self::StoreDown => 4018,
            Self::Ticket => 4013,
            Self::ServerStopping => 1001,
        }
    }

    /// The reason that a close code stands for, if the code is one of ours.
    pub fn from_close_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.close_code() == code)
    }

    /// The reason as a sentence for a player: at most 123 bytes, the most that a close frame can
    /// carry.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::RoomName => "A room's name is 1 to 64 letters, digits or any of - _ . ~",
            Self::GroupSize => {
                "Say how many players you want: a number from 1 up to the most that a room can hold."
            }
            Self::RoomFull => "The room is full.",
            Self::TooManyRooms => "The server cannot hold another room. Try again later.",
            Self::ServerFull => "The server is full. Try again later.",
            Self::MessageTooLong => "A message to the server was too long.",
            Self::Silent => "The server has stopped hearing from you.",
            Self::TooSlow => "Your connection is too slow for the messages in this room.",
            Self::AddressFull => "Too many players come from your network. Try again later.",
            Self::TooOften => "Too many attempts from your network. Try again in a moment.",
            Self::Origin => "This page is not allowed to use this server.",
            Self::Locked => "The room is locked. Ask its owner to let you in.",
            Self::Kicked => "You were removed from the room by its owner.",
            Self::OtherGame => "The room is for another game, or for another version of it.",
            Self::NoSuchRoom => "There is no such room. Is the code right?",
            Self::BadRequest => "The server does not understand which room you want.",
            Self::Replaced => "You joined again from somewhere else.",
            Self::StoreDown => {
                "The server has a problem and is working on it. Try again in a moment."
            }
            Self::Ticket => {
                "You need a ticket that is valid for this room: join again from the game."
            }
            Self::ServerStopping => "The server is shutting down. Try again in a moment.",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl Error for Refusal {}

/// Returns whether a room may have this name: 1 to [`MAX_ROOM_NAME_BYTES`] ASCII letters, digits,
/// `-`, `_`, `.` or `~`, none of which needs escaping in a link. `.` and `..` are not allowed,
/// because browsers treat them as folders and drop them.
pub fn is_room_name(name: &str) -> bool {
    (1..=MAX_ROOM_NAME_BYTES).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::testing::properties::same_cases;

    #[test]
    fn a_group_size_refusal_names_no_parameter() {
        // The same refusal answers `next=` in the address of a room and `players=` in that of a
        // quick match.
        let sentence = Refusal::GroupSize.sentence();
        assert!(sentence.contains("players") && !sentence.contains('='), "{sentence}");
    }

    #[test]
    fn every_refusal_fits_a_close_frame_and_has_its_own_code() {
        for refusal in Refusal::ALL {
            assert!(refusal.sentence().len() <= 123, "{refusal:?}");
            assert_eq!(Refusal::from_close_code(refusal.close_code()), Some(refusal));
        }
        assert_eq!(Refusal::from_close_code(1000), None);
    }

    fn id() -> impl Strategy<Value = PeerId> {
        any::<u128>().prop_map(PeerId::from_u128)
    }

    fn event() -> impl Strategy<Value = PeerEvent<String>> {
        prop_oneof![
            id().prop_map(PeerEvent::IdAssigned),
            id().prop_map(PeerEvent::NewPeer),
            id().prop_map(PeerEvent::PeerLeft),
            (id(), any::<String>()).prop_map(|(sender, data)| PeerEvent::Signal { sender, data }),
        ]
    }

    fn request() -> impl Strategy<Value = PeerRequest<String>> {
        let signal = (id(), any::<String>())
            .prop_map(|(receiver, data)| PeerRequest::Signal { receiver, data });
        prop_oneof![signal, Just(PeerRequest::KeepAlive)]
    }

    proptest! {
        #![proptest_config(same_cases())]

        #[test]
        fn every_message_survives_encoding_and_decoding(event in event(), request in request()) {
            let text = serde_json::to_string(&event).expect("a message is JSON");
            prop_assert!(!text.contains('\n'), "{text}");
            prop_assert_eq!(serde_json::from_str::<PeerEvent<String>>(&text).ok(), Some(event));
            let text = serde_json::to_string(&request).expect("a message is JSON");
            prop_assert_eq!(serde_json::from_str::<PeerRequest<String>>(&text).ok(), Some(request));
        }

        #[test]
        fn any_text_that_decodes_survives_encoding_and_decoding(text in r#"(\{"(Signal|NewPeer)":.{0,60}\}|"KeepAlive"|.{0,80})"#) {
            if let Ok(event) = serde_json::from_str::<PeerEvent<Value>>(&text) {
                let again = serde_json::to_string(&event).expect("a message is JSON");
                prop_assert_eq!(serde_json::from_str::<PeerEvent<Value>>(&again).ok(), Some(event));
            }
            let _ = serde_json::from_str::<PeerRequest<Value>>(&text);
        }

        #[test]
        fn a_key_is_found_in_any_address(key in any::<u128>(), before in "[a-z]{1,5}=[a-z0-9]{0,5}") {
            let query = format!("{before}&{}", PeerKey::new(key).to_query());
            let expected = (!before.starts_with("key=")).then_some(PeerKey::new(key));
            prop_assert_eq!(PeerKey::in_query(&query), expected);
        }

        #[test]
        fn no_query_breaks_the_search_for_a_key(query in "(key=)?[0-9a-fA-F+]{0,40}(&.{0,10})?") {
            if let Some(key) = PeerKey::in_query(&query) {
                prop_assert_eq!(PeerKey::in_query(&key.to_query()), Some(key));
            }
        }
    }

    #[test]
    fn room_names_need_no_escaping_in_a_link() {
        let longest = "x".repeat(MAX_ROOM_NAME_BYTES);
        for name in ["a", "ABC-123_x.y~z", "...", ".a", longest.as_str()] {
            assert!(is_room_name(name), "{name}");
        }
        let too_long = "x".repeat(MAX_ROOM_NAME_BYTES + 1);
        for name in ["", ".", "..", "a b", "a/b", "%20", "é", "a\0", too_long.as_str()] {
            assert!(!is_room_name(name), "{name:?}");
        }
    }
}
