//! Feeds values to the hasher through serde.
//!
//! The bytes are the same as bincode's with integers of a fixed width. bincode itself does not
//! write them, because whether the compiler inlines its functions depends on how else a program
//! uses them; if it does not, hashing takes twice the time.

use std::fmt::Display;

use serde::{
    Serialize, Serializer,
    ser::{
        Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};
use thiserror::Error;

use super::ValueHasher;

/// The value does not serialize: its own `Serialize` fails, or it has a list whose length is not
/// known in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the value cannot be serialized")]
pub(crate) struct Unserializable;

impl Error for Unserializable {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

impl ValueHasher {
    /// Adds a value, as far as it serializes. If that fails, ask
    /// [`serialize_fault`](crate::codec::serialize_fault) for the reason.
    #[inline]
    pub(crate) fn write_value<T: Serialize>(&mut self, value: &T) -> Result<(), Unserializable> {
        value.serialize(self)
    }

    #[inline]
    fn write_len(&mut self, len: Option<usize>) -> Result<&mut Self, Unserializable> {
        self.write(&(len.ok_or(Unserializable)? as u64).to_le_bytes());
        Ok(self)
    }

    #[inline]
    fn write_variant(&mut self, index: u32) -> &mut Self {
        self.write(&index.to_le_bytes());
        self
    }
}

/// Adds each kind of number as its bytes.
macro_rules! numbers {
    ($($method:ident $type:ty),*) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<(), Unserializable> {
            self.write(&value.to_le_bytes());
            Ok(())
        }
    )*};
}

impl Serializer for &mut ValueHasher {
    type Ok = ();
    type Error = Unserializable;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers!(serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64);
    numbers!(serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64);
    numbers!(serialize_u128 u128, serialize_i128 i128);
    numbers!(serialize_f32 f32, serialize_f64 f64);

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), Unserializable> {
        self.serialize_u8(u8::from(value))
    }

    #[inline]
    fn serialize_char(self, value: char) -> Result<(), Unserializable> {
        self.write(value.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Unserializable> {
        self.serialize_bytes(value.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Unserializable> {
        self.write_len(Some(value.len()))?.write(value);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Unserializable> {
        self.serialize_u8(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unserializable> {
        self.write(&[1]);
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Unserializable> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unserializable> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<(), Unserializable> {
        self.write_variant(index);
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unserializable> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unserializable> {
        value.serialize(self.write_variant(index))
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self, Unserializable> {
        self.write_len(len)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self, Unserializable> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Unserializable> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unserializable> {
        Ok(self.write_variant(index))
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self, Unserializable> {
        self.write_len(len)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Unserializable> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unserializable> {
        Ok(self.write_variant(index))
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Implements serde's traits for values with parts: each part adds itself, and the end adds
/// nothing.
macro_rules! parts {
    ($($trait:ident $method:ident ($($name:ident)?)),*) => {$(
        impl $trait for &mut ValueHasher {
            type Ok = ();
            type Error = Unserializable;

            #[inline]
            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: &'static str,)?
                value: &T,
            ) -> Result<(), Unserializable> {
                value.serialize(&mut **self)
            }

            #[inline]
            fn end(self) -> Result<(), Unserializable> {
                Ok(())
            }
        }
    )*};
}

parts!(
    SerializeSeq serialize_element (),
    SerializeTuple serialize_element (),
    SerializeTupleStruct serialize_field (),
    SerializeTupleVariant serialize_field (),
    SerializeStruct serialize_field (_name),
    SerializeStructVariant serialize_field (_name)
);

impl SerializeMap for &mut ValueHasher {
    type Ok = ();
    type Error = Unserializable;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unserializable> {
        key.serialize(&mut **self)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unserializable> {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result<(), Unserializable> {
        Ok(())
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::codec;

    #[derive(Serialize, Debug)]
    struct Unit;

    #[derive(Serialize, Debug)]
    struct Newtype(f32);

    #[derive(Serialize, Debug)]
    struct Pair(i16, u8);

    #[derive(Serialize, Debug)]
    enum Kind {
        Unit,
        Newtype(u128),
        Tuple(i128, bool),
        Struct { of: char, with: Option<String> },
    }

    /// Something of each kind that serde knows.
    #[derive(Serialize, Debug)]
    struct Everything {
        unsigned: (u8, u16, u32, u64, usize),
        signed: (i8, i16, i32, i64, isize),
        floats: (Newtype, f64),
        units: (Unit, ()),
        pair: Pair,
        list: Vec<Kind>,
        map: BTreeMap<String, Option<Box<Pair>>>,
    }

    fn everything(numbers: &[u64], texts: Vec<String>, character: char) -> Everything {
        let [a, b, c, d, ..] = *numbers else { panic!("four numbers") };
        let none_or_some = |text: &String| (!text.is_empty()).then(|| text.clone());
        Everything {
            unsigned: (a as u8, a as u16, a as u32, a, b as usize),
            signed: (b as i8, b as i16, b as i32, b as i64, a as isize),
            floats: (Newtype(f32::from_bits(c as u32)), f64::from_bits(c)),
            units: (Unit, ()),
            pair: Pair(d as i16, d as u8),
            list: vec![
                Kind::Unit,
                Kind::Newtype(u128::from(a) * u128::from(b)),
                Kind::Tuple(-i128::from(c), d % 2 == 0),
                Kind::Struct { of: character, with: texts.first().and_then(none_or_some) },
            ],
            map: texts
                .into_iter()
                .map(|text| (text, (a % 3 > 0).then(|| Box::new(Pair(c as i16, d as u8)))))
                .collect(),
        }
    }

    fn hash<T: Serialize>(value: &T) -> (u64, bool) {
        let mut hasher = ValueHasher::new(7);
        let is_whole = hasher.write_value(value).is_ok();
        (hasher.finish(), is_whole)
    }

    fn hash_by_bincode<T: Serialize>(value: &T) -> (u64, bool) {
        let mut hasher = ValueHasher::new(7);
        let is_whole = codec::hash_into(value, &mut hasher).is_ok();
        (hasher.finish(), is_whole)
    }

    proptest! {
        #[test]
        fn a_value_of_any_kind_is_fed_as_bincode_writes_it(
            numbers in prop::collection::vec(any::<u64>(), 4),
            texts in prop::collection::vec(".{0,9}", 0..4),
            character in any::<char>(),
        ) {
            let value = everything(&numbers, texts, character);
            prop_assert_eq!(hash(&value), hash_by_bincode(&value));
        }
    }

    #[test]
    fn a_value_that_fails_to_serialize_is_hashed_up_to_the_failure() {
        struct Half(bool);

        impl Serialize for Half {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if !self.0 {
                    return serializer.serialize_seq(None)?.end();
                }
                serializer.serialize_tuple(2)?.serialize_element(&1u8)?;
                Err(Error::custom("no more"))
            }
        }

        for half in [Half(true), Half(false)] {
            assert!(!hash(&half).1);
            assert_eq!(hash(&half), hash_by_bincode(&half));
        }
        assert_ne!(hash(&Half(true)), hash(&Half(false)));
    }
}
