//! Our datagram: a header that measures the link, and the inputs of one machine.
//!
//! It is laid out by hand: nearly every number in it is small and follows from another one, so that
//! most of them take a byte, or half of one. PROTOCOL.md has the table.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    codec::{CodecError, encode_into, take},
    packed_input::PackedInput,
};

/// The kind of a datagram that is a header alone. A kind is the lower half of the first byte.
const HEADER: u8 = 0;
/// The kind of a datagram with inputs. The upper half of the first byte has the number of streams.
const HEADER_AND_INPUTS: u8 = 1;
/// The kind of a datagram that is a control message, which may be lost. No stream is in it.
const CONTROL: u8 = 2;
/// The largest half byte. It stands for "the number does not fit here".
const ESCAPE: u8 = 15;

/// The header of every datagram, with inputs or without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DatagramHeader {
    /// The number of the match that the sender plays; 0 outside a match.
    pub(crate) match_number: u32,
    /// How often the roster of that match has changed, as far as the sender knows.
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

    fn encode(&self, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        encode_into(&(self.match_number, self.epoch, self.frame), bytes)?;
        bytes.extend(self.sent_ms.0);
        bytes.extend(self.echo_ms.0);
        encode_into(&(self.held_ms, self.lead_quarters), bytes)
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, CodecError> {
        let (match_number, epoch, frame) = take(bytes)?;
        let (sent_ms, echo_ms) = (Millis(take(bytes)?), Millis(take(bytes)?));
        let (held_ms, lead_quarters) = take(bytes)?;
        Ok(Self { match_number, epoch, frame, sent_ms, echo_ms, held_ms, lead_quarters })
    }
}

/// A clock that wraps after 65.5 s. Its values are spread evenly, so they always take their two
/// bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Millis([u8; 2]);

impl Millis {
    pub(crate) const fn new(value: u16) -> Self {
        Self(value.to_le_bytes())
    }

    /// Milliseconds from `earlier` to this, modulo 65,536.
    pub(crate) const fn since(self, earlier: Self) -> u16 {
        u16::from_le_bytes(self.0).wrapping_sub(u16::from_le_bytes(earlier.0))
    }

    /// The time that was `ms` milliseconds before this one.
    pub(crate) const fn before(self, ms: u16) -> Self {
        Self::new(u16::from_le_bytes(self.0).wrapping_sub(ms))
    }
}

/// What the sender has of each seat's inputs, and the inputs of its own seats that the receiver has
/// not acknowledged yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// The first frame whose inputs the sender does not all have.
    pub(crate) confirmed: u32,
    /// The first frame whose input the sender lacks, for each seat that it does not hold, in order.
    pub(crate) has: Vec<u32>,
    pub(crate) streams: Vec<Stream>,
}

/// Inputs of one seat, in frames that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Stream {
    /// The number of the seat.
    pub(crate) seat: u8,
    /// The frame of the first input.
    pub(crate) first: u32,
    pub(crate) runs: Vec<InputRun>,
}

impl Stream {
    /// The number of frames that the inputs are for.
    pub(crate) fn frames(&self) -> usize {
        self.runs.iter().map(|run| usize::from(run.frames)).sum()
    }

    /// The input of each frame from `first` on.
    pub(super) fn inputs(&self) -> impl Iterator<Item = PackedInput> + '_ {
        let each = |run: &InputRun| std::iter::repeat_n(run.input, usize::from(run.frames));
        self.runs.iter().flat_map(each)
    }
}

/// An input that was held for some frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct InputRun {
    pub(crate) frames: u8,
    #[serde(with = "crate::packed_input::as_bytes")]
    pub(crate) input: PackedInput,
}

/// Why a datagram could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum DatagramError {
    /// The bytes are no datagram.
    #[error("the bytes are not a datagram of this version")]
    Malformed,
    /// It is of a kind that a later version may send: it is skipped.
    #[error("the datagram is of a kind that this version does not know")]
    Unknown,
}

