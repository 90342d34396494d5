//! Where the members of a tar are: its headers read one after the other, what lies between passed
//! over. Understands ustar, GNU long names and pax; believes no size before the bytes are there.
//!
//! What is kept of an archive is less than its own length: each member has a block of 512 bytes there.
//! Of a hostile one, made of nothing but names, it is at most twenty times that.

use std::io::{BufRead, BufReader, Read, Seek};
use std::ops::ControlFlow;

use tar::{EntryType, Header, PaxExtensions};

/// Bytes a block. Headers and contents begin at multiples of it.
const BLOCK: u64 = 512;

/// Longest name of a member, bytes.
const LONGEST_NAME: u64 = 4096;

/// Most folders a member may lie in, one in the other.
const DEEPEST: usize = 16;

/// Most bytes of pax records before a member.
const LONGEST_PAX: u64 = 64 << 10;

/// A file in an archive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Relative, without `.` and `..`, `/` between the parts.
    pub(crate) path: String,
    /// Its first byte, from the start of the archive.
    pub(crate) offset: u64,
    /// Its bytes, all of them inside the archive.
    pub(crate) length: u64,
}

/// What is wrong with an archive, and where.
#[derive(Debug)]
pub(crate) struct Damage {
    /// From the start of the archive.
    pub(crate) offset: u64,
    pub(crate) reason: String,
}

fn checksum_holds(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let sum = bytes[..148].iter().chain(&bytes[156..]);
    // The checksum's own eight bytes count as spaces.
    let sum = sum.map(|&byte| u32::from(byte)).sum::<u32>() + 8 * 32;
    header.cksum().is_ok_and(|stated| stated == sum)
}

