//! As much of MATLAB's MAT-file, level 5, as a devkit's `meta.mat` needs: numbers and texts of a
//! struct array, compressed or not, of either byte order.
//!
//! A file is a header of 128 bytes and elements: a tag (kind, bytes) and data padded to 8. An array is
//! an element of elements: flags, dimensions, name, and what its class calls for. (MathWorks, *MAT-File
//! Format*, chapter 1.) What is compressed unpacks to at most 64 MiB; with what is made of it, a file
//! takes at most 256 MiB.

mod element;
mod value;

use self::element::{COMPRESSED, Elements, LARGEST_UNPACKED, MATRIX, inflate, word};
pub(crate) use self::value::Value;
use self::value::{number, text};

/// Most entries of a struct array. ILSVRC's has 1,860.
const MOST_ENTRIES: u64 = 1 << 16;

/// Classes of array.
const STRUCT: u8 = 2;
const CHAR: u8 = 4;
const NUMERIC: std::ops::RangeInclusive<u8> = 6..=15;

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
    let mut budget = LARGEST_UNPACKED;
    while let Some(element) = elements.next()? {
        let unpacked;
        let array = match element.kind {
            MATRIX => element.data,
            COMPRESSED => {
                unpacked = inflate(element.data, budget)?;
                budget -= unpacked.len() as u64;
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

#[cfg(test)]
mod tests {
    use super::{Value, struct_array};

    /// Writes elements of one byte order.
    struct Writer {
        big: bool,
    }

    impl Writer {
        fn u32(&self, value: u32) -> Vec<u8> {
            let bytes = if self.big {
                value.to_be_bytes()
            } else {
                value.to_le_bytes()
            };
            bytes.into()
        }

        /// In the small form where it fits.
        fn element(&self, kind: u32, data: &[u8]) -> Vec<u8> {
            let mut bytes = match data.len() as u32 {
                small @ 1..=4 => self.u32(small << 16 | kind),
                length => [self.u32(kind), self.u32(length)].concat(),
            };
            bytes.extend(data);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        }

        fn array(&self, class: u8, rows: u32, columns: u32, name: &str, rest: &[u8]) -> Vec<u8> {
            let flags = [self.u32(class.into()), self.u32(0)].concat();
            let dimensions = [self.u32(rows), self.u32(columns)].concat();
            let parts = [self.element(6, &flags), self.element(5, &dimensions)];
            let whole = [&parts.concat(), &self.element(1, name.as_bytes()), rest].concat();
            self.element(14, &whole)
        }

        /// A file of a struct array `synsets` of one column, its entries of the fields `a` and `b`.
        fn file(&self, rows: u32, entries: &[Vec<u8>]) -> Vec<u8> {
            let fields = [self.element(5, &self.u32(2)), self.element(1, b"a\0b\0")].concat();
            let rest = [fields, entries.concat()].concat();
            let mut file = vec![b' '; 124];
            file.extend(if self.big { b"\x01\0MI" } else { b"\0\x01IM" });
            file.extend(self.array(2, rows, 1, "synsets", &rest));
            file
        }
    }

    #[test]
    fn numbers_and_texts_of_every_kind_and_both_byte_orders_are_read() {
        for big in [false, true] {
            let writer = Writer { big };
            let ordered = |little: &[u8]| {
                let mut bytes = little.to_vec();
                if big {
                    bytes.reverse();
                }
                bytes
            };
            let numbers = [
                (1, vec![0xfe], -2.0),
                (2, vec![200], 200.0),
                (3, ordered(&(-300_i16).to_le_bytes()), -300.0),
                (4, ordered(&490_u16.to_le_bytes()), 490.0),
                (5, ordered(&(-70_000_i32).to_le_bytes()), -70_000.0),
                (6, ordered(&70_000_u32.to_le_bytes()), 70_000.0),
                (7, ordered(&0.5_f32.to_le_bytes()), 0.5),
                (9, ordered(&0.25_f64.to_le_bytes()), 0.25),
                (12, ordered(&(-5_i64).to_le_bytes()), -5.0),
                (13, ordered(&5_u64.to_le_bytes()), 5.0),
            ];
            let letters: Vec<u8> = "né"
                .encode_utf16()
                .flat_map(|unit| ordered(&unit.to_le_bytes()))
                .collect();
            let wide: Vec<u8> = "né"
                .chars()
                .flat_map(|letter| ordered(&u32::from(letter).to_le_bytes()))
                .collect();
            let texts = [
                (16, "né".as_bytes()),
                (4, &letters),
                (17, &letters),
                (18, &wide),
            ];
            for (i, (kind, data, wanted)) in numbers.iter().enumerate() {
                let (text_kind, text) = texts[i % texts.len()];
                let entry = vec![
                    writer.array(6, 1, 1, "", &writer.element(*kind, data)),
                    writer.array(4, 1, 2, "", &writer.element(text_kind, text)),
                ];
                let read = struct_array(&writer.file(1, &entry), "synsets", ["b", "a"]).unwrap();
                assert_eq!(
                    read,
                    [[Value::Text("né".into()), Value::Number(*wanted)]],
                    "{kind}, {big}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_single_number_or_line_of_text_is_something_else() {
        let writer = Writer { big: false };
        let entry = vec![
            writer.element(14, b""),
            writer.array(4, 2, 2, "", &writer.element(16, b"abcd")),
        ];
        let read = struct_array(&writer.file(1, &entry), "synsets", ["a", "b"]).unwrap();
        assert_eq!(read, [[Value::Other, Value::Other]]);
    }

    #[test]
    fn entries_that_are_announced_but_not_there_are_refused() {
        let writer = Writer { big: false };
        let entry = vec![writer.element(14, b""), writer.element(14, b"")];
        let refused =
            |rows| struct_array(&writer.file(rows, &entry), "synsets", ["a"]).unwrap_err();
        assert_eq!(refused(2), "an array is cut short");
        assert_eq!(refused(u32::MAX), "`synsets` has more than 65536 entries");
        let error = struct_array(&writer.file(1, &entry), "synsets", ["c"]).unwrap_err();
        assert_eq!(error, "`synsets` has no field `c`");
    }
}
