//! One shard: how its bytes lie, checked before they are believed. `writer.rs` writes them.
//!
//! All numbers are little-endian. A header of [`HEADER`] bytes:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `TDMSHARD` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | pictures |
//! | 16 | 4 | side |
//! | 20 | 4 | channels |
//! | 24 | 4 | 0 for raw bytes, else the JPEG quality |
//! | 28 | 4 | CRC-32 of the table |
//! | 32 | 8 | noughts |
//! | 40 | 8 | where the table starts; it goes to the end of the file |
//! | 48 | 4 | CRC-32 of the sums |
//! | 52 | 8 | noughts |
//! | 60 | 4 | CRC-32 of the 60 bytes before |
//!
//! Then the pictures, one after another; the sums over them (side × side × channels of 8 bytes, then
//! 3 × 3 products of 8), which training never reads; and the table: a record of [`RECORD`] bytes a
//! picture (offset 8, length 4, label 4 or all ones, CRC-32 4, noughts 4), and JSON: the keys, and what
//! was left out.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use super::{DESCRIPTION, Encoding, PackError, SHARD};
use crate::decode::decode_bytes;
use crate::tally::Tally;
use crate::{DataError, Preprocess};

pub(super) const HEADER: usize = 64;
pub(super) const RECORD: usize = 24;
pub(super) const MAGIC: &[u8; 8] = b"TDMSHARD";
pub(super) const VERSION: u32 = 1;
pub(super) const UNLABELLED: u32 = u32::MAX;

/// What all pictures of a shard have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) preprocess: Preprocess,
    pub(crate) encoding: Encoding,
}

/// The part of a table that is text.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Text {
    pub(crate) keys: Vec<String>,
    /// Name and reason of each picture that does not decode.
    pub(crate) left_out: Vec<(String, String)>,
}

/// What the header says, once header, table and every place in it have been checked. A shard is opened
/// for its table alone: of ImageNet the sums are 2 GB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) pictures: usize,
    /// CRC-32 of the table, which holds those of the pictures.
    pub(crate) checksum: u32,
    sums_checksum: u32,
    table: usize,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    offset: usize,
    length: usize,
    label: u32,
    checksum: u32,
}

