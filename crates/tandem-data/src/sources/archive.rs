//! An archive's list of members: a tar where it lies, or a gzip'd tar unpacked into memory.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use super::slice::{Container, Slice, shown};
use super::tar::{self, Member};
use crate::DataError;

/// Most bytes a gzip'd archive may unpack to, since it is kept in memory. Imagenette's has 1.5 GB in
/// full size, 0.1 GB in small.
const LARGEST_UNPACKED: u64 = 2 << 30;

/// What deflate makes of a byte at most.
const BEST_RATIO: u64 = 1032;

/// Bytes of a gzip'd archive that are unpacked to see what it is.
const HEAD: u64 = 4 << 20;

/// The members of a tar, by the folder they are in.
#[derive(Debug)]
pub(crate) struct Archive {
    /// Where it is, an archive around it standing for a folder.
    path: PathBuf,
    /// What its members are slices of, and its own path and first byte in there.
    within: Arc<Container>,
    inside: String,
    offset: u64,
    /// Of each folder, its own files sorted by name; here a member's path is its name.
    folders: BTreeMap<String, Vec<Member>>,
}

impl Archive {
    /// Lists the tar that `slice` is.
    ///
    /// # Errors
    ///
    /// If it is damaged, holds something [`tar::scan`] refuses or two members of one name, or is
    /// gzip'd and unpacks to more than 2 GiB.
    pub(crate) fn of(slice: &Slice) -> Result<Self, DataError> {
        let path = slice.path();
        let (within, inside, offset, length) = if is_gzip(slice)? {
            let bytes = gunzip(slice, LARGEST_UNPACKED)?;
            let length = bytes.len() as u64;
            let within = Container::Memory(path.clone(), bytes);
            (Arc::new(within), String::new(), 0, length)
        } else {
            let (within, member, offset) = slice.parts();
            let (within, member) = match &**within {
                Container::Folder(_) => (Arc::new(Container::File(slice.file())), ""),
                _ => (Arc::clone(within), member),
            };
            (within, member.into(), offset, slice.length())
        };
        let mut archive = Self {
            path,
            within,
            inside,
            offset,
            folders: BTreeMap::from([(String::new(), Vec::new())]),
        };
        archive.scan(length)?;
        Ok(archive)
    }

    fn scan(&mut self, length: u64) -> Result<(), DataError> {
        let whole = Slice::new(
            Arc::clone(&self.within),
            self.inside.clone(),
            self.offset,
            length,
        );
        let folders = &mut self.folders;
        tar::scan(whole.open()?, length, |mut member| {
            let folder = match member.path.rsplit_once('/') {
                Some((folder, name)) => {
                    let folder = folder.to_string();
                    member.path = name.into();
                    folder
                }
                None => String::new(),
            };
            folders.entry(folder).or_default().push(member);
            ControlFlow::Continue(())
        })
        .map_err(|damage| DataError::Archive {
            path: self.path.clone(),
            offset: damage.offset,
            reason: damage.reason,
        })?;

        // Folders of which nothing but folders is in the archive.
        let paths: Vec<String> = self.folders.keys().cloned().collect();
        for path in &paths {
            let above = path.match_indices('/').map(|(end, _)| &path[..end]);
            for folder in above {
                if !self.folders.contains_key(folder) {
                    self.folders.insert(folder.into(), Vec::new());
                }
            }
        }
        for (folder, members) in &mut self.folders {
            members.sort_unstable_by(|a, b| (&a.path, a.offset).cmp(&(&b.path, b.offset)));
            let twins = members.windows(2).find(|pair| pair[0].path == pair[1].path);
            if let Some([first, second]) = twins {
                return Err(DataError::Archive {
                    path: self.path.clone(),
                    offset: second.offset,
                    reason: format!(
                        "a second file `{}`; the first is at byte {}",
                        shown(below(folder, &second.path).as_ref()),
                        first.offset
                    ),
                });
            }
            members.shrink_to_fit();
        }
        Ok(())
    }

    /// The path of a folder in it, for people.
    pub(crate) fn path(&self, folder: &str) -> PathBuf {
        if folder.is_empty() {
            return self.path.clone();
        }
        shown(&self.path.join(folder)).into()
    }

    /// The files directly in a folder, sorted by name, if it is there.
    pub(crate) fn members(&self, folder: &str) -> Option<&[Member]> {
        self.folders.get(folder).map(Vec::as_slice)
    }

