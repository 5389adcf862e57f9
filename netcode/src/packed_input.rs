//! An input as bytes: in this form it is predicted, compared and sent, whatever `==` the game's
//! type has.
//!
//! A game's own `==` may call two inputs equal that the simulation tells apart (`0.0` and `-0.0`),
//! or an input unequal to itself (NaN). The bytes are those that travel, and each machine simulates
//! what it reads from them, its own inputs included.

use std::any::type_name;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    codec::{SerializeFault, decode_input, encode_input},
    input::GameInput,
};

/// The most bytes that all inputs of one machine may take for one frame. A datagram holds 16 such
/// frames, all different, of one seat, and 13 of 15 seats: about as many as are under way on a link
/// with a round trip of 250 ms.
pub(crate) const MAX_INPUT_BYTES: usize = 64;
/// The number of words that hold these bytes: serde writes eight numbers faster than 64.
const WORDS: usize = MAX_INPUT_BYTES / size_of::<u64>();

/// Why an input cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InputProblem {
    /// It takes more bytes than can be sent in time.
    #[error(
        "it takes {bytes} bytes a frame, and at most {max} can be sent in time for all seats of a \
         machine; make it smaller"
    )]
    TooLong {
        /// The bytes that it takes, or that the inputs of all seats of this machine take.
        bytes: usize,
        /// The most bytes that fit.
        max: usize,
    },
    /// It does not serialize completely.
    #[error("it does not serialize completely: {0}")]
    Unserializable(SerializeFault),
    /// What it serializes to cannot be read back, or reads as something else.
    #[error(
        "it cannot be read from its own bytes; `skip_serializing_if`, `untagged`, `tag` and \
         `flatten` do not work in a format without names, so derive `Serialize` and `Deserialize` \
         without them"
    )]
    Unreadable,
}

/// The game gave an input that no machine could read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("an input of the game's type `{type_name}` cannot be sent: {problem}")]
pub struct UnfitInput {
    /// The full path of the game's input type.
    pub type_name: &'static str,
    /// What is wrong with the input.
    pub problem: InputProblem,
}

impl UnfitInput {
    pub(crate) fn new<I>(problem: InputProblem) -> Self {
        Self { type_name: type_name::<I>(), problem }
    }
}

/// The bytes of one input. Two are equal if, and only if, their bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct PackedInput {
    /// 0 for the game's default input, which ggrs uses where it knows no input; otherwise the
    /// number of bytes plus one.
    size: u8,
    words: [u64; WORDS],
}

/// Reads one input from the beginning of bytes, and returns it with the number of bytes it took.
pub(crate) type ReadInput = fn(&[u8]) -> Option<(PackedInput, usize)>;

/// What a value serializes to.
struct Encoded {
    bytes: [u8; MAX_INPUT_BYTES],
    length: usize,
}

impl Encoded {
    fn of<I: GameInput>(input: &I) -> Result<Self, InputProblem> {
        let mut bytes = [0; MAX_INPUT_BYTES];
        let length = encode_input(input, &mut bytes).map_err(InputProblem::Unserializable)?;
        if length > MAX_INPUT_BYTES {
            return Err(InputProblem::TooLong { bytes: length, max: MAX_INPUT_BYTES });
        }
        Ok(Self { bytes, length })
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl PackedInput {
    /// Packs an input of the game, and checks that every machine reads the same from it.
    pub(crate) fn pack<I: GameInput>(input: &I) -> Result<Self, InputProblem> {
        let encoded = Encoded::of(input)?;
        match Self::read::<I>(encoded.as_slice()) {
            Some((packed, length)) if length == encoded.length => Ok(packed),
            _ => Err(InputProblem::Unreadable),
        }
    }

    /// Reads an input, as a [`ReadInput`]. Bytes that are not what the input would be written as
    /// are refused, because machines compare bytes.
    pub(crate) fn read<I: GameInput>(bytes: &[u8]) -> Option<(Self, usize)> {
        let (input, length) = decode_input::<I>(bytes)?;
        let again = Encoded::of(&input).ok()?;
        if bytes.get(..length)? != again.as_slice() {
            return None;
        }
        let default = Encoded::of(&I::default()).ok();
        if default.is_some_and(|default| default.as_slice() == again.as_slice()) {
            return Some((Self::default(), length));
        }
        Some((Self::of_bytes(&again.bytes, length), length))
    }

    /// The input that the simulation gets.
    pub(crate) fn unpack<I: GameInput>(&self) -> I {
        let (bytes, Some(length)) = self.bytes() else { return I::default() };
        // The bytes were read before they were packed, so only a `Deserialize` that gives different
        // answers can fail here.
        decode_input(&bytes[..length]).map(|(input, _)| input).unwrap_or_default()
    }

    /// An input that a peer claims to have given, from the bytes that it sent; they may be no input
    /// of the game. No bytes are the default input. None if they are too many.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let mut all = [0; MAX_INPUT_BYTES];
        all.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self::of_bytes(&all, bytes.len()))
    }

    /// Whether this is an input of the game, whose inputs `read` reads. There is one way to write
    /// each: the default input takes no bytes.
    pub(crate) fn is_input(&self, read: ReadInput) -> bool {
        let (bytes, Some(length)) = self.bytes() else { return true };
        read(&bytes[..length]) == Some((*self, length))
    }

    fn of_bytes(bytes: &[u8; MAX_INPUT_BYTES], length: usize) -> Self {
        let (chunks, _) = bytes.as_chunks();
        let mut words = [0; WORDS];
        for (word, chunk) in words.iter_mut().zip(chunks) {
            *word = u64::from_le_bytes(*chunk);
        }
        Self { size: length as u8 + 1, words }
    }

