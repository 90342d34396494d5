//! As much of MATLAB's MAT-file, level 5, as a devkit's `meta.mat` needs: numbers and texts of a
//! struct array, compressed or not, of either byte order.
//!
//! A file is a header of 128 bytes and elements: a tag (kind, bytes) and data padded to 8. An array is
//! an element of elements: flags, dimensions, name, and what its class calls for. (MathWorks, *MAT-File
//! Format*, chapter 1.) A file takes at most 64 MiB unpacked, and about as much again.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// Most bytes a compressed element may unpack to. ILSVRC's has 1 MB.
const LARGEST_UNPACKED: u64 = 64 << 20;

/// Most entries of a struct array. ILSVRC's has 1,860.
const MOST_ENTRIES: u64 = 1 << 16;

/// Kinds of element.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Classes of array.
const STRUCT: u8 = 2;
const CHAR: u8 = 4;
const NUMERIC: std::ops::RangeInclusive<u8> = 6..=15;

/// What a field of an entry holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// The first number of an array.
    Number(f64),
    Text(String),
    /// Empty, or of a class that is not read.
    Other,
}

/// The named fields of each entry of the struct array `variable`: a row an entry, in the fields' order.
///
/// # Errors
///
/// What is wrong, in words.
pub(crate) fn struct_array<const N: usize>(
    file: &[u8],
    variable: &str,
    fields: [&str; N],
) -> Result<Vec<[Value; N]>, String> {
    if file.starts_with(b"MATLAB 7.3") || file.starts_with(b"\x89HDF") {
        return Err("it is of MATLAB's version 7.3 (HDF5), not of level 5".into());
    }
    let big = match file.get(126..128) {
        Some(b"IM") => false,
        Some(b"MI") => true,
        _ => return Err("it does not start with a MAT-file's header of level 5".into()),
    };
    let mut elements = Elements {
        bytes: &file[128..],
        big,
    };
    while let Some(element) = elements.next()? {
        let unpacked;
        let array = match element.kind {
            MATRIX => element.data,
            COMPRESSED => {
                unpacked = inflate(element.data)?;
                let mut inside = Elements {
                    bytes: &unpacked,
                    big,
                };
                match inside.next()? {
                    Some(element) if element.kind == MATRIX => element.data,
                    _ => continue,
                }
            }
            _ => continue,
        };
        let array = Array::of(array, big)?;
        if array.name == variable.as_bytes() {
            return array.entries(variable, fields);
        }
    }
    Err(format!("it holds no variable `{variable}`"))
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    ZlibDecoder::new(bytes)
        .take(LARGEST_UNPACKED + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| format!("a compressed element is damaged ({error})"))?;
    if unpacked.len() as u64 > LARGEST_UNPACKED {
        return Err(format!(
            "a compressed element unpacks to more than {} MiB",
            LARGEST_UNPACKED >> 20
        ));
    }
    Ok(unpacked)
}

/// One element, without its tag and padding.
struct Element<'a> {
    kind: u32,
    data: &'a [u8],
}

/// Elements one after the other.
struct Elements<'a> {
    bytes: &'a [u8],
    big: bool,
}

impl<'a> Elements<'a> {
    fn next(&mut self) -> Result<Option<Element<'a>>, String> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let cut = || "it is cut short".to_string();
        let tag = self.bytes.get(..8).ok_or_else(cut)?;
        let first = word(&tag[..4], self.big);
        // A small element has its size in the upper half of the first word, its data in the second.
        let small = (first >> 16) as usize;
        if small > 0 {
            let data = tag[4..].get(..small).ok_or("an element's size is wrong")?;
            self.bytes = &self.bytes[8..];
            return Ok(Some(Element {
                kind: first & 0xffff,
                data,
            }));
        }
        let size = word(&tag[4..], self.big) as usize;
        let rest = &self.bytes[8..];
        let data = rest.get(..size).ok_or_else(cut)?;
        let padded = if first == COMPRESSED {
            size
        } else {
            size.next_multiple_of(8)
        };
        // Writers may leave out the last padding.
        self.bytes = rest.get(padded..).unwrap_or_default();
        Ok(Some(Element { kind: first, data }))
    }

    fn require(&mut self) -> Result<Element<'a>, String> {
        self.next()?
            .ok_or_else(|| "an array is cut short".to_string())
    }
}