impl From<CodecError> for DatagramError {
    fn from(_: CodecError) -> Self {
        Self::Malformed
    }
}

/// One datagram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) header: DatagramHeader,
    /// None outside a match.
    pub(crate) inputs: Option<Inputs>,
}

impl Datagram {
    /// Appends the datagram to `bytes`.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        let Some(inputs) = &self.inputs else {
            bytes.push(HEADER);
            return self.header.encode(bytes);
        };
        let streams = u8::try_from(inputs.streams.len()).ok().filter(|&count| count <= ESCAPE);
        bytes.push(streams.ok_or(CodecError::Unserializable)? << 4 | HEADER_AND_INPUTS);
        self.header.encode(bytes)?;
        inputs.encode(self.header.frame, bytes)
    }

    /// Reads a datagram. Total: any bytes give a datagram or an error.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DatagramError> {
        let mut rest = bytes;
        let [streams, kind] = take_halves(&mut rest)?;
        if kind > HEADER_AND_INPUTS {
            return Err(DatagramError::Unknown);
        }
        let header = DatagramHeader::take(&mut rest)?;
        let inputs = match (kind, streams) {
            (HEADER, 0) => None,
            (HEADER, _) => return Err(DatagramError::Malformed),
            _ => Some(Inputs::take(header.frame, streams, &mut rest)?),
        };
        if rest.is_empty() { Ok(Self { header, inputs }) } else { Err(DatagramError::Malformed) }
    }
}

/// Appends a datagram that is a control message to `bytes`.
pub(crate) fn encode_control(message: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(CONTROL);
    bytes.extend(message);
}

/// The control message in a datagram, if it is one.
pub(crate) fn control_message(datagram: &[u8]) -> Option<&[u8]> {
    datagram.strip_prefix(&[CONTROL])
}

impl Inputs {
    fn encode(&self, frame: u32, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        encode_into(&relative(self.confirmed, frame), bytes)?;
        // Two half bytes count no further than 30, and a match has 16 seats.
        let count = u8::try_from(self.has.len()).ok().filter(|&count| count <= 2 * ESCAPE);
        let count = count.ok_or(CodecError::Unserializable)?;
        let count = [Some(count.min(ESCAPE)), count.checked_sub(ESCAPE)];
        let listed = self.has.iter().map(|&has| self.ahead(has).unwrap_or(ESCAPE));
        let mut waiting = None;
        for half in count.into_iter().flatten().chain(listed) {
            match waiting.take() {
                None => waiting = Some(half),
                Some(first) => bytes.push(first << 4 | half),
            }
        }
        bytes.extend(waiting.map(|first| first << 4));
        for &has in self.has.iter().filter(|&&has| self.ahead(has).is_none()) {
            encode_into(&relative(has, frame), bytes)?;
        }
        self.streams.iter().try_for_each(|stream| stream.encode(frame, bytes))
    }

    /// How far `has` is ahead of the confirmed frame, if that fits into half a byte. It nearly
    /// always does: what is confirmed is the least of what the sender has.
    fn ahead(&self, has: u32) -> Option<u8> {
        let ahead = has.checked_sub(self.confirmed)?;
        u8::try_from(ahead).ok().filter(|&ahead| ahead < ESCAPE)
    }

    fn take(frame: u32, streams: u8, bytes: &mut &[u8]) -> Result<Self, CodecError> {
        let confirmed = absolute(take(bytes)?, frame)?;
        let has = take_listed(confirmed, frame, bytes)?;
        let streams = (0..streams).map(|_| Stream::take(frame, bytes)).collect::<Result<_, _>>()?;
        Ok(Self { confirmed, has, streams })
    }
}

