//! The control messages, which peers send to each other on the control channel.

use serde::{Deserialize, Serialize};
use signaling::protocol::PeerId;
use xxhash_rust::xxh3::Xxh3;

use super::{
    change,
    lineup::LineUpMessage,
    player_name::clean_name,
    reasons::{GoodbyeCause, Refusal},
};
use crate::{
    checksum::FrameHashes,
    codec::{CodecError, decode, encode_into},
    config::{MAX_ID_BYTES, MAX_SEATS, NetcodeConfig},
    exchange::LastInputs,
    rollback::Registrations,
};

/// The version of everything on the wire. It is the first byte of each control message, so that any
/// two versions can tell each other apart, and is raised with every change of PROTOCOL.md.
pub(crate) const WIRE_VERSION: u8 = 10;

/// The number of tags that are known here: one for each kind of [`Control`], in the same order. The
/// tag is the byte after the wire version.
const KNOWN_TAGS: u8 = 10;
/// bincode writes the number of a variant in one byte only below this.
const _: () = assert!(KNOWN_TAGS <= 251);

/// A control message. Later builds add kinds at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Control {
    /// Always the first message to a peer.
    Hello(Hello),
    /// Where the sender stands in the lobby; sent whenever it changes.
    Status(Status),
    /// Agreement on the players of the next match.
    LineUp(LineUpMessage),
    /// Hashes of a confirmed frame.
    Checksums { match_number: u32, frame: u32, hashes: FrameHashes },
    /// The last message.
    Goodbye(GoodbyeCause),
    /// The sender leaves the match, and stays in the room.
    Finish(Finish),
    /// Agreement on a change of the roster of this match.
    Change { match_number: u32, message: change::Message },
    /// The sender is away in this match, has caught up with it, and wants its seats back.
    Return { match_number: u32 },
    /// The sender's player pauses the match, or goes on with it.
    Pause { match_number: u32, pauses: bool },
    /// The sender owns the room, and removes a member from it and from this match.
    Kick { match_number: u32, peer: PeerId },
}

/// How a peer leaves a match that it finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finish {
    pub(crate) match_number: u32,
    /// The frame at which the match is over for the sender: it knows all inputs before that frame.
    pub(crate) end: u32,
    /// The sender's last inputs. Its seats play on with neutral ones.
    pub(crate) last: LastInputs,
}

/// A peer's name, and the game that it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) game_id: String,
    pub(crate) game_version: String,
    /// Hash of everything that two peers must have in common to compute the same world.
    pub(crate) protocol_hash: u64,
    pub(crate) name: String,
    /// Seats on that machine.
    pub(crate) seats: u8,
}

/// Where a peer stands in the lobby.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) is_ready: bool,
    pub(crate) is_in_match: bool,
    /// Its page is hidden, so that nobody sees the game there.
    pub(crate) is_hidden: bool,
    /// It takes no part in matches.
    pub(crate) is_spectator: bool,
    /// The number of the last match that the peer took part in: the next one must be above those
    /// of all peers.
    pub(crate) last_match_number: u32,
    /// The peers that it could play with. No match starts while two players do not reach each
    /// other, or while a player reaches a peer that another does not know.
    pub(crate) reaches: Vec<PeerId>,
    /// Its present name, which may differ from the one in its hello.
    pub(crate) name: String,
}

/// Why a control message was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlError {
    /// The sender speaks another version of the protocol.
    OtherVersion,
    /// The tag is not known here. Later builds may send it.
    Unknown,
    /// The bytes are no message.
    Malformed,
}

impl From<CodecError> for ControlError {
    fn from(_: CodecError) -> Self {
        Self::Malformed
    }
}

impl Control {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![WIRE_VERSION];
        encode_into(self, &mut bytes)
            .expect("control messages hold only plain values, which always encode");
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ControlError> {
        match bytes {
            [WIRE_VERSION, tag, ..] if *tag >= KNOWN_TAGS => Err(ControlError::Unknown),
            [WIRE_VERSION, message @ ..] => Ok(decode(message)?),
            [_, ..] => Err(ControlError::OtherVersion),
            [] => Err(ControlError::Malformed),
        }
    }
}

impl Hello {
    /// Our own hello; a machine has at least one seat.
    pub(crate) fn new(config: &NetcodeConfig, protocol_hash: u64, name: &str, seats: u8) -> Self {
        Self {
            game_id: config.game_id.clone(),
            game_version: config.game_version.clone(),
            protocol_hash,
            name: clean_name(name),
            seats: seats.max(1),
        }
    }

    /// Cuts what a peer says of itself to the lengths that our own hello keeps to.
    pub(crate) fn cleaned(mut self) -> Self {
        self.name = clean_name(&self.name);
        self.game_id = self.game_id.chars().take(MAX_ID_BYTES).collect();
        self.game_version = self.game_version.chars().take(MAX_ID_BYTES).collect();
        self
    }

