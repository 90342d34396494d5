//! Thrift's compact protocol, as far as page headers and the schema need it.
//!
//! The `parquet` crate reads these too, but believes what they claim: see [`super::page`] and
//! [`super::footer`] for what is looked at first.

/// Structures in structures before a value is taken for damage; parquet's own go four deep.
const DEEPEST: u32 = 32;

/// The kind of a field or of a list's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    pub(super) const FALSE: Self = Self(2);
    pub(super) const I32: Self = Self(5);
    pub(super) const LIST: Self = Self(9);
    pub(super) const STRUCT: Self = Self(12);
}

/// Why bytes are no such structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// They end before it does.
    Short,
    /// They cannot be one.
    Wrong,
}

/// Reads values off the front of a slice.
#[derive(Debug)]
pub(super) struct Thrift<'a> {
    rest: &'a [u8],
}

impl<'a> Thrift<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Broken> {
        let count = usize::try_from(count).map_err(|_| Broken::Short)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Broken::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        Ok(self.take(1)?[0])
    }

    /// Seven bits a byte, the lowest first.
    pub(super) fn varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Broken::Wrong)
    }

    /// A whole number of up to 64 bits.
    pub(super) fn int(&mut self) -> Result<i64, Broken> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A structure: `field` reads or skips each value, told its number and kind.
    pub(super) fn structure(
        &mut self,
        mut field: impl FnMut(&mut Self, i64, Kind) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let mut id = 0_i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(());
            }
            id = match head >> 4 {
                0 => self.int()?,
                step => id.saturating_add(step.into()),
            };
            field(self, id, Kind(head & 15))?;
        }
    }

    /// How many elements a list has, and of what kind.
    pub(super) fn list(&mut self) -> Result<(u64, Kind), Broken> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            count => count.into(),
        };
        // Each takes at least a byte.
        if count > self.left() as u64 {
            return Err(Broken::Short);
        }
        Ok((count, Kind(head & 15)))
    }

    /// Passes over a field's value.
    pub(super) fn skip(&mut self, kind: Kind) -> Result<(), Broken> {
        // A field that is true or false is nothing but its kind.
        match kind.0 {
            1 | 2 => Ok(()),
            _ => self.skip_value(kind, DEEPEST),
        }
    }

    fn skip_value(&mut self, kind: Kind, depth: u32) -> Result<(), Broken> {
        let depth = depth.checked_sub(1).ok_or(Broken::Wrong)?;
        match kind.0 {
            1..=3 => self.take(1).map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.take(8).map(drop),
            8 => {
                let length = self.varint()?;
                self.take(length).map(drop)
            }
            9 | 10 => {
                let (count, kind) = self.list()?;
                (0..count).try_for_each(|_| self.skip_value(kind, depth))
            }
            11 => {
                let count = self.varint()?;
                if count == 0 {
                    return Ok(());
                }
                if count > self.left() as u64 {
                    return Err(Broken::Short);
                }
                let kinds = self.byte()?;
                (0..count).try_for_each(|_| {
                    self.skip_value(Kind(kinds >> 4), depth)?;
                    self.skip_value(Kind(kinds & 15), depth)
                })
            }
            12 => self.structure(|this, _, kind| match kind.0 {
                1 | 2 => Ok(()),
                _ => this.skip_value(kind, depth),
            }),
            _ => Err(Broken::Wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Broken, Kind, Thrift};

    #[test]
    fn fields_are_numbered_by_steps_or_outright() {
        // Field 1: i32 −1; field 300: i64 2; field 301: a list of two i32; the end.
        let bytes = [0x15, 1, 0x06, 0xd8, 0x04, 4, 0x19, 0x25, 2, 4, 0];
        let (mut thrift, mut seen) = (Thrift::new(&bytes), Vec::new());
        let read = thrift.structure(|thrift, id, kind| {
            seen.push((id, kind));
            thrift.skip(kind)
        });
        assert_eq!(read, Ok(()));
        assert_eq!(seen, [(1, Kind::I32), (300, Kind(6)), (301, Kind::LIST)]);
        assert_eq!(thrift.left(), 0);
        for cut in 0..bytes.len() {
            let read = Thrift::new(&bytes[..cut]).structure(|thrift, _, kind| thrift.skip(kind));
            assert_eq!(read, Err(Broken::Short));
        }
    }

    #[test]
    fn claims_beyond_the_bytes_are_short_and_endless_depth_is_wrong() {
        let skip = |bytes: &[u8]| Thrift::new(bytes).skip(Kind::LIST);
        assert_eq!(
            skip(&[0xf5, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            Err(Broken::Short)
        );
        assert_eq!(skip(&[0x19; 100]), Err(Broken::Wrong));
        assert_eq!(Thrift::new(&[0xff; 11]).int(), Err(Broken::Wrong));
    }
}
