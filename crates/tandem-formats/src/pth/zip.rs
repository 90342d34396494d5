//! The ZIP form: `NAME/data.pkl`, and each storage as it is in `NAME/data/KEY`.
//!
//! Read here, and not by the `zip` crate, which asks for as much memory as the directory claims to
//! have entries; and members are never compressed, so that they are used where they lie.

use std::collections::BTreeMap;

use super::{state_dict, storage_of, tensor};
use crate::error::Problem;
use crate::naming::Named;
use crate::pickle::{self, Dialect};

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";
/// Bytes of the record at the end, and of the locator before it.
const END_LENGTH: usize = 22;
const LOCATOR_LENGTH: usize = 20;

pub(crate) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(&LOCAL)
}

pub(crate) fn read(bytes: &[u8]) -> Result<Named<'_>, Problem> {
    let zip = Zip::open(bytes)?;
    let mut pickles = zip.members.keys().filter(|name| {
        name.strip_suffix("/data.pkl")
            .is_some_and(|folder| !folder.contains('/'))
    });
    let (Some(&pickle), None) = (pickles.next(), pickles.next()) else {
        return Err(wrong(
            "is a ZIP archive without the one NAME/data.pkl that torch.save writes",
        ));
    };
    let folder = &pickle[..pickle.len() - "data.pkl".len()];
    let order = format!("{folder}byteorder");
    if zip.members.contains_key(order.as_str()) && zip.member(&order)?.bytes(bytes) != b"little" {
        return Err(wrong(
            "holds numbers in big-endian order, which are not read",
        ));
    }
    let pickle = zip.member(pickle)?;
    let pickled = pickle::run(&bytes[..pickle.end], pickle.start, Dialect::Torch)?;
    let mut checked: BTreeMap<&str, Part> = BTreeMap::new();
    state_dict::named(&pickled, bytes.len(), |name, view| {
        let storage = storage_of(&pickled.heap, view);
        let part = match checked.get(storage.key) {
            Some(part) => *part,
            None => {
                let part = zip.member(&format!("{folder}data/{}", storage.key))?;
                checked.insert(storage.key, part);
                part
            }
        };
        tensor(name, view, storage, part.bytes(bytes))
    })
}

/// An archive's directory.
struct Zip<'a> {
    bytes: &'a [u8],
    members: BTreeMap<&'a str, Member>,
}

/// What the directory says of a member.
struct Member {
    flags: u16,
    method: u16,
    checksum: u32,
    compressed: u64,
    length: u64,
    /// Where its local header is.
    header: u64,
}

/// Where in the file a member's bytes are.
#[derive(Clone, Copy)]
struct Part {
    start: usize,
    end: usize,
}

impl Part {
    fn bytes(self, file: &[u8]) -> &[u8] {
        &file[self.start..self.end]
    }
}

impl<'a> Zip<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, Problem> {
        let (mut at, size) = directory(bytes).ok_or_else(|| {
            wrong("is a ZIP archive cut short: the directory at its end is missing")
        })?;
        let end = at.checked_add(size).filter(|&end| end <= bytes.len());
        let end =
            end.ok_or_else(|| wrong("is a ZIP archive whose directory lies outside of it"))?;
        let mut members = BTreeMap::new();
        while at < end {
            let (name, member, next) = entry(&bytes[..end], at)
                .ok_or_else(|| wrong("is a ZIP archive whose directory is damaged"))?;
            if members.insert(name, member).is_some() {
                return Err(wrong(format!("is a ZIP archive with two members `{name}`")));
            }
            at = next;
        }
        Ok(Self { bytes, members })
    }

    /// Where the member `name` lies, its checksum verified.
    fn member(&self, name: &str) -> Result<Part, Problem> {
        let of = |what: &str| wrong(format!("member `{name}` {what}"));
        let member = self.members.get(name);
        let member = member.ok_or_else(|| of("is missing"))?;
        if member.flags & 1 != 0 {
            return Err(of("is encrypted"));
        }
        if member.method != 0 {
            return Err(of("is compressed, which torch.save never does"));
        }
        if member.compressed != member.length {
            return Err(of("has two lengths"));
        }
        let part = self.place(member);
        let part = part.ok_or_else(|| of("lies outside of the archive"))?;
        if crc32fast::hash(part.bytes(self.bytes)) != member.checksum {
            return Err(of("does not have its checksum: the file is damaged"));
        }
        Ok(part)
    }

    fn place(&self, member: &Member) -> Option<Part> {
        let header = usize::try_from(member.header).ok()?;
        let local = self.bytes.get(header..)?;
        if local.get(..4)? != LOCAL {
            return None;
        }
        let (name, extra) = (u16_at(local, 26)?, u16_at(local, 28)?);
        let start = header + 30 + usize::from(name) + usize::from(extra);
        let end = start.checked_add(usize::try_from(member.length).ok()?)?;
        self.bytes.get(start..end).map(|_| Part { start, end })
    }
}