    /// Why `self` and `theirs` cannot play together, if they cannot.
    pub(crate) fn refuse(&self, theirs: &Self) -> Option<Refusal> {
        let name = theirs.name.clone();
        if self.game_id != theirs.game_id {
            Some(Refusal::OtherGame { name, theirs: theirs.game_id.clone() })
        } else if self.game_version != theirs.game_version {
            Some(Refusal::OtherVersion {
                name,
                theirs: theirs.game_version.clone(),
                ours: self.game_version.clone(),
            })
        } else if self.protocol_hash != theirs.protocol_hash
            || !(1..=MAX_SEATS).contains(&theirs.seats)
        {
            Some(Refusal::OtherBuild { name, version: self.game_version.clone() })
        } else {
            None
        }
    }
}

/// The hash of everything that two peers must have in common: wire version, speed, checksum
/// interval, policies, input type, registered types.
pub(crate) fn protocol_hash(config: &NetcodeConfig, registrations: &Registrations) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&[WIRE_VERSION]);
    hasher.update(&config.fps.to_le_bytes());
    hasher.update(&config.checksum_interval.to_le_bytes());
    hasher.update(&[
        config.departure_policy as u8,
        config.pair_policy as u8,
        config.stand_in as u8,
        config.pause_policy as u8,
        u8::from(config.owner_may_kick),
    ]);
    for name in &registrations.0 {
        hasher.update(name.as_bytes());
        hasher.update(&[0]);
    }
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DeparturePolicy, PairPolicy, PausePolicy, StandIn};

    fn hello(version: &str, hash: u64) -> Hello {
        let config = NetcodeConfig { game_version: version.into(), ..NetcodeConfig::default() };
        Hello::new(&config, hash, "Ada", 1)
    }

    #[test]
    fn a_control_message_survives_the_wire() {
        let message = Control::Hello(hello("1", 7));
        assert_eq!(Control::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn every_kind_of_message_has_a_known_tag() {
        let newest = Control::Kick { match_number: 1, peer: PeerId::from_u128(1) };
        // A new kind has to be named here, and is the newest one then.
        match &newest {
            Control::Hello(_)
            | Control::Status(_)
            | Control::LineUp(_)
            | Control::Checksums { .. }
            | Control::Goodbye(_)
            | Control::Finish(_)
            | Control::Change { .. }
            | Control::Return { .. }
            | Control::Pause { .. }
            | Control::Kick { .. } => {}
        }
        assert_eq!(newest.encode()[1], KNOWN_TAGS - 1);
    }

    #[test]
    fn another_wire_version_is_not_taken_for_junk() {
        let mut bytes = Control::Hello(hello("1", 7)).encode();
        bytes[0] += 1;
        assert_eq!(Control::decode(&bytes), Err(ControlError::OtherVersion));
        assert_eq!(Control::decode(&[WIRE_VERSION + 1, 250]), Err(ControlError::OtherVersion));
        assert_eq!(Control::decode(&[]), Err(ControlError::Malformed));
    }

    #[test]
    fn a_message_is_unknown_by_its_tag_alone_and_malformed_only_if_its_tag_is_known() {
        for tag in 0..=u8::MAX {
            let expected =
                if tag < KNOWN_TAGS { ControlError::Malformed } else { ControlError::Unknown };
            // No message is without fields, and 0xff begins no field.
            for rest in [&[][..], &[0xff], &[0xff; 900]] {
                let bytes = [&[WIRE_VERSION, tag], rest].concat();
                assert_eq!(Control::decode(&bytes), Err(expected), "{bytes:?}");
            }
        }
        assert_eq!(Control::decode(&[WIRE_VERSION]), Err(ControlError::Malformed));
    }

    #[test]
    fn builds_that_differ_refuse_each_other_with_a_sentence() {
        assert_eq!(hello("1", 7).refuse(&hello("1", 7)), None);
        let refusal = hello("1", 7).refuse(&hello("2", 7)).expect("versions differ");
        assert_eq!(
            refusal.to_string(),
            "Ada has version 2, you have version 1: both need the same version to play together"
        );
        assert!(matches!(hello("1", 7).refuse(&hello("1", 8)), Some(Refusal::OtherBuild { .. })));
    }

    #[test]
    fn the_protocol_hash_depends_on_types_speed_and_policies() {
        let config = NetcodeConfig::default();
        let types = |names: &[&'static str]| Registrations(names.to_vec());
        let hash = protocol_hash(&config, &types(&["a", "b"]));
        assert_ne!(hash, protocol_hash(&config, &types(&["b", "a"])));
        assert_ne!(hash, protocol_hash(&config, &types(&["ab"])));
        for changed in [
            NetcodeConfig { fps: 120, ..config.clone() },
            NetcodeConfig { departure_policy: DeparturePolicy::EndMatch, ..config.clone() },
            NetcodeConfig { departure_policy: DeparturePolicy::Wait, ..config.clone() },
            NetcodeConfig { pair_policy: PairPolicy::GoOn, ..config.clone() },
            NetcodeConfig { pause_policy: PausePolicy::Nobody, ..config.clone() },
            NetcodeConfig { owner_may_kick: false, ..config.clone() },
            NetcodeConfig { stand_in: StandIn::Bot, ..config },
        ] {
            assert_ne!(hash, protocol_hash(&changed, &types(&["a", "b"])));
        }
    }
}
