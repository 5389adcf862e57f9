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
/// frames, all different: as many as are under way on a link with a round trip of 250 ms.
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
    /// It does not serialize to its end.
    #[error("it does not serialize to its end: {0}")]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The size of a packed input in a message of ggrs, which requires all inputs to have the same
    /// size.
    pub(crate) const SIZE: usize = 1 + MAX_INPUT_BYTES;

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
        let (chunks, _) = again.bytes.as_chunks();
        let mut words = [0; WORDS];
        for (word, chunk) in words.iter_mut().zip(chunks) {
            *word = u64::from_le_bytes(*chunk);
        }
        Some((Self { size: length as u8 + 1, words }, length))
    }

    /// The input that the simulation gets.
    pub(crate) fn unpack<I: GameInput>(&self) -> I {
        let (bytes, Some(length)) = self.bytes() else { return I::default() };
        // The bytes were read before they were packed, so only a `Deserialize` that gives different
        // answers can fail here.
        decode_input(&bytes[..length]).map(|(input, _)| input).unwrap_or_default()
    }

    /// The bytes, and the number of them that count; none for the default input.
    fn bytes(&self) -> ([u8; MAX_INPUT_BYTES], Option<usize>) {
        let mut bytes = [0; MAX_INPUT_BYTES];
        for (chunk, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.words) {
            *chunk = word.to_le_bytes();
        }
        (bytes, usize::from(self.size).checked_sub(1))
    }

    /// The number of bytes that it takes to send the input, if the default input takes `default`.
    pub(crate) fn length(&self, default: usize) -> usize {
        usize::from(self.size).checked_sub(1).unwrap_or(default)
    }

    /// Appends the input as ggrs writes it.
    pub(crate) fn write(&self, packed: &mut Vec<u8>) {
        packed.push(self.size);
        packed.extend_from_slice(&self.bytes().0);
    }
}

/// Turns the inputs of one machine for one frame from their form on the wire into ggrs's. None if
/// they are not the inputs of `seats` seats, one after the other.
pub(crate) fn pack_all(bytes: &[u8], seats: usize, read: ReadInput) -> Option<Vec<u8>> {
    if bytes.len() > MAX_INPUT_BYTES {
        return None;
    }
    let mut packed = Vec::with_capacity(seats * PackedInput::SIZE);
    let mut rest = bytes;
    for _ in 0..seats {
        let (input, length) = read(rest)?;
        input.write(&mut packed);
        rest = &rest[length..];
    }
    rest.is_empty().then_some(packed)
}

/// The inverse of [`pack_all`]. `default` is the wire form of the default input.
pub(crate) fn unpack_all(packed: &[u8], default: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAX_INPUT_BYTES);
    for input in packed.chunks_exact(PackedInput::SIZE) {
        match input.split_first() {
            Some((&size, input)) if size > 0 => {
                bytes.extend_from_slice(&input[..usize::from(size) - 1]);
            }
            _ => bytes.extend_from_slice(default),
        }
    }
    bytes
}

/// The bytes that an input is sent as, whatever their number.
pub(crate) fn wire_form<I: GameInput>(input: &I) -> Result<Vec<u8>, UnfitInput> {
    PackedInput::pack(input).map_err(UnfitInput::new::<I>)?;
    Encoded::of(input).map(|it| it.as_slice().to_vec()).map_err(UnfitInput::new::<I>)
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
        assert_eq!(unpack_all(&[0; PackedInput::SIZE], &[3]), [3]);
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
    fn inputs_of_any_sizes_are_told_apart_and_come_back() {
        let read: ReadInput = PackedInput::read::<Option<u8>>;
        for bytes in [&[0, 0][..], &[1, 5, 0], &[0, 1, 5], &[1, 5, 1, 5]] {
            let packed = pack_all(bytes, 2, read).expect("these are two inputs");
            assert_eq!(packed.len(), 2 * PackedInput::SIZE);
            assert_eq!(unpack_all(&packed, &[0]), bytes);
        }
        for bytes in [&[][..], &[0], &[1, 5], &[0, 0, 0], &[0, 1], &[2, 0], &[0; 65]] {
            assert_eq!(pack_all(bytes, 2, read), None, "{bytes:?}");
        }
    }

    #[test]
    fn ggrs_writes_a_packed_input_as_it_is_written_here() {
        for input in [None, Some(1u64 << 63)] {
            let (mut ours, mut theirs) = (Vec::new(), [0; PackedInput::SIZE]);
            packed(&input).write(&mut ours);
            assert_eq!(encode_input(&packed(&input), &mut theirs), Ok(PackedInput::SIZE));
            assert_eq!(ours, theirs);
        }
    }
}
