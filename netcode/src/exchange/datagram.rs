//! Our datagram: a header that measures the link, and the inputs of one machine.

use serde::{Deserialize, Serialize};

use crate::codec::{CodecError, decode, encode_into};

/// The header of every datagram, with inputs or without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DatagramHeader {
    /// The epoch that the sender plays; 0 outside a match.
    pub(crate) epoch: u32,
    /// The frame that the sender simulates next.
    pub(crate) frame: u32,
    /// The sender's clock in milliseconds, wrapping.
    pub(crate) sent_ms: Millis,
    /// The newest `sent_ms` that the sender has seen from the receiver.
    pub(crate) echo_ms: Millis,
    /// Milliseconds between the arrival of that datagram and the sending of this one; `u16::MAX` if
    /// none arrived.
    pub(crate) held_ms: u16,
    /// How far the sender believes that it is ahead of the receiver, in quarters of a frame.
    pub(crate) lead_quarters: i8,
}

impl DatagramHeader {
    /// `held_ms` of a sender that has not heard from the receiver yet.
    pub(crate) const NOTHING_HEARD: u16 = u16::MAX;
}

/// A clock that wraps after 65.5 s. Its values are spread evenly, so they always take their two
/// bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Millis([u8; 2]);

impl Millis {
    pub(crate) const fn new(value: u16) -> Self {
        Self(value.to_le_bytes())
    }

    /// Milliseconds from `earlier` to this, modulo 65,536.
    pub(crate) const fn since(self, earlier: Self) -> u16 {
        u16::from_le_bytes(self.0).wrapping_sub(u16::from_le_bytes(earlier.0))
    }
}

/// The inputs of one machine that the receiver has not acknowledged yet, and how many of the
/// receiver's inputs the sender has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inputs {
    /// The first frame of `runs`, relative to the frame in the header.
    pub(crate) first: i16,
    /// The first frame of the receiver's inputs that the sender lacks, relative to the frame in the
    /// header.
    pub(crate) wanted: i16,
    pub(crate) runs: Vec<InputRun>,
}

/// An input that was held for some frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InputRun {
    pub(crate) frames: u8,
    /// The inputs of all seats of the machine, one after the other.
    pub(crate) input: Vec<u8>,
}

/// One datagram.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Datagram {
    pub(crate) header: DatagramHeader,
    /// None outside a match.
    pub(crate) inputs: Option<Inputs>,
}

impl Datagram {
    /// Appends the datagram to `bytes`.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        encode_into(self, bytes)
    }

    /// Reads a datagram. Total: any bytes give a datagram or an error.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        decode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    fn datagram() -> Datagram {
        let header = DatagramHeader {
            epoch: 3,
            frame: 20_000,
            sent_ms: Millis::new(60_000),
            echo_ms: Millis::new(59_000),
            held_ms: 12,
            lead_quarters: -5,
        };
        let runs =
            vec![InputRun { frames: 3, input: vec![17] }, InputRun { frames: 1, input: vec![16] }];
        Datagram { header, inputs: Some(Inputs { first: -1, wanted: -3, runs }) }
    }

    #[test]
    fn a_datagram_survives_and_is_small() {
        let mut bytes = Vec::new();
        datagram().encode(&mut bytes).expect("a datagram encodes");
        assert!(bytes.len() <= 20, "{} bytes", bytes.len());
        assert_eq!(Datagram::decode(&bytes), Ok(datagram()));
    }

    #[test]
    fn any_bytes_are_a_datagram_or_an_error() {
        let mut seed = 1;
        for length in 0..400 {
            let bytes: Vec<u8> = (0..length).map(|_| random::next(&mut seed) as u8).collect();
            let _ = Datagram::decode(&bytes);
        }
    }

    #[test]
    fn every_part_of_a_datagram_is_needed() {
        let mut bytes = Vec::new();
        datagram().encode(&mut bytes).expect("a datagram encodes");
        for length in 0..bytes.len() {
            assert!(Datagram::decode(&bytes[..length]).is_err(), "{length} bytes are enough");
        }
        bytes.push(0);
        assert!(Datagram::decode(&bytes).is_err());
    }

    #[test]
    fn the_clock_wraps() {
        assert_eq!(Millis::new(5).since(Millis::new(65_530)), 11);
    }
}