    /// The names of the folders directly in a folder, sorted.
    pub(crate) fn folders_in(&self, folder: &str) -> impl Iterator<Item = &str> {
        let first = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        let after = self.folders.range(first.clone()..);
        after
            .map_while(move |(path, _)| path.strip_prefix(&first))
            .filter(|name| !name.is_empty() && !name.contains('/'))
    }

    /// Where the bytes of a folder's member are.
    pub(crate) fn slice(&self, folder: &str, member: &Member) -> Slice {
        let path = below(&self.inside, &below(folder, &member.path));
        let offset = self.offset + member.offset;
        Slice::new(Arc::clone(&self.within), path, offset, member.length)
    }
}

/// `name` in the folder `folder` of an archive.
pub(crate) fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.into()
    } else {
        format!("{folder}/{name}")
    }
}

/// The paths of the first `count` files of the tar that `slice` is. Of a gzip'd one only the beginning is
/// unpacked.
///
/// # Errors
///
/// If it is damaged before its first file ends, or is no tar.
pub(crate) fn first_members(slice: &Slice, count: usize) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    let each = |member: Member| {
        names.push(member.path);
        if names.len() < count {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let scanned = if is_gzip(slice)? {
        let mut head = Vec::new();
        let unpacked = MultiGzDecoder::new(slice.open()?)
            .take(HEAD)
            .read_to_end(&mut head);
        if let (Err(source), true) = (unpacked, head.is_empty()) {
            return Err(damaged_gzip(slice, source));
        }
        // It goes on beyond what is unpacked here.
        tar::scan(Cursor::new(head), u64::MAX / 2, each)
    } else {
        tar::scan(slice.open()?, slice.length(), each)
    };
    match scanned {
        Err(damage) if names.is_empty() => Err(DataError::Archive {
            path: slice.path(),
            offset: damage.offset,
            reason: damage.reason,
        }),
        // What is damaged further on is refused by who lists it all.
        _ => Ok(names),
    }
}

fn is_gzip(slice: &Slice) -> Result<bool, DataError> {
    let mut start = Vec::new();
    slice
        .open()?
        .take(slice.length().min(2))
        .read_to_end(&mut start)
        .map_err(|source| DataError::Read {
            path: slice.name().into(),
            source,
        })?;
    Ok(start == [0x1f, 0x8b])
}

fn damaged_gzip(slice: &Slice, source: std::io::Error) -> DataError {
    DataError::Gzip {
        path: slice.name().into(),
        source,
    }
}

/// All of a gzip file, if it unpacks to at most `limit` bytes.
fn gunzip(slice: &Slice, limit: u64) -> Result<Vec<u8>, DataError> {
    // All it can unpack to at once: a vector that grows would for a moment be there twice. The system
    // gives no memory before it is written to.
    let most = slice.length().saturating_mul(BEST_RATIO).min(limit) + 1;
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(most as usize)
        .map_err(|_| DataError::Read {
            path: slice.name().into(),
            source: std::io::ErrorKind::OutOfMemory.into(),
        })?;
    MultiGzDecoder::new(slice.open()?.take(slice.length()))
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|source| damaged_gzip(slice, source))?;
    if bytes.len() as u64 > limit {
        return Err(DataError::Unpacked {
            path: slice.path(),
            limit,
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::gunzip;
    use crate::sources::slice::{Container, Slice};

    #[test]
    fn a_gzip_that_unpacks_to_more_than_is_kept_is_refused_with_the_way_out() {
        let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        bomb.write_all(&vec![0; 3 << 20]).unwrap();
        let bytes = bomb.finish().unwrap();
        let length = bytes.len() as u64;
        let within = Arc::new(Container::Memory("set.tgz".into(), bytes));
        let slice = Slice::new(within, String::new(), 0, length);
        let whole = gunzip(&slice, 3 << 20).unwrap();
        assert_eq!(whole.len(), 3 << 20);
        // Never grown, which would hold it twice.
        assert!(whole.capacity() <= (3 << 20) + 1);
        assert_eq!(
            gunzip(&slice, (3 << 20) - 1).unwrap_err().to_string(),
            "set.tgz unpacks to more than the 2 MiB that are kept in memory; `gunzip` it and give \
             the .tar, which is read where it lies"
        );
    }
}