/// Reads what the sender has of each seat.
fn take_listed(confirmed: u32, frame: u32, bytes: &mut &[u8]) -> Result<Vec<u32>, CodecError> {
    let packed = *bytes;
    let half = |index: usize| -> Result<u8, CodecError> {
        let both = *packed.get(index / 2).ok_or(CodecError::Malformed)?;
        Ok(if index.is_multiple_of(2) { both >> 4 } else { both & ESCAPE })
    };
    let (mut count, mut begin) = (half(0)?, 1);
    if count == ESCAPE {
        (count, begin) = (count + half(1)?, 2);
    }
    let end = begin + usize::from(count);
    *bytes = packed.get(end.div_ceil(2)..).ok_or(CodecError::Malformed)?;
    let mut listed = Vec::with_capacity(usize::from(count));
    for index in begin..end {
        listed.push(match half(index)? {
            ESCAPE => absolute(take(bytes)?, frame)?,
            ahead => confirmed.checked_add(u32::from(ahead)).ok_or(CodecError::Malformed)?,
        });
    }
    Ok(listed)
}

impl Stream {
    fn encode(&self, frame: u32, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        let runs = u8::try_from(self.runs.len()).map_err(|_| CodecError::Unserializable)?;
        bytes.push(self.seat.min(ESCAPE) << 4 | runs.min(ESCAPE));
        bytes.extend((self.seat >= ESCAPE).then_some(self.seat));
        bytes.extend((runs >= ESCAPE).then_some(runs));
        encode_into(&relative(self.first, frame), bytes)?;
        self.runs.iter().for_each(|run| run.encode(bytes));
        Ok(())
    }

    fn take(frame: u32, bytes: &mut &[u8]) -> Result<Self, CodecError> {
        let [seat, runs] = take_halves(bytes)?;
        let seat = if seat == ESCAPE { take_byte(bytes)? } else { seat };
        let runs = if runs == ESCAPE { take_byte(bytes)? } else { runs };
        let first = absolute(take(bytes)?, frame)?;
        let runs = (0..runs).map(|_| InputRun::take(bytes)).collect::<Result<_, _>>()?;
        Ok(Self { seat, first, runs })
    }
}

