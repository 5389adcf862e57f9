//! Our datagram: a header that measures the link, and the ggrs messages for one peer.

use serde::{Deserialize, Serialize};

use super::MAX_PACKET_BYTES;
use crate::codec::{CodecError, decode, encode_into};

/// Payload that fits one IP packet on nearly every path: 1,200 bytes, the minimum that WebRTC assumes.
pub(crate) const MAX_DATAGRAM_BYTES: usize = 1200;
/// ggrs messages in one datagram at most: a browser that draws at 10 fps sends about 12 at a time.
pub(crate) const MAX_DATAGRAM_MESSAGES: usize = 64;

/// What every datagram says, whether it carries inputs or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DatagramHeader {
    /// The epoch that the messages belong to; 0 outside a match.
    pub(crate) epoch: u32,
    /// The frame that the sender simulates next.
    pub(crate) frame: u32,
    /// The sender's clock in milliseconds, wrapping.
    pub(crate) sent_ms: u16,
    /// The newest `sent_ms` that the sender has seen from the receiver.
    pub(crate) echo_ms: u16,
    /// Milliseconds between the arrival of that and this; `u16::MAX` where there was none.
    pub(crate) held_ms: u16,
    /// How far the sender believes to be ahead of the receiver, in quarters of a frame.
    pub(crate) lead_quarters: i8,
}

impl DatagramHeader {
    /// `held_ms` of a sender that has not heard from the receiver yet.
    pub(crate) const NOTHING_HEARD: u16 = u16::MAX;
}

/// One datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Datagram {
    pub(crate) header: DatagramHeader,
    pub(crate) messages: Vec<ggrs::Message>,
}

impl Datagram {
    /// Appends the datagram to `bytes`.
    pub(crate) fn encode(
        header: &DatagramHeader,
        messages: &[ggrs::Message],
        bytes: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        encode_into(&(header, messages), bytes)
    }

    /// Reads a datagram. Total: any bytes give a datagram or an error.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.len() > MAX_PACKET_BYTES {
            return Err(CodecError::Malformed);
        }
        let datagram: Self = decode(bytes)?;
        if datagram.messages.len() > MAX_DATAGRAM_MESSAGES {
            return Err(CodecError::Malformed);
        }
        Ok(datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_and_is_small() {
        let header = DatagramHeader {
            epoch: 3,
            frame: 70_000,
            sent_ms: 60_000,
            echo_ms: 59_000,
            held_ms: 12,
            lead_quarters: -5,
        };
        let mut bytes = Vec::new();
        Datagram::encode(&header, &[], &mut bytes).expect("a header encodes");
        assert!(bytes.len() <= 16, "{} bytes", bytes.len());
        assert_eq!(Datagram::decode(&bytes), Ok(Datagram { header, messages: Vec::new() }));
    }

    #[test]
    fn any_bytes_are_a_datagram_or_an_error() {
        let mut random = 1u64;
        for length in 0..400 {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (random >> 56) as u8
                })
                .collect();
            let _ = Datagram::decode(&bytes);
        }
        assert!(Datagram::decode(&vec![0; MAX_PACKET_BYTES + 1]).is_err());
    }
}
