//! The messages of ggrs, whose fields are private: opened on their way out, and made on their way
//! in.
//!
//! They never travel. What ggrs receives was made here from values that were checked, so nothing
//! that a peer sends reaches its decoder, which aborts or panics on hostile bytes.

use serde::{Deserialize, Serialize};

use crate::codec::{CodecError, decode_own, encode_into};

/// The same on both sides of every link: the epoch tells sessions apart, and a stranger's bytes
/// never get here.
const MAGIC: u16 = 1;
/// ggrs's number for "no frame".
const NO_FRAME: i32 = -1;

/// What a message says; its shape is that of ggrs 0.13, variant by variant.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum GgrsBody {
    SyncRequest {
        random: u32,
    },
    SyncReply {
        random: u32,
    },
    Input {
        connected: Vec<ConnectionStatus>,
        disconnect_requested: bool,
        first: i32,
        acked: i32,
        bytes: Vec<u8>,
    },
    InputAck {
        acked: i32,
    },
    QualityReport {
        frame_advantage: i16,
        ping: u128,
    },
    QualityReply {
        pong: u128,
    },
    ChecksumReport {
        checksum: u128,
        frame: i32,
    },
    KeepAlive,
}

/// What one peer says about another's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ConnectionStatus {
    disconnected: bool,
    last_frame: i32,
}

impl GgrsBody {
    /// Opens a message of our own session.
    pub(super) fn open(message: &ggrs::Message) -> Result<Self, CodecError> {
        let mut bytes = Vec::new();
        encode_into(message, &mut bytes)?;
        let (_magic, body): (u16, Self) = decode_own(&bytes)?;
        Ok(body)
    }

    /// Makes the message that our session would get from a peer.
    pub(super) fn close(&self) -> Result<ggrs::Message, CodecError> {
        let mut bytes = Vec::new();
        encode_into(&(MAGIC, self), &mut bytes)?;
        decode_own(&bytes)
    }

    /// A peer's inputs from the frame `first` on, which follow `base`, in a match with `seats`
    /// seats, all of which are connected.
    pub(super) fn inputs<'a>(
        seats: usize,
        first: u32,
        acked: u32,
        base: &[u8],
        inputs: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let connected = ConnectionStatus { disconnected: false, last_frame: NO_FRAME };
        Self::Input {
            connected: vec![connected; seats],
            disconnect_requested: false,
            first: first as i32,
            acked: last_before(acked),
            bytes: bitfield_rle::encode(differences(base, inputs)),
        }
    }

    /// A peer has our inputs of all frames before `acked`.
    pub(super) fn ack(acked: u32) -> Self {
        Self::InputAck { acked: last_before(acked) }
    }
}

/// The last frame before this one, as ggrs counts. A match of a year has fewer frames than an `i32`
/// can count.
fn last_before(frame: u32) -> i32 {
    frame as i32 + NO_FRAME
}

/// Each input as its difference from the one before it, after its length in two bytes.
fn differences<'a>(base: &[u8], inputs: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut before = base;
    let inputs: Vec<&[u8]> = inputs.collect();
    for input in &inputs {
        bytes.extend_from_slice(&(input.len() as u16).to_le_bytes());
        let padded = before.iter().copied().chain(std::iter::repeat(0));
        bytes.extend(input.iter().zip(padded).map(|(now, before)| now ^ before));
        before = input;
    }
    bytes
}

/// The inputs in a message of our own session, oldest first, after `base`.
pub(super) fn inputs_in(base: &[u8], bytes: &[u8]) -> Result<Vec<Vec<u8>>, CodecError> {
    let bytes = bitfield_rle::decode(bytes).map_err(|_| CodecError::Malformed)?;
    let mut rest = &bytes[..];
    let mut inputs: Vec<Vec<u8>> = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length));
        let Some((change, after)) = after.split_at_checked(length) else {
            return Err(CodecError::Malformed);
        };
        let before = inputs.last().map_or(base, |input| &input[..]).iter().copied();
        let padded = before.chain(std::iter::repeat(0));
        inputs.push(change.iter().zip(padded).map(|(change, before)| change ^ before).collect());
        rest = after;
    }
    if rest.is_empty() { Ok(inputs) } else { Err(CodecError::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_ggrs_has_its_shape_here() {
        let bodies = [
            GgrsBody::SyncRequest { random: 7 },
            GgrsBody::SyncReply { random: 7 },
            GgrsBody::inputs(3, 30, 28, &[1], [&[1][..], &[2]].into_iter()),
            GgrsBody::ack(12),
            GgrsBody::QualityReport { frame_advantage: -3, ping: 1 << 90 },
            GgrsBody::QualityReply { pong: 0 },
            GgrsBody::ChecksumReport { checksum: 1, frame: 2 },
            GgrsBody::KeepAlive,
        ];
        let names = [
            "SyncRequest",
            "SyncReply",
            "Input",
            "InputAck",
            "QualityReport",
            "QualityReply",
            "ChecksumReport",
            "KeepAlive",
        ];
        for (body, name) in bodies.into_iter().zip(names) {
            let message = body.close().expect("ggrs reads what has its shape");
            // ggrs names what it read.
            let shown = format!("{message:?}");
            assert!(shown.contains(&format!("body: {name}")), "{shown}");
            assert_eq!(GgrsBody::open(&message), Ok(body));
        }
    }

    #[test]
    fn inputs_of_any_length_come_back() {
        let inputs: [&[u8]; 5] = [&[1, 2], &[1, 2], &[3], &[], &[0, 0, 255, 9]];
        let GgrsBody::Input { bytes, first: 5, acked: 1, .. } =
            GgrsBody::inputs(2, 5, 2, &[7, 7], inputs.into_iter())
        else {
            panic!("these are inputs");
        };
        assert_eq!(inputs_in(&[7, 7], &bytes), Ok(inputs.map(<[u8]>::to_vec).to_vec()));
    }
}
