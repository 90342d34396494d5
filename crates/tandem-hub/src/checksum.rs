//! What the hub says the contents of a file are: their name in the cache, and how they are checked.

use std::fmt::Write;
use std::io::{self, Read};

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The contents of a file, by the hash that the hub names them with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// Of a file in large file storage: SHA-256 of its contents.
    Sha256(String),
    /// Of a file in git: SHA-1 of `blob LENGTH\0` and its contents.
    Git(String),
}

impl Checksum {
    /// From the ids of a listing. `None` if it is not the lower-case hex digits of such a hash: it
    /// becomes a file name.
    pub(crate) fn of_listing(git: &str, sha256: Option<&str>) -> Option<Self> {
        let (id, digits) = sha256.map_or((git, 40), |id| (id, 64));
        let is_hex = id
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (is_hex && id.len() == digits).then(|| match sha256 {
            Some(_) => Self::Sha256(id.into()),
            None => Self::Git(id.into()),
        })
    }

    /// The hex digits, which are the file's ETag and the blob's name in the cache.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Sha256(id) | Self::Git(id) => id,
        }
    }

    /// A hash to feed with the contents, which are `length` bytes.
    pub(crate) fn hasher(&self, length: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::Git(_) => Hasher::Git(Sha1::new_with_prefix(format!("blob {length}\0"))),
        }
    }
}

/// A hash in the making.
pub(crate) enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Git(hash) => hash.update(bytes),
        }
    }

    /// The hash of all that `contents` gives.
    pub(crate) fn of(mut self, mut contents: impl Read) -> io::Result<String> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match contents.read(&mut buffer)? {
                0 => return Ok(self.finish()),
                read => self.update(&buffer[..read]),
            }
        }
    }

    /// The hash of what was fed, in lower-case hex digits.
    pub(crate) fn finish(self) -> String {
        let digest = match self {
            Self::Sha256(hash) => hash.finalize().to_vec(),
            Self::Git(hash) => hash.finalize().to_vec(),
        };
        digest.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a String takes all text");
            hex
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(checksum: Checksum, bytes: &[u8]) -> String {
        let mut hasher = checksum.hasher(bytes.len() as u64);
        bytes.chunks(2).for_each(|chunk| hasher.update(chunk));
        hasher.finish()
    }

    #[test]
    fn hashes_are_those_of_git_and_of_large_file_storage() {
        // printf hello | git hash-object --stdin; printf hello | sha256sum
        let git = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
        let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(hash(Checksum::Git(git.into()), b"hello"), git);
        assert_eq!(hash(Checksum::Sha256(sha256.into()), b"hello"), sha256);
    }

    #[test]
    fn an_id_that_is_no_hash_is_not_taken() {
        let git = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
        assert_eq!(
            Checksum::of_listing(git, None),
            Some(Checksum::Git(git.into()))
        );
        assert_eq!(
            Checksum::of_listing("../../../../../../../../../../etc/passwd", None),
            None
        );
        assert_eq!(Checksum::of_listing(git, Some(git)), None);
        assert_eq!(Checksum::of_listing(&git.to_uppercase(), None), None);
    }
}
