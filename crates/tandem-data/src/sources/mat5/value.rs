//! What an element holds as one number or one text.

use super::element::{Element, word};

/// What a field of an entry holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// The first number of an array.
    Number(f64),
    Text(String),
    /// Empty, or of a class that is not read.
    Other,
}

/// A number is stored in the smallest kind that holds it, whatever its array's class.
pub(super) fn number(element: &Element<'_>, big: bool) -> Result<Option<f64>, String> {
    fn first<const N: usize>(data: &[u8], big: bool) -> Option<[u8; N]> {
        let mut bytes: [u8; N] = *data.first_chunk()?;
        if big {
            bytes.reverse();
        }
        Some(bytes)
    }
    let data = element.data;
    Ok(match element.kind {
        1 => first(data, big).map(|bytes| i8::from_le_bytes(bytes).into()),
        2 => first(data, big).map(|bytes| u8::from_le_bytes(bytes).into()),
        3 => first(data, big).map(|bytes| i16::from_le_bytes(bytes).into()),
        4 => first(data, big).map(|bytes| u16::from_le_bytes(bytes).into()),
        5 => first(data, big).map(|bytes| i32::from_le_bytes(bytes).into()),
        6 => first(data, big).map(|bytes| u32::from_le_bytes(bytes).into()),
        7 => first(data, big).map(|bytes| f32::from_le_bytes(bytes).into()),
        9 => first(data, big).map(f64::from_le_bytes),
        12 => first(data, big).map(|bytes| i64::from_le_bytes(bytes) as f64),
        13 => first(data, big).map(|bytes| u64::from_le_bytes(bytes) as f64),
        kind => return Err(format!("numbers of the unknown kind {kind}")),
    })
}

pub(super) fn text(element: &Element<'_>, big: bool) -> Result<String, String> {
    let data = element.data;
    Ok(match element.kind {
        // Bytes, and UTF-8: what MATLAB writes as bytes is ASCII.
        1 | 2 | 16 => String::from_utf8_lossy(data).into_owned(),
        4 | 17 => {
            let units = data.as_chunks::<2>().0.iter().map(|&bytes| {
                if big {
                    u16::from_be_bytes(bytes)
                } else {
                    u16::from_le_bytes(bytes)
                }
            });
            char::decode_utf16(units)
                .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        18 => data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| char::from_u32(word(bytes, big)).unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
        kind => return Err(format!("text of the unknown kind {kind}")),
    })
}
