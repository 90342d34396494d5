//! The bytes of a pickle, taken from the front.

use super::broken;
use crate::error::Problem;

/// Where in the pickle the machine is.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Where the next byte is.
    pub fn at(&self) -> usize {
        self.at
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        let rest = &self.bytes[self.at..];
        if length > rest.len() {
            return Err(broken(
                self.at,
                format!("{length} bytes should follow, and {} do", rest.len()),
            ));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("so many were taken"))
    }

    pub fn byte(&mut self) -> Result<u8, Problem> {
        Ok(self.array::<1>()?[0])
    }

    /// A length in `N` bytes, little endian.
    pub fn length<const N: usize>(&mut self) -> Result<usize, Problem> {
        let at = self.at;
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(&self.array::<N>()?);
        let length = u64::from_le_bytes(wide);
        usize::try_from(length).map_err(|_| broken(at, format!("a length of {length}")))
    }

    pub fn text(&mut self, length: usize) -> Result<&'a str, Problem> {
        let at = self.at;
        std::str::from_utf8(self.take(length)?).map_err(|_| broken(at, "a text is not UTF-8"))
    }

    /// The text up to the end of the line, which is taken too.
    pub fn line(&mut self) -> Result<&'a str, Problem> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or_else(|| broken(self.at, "a line has no end"))?;
        let line = self.text(end)?;
        self.at += 1;
        Ok(line)
    }
}
