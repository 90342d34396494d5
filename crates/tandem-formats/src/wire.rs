//! Protobuf's wire format, so far as it takes to part a message's structure from the values in it.
//!
//! prost decodes what is small: names, sizes, attributes. It checks lengths against the bytes that are
//! there, but an empty message of two bytes becomes a struct of some hundred, so a file of a gigabyte
//! could ask for a hundred of them. Here large fields are taken out where they lie, layer by layer, and
//! what is left for prost has a bound over the whole file.

use std::borrow::Cow;

use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

use crate::error::Problem;

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    /// A string, a message or packed numbers.
    Bytes(&'a [u8]),
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// prost decodes it.
    Kept,
    /// It was used, or is of no use.
    Taken,
}

/// What may still be kept of a file's structure, bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    format: &'static str,
    all: usize,
    left: usize,
}

impl Budget {
    pub(crate) fn new(format: &'static str, bytes: usize) -> Self {
        Self {
            format,
            all: bytes,
            left: bytes,
        }
    }

    /// Decodes `message` but for the fields that `take` takes.
    ///
    /// # Errors
    ///
    /// [`Problem::Protobuf`] if it is no message of its kind, or there is more of it than a network
    /// needs.
    pub(crate) fn decode<'a, M: Message + Default>(
        &mut self,
        message: &'a [u8],
        mut take: impl FnMut(u32, Value<'a>) -> Result<Field, Problem>,
    ) -> Result<M, Problem> {
        let format = self.format;
        let broken = |cause: String| Problem::Protobuf { format, cause };
        let damaged = |error: prost::DecodeError| broken(error.to_string());
        let mut kept = Vec::new();
        let mut rest = message;
        while !rest.is_empty() {
            let (tag, wire) = decode_key(&mut rest).map_err(damaged)?;
            let value = value(wire, &mut rest).ok_or_else(|| {
                broken(format!(
                    "field {tag} claims more than the {} bytes left of its message",
                    rest.len()
                ))
            })?;
            if take(tag, value)? == Field::Taken {
                continue;
            }
            self.left = self.left.checked_sub(size(value)).ok_or_else(|| {
                broken(format!(
                    "more than {} bytes of it are not values, and no network needs as many",
                    self.all
                ))
            })?;
            put(tag, value, &mut kept);
        }
        M::decode(kept.as_slice()).map_err(damaged)
    }
}

/// The value at the front of `rest`, which is then past it.
fn value<'a>(wire: WireType, rest: &mut &'a [u8]) -> Option<Value<'a>> {
    Some(match wire {
        WireType::Varint => Value::Varint(decode_varint(rest).ok()?),
        WireType::ThirtyTwoBit => Value::Fixed32(rest.split_off(..4)?.try_into().ok()?),
        WireType::SixtyFourBit => Value::Fixed64(rest.split_off(..8)?.try_into().ok()?),
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(rest).ok()?).ok()?;
            Value::Bytes(rest.split_off(..length)?)
        }
        // Groups went out of use before any of these formats came up.
        WireType::StartGroup | WireType::EndGroup => return None,
    })
}

/// What a field counts for, key and length included.
fn size(value: Value) -> usize {
    match value {
        Value::Varint(_) | Value::Fixed32(_) | Value::Fixed64(_) => 16,
        Value::Bytes(bytes) => 16 + bytes.len(),
    }
}

fn put(tag: u32, value: Value, kept: &mut Vec<u8>) {
    match value {
        Value::Varint(number) => {
            encode_key(tag, WireType::Varint, kept);
            encode_varint(number, kept);
        }
        Value::Fixed32(bytes) => {
            encode_key(tag, WireType::ThirtyTwoBit, kept);
            kept.extend(bytes);
        }
        Value::Fixed64(bytes) => {
            encode_key(tag, WireType::SixtyFourBit, kept);
            kept.extend(bytes);
        }
        Value::Bytes(bytes) => {
            encode_key(tag, WireType::LengthDelimited, kept);
            encode_varint(bytes.len() as u64, kept);
            kept.extend_from_slice(bytes);
        }
    }
}

/// Puts the numbers of a repeated field behind those that came before: packed, as writers do, or one by
/// one.
///
/// # Errors
///
/// [`Problem::Tensor`] if they are not of fixed length.
pub(crate) fn append<'a>(values: &mut Cow<'a, [u8]>, value: Value<'a>) -> Result<(), Problem> {
    match value {
        Value::Bytes(bytes) if values.is_empty() => *values = Cow::Borrowed(bytes),
        Value::Bytes(bytes) => values.to_mut().extend_from_slice(bytes),
        Value::Fixed32(bytes) => values.to_mut().extend(bytes),
        Value::Fixed64(bytes) => values.to_mut().extend(bytes),
        Value::Varint(_) => {
            return Err(Problem::Tensor {
                name: "a tensor".to_owned(),
                what: "its values are not floating-point numbers".to_owned(),
            });
        }
    }
    Ok(())
}

/// The first fields of a message, up to `most`, as far as it goes. Of one cut short the bytes that are
/// there.
pub(crate) fn first_fields(mut bytes: &[u8], most: usize) -> Vec<(u32, Value<'_>)> {
    let mut fields = Vec::new();
    while fields.len() < most && !bytes.is_empty() {
        let Ok((tag, wire)) = decode_key(&mut bytes) else {
            break;
        };
        let mut rest = bytes;
        let Some(value) = value(wire, &mut rest) else {
            if wire == WireType::LengthDelimited && decode_varint(&mut bytes).is_ok() {
                fields.push((tag, Value::Bytes(bytes)));
            }
            break;
        };
        bytes = rest;
        fields.push((tag, value));
    }
    fields
}