    /// The bytes, and the number of them that count; none for the default input.
    fn bytes(&self) -> ([u8; MAX_INPUT_BYTES], Option<usize>) {
        let mut bytes = [0; MAX_INPUT_BYTES];
        for (chunk, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.words) {
            *chunk = word.to_le_bytes();
        }
        (bytes, usize::from(self.size).checked_sub(1))
    }

    /// The number of bytes that an input serializes to.
    pub(crate) fn full_length<I: GameInput>(input: &I) -> Result<usize, InputProblem> {
        Encoded::of(input).map(|encoded| encoded.length)
    }

    /// The number of bytes that it takes to send the input: none for the default input.
    pub(crate) fn length(&self) -> usize {
        usize::from(self.size.saturating_sub(1))
    }

    /// Appends the bytes that the input is sent as.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let (bytes, length) = self.bytes();
        out.extend_from_slice(&bytes[..length.unwrap_or(0)]);
    }
}

/// How serde writes and reads the bytes that an input is sent as.
pub(crate) mod as_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::{MAX_INPUT_BYTES, PackedInput};

    pub(crate) fn serialize<S: Serializer>(input: &PackedInput, to: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(MAX_INPUT_BYTES);
        input.write(&mut bytes);
        bytes.serialize(to)
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<PackedInput, D::Error> {
        let bytes = Vec::<u8>::deserialize(from)?;
        PackedInput::from_bytes(&bytes).ok_or_else(|| D::Error::custom("the input is too long"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn packed<I: GameInput>(input: &I) -> PackedInput {
        PackedInput::pack(input).expect("the input travels")
    }

    #[test]
    fn inputs_are_equal_if_their_bytes_are() {
        assert_ne!(packed(&0.0f32), packed(&-0.0f32));
        assert_eq!(packed(&f32::NAN), packed(&f32::NAN));
        assert_ne!(packed(&f32::NAN), packed(&-f32::NAN));
    }

    #[test]
    fn every_input_comes_back() {
        assert!(packed(&-0.0f32).unpack::<f32>().is_sign_negative());
        assert_eq!(packed(&Some(7u64)).unpack::<Option<u64>>(), Some(7));
        assert_eq!(packed(&[[1u8; 32]; 2]).unpack::<[[u8; 32]; 2]>(), [[1; 32]; 2]);
        packed(&()).unpack::<()>();
    }

    #[test]
    fn the_default_is_what_ggrs_takes_for_it() {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        struct Gear(u8);
        impl Default for Gear {
            fn default() -> Self {
                Self(3)
            }
        }
        assert_eq!(packed(&Gear(3)), PackedInput::default());
        assert_ne!(packed(&Gear(0)), PackedInput::default());
        assert_eq!(PackedInput::default().unpack::<Gear>(), Gear(3));
    }

    #[test]
    fn an_input_that_no_machine_could_read_is_refused() {
        let long = Some([[1u8; 32]; 3]);
        assert_eq!(PackedInput::pack(&long), Err(InputProblem::TooLong { bytes: 97, max: 64 }));

        #[derive(Clone, Default, Serialize, Deserialize)]
        struct Named {
            #[serde(default, skip_serializing_if = "Option::is_none")]
            aim: Option<u8>,
            go: bool,
        }
        let named = Named { aim: None, go: true };
        assert_eq!(PackedInput::pack(&named), Err(InputProblem::Unreadable));

        #[derive(Clone, Default, Serialize, Deserialize)]
        struct Flat {
            #[serde(flatten)]
            more: BTreeMap<String, u8>,
        }
        let problem = PackedInput::pack(&Flat::default());
        assert_eq!(problem, Err(InputProblem::Unserializable(SerializeFault::NoLength)));
    }

    #[test]
    fn only_one_way_to_write_an_input_is_an_input() {
        type Keys = BTreeMap<u8, bool>;
        let bytes =
            |pairs: &[[u8; 2]]| [&(pairs.len() as u64).to_le_bytes()[..], &pairs.concat()].concat();
        let is_input = |bytes: &[u8]| PackedInput::read::<Keys>(bytes).is_some();
        assert!(is_input(&bytes(&[[1, 0], [2, 1]])));
        assert!(!is_input(&bytes(&[[2, 1], [1, 0]])), "a different order");
        assert!(!is_input(&bytes(&[[1, 0], [1, 0]])), "the same key twice");
        assert!(!is_input(&bytes(&[[1, 2]])), "neither true nor false");
    }

    #[test]
    fn an_input_that_arrives_is_one_of_the_game_written_in_its_only_way() {
        let is_input = |bytes: &[u8]| {
            PackedInput::from_bytes(bytes).map(|it| it.is_input(PackedInput::read::<Option<u8>>))
        };
        assert_eq!([is_input(&[]), is_input(&[1, 5])], [Some(true); 2]);
        // The default input takes no bytes, and the others neither more nor fewer than they need.
        for bytes in [&[0][..], &[1], &[2], &[0, 0], &[1, 5, 0], &[9; MAX_INPUT_BYTES]] {
            assert_eq!(is_input(bytes), Some(false), "{bytes:?}");
        }
        assert_eq!(is_input(&[0; MAX_INPUT_BYTES + 1]), None);
        let unit = PackedInput::from_bytes(&[]).expect("it is short");
        assert!(unit.is_input(PackedInput::read::<()>) && unit == packed(&()));
    }

    #[test]
    fn the_bytes_of_an_input_are_those_that_it_serializes_to() {
        for input in [None, Some(1u64 << 63), Some(0)] {
            let mut bytes = Vec::new();
            packed(&input).write(&mut bytes);
            assert_eq!(packed(&input).length(), bytes.len());
            assert_eq!(PackedInput::from_bytes(&bytes), Some(packed(&input)));
            assert_eq!(bytes.is_empty(), input.is_none());
        }
    }
}
