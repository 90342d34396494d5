//! The elements that a MAT-file is made of: a tag (kind, bytes), and data padded to 8.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// Most bytes all compressed elements may unpack to. ILSVRC's has 1 MB.
pub(super) const LARGEST_UNPACKED: u64 = 64 << 20;

/// Kinds of element.
pub(super) const MATRIX: u32 = 14;
pub(super) const COMPRESSED: u32 = 15;

/// One element, without its tag and padding.
pub(super) struct Element<'a> {
    pub(super) kind: u32,
    pub(super) data: &'a [u8],
}

/// Elements one after the other.
pub(super) struct Elements<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) big: bool,
}

impl<'a> Elements<'a> {
    pub(super) fn next(&mut self) -> Result<Option<Element<'a>>, String> {
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

    pub(super) fn require(&mut self) -> Result<Element<'a>, String> {
        self.next()?
            .ok_or_else(|| "an array is cut short".to_string())
    }
}

pub(super) fn word(bytes: &[u8], big: bool) -> u32 {
    let bytes = bytes.try_into().expect("four bytes are given");
    if big {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    }
}

/// Unpacks at most `limit` bytes.
pub(super) fn inflate(bytes: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    ZlibDecoder::new(bytes)
        .take(limit + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| format!("a compressed element is damaged ({error})"))?;
    if unpacked.len() as u64 > limit {
        return Err(format!(
            "it unpacks to more than {} MiB",
            LARGEST_UNPACKED >> 20
        ));
    }
    Ok(unpacked)
}