impl Header {
    /// Reads and checks `bytes`, a whole file. Of the pictures only the places are checked.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let header = bytes
            .first_chunk::<HEADER>()
            .ok_or("shorter than a header")?;
        if !header.starts_with(MAGIC) {
            return Err("it does not start with TDMSHARD");
        }
        if word(header, 60) != crc32fast::hash(&header[..60]) {
            return Err("the header's checksum is another");
        }
        if word(header, 8) != VERSION {
            return Err("of a version that this Tandem does not read");
        }
        let (side, channels) = (word(header, 16) as usize, word(header, 20) as usize);
        let preprocess = Preprocess { side, channels };
        preprocess.check().map_err(|_| "of impossible pictures")?;
        let encoding = match word(header, 24) {
            0 => Encoding::Raw,
            quality @ 1..=100 => Encoding::Jpeg(quality as u8),
            _ => return Err("of an unknown encoding"),
        };
        let pictures = word(header, 12) as usize;
        if pictures > SHARD {
            return Err("of more pictures than a shard holds");
        }
        let table = usize::try_from(long(header, 40)).map_err(|_| "its table is beyond the end")?;
        let sums = table.checked_sub(Tally::bytes(preprocess));
        let sums = sums.filter(|&sums| sums >= HEADER);
        let sums = sums.ok_or("its table leaves no room for the sums")?;
        let whole = bytes.get(table..);
        let whole = whole.filter(|table| table.len() >= pictures * RECORD);
        let whole = whole.ok_or("its table is beyond the end")?;
        let checksum = word(header, 28);
        if crc32fast::hash(whole) != checksum {
            return Err("the table's checksum is another");
        }
        let this = Self {
            kind: Kind {
                preprocess,
                encoding,
            },
            pictures,
            checksum,
            sums_checksum: word(header, 48),
            table,
        };
        let inside = |Record { offset, length, .. }| {
            offset >= HEADER
                && offset.checked_add(length).is_some_and(|end| end <= sums)
                && (encoding != Encoding::Raw || length == preprocess.len())
        };
        if (0..pictures).all(|i| inside(this.record(bytes, i))) {
            Ok(this)
        } else {
            Err("a picture's place is outside of it")
        }
    }

    /// Picture `i` as it is stored, and its checksum.
    pub(crate) fn stored<'a>(&self, bytes: &'a [u8], i: usize) -> (&'a [u8], u32) {
        let record = self.record(bytes, i);
        (&bytes[record.offset..][..record.length], record.checksum)
    }

    pub(crate) fn text(&self, bytes: &[u8]) -> Result<Text, String> {
        let from = self.table + self.pictures * RECORD;
        let text: Text = serde_json::from_slice(&bytes[from..])
            .map_err(|error| format!("its keys do not read: {error}"))?;
        if text.keys.len() == self.pictures {
            Ok(text)
        } else {
            Err(format!(
                "{} keys for {} pictures",
                text.keys.len(),
                self.pictures
            ))
        }
    }

    /// The sums, if their checksum is right.
    pub(crate) fn tally(&self, bytes: &[u8]) -> Option<Tally> {
        let preprocess = self.kind.preprocess;
        let sums = &bytes[self.table - Tally::bytes(preprocess)..self.table];
        (crc32fast::hash(sums) == self.sums_checksum)
            .then(|| Tally::read(sums, preprocess, self.pictures as u64))
    }

    fn record(&self, bytes: &[u8], i: usize) -> Record {
        let at = &bytes[self.table + i * RECORD..][..RECORD];
        Record {
            offset: long(at, 0) as usize,
            length: word(at, 8) as usize,
            label: word(at, 12),
            checksum: word(at, 16),
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("callers stay inside"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("callers stay inside"))
}

/// That the shard `path` is not what was written.
fn damaged(path: &Path, problem: impl Into<String>) -> DataError {
    let (path, problem) = (path.into(), problem.into());
    PackError::Shard { path, problem }.into()
}

/// A shard mapped into memory.
#[derive(Debug)]
pub(crate) struct Shard {
    path: PathBuf,
    map: Mmap,
    header: Header,
    /// Of each picture, whether its checksum was right; asked once.
    checked: Box<[AtomicBool]>,
    /// Read when the first is asked for.
    keys: OnceLock<Vec<String>>,
}

impl Shard {
    /// # Errors
    ///
    /// [`DataError::Read`], [`PackError::Shard`]
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let failed = |source| DataError::Read {
            path: path.into(),
            source,
        };
        let file = File::open(path).map_err(|source| PackError::unread(path, source))?;
        // SAFETY: the bytes of a map must not change while it is read. Shards are written under
        // another name, take theirs when they are whole, and are never written to again; who edits
        // one in place while a program reads it breaks it.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        let header = Header::read(&map).map_err(|problem| damaged(path, problem))?;
        let checked = (0..header.pictures)
            .map(|_| AtomicBool::new(false))
            .collect();
        Ok(Self {
            path: path.into(),
            map,
            header,
            checked,
            keys: OnceLock::new(),
        })
    }

    /// That it is another shard than `pack.json` lists under its name.
    pub(crate) fn unlisted(&self) -> DataError {
        self.damaged(format!("it is not the shard that {DESCRIPTION} lists"))
    }

    fn damaged(&self, problem: impl Into<String>) -> DataError {
        damaged(&self.path, problem)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn label(&self, i: usize) -> Option<u32> {
        Some(self.header.record(&self.map, i).label).filter(|&label| label != UNLABELLED)
    }

    /// The bytes of picture `i` as they are stored, compared with their checksum the first time.
    pub(crate) fn stored(&self, i: usize) -> Result<&[u8], DataError> {
        let (bytes, checksum) = self.header.stored(&self.map, i);
        if !self.checked[i].load(Ordering::Relaxed) {
            if crc32fast::hash(bytes) != checksum {
                return Err(self.damaged(format!(
                    "the checksum of picture {i}, at byte {}, is another",
                    self.header.record(&self.map, i).offset
                )));
            }
            self.checked[i].store(true, Ordering::Relaxed);
        }
        Ok(bytes)
    }

    /// Picture `i`, (side, side, C).
    pub(crate) fn picture(&self, i: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let stored = self.stored(i)?;
        if self.header.kind.encoding == Encoding::Raw {
            return Ok(stored.into());
        }
        let preprocess = self.header.kind.preprocess;
        match decode_bytes(stored) {
            Ok(picture)
                if (picture.width, picture.height) == (preprocess.side, preprocess.side) =>
            {
                Ok(preprocess.apply(&picture).into())
            }
            _ => Err(self.damaged(format!(
                "picture {i} is no JPEG of {0}×{0}",
                preprocess.side
            ))),
        }
    }

    pub(crate) fn text(&self) -> Result<Text, DataError> {
        let text = self.header.text(&self.map);
        text.map_err(|problem| self.damaged(problem))
    }

    /// The key of picture `i`. If the keys are damaged, which verifying tells, its number.
    pub(crate) fn key(&self, i: usize) -> String {
        let keys = self
            .keys
            .get_or_init(|| self.text().map(|text| text.keys).unwrap_or_default());
        keys.get(i).cloned().unwrap_or_else(|| i.to_string())
    }

    pub(crate) fn tally(&self) -> Result<Tally, DataError> {
        let tally = self.header.tally(&self.map);
        tally.ok_or_else(|| self.damaged("the checksum of its sums is another"))
    }

    /// Has the system begin to read the whole file. Without it each picture is waited for.
    pub(crate) fn expect(&self) {
        #[cfg(unix)]
        {
            // An advice not taken costs time, nothing else.
            let _ = self.map.advise(memmap2::Advice::WillNeed);
        }
    }

    /// Lets the system take back the memory that the pictures were read into; they are read again
    /// when they are next wanted.
    pub(crate) fn release(&self) {
        #[cfg(unix)]
        {
            // SAFETY: the map is read-only and of a file: its pages come back as they were.
            let advised = unsafe {
                self.map
                    .unchecked_advise(memmap2::UncheckedAdvice::DontNeed)
            };
            // An advice not taken costs memory, nothing else.
            let _ = advised;
        }
    }
}