impl InputRun {
    /// The number of bytes that it takes in a datagram.
    pub(super) fn bytes(&self) -> usize {
        let length = self.input.length();
        let has_more = [self.frames > ESCAPE, length >= usize::from(ESCAPE)];
        1 + has_more.map(usize::from).iter().sum::<usize>() + length
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let length = self.input.length() as u8;
        let frames = if self.frames <= ESCAPE { self.frames } else { 0 };
        bytes.push(frames << 4 | length.min(ESCAPE));
        bytes.extend((frames == 0).then_some(self.frames));
        bytes.extend((length >= ESCAPE).then_some(length));
        self.input.write(bytes);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, CodecError> {
        let [frames, length] = take_halves(bytes)?;
        let frames = if frames == 0 { take_byte(bytes)? } else { frames };
        let length = if length == ESCAPE { take_byte(bytes)? } else { length };
        let (input, rest) = bytes.split_at_checked(length.into()).ok_or(CodecError::Malformed)?;
        *bytes = rest;
        let input = PackedInput::from_bytes(input).ok_or(CodecError::Malformed)?;
        Ok(Self { frames, input })
    }
}

fn take_byte(bytes: &mut &[u8]) -> Result<u8, CodecError> {
    let (&first, rest) = bytes.split_first().ok_or(CodecError::Malformed)?;
    *bytes = rest;
    Ok(first)
}

fn take_halves(bytes: &mut &[u8]) -> Result<[u8; 2], CodecError> {
    let both = take_byte(bytes)?;
    Ok([both >> 4, both & ESCAPE])
}

/// A frame as it is sent: relative to the one in the header.
fn relative(other: u32, frame: u32) -> i64 {
    i64::from(other) - i64::from(frame)
}

fn absolute(relative: i64, frame: u32) -> Result<u32, CodecError> {
    let absolute = relative.checked_add(i64::from(frame)).ok_or(CodecError::Malformed)?;
    u32::try_from(absolute).map_err(|_| CodecError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{packed_input::MAX_INPUT_BYTES, random};

    fn input(bytes: &[u8]) -> PackedInput {
        PackedInput::from_bytes(bytes).expect("it is short")
    }

    fn run(frames: u8, bytes: &[u8]) -> InputRun {
        InputRun { frames, input: input(bytes) }
    }

    fn header() -> DatagramHeader {
        DatagramHeader {
            match_number: 3,
            epoch: 0,
            frame: 20_000,
            sent_ms: Millis::new(60_000),
            echo_ms: Millis::new(59_000),
            held_ms: 12,
            lead_quarters: -5,
        }
    }

    fn datagram() -> Datagram {
        let runs = vec![run(3, &[17]), run(1, &[16])];
        let streams = vec![Stream { seat: 1, first: 19_999, runs }];
        let inputs = Inputs { confirmed: 19_997, has: vec![19_997, 20_001, 19_999], streams };
        Datagram { header: header(), inputs: Some(inputs) }
    }

    fn encoded(datagram: &Datagram) -> Vec<u8> {
        let mut bytes = Vec::new();
        datagram.encode(&mut bytes).expect("a datagram encodes");
        bytes
    }

    #[test]
    fn a_datagram_survives_and_is_small() {
        let bytes = encoded(&datagram());
        assert!(bytes.len() <= 21, "{} bytes", bytes.len());
        assert_eq!(Datagram::decode(&bytes), Ok(datagram()));
    }

    #[test]
    fn numbers_of_any_size_come_back() {
        let long = [7; MAX_INPUT_BYTES];
        let runs = vec![run(15, &[]), run(16, &[1; 14]), run(255, &[2; 15]), run(0, &long)];
        let many = vec![run(1, &[1]); 15];
        let streams = vec![
            Stream { seat: 14, first: 0, runs },
            Stream { seat: 15, first: u32::MAX, runs: many },
            Stream { seat: 255, first: 20_000, runs: vec![] },
        ];
        for count in [0, 1, 2, 14, 15, 16, 30] {
            let has = [0, 5, 19, 20, 21, u32::MAX].into_iter().cycle().take(count).collect();
            let inputs = Inputs { confirmed: 5, has, streams: streams.clone() };
            let datagram = Datagram { header: header(), inputs: Some(inputs) };
            assert_eq!(Datagram::decode(&encoded(&datagram)), Ok(datagram), "{count}");
        }
    }

    #[test]
    fn any_bytes_are_a_datagram_or_an_error() {
        let mut seed = 1;
        for length in 0..400 {
            let bytes: Vec<u8> = (0..length).map(|_| random::next(&mut seed) as u8).collect();
            let _ = Datagram::decode(&bytes);
            // Fifteen streams.
            let _ = Datagram::decode(&[&[0xf0 | HEADER_AND_INPUTS], &bytes[..]].concat());
        }
    }

    #[test]
    fn every_part_of_a_datagram_is_needed() {
        let bytes = encoded(&datagram());
        for length in 0..bytes.len() {
            assert!(Datagram::decode(&bytes[..length]).is_err(), "{length} bytes are enough");
        }
        assert!(Datagram::decode(&[&bytes[..], &[0]].concat()).is_err());
        let header = encoded(&Datagram { header: header(), inputs: None });
        assert!(Datagram::decode(&[&header[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_kind_of_datagram_that_is_to_come_is_not_malformed() {
        let mut bytes = encoded(&datagram());
        for kind in [2, 3, 15, 255] {
            bytes[0] = kind;
            assert_eq!(Datagram::decode(&bytes), Err(DatagramError::Unknown));
        }
        assert_eq!(Datagram::decode(&[]), Err(DatagramError::Malformed));
    }

    #[test]
    fn the_clock_wraps() {
        assert_eq!(Millis::new(5).since(Millis::new(65_530)), 11);
    }
}