fn word(bytes: &[u8], big: bool) -> u32 {
    let bytes = bytes.try_into().expect("four bytes are given");
    if big {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    }
}

/// An array up to what depends on its class.
struct Array<'a> {
    class: u8,
    /// Rows first. The product is at most [`MOST_ENTRIES`] where it counts.
    dimensions: Vec<u32>,
    name: &'a [u8],
    rest: Elements<'a>,
}

impl<'a> Array<'a> {
    fn of(bytes: &'a [u8], big: bool) -> Result<Self, String> {
        let mut rest = Elements { bytes, big };
        let flags = rest.require()?.data;
        let flags = word(flags.get(..4).ok_or("an array has no flags")?, big);
        let dimensions = rest.require()?.data.chunks_exact(4);
        Ok(Self {
            class: flags as u8,
            dimensions: dimensions.take(8).map(|bytes| word(bytes, big)).collect(),
            name: rest.require()?.data,
            rest,
        })
    }

    fn entries<const N: usize>(
        mut self,
        variable: &str,
        fields: [&str; N],
    ) -> Result<Vec<[Value; N]>, String> {
        if self.class != STRUCT {
            return Err(format!("`{variable}` is no struct array"));
        }
        let count = self
            .dimensions
            .iter()
            .try_fold(1_u64, |count, &size| count.checked_mul(size.into()))
            .filter(|&count| count <= MOST_ENTRIES)
            .ok_or_else(|| format!("`{variable}` has more than {MOST_ENTRIES} entries"))?;

        let width = self.rest.require()?.data;
        let width = word(
            width.get(..4).ok_or("a struct array has no field names")?,
            self.rest.big,
        );
        let names = self.rest.require()?.data;
        if width == 0 || names.len() < width as usize {
            return Err("a struct array has no field names".into());
        }
        let names: Vec<&[u8]> = names
            .chunks_exact(width as usize)
            .map(|name| name.split(|&byte| byte == 0).next().unwrap_or_default())
            .collect();
        let mut places = [0; N];
        for (place, field) in places.iter_mut().zip(fields) {
            *place = names
                .iter()
                .position(|name| *name == field.as_bytes())
                .ok_or_else(|| format!("`{variable}` has no field `{field}`"))?;
        }

        // Grows with what is there: each field of an entry has 8 bytes in the file.
        let mut entries = Vec::new();
        for _ in 0..count {
            let mut entry = std::array::from_fn(|_| Value::Other);
            for field in 0..names.len() {
                let element = self.rest.require()?;
                if let Some(wanted) = places.iter().position(|&place| place == field)
                    && element.kind == MATRIX
                    && !element.data.is_empty()
                {
                    entry[wanted] = Array::of(element.data, self.rest.big)?.value()?;
                }
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn value(mut self) -> Result<Value, String> {
        let class = self.class;
        if class != CHAR && !NUMERIC.contains(&class) {
            return Ok(Value::Other);
        }
        let Some(element) = self.rest.next()? else {
            return Ok(Value::Other);
        };
        if class == CHAR {
            // Of several rows the letters stand column by column: no text that is asked for here.
            return Ok(match self.dimensions.first() {
                Some(0 | 1) => Value::Text(text(&element, self.rest.big)?),
                _ => Value::Other,
            });
        }
        Ok(number(&element, self.rest.big)?.map_or(Value::Other, Value::Number))
    }
}

/// A number is stored in the smallest kind that holds it, whatever its array's class.
fn number(element: &Element<'_>, big: bool) -> Result<Option<f64>, String> {
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

fn text(element: &Element<'_>, big: bool) -> Result<String, String> {
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