/// Where the directory is and how long.
fn directory(bytes: &[u8]) -> Option<(usize, usize)> {
    // The record at the end ends in a comment of up to 65,535 bytes.
    let earliest = bytes
        .len()
        .saturating_sub(END_LENGTH + usize::from(u16::MAX));
    let latest = bytes.len().checked_sub(END_LENGTH)?;
    let end = (earliest..=latest).rev().find(|&at| {
        let comment = u16_at(bytes, at + 20).map(usize::from);
        bytes[at..at + 4] == END && comment == Some(latest - at)
    })?;
    let size = u32_at(bytes, end + 12)?;
    let start = u32_at(bytes, end + 16)?;
    if size != u32::MAX && start != u32::MAX {
        return Some((start as usize, size as usize));
    }
    let locator = end.checked_sub(LOCATOR_LENGTH)?;
    if bytes[locator..locator + 4] != LOCATOR_64 {
        return None;
    }
    let end = usize::try_from(u64_at(bytes, locator + 8)?).ok()?;
    if bytes.get(end..)?.get(..4)? != END_64 {
        return None;
    }
    let size = usize::try_from(u64_at(bytes, end.checked_add(40)?)?).ok()?;
    let start = usize::try_from(u64_at(bytes, end.checked_add(48)?)?).ok()?;
    Some((start, size))
}

/// The directory's entry at `at`, and where the next is.
fn entry(bytes: &[u8], at: usize) -> Option<(&str, Member, usize)> {
    let entry = &bytes[at..];
    if entry.get(..4)? != CENTRAL {
        return None;
    }
    let lengths = [28, 30, 32].map(|at| u16_at(entry, at).map(usize::from));
    let [Some(name), Some(extra), Some(comment)] = lengths else {
        return None;
    };
    let extra_at = 46 + name;
    let text = std::str::from_utf8(entry.get(46..extra_at)?).ok()?;
    let mut wide = wide(entry.get(extra_at..extra_at + extra)?).iter();
    // In this order: a length that does not fit is the next of the wide ones.
    let mut long = |at| match u32_at(entry, at)? {
        u32::MAX => {
            let (bytes, _) = wide.as_slice().split_first_chunk::<8>()?;
            wide = wide.as_slice()[8..].iter();
            Some(u64::from_le_bytes(*bytes))
        }
        length => Some(length.into()),
    };
    let (length, compressed, header) = (long(24)?, long(20)?, long(42)?);
    let member = Member {
        flags: u16_at(entry, 8)?,
        method: u16_at(entry, 10)?,
        checksum: u32_at(entry, 16)?,
        compressed,
        length,
        header,
    };
    Some((text, member, at + extra_at + extra + comment))
}

/// The field of an entry with lengths in 64 bits.
fn wide(mut extra: &[u8]) -> &[u8] {
    while let (Some(id), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some(field) = extra.get(4..4 + usize::from(length)) else {
            break;
        };
        if id == 1 {
            return field;
        }
        extra = &extra[4 + field.len()..];
    }
    &[]
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn wrong(what: impl Into<String>) -> Problem {
    Problem::Archive { what: what.into() }
}