/// Gives each file of the tar that begins where `file` stands and has `length` bytes, in its order,
/// until `each` breaks off.
///
/// # Errors
///
/// If it is cut short or damaged, or holds what is no plain file or folder, or a name that leads out
/// of the archive.
pub(crate) fn scan(
    file: impl Read + Seek,
    length: u64,
    mut each: impl FnMut(Member) -> ControlFlow<()>,
) -> Result<(), Damage> {
    // Small: what follows a header is mostly a picture, which is passed over.
    let mut file = BufReader::with_capacity(4096, file);
    let mut at = 0;
    let (mut long_name, mut pax) = (None, Pax::default());
    loop {
        let damage = |reason: String| Damage { offset: at, reason };
        let header = block(&mut file, at, length)?;
        if header.as_bytes().iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        if !checksum_holds(&header) {
            return Err(damage(
                "no tar header is here, or its checksum is wrong".into(),
            ));
        }
        let kind = header.entry_type();
        let own_name = header.path_bytes().into_owned();
        let describes_next = matches!(
            kind,
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader
        );
        let mut size = header
            .entry_size()
            .map_err(|_| damage("the size in this header is no number".into()))?;
        if !describes_next && let Some(stated) = pax.size {
            size = stated;
        }
        let start = at + BLOCK;
        let Some(end) = start.checked_add(size).filter(|&end| end <= length) else {
            let name = escaped(long_name.as_deref().unwrap_or(&own_name));
            return Err(damage(format!(
                "`{name}` has {size} bytes, but only {} are left: the archive is cut short",
                length - start
            )));
        };
        // Of a size close to the length, rounding up may leave the archive, but not u64.
        let next = end.div_ceil(BLOCK) * BLOCK;

        let mut read = 0;
        match kind {
            EntryType::GNULongName => {
                let mut name = content(&mut file, at, size, LONGEST_NAME, "name")?;
                name.truncate(
                    name.iter()
                        .position(|&byte| byte == 0)
                        .unwrap_or(name.len()),
                );
                long_name = Some(name);
                read = size;
            }
            EntryType::XHeader => {
                let records = content(&mut file, at, size, LONGEST_PAX, "pax header")?;
                pax = Pax::of(&records).map_err(damage)?;
                read = size;
            }
            EntryType::GNULongLink | EntryType::XGlobalHeader => {}
            _ => {
                let name = pax.path.take().or(long_name.take()).unwrap_or(own_name);
                pax = Pax::default();
                let folder = kind.is_dir() || name.ends_with(b"/");
                if !folder && !matches!(kind, EntryType::Regular | EntryType::Continuous) {
                    return Err(damage(format!(
                        "`{}` is {}, and only plain files and folders are read",
                        escaped(&name),
                        described(kind)
                    )));
                }
                let path = relative(&name).map_err(damage)?;
                if !folder {
                    if path.is_empty() {
                        return Err(damage("a member has no name".into()));
                    }
                    let member = Member {
                        path,
                        offset: start,
                        length: size,
                    };
                    if each(member).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        // `next - start` fits: both are near a file's length, which is below 2⁶³.
        file.seek_relative((next - start - read) as i64)
            .map_err(|error| damage(error.to_string()))?;
        at = next;
    }
}

/// The header at `at`.
fn block<R: Read>(file: &mut BufReader<R>, at: u64, length: u64) -> Result<Header, Damage> {
    let damage = |reason: String| Damage { offset: at, reason };
    if at.checked_add(BLOCK).is_none_or(|end| end > length) {
        return Err(damage(
            "the archive is cut short: it ends here, without the empty block that closes a tar"
                .into(),
        ));
    }
    let mut header = Header::new_old();
    file.read_exact(header.as_mut_bytes())
        .map_err(|error| damage(error.to_string()))?;
    Ok(header)
}

/// The bytes that follow a header, if they are no more than `limit`.
fn content<R: BufRead>(
    file: &mut R,
    at: u64,
    size: u64,
    limit: u64,
    what: &str,
) -> Result<Vec<u8>, Damage> {
    let damage = |reason: String| Damage { offset: at, reason };
    if size > limit {
        return Err(damage(format!(
            "a {what} of {size} bytes; at most {limit} are read"
        )));
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact(&mut bytes)
        .map_err(|error| damage(error.to_string()))?;
    Ok(bytes)
}

/// What pax records say of the next member.
#[derive(Default)]
struct Pax {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Pax {
    fn of(records: &[u8]) -> Result<Self, String> {
        let mut pax = Self::default();
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|error| format!("a damaged pax header ({error})"))?;
            match record.key_bytes() {
                b"path" => pax.path = Some(record.value_bytes().to_vec()),
                b"size" => {
                    let size = record.value().ok().and_then(|size| size.parse().ok());
                    pax.size = Some(size.ok_or("the size in a pax header is no number")?);
                }
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err("a sparse file, and only plain files are read".into());
                }
                _ => {}
            }
        }
        Ok(pax)
    }
}

/// `name` without what means nothing, refused if it leads out of the archive.
fn relative(name: &[u8]) -> Result<String, String> {
    if name.starts_with(b"/") {
        return Err(format!("the name `{}` is absolute", escaped(name)));
    }
    if name.len() as u64 > LONGEST_NAME {
        return Err(format!("a name of {} bytes", name.len()));
    }
    let name = String::from_utf8_lossy(name);
    let parts: Vec<&str> = name
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return Err(format!(
            "the name `{}` leads out of the archive",
            escaped(name.as_bytes())
        ));
    }
    if parts.len() > DEEPEST + 1 {
        return Err(format!(
            "`{}` lies more than {DEEPEST} folders deep",
            escaped(name.as_bytes())
        ));
    }
    Ok(parts.join("/"))
}

fn described(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "a symbolic link (pack with `tar --dereference`)",
        EntryType::Link => "a hard link (pack with `tar --hard-dereference`)",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::GNUSparse => "a sparse file",
        _ => "of an unknown kind",
    }
}

fn escaped(name: &[u8]) -> String {
    super::slice::shown(String::from_utf8_lossy(name).as_ref().as_ref())
}
