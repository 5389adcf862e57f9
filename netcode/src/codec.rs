//! Encodes values as bytes, and decodes them within a limit: the only file that names bincode.
//!
//! bincode 2.0.1 is no longer maintained, so nothing outside this file may depend on it.

use bincode::{
    config::{Configuration, Limit, LittleEndian, Varint, legacy, standard},
    enc::write::Writer,
    error::{DecodeError, EncodeError},
    serde::{decode_from_slice, encode_into_std_write, encode_into_writer},
};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

#[cfg(all(test, not(target_arch = "wasm32")))]
use crate::checksum::ValueHasher;

/// The most bytes that one decoded value may claim to take: the size of the largest control message
/// (16 KiB), far above any datagram. bincode checks it before it allocates.
const MAX_DECODED_BYTES: usize = 16 * 1024;

/// Why bytes could not be decoded, or a value could not be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum CodecError {
    /// The bytes are not a value of the wanted type, or larger than the limit.
    #[error("the bytes are not a message of this version")]
    Malformed,
    /// Bytes are left over after the value.
    #[error("bytes follow the message")]
    Trailing,
    /// The value cannot be serialized.
    #[error("the value cannot be serialized")]
    Unserializable,
}

impl From<DecodeError> for CodecError {
    fn from(_: DecodeError) -> Self {
        Self::Malformed
    }
}

impl From<EncodeError> for CodecError {
    fn from(_: EncodeError) -> Self {
        Self::Unserializable
    }
}

/// Why a value does not serialize completely.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SerializeFault {
    /// The length of a list or map is not known before it is written.
    #[error(
        "the length of a list or map in it is not known in advance, as with `#[serde(flatten)]`: \
         remove that attribute"
    )]
    NoLength,
    /// The `Serialize` implementation of the game, or of a library, fails.
    #[error("its `Serialize` fails with \"{0}\"")]
    Refused(String),
}

impl From<EncodeError> for SerializeFault {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Serde(bincode::serde::EncodeError::SequenceMustHaveLength) => {
                Self::NoLength
            }
            EncodeError::OtherString(reason) => Self::Refused(reason),
            other => Self::Refused(other.to_string()),
        }
    }
}

fn config() -> Configuration<LittleEndian, Varint, Limit<MAX_DECODED_BYTES>> {
    standard().with_limit::<MAX_DECODED_BYTES>()
}

/// Appends `value` to `bytes`.
pub(crate) fn encode_into<T: Serialize>(value: &T, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
    encode_into_std_write(value, bytes, standard())?;
    Ok(())
}

/// Returns the first 64-bit number in `value` for which `is_wanted` returns true. An `Entity` is
/// written as a 64-bit number. (A 32-bit number is written as four bytes, so it is never taken for
/// one.)
pub(crate) fn find_u64<T: Serialize>(value: &T, is_wanted: &dyn Fn(u64) -> bool) -> Option<u64> {
    let mut found = None;
    let search = NumberSearch { is_wanted, found: &mut found };
    // A value that does not serialize completely is searched up to the failure.
    let _ = encode_into_writer(value, search, standard().with_fixed_int_encoding());
    found
}

/// Returns the reason why a value does not serialize completely; `None` if it does.
pub(crate) fn serialize_fault<T: Serialize>(value: &T) -> Option<SerializeFault> {
    encode_input(value, &mut []).err()
}

struct NumberSearch<'a> {
    is_wanted: &'a dyn Fn(u64) -> bool,
    found: &'a mut Option<u64>,
}

impl Writer for NumberSearch<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        if let Ok(bytes) = bytes.try_into() {
            let number = u64::from_le_bytes(bytes);
            *self.found = self.found.or((self.is_wanted)(number).then_some(number));
        }
        Ok(())
    }
}

/// Returns a copy of `value` that was read back from its bytes; `None` if that fails, or if bytes
/// are left over.
pub(crate) fn read_back<T: Serialize + DeserializeOwned>(value: &T) -> Option<T> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes).ok()?;
    let (value, used) = decode_from_slice(&bytes, standard()).ok()?;
    (used == bytes.len()).then_some(value)
}

/// Writes an input into `buffer`, as far as there is room, and returns the number of bytes that the
/// whole input takes. As in bincode 1, which ggrs uses, integers have a fixed width, so that no
/// number can be written in two ways.
pub(crate) fn encode_input<T: Serialize>(
    value: &T,
    buffer: &mut [u8],
) -> Result<usize, SerializeFault> {
    let mut length = 0;
    encode_into_writer(value, BoundedWriter { buffer, length: &mut length }, legacy())?;
    Ok(length)
}

/// Writes what fits into a buffer, and counts all bytes.
struct BoundedWriter<'a> {
    buffer: &'a mut [u8],
    length: &'a mut usize,
}

impl Writer for BoundedWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let end = *self.length + bytes.len();
        if let Some(place) = self.buffer.get_mut(*self.length..end) {
            place.copy_from_slice(bytes);
        }
        *self.length = end;
        Ok(())
    }
}

/// Reads an input from the beginning of `bytes`, and returns it with the number of bytes it took.
pub(crate) fn decode_input<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, usize)> {
    decode_from_slice(bytes, legacy().with_limit::<MAX_DECODED_BYTES>()).ok()
}

/// Reads a value that this process wrote, whatever its size.
pub(crate) fn decode_own<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    Ok(decode_from_slice(bytes, standard())?.0)
}

/// Reads one value from the beginning of `bytes`, and leaves what follows it.
pub(crate) fn take<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, CodecError> {
    let (value, used) = decode_from_slice(bytes, config())?;
    *bytes = &bytes[used..];
    Ok(value)
}

/// Reads one value that fills `bytes` exactly.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = decode_from_slice(bytes, config())?;
    if used == bytes.len() { Ok(value) } else { Err(CodecError::Trailing) }
}

/// Feeds `value` to the hasher, with every number in its full width.
#[cfg(all(test, not(target_arch = "wasm32")))]
pub(crate) fn hash_into<T: Serialize>(
    value: &T,
    hasher: &mut ValueHasher,
) -> Result<(), CodecError> {
    struct Feed<'a>(&'a mut ValueHasher);

    impl Writer for Feed<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
            self.0.write(bytes);
            Ok(())
        }
    }

    Ok(encode_into_writer(value, Feed(hasher), standard().with_fixed_int_encoding())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_encoding_and_decoding() {
        let mut bytes = Vec::new();
        encode_into(&(7u32, "seven".to_owned()), &mut bytes).expect("plain values encode");
        assert_eq!(decode::<(u32, String)>(&bytes), Ok((7, "seven".to_owned())));
    }

    #[test]
    fn a_claimed_length_beyond_the_limit_is_refused_before_it_is_allocated() {
        // 253 announces a u64 length: 2^58 bytes of payload.
        let mut bytes = vec![253];
        bytes.extend_from_slice(&(1u64 << 58).to_le_bytes());
        assert_eq!(decode::<Vec<u8>>(&bytes), Err(CodecError::Malformed));
    }

    #[test]
    fn empty_short_and_trailing_bytes_are_refused() {
        assert_eq!(decode::<u32>(&[]), Err(CodecError::Malformed));
        assert_eq!(decode::<(u8, u8)>(&[1]), Err(CodecError::Malformed));
        assert_eq!(decode::<u8>(&[1, 2]), Err(CodecError::Trailing));
    }
}
