//! Tokens, which prove that a peer was in a room: signed by the server, kept by the peer, and valid
//! until they expire.
//!
//! The server keeps no record of them, so they also work after a restart, and at every other
//! process that has the same secret.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    protocol::PeerId,
    server::{
        address::name_of_group,
        room::{Claim, Proof, RoomId, Terms},
    },
};

/// The longest token that is read, in bytes: even with the longest names, a token is shorter.
const MAX_TOKEN_BYTES: usize = 2048;
/// Precedes the signed text, so that a signature for another purpose is not valid here.
const PURPOSE: &[u8] = b"resume:";

/// The key of the signatures. Never shown.
#[derive(Clone)]
pub(crate) struct Signer(Vec<u8>);

/// The content of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resume {
    pub(crate) peer: PeerId,
    pub(crate) room: RoomId,
    /// Identifies the room among all rooms that have had this name.
    pub(crate) incarnation: u64,
    pub(crate) terms: Terms,
    pub(crate) claim: Claim,
    /// In milliseconds since 1970.
    pub(crate) expires: u64,
}

impl Resume {
    /// The part of the token that the room checks.
    pub(crate) fn proof(&self) -> Proof {
        Proof { incarnation: self.incarnation, claim: self.claim }
    }

    /// The room for which a returning peer needs a ticket; `None` if the server chose the room.
    pub(crate) fn named_room(&self) -> Option<&str> {
        match &self.terms.group {
            Some(group) => name_of_group(group),
            None => Some(self.room.name()),
        }
    }
}

impl Signer {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(secret.to_vec())
    }

    fn mac(&self, payload: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        mac.update(PURPOSE);
        mac.update(payload);
        mac
    }

    pub(crate) fn sign(&self, resume: &Resume) -> String {
        let payload = serde_json::to_vec(resume).expect("a token is valid JSON");
        let mac = self.mac(&payload).finalize().into_bytes();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(mac))
    }

    /// Returns the content of a token, if this server or another with the same secret signed it, it
    /// belongs to this peer, and it is valid at `now`.
    pub(crate) fn read(&self, token: &str, peer: PeerId, now: u64) -> Option<Resume> {
        let (payload, mac) = token.get(..MAX_TOKEN_BYTES).unwrap_or(token).split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        self.mac(&payload).verify_slice(&mac).ok()?;
        let resume: Resume = serde_json::from_slice(&payload).ok()?;
        (resume.peer == peer && now < resume.expires).then_some(resume)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(secret)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resume() -> Resume {
        Resume {
            peer: PeerId::from_u128(7),
            room: RoomId("DAM3R".into()),
            incarnation: 3,
            terms: Terms {
                game: "asteroids".into(),
                version: "1".into(),
                capacity: 4,
                spectators: 0,
                is_public: true,
                group: None,
                closes_when_full: false,
            },
            claim: Claim::Owner(1),
            expires: 1000,
        }
    }

    #[test]
    fn a_token_is_valid_for_its_peer_and_secret_until_it_expires() {
        let signer = Signer::new(b"secret");
        let token = signer.sign(&resume());
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
        assert_eq!(signer.read(&token, PeerId::from_u128(7), 999), Some(resume()));
        assert_eq!(signer.read(&token, PeerId::from_u128(7), 1000), None, "too late");
        assert_eq!(signer.read(&token, PeerId::from_u128(8), 999), None, "somebody else's");
        assert_eq!(Signer::new(b"other").read(&token, PeerId::from_u128(7), 999), None);
    }

    #[test]
    fn a_token_with_one_changed_letter_is_invalid() {
        let signer = Signer::new(b"secret");
        let token = signer.sign(&resume());
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("still ASCII");
            assert_eq!(signer.read(&changed, PeerId::from_u128(7), 0), None, "{changed}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_passes_as_a_token(text in ".{0,80}(\\.[A-Za-z0-9_-]{0,60})?") {
            prop_assert_eq!(Signer::new(b"secret").read(&text, PeerId::from_u128(7), 0), None);
        }
    }
}
